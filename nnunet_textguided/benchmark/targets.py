"""What the measurements are meant to reach, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nnunet_textguided.benchmark.measurement import FINDINGS, Measurement

ATTO, TINY = "convnextv2_atto", "convnextv2_tiny"


@dataclass(frozen=True, kw_only=True)
class Target:
    """An upper limit, and where the figure for it is found.

    Attributes:
        text: In words.
        part: Of the benchmark.
        quantity: Of the measurement.
        limit: The figure is to be at most this.
        of_ratio: Whether the figure is the ratio to the reference instead of the value.
        device: "cpu" or "cuda".
        dimensions: Of the patch; None for both.
        encoder: Image encoder without tag; None for any.
        at: Conditions the measurement must have.
        findings: Whether the model must score findings, or must not; None for both.
    """

    text: str
    part: str
    quantity: str
    limit: float
    of_ratio: bool = False
    device: str | None = None
    dimensions: int | None = None
    encoder: str | None = None
    at: Mapping[str, Any] = field(default_factory=dict)
    findings: bool | None = None


def _head(encoder: str, dimensions: int, classes: int, limit: float) -> Target:
    text = f"query decoder and masks, {encoder}, {dimensions}D, {classes + 1} queries: share of a step"
    where: dict[str, Any] = {"part": "classes", "quantity": "query decoder and masks", "at": {"classes": classes}}
    return Target(text=text, limit=limit, encoder=encoder, dimensions=dimensions, **where)


def _steps(device: str, dimensions: int | None, encoder: str, limit: float) -> tuple[Target, Target]:
    """The step of segmentation, which is what the reference does as well, and that with findings beside it."""
    text = f"training step, {device.upper()}{f', {dimensions}D' if dimensions else ''}"
    where: dict[str, Any] = {"part": "step", "quantity": "training step", "of_ratio": True, "limit": limit}
    where |= {"device": "cuda" if device == "gpu" else device, "dimensions": dimensions, "encoder": encoder}
    return Target(text=text, findings=False, **where), Target(text=f"{text}, with findings", findings=True, **where)


_GPU: dict[str, Any] = {"device": "cuda", "encoder": TINY}

TARGETS = (
    *_steps("cpu", 2, ATTO, 0.35),
    *_steps("cpu", 3, ATTO, 0.5),
    *_steps("gpu", None, TINY, 0.6),
    Target(text="peak memory, GPU", part="process", quantity="peak memory", limit=0.6, of_ratio=True, **_GPU),
    Target(text="graph breaks, GPU", part="compilation", quantity="graph breaks", limit=0, **_GPU),
    Target(
        text="graphs compiled after warm-up, GPU",
        part="compilation",
        quantity="graphs compiled after warm-up",
        limit=0,
        **_GPU,
    ),
    _head(ATTO, 2, 24, 0.07),
    _head(ATTO, 2, 200, 0.25),
    _head(ATTO, 3, 24, 0.03),
    _head(ATTO, 3, 200, 0.08),
    *(_head(TINY, dimensions, classes, limit) for dimensions in (2, 3) for classes, limit in ((24, 0.03), (200, 0.08))),
    Target(
        text="one forward pass of a prediction", part="inference", quantity="forward pass", limit=0.5, of_ratio=True
    ),
    Target(
        text="whole predict, equal mirror axes, findings included",
        part="predict",
        quantity="whole predict",
        limit=0.6,
        of_ratio=True,
        findings=True,
    ),
    Target(
        text="export of 20 classes: peak memory over that of nnU-Net's",
        part="export",
        quantity="peak memory over one float copy of all classes",
        limit=1.05,  # one float copy more would make it about 1.8; what the system counts scatters by a few MB
        of_ratio=True,
        at={"classes": 20},
    ),
    Target(
        text="a batch of the loader with 2 processes, over a step, CPU, 2D",
        part="loading",
        quantity="loader over step",
        limit=1,
        device="cpu",
        dimensions=2,
        encoder=ATTO,
        at={"workers": 2},
    ),
)


def rows_of(
    target: Target, rows: Iterable[Measurement], device: str, dimensions: int, encoders: Mapping[str, str | None]
) -> list[Measurement]:
    """Return the measurements that a target speaks of.

    Args:
        target: One of `TARGETS`.
        rows: All measurements.
        device: They were made on.
        dimensions: Of the patch.
        encoders: System -> its image encoder; None for the reference and for networks without such an encoder.
    """
    if target.device not in (None, device) or target.dimensions not in (None, dimensions):
        return []
    found = []
    for row in rows:
        encoder = row.at.get("encoder") or encoders.get(row.system)
        fits = encoders.get(row.system) is not None and target.encoder in (None, str(encoder).split(".")[0])
        conditions = all(row.at.get(name) == value for name, value in target.at.items())
        if target.findings is not None:
            conditions &= (row.at.get(FINDINGS, 0) > 0) == target.findings
        if fits and conditions and (row.part, row.quantity) == (target.part, target.quantity):
            found.append(row)
    return [row for row in found if row.ratio is not None] if target.of_ratio else found


def check_targets(
    rows: Iterable[Measurement], device: str, dimensions: int, encoders: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Set every target beside what was measured; where several measurements fit, the worst one.

    Args:
        rows: All measurements.
        device: They were made on.
        dimensions: Of the patch.
        encoders: As for `rows_of`.

    Returns:
        target, limit, measured (None = not measured), system and met (None = not measured).
    """
    rows, table = list(rows), []
    for target in TARGETS:
        fitting = rows_of(target, rows, device, dimensions, encoders)
        spreads = [row.ratio if target.of_ratio else row.spread for row in fitting]
        figures = [spread.median for spread in spreads if spread is not None]
        worst = max(zip(figures, (row.system for row in fitting), strict=True), default=(None, None))
        met = None if worst[0] is None else worst[0] <= target.limit
        table.append(
            {"target": target.text, "limit": target.limit, "measured": worst[0], "system": worst[1], "met": met}
        )
    return table
