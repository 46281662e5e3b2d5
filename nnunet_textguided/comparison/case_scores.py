"""One number a case and measure: the unit that all means and all paired statistics are made of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from nnunet_textguided.comparison.system_rows import OWNER
from nnunet_textguided.evaluation.summary import in_truth

HEADLINE = {"iou": "miou", "dice": "mdice", "hd95_mm": "hd95_mm", "assd_mm": "assd_mm", "recall": "recall"}
"""Column of the scores -> name of its mean over the headline structures of a case."""
GROUPED = ("dice", "iou", "hd95_mm", "assd_mm")


def group_measure(column: str, group: str) -> str:
    """Name the mean of a score over a group of structures.

    Args:
        column: One of GROUPED.
        group: Such as "vertebrae".
    """
    return f"{column}_{group}"


def score_cases(
    rows: pd.DataFrame, cases: Sequence[str], headline: Collection[str], groups: Mapping[str, Collection[str]]
) -> pd.DataFrame:
    """Average over the structures of each case, by the rules of `evaluation.summary`.

    A structure counts where the truth has it; missed, its IoU, Dice and recall are 0. HD95 and ASSD (mm) are means over
    the structures that truth and prediction both have, as they are not defined for a missed one.

    Args:
        rows: Scores of all systems: OWNER, case, structure, status, iou, dice, recall, hd95_mm, assd_mm.
        cases: All cases, sorted.
        headline: Structures that count.
        groups: Group -> structures.

    Returns:
        Long: system, repeat, case, measure, value; a row for every combination, NaN where nothing is defined.
    """
    present = in_truth(rows)
    parts = [_means(present, headline, list(HEADLINE)).rename(columns=HEADLINE)]
    for group, names in groups.items():
        own = _means(present, names, list(GROUPED))
        parts.append(own.rename(columns={column: group_measure(column, group) for column in GROUPED}))
    owners = rows[OWNER].drop_duplicates()
    index = pd.MultiIndex.from_tuples(
        [(*owner, case) for owner in owners.itertuples(index=False) for case in cases], names=[*OWNER, "case"]
    )
    wide = pd.concat([part.reindex(index) for part in parts], axis=1)
    long = wide.reset_index().melt([*OWNER, "case"], var_name="measure", value_name="value")
    return long.astype({"value": float})


def structure_cases(rows: pd.DataFrame) -> pd.DataFrame:
    """Average each structure of each case over the repeats of a system.

    Args:
        rows: Scores of all systems.

    Returns:
        Columns system, case, structure, iou, dice, hd95_mm, assd_mm; a row for every structure in the truth.
    """
    keys = ["system", "case", "structure"]
    return in_truth(rows).groupby(keys, sort=False, as_index=False)[["iou", "dice", "hd95_mm", "assd_mm"]].mean()


def mean_over_repeats(scores: pd.DataFrame) -> pd.DataFrame:
    """Average over the repeats of a system, case by case; a repeat where a value is not defined is left out.

    Args:
        scores: From `score_cases`.

    Returns:
        Long: system, case, measure, value, in the order of `scores`.
    """
    return scores.groupby(["system", "case", "measure"], sort=False, as_index=False)["value"].mean()


def _means(present: pd.DataFrame, names: Collection[str], columns: list[str]) -> pd.DataFrame:
    own = present[present["structure"].isin(list(names))]
    return own.groupby([*OWNER, "case"])[columns].mean()
