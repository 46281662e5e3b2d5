"""From rows of case and structure to means: per structure, per case, and the headline."""

from __future__ import annotations

from typing import Any

import pandas as pd

from nnunet_textguided.evaluation.metrics import ABSENT, FALSE, MISSED, NOT_ANNOTATED, SCORED
from nnunet_textguided.evaluation.task import EvaluationTask

RULES = (
    "IoU = TP / (TP + FP + FN) and Dice = 2 TP / (2 TP + FP + FN) over the voxels of one case, counted by nnU-Net.",
    "A structure in the truth but not in the prediction scores 0 (missed).",
    "A structure in neither is not counted (absent).",
    "A structure in the prediction but not in the truth is counted and shown as a false structure; it enters no mean "
    "of IoU, Dice or recall, but its precision is 0.",
    "Structures that the source of a case does not annotate are left out for that case.",
    "Headline: for each case the mean over the headline structures in its truth; then mean and standard deviation "
    "(n - 1) over cases.",
    "Cases without a prediction are named and enter no mean.",
)

MEASURES = ("iou", "dice", "recall")


def in_truth(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of structures that the truth has.

    Args:
        rows: From `score_case`.
    """
    return rows[rows["status"].isin([SCORED, MISSED])]


def per_structure(rows: pd.DataFrame, task: EvaluationTask) -> pd.DataFrame:
    """Return one row a structure, in the order of the labels.

    Args:
        rows: From `score_case`, of all cases.
        task: What was scored.

    Returns:
        Columns structure, code, in_headline, mean iou/dice/recall/precision, sd of iou and dice, n (cases that have it
        in the truth), missed, absent, false_structures, not_annotated (numbers of cases).
    """
    table = []
    for structure in task.structures:
        own = rows[rows["structure"] == structure.name]
        present, count = in_truth(own), own["status"].value_counts()
        table.append(
            {
                "structure": structure.name,
                "code": structure.code_text,
                "in_headline": structure.in_headline,
                **{measure: present[measure].mean() for measure in MEASURES},
                "precision": own["precision"].mean(),
                **{f"{measure}_sd": present[measure].std(ddof=1) for measure in ("iou", "dice")},
                "n": len(present),
                "missed": int(count.get(MISSED, 0)),
                "absent": int(count.get(ABSENT, 0)),
                "false_structures": int(count.get(FALSE, 0)),
                "not_annotated": int(count.get(NOT_ANNOTATED, 0)),
            }
        )
    return pd.DataFrame(table)


def per_case(rows: pd.DataFrame, task: EvaluationTask) -> pd.DataFrame:
    """Return one row a case: means over the headline structures in its truth.

    Args:
        rows: From `score_case`, of all cases.
        task: What was scored.

    Returns:
        Columns case, miou, mdice, recall (NaN where the truth has no headline structure), structures, missed,
        false_structures.
    """
    table = []
    for case, own in rows[rows["structure"].isin(task.headline_names)].groupby("case", sort=True):
        present = in_truth(own)
        table.append(
            {
                "case": case,
                "miou": present["iou"].mean(),
                "mdice": present["dice"].mean(),
                "recall": present["recall"].mean(),
                "structures": len(present),
                "missed": int((own["status"] == MISSED).sum()),
                "false_structures": int((own["status"] == FALSE).sum()),
            }
        )
    return pd.DataFrame(table)


def headline(cases: pd.DataFrame, structures: pd.DataFrame) -> dict[str, Any]:
    """Return the few numbers a paper would print.

    Args:
        cases: From `per_case`.
        structures: From `per_structure`.

    Returns:
        miou and mdice with mean and sd over cases, how many structures they cover and how many of these occur, and how
        many structures were missed or false.
    """
    counted = structures[structures["in_headline"]]
    scored_cases = cases["miou"].notna().sum()
    # Annotated: at least one case's source has it, even where it lies outside every field of view.
    covered = counted[counted["not_annotated"] < len(cases)]
    return {
        "miou_mean": cases["miou"].mean(),
        "miou_sd": cases["miou"].std(ddof=1),
        "mdice_mean": cases["mdice"].mean(),
        "mdice_sd": cases["mdice"].std(ddof=1),
        "cases": int(scored_cases),
        "cases_without_structure": int(len(cases) - scored_cases),
        "structures_total": len(counted),
        "structures_covered": len(covered),
        "structures_in_truth": int((counted["n"] > 0).sum()),
        "left_out": [name for name in counted["structure"] if name not in set(covered["structure"])],
        "missed": int(cases["missed"].sum()),
        "false_structures": int(cases["false_structures"].sum()),
    }
