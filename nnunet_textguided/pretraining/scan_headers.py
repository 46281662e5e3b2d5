"""What the header of an image file says, without its voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import read_image_header
from nnunet_textguided.pretraining.scan import Kind

VOLUME_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
PICTURE_ENDINGS = (".png",)
DICOM_ENDINGS = (".dcm", ".ima")


def ending_of(path: Path) -> str | None:
    """The file's ending if it is one of an image, else None; DICOM files often have none.

    Args:
        path: A file.
    """
    name = path.name.lower()
    for ending in (*VOLUME_ENDINGS, *PICTURE_ENDINGS, *DICOM_ENDINGS):
        if name.endswith(ending):
            return ending
    return None


def read_header(path: Path) -> tuple[Kind, tuple[int, int, int], tuple[float, float, float] | None]:
    """Kind, size and spacing of an image, without its voxels.

    Args:
        path: The file.

    Raises:
        UserError: Not one grey image of two or three axes, or a header that cannot be true.
    """
    header = read_image_header(path)
    size, spacing = header.size, header.spacing
    if header.components != 1 and ending_of(path) not in PICTURE_ENDINGS:
        raise UserError(f"expected one value a voxel, got {header.components}")
    if len(size) not in (2, 3) or min(size) < 1:
        raise UserError(f"expected two or three axes, got size {size}")
    x, y, z = (*size, 1)[:3]
    if ending_of(path) in PICTURE_ENDINGS:
        return "picture", (x, y, z), None  # pixels per metre in a PNG are a screen's, not a scanner's
    if ending_of(path) in DICOM_ENDINGS:
        return "dicom", (x, y, z), (*_dicom_spacing(path), 1.0)
    across, down, apart = (*spacing, 1.0)[:3]
    return "volume", (x, y, z), (across, down, apart)


def _dicom_spacing(path: Path) -> tuple[float, float]:
    """Pixel size in mm along (x, y), as the file says; GDCM answers 1 where SOPClassUID is missing, as in RSNA's files.

    Raises:
        UserError: The file does not say, or shows no sagittal slice.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as error:
        raise UserError(f"no DICOM file: {error}") from error
    if "PixelSpacing" not in header:
        raise UserError("expected the DICOM entry PixelSpacing, found none")
    if "ImageOrientationPatient" in header:
        row, column = np.array(header.ImageOrientationPatient, dtype=float).reshape(2, 3)
        if np.abs(np.cross(row, column)).argmax() != 0:  # the slice's normal in LPS
            raise UserError("not a sagittal slice")
    between_rows, between_columns = map(float, header.PixelSpacing)
    return between_columns, between_rows


def slice_axis(size: tuple[int, int, int], spacing: tuple[float, float, float] | None) -> int:
    """Across which axis slices are cut: the one with the largest spacing, as nnU-Net's 2D configuration does.

    Args:
        size: Voxels along (x, y, z).
        spacing: mm along (x, y, z).
    """
    if size[2] == 1 or spacing is None:
        return 2
    return max(range(3), key=lambda axis: (round(spacing[axis], 3), axis))  # of equal ones the last, as nnU-Net
