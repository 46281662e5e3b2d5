"""Tiny images on odd grids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import SimpleITK as sitk

# An oblique right-handed rotation of axes that start as (z, -x, y): nearest DICOM code is neither PIR nor LPS.
_TILT = np.deg2rad(12.0)
_ROTATION = np.array([[np.cos(_TILT), -np.sin(_TILT), 0], [np.sin(_TILT), np.cos(_TILT), 0], [0, 0, 1]])
OBLIQUE = _ROTATION @ np.array([[0, -1, 0], [0, 0, 1], [1, 0, 0]], dtype=float)


def volume(array: np.ndarray, origin: tuple[float, ...] = (3.0, -20.0, 11.0)) -> sitk.Image:
    """An image (D, H, W) on an oblique anisotropic grid."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.8, 0.9, 4.0))
    image.SetOrigin(origin)
    image.SetDirection(OBLIQUE.ravel().tolist())
    return image


Writer = Callable[..., None]
