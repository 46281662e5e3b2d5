"""A bent lumbar column with arches, drawn from its own formula in mm, and the ways in which names of it go wrong."""

from __future__ import annotations

import numpy as np

from nnunet_textguided.inference.name_order import Column
from nnunet_textguided.spine import SPINE_DISCS, SPINE_STRUCTURES, SPINE_VERTEBRAE

CODES = {name: code for code, name in enumerate(SPINE_STRUCTURES, start=1)}
COLUMN = Column.of_labels({"background": 0, **CODES})
SPACING = (4.0, 1.5, 1.5)
SHAPE = (8, 160, 80)
BODY, DISC = 22.0, 8.0
PITCH = BODY + DISC
VERTEBRAE = [CODES[name] for name in SPINE_VERTEBRAE]
DISCS = [CODES[name] for name in SPINE_DISCS]


def column(lowest: int = 1, vertebrae: int = 7) -> np.ndarray:
    """Return codes (D, H, W): feet at high rows, arches at high columns, bodies from level `lowest` upwards.

    An arch lies half a body lower than its body, beside the disc below, as spinous processes do.
    """
    depth, row, col = (axis * step for axis, step in zip(np.indices(SHAPE), SPACING, strict=True))
    height = 225.0 - row  # mm above the lowest endplate
    axis = 50 + 8 * np.sin(height / 60)  # the lordosis
    across = np.hypot(col - axis, depth - 16)
    labels = np.zeros(SHAPE, dtype=np.uint8)
    for step in range(vertebrae):
        base = step * PITCH
        labels[(across < 15) & (height >= base) & (height < base + BODY)] = VERTEBRAE[lowest + step]
        arch = (np.abs(col - axis - 34) < 9) & (np.abs(depth - 16) < 7)
        labels[arch & (height >= base - BODY / 2) & (height < base + BODY / 2)] = VERTEBRAE[lowest + step]
        if step + 1 < vertebrae:
            labels[(across < 16) & (height >= base + BODY) & (height < base + PITCH)] = DISCS[lowest + step]
    return labels


def half_a_level_off(labels: np.ndarray, first_row: int, rows: int) -> np.ndarray:
    """Return the labels as a network names them that goes by rows: below a row, names of half a level farther up."""
    wrong = labels.copy()
    table = np.arange(256)
    for names in (VERTEBRAE, DISCS):
        table[names[:-1]] = names[1:]
    for start in range(first_row, SHAPE[1], 2 * rows):
        part = (slice(None), slice(start, start + rows))
        wrong[part] = table[labels[part]]
    return wrong


def row_of(level: int, part: float = 0.5, lowest: int = 1) -> int:
    """Row at a part of the height of a body."""
    return round((225.0 - (level - lowest) * PITCH - part * BODY) / SPACING[1])
