"""The best levels, against every possibility counted out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnunet_textguided.inference.name_order.chain import Named, choose_levels
from nnunet_textguided.inference.name_order.column import LEVELS
from nnunet_textguided.inference.name_order.discs import Disc

FEW = range(1, 6)


def disc(height: float, votes: dict[int, float]) -> Disc:
    counts = np.zeros(LEVELS)
    counts[list(votes)] = list(votes.values())
    return Disc(np.zeros((1, 3), int), np.array([height, 0.0, 0.0]), 10.0, counts)


def score(chain: tuple[Named, ...], discs: list[Disc], vertebrae: np.ndarray) -> float:
    """The rules of `choose_levels`, one after the other."""
    sizes = np.array([d.votes.sum() for d in discs])
    usual_step = np.median(np.diff([d.centre[0] for d in discs]))
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
        steps = (discs[high.index].centre[0] - discs[low.index].centre[0]) / usual_step
        total -= 2 * max(0, abs(steps - levels) - 0.4) + 0.5 * (levels - 1)
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
