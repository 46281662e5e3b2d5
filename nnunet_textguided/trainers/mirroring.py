"""Augmentation that respects order-fixed axes, for any trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

from nnunet_textguided.errors import UserError
from nnunet_textguided.trainers.host import TrainerHost
from nnunet_textguided.trainers.order_fixed_axes import order_fixed_axes_of_folder

MAX_TURN = 30.0
"""Degrees a plane that holds an order-fixed axis may be turned by; nnU-Net turns square 2D patches by up to 180."""

SHIFT = 0.1
"""Part of its size a patch is moved by, at most, where there is an order-fixed axis."""

MirrorAxes = dict[str, Any]
"""`{"mode": "auto" | "all" | "none" | [axes], "order_fixed_axes": [axes] | None}`; 3D axes, None = not known yet."""


def fixed_axes(setting: MirrorAxes) -> tuple[int, ...]:
    """Which 3D axes are treated as order-fixed under a setting that has been worked out."""
    mode = setting["mode"]
    if mode == "all":
        return ()
    if mode == "none":
        return (0, 1, 2)
    if mode == "auto":
        return tuple(setting["order_fixed_axes"] or ())
    return tuple(axis for axis in (0, 1, 2) if axis not in mode)


def check_mirror_mode(mode: Any) -> Any:
    """Validate `auto`, `all`, `none` or a list of 3D axes.

    Raises:
        UserError: It is none of these.
    """
    if mode in ("auto", "all", "none"):
        return mode
    if isinstance(mode, (list, tuple)) and mode and all(axis in (0, 1, 2) for axis in mode):
        return sorted({int(axis) for axis in mode})
    raise UserError(
        f"Mirror axes are 'auto', 'all', 'none' or axes out of 0 1 2 (of the preprocessed 3D array), got {mode!r}."
    )


def axes_of_patch(axes_3d: Sequence[int], dim: int) -> tuple[int, ...]:
    """Translate axes of the preprocessed 3D array into axes of a patch; 2D patches are slices along axis 0."""
    return tuple(axes_3d) if dim == 3 else tuple(axis - 1 for axis in axes_3d if axis > 0)


class OrderPreservingAugmentation(TrainerHost):
    """Mixin for nnU-Net trainers: order-fixed axes are not mirrored, turned by 30 degrees at most, and patches moved.

    nnU-Net centres a patch that holds the whole image, so its border would tell which structure is which; a network
    that has learned that fails where the field of view is another. So patches are moved at random by up to a tenth.

    The setting is the entry `mirror_axes` of the plans' block `text_guidance`. Where it is missing, or `auto` and
    not worked out, the rule is applied to the preprocessed cases and the result is put into the plans, which nnU-Net
    saves with the model.
    """

    def mirror_setting(self) -> MirrorAxes:
        """The setting in force, worked out on first use."""
        block = self.plans_manager.plans.setdefault("text_guidance", {})
        setting = block.setdefault("mirror_axes", {"mode": "auto", "order_fixed_axes": None})
        if setting["mode"] == "auto" and setting.get("order_fixed_axes") is None:
            labels = [label for label in self.label_manager.all_labels if label != 0]
            setting["order_fixed_axes"] = list(order_fixed_axes_of_folder(self.preprocessed_dataset_folder, labels))
        return setting

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple:  # noqa: N802 (nnU-Net's name)
        """nnU-Net's choice, less mirroring and large turns along order-fixed axes."""
        rotation, dummy_2d, patch, mirror_axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        patch_size = self.configuration_manager.patch_size
        dim = len(patch_size)
        fixed = axes_of_patch(fixed_axes(self.mirror_setting()), dim)
        mirror_axes = tuple(axis for axis in mirror_axes if axis not in fixed)
        turned = {1, 2} if dummy_2d else set(range(dim))  # nnU-Net's dummy 2D augmentation turns within slices only
        limit = np.deg2rad(MAX_TURN)
        if turned & set(fixed) and max(rotation) > limit:
            rotation = (-limit, limit)
            patch = get_patch_size(patch_size, rotation, rotation, rotation, (0.85, 1.25))
            if dummy_2d:
                patch[0] = patch_size[0]
        self.inference_allowed_mirroring_axes = mirror_axes or None
        self.loaded_size = tuple(int(n) for n in patch)
        self.print_to_log_file(f"order-fixed axes of the patch: {fixed}; mirrored: {mirror_axes}; turned: {rotation}")
        return rotation, dummy_2d, patch, mirror_axes

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> ComposeTransforms:
        """nnU-Net's, with patches moved where there is an order-fixed axis.

        Args:
            args: As nnU-Net's.
            kwargs: As nnU-Net's.
        """
        composed = super().get_training_transforms(*args, **kwargs)
        if fixed_axes(self.mirror_setting()):
            for transform in composed.transforms:
                if isinstance(transform, SpatialTransform):
                    move_patches(transform, self.loaded_size)
        return composed


def move_patches(transform: SpatialTransform, loaded: Sequence[int], share: float = SHIFT) -> None:
    """Let a spatial transform take its patch off the centre of what is loaded.

    Args:
        transform: Of the patch, which may leave out the first axis (nnU-Net's dummy 2D augmentation); changed.
        loaded: Voxels loaded along each axis.
        share: Part of the patch's size it is moved by, at most.
    """
    size = transform.patch_size
    transform.random_crop = True
    transform.patch_center_dist_from_border = [
        have / 2 - share * want for have, want in zip(loaded[-len(size) :], size, strict=True)
    ]
