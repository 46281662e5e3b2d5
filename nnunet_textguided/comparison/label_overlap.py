"""Which predicted label a true label overlaps most, whatever the two are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnunet_textguided.errors import UserError

DETECTED_FROM = 0.1
"""Smallest Dice of a detected structure (SPIDER challenge, DIAGNijmegen/SPIDER-Evaluation, `detection_threshold`)."""


@dataclass(frozen=True)
class Match:
    """The predicted label that shares most voxels with a true one.

    Attributes:
        code: Of the predicted label.
        dice: Of the two whole labels.
    """

    code: int
    dice: float

    @property
    def detected(self) -> bool:
        """Whether the overlap is more than a chance touch."""
        return self.dice >= DETECTED_FROM


def checked_pair(
    truth: np.ndarray, prediction: np.ndarray, ignore_label: int | None = None, case: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Return both label maps as whole numbers, with background where the truth is to be ignored.

    Args:
        truth: Label codes (D, H, W).
        prediction: Label codes (D, H, W).
        ignore_label: Code of voxels of the truth that count for nothing, or None.
        case: Its name, for error messages.

    Raises:
        UserError: The shapes differ, or a value is no label code.
    """
    where = f"Case {case}: " if case else ""
    if np.shape(truth) != np.shape(prediction):
        raise UserError(
            f"{where}truth has the shape {np.shape(truth)}, the prediction {np.shape(prediction)}. Predict images in "
            "the truth's geometry (nnunet_textguided predict writes back in the geometry of its input)."
        )
    pair = _whole(truth, f"{where}truth"), _whole(prediction, f"{where}prediction")
    if ignore_label is None:
        return pair
    counted = pair[0] != ignore_label
    return pair[0] * counted, pair[1] * counted


def match_labels(truth: np.ndarray, prediction: np.ndarray) -> dict[int, Match | None]:
    """Return for every label of the truth the predicted one that overlaps it most; None where none does.

    Two true labels may be matched with the same predicted one. Equal overlaps go to the lower code.

    Args:
        truth: Label codes (D, H, W), as of `checked_pair`.
        prediction: Label codes (D, H, W).
    """
    true_sizes, predicted_sizes = np.bincount(truth.ravel()), np.bincount(prediction.ravel())
    matches: dict[int, Match | None] = {int(code): None for code in np.flatnonzero(true_sizes) if code > 0}
    both = (truth > 0) & (prediction > 0)
    pairs, counts = np.unique(truth[both] * len(predicted_sizes) + prediction[both], return_counts=True)
    most: dict[int, int] = {}
    for pair, shared in zip(pairs.tolist(), counts.tolist(), strict=True):  # by code, so the lower one keeps a tie
        true, predicted = divmod(pair, len(predicted_sizes))
        if shared > most.get(true, 0):
            most[true] = shared
            matches[true] = Match(predicted, 2 * shared / int(true_sizes[true] + predicted_sizes[predicted]))
    return matches


def _whole(labels: np.ndarray, what: str) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "biu" and not np.array_equal(labels, np.rint(labels)):
        raise UserError(f"{what} holds values that are no whole numbers; expected label codes.")
    if labels.size and labels.min() < 0:
        raise UserError(f"{what} holds negative values; expected label codes, 0 being background.")
    return labels.astype(np.int64)
