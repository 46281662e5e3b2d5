"""The point rule of the Tianchi contest: a finding counts as found within 6 mm of where it was marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

RADIUS_MM = 6.0
_AXES = ["x_mm", "y_mm", "z_mm"]


def match_points(annotated: pd.DataFrame, predicted: pd.DataFrame, radius_mm: float = RADIUS_MM) -> dict[str, float]:
    """Match predicted to annotated points of the same case and finding, one to one, as many as possible.

    Args:
        annotated: Columns case, finding, x_mm, y_mm, z_mm: present findings with a point.
        predicted: The same columns: findings the model calls present, of the cases that are annotated.
        radius_mm: Largest distance of a hit, mm.

    Returns:
        `hits`, `missed`, `false`, and `recall` and `precision`, NaN where there is nothing to divide by.
    """
    keys = ["case", "finding"]
    there = {key: part[_AXES].to_numpy(float) for key, part in annotated.groupby(keys)}
    guesses = {key: part[_AXES].to_numpy(float) for key, part in predicted.groupby(keys)}
    hits = sum(_hits(points, guesses[key], radius_mm) for key, points in there.items() if key in guesses)
    missed, false = len(annotated) - hits, len(predicted) - hits
    return {
        "hits": hits,
        "missed": missed,
        "false": false,
        "recall": hits / len(annotated) if len(annotated) else float("nan"),
        "precision": hits / len(predicted) if len(predicted) else float("nan"),
    }


def _hits(points: np.ndarray, guesses: np.ndarray, radius_mm: float) -> int:
    far = cdist(points, guesses) > radius_mm
    rows, columns = linear_sum_assignment(far)
    return int((~far[rows, columns]).sum())
