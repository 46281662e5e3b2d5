from __future__ import annotations

import numpy as np
import pytest

from nnunet_textguided.trainers.order_fixed_axes import class_centroids, order_fixed_axes


def layout(positions: list[list[float]], n_cases: int = 12, jitter: float = 0.01, seed: int = 0) -> np.ndarray:
    """(cases, classes, axes) centroids around the given positions."""
    rng = np.random.default_rng(seed)
    return np.asarray(positions)[None] + rng.normal(0, jitter, (n_cases, len(positions), len(positions[0])))


def test_classes_stacked_along_an_axis_fix_it():
    assert order_fixed_axes(layout([[0.5, 0.2, 0.5], [0.5, 0.5, 0.5], [0.5, 0.8, 0.5]])) == (1,)


def test_left_and_right_organs_fix_the_axis_between_them():
    assert order_fixed_axes(layout([[0.2, 0.5, 0.5], [0.8, 0.5, 0.5]])) == (0,)


def test_classes_without_order_fix_nothing():
    centroids = np.random.default_rng(1).uniform(0, 1, (40, 3, 3))
    assert order_fixed_axes(centroids) == ()


def test_two_axes_can_be_fixed_at_once():
    assert order_fixed_axes(layout([[0.5, 0.2, 0.3], [0.5, 0.8, 0.7]])) == (1, 2)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_transposing_the_axes_transposes_the_answer(order: tuple[int, ...]):
    centroids = layout([[0.5, 0.2, 0.5], [0.5, 0.8, 0.5]])[..., list(order)]
    assert order_fixed_axes(centroids) == (order.index(1),)


def test_a_constant_but_tiny_gap_does_not_count():
    assert order_fixed_axes(layout([[0.50, 0.5, 0.5], [0.54, 0.5, 0.5]], jitter=0.001)) == ()
    assert order_fixed_axes(layout([[0.50, 0.5, 0.5], [0.56, 0.5, 0.5]], jitter=0.001)) == (0,)


def test_nine_cases_are_too_few_and_ten_are_enough():
    positions = [[0.5, 0.2, 0.5], [0.5, 0.8, 0.5]]
    assert order_fixed_axes(layout(positions, n_cases=9)) == ()
    assert order_fixed_axes(layout(positions, n_cases=10)) == (1,)


def test_cases_that_lack_a_class_do_not_count_as_cases_of_the_pair():
    centroids = layout([[0.5, 0.2, 0.5], [0.5, 0.8, 0.5]], n_cases=14)
    centroids[:5, 1] = np.nan
    assert order_fixed_axes(centroids) == ()


@pytest.mark.parametrize(("n_swapped", "expected"), [(1, (1,)), (2, ())])
def test_order_has_to_hold_in_95_percent_of_the_cases(n_swapped: int, expected: tuple[int, ...]):
    centroids = layout([[0.5, 0.2, 0.5], [0.5, 0.8, 0.5]], n_cases=20)
    centroids[:n_swapped] = centroids[:n_swapped, ::-1]
    assert order_fixed_axes(centroids) == expected


def test_centroids_skip_the_channel_column_and_are_shares_of_the_axis():
    locations = {1: np.array([[0, 1, 2, 3], [0, 3, 4, 5]]), 2: np.zeros((0, 4))}
    centroids = class_centroids([(locations, (10, 20, 40))], [1, 2])
    np.testing.assert_allclose(centroids[0, 0], [2.5 / 10, 3.5 / 20, 4.5 / 40])
    assert np.isnan(centroids[0, 1]).all()


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="cases, classes, axes"):
        order_fixed_axes(np.zeros((3, 2)))
