"""Whether a mask can be right: every check says in a sentence, with numbers, what is odd.

A mask's score is the sum of the weights of what was found: nothing there 8; levels out of order, or one missing between
two others, 4 each; a structure missing that nearly all masks hold, or one in pieces, 2 each; an odd volume, neighbours
of very different volumes, or an odd width, 1 each. A mask with any such sentence is doubtful.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from nnunet_textguided.dataset_conversion.completion.levels import is_disc, missing_levels, spinal_levels
from nnunet_textguided.dataset_conversion.completion.measures import Measure
from nnunet_textguided.dataset_conversion.completion.ranges import Usual

WEIGHTS = {"nothing": 8, "order": 4, "gap": 4, "missing": 2, "pieces": 2, "volume": 1, "neighbours": 1, "width": 1}
WHOLE = 0.97
"""A structure is in one piece if this part of it belongs together, or what is usual for it, if that is less."""
_LARGEST_RATIO = {False: 3.0, True: 4.0}  # of neighbouring vertebrae, of neighbouring discs (degenerate ones are thin)
_LEAST_WIDTH = 0.5  # of the median over the case's vertebrae or discs


@dataclass(frozen=True)
class Doubt:
    """One thing that is odd about a mask.

    Attributes:
        check: Which check found it, a key of WEIGHTS.
        reason: A sentence for the person who looks at the mask.
    """

    check: str
    reason: str


def find_doubts(measures: Mapping[str, Measure], names: Collection[str], usual: Usual | None = None) -> list[Doubt]:
    """Check one mask.

    Args:
        measures: Structure -> measure of those that occur in the mask.
        names: All structures of the data set; order, gaps, neighbours and width are looked at in spines only.
        usual: What is usual in the data set; None or empty where there are too few masks to tell.

    Returns:
        What is odd, the gravest first; none for a plausible mask.
    """
    if not measures:
        return [Doubt("nothing", "no structure at all: the mask is empty")]
    levels = [level for level in spinal_levels(names) if level in measures]
    usual = usual or Usual()
    gaps = missing_levels(names, levels)
    doubts = [
        *_order(levels, measures),
        *(Doubt("gap", f"{level} is missing between {levels[0]} and {levels[-1]}, which are there") for level in gaps),
        *(
            Doubt("missing", f"{name} is missing, which {masks} of {usual.masks} masks have")
            for name, masks in usual.regular.items()
            if name not in measures and name not in gaps
        ),
        *_pieces(measures, usual),
        *_volumes(measures, usual),
        *_neighbours(levels, measures),
        *_widths(levels, measures),
    ]
    return sorted(doubts, key=lambda doubt: -WEIGHTS[doubt.check])


def score(doubts: Collection[Doubt]) -> int:
    """Return how doubtful a mask is; 0 is plausible.

    Args:
        doubts: What was found.
    """
    return sum(WEIGHTS[doubt.check] for doubt in doubts)


def _order(levels: list[str], measures: Mapping[str, Measure]) -> Iterator[Doubt]:
    for lower, upper in itertools.pairwise(levels):
        below = measures[lower].height_mm - measures[upper].height_mm
        if below >= 0:
            yield Doubt("order", f"{upper} must lie above {lower}, but its centre is {below:.0f} mm lower")


def _pieces(measures: Mapping[str, Measure], usual: Usual) -> Iterator[Doubt]:
    for name, measure in measures.items():
        least = min(WHOLE, usual.ranges[name].lowest_share) if name in usual.ranges else WHOLE
        if measure.share < least:
            yield Doubt(
                "pieces",
                f"{name} is in {measure.pieces} pieces: {measure.share:.0%} of it belong together (expected at least "
                f"{least:.0%}), the largest stray piece lies {measure.apart_mm:.0f} mm away",
            )


def _volumes(measures: Mapping[str, Measure], usual: Usual) -> Iterator[Doubt]:
    for name, measure in measures.items():
        known = usual.ranges.get(name)
        if known is None:
            continue
        too_small = measure.volume_ml < known.lowest_ml and not measure.cut_off
        if too_small or measure.volume_ml > known.highest_ml:
            yield Doubt(
                "volume",
                f"{name} has {_ml(measure.volume_ml)} ml; usual are {_ml(known.lowest_ml)} to "
                f"{_ml(known.highest_ml)} ml (median {_ml(known.median_ml)} ml of {known.masks} masks)",
            )


def _neighbours(levels: list[str], measures: Mapping[str, Measure]) -> Iterator[Doubt]:
    for kind, largest in _LARGEST_RATIO.items():
        alike = _whole_levels(levels, measures, kind)
        for lower, upper in itertools.pairwise(alike):
            small, large = sorted((lower, upper), key=lambda name: measures[name].volume_ml)
            ratio = measures[large].volume_ml / measures[small].volume_ml
            if ratio > largest:
                yield Doubt(
                    "neighbours",
                    f"{large} has {ratio:.1f} times the volume of its neighbour {small} (expected at most {largest:g})",
                )


def _widths(levels: list[str], measures: Mapping[str, Measure]) -> Iterator[Doubt]:
    for kind in (False, True):
        alike = _whole_levels(levels, measures, kind)
        if len(alike) < 3:
            continue  # a median needs company
        usual = statistics.median(measures[name].width_mm for name in alike)
        for name in alike:
            if measures[name].width_mm < _LEAST_WIDTH * usual:
                yield Doubt(
                    "width",
                    f"{name} is {measures[name].width_mm:.0f} mm wide from left to right; the median of this case is "
                    f"{usual:.0f} mm",
                )


def _whole_levels(levels: list[str], measures: Mapping[str, Measure], discs: bool) -> list[str]:
    """Vertebrae or discs that may be compared with each other: not the sacrum, and not cut off by the image."""
    return [name for name in levels if is_disc(name) == discs and name != "S" and not measures[name].cut_off]


def _ml(volume: float) -> str:
    return f"{volume:.3g}" if volume < 1000 else f"{volume:.0f}"
