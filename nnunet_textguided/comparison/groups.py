"""Groups of structures that get a mean of their own: vertebrae, discs, upper and lower levels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_DISCS, SPINE_STRUCTURES, SPINE_VERTEBRAE

ALL = "all"
UPPER, LOWER = "upper", "lower"
DEFAULT_UPPER: tuple[str, ...] = tuple(name for name in SPINE_STRUCTURES if name.startswith("T"))
"""Thoracic: T9 to T12 and the discs T9/T10 to T12/L1. What is lumbar or sacral is lower: L1 to L5, S, L1/L2 to L5/S."""


@dataclass(frozen=True)
class Cut:
    """Which of the 19 structures are upper; the rest is lower.

    Attributes:
        upper: Their names, in channel order.
    """

    upper: tuple[str, ...] = DEFAULT_UPPER

    @classmethod
    def of(cls, upper: Sequence[str]) -> Cut:
        """Check names a user gave.

        Args:
            upper: Names of the upper structures.

        Raises:
            UserError: A name is none of the 19, or one side stays empty.
        """
        unknown = [name for name in upper if name not in SPINE_STRUCTURES]
        if unknown:
            raise UserError(f"Expected upper structures among {', '.join(SPINE_STRUCTURES)}; got {', '.join(unknown)}.")
        if not 0 < len(set(upper)) < len(SPINE_STRUCTURES):
            raise UserError(
                f"The cut puts {len(set(upper))} of the {len(SPINE_STRUCTURES)} structures above: name at least one, "
                "and leave at least one below."
            )
        return cls(tuple(name for name in SPINE_STRUCTURES if name in upper))

    @property
    def lower(self) -> tuple[str, ...]:
        """Names of the lower structures, in channel order."""
        return tuple(name for name in SPINE_STRUCTURES if name not in self.upper)

    @property
    def text(self) -> str:
        """The cut in words, printed with tables."""
        return f"upper = {', '.join(self.upper)}; lower = {', '.join(self.lower)}"


def is_spine(names: Collection[str]) -> bool:
    """Whether a data set labels all 19 spinal structures.

    Args:
        names: Its label names.
    """
    return set(names) >= set(SPINE_STRUCTURES)


def groups_of(names: Collection[str], headline: Collection[str], cut: Cut) -> dict[str, tuple[str, ...]]:
    """Return the groups of a data set.

    Args:
        names: Its label names.
        headline: Those that count for the headline; no other enters a group.
        cut: Between upper and lower.

    Returns:
        Group -> structures, groups without any left out; `all` alone where the labels are no spine.
    """
    if not is_spine(names):
        return {ALL: tuple(name for name in names if name in headline)}
    groups = {"vertebrae": SPINE_VERTEBRAE, "discs": SPINE_DISCS, UPPER: cut.upper, LOWER: cut.lower}
    counted = {group: tuple(name for name in own if name in headline) for group, own in groups.items()}
    return {group: own for group, own in counted.items() if own}
