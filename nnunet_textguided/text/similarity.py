"""How alike the vectors of a bank are, and whether likeness falls with distance along the spine."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from nnunet_textguided.figure_text import literal
from nnunet_textguided.files import atomic_path
from nnunet_textguided.spine import SPINE_DISCS, SPINE_VERTEBRAE


def similarities(embeddings: np.ndarray) -> np.ndarray:
    """Cosines between rows after their mean is taken off: what tells names apart, not what they share.

    Args:
        embeddings: (N, D).

    Returns:
        (N, N).
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    rows = rows - rows.mean(axis=0)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows @ rows.T


def level_rank_correlation(names: Sequence[str], matrix: np.ndarray) -> float:
    """Spearman's correlation of likeness with the number of levels between two structures of one kind.

    Args:
        names: N names; those of the 19 spinal structures count.
        matrix: (N, N) likeness.

    Returns:
        -1 (likeness falls with every level) to 1; NaN with fewer than three pairs of structures.
    """
    distance, likeness = [], []
    for kind in (SPINE_VERTEBRAE, SPINE_DISCS):
        places = [(kind.index(name), row) for row, name in enumerate(names) if name in kind]
        for i, (level, row) in enumerate(places):
            for other_level, other_row in places[:i]:
                distance.append(abs(level - other_level))
                likeness.append(matrix[row, other_row])
    if len(distance) < 3 or len(set(distance)) < 2:
        return float("nan")
    return float(spearmanr(distance, likeness).statistic)


def save_similarity_picture(names: Sequence[str], matrix: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Draw the matrix.

    Args:
        names: N names.
        matrix: (N, N), -1 to 1.
        path: PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    side = 2.5 + 0.28 * len(names)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu_r")
    shown_names = [literal(name) for name in names]
    axis.set_xticks(range(len(names)), shown_names, rotation=90)
    axis.set_yticks(range(len(names)), shown_names)
    figure.colorbar(shown, ax=axis, label="cosine after centring")
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))
