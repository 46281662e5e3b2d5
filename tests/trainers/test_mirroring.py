from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform

from nnunet_textguided import trainers
from nnunet_textguided.cli.main import main
from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers import nnUNetTrainer_short, nnUNetTrainerMatched
from nnunet_textguided.trainers.mirroring import axes_of_patch, check_mirror_mode, fixed_axes, move_patches


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"mode": "all", "order_fixed_axes": [1]}, ()),
        ({"mode": "none", "order_fixed_axes": None}, (0, 1, 2)),
        ({"mode": "auto", "order_fixed_axes": [1, 2]}, (1, 2)),
        ({"mode": [0, 2], "order_fixed_axes": None}, (1,)),
    ],
)
def test_fixed_axes_of_every_mode(setting: dict, expected: tuple[int, ...]):
    assert fixed_axes(setting) == expected


def test_2d_axes_follow_from_3d_by_dropping_the_slice_axis():
    assert axes_of_patch((0, 2), 3) == (0, 2)
    assert axes_of_patch((0, 2), 2) == (1,)


@pytest.mark.parametrize("mode", ["both", [], [3], 1, [0, "x"]])
def test_other_modes_are_refused(mode):
    with pytest.raises(UserError, match="Mirror axes are"):
        check_mirror_mode(mode)


def augmentation(trainer) -> tuple:
    return trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()


def test_stacked_structures_are_neither_mirrored_nor_turned_far_in_2d(make_trainer):
    trainer = make_trainer(nnUNetTrainer_short)
    rotation, dummy_2d, patch, axes = augmentation(trainer)
    assert trainer.mirror_setting()["order_fixed_axes"] == [1]
    assert axes == trainer.inference_allowed_mirroring_axes == (1,)
    assert max(rotation) == pytest.approx(np.deg2rad(30)) == -min(rotation)
    assert not dummy_2d
    assert max(patch) < 32 * 1.7  # a patch that may turn by 180 degrees is enlarged by sqrt(2) / 0.85


def test_stacked_structures_in_3d_keep_left_right_mirroring(make_trainer):
    trainer = make_trainer(nnUNetTrainerMatched, configuration="3d_fullres")
    rotation, dummy_2d, patch, axes = augmentation(trainer)
    assert dummy_2d, "the slices of the tiny data set are thick"
    assert axes == (0, 2)
    assert max(rotation) == pytest.approx(np.deg2rad(30))
    assert patch[0] == 6


def test_all_is_what_nnunet_does_by_itself(make_trainer):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    stock = augmentation(make_trainer(nnUNetTrainer))
    ours = augmentation(make_trainer(nnUNetTrainerMatched, mirror_axes={"mode": "all", "order_fixed_axes": None}))
    assert ours[0] == stock[0]
    assert ours[3] == stock[3] == (0, 1)
    np.testing.assert_array_equal(ours[2], stock[2])


def starts(loaded: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Where 300 patches begin in what is loaded, (300, axes) voxels."""
    transform = SpatialTransform(size, patch_center_dist_from_border=0, random_crop=False)
    move_patches(transform, loaded)
    where = torch.stack(torch.meshgrid(*(torch.arange(n) for n in loaded[-len(size) :]), indexing="ij")).float()
    patches = [transform(image=where.clone())["image"] for _ in range(300)]
    assert {patch.shape for patch in patches} == {(len(size), *size)}
    return np.array([patch.flatten(1)[:, 0].tolist() for patch in patches])


@pytest.mark.parametrize(("loaded", "size"), [((100, 80), (60, 40)), ((9, 100, 80), (60, 40)), ((30, 50), (30, 40))])
def test_patches_are_moved_by_a_tenth_of_their_size_both_ways(loaded, size):
    np.random.seed(0)
    found = starts(loaded, size)
    for axis, (have, want) in enumerate(zip(loaded[-len(size) :], size, strict=True)):
        moved = found[:, axis] - (have - want) / 2
        if have == want:  # beyond what is loaded lies padding, whose first value here is 0
            continue
        assert np.abs(moved).max() <= 0.1 * want + 1
        assert moved.min() < -0.07 * want
        assert moved.max() > 0.07 * want


def test_patches_are_moved_where_the_order_is_fixed_and_nowhere_else(make_trainer):
    def spatial(**options) -> SpatialTransform:
        trainer = make_trainer(nnUNetTrainerMatched, **options)
        rotation, dummy_2d, loaded, axes = augmentation(trainer)
        size = trainer.configuration_manager.patch_size
        composed = trainer.get_training_transforms(size, rotation, None, axes, dummy_2d)
        (found,) = (t for t in composed.transforms if isinstance(t, SpatialTransform))
        assert tuple(loaded) == trainer.loaded_size
        return found

    assert not spatial(mirror_axes={"mode": "all", "order_fixed_axes": None}).random_crop
    assert spatial().random_crop
    flat = spatial(configuration="3d_fullres")
    assert flat.random_crop
    assert len(flat.patch_center_dist_from_border) == 2  # turned and moved within slices


@pytest.fixture
def stock_flips(tiny_dataset, nnunet_folders):
    """Identifier of plans as `nnunet_textguided plan --mirror-axes all` writes them."""
    name = "nnUNetPlansStockFlips"
    assert main(["plan", "-d", "900", "--mirror-axes", "all", "--text-model", "random", "--name", name]) == 0
    yield name
    (tiny_dataset / f"{name}.json").unlink()


def test_every_trainer_takes_stock_flips_and_turns_from_the_plans(make_trainer, stock_flips):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    stock = make_trainer(nnUNetTrainer)
    rotation, _, patch, axes = augmentation(stock)
    assert max(rotation) == pytest.approx(np.pi)
    for name in trainers.__all__:
        trainer = make_trainer(getattr(trainers, name), plans=stock_flips)
        ours = augmentation(trainer)
        assert (ours[0], ours[3]) == (rotation, axes), name
        np.testing.assert_array_equal(ours[2], patch)
        assert trainer.inference_allowed_mirroring_axes == stock.inference_allowed_mirroring_axes


@pytest.mark.parametrize("name", trainers.__all__)
def test_every_trainer_keeps_the_order_of_structures_unless_told(make_trainer, name):
    trainer = make_trainer(getattr(trainers, name))
    assert augmentation(trainer)[3] == (1,)


def test_no_axis_left_means_no_mirroring_at_prediction(make_trainer):
    trainer = make_trainer(nnUNetTrainerMatched, mirror_axes={"mode": "none", "order_fixed_axes": None})
    assert augmentation(trainer)[3] == ()
    assert trainer.inference_allowed_mirroring_axes is None


def test_rule_is_worked_out_on_untouched_plans_and_saved_in_them(make_trainer):
    trainer = make_trainer(nnUNetTrainer_short, plans="nnUNetPlans")
    augmentation(trainer)
    assert trainer.plans_manager.plans["text_guidance"]["mirror_axes"]["order_fixed_axes"] == [1]
