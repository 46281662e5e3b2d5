"""What one DICOM file says about its slice: identity, geometry and sequence, read without its pixels."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.parse import parse_header, transfer_syntax
from nnunet_textguided.dataset_conversion.dicom.tags import number, required_numbers, text, words
from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import check_plausible

Vector = tuple[float, float, float]

_KEYWORDS = (
    "SOPInstanceUID", "SeriesDescription", "PatientID", "ScanningSequence", "ScanOptions", "SliceThickness",
    "RepetitionTime", "EchoTime", "InversionTime", "EchoNumbers", "ProtocolName", "StudyInstanceUID",
    "SeriesInstanceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelSpacing", "BitsAllocated",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_TAGS = [tag for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None]
_AXIS_TOLERANCE = 1e-2  # of unit length and right angle, as for other images (base/geometry.py)
_MAX_PIXELS = 1 << 26  # 8192 x 8192; a small compressed file can announce more


@dataclass(frozen=True)
class SliceHeader:
    """One slice. Positions and directions are in the patient's LPS world (DICOM PS3.3 C.7.6.2.1.1).

    Attributes:
        path: Its file.
        study: StudyInstanceUID. This and all other text is '' where the file has none.
        series: SeriesInstanceUID.
        instance: SOPInstanceUID.
        number: InstanceNumber.
        description: SeriesDescription.
        position: Centre of the first pixel, mm.
        row: Direction in which the column index grows.
        column: Direction in which the row index grows.
        spacing: mm between columns (x) and between rows (y).
        size: Columns and rows.
        echo: EchoNumbers and EchoTime.
        transfer_syntax: UID of how the file is stored.
        patient: PatientID.
        protocol: ProtocolName.
        sequence: ScanningSequence, such as ('SE', 'IR').
        options: ScanOptions, such as ('FS',).
        echo_time: ms.
        repetition_time: ms.
        inversion_time: ms.
        thickness: SliceThickness in mm, which is not the distance between slices.
        bits: BitsAllocated to a pixel.
        pixel_bytes: Bytes of pixel data that the file holds; None where they are compressed.
    """

    path: Path
    study: str
    series: str
    instance: str
    number: int | None
    description: str
    position: Vector
    row: Vector
    column: Vector
    spacing: tuple[float, float]
    size: tuple[int, int]
    echo: str
    transfer_syntax: str
    patient: str
    protocol: str
    sequence: tuple[str, ...]
    options: tuple[str, ...]
    echo_time: float | None
    repetition_time: float | None
    inversion_time: float | None
    thickness: float | None
    bits: int
    pixel_bytes: int | None


def read_slice_header(path: Path) -> SliceHeader:
    """Read the header of a file that holds one slice, whatever its SOP class, Modality or preamble.

    Args:
        path: A DICOM file.

    Returns:
        The header.

    Raises:
        CaseError: Not readable, not DICOM, cut off before its pixel data, a tag that the geometry needs is missing or
            wrong, several frames, or colour.
    """
    path = Path(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's on breaches of the standard that do not matter here
        dataset, pixel_bytes = parse_header(path, _TAGS)
        _check_one_grey_frame(dataset, path)
        return _slice_header(dataset, pixel_bytes, path)


def _check_one_grey_frame(dataset: Dataset, path: Path) -> None:
    frames = number(dataset, "NumberOfFrames") or 1
    if frames > 1 or "PerFrameFunctionalGroupsSequence" in dataset:
        raise CaseError(
            f"{path}: is a multi-frame (enhanced) DICOM file ({frames:.0f} frames), which is not supported; convert it "
            "to one file a slice first"
        )
    samples = number(dataset, "SamplesPerPixel") or 1
    colours = text(dataset, "PhotometricInterpretation") or "MONOCHROME2"
    if samples > 1 or not colours.startswith("MONOCHROME"):
        raise CaseError(
            f"{path}: expected grey values, got a colour image ({colours}), such as a screen shot; leave it out"
        )


def _slice_header(dataset: Dataset, pixel_bytes: int | None, path: Path) -> SliceHeader:
    row, column = _axes(dataset, path)
    x_mm, y_mm, z_mm = required_numbers(dataset, "ImagePositionPatient", 3, path)
    between_rows, between_columns = required_numbers(dataset, "PixelSpacing", 2, path, positive=True)
    rows, columns, bits = (
        int(required_numbers(dataset, keyword, 1, path, positive=True)[0])
        for keyword in ("Rows", "Columns", "BitsAllocated")
    )
    _check_plausible((columns, rows), (between_columns, between_rows), bits, path)
    instance_number, thickness = number(dataset, "InstanceNumber"), number(dataset, "SliceThickness")
    return SliceHeader(
        path=path,
        study=text(dataset, "StudyInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        instance=text(dataset, "SOPInstanceUID"),
        number=None if instance_number is None else int(instance_number),
        description=text(dataset, "SeriesDescription"),
        position=(x_mm, y_mm, z_mm),
        row=row,
        column=column,
        spacing=(between_columns, between_rows),
        size=(columns, rows),
        echo="/".join(filter(None, (text(dataset, "EchoNumbers"), text(dataset, "EchoTime")))),
        transfer_syntax=transfer_syntax(dataset),
        patient=text(dataset, "PatientID"),
        protocol=text(dataset, "ProtocolName"),
        sequence=words(dataset, "ScanningSequence"),
        options=words(dataset, "ScanOptions"),
        echo_time=number(dataset, "EchoTime"),
        repetition_time=number(dataset, "RepetitionTime"),
        inversion_time=number(dataset, "InversionTime"),
        thickness=thickness if thickness and thickness > 0 else None,
        bits=bits,
        pixel_bytes=pixel_bytes,
    )


def _check_plausible(size: tuple[int, int], spacing: tuple[float, float], bits: int, path: Path) -> None:
    try:
        check_plausible(size, spacing, path)
    except UserError as error:
        raise CaseError(str(error)) from error
    if size[0] * size[1] > _MAX_PIXELS or bits > 64:
        raise CaseError(
            f"{path}: its header says {size[0]} x {size[1]} pixels of {bits} bits, which no scanner makes; leave it out"
        )


def _axes(dataset: Dataset, path: Path) -> tuple[Vector, Vector]:
    cosines = required_numbers(dataset, "ImageOrientationPatient", 6, path)
    row, column = (cosines[0], cosines[1], cosines[2]), (cosines[3], cosines[4], cosines[5])
    cosine = sum(a * b for a, b in zip(row, column, strict=True))
    if max(abs(math.hypot(*row) - 1), abs(math.hypot(*column) - 1), abs(cosine)) > _AXIS_TOLERANCE:
        raise CaseError(f"{path}: expected two unit vectors at right angles in ImageOrientationPatient, got {cosines}")
    return row, column
