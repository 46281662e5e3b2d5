"""The reference against every other system, measure by measure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from nnunet_textguided.comparison.paired import holm, paired_statistics

P_VALUES = ("wilcoxon_p", "t_p", "bootstrap_p")
COLUMNS = (
    *("measure", "system", "reference", "n", "dropped", "reference_mean", "system_mean", "difference", "low", "high"),
    *("wilcoxon_p", "wilcoxon_p_holm", "t_p", "t_p_holm", "d_z", "cohens_d", "bootstrap_p", "bootstrap_p_holm"),
)


def case_statistics(cases: pd.DataFrame, reference: str, seed: int, repeats: int) -> pd.DataFrame:
    """Compare the reference with every other system on the same cases.

    Args:
        cases: Of `mean_over_repeats`.
        reference: Label of the reference.
        seed: Of the bootstrap.
        repeats: Bootstrap resamples.

    Returns:
        A row a measure and other system, see COLUMNS; differences are reference - other.
    """
    rows = []
    for measure, part in cases.groupby("measure", sort=False):
        values = part.pivot(index="case", columns="system", values="value")
        for system in part["system"].unique():
            if system == reference:
                continue
            found = asdict(paired_statistics(values[reference].array, values[system].array, seed, repeats))
            found["system_mean"] = found.pop("other_mean")
            rows.append({"measure": measure, "system": system, "reference": reference, **found})
    return with_holm(pd.DataFrame(rows, columns=[name for name in COLUMNS if not name.endswith("_holm")]))


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Add P values corrected over the other systems, within each measure and test.

    Args:
        table: A row a measure and other system, with P_VALUES.

    Returns:
        The table with COLUMNS.
    """
    table = table.copy()
    for name in P_VALUES:
        table[name] = table[name].astype(float)
        corrected = table.groupby("measure", sort=False)[name].transform(lambda part: holm(part.to_numpy()))
        table[f"{name}_holm"] = corrected.astype(float) if len(table) else np.nan
    return table[list(COLUMNS)]


def upper_lower_table(
    cases: pd.DataFrame, systems: Sequence[str], groups: Collection[str], seed: int, repeats: int
) -> pd.DataFrame:
    """Test each system's Dice of upper against lower structures, paired over the cases that have both.

    Args:
        cases: Of `mean_over_repeats`.
        systems: Labels, in order.
        groups: Those of the data set.
        seed: Of the bootstrap.
        repeats: Bootstrap resamples.

    Returns:
        A row a system: n, dropped, upper_mean, upper_sd, lower_mean, lower_sd, difference (upper - lower), low, high,
        wilcoxon_p, t_p, d_z, cohens_d. No row where the data set has not both groups.
    """
    columns = ["system", "n", "dropped", "upper_mean", "upper_sd", "lower_mean", "lower_sd", "difference", "low"]
    columns += ["high", "wilcoxon_p", "t_p", "d_z", "cohens_d"]
    rows = []
    for system in systems if {"upper", "lower"} <= set(groups) else ():
        own = cases[cases["system"] == system].pivot(index="case", columns="measure", values="value")
        upper, lower = own["dice_upper"], own["dice_lower"]
        both = upper.notna() & lower.notna()
        found = asdict(paired_statistics(upper.array, lower.array, seed, repeats))
        found["upper_mean"], found["lower_mean"] = found.pop("reference_mean"), found.pop("other_mean")
        rows.append(
            {"system": system, **found, "upper_sd": upper[both].std(ddof=1), "lower_sd": lower[both].std(ddof=1)}
        )
    return pd.DataFrame(rows, columns=columns)
