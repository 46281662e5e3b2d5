from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from nnunet_textguided.findings.pooling import pool_scores
from nnunet_textguided.findings.regions import ball_offsets, structure_regions


def as_masks(regions, batch: int, structures: int, shape: tuple[int, ...]) -> torch.Tensor:
    masks = torch.zeros(batch * structures, int(np.prod(shape)), dtype=torch.bool)
    masks[regions.pair, regions.voxel] = True
    return masks.reshape(batch, structures, *shape)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((24, 20), (1.0, 1.0)), ((24, 20), (0.7, 1.3)), ((6, 18, 16), (3.0, 0.9, 1.1))]
)
def test_region_is_the_structure_and_background_within_the_margin(shape: tuple[int, ...], spacing: tuple[float, ...]):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (2, *shape), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.93] = 0
    codes = [2, 3, 1]
    masks = as_masks(structure_regions(labels, codes, spacing, 2.9), 2, 3, shape)
    for sample, (number, code) in itertools.product(range(2), enumerate(codes)):
        own = (labels[sample] == code).numpy()
        assert own.any()
        near = distance_transform_edt(~own, sampling=spacing) <= 2.9
        expected = own | (near & (labels[sample] == 0).numpy())
        np.testing.assert_array_equal(masks[sample, number].numpy(), expected)


def test_voxel_between_two_structures_is_in_both_regions_and_own_marks_the_structures():
    labels = torch.tensor([[[1, 0, 2]]])
    regions = structure_regions(labels, [1, 2], (1.0, 1.0), 1.0)
    listed = sorted(zip(regions.pair.tolist(), regions.voxel.tolist(), regions.own.tolist(), strict=True))
    assert listed == [(0, 0, True), (0, 1, False), (1, 1, False), (1, 2, True)]


def test_more_structures_than_bits_are_all_found():
    labels = torch.arange(0, 130).reshape(1, 1, 130)
    regions = structure_regions(labels, list(range(1, 130)), (1.0, 1.0), 0.5)
    assert sorted(regions.pair.tolist()) == list(range(129))


def test_labels_outside_the_list_and_negative_ones_belong_to_nobody():
    labels = torch.tensor([[[5, 0, -1, 1]]])
    regions = structure_regions(labels, [1], (1.0, 1.0), 1.0)
    assert regions.voxel.tolist() == [3]


def test_ball_is_measured_in_millimetres():
    assert sorted(ball_offsets((4.0, 1.0), 1.0)) == [(0, -1), (0, 0), (0, 1)]
    assert len(ball_offsets((1.0, 1.0, 1.0), 1.0)) == 7


def test_score_is_the_log_of_the_mean_of_exponentials():
    maps = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(1, 3, 4, dtype=torch.long)
    labels[0, :, :2] = 7
    scores, count = pool_scores(maps, structure_regions(labels, [7], (1.0, 1.0), 0.1), 1)
    expected = maps[0, :, :, :2].flatten(1).exp().mean(1).log()
    torch.testing.assert_close(scores[0, 0], expected)
    assert count.tolist() == [[6]]


def test_score_does_not_depend_on_voxels_of_other_structures():
    labels = torch.zeros(1, 1, 10, dtype=torch.long)
    labels[0, 0, :3], labels[0, 0, 3:6] = 1, 2
    maps = torch.zeros(1, 1, 1, 10, requires_grad=True)
    regions = structure_regions(labels, [1, 2], (1.0, 1.0), 2.0)
    scores, _ = pool_scores(maps, regions, 2)
    (gradient,) = torch.autograd.grad(scores[0, 0, 0], maps)
    assert (gradient.flatten()[:3] > 0).all()
    assert (gradient.flatten()[3:] == 0).all()  # structure 2 and what lies behind it


def test_one_bright_voxel_of_many_lifts_the_score_less_the_log_of_their_number():
    labels = torch.ones(1, 10, 10, dtype=torch.long)
    maps = torch.full((1, 1, 10, 10), -20.0)
    maps[0, 0, 5, 5] = 12.0
    scores, _ = pool_scores(maps, structure_regions(labels, [1], (1.0, 1.0)), 1)
    assert scores.item() == pytest.approx(12 - np.log(100), abs=1e-4)


def test_large_logits_neither_overflow_nor_lose_their_gradient():
    labels = torch.ones(1, 2, 2, dtype=torch.long)
    maps = torch.tensor([[[[500.0, 499.0], [-500.0, 0.0]]]], requires_grad=True)
    scores, _ = pool_scores(maps, structure_regions(labels, [1], (1.0, 1.0)), 1)
    scores.sum().backward()
    assert scores.item() == pytest.approx(500 + np.log((1 + np.exp(-1)) / 4), abs=1e-3)
    assert maps.grad.sum().item() == pytest.approx(1)


def test_structure_that_is_not_there_scores_zero_without_gradient():
    maps = torch.randn(1, 1, 2, 2, requires_grad=True)
    labels = torch.zeros(1, 2, 2, dtype=torch.long)
    scores, count = pool_scores(maps, structure_regions(labels, [1], (1.0, 1.0)), 1)
    scores.sum().backward()
    assert scores.item() == 0
    assert count.item() == 0
    assert maps.grad.abs().sum() == 0
