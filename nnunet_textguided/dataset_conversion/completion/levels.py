"""The order of spinal levels from the sacrum upwards, and which level is missing between two that are there."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

from nnunet_textguided.spine import SPINE_STRUCTURES

_TRANSITIONAL = ("L6", "T13")
_UPWARDS = ("S", "L6", "L5", "L4", "L3", "L2", "L1", "T13", "T12", "T11", "T10", "T9")
_ENOUGH_NAMES = 3  # shared with the spine label set: fewer, such as a lone "S", may mean anything


def spinal_levels(names: Collection[str]) -> list[str]:
    """Return a data set's vertebrae and discs in order, from below upwards; none if it is not of the spine.

    Args:
        names: Structures of the data set.
    """
    if len(set(names) & set(SPINE_STRUCTURES)) < _ENOUGH_NAMES:
        return []
    ranks = _ranks(names)
    return sorted(ranks, key=ranks.__getitem__)


def is_disc(level: str) -> bool:
    """Tell a disc from a vertebra.

    Args:
        level: One of `spinal_levels`.
    """
    return "/" in level


def missing_levels(names: Collection[str], present: Collection[str]) -> list[str]:
    """Return what must lie between the lowest and the highest level that are there, and is not there.

    L6 and T13 exist in few people, so they never count as missing; nor does a vertebra that a disc which is there
    spans (L4/S: a spine with four lumbar vertebrae).

    Args:
        names: Structures of the data set.
        present: Structures of one case.
    """
    there = [level for level in spinal_levels(names) if level in present]
    if not there:
        return []
    spanned = {vertebra for level in there if is_disc(level) for vertebra in _between(*level.split("/"))}
    vertebrae = [
        vertebra
        for vertebra in _UPWARDS
        if vertebra in there or (vertebra in names and vertebra not in spanned and vertebra not in _TRANSITIONAL)
    ]
    expected = vertebrae[:1]
    for lower, upper in itertools.pairwise(vertebrae):
        expected += [f"{upper}/{lower}", upper]
    ranks = _ranks([*expected, *there])
    lowest, highest = ranks[there[0]], ranks[there[-1]]
    return [level for level in expected if level in names and level not in there and lowest < ranks[level] < highest]


def _ranks(levels: Iterable[str]) -> dict[str, int]:
    """Places on the way up of those names that are spinal levels."""
    return {level: rank for level in levels if (rank := _rank(level)) is not None}


def _rank(level: str) -> int | None:
    """Place on the way up: vertebrae are even, a disc is just below its upper vertebra; None = no spinal level."""
    upper, *lower = level.split("/")
    if len(lower) > 1 or not {upper, *lower} <= set(_UPWARDS):
        return None
    return 2 * _UPWARDS.index(upper) - len(lower)


def _between(upper: str, lower: str) -> tuple[str, ...]:
    return _UPWARDS[_UPWARDS.index(lower) + 1 : _UPWARDS.index(upper)]
