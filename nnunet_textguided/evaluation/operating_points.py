"""From which probability on a finding counts as present."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

DEFAULT = 0.5


def best_threshold(truth: np.ndarray, probability: np.ndarray) -> float:
    """The probability from which calling a finding present gives the best F1; the highest of several.

    Args:
        truth: (N,) 1 present, 0 absent.
        probability: (N,) 0 to 1.

    Returns:
        A threshold midway to the next lower probability, so that it does not rest on one case's digits; DEFAULT where
        there is no present or no absent decision to choose by.
    """
    truth = np.asarray(truth, dtype=int)
    if len(np.unique(truth)) < 2:
        return DEFAULT
    precision, recall, thresholds = precision_recall_curve(truth, probability)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = float(thresholds[np.flatnonzero(f1[:-1] >= f1[:-1].max() - 1e-12).max()])
    lower = np.unique(probability[probability < best])
    return (best + float(lower.max() if len(lower) else 0.0)) / 2


def choose_operating_points(decisions: pd.DataFrame) -> dict[str, float]:
    """Choose a threshold for every finding.

    Args:
        decisions: Columns finding, present (truth), probability; of cases the model was not trained on.
    """
    return {
        name: best_threshold(part["present"].to_numpy(), part["probability"].to_numpy())
        for name, part in decisions.groupby("finding", sort=False)
    }


def leave_one_fold_out(decisions: pd.DataFrame) -> pd.Series:
    """Decide each fold by thresholds chosen on the others, never on the data they are reported on.

    Args:
        decisions: Columns fold, finding, present (truth), probability.

    Returns:
        (rows,) bool: whether a decision is positive. With one fold only, the threshold is DEFAULT.
    """
    positive = pd.Series(False, index=decisions.index)
    for fold, part in decisions.groupby("fold"):
        points = choose_operating_points(decisions[decisions["fold"] != fold])
        threshold = part["finding"].map(points).fillna(DEFAULT).astype(float)
        positive[part.index] = part["probability"] >= threshold
    return positive
