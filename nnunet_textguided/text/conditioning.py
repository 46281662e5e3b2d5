"""Pulling nearly parallel text vectors apart before the network uses them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnunet_textguided.errors import UserError

_SAME = 1e-5
"""Rows closer than this, relative to the RMS row norm, count as identical (float32 rounding is about 1e-7)."""

_RANK = 1e-6
"""Singular values below this share of the largest are rounding noise, which whitening must not blow up."""


def condition(
    embeddings: np.ndarray, n_structures: int, whitening: float = 0.0, names: Sequence[str] | None = None
) -> np.ndarray:
    """Centre structures and findings apart, whiten as far as asked, and scale to RMS row norm 1.

    With X = U diag(s) V^T the whitened rows are U diag(s ** (1 - whitening)) V^T, which does not depend on the sign
    and order of the singular vectors and permutes with the rows. At whitening 1 all structures are equally far apart:
    orthogonal but for the -1/(n - 1) between rows of a centred set of n.

    Args:
        embeddings: (N, D), the rows of a text bank: structures, then findings.
        n_structures: Number of leading rows that are structures.
        whitening: 0 (none) to 1 (full).
        names: N names for the messages.

    Returns:
        (N, D) float32.

    Raises:
        UserError: Identical rows (no query could tell the names apart), NaN, or whitening outside [0, 1].
        ValueError: The shape or `n_structures` is impossible.
    """
    if embeddings.ndim != 2 or not 0 <= n_structures <= len(embeddings) or 0 in embeddings.shape:
        raise ValueError(f"Expected (N, D) with N >= {n_structures} structures, got {embeddings.shape}.")
    if not 0.0 <= whitening <= 1.0:
        raise UserError(f"Expected whitening between 0 (none) and 1 (full), got {whitening}.")
    rows = np.array(embeddings, dtype=np.float64)
    _check_rows(rows, names)
    for group in (rows[:n_structures], rows[n_structures:]):
        if len(group) > 1:
            group -= group.mean(axis=0)
    if whitening > 0.0:
        rows = _whiten(rows, whitening)
    return (rows / _rms_norm(rows)).astype(np.float32)


def _rms_norm(rows: np.ndarray) -> float:
    return float(np.sqrt((rows**2).sum(axis=1).mean()))


def _whiten(rows: np.ndarray, whitening: float) -> np.ndarray:
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    relative = values / values[0]
    powered = np.where(relative > _RANK, np.maximum(relative, _RANK) ** (1.0 - whitening), 0.0)
    return (left * powered) @ right


def _check_rows(rows: np.ndarray, names: Sequence[str] | None) -> None:
    def name(row: int) -> str:
        return repr(names[row]) if names is not None else f"row {row}"

    broken = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if broken.size:
        raise UserError(f"The text vector of {name(broken[0])} holds NaN or infinity. Make the text bank anew.")
    scale = _rms_norm(rows)
    if scale == 0.0:
        raise UserError("All text vectors are zero. Make the text bank anew.")
    for i in range(1, len(rows)):
        same = np.flatnonzero(np.linalg.norm(rows[:i] - rows[i], axis=1) < _SAME * scale)
        if same.size:
            raise UserError(
                f"{name(same[0])} and {name(i)} have the same text vector, so text cannot tell them apart. Give them "
                "different terms (text_guidance.terms in dataset.json) or use another text model, then embed again."
            )
