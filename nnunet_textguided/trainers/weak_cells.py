"""Marked places as weak masks: where no voxel is annotated, a structure is what lies around its marks.

Drawn into the segmentation as codes above nnU-Net's ignore label, so that augmentation moves them with the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from nnunet_textguided.findings.annotations import FindingAnnotations
from nnunet_textguided.inference.model_grid import ModelGrid
from nnunet_textguided.trainers.finding_points import WrappedDataset, voxels_of_points
from nnunet_textguided.trainers.lacking import mask_content

REACH_MM = 20.0
"""Radius of the ball around a mark. Where neighbouring discs and vertebrae are marked, the cells between make slabs."""


class WeakCells:
    """Draws, for every mark of findings.csv, the voxels that are nearer to it than to any other.

    Args:
        annotations: Of the data set; a row that says absent marks the place of its structure, too.
        codes: Structure -> label code.
        transpose: `transpose_forward` of the plans.
        ignore_label: Code of voxels that are not annotated.
    """

    def __init__(
        self, annotations: FindingAnnotations, codes: Mapping[str, int], transpose: Sequence[int], ignore_label: int
    ) -> None:
        self.annotations = annotations
        self.codes = dict(codes)
        self.transpose = tuple(transpose)
        self.ignore_label = ignore_label

    def any(self) -> bool:
        """Whether any place is marked."""
        return any(self.of_case(case) for case in self.annotations.cases())

    def of_case(self, case: str) -> list[tuple[int, tuple[float, float, float]]]:
        """Label code and place (x, y, z) in LPS mm of every mark of a case."""
        return [(self.codes[a.structure], a.point_mm) for a in self.annotations.of_case(case) if a.point_mm is not None]

    def placed(self, case: str) -> frozenset[int]:
        """Label codes of the structures that are marked in a case."""
        return frozenset(code for code, _ in self.of_case(case))

    def draw(
        self, case: str, shape: Sequence[int], properties: Mapping[str, Any]
    ) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
        """Draw the cells of a case.

        Args:
            case: Case identifier.
            shape: (D, H, W) of the preprocessed array.
            properties: nnU-Net's, of the same case.

        Returns:
            (D, H, W) int16, ignore label + code in a cell and the ignore label elsewhere; code and voxel (d, h, w) of
            the marks.
        """
        cells = np.full(shape, self.ignore_label, dtype=np.int16)
        nearest = np.full(shape, REACH_MM**2, dtype=np.float32)
        marks = self.of_case(case)
        grid = ModelGrid.of_case(shape, properties, self.transpose)
        spacing = np.array(grid.spacing(properties["spacing"]))
        centres = voxels_of_points(case, [point for _, point in marks], grid, properties)
        for (code, _), centre in zip(marks, centres, strict=True):
            first = np.maximum(np.ceil(centre - REACH_MM / spacing), 0).astype(int)
            last = np.minimum(np.floor(centre + REACH_MM / spacing) + 1, shape).astype(int)
            if (first < last).all():
                box = tuple(slice(*side) for side in zip(first, last, strict=True))
                axes = zip(np.ogrid[box], centre, spacing, strict=True)
                distance = sum((((index - c) * mm) ** 2 for index, c, mm in axes), np.float32(0))
                nearer = distance < nearest[box]
                nearest[box][nearer] = distance[nearer]
                cells[box][nearer] = self.ignore_label + code
        voxels = np.rint(centres).astype(int)
        return cells, [(code, voxel) for (code, _), voxel in zip(marks, voxels, strict=True)]

    def split(self, target: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Take the cells out of a batch's targets.

        Args:
            target: Label maps (B, 1, ...) of the supervised levels, the first at full resolution.

        Returns:
            The targets with nnU-Net's ignore label in their place, and the codes of the cells (B, ...), 0 elsewhere.
        """
        cells = (target[0][:, 0] - self.ignore_label).clamp_min(0)
        return [level.clamp_max(self.ignore_label) for level in target], cells


class WeakDataset(WrappedDataset):
    """nnU-Net's data set, with cells as the segmentation of cases that have no mask but marks.

    nnU-Net centres patches on classes: the marks of a structure are where it looks for that.

    Args:
        dataset: nnU-Net's.
        cells: Draws them.
    """

    def __init__(self, dataset: Any, cells: WeakCells) -> None:
        super().__init__(dataset)
        self.cells = cells

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Data, segmentation or cells, what nnU-Net has as the third, and properties."""
        data, segmentation, previous, properties = self.dataset.load_case(identifier)
        case, shape = str(identifier), tuple(data.shape[1:])
        if mask_content(properties) is not None or not self.cells.of_case(case):
            return data, segmentation, previous, properties
        drawn, marks = self.cells.draw(case, shape, properties)
        locations: dict[Any, Any] = {**properties["class_locations"]}
        for code, voxel in marks:
            if ((voxel >= 0) & (voxel < shape)).all():
                locations[code] = np.array([*locations.get(code, ()), [0, *voxel]])
        return data, drawn[None], previous, {**properties, "class_locations": locations}
