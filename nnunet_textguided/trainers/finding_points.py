"""Marked places of findings, carried through nnU-Net's augmentation with the segmentation.

nnU-Net's data loader stacks a second label map behind the segmentation where a data set has one (its cascades do).
Marked findings are given to it that way, so crops, turns and flips move them with the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import FindingAnnotations
from nnunet_textguided.findings.regions import ball_offsets
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.inference.model_grid import ModelGrid

RADIUS_MM = 3.0
"""Of the ball that stands for a marked finding; those of the lumbar spine are 3 to 8 mm across."""
MAX_FINDINGS = 15  # bits of the int16 the data loader makes of label maps


class FindingPoints:
    """Draws the marked findings of a case on its preprocessed grid.

    Args:
        annotations: Of the data set.
        vocabulary: What the model is trained for.
        transpose: `transpose_forward` of the plans.
    """

    def __init__(
        self, annotations: FindingAnnotations, vocabulary: FindingVocabulary, transpose: tuple[int, ...]
    ) -> None:
        self.annotations = annotations
        self.vocabulary = vocabulary
        self.transpose = tuple(transpose)

    def any(self) -> bool:
        """Whether any finding is marked.

        Raises:
            UserError: More findings than a label map has bits.
        """
        marked = any(self.of_case(case) for case in self.annotations.cases())
        if marked and len(self.vocabulary) > MAX_FINDINGS:
            raise UserError(
                f"Findings with points are limited to {MAX_FINDINGS}, got {len(self.vocabulary)}. Choose some with "
                "nnunet_textguided plan --findings NAME ..., or remove x_mm,y_mm,z_mm from findings.csv."
            )
        return marked

    def of_case(self, case: str) -> list[tuple[str, int, np.ndarray]]:
        """Structure, number of the finding and place (x, y, z) in LPS mm of the marked findings of a case."""
        return [
            (a.structure, self.vocabulary.names.index(a.finding), np.array(a.point_mm))
            for a in self.annotations.of_case(case)
            if a.present and a.point_mm is not None and a.finding in self.vocabulary.names
        ]

    def pointed(self, case: str) -> np.ndarray:
        """(S, F) bool: present findings whose place is marked."""
        table = np.zeros((len(self.vocabulary.structures), len(self.vocabulary)), dtype=bool)
        for structure, finding, _ in self.of_case(case):
            table[self.vocabulary.structures.index(structure), finding] = True
        return table

    def draw(self, case: str, shape: tuple[int, ...], properties: Mapping[str, Any]) -> np.ndarray:
        """Return a map (D, H, W) int16 in which bit f is set around the places of finding f.

        Args:
            case: Case identifier.
            shape: Of the preprocessed array.
            properties: nnU-Net's, of the same case.

        Raises:
            UserError: The images' reader keeps no world coordinates.
        """
        drawn = np.zeros(shape, dtype=np.int16)
        marked = self.of_case(case)
        if not marked:
            return drawn
        if "sitk_stuff" not in properties:
            raise UserError(
                f"{case}: findings.csv holds points, but the images were read without world coordinates (reader other "
                "than SimpleITKIO). Remove x_mm,y_mm,z_mm, or plan again with SimpleITKIO."
            )
        grid = ModelGrid.of_case(shape, properties, self.transpose)
        offsets = np.array(ball_offsets(grid.spacing(properties["spacing"]), RADIUS_MM))
        for _, finding, point in marked:
            centre = np.rint(grid.from_image(_image_index(point, properties["sitk_stuff"])[None])[0]).astype(int)
            voxels = centre + offsets
            inside = voxels[((voxels >= 0) & (voxels < shape)).all(axis=1)]
            drawn[tuple(inside.T)] |= np.int16(1 << finding)
        return drawn


def _image_index(point: np.ndarray, geometry: Mapping[str, Any]) -> np.ndarray:
    """Continuous index (z, y, x) of a place in LPS mm."""
    direction = np.reshape(geometry["direction"], (3, 3))
    index = np.linalg.inv(direction) @ (point - np.array(geometry["origin"])) / np.array(geometry["spacing"])
    return index[::-1]


class PointedDataset:
    """nnU-Net's data set, with the marked findings where a cascade has the previous stage's segmentation.

    Args:
        dataset: nnU-Net's.
        points: Draws the maps.
    """

    def __init__(self, dataset: Any, points: FindingPoints) -> None:
        self.dataset = dataset
        self.points = points

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # asked for while a copy is being made
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def load_case(self, identifier: str) -> tuple[Any, Any, np.ndarray, dict[str, Any]]:
        """Data, segmentation, marked findings and properties."""
        data, segmentation, _, properties = self.dataset.load_case(identifier)
        return data, segmentation, self.points.draw(str(identifier), tuple(data.shape[1:]), properties), properties
