"""Tiny image and mask files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from spider_trees import volume


def write_image(path: Path, seed: int = 0, shape: tuple[int, ...] = (4, 6, 5)) -> Path:
    """Write noise on an oblique grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 500, shape).astype(np.int16)
    sitk.WriteImage(volume(noise), str(path))
    return path


def write_mask(path: Path, codes: tuple[int, ...], shape: tuple[int, ...] = (4, 6, 5)) -> Path:
    """Write a mask that begins with these codes, on the same grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(shape, dtype=np.uint16)
    mask.flat[: len(codes)] = codes
    sitk.WriteImage(volume(mask), str(path))
    return path


def codes_in(path: Path) -> set[int]:
    """Return the codes of a label map."""
    return {int(code) for code in np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))}
