"""How large each structure of a case is, also where no mask tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnunet_textguided.inference.model_grid import ModelGrid
from nnunet_textguided.trainers.lacking import LackingClasses, mask_content

CASES_FOR_MEDIAN = 16
"""Complete masks that the usual sizes are taken from."""


class StructureSizes:
    """Counts the voxels of structures, once a case.

    Args:
        dataset: nnU-Net's preprocessed data set.
        codes: Label codes of the structures.
        transpose: `transpose_forward` of the plans.
        ignore_label: Code of voxels that are not annotated, None if there is none.
        lacking: Which classes a case lacks.
    """

    def __init__(
        self,
        dataset: Any,
        codes: Sequence[int],
        transpose: Sequence[int],
        ignore_label: int | None,
        lacking: LackingClasses,
    ) -> None:
        self.dataset = dataset
        self.codes = np.asarray(codes)
        self.transpose = tuple(transpose)
        self.ignore_label = ignore_label
        self.lacking = lacking
        self._usual_mm3: np.ndarray | None = None

    def of_case(self, case: str) -> tuple[np.ndarray, bool]:
        """Size of each structure, (S,) float32 voxels, and whether the mask leaves voxels open.

        Where it does, and for classes it lacks, the size is at least the median over cases with complete masks; zero if
        there is none.
        """
        _, segmentation, _, properties = self.dataset.load_case(case)
        labels = np.asarray(segmentation[:])
        sizes = self._count(labels)
        is_open = self.ignore_label is not None and bool((labels == self.ignore_label).any())
        unknown = np.isin(self.codes, list(self.lacking.of_case(case))) | is_open
        if unknown.any():
            usual = self._usual() / self._voxel_mm3(labels.shape[1:], properties)
            sizes = np.where(unknown, np.maximum(sizes, usual), sizes)
        return sizes.astype(np.float32), is_open

    def _count(self, labels: np.ndarray) -> np.ndarray:
        counts = np.bincount(labels[labels > 0].astype(np.int64), minlength=int(self.codes.max()) + 1)
        return counts[self.codes].astype(float)

    def _voxel_mm3(self, shape: Sequence[int], properties: dict[str, Any]) -> float:
        grid = ModelGrid.of_case(shape, properties, self.transpose)
        return float(np.prod(grid.spacing(properties["spacing"])))

    def _usual(self) -> np.ndarray:
        """Median volume of each structure over cases that show it, mm3."""
        if self._usual_mm3 is None:
            volumes: list[np.ndarray] = []
            for case in self.dataset.identifiers:
                if len(volumes) == CASES_FOR_MEDIAN:
                    break
                _, segmentation, _, properties = self.dataset.load_case(case)
                if mask_content(properties, self.ignore_label is not None) is None:
                    continue
                labels = np.asarray(segmentation[:])
                if self.ignore_label is None or not (labels == self.ignore_label).any():
                    volumes.append(self._count(labels) * self._voxel_mm3(labels.shape[1:], properties))
            seen = np.array(volumes).reshape(-1, len(self.codes))
            medians = [np.median(column[column > 0]) if (column > 0).any() else 0.0 for column in seen.T]
            self._usual_mm3 = np.array(medians)
        return self._usual_mm3
