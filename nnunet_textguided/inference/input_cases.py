"""The cases of an input folder, and what is wrong with their images, found before anything is computed."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.image_headers import ImageHeader, read_image_header, reason
from nnunet_textguided.inference.reorient import direction_code, reorient_spacing
from nnunet_textguided.inference.voxel_values import bad_values

logger = logging.getLogger(__name__)

# Grid corners of two channels may differ by this part of the smallest spacing and still be the same grid.
GRID_TOLERANCE = 0.1


class InputError(UserError):
    """An input folder or image is not what nnU-Net needs."""


def find_cases(folder: str | Path, file_ending: str, num_channels: int) -> dict[str, list[Path]]:
    """Return case -> channel files, in the order nnU-Net has them.

    Args:
        folder: Folder of CASE_0000<file_ending>, CASE_0001<file_ending>, ...
        file_ending: The data set's, such as ".nii.gz".
        num_channels: Channels the model was trained with.

    Raises:
        InputError: No folder, no case, a file without channel number, or a case with too few or too many channels.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"Expected a folder of images at {path}, found none.")
    names = sorted(f.name for f in path.iterdir() if f.is_file() and f.name.endswith(file_ending) and f.name[0] != ".")
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(file_ending)}")
    cases: dict[str, list[Path]] = {}
    for name in names:
        match = pattern.fullmatch(name)
        if match is None:
            raise InputError(
                f"{path / name}: expected names CASE_0000{file_ending} (the last four digits number the channel). "
                "Rename the file, or keep label files out of the input folder."
            )
        cases.setdefault(match[1], []).append(path / name)
    if not cases:
        other = sorted(f.name for f in path.iterdir())[:5]
        raise InputError(
            f"No image CASE_0000{file_ending} in {path}. The model reads {file_ending}; there is: "
            f"{', '.join(other) or 'nothing'}."
        )
    for case, files in cases.items():
        expected = [f"{case}_{channel:04d}{file_ending}" for channel in range(num_channels)]
        if [file.name for file in files] != expected:
            raise InputError(
                f"Case {case} in {path}: the model takes {num_channels} channel(s), {', '.join(expected)}; found "
                f"{', '.join(file.name for file in files)}."
            )
    return dict(sorted(cases.items()))


def read_header(file: str | Path, dimensions: tuple[int, ...] = (3,)) -> ImageHeader:
    """Read an image's header.

    Args:
        file: An image SimpleITK reads.
        dimensions: Numbers of dimensions that will do.

    Raises:
        InputError: Unreadable, or of another number of dimensions, or of several components.
    """
    try:
        header = read_image_header(file)
    except UserError as error:
        raise InputError(str(error)) from error
    if len(header.size) not in dimensions or header.components != 1:
        raise InputError(
            f"{file}: expected a {' or '.join(map(str, dimensions))}D image of one value a voxel, got "
            f"{len(header.size)} dimensions (size {header.size}) of {header.components} value(s). Write each channel "
            "or time point as a file of its own."
        )
    return header


def source_orientation(case: str, files: list[Path]) -> str:
    """Return the orientation code of a case's first channel, after checking that all its channels share a grid.

    Args:
        case: Its name, for error messages.
        files: One file a channel.

    Raises:
        InputError: Unreadable or not 3D, or channels of different grids.
    """
    headers = [read_header(file) for file in files]
    codes = [direction_code(header.direction) for header in headers]
    for file, header, code in zip(files[1:], headers[1:], codes[1:], strict=True):
        first, turned = _grid(headers[0], codes[0]), _grid(header, code)
        if first[0] != turned[0] or not np.allclose(first[1], turned[1], rtol=1e-3):
            raise InputError(
                f"Case {case}: the channels must share one grid, but {files[0]} is {headers[0].size} voxels of "
                f"{headers[0].spacing} mm and {file} is {header.size} of {header.spacing}. Resample one onto the other."
            )
        if np.abs(first[2] - turned[2]).max() > GRID_TOLERANCE * min(header.spacing):
            logger.warning("Case %s: %s and %s lie at different places; labels follow the first.", case, files[0], file)
    return codes[0]


def find_unreadable(files: list[Path]) -> str | None:
    """Read files in full and return what is wrong with the first that cannot be read or used, or None.

    Args:
        files: Images whose headers were readable, one of which may be cut short.
    """
    import SimpleITK as sitk

    for file in files:
        try:
            image = sitk.ReadImage(str(file))
        except RuntimeError as error:
            return f"{file} is not a readable image. SimpleITK says: {reason(error)}"
        problem = bad_values(sitk.GetArrayViewFromImage(image), str(file))
        if problem is not None:
            return problem
    return None


def _grid(header: ImageHeader, code: str) -> tuple[tuple[int, ...], list[float], np.ndarray]:
    """Size and spacing in a common axis order, and the sorted-out middle of the grid in the world."""
    size = tuple(int(n) for n in reorient_spacing(header.size[::-1], code, "LPS"))
    spacing = reorient_spacing(header.spacing[::-1], code, "LPS")
    half = (np.array(header.size) - 1) / 2 * np.array(header.spacing)
    return size, spacing, np.array(header.origin) + np.reshape(header.direction, (3, 3)) @ half
