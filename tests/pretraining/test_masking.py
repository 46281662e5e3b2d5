from __future__ import annotations

import pytest
import torch

from nnunet_textguided.pretraining.masking import patchify, random_mask, unpatchify, visible_at


@pytest.mark.parametrize(("ratio", "hidden"), [(0.6, 29), (0.01, 1), (0.99, 48)])
def test_every_slice_hides_the_same_number_of_patches(ratio, hidden):
    mask = random_mask(5, (7, 7), ratio, torch.Generator().manual_seed(0))
    hidden = min(hidden, 48)
    assert mask.flatten(1).sum(1).tolist() == [hidden] * 5
    assert len({tuple(m.flatten().tolist()) for m in mask}) > 1


@pytest.mark.parametrize(("grid", "ratio"), [((1, 1), 0.6), ((4, 4), 0.0), ((4, 4), 1.0)])
def test_a_mask_that_hides_nothing_or_all_is_an_error(grid, ratio):
    with pytest.raises(ValueError, match="ratio"):
        random_mask(1, grid, ratio)


def test_every_patch_is_hidden_as_often_as_any_other():
    often = random_mask(4000, (3, 3), 0.55, torch.Generator().manual_seed(1)).float().mean(0)
    assert (often - 5 / 9).abs().max() < 0.04


def test_visible_places_are_whole_patches_of_every_feature_grid():
    mask = torch.tensor([[[True, False], [False, True]]])
    assert visible_at(mask, (4, 4))[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]]


def test_patches_are_cut_and_put_back():
    images = torch.randn(2, 3, 64, 96)
    patches = patchify(images)
    assert patches.shape == (2, 2, 3, 3 * 32 * 32)
    assert torch.equal(patches[1, 1, 2], images[1, :, 32:, 64:].flatten())
    assert torch.equal(unpatchify(patches, 3), images)
