"""What the names of a data set's labels mean on the spine: vertebra, disc, canal or sacrum, and at which level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnunet_textguided.text.spine_names import canonical_name, is_ambiguous

VERTEBRAE, DISCS, CANAL, SACRUM = "vertebrae", "discs", "canal", "sacrum"
COLUMN: tuple[str, ...] = (
    "S",
    *(f"L{number}" for number in range(5, 0, -1)),
    *(f"T{number}" for number in range(12, 0, -1)),
    *(f"C{number}" for number in range(7, 0, -1)),
)
"""The regular column from the sacrum upwards. L6 and T13 have no place of their own: most columns lack them, and where
they occur every level above counts differently."""


@dataclass(frozen=True)
class SpinePart:
    """One label of a spine data set.

    Attributes:
        name: As the data set has it.
        group: VERTEBRAE, DISCS, CANAL or SACRUM.
        level: Place in COLUMN of the vertebra, or of the vertebra above the disc; None where it has none.
    """

    name: str
    group: str
    level: int | None


def single_labels(names: Mapping[Any, str]) -> dict[int, str]:
    """Return code -> name of the labels that are one code each.

    Args:
        names: Label code -> name; the key of a region is a tuple of its codes, and a region of several is left out.
    """
    pairs = ((key if isinstance(key, tuple) else (key,), name) for key, name in names.items())
    return {int(codes[0]): name for codes, name in pairs if len(codes) == 1}


def spine_parts(names: Mapping[int, str]) -> dict[int, SpinePart]:
    """Return the labels that are parts of the spine; none where the labels are no spine.

    A name that can mean something else ("S", "T1", "canal") counts only beside one that is a spine name beyond doubt.
    Partly visible vertebrae are left out.

    Args:
        names: Label code -> name, as of `single_labels`.
    """
    known = {code: canonical_name(name) for code, name in names.items()}
    if not any(meant is not None and not is_ambiguous(names[code]) for code, meant in known.items()):
        return {}
    return {
        code: SpinePart(names[code], _group(meant), _level(meant))
        for code, meant in known.items()
        if meant is not None and not meant.startswith("partial")
    }


def _group(meant: str) -> str:
    if meant in ("canal", "S"):
        return CANAL if meant == "canal" else SACRUM
    return DISCS if "/" in meant else VERTEBRAE


def _level(meant: str) -> int | None:
    upper = meant.split("/")[0]
    return COLUMN.index(upper) if upper in COLUMN else None
