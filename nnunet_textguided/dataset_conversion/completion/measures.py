"""What the plausibility check looks at: volume, pieces and place of every structure of a label map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnunet_textguided.dataset_conversion.completion.levels import is_disc, spinal_levels
from nnunet_textguided.inference.reorient import FAMILIES, direction_code

_NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)  # thick slices: pieces that touch at an edge or a corner belong together
_SMALLEST_BODY = 0.1  # a piece of less than this part of a vertebra is not its body


@dataclass(frozen=True)
class Measure:
    """One structure of one case.

    Its main piece is the largest; of a vertebra, the one among the large ones with most behind it: the body.

    Attributes:
        volume_ml: Of all its voxels.
        pieces: Number of connected components (26 neighbours).
        share: Part of the volume that belongs together, above 0 to 1: the main piece, and of a vertebra what lies
            behind it at its height, as mid slices show the spinous process apart from the body.
        apart_mm: Distance from the main piece to the largest one that does not belong; 0 where there is none.
        height_mm: Place of the main piece's centroid along the axis from feet to head, in the world.
        width_mm: Extent of the main piece from left to right.
        cut_off: Whether the main piece touches the first or last voxels between feet and head.
    """

    volume_ml: float
    pieces: int
    share: float
    apart_mm: float
    height_mm: float
    width_mm: float
    cut_off: bool


def measure_structures(
    labels: np.ndarray, names: Mapping[int, str], spacing: tuple[float, ...], direction: tuple[float, ...]
) -> dict[str, Measure]:
    """Measure every structure that occurs.

    Args:
        labels: Codes (D, H, W) in SimpleITK's axis order; codes without a name are left out.
        names: Code -> structure, of all structures of the data set.
        spacing: mm along (D, H, W).
        direction: 9 cosines as `SimpleITK.Image.GetDirection` gives them.

    Returns:
        Structure -> what was measured; heights count from the first voxel.
    """
    # column i is where one voxel along array axis i leads in the world (LPS), in mm
    steps = (np.reshape(direction, (3, 3)) * np.asarray(spacing[::-1], dtype=float))[:, ::-1]
    families = [FAMILIES[letter] for letter in direction_code(direction)][::-1]
    head, side = families.index(FAMILIES["S"]), families.index(FAMILIES["L"])
    vertebrae = {name for name in spinal_levels(list(names.values())) if not is_disc(name)}
    measured = {}
    for code, box in enumerate(ndimage.find_objects(labels.astype(np.int32, copy=False)), start=1):
        if box is not None and code in names:
            pieces = _Pieces.of(labels[box] == code, box, steps, names[code] in vertebrae)
            main = pieces.main_box
            measured[names[code]] = Measure(
                volume_ml=float(pieces.sizes.sum() * abs(np.linalg.det(steps)) / 1000),
                pieces=len(pieces.sizes),
                share=float(pieces.sizes[pieces.belongs].sum() / pieces.sizes.sum()),
                apart_mm=pieces.largest_stray_mm(),
                height_mm=float(pieces.centroids[pieces.main, 2]),
                width_mm=float((main[side].stop - main[side].start) * np.linalg.norm(steps[:, side])),
                cut_off=bool(main[head].start == 0 or main[head].stop == labels.shape[head]),
            )
    return measured


@dataclass(frozen=True)
class _Pieces:
    """The connected components of one structure.

    Attributes:
        sizes: Voxels of each (N,).
        centroids: World positions (N, 3) in mm, but for the origin.
        main: Which one is the main piece.
        main_box: Where that lies in the label map.
        belongs: Which ones belong to it (N,), the main piece included.
    """

    sizes: np.ndarray
    centroids: np.ndarray
    main: int
    main_box: tuple[slice, ...]
    belongs: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, box: tuple[slice, ...], steps: np.ndarray, vertebra: bool) -> _Pieces:
        """Find the pieces.

        Args:
            mask: The structure's voxels within its bounding box (d, h, w).
            box: Where the box lies in the label map.
            steps: World vector (mm) of a voxel along each array axis, as columns.
            vertebra: Whether its spinous process may lie apart.
        """
        pieces, number = ndimage.label(mask, _NEIGHBOURS)
        sizes = np.bincount(pieces.ravel(), minlength=number + 1)[1:]
        corner = np.array([part.start for part in box])
        voxels = np.array(ndimage.center_of_mass(mask, pieces, np.arange(1, number + 1))).reshape(number, 3)
        centroids = (voxels + corner) @ steps.T
        together = np.eye(number, dtype=bool)  # row: a piece; column: what belongs to it
        if vertebra:
            offsets = centroids[None] - centroids[:, None]
            together |= offsets[..., 1] > np.abs(offsets[..., 2])
        candidates = np.where(sizes >= _SMALLEST_BODY * sizes.sum(), together @ sizes, sizes)
        main = int(np.argmax(candidates))
        within = ndimage.find_objects(pieces)[main]
        main_box = tuple(slice(c + part.start, c + part.stop) for c, part in zip(corner, within, strict=True))
        return cls(sizes, centroids, main, main_box, together[main])

    def largest_stray_mm(self) -> float:
        """Distance from the main piece to the largest one that does not belong to it; 0 where all belong."""
        if self.belongs.all():
            return 0.0
        stray = int(np.argmax(np.where(self.belongs, 0, self.sizes)))
        return float(np.linalg.norm(self.centroids[stray] - self.centroids[self.main]))
