"""One measured quantity of one system, and how it stands to the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

FINDINGS = "findings"
"""Condition: how many findings the model scores beside the structures."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements.

    Attributes:
        median: Half of the values are below.
        q25: A quarter of them is below.
        q75: Three quarters of them are below.
        n: Number of values.
    """

    median: float
    q25: float
    q75: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some values, at least one.

        Args:
            values: In any order.
        """
        q25, median, q75 = (float(q) for q in np.percentile(np.asarray(values, dtype=float), (25, 50, 75)))
        return cls(median, q25, q75, len(values))


@dataclass(frozen=True)
class Measurement:
    """Repeated measurements of one quantity of one system.

    Attributes:
        part: Of the benchmark, such as "step".
        quantity: What was measured, in words.
        system: Its label.
        unit: "s", "MB", "share" or "" for counts.
        values: One a round, warm-up left out.
        at: Under which conditions, such as {"classes": 100}.
        ratios: Value over the reference's value of the same round; empty where there is none to compare with.
    """

    part: str
    quantity: str
    system: str
    unit: str
    values: tuple[float, ...]
    at: Mapping[str, Any] = field(default_factory=dict)
    ratios: tuple[float, ...] = ()

    @property
    def spread(self) -> Spread:
        """Of the values."""
        return Spread.of(self.values)

    @property
    def ratio(self) -> Spread | None:
        """Of the ratios to the reference."""
        return Spread.of(self.ratios) if self.ratios else None

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in the JSON file."""
        ratio = None if self.ratio is None else vars(self.ratio)
        texts = {name: getattr(self, name) for name in ("part", "quantity", "system", "unit")}
        return {**texts, "at": dict(self.at), **vars(self.spread), "ratio": ratio, "values": list(self.values)}


def compared(
    part: str,
    quantity: str,
    unit: str,
    values: Mapping[str, Sequence[float]],
    reference: str | None,
    at: Mapping[str, Any] | None = None,
) -> list[Measurement]:
    """Set every system beside the reference, round by round: a load that comes and goes hits both alike.

    Args:
        part: Of the benchmark.
        quantity: What was measured.
        unit: Of the values.
        values: Label -> one value a round, equally many for all.
        reference: Label of the system the others are divided by; None for no ratios.
        at: Conditions.
    """
    base = values.get(reference, ()) if reference is not None else ()
    rows = []
    for system, own in values.items():
        pairs = zip(own, base, strict=True) if base else ()
        ratios = tuple(value / other for value, other in pairs if other > 0)
        rows.append(Measurement(part, quantity, system, unit, tuple(own), dict(at or {}), ratios))
    return rows


def with_condition(rows: Iterable[Measurement], name: str, values: Mapping[str, Any]) -> list[Measurement]:
    """Add a condition that differs from system to system.

    Args:
        rows: Measurements.
        name: Of the condition.
        values: Label of a system -> its value.
    """
    return [replace(row, at={**row.at, name: values[row.system]}) for row in rows]
