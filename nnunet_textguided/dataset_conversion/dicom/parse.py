"""Opening a DICOM file up to its pixel data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from nnunet_textguided.dataset_conversion.base.problems import CaseError

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
"""Of a data set that has no preamble, in both byte orders: file meta information or identification."""

_IMAGE_HAS_ONE_OF = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "ImagePositionPatient", "Rows")
_PIXEL_TAG: dict[bytes, Literal["little", "big"]] = {
    b"\xe0\x7f\x10\x00": "little",
    b"\x7f\xe0\x00\x10": "big",
}  # (7FE0,0010)
_UNDEFINED_LENGTH = 0xFFFFFFFF  # of encapsulated, that is compressed, pixel data: DICOM PS3.5 A.4


def has_magic(path: Path) -> bool:
    """Tell whether a file starts as DICOM PS3.10 wants it.

    Args:
        path: Any file.
    """
    with path.open("rb") as stream:
        return _is_part_10(stream.read(_PREAMBLE_BYTES + len(_MAGIC)))


def parse_header(path: Path, tags: Sequence[int]) -> tuple[Dataset, int | None]:
    """Read tags that come before the pixel data.

    Args:
        path: A file, which may lack the preamble and the file meta information.
        tags: What to read.

    Returns:
        The tags, and how many bytes of pixel data the file holds (None where they are compressed).

    Raises:
        CaseError: Not readable, not DICOM, damaged, cut off before the pixel data, or without any.
    """
    try:
        with path.open("rb") as stream:
            dataset = _parse(stream, tags, path)
            if transfer_syntax(dataset) == DeflatedExplicitVRLittleEndian:  # pydicom inflates it, whole, elsewhere
                return dataset, None
            return dataset, _pixel_bytes(stream, dataset, path)
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror or error}") from error


def transfer_syntax(dataset: Dataset) -> str:
    """Return the UID of how a file is stored, from its file meta information, else from how it could be read.

    Args:
        dataset: Of one file.
    """
    named = dataset.file_meta.get("TransferSyntaxUID")
    if named:
        return str(named)
    implicit, little = dataset.original_encoding
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def one_line(error: Exception) -> str:
    """Return an error's text without its line breaks.

    Args:
        error: Of any library.
    """
    return " ".join(str(error).split()) or type(error).__name__


def _parse(stream: BinaryIO, tags: Sequence[int], path: Path) -> Dataset:
    start = stream.read(_PREAMBLE_BYTES + len(_MAGIC))
    not_dicom = CaseError(f"{path}: is not a DICOM file; remove it, or fetch it again")
    if not _is_part_10(start) and start[:2] not in _FIRST_GROUPS:
        raise not_dicom
    stream.seek(0)
    try:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=list(tags))
    except OSError:
        raise
    except Exception as error:  # pydicom raises whatever its parser stumbles over first
        raise CaseError(
            f"{path}: its DICOM header is damaged or cut off ({one_line(error)}); fetch it again"
        ) from error
    if not _is_part_10(start) and not any(keyword in dataset for keyword in _IMAGE_HAS_ONE_OF):
        raise not_dicom
    return dataset


def _is_part_10(start: bytes) -> bool:
    return start[_PREAMBLE_BYTES:] == _MAGIC


def _pixel_bytes(stream: BinaryIO, dataset: Dataset, path: Path) -> int | None:
    """Read the head of the pixel data element, before which pydicom stopped."""
    size = os.fstat(stream.fileno()).st_size
    byte_order = _PIXEL_TAG.get(stream.read(4))
    length = stream.read(4) if dataset.original_encoding[0] else stream.read(8)[4:]  # explicit: VR, 2 bytes reserved
    if byte_order is None and stream.tell() < size:
        raise CaseError(f"{path}: expected an image, found no pixel data in it; leave it out")
    if byte_order is None or len(length) < 4:
        raise CaseError(f"{path}: ends before its pixel data: cut off, or no image; fetch it again, or leave it out")
    declared = int.from_bytes(length, byte_order)
    return None if declared == _UNDEFINED_LENGTH else min(declared, size - stream.tell())
