"""The findings of one predicted case, with places in the patient's world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from nnunet_textguided.findings.decoding import Decision, decode
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.inference.model_grid import ModelGrid
from nnunet_textguided.inference.reorient import to_orientation

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Finding:
    """One decision of a case, as it is written.

    Attributes:
        structure: Where.
        finding: What.
        probability: 0 to 1.
        threshold: Operating point of the model for this finding.
        present: Whether the probability reaches it.
        centroid_mm: (x, y, z) of the voxels that carry the finding, LPS world.
        box_voxels: First and last index (x, y, z) of these voxels in the image's own grid.
        box_mm: Smallest and largest x, y, z of these voxels' centres, LPS world.
        volume_mm3: Of these voxels.
    """

    structure: str
    finding: str
    probability: float
    threshold: float
    present: bool
    centroid_mm: tuple[float, ...]
    box_voxels: tuple[tuple[int, ...], tuple[int, ...]]
    box_mm: tuple[tuple[float, ...], tuple[float, ...]]
    volume_mm3: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class FindingReader:
    """What it takes to read the findings of a case off its maps and its final segmentation.

    Attributes:
        vocabulary: The model's findings.
        codes: Label codes of the structures.
        spacing: In-plane or full spacing of the configuration, mm; the missing one comes with the case.
        orientation: Code the model reads images in, or None.
        thresholds: Finding -> operating point.
    """

    vocabulary: FindingVocabulary
    codes: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str | None
    thresholds: Mapping[str, float]

    def read(self, maps: np.ndarray, segmentation: sitk.Image, grid: ModelGrid) -> list[Finding]:
        """Read a case.

        Args:
            maps: (F, D, H, W) finding logits on the model's grid.
            segmentation: Labels in the image's own geometry; postprocessed, if they are to be.
            grid: How the model's grid lies in the image.
        """
        own = segmentation
        turned = own if self.orientation is None else to_orientation(own, self.orientation)
        labels = grid.bring(sitk.GetArrayViewFromImage(turned))
        spacing = grid.spacing(turned.GetSpacing()[::-1])
        in_plane = len(self.spacing) == 2
        decisions = decode(maps, labels, self.vocabulary, self.codes, spacing, in_plane)
        return [self._placed(decision, grid, own, turned, spacing) for decision in decisions]

    def _placed(
        self, decision: Decision, grid: ModelGrid, own: sitk.Image, turned: sitk.Image, spacing: Sequence[float]
    ) -> Finding:
        image_points = grid.to_image(decision.voxels)[:, ::-1]  # (x, y, z)
        world = np.array([turned.TransformContinuousIndexToPhysicalPoint(point.tolist()) for point in image_points])
        voxels = np.array([own.TransformPhysicalPointToIndex(point.tolist()) for point in world])
        voxels = voxels.clip(0, np.array(own.GetSize()) - 1)
        threshold = float(self.thresholds.get(decision.finding, DEFAULT_THRESHOLD))
        return Finding(
            decision.structure,
            decision.finding,
            round(decision.probability, 6),
            threshold,
            decision.probability >= threshold,
            _rounded(world.mean(0)),
            (tuple(voxels.min(0).tolist()), tuple(voxels.max(0).tolist())),
            (_rounded(world.min(0)), _rounded(world.max(0))),
            round(float(len(decision.voxels) * np.prod(spacing)), 3),
        )


def _rounded(point: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in point)


@dataclass(frozen=True)
class Structure:
    """One segmented structure of a case.

    Attributes:
        structure: Its name.
        volume_mm3: Volume.
        centroid_mm: (x, y, z), LPS world.
        extent_mm: Length of its box along the image's axes x, y, z.
    """

    structure: str
    volume_mm3: float
    centroid_mm: tuple[float, ...]
    extent_mm: tuple[float, ...]


def measure_structures(image: sitk.Image, names: Mapping[str, int]) -> list[Structure]:
    """Measure what a segmentation holds.

    Args:
        image: Labels.
        names: Structure -> label code.
    """
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(sitk.Cast(image, sitk.sitkUInt16))
    found = []
    for name, code in names.items():
        if shape.HasLabel(int(code)):
            sizes = shape.GetBoundingBox(int(code))[3:]
            extent = np.array(sizes) * image.GetSpacing()
            found.append(
                Structure(
                    name,
                    round(shape.GetPhysicalSize(int(code)), 3),
                    _rounded(np.array(shape.GetCentroid(int(code)))),
                    _rounded(extent),
                )
            )
    return found
