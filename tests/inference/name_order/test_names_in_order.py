"""Names are put in order, and nothing else is touched."""

from __future__ import annotations

import numpy as np
import pytest
from bent_column import COLUMN, DISCS, SHAPE, SPACING, VERTEBRAE, column, half_a_level_off, row_of

from nnunet_textguided.inference.name_order import names_in_order


def ordered(labels: np.ndarray) -> np.ndarray:
    return names_in_order(labels, SPACING, COLUMN)


@pytest.mark.parametrize("lowest", [0, 1, 2])
def test_a_column_in_order_stays_voxel_by_voxel(lowest: int):
    labels = column(lowest)
    assert (ordered(labels) == labels).all()


@pytest.mark.parametrize("levels", [(1, 2), (1, 2, 3), (4, 5)])
def test_bodies_that_share_two_names_are_named_once(levels: tuple[int, ...]):
    truth = column()
    wrong = truth.copy()
    for level in levels:  # the upper three fifths of every body are called as the next one up
        rows = slice(row_of(level, 1.0), row_of(level, 0.4))
        part = wrong[:, rows]
        part[part == VERTEBRAE[level]] = VERTEBRAE[level + 1]
    assert (wrong != truth).sum() > 1000
    bodies = truth.copy()
    bodies[:, :, 50:] = 0  # arches lie behind; their names may stay as they are
    assert (ordered(wrong)[bodies > 0] == truth[bodies > 0]).mean() > 0.99


def test_a_stripe_of_names_half_a_level_off_is_mended_discs_included():
    truth = column()
    wrong = half_a_level_off(truth, row_of(3, 1.0), 30)
    right = ordered(wrong)
    bodies = truth.copy()
    bodies[:, :, 50:] = 0
    assert (right[bodies > 0] == truth[bodies > 0]).mean() > 0.99
    assert (wrong[truth > 0] == truth[truth > 0]).mean() < 0.8 < 0.95 < (right[truth > 0] == truth[truth > 0]).mean()


def test_a_column_called_one_level_too_high_throughout_stays_as_it_is():
    table = np.arange(256)
    for names in (VERTEBRAE, DISCS):
        table[names[:-1]] = names[1:]
    labels = table[column()].astype(np.uint8)
    assert (ordered(labels) == labels).all()


def test_outlines_and_all_that_is_no_column_stay():
    generator = np.random.default_rng(0)
    truth = column()
    labels = truth.copy()
    noisy = (truth > 0) & (generator.random(SHAPE) < 0.3)
    of_vertebrae = np.isin(truth, VERTEBRAE)
    labels[noisy & of_vertebrae] = generator.choice(VERTEBRAE, (noisy & of_vertebrae).sum())
    labels[noisy & ~of_vertebrae] = generator.choice(DISCS, (noisy & ~of_vertebrae).sum())
    labels[:, :5, :5] = 20  # the canal, which has no level
    right = ordered(labels)
    assert right.dtype == labels.dtype
    assert (np.isin(right, VERTEBRAE) == np.isin(labels, VERTEBRAE)).all()
    assert (np.isin(right, DISCS) == np.isin(labels, DISCS)).all()
    assert ((right == 20) == (labels == 20)).all()
    discs = np.isin(truth, DISCS)
    assert (right[discs] == truth[discs]).all()


@pytest.mark.parametrize("rows", [10, 20, 30, 40])
def test_what_is_in_order_is_not_changed_again(rows: int):
    once = ordered(half_a_level_off(column(), row_of(3, 1.0), rows))
    assert (ordered(once) == once).all()


def test_a_small_piece_that_is_no_disc_is_passed_over():
    labels = column()
    stray = (slice(3, 5), slice(154, 159), slice(40, 50))  # under the lowest vertebra
    labels[stray] = DISCS[1]
    right = ordered(labels)
    rest = np.ones(SHAPE, bool)
    rest[stray] = False
    assert (right[rest] == labels[rest]).all()


def test_what_lies_under_the_lowest_disc_is_the_sacrum():
    truth = column(lowest=0)
    wrong = truth.copy()
    wrong[wrong == VERTEBRAE[0]] = VERTEBRAE[1]
    bodies = truth.copy()
    bodies[:, :, 50:] = 0
    assert (ordered(wrong)[bodies > 0] == truth[bodies > 0]).mean() > 0.99


def test_a_disc_that_was_not_found_is_counted():
    labels = column()
    labels[labels == DISCS[4]] = 0
    assert (ordered(labels) == labels).all()


def test_fused_vertebrae_keep_both_names():
    labels = column()
    gap = labels == DISCS[3]
    labels[gap] = VERTEBRAE[3]
    assert (ordered(labels) == labels).all()


def test_arches_beside_the_next_disc_keep_their_names():
    truth = column()
    wrong = truth.copy()
    wrong[wrong == DISCS[4]] = DISCS[5]  # something to mend
    right = ordered(wrong)
    assert (right == truth).all()


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flipped", [(), (0,), (0, 1, 2)])
def test_the_order_does_not_hang_on_how_the_array_lies(axes: tuple[int, ...], flipped: tuple[int, ...]):
    wrong = half_a_level_off(column(), row_of(3, 1.0), 30)
    expected = np.flip(ordered(wrong).transpose(axes), flipped)
    turned = np.flip(wrong.transpose(axes), flipped)
    assert (names_in_order(turned, [SPACING[axis] for axis in axes], COLUMN) == expected).mean() > 0.999


@pytest.mark.parametrize("vertebrae", [0, 1, 2, 3])
def test_fewer_than_three_discs_are_left_alone(vertebrae: int):
    labels = column(vertebrae=vertebrae)
    assert (ordered(labels) == labels).all()


def test_discs_without_vertebrae_are_named_too():
    labels = column()
    labels[np.isin(labels, VERTEBRAE)] = 0
    wrong = labels.copy()
    wrong[wrong == DISCS[3]] = DISCS[4]
    assert (ordered(wrong) == labels).all()


def test_discs_that_are_all_called_the_same_are_left_alone():
    labels = column()
    labels[np.isin(labels, DISCS)] = DISCS[2]
    assert (ordered(labels) == labels).all()


def test_a_single_slice_is_put_in_order():
    truth = column()[4:5]
    wrong = truth.copy()
    wrong[wrong == DISCS[3]] = DISCS[4]
    assert (ordered(wrong) == truth).all()


def test_the_input_is_not_changed():
    wrong = half_a_level_off(column(), row_of(3, 1.0), 30)
    before = wrong.copy()
    ordered(wrong)
    assert (wrong == before).all()
