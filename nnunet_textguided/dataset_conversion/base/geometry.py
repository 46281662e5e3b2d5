"""Reading volumes, comparing their grids and bringing them into the one canonical orientation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.image_headers import read_image_header

CANONICAL_ORIENTATION = "PIR"
"""DICOM code of the axes x, y, z: array slices then run to the right, rows to the feet, columns to the back."""

_GRID_TOLERANCE = 0.1  # of the smallest spacing, at any corner
_SHEAR_TOLERANCE = 1e-2
_NOT_WRITTEN = (
    "Could not write {path} whole. Check free space and permissions of the folder, then run the same command again: "
    "cases already written are kept."
)


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume in LPS world coordinates.

    Attributes:
        size: Voxels along x, y, z.
        spacing: mm along x, y, z.
        origin: Position of the first voxel in mm.
        direction: Direction cosines, row by row (9 values).
        orientation: DICOM orientation code of the nearest axes.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    orientation: str

    @classmethod
    def of(cls, image: sitk.Image) -> Geometry:
        """Take the grid of an image."""
        code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection(), code)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready content."""
        return asdict(self)

    def corners(self) -> np.ndarray:
        """Return the world positions (8, 3) of the outer corners of the grid in mm."""
        steps = np.array(np.meshgrid(*[(-0.5, size - 0.5) for size in self.size], indexing="ij")).reshape(3, -1)
        matrix = np.reshape(self.direction, (3, 3)) * np.array(self.spacing)
        return (matrix @ steps).T + np.array(self.origin)

    def __str__(self) -> str:
        numbers = {
            name: "(" + ", ".join(f"{value:.5g}" for value in getattr(self, name)) + ")"
            for name in ("size", "spacing", "origin", "direction")
        }
        return f"{self.orientation}, " + ", ".join(f"{name} {value}" for name, value in numbers.items())


def read_volume(path: Path) -> sitk.Image:
    """Read a 3D image with one value a voxel and make its axes exactly orthonormal.

    Args:
        path: Any file SimpleITK reads.

    Raises:
        CaseError: Missing, unreadable, not 3D, several values a voxel, values that are not finite, sheared axes.
    """
    if not path.is_file():
        raise CaseError(f"{path}: expected an image file, found nothing there")
    try:
        read_image_header(path)
    except UserError as error:
        raise CaseError(f"{path}: is damaged, incomplete or not an image; fetch it again ({error})") from error
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise CaseError(f"{path}: is damaged, incomplete or not an image; fetch it again") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise CaseError(
            f"{path}: expected a 3D image with one value a voxel, got {image.GetDimension()}D with size "
            f"{image.GetSize()} and {image.GetNumberOfComponentsPerPixel()} value(s) a voxel"
        )
    bad = np.count_nonzero(~np.isfinite(sitk.GetArrayViewFromImage(image)))
    if bad:
        raise CaseError(f"{path}: {bad} voxels are not finite numbers, which nnU-Net does not accept")
    return _orthonormal(image, path)


def read_mask(path: Path) -> sitk.Image:
    """Read a mask as whole numbers (int32).

    Args:
        path: Any file SimpleITK reads.

    Raises:
        CaseError: As `read_volume`, or values that are not whole numbers.
    """
    mask = read_volume(path)
    values = sitk.GetArrayViewFromImage(mask)
    if values.dtype.kind == "f" and np.any(values != np.rint(values)):
        raise CaseError(f"{path}: expected label codes, got values that are not whole numbers")
    return sitk.Cast(mask, sitk.sitkInt32)


def check_same_grid(image: sitk.Image, mask: sitk.Image, image_path: Path, mask_path: Path) -> None:
    """Refuse a mask that does not lie on its image's grid.

    Args:
        image: The image.
        mask: Its mask.
        image_path: For the message.
        mask_path: For the message.

    Raises:
        CaseError: Sizes differ, or a corner of the grid is off by more than a tenth of the smallest spacing.
    """
    first, second = Geometry.of(image), Geometry.of(mask)
    if not same_grid(first, second):
        raise CaseError(
            f"image and mask lie on different grids: {image_path} is {first}; {mask_path} is {second}. "
            "Resample one onto the other, or fetch both again"
        )


def same_grid(first: Geometry, second: Geometry) -> bool:
    """Tell whether two grids are the same to within a tenth of the smallest spacing.

    Args:
        first: A grid.
        second: Another grid.
    """
    if first.size != second.size:
        return False
    tolerance = _GRID_TOLERANCE * min(first.spacing)
    return bool(np.abs(first.corners() - second.corners()).max() <= tolerance)


def resample_onto(image: sitk.Image, reference: sitk.Image) -> tuple[sitk.Image, float]:
    """Resample linearly by physical position; outside the image it is 0.

    Args:
        image: The image to resample.
        reference: The image whose grid the result has.

    Returns:
        The image (float32) on the reference's grid, and the share of the reference's voxels that it covers.
    """
    if same_grid(Geometry.of(image), Geometry.of(reference)):
        image = sitk.Image(image)
        image.CopyInformation(reference)
        return image, 1.0
    identity = sitk.Transform(3, sitk.sitkIdentity)
    inside = sitk.Image(image.GetSize(), sitk.sitkUInt8) + 1
    inside.CopyInformation(image)
    covered = sitk.Resample(inside, reference, identity, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    resampled = sitk.Resample(image, reference, identity, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return resampled, float(sitk.GetArrayViewFromImage(covered).mean())


def to_canonical(image: sitk.Image) -> sitk.Image:
    """Turn and flip the axes, without resampling, into the canonical orientation nearest to them.

    Args:
        image: A volume in any orientation, oblique ones too.
    """
    return sitk.DICOMOrient(image, CANONICAL_ORIENTATION)


def write_volume(image: sitk.Image, path: Path) -> None:
    """Write a volume in one piece and read it back, since ITK's NIfTI writer does not notice a full disk.

    Args:
        image: The volume.
        path: The file, whose suffix says the format.

    Raises:
        UserError: The folder cannot be written to, or the disk is full.
    """
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
            whole = sitk.Hash(sitk.ReadImage(str(temporary))) == sitk.Hash(image)
        except RuntimeError as error:
            raise UserError(_NOT_WRITTEN.format(path=path)) from error
        if not whole:
            raise UserError(_NOT_WRITTEN.format(path=path))


def _orthonormal(image: sitk.Image, path: Path) -> sitk.Image:
    """Replace the axes by the nearest orthonormal ones: NIfTI readers refuse any others, even if off by rounding."""
    matrix = np.reshape(image.GetDirection(), (3, 3))
    left, _, right = np.linalg.svd(matrix)
    nearest = left @ right
    if np.abs(nearest - matrix).max() > _SHEAR_TOLERANCE:
        raise CaseError(f"{path}: its axes are not at right angles, direction {image.GetDirection()}")
    image.SetDirection(nearest.ravel().tolist())
    return image
