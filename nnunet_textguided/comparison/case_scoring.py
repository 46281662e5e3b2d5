"""Everything that is measured on one case: overlap, surface distances, and for spines instances and level shifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnunet_textguided.comparison.surface import surface_distances
from nnunet_textguided.evaluation.metrics import NOT_ANNOTATED, score_case
from nnunet_textguided.evaluation.task import EvaluationTask, Structure
from nnunet_textguided.spine import SPINE_STRUCTURES


class CaseScores(NamedTuple):
    """Scores of one case.

    Attributes:
        structures: A row a structure: the columns of `score_case`, hd95_mm, assd_mm.
        instances: A row a true instance; empty where the labels are no spine.
        shift: Of levels, NaN = undecided; None where the labels are no spine.
    """

    structures: list[dict[str, Any]]
    instances: list[dict[str, Any]]
    shift: float | None


def score_one(case: str, truth_file: Path, prediction_file: Path, task: EvaluationTask) -> CaseScores:
    """Compare one prediction with its truth in every way.

    Voxels of the truth's ignore label count as background in both masks, as they count for nothing in the overlap.

    Args:
        case: Its name.
        truth_file: Label file.
        prediction_file: Label file.
        task: What to score.

    Raises:
        UserError: A file is unreadable or holds unknown codes, or the two differ in geometry.
    """
    rows = score_case(case, truth_file, prediction_file, task)
    truth, prediction, spacing = _read_pair(truth_file, prediction_file, task)
    for structure, row in zip(task.structures, rows, strict=True):
        distances = (float("nan"),) * 2
        if row["status"] != NOT_ANNOTATED:
            distances = surface_distances(_mask(truth, structure), _mask(prediction, structure), spacing)
        row["hd95_mm"], row["assd_mm"] = distances
    names = spine_names(task)
    if not names:
        return CaseScores(rows, [], None)
    return CaseScores(rows, *spine_rows(case, truth, prediction, spacing, names))


def spine_names(task: EvaluationTask) -> dict[int, str]:
    """Return code -> name of every structure; empty where the labels are no spine.

    What a source does not annotate is among them: a vertebra that is called by such a name is named wrongly, too.

    Args:
        task: What is scored.
    """
    names = {s.code: s.name for s in task.structures if isinstance(s.code, int)}
    return names if set(names.values()) & set(SPINE_STRUCTURES) else {}


def spine_rows(
    case: str, truth: np.ndarray, prediction: np.ndarray, spacing_mm: Sequence[float], names: Mapping[int, str]
) -> tuple[list[dict[str, Any]], float]:
    """Score instances as SPIDER's challenge does, and how many levels the names are off.

    Args:
        case: Its name.
        truth: (Z, Y, X) codes.
        prediction: Of the same shape.
        spacing_mm: (z, y, x).
        names: Code -> structure.

    Returns:
        A row a true instance, and the shift in levels.
    """
    from nnunet_textguided.comparison.level_shift import level_shift
    from nnunet_textguided.comparison.spider_score import score_instances

    return score_instances(case, truth, prediction, spacing_mm, names), level_shift(truth, prediction, names)


def _read_pair(
    truth_file: Path, prediction_file: Path, task: EvaluationTask
) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Both masks (Z, Y, X) and their spacing in mm; `score_case` has found them readable and alike."""
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    reader = determine_reader_writer_from_dataset_json(task.dataset_json, verbose=False)()
    truth, properties = reader.read_seg(str(truth_file))
    prediction, _ = reader.read_seg(str(prediction_file))
    truth, prediction = truth[0].astype(np.int64), prediction[0].astype(np.int64)
    if task.ignore_label is not None:
        ignored = truth == task.ignore_label
        truth[ignored] = prediction[ignored] = 0
    return truth, prediction, tuple(float(value) for value in properties["spacing"])


def _mask(codes: np.ndarray, structure: Structure) -> np.ndarray:
    return np.isin(codes, structure.code) if isinstance(structure.code, tuple) else codes == structure.code
