"""Finds the slices of scans on disk: which file, which plane, how large, how many mm a pixel."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json

logger = logging.getLogger(__name__)

VOLUME_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
PICTURE_ENDINGS = (".png",)
DICOM_ENDINGS = (".dcm", ".ima")
_SHOWN = 5  # reasons named where nothing could be read


@dataclass(frozen=True)
class Scan:
    """One scan: its channels lie on one grid.

    Attributes:
        name: What to call it.
        files: One a channel; a 2D picture or DICOM slice has one.
        kind: "volume", "picture" or "dicom".
        size: Voxels along the file's axes (x, y, z); z is 1 for a picture.
        spacing: mm along (x, y, z); None where the file does not say.
        axis: Axis of `size` that slices are cut across.
    """

    name: str
    files: tuple[Path, ...]
    kind: str
    size: tuple[int, int, int]
    spacing: tuple[float, float, float] | None
    axis: int

    @property
    def num_slices(self) -> int:
        """How many slices it has."""
        return self.size[self.axis]


@dataclass
class ScanList:
    """What a search found.

    Attributes:
        scans: Readable scans, by name.
        skipped: File -> why it was left out.
    """

    scans: list[Scan] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)

    def add(self, scan: Scan) -> None:
        """Take a scan in."""
        self.scans.append(scan)


def find_scans(sources: Sequence[str | Path], separate_channels: bool = True) -> ScanList:
    """Look through folders and files.

    Args:
        sources: nnU-Net raw datasets, folders (searched through) or single files: NIfTI, MHA, NRRD, PNG, DICOM.
        separate_channels: Take every sequence of a case as a scan of its own; False = keep nnU-Net's channels together.

    Returns:
        The scans, and the files left out.

    Raises:
        UserError: A source that is not there, or no readable image in any of them; the first reasons are named.
    """
    found = ScanList()
    for source in map(Path, sources):
        if not source.exists():
            raise UserError(f"{source}: expected an image, a folder of images or an nnU-Net dataset; it is not there.")
        for name, files in _groups(source, separate_channels):
            _add(found, name, files)
    found.scans.sort(key=lambda scan: (scan.name, scan.files))
    if not found.scans:
        reasons = "; ".join(f"{path}: {why}" for path, why in list(found.skipped.items())[:_SHOWN]) or "no such file"
        raise UserError(
            f"No readable image in {', '.join(map(str, sources))}. Expected {', '.join(VOLUME_ENDINGS)}, "
            f"{', '.join(PICTURE_ENDINGS + DICOM_ENDINGS)}. First reasons: {reasons}."
        )
    for path, why in found.skipped.items():
        logger.warning("left out %s: %s", path, why)
    channels = {len(scan.files) for scan in found.scans}
    if len(channels) > 1:
        raise UserError(f"Scans have {sorted(channels)} channels; they need the same number. Take channels apart.")
    return found


def _groups(source: Path, separate: bool) -> Iterable[tuple[str, tuple[Path, ...]]]:
    """(name, files) of every scan; files of one are its channels."""
    if (source / "dataset.json").is_file() and (source / "imagesTr").is_dir():
        yield from _nnunet_cases(source, separate)
        return
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    for path in files:
        if ending_of(path) is not None:
            yield (path.name if source.is_file() else str(path.relative_to(source))), (path,)


def _nnunet_cases(folder: Path, separate: bool) -> Iterable[tuple[str, tuple[Path, ...]]]:
    description = load_json(folder / "dataset.json")
    ending, count = description["file_ending"], len(description["channel_names"])
    images = [path for part in ("imagesTr", "imagesTs") for path in sorted((folder / part).glob(f"*{ending}"))]
    if separate:
        for path in images:
            yield path.name, (path,)
        return
    for first in (path for path in images if path.name.endswith(f"_0000{ending}")):
        case = first.name.removesuffix(f"_0000{ending}")
        yield case, tuple(first.with_name(f"{case}_{channel:04d}{ending}") for channel in range(count))


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


def _add(found: ScanList, name: str, files: tuple[Path, ...]) -> None:
    headers = []
    for path in files:
        try:
            headers.append(read_header(path))
        except (RuntimeError, UserError, OSError) as error:
            found.skipped[path] = str(error).strip().splitlines()[-1]
            return
    if any(header[:2] != headers[0][:2] for header in headers):
        found.skipped[files[0]] = "its channels differ in size"
        return
    kind, size, spacing = headers[0]
    found.add(Scan(name, files, kind, size, spacing, _slice_axis(size, spacing)))


def read_header(path: Path) -> tuple[str, tuple[int, int, int], tuple[float, float, float] | None]:
    """Kind, size and spacing of an image, without its voxels.

    Args:
        path: The file.

    Raises:
        UserError: Not one grey image of two or three axes.
        RuntimeError: SimpleITK cannot read it.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size, spacing = reader.GetSize(), reader.GetSpacing()
    if reader.GetNumberOfComponents() != 1 and ending_of(path) not in PICTURE_ENDINGS:
        raise UserError(f"expected one value a voxel, got {reader.GetNumberOfComponents()}")
    if len(size) not in (2, 3) or min(size) < 1:
        raise UserError(f"expected two or three axes, got size {size}")
    size, spacing = (*size, 1)[:3], (*spacing, 1.0)[:3]
    if ending_of(path) in PICTURE_ENDINGS:
        return "picture", size, None  # pixels per metre in a PNG are a screen's, not a scanner's
    if ending_of(path) in DICOM_ENDINGS:
        return "dicom", size, (*_dicom_spacing(path), 1.0)
    return "volume", size, spacing


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


def _slice_axis(size: tuple[int, int, int], spacing: tuple[float, float, float] | None) -> int:
    """Across which axis slices are cut: the one with the largest spacing, as nnU-Net's 2D configuration does."""
    if size[2] == 1 or spacing is None:
        return 2
    return max(range(3), key=lambda axis: (round(spacing[axis], 3), axis))  # of equal ones the last, as nnU-Net
