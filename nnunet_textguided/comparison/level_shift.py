"""By how many levels the names of a case are shifted.

One vertebra counted too many or too few renames the whole column: every structure is found, none by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from nnunet_textguided.comparison.label_overlap import checked_pair, match_labels
from nnunet_textguided.text.spine_parts import CANAL, DISCS, SpinePart, single_labels, spine_parts

LEAST_AGREEING = 2
"""One structure alone cannot tell a shifted column from one wrong name."""


def level_shift(
    truth: np.ndarray, prediction: np.ndarray, names: Mapping[Any, str], ignore_label: int | None = None
) -> float:
    """Return how many levels the predicted names lie above the true ones.

    Every true vertebra (sacrum included) and disc that is detected (`label_overlap.DETECTED_FROM`) is matched with the
    predicted label that overlaps it most. Where the two are of one kind, the difference of their places in the column
    is a vote; a vertebra matched with a disc, or with a label that has no place, votes for nothing but counts. The
    shift is the difference with more than half of the votes, and at least LEAST_AGREEING of them.

    Args:
        truth: Label codes (D, H, W).
        prediction: Label codes (D, H, W).
        names: Label code -> name, without background and ignore label (`spine_parts.single_labels`: regions may be in).
        ignore_label: Code of voxels of the truth that count for nothing, or None.

    Returns:
        0 where names agree, +1 where L5 is called L4, -1 where L4 is called L5; NaN where it is undecided: nothing
        detected, no majority, or labels that are no spine.

    Raises:
        UserError: The shapes differ, or a value is no label code.
    """
    parts = {code: part for code, part in spine_parts(single_labels(names)).items() if part.group != CANAL}
    matches = match_labels(*checked_pair(truth, prediction, ignore_label)) if parts else {}
    votes = Counter(
        _difference(parts[code], parts.get(match.code))
        for code, match in matches.items()
        if code in parts and parts[code].level is not None and match is not None and match.detected
    )
    decided = [
        shift
        for shift, count in votes.items()
        if shift is not None and count >= LEAST_AGREEING and 2 * count > votes.total()
    ]
    return float(decided[0]) if decided else float("nan")


def share_shifted(shifts: pd.DataFrame) -> dict[str, Any]:
    """Return how often names are shifted.

    Args:
        shifts: A row a case: case, shift (levels; NaN = undecided).

    Returns:
        share (of the decided cases; NaN without one), shifted, decided and undecided (numbers of cases).
    """
    found = shifts["shift"].astype(float) if "shift" in shifts else pd.Series(dtype=float)
    decided = found.dropna()
    shifted = int((decided != 0).sum())
    return {
        "share": shifted / len(decided) if len(decided) else float("nan"),
        "shifted": shifted,
        "decided": len(decided),
        "undecided": len(found) - len(decided),
    }


def _difference(true: SpinePart, predicted: SpinePart | None) -> int | None:
    if predicted is None or true.level is None or predicted.level is None or _is_disc(true) != _is_disc(predicted):
        return None
    return predicted.level - true.level


def _is_disc(part: SpinePart) -> bool:
    return part.group == DISCS
