"""The best levels, against every possibility counted out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnunet_textguided.inference.name_order.chain import Named, choose_levels
from nnunet_textguided.inference.name_order.column import LEVELS
from nnunet_textguided.inference.name_order.discs import Disc

FEW = range(4, 9)
STEPS = {5: 0.96, 6: 0.87, 7: 0.8, 8: 0.8}
"""Distance to the next disc above the level, over the lumbar one; below them 1."""


def disc(height: float, votes: dict[int, float]) -> Disc:
    counts = np.zeros(LEVELS)
    counts[list(votes)] = list(votes.values())
    return Disc(np.zeros((1, 3), int), np.array([height, 0.0, 0.0]), 10.0, counts)


def score(chain: tuple[Named, ...], discs: list[Disc], vertebrae: np.ndarray) -> float:
    """The rules of `choose_levels`, one after the other."""
    sizes = np.array([d.votes.sum() for d in discs])
    called = [int(np.argmax(d.votes)) for d in discs]
    distances = np.diff([d.centre[0] for d in discs])
    lumbar = np.median([distance / STEPS.get(level, 1) for distance, level in zip(distances, called[:-1], strict=True)])
    usual_body = max(np.median(vertebrae.sum(1)), 1)

    def bodies(first: int, end: int, lowest: int, highest: int) -> float:
        votes = vertebrae[first:end].sum(0)
        return votes[lowest : highest + 1].sum() / max(votes.sum(), usual_body)

    total = bodies(0, chain[0].index + 1, chain[0].level - 1, chain[0].level - 1)
    total += bodies(chain[-1].index + 1, len(discs) + 1, chain[-1].level, chain[-1].level)
    for named in chain:
        total += discs[named.index].votes[named.level] / max(sizes[named.index], np.median(sizes))
    for low, high in itertools.pairwise(chain):
        levels = high.level - low.level
        total += bodies(low.index + 1, high.index + 1, low.level, high.level - 1)
        distance = (discs[high.index].centre[0] - discs[low.index].centre[0]) / lumbar
        longer = distance - sum(STEPS.get(level, 1) for level in range(low.level, high.level))
        total -= 4 * max(0, longer - 0.2, -longer - 0.4) + 0.5 * (levels - 1)
    passed_over = set(range(len(discs))) - {named.index for named in chain}
    return total - sum(min(1, sizes[index] / np.median(sizes)) for index in passed_over)


def possibilities(number: int):
    for length in range(1, number + 1):
        for indices in itertools.combinations(range(number), length):
            for levels in itertools.combinations(FEW, length):
                yield tuple(Named(*pair) for pair in zip(indices, levels, strict=True))


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_the_best_of_all(seed: int):
    generator = np.random.default_rng(seed)
    heights = np.cumsum(generator.choice([1.0, 1.0, 1.1, 0.5, 2.0], 4)) * 30
    discs = [disc(height, dict(zip(FEW, generator.integers(0, 50, 5), strict=True))) for height in heights]
    vertebrae = np.zeros((5, LEVELS))
    vertebrae[:, : FEW[-1] + 1] = generator.integers(0, 300, (5, FEW[-1] + 1))
    best = max(possibilities(4), key=lambda chain: score(chain, discs, vertebrae))
    chosen = tuple(choose_levels(discs, vertebrae, FEW))
    assert score(chosen, discs, vertebrae) == pytest.approx(score(best, discs, vertebrae), abs=1e-9)


def test_levels_a_data_set_has_no_label_for_are_not_given():
    discs = [disc(30.0 * step, {step + 1: 10}) for step in range(4)]
    chosen = choose_levels(discs, np.zeros((5, LEVELS)), [1, 3, 4])
    assert {named.level for named in chosen} <= {1, 3, 4}


def test_a_double_distance_is_a_disc_that_was_not_found():
    torn = {4: 5, 5: 5, 6: 4}
    discs = [disc(0, {1: 10}), disc(30, {2: 10}), disc(60, {3: 10}), disc(120, torn), disc(150, torn)]
    chosen = choose_levels(discs, np.zeros((6, LEVELS)), range(1, 9))
    assert [named.level for named in chosen] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(
    ("distance", "called", "bodies_below", "bodies_above", "level"),
    [
        (47, {7: 55, 8: 50}, (490, 240), (50, 300), 8),  # 1.3 lumbar distances, but 0.77 of two thoracic ones
        (32, {7: 10, 8: 90}, (150, 350), (20, 200), 7),  # that of one level, whatever the names skip
    ],
)
def test_the_level_above_t12_l1_fits_the_distance_of_thoracic_discs(
    distance, called, bodies_below, bodies_above, level
):
    heights = [0, 37, 74, 111, 148, 183.5, 183.5 + distance]
    votes = [*({low: 100} for low in range(1, 7)), called]
    discs = [disc(height, own) for height, own in zip(heights, votes, strict=True)]
    bodies = np.zeros((8, LEVELS))
    bodies[np.arange(1, 6), np.arange(1, 6)] = 500
    bodies[6, [6, 7]], bodies[7, [7, 8]] = bodies_below, bodies_above
    assert [named.level for named in choose_levels(discs, bodies, range(1, 10))] == [1, 2, 3, 4, 5, 6, level]
