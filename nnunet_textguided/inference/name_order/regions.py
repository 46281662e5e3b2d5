"""Between which discs every voxel of a vertebra lies, and whether it belongs to a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nnunet_textguided.inference.name_order.discs import Disc, along_column


class Regions(NamedTuple):
    """Where the voxels of vertebrae lie.

    Attributes:
        below: Number of discs below each voxel (V,): 0 = under the lowest disc.
        body: Whether it is no farther from the column's axis than discs reach (V,); else it is of an arch or process,
            which may lie beside the next disc or vertebra.
    """

    below: np.ndarray
    body: np.ndarray


def regions_of(voxels: np.ndarray, spacing_mm: Sequence[float], discs: Sequence[Disc]) -> Regions:
    """Sort voxels by the planes of the discs.

    A voxel is judged by the plane it is nearest to, as planes of tilted discs cross somewhere.

    Args:
        voxels: Indices (V, 3).
        spacing_mm: (d, h, w).
        discs: At least two, from below upwards.
    """
    points = voxels * np.asarray(spacing_mm, dtype=float)
    centres, radii = np.array([disc.centre for disc in discs]), np.array([disc.radius for disc in discs])
    directions = along_column(centres)
    nearest, smallest, above = np.zeros(len(points), int), np.full(len(points), np.inf), np.zeros(len(points), bool)
    for index, (centre, direction) in enumerate(zip(centres, directions, strict=True)):
        height = (points - centre) @ direction
        closer = np.abs(height) < smallest
        nearest[closer], above[closer], smallest[closer] = index, height[closer] > 0, np.abs(height[closer])
    below = nearest + above
    body = np.zeros(len(points), bool)
    for region in range(len(discs) + 1):
        here = below == region
        lower, upper = max(region - 1, 0), min(region, len(discs) - 1)
        axis = directions[lower] if lower == upper else centres[upper] - centres[lower]
        axis = axis / np.linalg.norm(axis)
        offsets = points[here] - centres[lower]
        across = offsets - np.outer(offsets @ axis, axis)
        body[here] = np.linalg.norm(across, axis=1) <= (radii[lower] + radii[upper]) / 2
    return Regions(below, body)
