"""The folds of a trained model as one out-of-fold result: every case is judged by the model that did not see it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.evaluate import Evaluation, evaluate_folder
from nnunet_textguided.evaluation.finding_evaluation import (
    FindingEvaluation,
    evaluate_findings,
    read_predictions,
    read_truth,
)
from nnunet_textguided.evaluation.operating_points import choose_operating_points, leave_one_fold_out
from nnunet_textguided.files import load_json, save_json_atomic

BLOCK = "text_guidance"


def validation_folders(model: Path) -> dict[int, Path]:
    """List the folds that were validated.

    Args:
        model: TRAINER__PLANS__CONFIGURATION.

    Returns:
        Fold -> its folder `validation`.

    Raises:
        UserError: There is none.
    """
    found = {int(p.parent.name[5:]): p for p in model.glob("fold_[0-9]*/validation") if (p / "summary.json").is_file()}
    if not found:
        raise UserError(f"{model} holds no validated fold (fold_X/validation/summary.json). Train folds first.")
    return dict(sorted(found.items()))


def evaluate_folds(model: Path, truth: Path, exclude: Sequence[str] = (), num_processes: int = 1) -> Evaluation:
    """Score the segmentations of all folds as one set of cases.

    Args:
        model: Model folder.
        truth: Folder of label files.
        exclude: Structures that shall not count for the headline.
        num_processes: Processes that score cases.

    Raises:
        UserError: No folds, or a case that two folds validated.
    """
    ending = read_dataset_json(model / "dataset.json")["file_ending"]
    owner: dict[str, Path] = {}
    for folder in validation_folders(model).values():
        for file in folder.glob(f"*{ending}"):
            if file.name in owner:
                raise UserError(
                    f"{file} and {owner[file.name]}: two folds validated the same case; their splits differ."
                )
            owner[file.name] = file
    with tempfile.TemporaryDirectory() as together:
        for name, file in owner.items():
            (Path(together) / name).symlink_to(file.absolute())
        cases = [name.removesuffix(ending) for name in owner]
        return evaluate_folder(truth, together, model / "dataset.json", cases, exclude, num_processes=num_processes)


def gather_findings(model: Path) -> pd.DataFrame | None:
    """Join the findings of all folds.

    Args:
        model: Model folder.

    Returns:
        The columns of the folds' findings.csv, and fold; None if no fold has any.
    """
    parts = [
        read_predictions(folder / "findings.csv").assign(fold=fold)
        for fold, folder in validation_folders(model).items()
        if (folder / "findings.csv").is_file()
    ]
    return pd.concat(parts, ignore_index=True) if parts else None


def evaluate_finding_folds(model: Path, truth: Path) -> FindingEvaluation | None:
    """Score the findings of all folds; each fold is decided by thresholds chosen on the others.

    Args:
        model: Model folder.
        truth: findings.csv of the data set.

    Returns:
        None for a model without findings.
    """
    predicted = gather_findings(model)
    if predicted is None:
        return None
    known = predicted.dropna(subset="truth").assign(present=lambda rows: rows["truth"].astype(int))
    positive = leave_one_fold_out(known).reindex(predicted.index, fill_value=False)
    folds = predicted["fold"].nunique()
    words = "0.5, as there is one fold" if folds < 2 else f"chosen on the other {folds - 1} folds, by the best F1"
    return evaluate_findings(
        predicted.drop(columns="threshold", errors="ignore"), read_truth(truth), set(predicted["case"]), positive, words
    )


def store_operating_points(model: Path) -> dict[str, float]:
    """Choose each finding's threshold on all folds together and put it into the model's plans, to travel along.

    Args:
        model: Model folder of at least two folds with findings.

    Returns:
        Finding -> threshold.

    Raises:
        UserError: No fold has findings, or the plans are not those of a model with findings.
    """
    predicted = gather_findings(model)
    if predicted is None:
        raise UserError(
            f"{model} has no findings (fold_X/validation/findings.csv), so there is no threshold to choose."
        )
    known = predicted.dropna(subset="truth").assign(present=lambda rows: rows["truth"].astype(int))
    points = {name: round(value, 6) for name, value in choose_operating_points(known).items()}
    plans = load_json(model / "plans.json")
    if not isinstance(plans, dict) or not isinstance(plans.get(BLOCK), dict):
        raise UserError(f"{model / 'plans.json'} has no block {BLOCK}: it is not that of a model with findings.")
    plans[BLOCK]["operating_points"] = points
    save_json_atomic(plans, model / "plans.json")
    return points
