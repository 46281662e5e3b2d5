"""The numbers of one case, counted by nnU-Net's own metric code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnunet_textguided.evaluation.task import EvaluationError, EvaluationTask
from nnunet_textguided.image_headers import check_image

SCORED, MISSED, FALSE, ABSENT, NOT_ANNOTATED = "scored", "missed", "false structure", "absent", "not annotated"
GRID_TOLERANCE = 0.1  # of the smallest spacing: formats store origins in float32, and none of that shifts a voxel
DIRECTION_TOLERANCE = 1e-3


class _InMemory:
    """What nnU-Net's metric code takes for a reader, so that files are read once and checked on the way."""

    def __init__(self, masks: dict[str, np.ndarray]) -> None:
        self.masks = masks

    def read_seg(self, name: str) -> tuple[np.ndarray, dict[str, Any]]:
        return self.masks[name], {}


def score_case(case: str, truth: Path, prediction: Path, task: EvaluationTask) -> list[dict[str, Any]]:
    """Compare one prediction with its truth.

    Args:
        case: Its name.
        truth: Label file.
        prediction: Label file.
        task: What to score.

    Returns:
        One row a structure: case, structure, code, status, iou, dice, recall, precision, tp, fp, fn, n_ref, n_pred.

    Raises:
        EvaluationError: A file is unreadable or holds unknown codes, or the two differ in geometry.
    """
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics

    reader = _reader(task)
    masks, properties = {}, {}
    for file in (truth, prediction):
        masks[str(file)], properties[str(file)] = _read(reader, file)
    _check_geometry(case, (truth, prediction), masks, properties)
    for file in (truth, prediction):
        _check_codes(file, masks[str(file)], task)
    counted = compute_metrics(
        str(truth), str(prediction), _InMemory(masks), [s.code for s in task.structures], task.ignore_label
    )["metrics"]
    left_out = task.not_annotated(case)
    return [
        {
            "case": case,
            "structure": structure.name,
            "code": structure.code_text,
            **_row(counted[structure.code], annotated=structure.name not in left_out),
        }
        for structure in task.structures
    ]


def _row(counts: dict[str, Any], annotated: bool) -> dict[str, Any]:
    tp, fp, fn = (int(counts[key]) for key in ("TP", "FP", "FN"))
    n_ref, n_pred = tp + fn, tp + fp
    if not annotated:
        status = NOT_ANNOTATED
    elif n_ref:
        status = SCORED if n_pred else MISSED
    else:
        status = FALSE if n_pred else ABSENT
    known = status in (SCORED, MISSED, FALSE)
    return {
        "status": status,
        "iou": float(counts["IoU"]) if known else np.nan,
        "dice": float(counts["Dice"]) if known else np.nan,
        "recall": tp / n_ref if known and n_ref else np.nan,
        "precision": tp / n_pred if known and n_pred else np.nan,
        **{"tp": tp, "fp": fp, "fn": fn, "n_ref": n_ref, "n_pred": n_pred},
    }


def _reader(task: EvaluationTask) -> Any:
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    try:
        return determine_reader_writer_from_dataset_json(task.dataset_json, verbose=False)()
    except RuntimeError as error:
        raise EvaluationError(f"nnU-Net has no reader for the file ending in {task.origin}: {error}") from error


def _read(reader: Any, file: Path) -> tuple[np.ndarray, dict[str, Any]]:
    check_image(file)
    try:
        return reader.read_seg(str(file))
    except (RuntimeError, OSError, ValueError) as error:
        reason = [line for line in str(error).splitlines() if line.strip()][-1:]
        raise EvaluationError(f"{file} is not a readable label image. {' '.join(reason)}") from error


def _check_geometry(
    case: str, files: tuple[Path, Path], masks: dict[str, np.ndarray], properties: dict[str, dict[str, Any]]
) -> None:
    one, other = (masks[str(file)].shape[1:] for file in files)
    problems = [] if one == other else [f"size (z, y, x) {one} and {other}"]
    first, second = (properties[str(file)] for file in files)
    if not np.allclose(first["spacing"], second["spacing"], rtol=1e-3):
        problems.append(f"spacing (z, y, x) {_short(first['spacing'])} and {_short(second['spacing'])} mm")
    first, second = first.get("sitk_stuff") or {}, second.get("sitk_stuff") or {}
    if first and second and not problems:
        if np.abs(np.subtract(first["direction"], second["direction"])).max() > DIRECTION_TOLERANCE:
            problems.append(f"direction {_short(first['direction'])} and {_short(second['direction'])}")
        if np.abs(np.subtract(first["origin"], second["origin"])).max() > GRID_TOLERANCE * min(first["spacing"]):
            problems.append(f"origin {_short(first['origin'])} and {_short(second['origin'])} mm")
    if problems:
        raise EvaluationError(
            f"Case {case}: truth {files[0]} and prediction {files[1]} differ in {'; '.join(problems)}. Predict images "
            "in the truth's geometry (nnunet_textguided predict writes back in the geometry of its input)."
        )


def _check_codes(file: Path, mask: np.ndarray, task: EvaluationTask) -> None:
    found = np.unique(mask)
    unknown = [value for value in found.tolist() if value not in task.known_codes]
    if unknown:
        shown = ", ".join(f"{value:g}" for value in unknown[:10])
        raise EvaluationError(f"{file} holds codes that {task.origin} does not name: {shown}.")


def _short(numbers: Any) -> str:
    return "(" + ", ".join(f"{float(number):g}" for number in numbers) + ")"
