"""Turn an image into the model's orientation and back, by permuting and flipping axes only: no voxel is interpolated.

An orientation code names, for the image axes x, y, z, the side of the patient the axis runs to: Right/Left,
Anterior/Posterior, Inferior/Superior. It is the code of `SimpleITK.DICOMOrient`: identity direction cosines are "LPS".
The array of an image has its axes in reverse order (z, y, x), so "PIR" is an array of sagittal slices, from head to
foot and from front to back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    import SimpleITK as sitk

FAMILIES = {"R": 0, "L": 0, "A": 1, "P": 1, "I": 2, "S": 2}
# Of the entries of the two images' relative direction: a file format stores cosines in float32 at worst.
DIRECTION_TOLERANCE = 1e-3


class OrientationError(UserError):
    """An image's orientation is not what is needed."""


def check_code(code: str) -> str:
    """Return the code unchanged if it names each of the three patient axes once.

    Args:
        code: Three letters, such as "PIR".

    Raises:
        OrientationError: It does not.
    """
    if sorted(FAMILIES.get(letter, -1) for letter in code) != [0, 1, 2]:
        raise OrientationError(
            f"Expected an orientation code of three letters, one each of R/L, A/P and I/S, such as 'PIR'; got {code!r}."
        )
    return code


def direction_code(direction: np.ndarray | Sequence[float]) -> str:
    """Return the orientation code of direction cosines; oblique axes get the nearest patient axis.

    Args:
        direction: 3 x 3 cosines as SimpleITK gives them (row by row); column i is where image axis i runs in LPS world.

    Raises:
        OrientationError: It is not 3 x 3 of finite numbers with three independent axes.
    """
    import SimpleITK as sitk

    cosines = np.asarray(direction, dtype=float)
    if cosines.size != 9 or not np.isfinite(cosines).all() or abs(np.linalg.det(cosines.reshape(3, 3))) < 0.1:
        raise OrientationError(
            f"Expected 3 x 3 direction cosines of three independent axes, got {np.asarray(direction).tolist()}."
        )
    return sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(cosines.ravel().tolist())


def orientation_code(image: sitk.Image) -> str:
    """Return the orientation code of an image, such as "PIR".

    Args:
        image: A 3D image.

    Raises:
        OrientationError: The image is not 3D.
    """
    if image.GetDimension() != 3:
        raise OrientationError(f"Expected a 3D image, got {image.GetDimension()} dimensions (size {image.GetSize()}).")
    return direction_code(image.GetDirection())


def axis_steps(source: str, target: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Return how to come from one orientation to another: first permute, then flip.

    Args:
        source: Code of what there is.
        target: Code of what is wanted.

    Returns:
        For each axis x, y, z of the target: the axis of the source it is, and whether to flip it.

    Raises:
        OrientationError: A code is not valid.
    """
    check_code(source)
    check_code(target)
    families = [FAMILIES[letter] for letter in source]
    order = tuple(families.index(FAMILIES[letter]) for letter in target)
    flips = tuple(source[axis] != letter for axis, letter in zip(order, target, strict=True))
    return cast(tuple[int, int, int], order), cast(tuple[bool, bool, bool], flips)  # codes have three letters


def reorient_array(array: np.ndarray, source: str, target: str) -> np.ndarray:
    """Permute and flip the last three axes of an array from one orientation to another.

    The inverse is the same call with the codes exchanged.

    Args:
        array: (..., Z, Y, X) in the orientation `source`.
        source: Code of what there is.
        target: Code of what is wanted.

    Returns:
        A contiguous array with the values of the input.
    """
    order, flips = axis_steps(source, target)
    lead = array.ndim - 3
    permuted = array.transpose(*range(lead), *(lead + 2 - order[2 - axis] for axis in range(3)))
    flipped = [lead + 2 - axis for axis in range(3) if flips[axis]]
    return np.ascontiguousarray(np.flip(permuted, tuple(flipped)))


def reorient_spacing(spacing: tuple[float, ...] | list[float], source: str, target: str) -> list[float]:
    """Return the spacing (z, y, x) in mm that belongs to the array after `reorient_array`.

    Args:
        spacing: (z, y, x) in mm, before.
        source: Code of what there is.
        target: Code of what is wanted.
    """
    order, _ = axis_steps(source, target)
    return [float(spacing[2 - order[2 - axis]]) for axis in range(3)]


def to_orientation(image: sitk.Image, code: str) -> sitk.Image:
    """Return the image with its axes permuted and flipped to an orientation; every voxel keeps its place in the world.

    Args:
        image: A 3D image in any orientation, oblique ones too.
        code: Orientation code, such as "PIR".

    Raises:
        OrientationError: The image is not 3D or the code is not valid.
    """
    order, flips = axis_steps(orientation_code(image), code)
    return _permute_and_flip(image, order, flips)


def restore_geometry(prediction: sitk.Image, original: sitk.Image) -> sitk.Image:
    """Return a prediction in the very geometry (size, spacing, origin, direction) of the image it was made for.

    The axes are matched by the two images' direction cosines, not by codes, so that an image tilted by 45 degrees, for
    which two codes are equally near, comes back exactly too.

    Args:
        prediction: Labels on the grid of `to_orientation(original, any code)`.
        original: The image before that.

    Raises:
        OrientationError: The prediction is not the original's grid with axes permuted and flipped.
    """
    if prediction.GetDimension() != 3 or original.GetDimension() != 3:
        raise OrientationError("Expected a 3D prediction of a 3D image.")
    source, target = (np.reshape(image.GetDirection(), (3, 3)) for image in (prediction, original))
    relative = np.linalg.inv(source) @ target
    signs = np.rint(relative)
    order = tuple(int(axis) for axis in np.argmax(np.abs(relative), axis=0))
    flips = tuple(bool(signs[axis, column] < 0) for column, axis in enumerate(order))
    size = tuple(prediction.GetSize()[axis] for axis in order)
    if sorted(order) != [0, 1, 2] or np.abs(relative - signs).max() > DIRECTION_TOLERANCE or size != original.GetSize():
        raise OrientationError(
            f"The prediction (size {prediction.GetSize()}, direction {prediction.GetDirection()}) is not the grid of "
            f"its image (size {original.GetSize()}, direction {original.GetDirection()}) with axes swapped or flipped."
        )
    restored = _permute_and_flip(prediction, order, flips)
    restored.CopyInformation(original)
    return restored


def _permute_and_flip(image: sitk.Image, order: tuple[int, ...], flips: tuple[bool, ...]) -> sitk.Image:
    import SimpleITK as sitk

    return sitk.Flip(sitk.PermuteAxes(image, list(order)), list(flips), flipAboutOrigin=False)
