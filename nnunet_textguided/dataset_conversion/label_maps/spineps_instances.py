"""SPINEPS's vertebra mask made without the labelling model: instances, which are counted from below.

Sources: README of Hendrik-code/spineps and `label_instance_top_to_bottom` in spineps/phase_post.py: vertebrae are
numbered from the top of the image, so a number says nothing about the level. The sacrum is 26 all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from statistics import median

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.label_maps.label_map import TRANSITIONAL, LabelMap
from nnunet_textguided.dataset_conversion.label_maps.levels import EXTRA_VERTEBRAE
from nnunet_textguided.dataset_conversion.label_maps.levels import VERTEBRAE as LEVELS
from nnunet_textguided.dataset_conversion.label_maps.spineps import (
    DISC,
    ENDPLATE,
    SACRUM,
    SPINEPS,
    SUBREGION_HINT,
    VERTEBRAE,
)
from nnunet_textguided.spine import SPINE_STRUCTURES, SPINE_VERTEBRAE

INSTANCES_NAME = "spineps-instances"
LOWEST_CHOICES: tuple[str, ...] = ("L6", *SPINE_VERTEBRAE[1:])

_USUAL_LEVELS = [name for name in reversed(LEVELS) if name not in EXTRA_VERTEBRAE]  # from the sacrum upwards
_ON_THE_SACRUM = ("L4", "L5", "L6")
_WIDE_GAP = 1.6  # of the median distance between neighbours; at most 1.2 in panoptica's examples


def instance_map(
    heights: Mapping[int, float], lowest: str | None = None, sacrum: Collection[int] = (SACRUM,)
) -> tuple[LabelMap, list[str]]:
    """Name the instances of one mask.

    Args:
        heights: Code that occurs in the mask to where its centre lies, in mm towards the head.
        lowest: The level of the lowest vertebra; L5 if None, which needs the sacrum to count from.
        sacrum: The codes that are the sacrum.

    Returns:
        The label map of this mask, and what about it is doubtful.

    Raises:
        CaseError: No vertebra, nothing to count from, the sacrum not below the vertebrae or below a level that does
            not lie on it, more vertebrae than there are, or a disc that belongs to none of them.
    """
    order = sorted((code for code in heights if code in VERTEBRAE and code not in sacrum), key=heights.__getitem__)
    sacral = sorted(code for code in sacrum if code in heights)
    _check_countable(order, sacral, heights, lowest)
    below, *levels = _levels_from(lowest or "L5", on_sacrum=bool(sacral))
    if len(order) > len(levels):
        raise CaseError(f"holds {len(order)} vertebrae, but from {levels[0]} upwards there are {len(levels)} levels")
    names = {
        **dict(zip(order, levels, strict=False)),
        **_discs(order, [below, *levels], heights),
        **dict.fromkeys(sacral, "S"),
    }
    ours = {*SPINE_STRUCTURES, *TRANSITIONAL}
    label_map = LabelMap(
        name=INSTANCES_NAME,
        codes={code: name for code, name in names.items() if name in ours},
        background={
            **{code: name for code, name in names.items() if name not in ours},
            **{ENDPLATE + code: "endplate" for code in (*VERTEBRAE, SACRUM, *sacral)},
            **{DISC + code: "disc below the sacrum" for code in sacral},
        },
        licence=SPINEPS.licence,
        hint=SUBREGION_HINT,
    )
    return label_map, _wide_gaps([*sacral, *order], heights)


def _check_countable(order: list[int], sacral: list[int], heights: Mapping[int, float], lowest: str | None) -> None:
    if not order:
        raise CaseError(f"holds no vertebra instance (codes 1 to 25). {SUBREGION_HINT}")
    if lowest is None and not sacral:
        raise CaseError(
            f"there is no sacrum (code {SACRUM}) to count the vertebrae from. Say which the lowest one is, such as "
            "--lowest L5, or which code the sacrum has, such as --map 27=S"
        )
    for code in sacral:
        if heights[code] >= heights[order[0]]:
            raise CaseError(
                f"the sacrum (code {code}) does not lie below vertebra {order[0]}. Is the file's orientation right?"
            )
    if sacral and lowest not in (None, *_ON_THE_SACRUM):
        raise CaseError(
            f"the sacrum is there, so the lowest vertebra is one of {', '.join(_ON_THE_SACRUM)}, not {lowest}"
        )


def _levels_from(lowest: str, on_sacrum: bool) -> list[str]:
    """Return what lies below the lowest vertebra, that vertebra, and all levels above it."""
    levels = [_USUAL_LEVELS[0], "L6", *_USUAL_LEVELS[1:]] if lowest == "L6" else _USUAL_LEVELS
    start = levels.index(lowest)
    return ["S" if on_sacrum else levels[start - 1], *levels[start:]]


def _discs(order: list[int], levels: list[str], heights: Mapping[int, float]) -> dict[int, str]:
    """Name the discs; SPINEPS numbers one by the vertebra above it, and one on top of all by the number before.

    Args:
        order: The vertebrae from below.
        levels: What lies below the lowest vertebra, and the levels from there upwards.
        heights: Of all codes.
    """
    top = order[-1]
    discs = {}
    for code in (DISC + number for number in VERTEBRAE if DISC + number in heights):
        if code - DISC in order:
            place = order.index(code - DISC)
        elif heights[code] > heights[top] and len(levels) > len(order) + 1:
            place = len(order)
        else:
            raise CaseError(f"disc {code} has no vertebra {code - DISC} above it, nor does it lie above all vertebrae")
        discs[code] = f"{levels[place + 1]}/{levels[place]}"
    return discs


def _wide_gaps(order: list[int], heights: Mapping[int, float]) -> list[str]:
    """Say where an instance seems to be missing, so that the count above is off by one."""
    gaps = {(low, high): heights[high] - heights[low] for low, high in pairwise(order)}
    usual = median(gaps.values()) if gaps else 0.0
    return [
        f"codes {low} and {high} lie {gap:.0f} mm apart, others {usual:.0f} mm: if a vertebra is missing between "
        "them, the levels above are off by one; look at it"
        for (low, high), gap in gaps.items()
        if len(gaps) > 1 and gap > _WIDE_GAP * usual
    ]
