"""Findings of the reference against those of every other system."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nnunet_textguided.comparison.finding_scores import MEASURES, PREFIX, Distribution, limits, point_scores, resample
from nnunet_textguided.comparison.statistics_table import COLUMNS, with_holm
from nnunet_textguided.evaluation.finding_table import KEYS


def finding_statistics(
    decisions: pd.DataFrame, pooled: dict[str, Distribution], reference: str, seed: int, repeats: int
) -> pd.DataFrame:
    """Compare pooled findings of the reference with those of every other system that has findings.

    Only decisions that both have are compared. P is the two-sided bootstrap one, 2 (1 + k) / (R + 1), at most 1, with k
    the number of the R differences in the smaller tail, zeros in both (Davison and Hinkley 1997, Bootstrap Methods,
    section 4.4).

    Args:
        decisions: Of `decide`.
        pooled: Of `finding_table`.
        reference: Label of the reference.
        seed: Of the bootstrap.
        repeats: Bootstrap resamples.

    Returns:
        A row a measure and other system with the columns of `statistics_table`; n = cases, and no statistics for
        fewer than two. Empty where the reference has no findings.
    """
    rows = []
    for system in pooled if reference in pooled else ():
        if system == reference:
            continue
        whole = [decisions[decisions["system"] == name] for name in (reference, system)]
        parts = common_decisions(*whole)
        spread = [
            pooled[name] if len(part) == len(full) else resample(part, seed, repeats)
            for name, part, full in zip((reference, system), parts, whole, strict=True)
        ]
        first, second = (point_scores(part).mean() for part in parts)
        n = parts[0]["case"].nunique()
        for measure in MEASURES:
            one, other = (each[measure] for each in spread)
            row = _difference(first[measure], second[measure], one, other, n)
            rows.append({"measure": PREFIX + measure, "system": system, "reference": reference, **row})
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if not name.endswith("_holm")])
    return with_holm(table.assign(dropped=0))


def common_decisions(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep what both systems decided.

    Args:
        one: Decisions of a system.
        other: Decisions of another.
    """
    keys = [pd.MultiIndex.from_frame(part[KEYS]) for part in (one, other)]
    return one[keys[0].isin(keys[1])], other[keys[1].isin(keys[0])]


def _difference(first: float, second: float, one: np.ndarray, other: np.ndarray, n: int) -> dict[str, float]:
    differences = one - other
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return {"n": n}
    low, high = limits(differences)
    tail = int(min((differences <= 0).sum(), (differences >= 0).sum()))
    p = min(1.0, 2 * (1 + tail) / (len(differences) + 1))
    means = {"reference_mean": first, "system_mean": second, "difference": first - second}
    return {"n": n, **means, "low": low, "high": high, "bootstrap_p": p}
