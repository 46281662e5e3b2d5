"""Masks that other programs saved: brought onto their image's grid by physical position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.geometry import Geometry, read_mask, same_grid
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.inference.reorient import OrientationError, restore_geometry
from nnunet_textguided.nifti import IncompleteFileError, check_complete

_TOLERANCE = 0.1  # of the smallest spacing, at any corner, as for masks of a conversion


def read_on_grid(path: Path, image: sitk.Image, image_path: Path) -> sitk.Image:
    """Read a mask whose axes may be swapped or flipped against its image's, and turn it back.

    Programs for segmentation save a mask in the orientation they like; no voxel changes by being turned.

    Args:
        path: Any file SimpleITK reads.
        image: Whose grid the result has.
        image_path: For the message.

    Returns:
        The mask (int32) with the geometry of the image.

    Raises:
        CaseError: Unreadable, values that are not whole numbers, or another grid.
    """
    try:
        check_complete(path)
    except IncompleteFileError as error:
        raise CaseError(str(error)) from error
    mask = read_mask(path)
    first, second = Geometry.of(image), Geometry.of(mask)
    if same_grid(first, second):
        mask.CopyInformation(image)
        return mask
    if _same_box(first, second):
        try:
            return restore_geometry(mask, image)
        except OrientationError:
            pass  # the box is the image's, but it is cut into other voxels
    raise CaseError(
        f"mask and image lie on different grids: {path} is {second}; {image_path} is {first}. Save the mask with the "
        "image as its reference, uncropped (in 3D Slicer: export the segmentation as a label map on the image's grid)"
    )


def _same_box(first: Geometry, second: Geometry) -> bool:
    """Tell whether two grids have the same eight outer corners, in whatever order."""
    distances = np.linalg.norm(first.corners()[:, None] - second.corners()[None], axis=-1)
    return bool(distances.min(axis=1).max() <= _TOLERANCE * min(first.spacing))
