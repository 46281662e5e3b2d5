"""Surface distances of one structure, by MedPy.

MedPy: O. Maier et al., https://github.com/loli/medpy. HD95 is the 95th percentile of the distances of all border voxels
of either mask to the border of the other, pooled; ASSD is their mean. A border voxel is one with a face neighbour
outside the mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def surface_distances(
    truth: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float], crop: bool = True
) -> tuple[float, float]:
    """Compare the surfaces of two masks.

    Args:
        truth: Mask, not zero inside.
        prediction: Mask of the same shape.
        spacing_mm: In the order of the axes.
        crop: Whether to work on the common bounding box: the same numbers in a fraction of the time.

    Returns:
        HD95 and ASSD in mm; both NaN where one of the masks is empty.
    """
    from medpy.metric.binary import assd, hd95

    # An image of one slice is a plane: in three axes every voxel of it would be border.
    axes = tuple(axis for axis, size in enumerate(truth.shape) if size == 1)[: truth.ndim - 1]
    spacing = [float(value) for axis, value in enumerate(spacing_mm) if axis not in axes]
    truth, prediction = (np.squeeze(mask, axes).astype(bool) for mask in (truth, prediction))
    if not truth.any() or not prediction.any():
        return float("nan"), float("nan")
    if crop:
        box = _bounding_box(truth | prediction)
        truth, prediction = truth[box], prediction[box]
    return float(hd95(prediction, truth, spacing)), float(assd(prediction, truth, spacing))


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """The box around all voxels; beyond it lies background, which MedPy assumes outside an array anyway."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(box)
