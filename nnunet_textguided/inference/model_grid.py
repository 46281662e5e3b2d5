"""Between the grid a network works on and the voxels of the image it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ModelGrid:
    """How nnU-Net made its preprocessed array of an image: axes transposed, cropped to a box, resampled.

    Attributes:
        shape: (D, H, W) of the preprocessed array.
        box: Start and stop on each of its axes, in voxels of the transposed image.
        transpose: nnU-Net's `transpose_forward`: preprocessed axis j is axis `transpose[j]` of the image's array.
    """

    shape: tuple[int, ...]
    box: tuple[tuple[int, int], ...]
    transpose: tuple[int, ...]

    @classmethod
    def of_case(cls, shape: Sequence[int], properties: Mapping[str, Any], transpose: Sequence[int]) -> ModelGrid:
        """Read the grid of a preprocessed case.

        Args:
            shape: (D, H, W) of the preprocessed array.
            properties: nnU-Net's, of the same case.
            transpose: `transpose_forward` of the plans.
        """
        box = tuple((int(start), int(stop)) for start, stop in properties["bbox_used_for_cropping"])
        return cls(tuple(int(n) for n in shape), box, tuple(int(axis) for axis in transpose))

    def bring(self, labels: np.ndarray) -> np.ndarray:
        """Sample labels of the image (Z, Y, X) at the centres of this grid, the nearest voxel each.

        Args:
            labels: In the orientation the model reads images in.
        """
        cropped = labels.transpose(self.transpose)[tuple(slice(*side) for side in self.box)]
        indices = [
            np.minimum(((np.arange(n) + 0.5) * size / n).astype(np.int64), size - 1)
            for n, size in zip(self.shape, cropped.shape, strict=True)
        ]
        return cropped[np.ix_(*indices)]

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Turn indices on this grid into continuous indices (z, y, x) of the image's array.

        Args:
            points: (n, 3), whole numbers being the centres of voxels.
        """
        image = np.empty((len(points), 3))
        for axis, (n, (start, stop)) in enumerate(zip(self.shape, self.box, strict=True)):
            image[:, self.transpose[axis]] = (points[:, axis] + 0.5) * (stop - start) / n - 0.5 + start
        return image

    def from_image(self, points: np.ndarray) -> np.ndarray:
        """Turn continuous indices (z, y, x) of the image's array into such of this grid; the inverse of `to_image`.

        Args:
            points: (n, 3).
        """
        own = np.empty((len(points), 3))
        for axis, (n, (start, stop)) in enumerate(zip(self.shape, self.box, strict=True)):
            own[:, axis] = (points[:, self.transpose[axis]] - start + 0.5) * n / (stop - start) - 0.5
        return own

    def spacing(self, image_spacing: Sequence[float]) -> list[float]:
        """(d, h, w) of this grid in mm.

        Args:
            image_spacing: (z, y, x) of the image's array, mm.
        """
        sizes = [stop - start for start, stop in self.box]
        return [image_spacing[self.transpose[axis]] * sizes[axis] / self.shape[axis] for axis in range(3)]
