"""The SPIDER challenge's score: Dice, detection rate and surface distance of structures matched by overlap.

Definition: van der Graaf et al., Scientific Data 11, 264 (2024), and DIAGNijmegen/SPIDER-Evaluation, `evaluation.py`.
See docs/spider_score.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import KDTree

from nnunet_textguided.comparison.label_overlap import Match, checked_pair, match_labels
from nnunet_textguided.errors import UserError
from nnunet_textguided.text.spine_parts import CANAL, DISCS, SACRUM, VERTEBRAE, single_labels, spine_parts

COLUMNS = ("case", "group", "structure", "matched", "dice", "detected", "asd_mm", "asd_official_mm")
OVERALL = "overall"
_VOXELS_PER_QUERY = 30  # a query of the tree takes 3 to 5 us, a voxel of the distance transform 0.12 us


def score_instances(
    case: str,
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    names: Mapping[Any, str],
    ignore_label: int | None = None,
) -> list[dict[str, Any]]:
    """Score every vertebra, disc and canal of the truth against the predicted label that overlaps it most.

    The sacrum is no row, as the challenge has none, but it can be what a vertebra is matched with.

    Args:
        case: Its name.
        truth: Label codes (D, H, W), axes z, y, x as nnU-Net's readers give them.
        prediction: Label codes (D, H, W).
        spacing: Distance of voxels in mm, in the order of the arrays' axes.
        names: Label code -> name, without background and ignore label (`spine_parts.single_labels`: regions may be in).
        ignore_label: Code of voxels of the truth that count for nothing, or None.

    Returns:
        One row a structure, by code: case, group ("vertebrae", "discs", "canal"), structure, matched (name of the
        predicted label, "" where none overlaps), dice (0 without overlap), detected, asd_mm and asd_official_mm (with
        the spacing in reversed order, as the official script has it); NaN without overlap. No row where the labels are
        no spine.

    Raises:
        UserError: Shapes or spacing do not fit, or a value is no label code.
    """
    truth, prediction = checked_pair(truth, prediction, ignore_label, case)
    steps = _checked_spacing(case, spacing, truth.ndim)
    labels = single_labels(names)
    instances = {code: part for code, part in spine_parts(labels).items() if part.group != SACRUM}
    matches = {code: match for code, match in match_labels(truth, prediction).items() if code in instances}
    true_borders = border_voxels(truth, matches)
    predicted_borders = border_voxels(prediction, {match.code for match in matches.values() if match})
    return [
        {
            "case": case,
            "group": instances[code].group,
            "structure": instances[code].name,
            "matched": labels.get(match.code, str(match.code)) if match else "",
            "dice": match.dice if match else 0.0,
            "detected": match is not None and match.detected,
            **_distances(true_borders[code], match, predicted_borders, steps),
        }
        for code, match in matches.items()
    ]


def summarise_instances(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a case with the challenge's means.

    Args:
        rows: From `score_instances`, of any number of cases.

    Returns:
        Columns case; dice_GROUP (vertebrae and discs: of the detected ones; canal: its own; overall: of all structures,
        detected or not); detection_GROUP (share detected); asd_mm_GROUP (of the structures with an overlap);
        asd_official_mm_GROUP (undefined if it is for one structure of the group); without_overlap (number of
        structures). GROUP is vertebrae, discs, canal or overall. NaN where a case has nothing to average.
    """
    if rows.empty:
        return pd.DataFrame(columns=["case", *_case_means(pd.DataFrame(columns=COLUMNS))])
    return pd.DataFrame([{"case": case, **_case_means(own)} for case, own in rows.groupby("case", sort=True)])


def border_voxels(labels: np.ndarray, codes: Iterable[int]) -> dict[int, np.ndarray]:
    """Return the positions (N, 3) of the voxels of each label that touch another one, also by an edge or a corner.

    Voxels at the image's edge are border. Each label is eroded within its bounding box: what lies outside is
    background for it, as beyond the image's edge.

    Args:
        labels: Label codes (D, H, W).
        codes: Of the labels wanted; each must be there.
    """
    full = ndimage.generate_binary_structure(labels.ndim, labels.ndim)
    boxes = ndimage.find_objects(labels)
    borders = {}
    for code in codes:
        box = boxes[code - 1]
        mask = labels[box] == code
        inner = ndimage.binary_erosion(mask, structure=full, border_value=0)
        borders[code] = np.argwhere(mask & ~inner) + [side.start for side in box]
    return borders


def average_surface_distance(one: np.ndarray, other: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the mean distance of the border voxels of two objects from the nearest one of the other, both ways pooled.

    Args:
        one: Positions (N, 3) of border voxels.
        other: Positions (M, 3) of border voxels.
        spacing: Distance of voxels along each axis in mm.

    Returns:
        The distance in mm.
    """
    both = nearest_distances(one, other, spacing), nearest_distances(other, one, spacing)
    return float(np.concatenate(both).mean())


def nearest_distances(points: np.ndarray, targets: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Return the distance (N,) in mm of every point from the nearest target.

    Asks a tree for the few points of usual structures however far stray voxels lie apart, and transforms the whole box
    where the points fill much of it.

    Args:
        points: Voxel positions (N, 3).
        targets: Voxel positions (M, 3).
        spacing: Distance of voxels along each axis in mm.
    """
    low = np.minimum(points.min(0), targets.min(0))
    shape = np.maximum(points.max(0), targets.max(0)) - low + 1
    if len(points) * _VOXELS_PER_QUERY < np.prod(shape):
        return KDTree(targets * np.asarray(spacing)).query(points * np.asarray(spacing))[0]
    field = np.ones(shape, dtype=bool)
    field[tuple((targets - low).T)] = False
    return ndimage.distance_transform_edt(field, sampling=spacing)[tuple((points - low).T)]


def _distances(
    border: np.ndarray, match: Match | None, predicted: Mapping[int, np.ndarray], steps: tuple[float, ...]
) -> dict[str, float]:
    if match is None:
        return {"asd_mm": np.nan, "asd_official_mm": np.nan}
    distance = average_surface_distance(border, predicted[match.code], steps)
    swapped = steps[::-1]
    official = distance if swapped == steps else average_surface_distance(border, predicted[match.code], swapped)
    return {"asd_mm": distance, "asd_official_mm": official}


def _case_means(rows: pd.DataFrame) -> dict[str, float]:
    groups = {name: rows[rows["group"] == name] for name in (VERTEBRAE, DISCS, CANAL)} | {OVERALL: rows}
    counted = {name: own if name in (CANAL, OVERALL) else own[own["detected"].eq(True)] for name, own in groups.items()}
    return {
        **{f"dice_{name}": own["dice"].mean() for name, own in counted.items()},
        **{f"detection_{name}": own["detected"].astype(float).mean() for name, own in groups.items()},
        **{f"asd_mm_{name}": own["asd_mm"].mean() for name, own in groups.items()},
        **{f"asd_official_mm_{name}": own["asd_official_mm"].mean(skipna=False) for name, own in groups.items()},
        "without_overlap": int(rows["asd_mm"].isna().sum()),
    }


def _checked_spacing(case: str, spacing: Sequence[float], dimensions: int) -> tuple[float, ...]:
    steps = tuple(float(step) for step in spacing)
    if len(steps) != dimensions or not all(np.isfinite(step) and step > 0 for step in steps):
        raise UserError(f"Case {case}: expected {dimensions} spacings above 0 mm, one an axis, got {list(spacing)}.")
    return steps
