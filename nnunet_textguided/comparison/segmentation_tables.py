"""Tables of segmentation: a row a system, a row a system and structure, a row a system and group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.case_scores import GROUPED, HEADLINE, group_measure
from nnunet_textguided.comparison.grid import System
from nnunet_textguided.comparison.system_rows import OWNER
from nnunet_textguided.evaluation.metrics import ABSENT, FALSE, MISSED, NOT_ANNOTATED, SCORED
from nnunet_textguided.evaluation.summary import in_truth

STRUCTURE_MEANS = ("iou", "dice", "recall", "precision", "hd95_mm", "assd_mm")


def overall_table(
    systems: Sequence[System], rows: pd.DataFrame, repeats: pd.DataFrame, cases: pd.DataFrame, headline: Collection[str]
) -> pd.DataFrame:
    """Return a row a system: mean and sd (n - 1) over cases of each headline measure.

    Args:
        systems: In the order of the table.
        rows: Scores of all systems.
        repeats: Of `score_cases`.
        cases: The same, averaged over repeats.
        headline: Structures that count.

    Returns:
        Columns system, trainer, plans, repeats, cases (that have a headline structure), `<measure>_mean`, `_sd`,
        `_repeats_sd` (of the repeats' means, NaN for one), missed, false_structures (a repeat, summed over cases).
    """
    counts = _counts(rows[rows["structure"].isin(list(headline))], ["system"])
    table = []
    for system in systems:
        own, each = cases[cases["system"] == system.label], repeats[repeats["system"] == system.label]
        row: dict[str, Any] = {
            "system": system.label,
            "trainer": system.trainer,
            "plans": ", ".join(system.plans),
            "repeats": len(system.plans),
            "cases": int(own.loc[own["measure"] == "miou", "value"].notna().sum()),
        }
        for measure in HEADLINE.values():
            values = own.loc[own["measure"] == measure, "value"]
            means = each[each["measure"] == measure].groupby("repeat")["value"].mean()
            row |= {f"{measure}_mean": values.mean(), f"{measure}_sd": values.std(ddof=1)}
            row[f"{measure}_repeats_sd"] = means.std(ddof=1)
        row |= {name: counts.at[system.label, status] for name, status in _NAMES.items() if name in _HEADLINE_COUNTS}
        table.append(row)
    return pd.DataFrame(table)


def structure_table(rows: pd.DataFrame, names: Sequence[str], headline: Collection[str]) -> pd.DataFrame:
    """Return a row a system and structure.

    Args:
        rows: Scores of all systems.
        names: Structures, in order.
        headline: Those that count for the headline.

    Returns:
        Columns system, structure, in_headline, mean and `_sd` over cases of iou, dice, recall, hd95_mm, assd_mm (cases
        that have it in the truth) and precision (cases that have it in the prediction), n (cases with it in the
        truth), and numbers of cases missed, absent, false_structures, not_annotated, averaged over repeats.
    """
    keys = ["system", "structure"]
    of_case = rows.groupby([*keys, "case"], sort=False)
    means = of_case["precision"].mean().to_frame()
    truth = in_truth(rows).groupby([*keys, "case"], sort=False)[[m for m in STRUCTURE_MEANS if m != "precision"]].mean()
    over_cases = means.join(truth).groupby(level=keys, sort=False)
    counts = _counts(rows, keys)
    table = pd.DataFrame(index=counts.index)
    for measure in STRUCTURE_MEANS:
        table[measure], table[f"{measure}_sd"] = over_cases[measure].mean(), over_cases[measure].std(ddof=1)
    table["n"] = counts[SCORED] + counts[MISSED]
    for name, status in _NAMES.items():
        table[name] = counts[status]
    order = pd.MultiIndex.from_product([rows["system"].unique(), names], names=keys)
    table = table.reindex(order).reset_index()
    table.insert(2, "in_headline", table["structure"].isin(list(headline)))
    return table


def group_table(rows: pd.DataFrame, cases: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return a row a system and group: mean and sd over the means of each case.

    Args:
        rows: Scores of all systems.
        cases: Of `mean_over_repeats`.
        groups: Group -> structures.

    Returns:
        Columns system, group, structures (their number), cases (that have one of them), `<score>_mean` and `_sd` of
        dice, iou, hd95_mm and assd_mm, missed and false_structures (a repeat, summed over cases).
    """
    table = []
    for system in cases["system"].unique():
        own = cases[cases["system"] == system]
        for group, names in groups.items():
            values = {c: own.loc[own["measure"] == group_measure(c, group), "value"] for c in GROUPED}
            row: dict[str, Any] = {"system": system, "group": group, "structures": len(names)}
            row["cases"] = int(values["dice"].notna().sum())
            for column, value in values.items():
                row |= {f"{column}_mean": value.mean(), f"{column}_sd": value.std(ddof=1)}
            counts = _counts(rows[(rows["system"] == system) & rows["structure"].isin(list(names))], ["system"])
            row |= {name: counts.at[system, status] for name, status in _NAMES.items() if name in _HEADLINE_COUNTS}
            table.append(row)
    return pd.DataFrame(table)


_NAMES = {"missed": MISSED, "absent": ABSENT, "false_structures": FALSE, "not_annotated": NOT_ANNOTATED}
_HEADLINE_COUNTS = ("missed", "false_structures")


def _counts(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Number of rows of each status, averaged over the repeats of a system."""
    every = [SCORED, *_NAMES.values()]
    counted = rows.groupby([*OWNER, *(key for key in keys if key not in OWNER)], sort=False)["status"].value_counts()
    wide = counted.unstack("status", fill_value=0).reindex(columns=every, fill_value=0)
    return wide.groupby(level=keys, sort=False).mean()
