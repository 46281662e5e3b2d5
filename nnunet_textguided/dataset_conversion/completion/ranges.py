"""What is usual in a data set: which structures a mask holds, their volumes, and whether they are in one piece."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from nnunet_textguided.dataset_conversion.completion.measures import Measure

MIN_MASKS = 5
REGULAR = 0.95
"""A structure that this part of the masks hold is expected in every mask."""
SPREADS = 4.0
"""How many spreads (1.4826 x median absolute deviation, the standard deviation of a normal sample) are still usual."""
_MIN_LOG_SPREAD = 0.15  # people's vertebrae differ by more: a few very alike masks must not make a tight range
_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Range:
    """What is usual for one structure.

    Attributes:
        masks: Number of masks it comes from.
        median_ml: Median volume.
        lowest_ml: Smallest usual volume.
        highest_ml: Largest usual volume.
        lowest_share: Smallest usual part of the volume that belongs together.
    """

    masks: int
    median_ml: float
    lowest_ml: float
    highest_ml: float
    lowest_share: float


@dataclass(frozen=True)
class Usual:
    """What is usual in a data set.

    Attributes:
        masks: Number of masks it comes from.
        ranges: Structure -> its range, where MIN_MASKS masks hold it in full.
        regular: Structure -> number of masks that hold it, of the structures that at least REGULAR of them hold.
    """

    masks: int = 0
    ranges: Mapping[str, Range] = field(default_factory=dict)
    regular: Mapping[str, int] = field(default_factory=dict)


def what_is_usual(cases: Collection[Mapping[str, Measure]]) -> Usual:
    """Work out what is usual, robustly, so that a few wrong masks do no harm.

    Usual volumes lie within the median times or divided by exp(SPREADS x spread of the logarithms); structures that
    the image cuts off do not count.

    Args:
        cases: Structure -> measure of every case with a mask; fewer than MIN_MASKS say nothing.
    """
    found: dict[str, list[Measure]] = {}
    for case in cases:
        for name, measure in case.items():
            found.setdefault(name, []).append(measure)
    whole = {name: [measure for measure in measures if not measure.cut_off] for name, measures in found.items()}
    ranges = {name: _range(measures) for name, measures in whole.items() if len(measures) >= MIN_MASKS}
    least = max(MIN_MASKS, REGULAR * len(cases))
    return Usual(
        len(cases), ranges, {name: len(measures) for name, measures in found.items() if len(measures) >= least}
    )


def _range(measures: list[Measure]) -> Range:
    middle, spread = _robust(np.log([measure.volume_ml for measure in measures]), _MIN_LOG_SPREAD)
    share, share_spread = _robust(np.array([measure.share for measure in measures]), 0.0)
    return Range(
        masks=len(measures),
        median_ml=float(np.exp(middle)),
        lowest_ml=float(np.exp(middle - SPREADS * spread)),
        highest_ml=float(np.exp(middle + SPREADS * spread)),
        lowest_share=float(share - SPREADS * share_spread),
    )


def _robust(values: np.ndarray, least_spread: float) -> tuple[float, float]:
    """Median, and spread as the standard deviation of a normal sample with this median absolute deviation."""
    middle = float(np.median(values))
    return middle, max(least_spread, _MAD_TO_SD * float(np.median(np.abs(values - middle))))
