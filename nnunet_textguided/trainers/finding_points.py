"""Marked places of findings, carried through nnU-Net's augmentation with the segmentation.

nnU-Net's data loader stacks a second label map behind the segmentation where a data set has one (its cascades do).
Marked findings are given to it that way, so crops, turns and flips move them with the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import FindingAnnotations
from nnunet_textguided.findings.loss import UNSURE_BIT
from nnunet_textguided.findings.regions import ball_offsets
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.inference.model_grid import ModelGrid

RADIUS_MM = 3.0
"""Of the ball that stands for a marked finding; those of the lumbar spine are 3 to 8 mm across."""
MARKS_A_CLASS = 3
"""Draws of a mark for each draw of a class, where nnU-Net centres a patch on something."""
UNSURE_MM = 6.0
"""Around a mark; whether voxels this near show the finding is not known. A point within 6 mm counts as found, too."""


class FindingPoints:
    """Draws the marked findings of a case on its preprocessed grid.

    Args:
        annotations: Of the data set.
        vocabulary: What the model is trained for.
        codes: Label codes of the vocabulary's structures.
        transpose: `transpose_forward` of the plans.
        ignore_label: Code of voxels that are not annotated, None if there is none; codes above it are weak cells.
    """

    def __init__(
        self,
        annotations: FindingAnnotations,
        vocabulary: FindingVocabulary,
        codes: Sequence[int],
        transpose: tuple[int, ...],
        ignore_label: int | None = None,
    ) -> None:
        self.annotations = annotations
        self.vocabulary = vocabulary
        self.codes = tuple(codes)
        self.transpose = tuple(transpose)
        self.ignore_label = ignore_label
        self._centres: dict[str, list[tuple[int, np.ndarray]]] = {}

    def any(self) -> bool:
        """Whether any finding is marked.

        Raises:
            UserError: More findings than a label map has bits.
        """
        marked = any(self.of_case(case) for case in self.annotations.cases())
        if marked and len(self.vocabulary) > UNSURE_BIT:
            raise UserError(
                f"Findings with points are limited to {UNSURE_BIT}, got {len(self.vocabulary)}. Choose some with "
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

    def draw(
        self, case: str, shape: tuple[int, ...], properties: Mapping[str, Any], segmentation: np.ndarray
    ) -> np.ndarray:
        """Return a map (D, H, W) int16: bit f is set around the places of finding f, `UNSURE_BIT` farther around any.

        Args:
            case: Case identifier.
            shape: Of the preprocessed array.
            properties: nnU-Net's, of the same case.
            segmentation: (1, D, H, W) label codes of the same grid.

        Raises:
            UserError: The images' reader keeps no world coordinates.
        """
        drawn = np.zeros(shape, dtype=np.int16)
        if not self.of_case(case):
            return drawn
        spacing = ModelGrid.of_case(shape, properties, self.transpose).spacing(properties["spacing"])
        if case not in self._centres:
            self._centres[case] = self._place(case, properties, np.asarray(segmentation[0]), spacing)
        near, around = (np.array(ball_offsets(spacing, radius)) for radius in (RADIUS_MM, UNSURE_MM))
        for finding, centre in self.centres(case):
            _set_bit(drawn, centre + near, finding)
            _set_bit(drawn, centre + around, UNSURE_BIT)
        return drawn

    def centres(self, case: str) -> list[tuple[int, np.ndarray]]:
        """Number of the finding and voxel (d, h, w) of every mark; known once the case has been drawn."""
        return self._centres.get(case, [])

    def _place(
        self, case: str, properties: Mapping[str, Any], labels: np.ndarray, spacing: Sequence[float]
    ) -> list[tuple[int, np.ndarray]]:
        """Number and voxel of every mark; one inside another structure goes to the nearest voxel of its own.

        A Schmorl node, say, is reported at the disc and lies in the vertebra, whose voxels do not speak for the disc.
        """
        marks = self.of_case(case)
        grid = ModelGrid.of_case(labels.shape, properties, self.transpose)
        centres = voxels_of_points(case, [point.tolist() for *_, point in marks], grid, properties)
        unknown = np.inf if self.ignore_label is None else self.ignore_label
        placed = []
        for (structure, finding, _), centre in zip(marks, np.rint(centres).astype(int), strict=True):
            code = self.codes[self.vocabulary.structures.index(structure)]
            inside = ((centre >= 0) & (centre < labels.shape)).all()
            if inside and 0 < labels[tuple(centre)] < unknown and labels[tuple(centre)] != code:
                own = np.argwhere(labels == code)
                if len(own):
                    centre = own[np.argmin((((own - centre) * spacing) ** 2).sum(axis=1))]
            placed.append((finding, centre))
        return placed


def _set_bit(drawn: np.ndarray, voxels: np.ndarray, bit: int) -> None:
    inside = voxels[((voxels >= 0) & (voxels < drawn.shape)).all(axis=1)]
    drawn[tuple(inside.T)] |= np.int16(1 << bit)


def voxels_of_points(
    case: str, points: Sequence[Sequence[float]], grid: ModelGrid, properties: Mapping[str, Any]
) -> np.ndarray:
    """Find the voxels of a case's places.

    Args:
        case: Case identifier.
        points: Places (x, y, z) in LPS mm.
        grid: The preprocessed grid of the case.
        properties: nnU-Net's, of the same case.

    Returns:
        (n, 3) continuous indices (d, h, w) on the preprocessed grid.

    Raises:
        UserError: The images' reader keeps no world coordinates.
    """
    if "sitk_stuff" not in properties:
        raise UserError(
            f"{case}: findings.csv holds points, but the images were read without world coordinates (reader other "
            "than SimpleITKIO). Remove x_mm,y_mm,z_mm, or plan again with SimpleITKIO."
        )
    geometry = properties["sitk_stuff"]
    offsets = np.reshape(points, (-1, 3)).astype(float) - np.array(geometry["origin"])
    index = offsets @ np.linalg.inv(np.reshape(geometry["direction"], (3, 3))).T / np.array(geometry["spacing"])
    return grid.from_image(index[:, ::-1])


class WrappedDataset:
    """nnU-Net's data set with another `load_case`; everything else is the data set's own.

    Args:
        dataset: nnU-Net's.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "dataset":  # asked for while a copy is being made
            raise AttributeError(name)
        return getattr(self.dataset, name)


class PointedDataset(WrappedDataset):
    """nnU-Net's data set, with the marked findings where a cascade has the previous stage's segmentation.

    nnU-Net centres a third of its patches on a class drawn at random; marks count as classes there and win three of
    four draws. Otherwise the few slices that show a finding would be seen too rarely.

    Args:
        dataset: nnU-Net's.
        points: Draws the maps.
    """

    def __init__(self, dataset: Any, points: FindingPoints) -> None:
        super().__init__(dataset)
        self.points = points

    def load_case(self, identifier: str) -> tuple[Any, Any, np.ndarray, dict[str, Any]]:
        """Data, segmentation, marked findings and properties."""
        data, segmentation, _, properties = self.dataset.load_case(identifier)
        case, shape = str(identifier), tuple(data.shape[1:])
        marks = self.points.draw(case, shape, properties, segmentation)
        centres = [centre for _, centre in self.points.centres(case) if ((centre >= 0) & (centre < shape)).all()]
        locations = with_marks(properties["class_locations"], centres)
        return data, segmentation, marks, {**properties, "class_locations": locations}


def with_marks(class_locations: Mapping[Any, Any], centres: Sequence[np.ndarray]) -> dict[Any, Any]:
    """Add marks to nnU-Net's table of where classes are, `MARKS_A_CLASS` times as many as there are classes.

    Args:
        class_locations: Class -> (n, 4) indices, the first of which is the channel.
        centres: Voxels (d, h, w) of the marks.
    """
    if not centres:
        return dict(class_locations)
    # nnU-Net's entry of all annotated voxels together, a tuple, is no class
    classes = sum(len(voxels) > 0 for key, voxels in class_locations.items() if not isinstance(key, tuple))
    copies = max(1, round(MARKS_A_CLASS * classes / len(centres)))
    marks = {("mark", n, k): np.array([[0, *c]]) for n, c in enumerate(centres) for k in range(copies)}
    return {**class_locations, **marks}
