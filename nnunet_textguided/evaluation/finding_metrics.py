"""How well findings are identified: the grid of (case, structure, finding) decisions, counted and ranked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

METRICS = (
    *("recall", "precision", "fpr", "specificity", "f1"),
    *("balanced_accuracy", "auroc", "average_precision"),
)
POOLED = "all findings"
CONFIDENCE = 0.95


def score_decisions(truth: np.ndarray, probability: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Score decisions of known outcome.

    Args:
        truth: (N,) 1 present, 0 absent.
        probability: (N,) 0 to 1.
        positive: (N,) bool, whether the probability reaches the operating point.

    Returns:
        `n`, `n_present` and METRICS; what is not defined (no present or no absent decision, nothing called positive)
        is NaN, never 0 or 1.
    """
    truth, positive = np.asarray(truth, dtype=int), np.asarray(positive, dtype=int)
    tn, fp, fn, tp = confusion_matrix(truth, positive, labels=[0, 1]).ravel() if len(truth) else (0, 0, 0, 0)
    recall, specificity = _share(tp, tp + fn), _share(tn, tn + fp)
    precision = _share(tp, tp + fp)
    both = bool(tp + fn) and bool(tn + fp)
    return {
        "n": len(truth),
        "n_present": int(tp + fn),
        "recall": recall,
        "precision": precision,
        "fpr": _share(fp, fp + tn),
        "specificity": specificity,
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "balanced_accuracy": (recall + specificity) / 2,
        "auroc": float(roc_auc_score(truth, probability)) if both else float("nan"),
        "average_precision": float(average_precision_score(truth, probability)) if tp + fn else float("nan"),
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def score_findings(decisions: pd.DataFrame, repeats: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Score each finding, and all decisions pooled, with bootstrap intervals.

    Args:
        decisions: Columns case, finding, present (truth), probability, positive. A row for every assessed decision.
        repeats: Bootstrap samples; cases are drawn, as decisions of one case are not independent. 0 = no intervals.
        seed: Of the bootstrap.

    Returns:
        Indexed by finding (POOLED last): n, n_present, METRICS, and `<metric>_low`, `<metric>_high`, the limits of the
        95 % percentile interval.
    """
    names = list(dict.fromkeys(decisions["finding"]))
    parts = {name: decisions[decisions["finding"] == name] for name in names} | {POOLED: decisions}
    rows = {}
    for name, part in parts.items():
        rows[name] = _score(part)
        if repeats:
            rows[name] |= _intervals(part, repeats, seed)
    return pd.DataFrame.from_dict(rows, orient="index")


def _score(part: pd.DataFrame) -> dict[str, float]:
    columns = (part[name].to_numpy() for name in ("present", "probability", "positive"))
    return score_decisions(*columns)


def _intervals(part: pd.DataFrame, repeats: int, seed: int) -> dict[str, float]:
    case, names = pd.factorize(part["case"])
    truth, probability, positive = (part[name].to_numpy() for name in ("present", "probability", "positive"))
    values = weighted_scores(truth, probability, positive, draw_cases(len(names), repeats, seed)[:, case])
    tail = 100 * (1 - CONFIDENCE) / 2
    limits: dict[str, float] = {}
    for metric in METRICS:
        defined = values[metric][np.isfinite(values[metric])]
        low, high = np.percentile(defined, [tail, 100 - tail]) if len(defined) else (float("nan"),) * 2
        limits |= {f"{metric}_low": float(low), f"{metric}_high": float(high)}
    return limits


def draw_cases(n: int, repeats: int, seed: int) -> np.ndarray:
    """Draw n of n cases with replacement, many times over: the resamples of a bootstrap over cases.

    Args:
        n: Number of cases.
        repeats: Number of resamples R.
        seed: Of the draws.

    Returns:
        (R, n) how often each case was drawn; a decision weighs as its case.
    """
    if not n:
        return np.zeros((repeats, 0))
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=repeats).astype(float)


def weighted_scores(
    truth: np.ndarray, probability: np.ndarray, positive: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """METRICS under many weightings of the same decisions at once: what scikit-learn gives one weighting at a time.

    Args:
        truth: (N,) 1 present, 0 absent.
        probability: (N,).
        positive: (N,) bool.
        weights: (R, N).

    Returns:
        Metric -> (R,), NaN where not defined.
    """
    truth, positive = np.asarray(truth, dtype=bool), np.asarray(positive, dtype=bool)
    tp, fn = weights @ (truth & positive), weights @ (truth & ~positive)
    fp, tn = weights @ (~truth & positive), weights @ (~truth & ~positive)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall, specificity = tp / (tp + fn), tn / (tn + fp)
        auroc, average_precision = _ranking(truth, probability, weights)
        return {
            "recall": recall,
            "precision": tp / (tp + fp),
            "fpr": fp / (fp + tn),
            "specificity": specificity,
            "f1": 2 * tp / (2 * tp + fp + fn),
            "balanced_accuracy": (recall + specificity) / 2,
            "auroc": auroc,
            "average_precision": average_precision,
        }


def _ranking(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC and average precision, decisions of equal probability taken together."""
    if not len(truth):
        return (np.full(len(weights), np.nan),) * 2
    order = np.argsort(-np.asarray(probability), kind="stable")
    starts = np.flatnonzero(np.diff(np.asarray(probability)[order], prepend=np.inf))
    present = np.add.reduceat((weights * truth)[:, order], starts, axis=1)  # (R, distinct probabilities), highest first
    absent = np.add.reduceat((weights * ~truth)[:, order], starts, axis=1)
    all_present, all_absent = present.sum(1), absent.sum(1)
    below = all_absent[:, None] - absent.cumsum(1)
    auroc = (present * (below + 0.5 * absent)).sum(1) / (all_present * all_absent)
    called = (present + absent).cumsum(1)
    precision = np.divide(present.cumsum(1), called, out=np.zeros_like(called), where=called > 0)
    return auroc, (precision * present).sum(1) / all_present
