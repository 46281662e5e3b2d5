"""Compare a folder of predictions with the truth and write what came out."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from nnunet_textguided import __version__
from nnunet_textguided.csv_cells import write_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.cases import CaseFiles, match_cases
from nnunet_textguided.evaluation.metrics import score_case
from nnunet_textguided.evaluation.summary import RULES, headline, per_case, per_structure
from nnunet_textguided.evaluation.task import EvaluationError, EvaluationTask, find_dataset_json, read_task
from nnunet_textguided.files import save_json_atomic, without_nan


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        rows: One row a case and structure.
        structures: One row a structure.
        cases: One row a case.
        headline: The few numbers a paper would print.
        files: Which cases were paired.
        failed: Case -> why it could not be scored; empty unless failures were to be collected.
        task: What was scored.
    """

    rows: pd.DataFrame
    structures: pd.DataFrame
    cases: pd.DataFrame
    headline: dict[str, Any]
    files: CaseFiles
    failed: dict[str, str]
    task: EvaluationTask

    @property
    def complete(self) -> bool:
        """Whether every case of the truth was scored."""
        return not self.files.without_prediction and not self.failed


def evaluate_folder(
    truth: str | Path,
    prediction: str | Path,
    dataset_json: str | Path | None = None,
    cases: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
    fail_fast: bool = True,
    num_processes: int = 1,
) -> Evaluation:
    """Score every prediction that has a truth.

    Args:
        truth: Folder of label files.
        prediction: Folder of predictions of the same names.
        dataset_json: Says what the codes mean; found beside predictions or truth when None.
        cases: Cases to compare, by name or as splits_final.json:FOLD; every case of the truth when None.
        exclude: Structures that shall not count for the headline.
        fail_fast: Whether the first case that cannot be scored ends it; otherwise such cases are collected.
        num_processes: Processes that score cases.

    Raises:
        UserError: Folders, dataset.json or (with `fail_fast`) a case cannot be used.
    """
    truth, prediction = Path(truth), Path(prediction)
    for folder in (truth, prediction):
        if not folder.is_dir():
            raise EvaluationError(f"Expected a folder of label files at {folder}, found none.")
    task = read_task(find_dataset_json(truth, prediction, dataset_json), exclude)
    files = match_cases(truth, prediction, task.file_ending, cases)
    rows, failed = _score(files, task, fail_fast, num_processes)
    if not rows:
        raise EvaluationError("No case could be scored. " + " ".join(failed.values()))
    table = pd.DataFrame(rows)
    structures, by_case = per_structure(table, task), per_case(table, task)
    return Evaluation(table, structures, by_case, headline(by_case, structures), files, failed, task)


def write_evaluation(result: Evaluation, folder: str | Path, truth: str | Path, prediction: str | Path) -> list[Path]:
    """Write evaluation.csv (case x structure) and evaluation.json (means, headline, rules, counts, versions).

    Args:
        result: From `evaluate_folder`.
        folder: Made if missing.
        truth: What was compared, for the record.
        prediction: What was compared, for the record.

    Raises:
        UserError: The folder cannot be written to.
    """
    csv, json = Path(folder) / "evaluation.csv", Path(folder) / "evaluation.json"
    write_table(result.rows, csv)
    content = {
        "headline": result.headline,
        "headline_structures": result.task.headline_names,
        "structures": result.structures.to_dict("records"),
        "cases": result.cases.to_dict("records"),
        "counts": {
            "cases_scored": len(result.cases),
            "missing_predictions": result.files.without_prediction,
            "predictions_without_truth": result.files.without_truth,
            "failed": result.failed,
        },
        "rules": list(RULES),
        "inputs": {"truth": str(truth), "prediction": str(prediction), "dataset_json": str(result.task.origin)},
        "versions": _versions(),
    }
    save_json_atomic(without_nan(content), json)
    return [csv, json]


def _score(
    files: CaseFiles, task: EvaluationTask, fail_fast: bool, num_processes: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    pool = None
    if num_processes > 1:
        pool = ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn"))
        pending = {case: pool.submit(score_case, case, *pair, task) for case, pair in files.pairs.items()}
    try:
        for case, pair in files.pairs.items():
            try:
                rows.extend(score_case(case, *pair, task) if pool is None else pending[case].result())
            except UserError as error:
                if fail_fast:
                    raise
                failed[case] = str(error)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return rows, failed


def _versions() -> dict[str, str]:
    versions = {"nnunet_textguided": __version__}
    for package in ("nnunetv2", "numpy", "SimpleITK"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "unknown"
    return versions
