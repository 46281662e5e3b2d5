"""A spine of boxes with known sizes, and the ways in which predictions of it go wrong."""

from __future__ import annotations

import numpy as np

from nnunet_textguided.spine import SPINE_DISCS, SPINE_STRUCTURES, SPINE_VERTEBRAE

NAMES = {**dict(enumerate(SPINE_STRUCTURES, start=1)), 20: "canal"}
CODES = {name: code for code, name in NAMES.items()}
VERTEBRA_ROWS, DISC_ROWS = 4, 2


def column(lowest: str = "L5/S", highest: str = "T10/T11") -> np.ndarray:
    """Return label codes (5, 66, 16): feet at high rows, canal behind, three slices wide, nothing at the edges."""
    order = [name for pair in zip(SPINE_VERTEBRAE, (*SPINE_DISCS, None), strict=True) for name in pair if name]
    labels = np.zeros((5, 66, 16), dtype=np.int64)
    row = 64
    for name in order:
        height = DISC_ROWS if "/" in name else VERTEBRA_ROWS
        if order.index(lowest) <= order.index(name) <= order.index(highest):
            labels[1:4, row - height : row, 2:10] = CODES[name]
        row -= height
    labels[1:4, 4:62, 11:14] = CODES["canal"]
    return labels


def renamed(labels: np.ndarray, levels: int) -> np.ndarray:
    """Return the labels with every vertebra and disc called `levels` higher; what has no such name is background."""
    table = np.zeros(21, dtype=labels.dtype)
    table[CODES["canal"]] = CODES["canal"]
    for names in (SPINE_VERTEBRAE, SPINE_DISCS):
        for place, name in enumerate(names):
            if 0 <= place + levels < len(names):
                table[CODES[name]] = CODES[names[place + levels]]
    return table[labels]
