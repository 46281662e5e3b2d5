"""A stack as one volume: pixels file by file, the grid from the headers alone."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader, Vector
from nnunet_textguided.dataset_conversion.dicom.pixels import read_pixels
from nnunet_textguided.dataset_conversion.dicom.stack import Stack

_KEPT_TYPES = (np.uint8, np.int8, np.uint16, np.int16)


def read_stack(stack: Stack) -> sitk.Image:
    """Read the pixels of a stack into a volume.

    SimpleITK's own spacing and origin are not used: of files that say wrongly that they are Enhanced MR, as RSNA 2024's
    do while SOPClassUID is missing, they are 1 and 0 without a word.

    Args:
        stack: Slices on a regular grid.

    Returns:
        A 3D image in the LPS world: 8- and 16-bit integers as they are, all else as float32.

    Raises:
        CaseError: A file is cut off, damaged, or compressed in a way that nothing installed can decode.
    """
    pixels = np.stack([read_pixels(header) for header in stack.slices])
    if pixels.dtype not in _KEPT_TYPES:
        pixels = pixels.astype(np.float32)
    image = sitk.GetImageFromArray(pixels)
    image.SetSpacing(stack.spacing)
    image.SetOrigin(stack.origin)
    image.SetDirection(stack.orientation.ravel().tolist())
    return image


def voxel_to_world(header: SliceHeader, x: float, y: float) -> Vector:
    """Return where a pixel of one slice lies, by DICOM PS3.3 C.7.6.2.1.1 (equation C.7.6.2.1-1).

    Args:
        header: The slice.
        x: Column, 0 at the centre of the first.
        y: Row, 0 at the centre of the first.

    Returns:
        LPS world position in mm.
    """
    along_row, along_column = x * header.spacing[0], y * header.spacing[1]
    x_mm, y_mm, z_mm = (
        start + along_row * row + along_column * column
        for start, row, column in zip(header.position, header.row, header.column, strict=True)
    )
    return x_mm, y_mm, z_mm
