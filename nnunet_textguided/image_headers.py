"""Headers of images, judged before memory is taken for the voxels that they announce."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.errors import UserError
from nnunet_textguided.nifti import DEFLATE_RATIO, ENDINGS, check_complete, read_fields
from nnunet_textguided.text_headers import TEXT_ENDINGS, check_text_header

if TYPE_CHECKING:
    import SimpleITK as sitk

VOXELS_VARIABLE = "nnUNet_textguided_max_voxels"
"""Sets another limit."""
MAX_VOXELS = 1 << 31
"""1290 voxels along each of three axes; as float32, 8 GB."""
MAX_SPACING_MM = 1e4
_IN_ONE_FILE = (".mha", ".nrrd", ".gipl")
_TIFF, _PICTURES = (".tif", ".tiff"), (".png", ".bmp")
_TEXT_BYTES = 1 << 16
_LINES = re.IGNORECASE | re.MULTILINE
_COMPRESSED = re.compile(rb"^\s*(CompressedData\s*=\s*True|encoding\s*:\s*(gz|bz|txt|text|ascii|hex))", _LINES)
_DETACHED = re.compile(rb"^\s*(data ?file\s*:|ElementDataFile\s*=\s*(?!\s|LOCAL))", _LINES)


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image says.

    Attributes:
        size: (x, y, z) in voxels.
        spacing: (x, y, z) in mm.
        origin: LPS world position in mm of the first voxel.
        direction: Cosines row by row.
        components: Values a voxel.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    components: int = 1


def read_image_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Read an image's header and refuse one that cannot be true; no voxel is read.

    Args:
        path: Any file SimpleITK reads.

    Raises:
        UserError: No image, cut short (NIfTI), or a size or spacing that cannot be; the text names the file.
    """
    import SimpleITK as sitk

    path = Path(path)
    _check_own_fields(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise UserError(f"{path} is not a readable image. SimpleITK says: {reason(error)}") from error
    header = ImageHeader(
        reader.GetSize(),
        reader.GetSpacing(),
        reader.GetOrigin(),
        reader.GetDirection(),
        reader.GetNumberOfComponents(),
    )
    check_plausible(header.size, header.spacing, path)
    if not all(map(math.isfinite, (*header.origin, *header.direction))):
        raise UserError(f"{path}: origin {header.origin} and direction {header.direction} are not all numbers.")
    bits = re.search(r"(\d+)-bit", sitk.GetPixelIDValueAsString(reader.GetPixelID()))
    _check_file_holds(math.prod(header.size) * header.components * (int(bits[1]) // 8 if bits else 1), path)
    check_complete(path)
    return header


def check_image(path: str | os.PathLike[str]) -> None:
    """Refuse a file of any format of nnU-Net's whose header cannot be true, before nnU-Net reads it.

    Formats that SimpleITK takes for something else than nnU-Net's reader does are asked about in the reader's way.

    Args:
        path: Any file one of nnU-Net's readers reads.

    Raises:
        UserError: As `read_image_header`; of .tif, .png and .bmp nnU-Net reads no spacing, so any will do.
    """
    path = Path(path)
    ending = path.suffix.lower()
    if path.name.endswith(ENDINGS):  # nibabel takes axes at other than right angles, too, which SimpleITK refuses
        _check_own_fields(path)
        check_complete(path)
    elif ending in _TIFF or ending in _PICTURES:
        size = _picture_size(path)
        check_plausible(size, (1.0,) * len(size), path)
    else:
        read_image_header(path)


def read_image(path: str | os.PathLike[str]) -> sitk.Image:
    """Read an image whose header can be true.

    Args:
        path: Any file SimpleITK reads.

    Raises:
        UserError: As `read_image_header`, or its voxels cannot be read.
    """
    import SimpleITK as sitk

    read_image_header(path)
    try:
        return sitk.ReadImage(str(path))
    except RuntimeError as error:  # SimpleITK's only kind of error
        raise UserError(f"{path} is not a readable image. SimpleITK says: {reason(error)}") from error


def check_plausible(size: tuple[int, ...], spacing: tuple[float, ...], path: str | os.PathLike[str]) -> None:
    """Refuse a size or spacing that cannot be.

    Args:
        size: Voxels along each axis.
        spacing: mm along each axis.
        path: The file.

    Raises:
        UserError: An axis without voxels, more voxels than the limit, or a spacing that is not above 0 and finite.
    """
    if not all(isinstance(voxels, int) and voxels >= 1 for voxels in size):
        raise UserError(f"{path}: its header says a size of {size} voxels; expected at least 1 along each axis.")
    limit = max_voxels()
    if math.prod(size) > limit:
        raise UserError(
            f"{path}: its header says {' x '.join(map(str, size))} voxels, at most {limit:.3g} in all are read. If it "
            f"is meant to be that large, set the variable {VOXELS_VARIABLE} to the number to allow."
        )
    if not all(0 < mm <= MAX_SPACING_MM for mm in spacing):
        raise UserError(
            f"{path}: its header says a spacing of {spacing} mm; expected numbers above 0 and up to "
            f"{MAX_SPACING_MM:g}. Correct the header, or export the image again."
        )


def max_voxels() -> int:
    """Return the limit that holds.

    Raises:
        UserError: The variable is set to something that is no positive number.
    """
    text = os.environ.get(VOXELS_VARIABLE, "").strip()
    try:
        limit = float(text) if text else float(MAX_VOXELS)
    except ValueError:
        limit = math.nan
    if not 0 < limit < math.inf:
        raise UserError(f"Expected a number above 0 in the variable {VOXELS_VARIABLE}, got {text!r}.")
    return int(limit)


def reason(error: RuntimeError) -> str:
    """Return SimpleITK's own words, without the place in its source that every text of it begins with.

    Args:
        error: Of SimpleITK.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[1:] or lines)[:500]


def _check_own_fields(path: Path) -> None:
    """Look at the numbers themselves where ITK would mend them without a word, or trip over them."""
    if path.name.endswith(ENDINGS) and path.is_file():
        try:
            fields = read_fields(path)
        except Exception:  # SimpleITK says what is wrong with it, in words that users know
            return
        spacing = tuple(mm for mm, voxels in zip(fields.spacing[:3], fields.size, strict=False) if voxels != 1 or mm)
        check_plausible(fields.size, spacing, path)
    elif path.name.lower().endswith(TEXT_ENDINGS) and path.is_file():
        check_text_header(path)


def _picture_size(path: Path) -> tuple[int, ...]:
    """What tifffile and Pillow, which nnU-Net reads these with, will make of a file."""
    try:
        if path.suffix.lower() in _TIFF:
            import tifffile

            with tifffile.TiffFile(path) as file:
                return tuple(map(int, file.series[0].shape))
        import PIL.Image

        with PIL.Image.open(path) as picture:
            return picture.size
    except Exception as error:  # a damaged file makes them raise what they stumble over first
        raise UserError(f"{path} is not a readable image: {error}") from error


def _check_file_holds(expected: int, path: Path) -> None:
    """Refuse more voxels than the bytes of a file can be, for formats that keep them behind the header."""
    if not path.name.lower().endswith(_IN_ONE_FILE):
        return
    found, start = path.stat().st_size, _start(path)
    if _DETACHED.search(start):
        return
    most = found * DEFLATE_RATIO if _COMPRESSED.search(start) else found
    if expected > most:
        raise UserError(
            f"{path} is not a readable image: its header says {expected} bytes of voxels, the file has {found} bytes. "
            "Was it copied in full?"
        )


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_TEXT_BYTES)
