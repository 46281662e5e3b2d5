"""Findings of a folder of predictions, or of the folds of a model, against the truth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nnunet_textguided.csv_cells import read_table, write_table
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.finding_metrics import score_findings
from nnunet_textguided.evaluation.finding_table import KEYS, assessed, join_truth
from nnunet_textguided.evaluation.point_rule import RADIUS_MM, match_points
from nnunet_textguided.files import save_json_atomic

POINT = ["x_mm", "y_mm", "z_mm"]
RULES = (
    "A decision is a (case, structure, finding) that a reader assessed; what was not assessed is not counted.",
    "A finding at a structure that was not segmented has probability 0.",
    "FPR = FP / (FP + TN). What is not defined (no present or no absent decision) is shown as such, never as 0 or 1.",
    "Intervals: 95 % percentile bootstrap over cases.",
    f"Point rule: a predicted finding within {RADIUS_MM:g} mm of the marked point of the same finding is a hit.",
)


@dataclass(frozen=True)
class FindingEvaluation:
    """What an evaluation of findings found.

    Attributes:
        scores: One row a finding and one pooled, see `score_findings`.
        points: Outcome of the point rule, None where no points are annotated.
        table: Every decision: truth, probability, positive.
        thresholds: In words, where the operating points come from.
    """

    scores: pd.DataFrame
    points: dict[str, float] | None
    table: pd.DataFrame
    thresholds: str


def read_truth(path: Path) -> pd.DataFrame:
    """Read findings.csv of a data set as columns KEYS, truth and POINT.

    Args:
        path: The file.

    Raises:
        UserError: It is not such a file.
    """
    table = _read(path, [*KEYS, "present"])
    table = table.rename(columns={"present": "truth"})
    for name in POINT:
        if name not in table:
            table[name] = float("nan")
    return table[[*KEYS, "truth", *POINT]].drop_duplicates(KEYS)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read findings.csv of a prediction or validation folder.

    Args:
        path: The file.

    Raises:
        UserError: It is not such a file.
    """
    return _read(path, [*KEYS, "probability"])


def evaluate_findings(
    predicted: pd.DataFrame,
    truth: pd.DataFrame,
    cases: Collection[str],
    positive: pd.Series | None = None,
    thresholds: str = "operating points of the model",
) -> FindingEvaluation:
    """Score predictions.

    Args:
        predicted: Columns KEYS, probability, threshold and POINT.
        truth: Of `read_truth`.
        cases: Cases to score; the truth of others is left out.
        positive: For each row of `predicted` whether it is called present; by `threshold` when None.
        thresholds: Where that comes from, in words.

    Raises:
        UserError: None of the cases is assessed.
    """
    truth = truth[truth["case"].isin(set(cases))]
    if truth.empty:
        raise UserError("None of the predicted cases is assessed in findings.csv: there is nothing to score.")
    called = predicted["probability"] >= predicted["threshold"] if positive is None else positive
    own = predicted.drop(columns=["truth", "present"], errors="ignore").assign(positive=called)
    if "segmented" in own:  # of a validation folder: the rows of structures that were not segmented come back below
        own = own[own["segmented"]].drop(columns="segmented")
    table = join_truth(own, truth)
    table["positive"] = table["positive"].eq(True)
    return FindingEvaluation(
        score_findings(assessed(table, table["positive"])), _points(table, truth), table, thresholds
    )


def write_finding_evaluation(result: FindingEvaluation, folder: Path) -> list[Path]:
    """Write findings_evaluation.csv (every decision) and findings_evaluation.json (scores and rules).

    Args:
        result: What was found.
        folder: Made if missing.
    """
    csv, json = folder / "findings_evaluation.csv", folder / "findings_evaluation.json"
    write_table(result.table, csv)
    scores = result.scores.astype(object).where(result.scores.notna(), None)
    content: dict[str, Any] = {
        "findings": scores.to_dict("index"),
        "points": None if result.points is None else {k: None if v != v else v for k, v in result.points.items()},
        "thresholds": result.thresholds,
        "rules": list(RULES),
    }
    save_json_atomic(content, json)
    return [csv, json]


def _points(table: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float] | None:
    marked = truth[(truth["truth"] == 1) & truth[POINT].notna().all(axis=1)]
    if marked.empty or not set(POINT) <= set(table):
        return None
    called = table[table["positive"] & table[POINT].notna().all(axis=1)]
    return match_points(marked, called[called["case"].isin(truth["case"])])


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"Expected findings at {path}, found no such file.")
    table = read_table(path, KEYS)
    missing = [name for name in columns if name not in table]
    if missing:
        raise UserError(f"{path}: expected the columns {columns}, missing are {missing}.")
    return table
