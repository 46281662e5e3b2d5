from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from nnunet_textguided.comparison.surface import surface_distances

SPACING = (4.0, 1.3, 0.7)


def border_points(mask: np.ndarray, spacing) -> np.ndarray:
    """Voxels (mm) of which a face neighbour is outside, found without morphology."""
    padded = np.pad(mask.astype(bool), 1)
    all_neighbours = np.ones_like(padded)
    for axis in range(padded.ndim):
        for step in (-1, 1):
            all_neighbours &= np.roll(padded, step, axis)
    return (np.argwhere(padded & ~all_neighbours) - 1) * np.array(spacing)


def by_all_pairs(truth: np.ndarray, prediction: np.ndarray, spacing) -> tuple[float, float]:
    pairs = cdist(border_points(truth, spacing), border_points(prediction, spacing))
    distances = np.concatenate([pairs.min(0), pairs.min(1)])
    return float(np.percentile(distances, 95)), float(distances.mean())


def blob(rng: np.random.Generator, shape=(7, 16, 13)) -> np.ndarray:
    grid = np.indices(shape).reshape(3, -1).T
    centre, radius = rng.uniform(2, 10, 3) * np.array(shape) / 14, rng.uniform(2, 5, 3)
    return ((((grid - centre) / radius) ** 2).sum(1) < 1).reshape(shape)


@pytest.mark.parametrize("seed", range(6))
def test_distances_equal_those_over_all_pairs_of_border_voxels(seed: int):
    rng = np.random.default_rng(seed)
    truth, prediction = blob(rng) | blob(rng), blob(rng)
    expected = by_all_pairs(truth, prediction, SPACING)
    assert surface_distances(truth, prediction, SPACING) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_cropping_changes_nothing(seed: int):
    rng = np.random.default_rng(seed)
    truth, prediction = (np.pad(blob(rng), ((0, 3), (5, 0), (0, 9))) for _ in range(2))  # some touch the array's edge
    whole = surface_distances(truth, prediction, SPACING, crop=False)
    assert surface_distances(truth, prediction, SPACING) == whole


def test_distances_are_in_mm_along_the_right_axis():
    truth, moved = np.zeros((2, 9, 20, 20), bool)
    truth[2:5, 5:9, 5:9] = True
    moved[4:7, 5:9, 5:9] = True
    hd95, assd = surface_distances(truth, moved, (5.0, 1.0, 1.0))
    assert hd95 == pytest.approx(10.0)
    assert 0 < assd < 10
    assert surface_distances(truth, moved, (10.0, 2.0, 2.0)) == pytest.approx((2 * hd95, 2 * assd))


def test_order_of_the_masks_does_not_matter_and_equal_masks_have_distance_zero():
    rng = np.random.default_rng(3)
    one, other = blob(rng), blob(rng)
    assert surface_distances(one, other, SPACING) == pytest.approx(surface_distances(other, one, SPACING), abs=1e-12)
    assert surface_distances(one, one, SPACING) == (0.0, 0.0)


@pytest.mark.parametrize(("full", "empty"), [(0, 1), (1, 0)])
def test_a_structure_that_only_one_mask_has_has_no_distance(full: int, empty: int):
    masks = [np.zeros((3, 4, 5), bool), np.zeros((3, 4, 5), bool)]
    masks[full][1, 1, 1] = True
    assert np.isnan(surface_distances(*masks, SPACING)).all()
    masks[full][:] = False
    assert np.isnan(surface_distances(*masks, SPACING)).all()


def test_a_single_slice_is_measured_as_a_plane():
    truth, prediction = np.zeros((2, 1, 20, 20), bool)
    truth[0, 3:15, 3:15] = True
    prediction[0, 6:12, 6:12] = True
    expected = by_all_pairs(truth[0], prediction[0], SPACING[1:])
    assert surface_distances(truth, prediction, SPACING) == pytest.approx(expected, abs=1e-10)


def test_a_single_voxel_in_a_single_voxel_image_works():
    assert surface_distances(np.ones((1, 1, 1)), np.ones((1, 1, 1)), SPACING) == (0.0, 0.0)
