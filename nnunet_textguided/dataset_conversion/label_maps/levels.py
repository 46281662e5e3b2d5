"""Checks on the levels that one mask holds, by name."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise

from nnunet_textguided.dataset_conversion.base.problems import CaseError

VERTEBRAE: tuple[str, ...] = (
    *(f"C{number}" for number in range(1, 8)),
    *(f"T{number}" for number in range(1, 14)),
    *(f"L{number}" for number in range(1, 8)),
    "S",
)
"""From the head downwards, with the extra ones of some spines."""
NO_LEVELS = "SPINEPS without its labelling model writes instance numbers; --from spineps-instances counts those"
EXTRA_VERTEBRAE = ("T13", "L6", "L7")


def level_warnings(names: Collection[str]) -> list[str]:
    """Say where vertebrae are missing between others: four lumbar vertebrae, or one that was not segmented.

    Args:
        names: Structures of one mask; any that are not vertebrae are passed over.
    """
    present = [index for index, name in enumerate(VERTEBRAE) if name in names]
    warnings = []
    for upper, lower in pairwise(present):
        missing = [name for name in VERTEBRAE[upper + 1 : lower] if name not in EXTRA_VERTEBRAE]
        if missing:
            warnings.append(
                f"levels are not contiguous: {', '.join(missing)} missing between {VERTEBRAE[upper]} and "
                f"{VERTEBRAE[lower]} (a spine with fewer vertebrae, or not segmented); look at it"
            )
    return warnings


def check_lumbar(names: Collection[str]) -> None:
    """Refuse levels that cannot be right: a sacrum and vertebrae, none of them lumbar.

    Instance numbers that are read as levels look like this.

    Args:
        names: Structures of one mask.

    Raises:
        CaseError: As said.
    """
    vertebrae = [name for name in VERTEBRAE if name in names and name != "S"]
    if "S" in names and vertebrae and not any(re.fullmatch(r"L\d", name) for name in vertebrae):
        raise CaseError(
            f"the sacrum lies next to {vertebrae[-1]}, with no lumbar vertebra: its codes cannot be levels. {NO_LEVELS}"
        )
