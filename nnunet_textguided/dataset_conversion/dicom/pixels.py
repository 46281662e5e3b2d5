"""The pixels of one DICOM file: by SimpleITK (GDCM), or by pydicom's plugins where GDCM cannot decode them."""

from __future__ import annotations

import warnings

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.pixels import apply_presentation_lut, apply_rescale, get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader
from nnunet_textguided.dataset_conversion.dicom.parse import one_line

GDCM_DECODES = frozenset(
    (
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEG2000,
        *JPEGTransferSyntaxes,
        *JPEGLSTransferSyntaxes,
    )
)
"""Transfer syntaxes that SimpleITK is known to decode: the tests read a file of each."""


def read_pixels(header: SliceHeader) -> np.ndarray:
    """Read one slice, with the rescale slope and intercept of its file applied.

    GDCM applies them whatever the SOP class, and where it is missing. It fills up short uncompressed pixel data
    without a word, so their length is checked here.

    Args:
        header: The slice.

    Returns:
        Values (rows, columns).

    Raises:
        CaseError: Cut off, damaged, or compressed in a way that nothing installed can decode.
    """
    columns, rows = header.size
    needed = -(-columns * rows * header.bits // 8)
    if header.pixel_bytes is not None and header.pixel_bytes < needed:
        raise CaseError(
            f"{header.path}: is cut off: expected {needed} bytes of pixel data ({columns} x {rows} of {header.bits} "
            f"bits), got {header.pixel_bytes}; fetch it again"
        )
    pixels = _read_with_gdcm(header) if header.transfer_syntax in GDCM_DECODES else _read_with_plugin(header)
    if pixels.shape not in ((rows, columns), (1, rows, columns)):
        raise CaseError(f"{header.path}: expected {columns} x {rows} pixels, got an array of {pixels.shape}")
    return pixels.reshape(rows, columns)


def same_pixels(first: SliceHeader, other: SliceHeader) -> bool:
    """Tell whether two files hold the same bytes of pixel data.

    Args:
        first: A slice.
        other: Another slice.
    """
    if (first.size, first.pixel_bytes, first.transfer_syntax) != (other.size, other.pixel_bytes, other.transfer_syntax):
        return False
    return _stored_bytes(first) == _stored_bytes(other)


def _stored_bytes(header: SliceHeader) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pydicom.dcmread(header.path, force=True, specific_tags=["PixelData"]).PixelData
    except Exception as error:  # pydicom raises whatever its parser stumbles over first
        raise CaseError(
            f"{header.path}: its pixel data are damaged or cut off ({one_line(error)}); fetch it again"
        ) from error


def _read_with_gdcm(header: SliceHeader) -> np.ndarray:
    try:
        return sitk.GetArrayFromImage(sitk.ReadImage(str(header.path), imageIO="GDCMImageIO"))
    except RuntimeError as error:
        raise CaseError(f"{header.path}: its pixel data are damaged or cut off; fetch it again") from error


def _read_with_plugin(header: SliceHeader) -> np.ndarray:
    """Decode by pydicom and what is installed for it; say what to install where nothing is."""
    syntax = UID(header.transfer_syntax)
    told = f"{header.path}: is stored as {syntax.name} ({syntax}), which SimpleITK is not known to decode"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise CaseError(f"{told}, nor any plugin of pydicom; convert it to Explicit VR Little Endian first") from error
    if not decoder.is_available:
        raise CaseError(f"{told}; install a plugin of pydicom that does: {', or '.join(decoder.missing_dependencies)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(header.path, force=True)
            return apply_presentation_lut(apply_rescale(dataset.pixel_array, dataset), dataset)
    except Exception as error:  # each plugin has its own exceptions
        raise CaseError(f"{told}; pydicom found it damaged ({one_line(error)}); fetch it again") from error
