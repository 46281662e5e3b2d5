"""Findings of every system: out-of-fold decisions, scores and their intervals."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnunet_textguided.evaluation.finding_metrics import (
    CONFIDENCE,
    POOLED,
    draw_cases,
    score_decisions,
    weighted_scores,
)
from nnunet_textguided.evaluation.finding_table import KEYS
from nnunet_textguided.evaluation.operating_points import leave_one_fold_out

MEASURES = ("auroc", "average_precision", "recall", "fpr", "precision")
PREFIX = "finding_"
_INPUT = ("truth", "probability", "positive")
_BLOCK = 2_000_000  # numbers weighted at once: 16 MB an array, however many cases there are

Distribution = dict[str, np.ndarray]
"""Measure -> (R,) values under R resamples of the cases."""


def decide(findings: pd.DataFrame) -> pd.DataFrame | None:
    """Call each assessed finding present or absent by thresholds chosen on the other folds of the same model.

    Args:
        findings: Of all systems: system, repeat, fold, case, structure, finding, truth, probability.

    Returns:
        system, repeat, case, structure, finding, truth (bool), probability, positive (bool), in the order of the
        systems, then by case; None where no system has findings.
    """
    if findings.empty:
        return None
    known = findings[findings["truth"].notna()]
    known = known.assign(present=known["truth"].astype(int)).sort_values(KEYS, kind="stable", ignore_index=True)
    parts = []
    for (system, repeat), _ in findings.groupby(["system", "repeat"], sort=False):
        own = known[(known["system"] == system) & (known["repeat"] == repeat)]
        parts.append(own.assign(positive=leave_one_fold_out(own), truth=own["present"].astype(bool)))
    return pd.concat(parts, ignore_index=True)[["system", "repeat", *KEYS, *_INPUT]]


def finding_table(decisions: pd.DataFrame, seed: int, repeats: int) -> tuple[pd.DataFrame, dict[str, Distribution]]:
    """Score each finding and all pooled: means over a system's repeats, percentile intervals over cases.

    Args:
        decisions: Of `decide`.
        seed: Of the bootstrap.
        repeats: Bootstrap resamples.

    Returns:
        The table: system, finding (POOLED last), n, n_present, and for each of MEASURES its value, `_low`, `_high` and
        `_repeats_sd` (NaN for one repeat); a finding that a system does not have is NaN. And for each system the
        pooled measures under all resamples.
    """
    names = list(dict.fromkeys(decisions["finding"]))
    rows, pooled = [], {}
    for system, own in decisions.groupby("system", sort=False):
        for name in [*names, POOLED]:
            part = own if name == POOLED else own[own["finding"] == name]
            under_resamples = resample(part, seed, repeats)
            rows.append({"system": system, "finding": name, **_row(part, under_resamples)})
        pooled[str(system)] = under_resamples
    return pd.DataFrame(rows), pooled


def point_scores(part: pd.DataFrame) -> pd.DataFrame:
    """Score the decisions of each repeat.

    Args:
        part: Decisions of one system.

    Returns:
        A row a repeat: n, n_present and MEASURES.
    """
    scores = [score_decisions(*(own[c].to_numpy() for c in _INPUT)) for _, own in part.groupby("repeat", sort=False)]
    return pd.DataFrame(scores, columns=["n", "n_present", *MEASURES])


def resample(part: pd.DataFrame, seed: int, repeats: int) -> Distribution:
    """Score under resamples of the cases, the same for every system that decided the same cases.

    Args:
        part: Decisions of one system.
        seed: Of the bootstrap.
        repeats: Number of resamples R.

    Returns:
        Measure -> (R,) mean over the system's repeats; no resample (R = 0) for fewer than two cases.
    """
    names, codes = np.unique(part["case"].to_numpy(dtype=str), return_inverse=True)
    drawn = draw_cases(len(names), repeats if len(names) > 1 else 0, seed)
    each = []
    for _, positions in part.groupby("repeat", sort=False).indices.items():
        (truth, probability, positive), case = (part[c].to_numpy()[positions] for c in _INPUT), codes[positions]
        step = max(1, _BLOCK // max(1, len(positions)))
        blocks = [
            weighted_scores(truth, probability, positive, drawn[k : k + step, case]) for k in range(0, len(drawn), step)
        ]
        each.append({m: np.concatenate([block[m] for block in blocks] or [np.zeros(0)]) for m in MEASURES})
    return {m: _mean([scores[m] for scores in each]) for m in MEASURES}


def thresholds_text(folds: Sequence[int]) -> str:
    """Say where operating points come from.

    Args:
        folds: Of the grid.
    """
    if len(folds) < 2:
        return "Operating points of findings: 0.5, as there is one fold."
    return f"Operating points of findings: chosen for each fold on the other {len(folds) - 1}, by the best F1."


def _row(part: pd.DataFrame, under_resamples: Distribution) -> dict[str, float]:
    scores = point_scores(part)
    row: dict[str, float] = {"n": 0, "n_present": 0}
    if len(scores):
        row = {name: scores[name].iloc[0] for name in row}
    for measure in MEASURES:
        low, high = limits(under_resamples[measure])
        row |= {measure: scores[measure].mean(), f"{measure}_low": low, f"{measure}_high": high}
        row[f"{measure}_repeats_sd"] = scores[measure].std(ddof=1)
    return row


def limits(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval of what is defined; NaN where nothing is.

    Args:
        values: (R,) of the resamples.
    """
    defined, tail = values[np.isfinite(values)], 100 * (1 - CONFIDENCE) / 2
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)


def _mean(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over repeats of what is defined; NaN where no repeat is."""
    if not arrays:
        return np.zeros(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of a mean of nothing, which is meant here
        return np.nanmean(np.stack(arrays), axis=0)
