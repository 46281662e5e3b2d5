"""What finding maps and a segmentation say together: a probability a decision, and where the finding lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from nnunet_textguided.findings.pooling import pool_scores
from nnunet_textguided.findings.regions import MARGIN_MM, Regions, structure_regions
from nnunet_textguided.findings.vocabulary import FindingVocabulary


@dataclass(frozen=True)
class Decision:
    """What the model says of one finding at one structure.

    Attributes:
        structure: Where.
        finding: What.
        probability: 0 to 1.
        voxels: (n, 3) indices of the voxels that carry the finding, in the grid of the maps.
    """

    structure: str
    finding: str
    probability: float
    voxels: np.ndarray


def decode(
    maps: np.ndarray,
    labels: np.ndarray,
    vocabulary: FindingVocabulary,
    codes: Sequence[int],
    spacing: Sequence[float],
    in_plane: bool = False,
) -> list[Decision]:
    """Read findings off maps and segmentation; structures that were not segmented have none.

    Args:
        maps: (F, D, H, W) finding logits.
        labels: (D, H, W) segmentation on the same grid.
        vocabulary: The model's findings and structures.
        codes: Label codes of the vocabulary's structures.
        spacing: (d, h, w) in mm.
        in_plane: Regions grow within slices only, as a 2D model saw them in training.

    Returns:
        One decision for each (structure, finding) that applies and whose structure is there, grouped by finding.
    """
    box = _box_of_structures(labels, spacing)
    if box is None:
        return []
    every_finding = (slice(None), *box)
    maps, labels = maps[every_finding].astype(np.float32), labels[box]
    tensor = torch.from_numpy(np.ascontiguousarray(labels.astype(np.int64)))
    if in_plane:
        regions = _as_one_volume(structure_regions(tensor, codes, spacing[1:]), len(codes), labels[0].size)
    else:
        regions = structure_regions(tensor[None], codes, spacing)
    scores, counts = pool_scores(torch.from_numpy(np.ascontiguousarray(maps))[None], regions, len(codes))
    there = np.isin(codes, np.unique(labels)) & (counts[0].numpy() > 0)
    voxels_of = _voxels_by_structure(regions, len(codes))
    corner = np.array([part.start for part in box])
    decisions = []
    for structure, finding in vocabulary.sites():
        row, column = vocabulary.structures.index(structure), vocabulary.names.index(finding)
        if there[row]:
            score = float(scores[0, row, column])
            carriers = _carriers(maps[column], voxels_of[row], score)
            decisions.append(Decision(structure, finding, 1 / (1 + float(np.exp(-score))), carriers + corner))
    return decisions


def _box_of_structures(labels: np.ndarray, spacing: Sequence[float]) -> tuple[slice, ...] | None:
    """Bounding box of everything segmented, with room for the regions' margin."""
    found = ndimage.find_objects((labels > 0).astype(np.uint8))
    if not found:
        return None
    room = [int(np.ceil(MARGIN_MM / mm)) for mm in spacing]
    return tuple(slice(max(0, part.start - n), part.stop + n) for part, n in zip(found[0], room, strict=True))


def _as_one_volume(regions: Regions, structures: int, slice_size: int) -> Regions:
    """Slices given as samples become one sample."""
    number = torch.div(regions.pair, structures, rounding_mode="floor")
    return Regions(regions.pair % structures, number * slice_size + regions.voxel, regions.own)


def _voxels_by_structure(regions: Regions, structures: int) -> list[np.ndarray]:
    pair, voxel = regions.pair.numpy(), regions.voxel.numpy()
    return [voxel[pair == row] for row in range(structures)]


def _carriers(finding_map: np.ndarray, region: np.ndarray, score: float) -> np.ndarray:
    """The connected voxels around the brightest one that lie above the pooled score, which is never above it."""
    values = finding_map.ravel()[region]
    carries = np.zeros(finding_map.size, dtype=bool)
    carries[region[values >= min(score, values.max())]] = True
    blobs, _ = ndimage.label(carries.reshape(finding_map.shape), structure=np.ones((3,) * finding_map.ndim))
    brightest = np.unravel_index(region[values.argmax()], finding_map.shape)
    return np.argwhere(blobs == blobs[brightest])
