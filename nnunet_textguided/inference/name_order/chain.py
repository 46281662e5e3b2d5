"""Levels for the discs of a column: each above the one below it, as much as possible as they were called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nnunet_textguided.inference.name_order.column import LEVELS
from nnunet_textguided.inference.name_order.discs import Disc
from nnunet_textguided.text.spine_parts import COLUMN

LOWEST_DISC = COLUMN.index("L5")
LOWER_STEPS = (1.0, 1.0, 1.0, 1.0, 0.96, 0.87)
"""Distance to the next disc above L5/S, L4/L5, ..., T12/L1, over the mean of the lumbar ones: medians of 24 people of
SPIDER (T11/T12: 0.80, 14 of them; T10/T11: 0.81, 6)."""
UPPER_STEP = 0.8
"""The same above T11/T12 and all that follow."""
LONGER, SHORTER = 0.2, 0.4
"""Parts of the lumbar distance between discs by which one may be too long or too short for its levels. In 29 of 32
people of SPIDER none is off by more than 0.15; three have one that is 0.31 to 0.40 too short."""
UNEVEN = 4.0
"""Price of a lumbar distance too much or too little beyond that, in discs that agree with their name."""
UNSEEN = 0.5
"""Price of a disc that is thought to be there and was not segmented."""
LEFT_OUT = 1.0
"""Price of a piece as large as most that is thought to be no disc."""


@dataclass(frozen=True)
class Named:
    """A disc and its level.

    Attributes:
        index: Of the disc in the list given.
        level: Of the vertebra above it.
    """

    index: int
    level: int


def choose_levels(discs: Sequence[Disc], vertebra_votes: np.ndarray, allowed: Iterable[int]) -> list[Named]:
    """Choose the levels that most of the column agrees with.

    Levels rise from disc to disc. One may be left out between two where they lie far apart (a disc that was not found,
    fused vertebrae), and a piece may be passed over as no disc. Every disc, and every vertebra between two, votes with
    the share of it that was called so; the best sum is found by dynamic programming from below upwards.

    Args:
        discs: From below upwards, at least two.
        vertebra_votes: Voxels of bodies below the lowest disc, between two discs, ..., above the highest, by the level
            they were called (len(discs) + 1, LEVELS).
        allowed: Levels that discs can have.

    Returns:
        From below upwards.
    """
    disc_votes = np.array([disc.votes for disc in discs], dtype=float)
    agree = _shares(disc_votes)
    forbidden = np.ones(LEVELS, bool)
    forbidden[list(allowed)] = False
    agree[:, forbidden] = -np.inf
    sizes = disc_votes.sum(1)
    prices = LEFT_OUT * np.minimum(1, sizes / np.median(sizes))
    vertebrae = _Vertebrae(vertebra_votes)
    best, came_from = _from_below(agree, prices, vertebrae, _Distances(discs))
    ends = np.array([best[i] + vertebrae.at(i + 1, len(discs) + 1) - prices[i + 1 :].sum() for i in range(len(discs))])
    last = np.unravel_index(int(ends.argmax()), ends.shape)
    chain = [Named(int(last[0]), int(last[1]))]
    while (previous := came_from[chain[-1].index, chain[-1].level])[0] >= 0:
        chain.append(Named(int(previous[0]), int(previous[1])))
    return chain[::-1]


def _from_below(
    agree: np.ndarray, prices: np.ndarray, vertebrae: _Vertebrae, distances: _Distances
) -> tuple[np.ndarray, np.ndarray]:
    """Best sum of a column that ends with disc i at level l (N, LEVELS), and the (disc, level) below it, or -1."""
    number = len(agree)
    best, came_from = np.empty((number, LEVELS)), np.full((number, LEVELS, 2), -1)
    for i in range(number):
        below = np.roll(vertebrae.at(0, i + 1), 1)  # the vertebra below a disc has the level below the disc's
        below[0] = -np.inf
        best[i] = below - prices[:i].sum()
        for j in range(i):
            # (level of j, level of i)
            sums = best[j][:, None] + vertebrae.between(j + 1, i + 1) + distances.score(j, i) - prices[j + 1 : i].sum()
            better = sums.max(0) > best[i]
            best[i, better] = sums.max(0)[better]
            came_from[i, better] = np.stack([np.full(LEVELS, j), sums.argmax(0)], axis=1)[better]
        best[i] += agree[i]
    return best, came_from


class _Vertebrae:
    """Votes of the vertebrae in a run of regions, as a share of what lies there."""

    def __init__(self, votes: np.ndarray) -> None:
        self.sums = np.concatenate([np.zeros((1, LEVELS)), np.cumsum(votes, axis=0)])
        self.usual = max(float(np.median(votes.sum(1))), 1.0)

    def at(self, first: int, end: int) -> np.ndarray:
        """Share called by each level (LEVELS,) in regions first to end - 1."""
        votes = self.sums[end] - self.sums[first]
        return votes / max(votes.sum(), self.usual)

    def between(self, first: int, end: int) -> np.ndarray:
        """Share called by any level from the lower disc's to the one below the upper disc's (lower, upper)."""
        up_to = np.concatenate([[0.0], np.cumsum(self.at(first, end))])[:-1]
        return up_to[None, :] - up_to[:, None]


class _Distances:
    """What speaks against a number of levels between two discs."""

    def __init__(self, discs: Sequence[Disc]) -> None:
        steps = np.linalg.norm(np.diff(np.array([disc.centre for disc in discs]), axis=0), axis=1)
        expected = np.full(LEVELS, UPPER_STEP)
        expected[LOWEST_DISC : LOWEST_DISC + len(LOWER_STEPS)] = LOWER_STEPS
        called = np.array([disc.votes.argmax() for disc in discs[:-1]])
        lumbar = np.median(steps / expected[called])  # of this person, in mm
        self.along = np.concatenate([[0.0], np.cumsum(steps)]) / lumbar
        places = np.concatenate([[0.0], np.cumsum(expected)])[:-1]
        self.expected = places[None, :] - places[:, None]
        self.levels = np.arange(LEVELS)[None, :] - np.arange(LEVELS)[:, None]

    def score(self, lower: int, upper: int) -> np.ndarray:
        """At most 0 for every (level of the lower, level of the upper); -inf where levels do not rise."""
        longer = self.along[upper] - self.along[lower] - self.expected
        wrong = np.maximum(0, np.maximum(longer - LONGER, -longer - SHORTER))
        price = UNEVEN * wrong + UNSEEN * (self.levels - 1)
        return np.where(self.levels > 0, -price, -np.inf)


def _shares(votes: np.ndarray) -> np.ndarray:
    """Votes by the size of a disc; small ones count less."""
    sizes = votes.sum(1)
    return votes / np.maximum(sizes, np.median(sizes))[:, None]
