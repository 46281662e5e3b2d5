"""Reads one slice of a scan and brings it to the pixel size, intensity and shape that the encoder is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import zoom

from nnunet_textguided.errors import UserError
from nnunet_textguided.pretraining.preprocessed_scans import read_preprocessed
from nnunet_textguided.pretraining.scan import Scan

CLIPPED = (0.5, 99.5)
"""Percentiles of a slice's intensities that are kept: a few bright vessels or metal would set the scale otherwise."""
ZOOM = (0.7, 1.4)
"""Random change of the pixel size, nnU-Net's range."""


def read_slice(scan: Scan, index: int) -> np.ndarray:
    """Read one slice; of an uncompressed file no more than that slice.

    Args:
        scan: The scan.
        index: Number of the slice along `scan.axis`.

    Returns:
        (C, H, W) float32. Rows and columns are the two axes of the file that remain, the later one (z before y before
        x) as rows.

    Raises:
        UserError: The file cannot be read any more, or the slice holds no finite values or only one.
    """
    image = (read_preprocessed if scan.kind == "preprocessed" else _read_files)(scan, index).astype(np.float32)
    finite = np.isfinite(image)
    if not finite.any():
        raise UserError(f"{scan.name}, slice {index}: expected intensities, found no finite value.")
    return np.where(finite, image, image[finite].min())


def _read_files(scan: Scan, index: int) -> np.ndarray:
    start, size = [0, 0, 0], list(scan.size)
    start[scan.axis], size[scan.axis] = index, 1
    channels = [_read_part(path, start, size) for path in scan.files]
    return np.stack([np.squeeze(part, axis=2 - scan.axis) for part in channels])


def _read_part(path: object, start: list[int], size: list[int]) -> np.ndarray:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        dimension = reader.GetDimension()
        reader.SetExtractIndex(start[:dimension])
        reader.SetExtractSize(size[:dimension])
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise UserError(f"{path}: could not be read: {str(error).strip().splitlines()[-1]}") from error
    if reader.GetNumberOfComponents() > 1:  # a colour picture
        array = array[..., :3].mean(-1)
    return array if dimension == 3 else array[None]


def scale_intensity(image: np.ndarray) -> np.ndarray:
    """Clip at two percentiles, then zero mean and unit spread, each channel by itself; a constant one becomes zero.

    Args:
        image: (C, H, W).
    """
    scaled = np.zeros_like(image, dtype=np.float32)
    for channel, values in enumerate(image):
        low, high = np.percentile(values, CLIPPED)
        clipped = np.clip(values, low, high)
        spread = float(clipped.std())
        if spread > 1e-6 * max(abs(float(high)), abs(float(low)), 1e-12):
            scaled[channel] = (clipped - clipped.mean()) / spread
    return scaled


def resize(image: np.ndarray, factors: tuple[float, float]) -> np.ndarray:
    """Resample a slice with cubic splines, as nnU-Net does.

    Args:
        image: (C, H, W).
        factors: New over old number of pixels along (H, W).
    """
    if all(abs(factor - 1) < 1e-3 for factor in factors):
        return image
    return np.stack([zoom(channel, factors, order=3, mode="nearest", grid_mode=True) for channel in image])


def cut(image: np.ndarray, size: tuple[int, int], place: tuple[float, float]) -> np.ndarray:
    """Cut a window, or where the slice is smaller put it into one whose border repeats the slice's smallest value.

    Args:
        image: (C, H, W).
        size: (H', W') of the window.
        place: Where, 0..1 along each axis; 0.5 = in the middle.

    Returns:
        (C, H', W').
    """
    out = np.broadcast_to(image.min(axis=(1, 2), keepdims=True), (len(image), *size)).copy()
    source, target = [slice(None)], [slice(None)]
    for have, want, share in zip(image.shape[1:], size, place, strict=True):
        offset = round(share * abs(have - want))
        n = min(have, want)
        source.append(slice(offset, offset + n) if have > want else slice(0, n))
        target.append(slice(offset, offset + n) if have <= want else slice(0, n))
    out[tuple(target)] = image[tuple(source)]
    return out


@dataclass(frozen=True)
class SliceSettings:
    """How slices are prepared.

    Attributes:
        size: (H, W) of the window in pixels, multiples of 32.
        spacing: mm a pixel along (H, W); None = as it is in the file.
        zoom: Random change of the pixel size.
    """

    size: tuple[int, int] = (224, 224)
    spacing: tuple[float, float] | None = None
    zoom: tuple[float, float] = ZOOM


def prepare_slice(scan: Scan, index: int, settings: SliceSettings, rng: np.random.Generator | None) -> np.ndarray:
    """Read, scale, resample and cut one slice.

    Args:
        scan: The scan.
        index: Number of the slice.
        settings: How.
        rng: Draws zoom and place; None = no zoom, the middle (for held-out slices).

    Returns:
        (C, H, W) float32.

    Raises:
        UserError: See `read_slice`.
    """
    image = scale_intensity(read_slice(scan, index))
    factor = 1.0 if rng is None else float(np.exp(rng.uniform(*np.log(settings.zoom))))
    rows = columns = factor
    if settings.spacing is not None and scan.spacing is not None:
        remaining = [scan.spacing[axis] for axis in (2, 1, 0) if axis != scan.axis]
        rows, columns = (factor * have / want for have, want in zip(remaining, settings.spacing, strict=True))
    image = resize(image, (rows, columns))
    place = (0.5, 0.5) if rng is None else tuple(rng.random(2))
    return cut(image, settings.size, place)
