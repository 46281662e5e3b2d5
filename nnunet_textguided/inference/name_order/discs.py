"""The discs of a segmentation, whatever they are called, from the lowest to the highest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnunet_textguided.inference.name_order.column import FEWEST, LEVELS, Column

SMALLEST = 0.05
"""Part of the largest piece's volume below which a piece is no disc."""
MOST = 40
"""Pieces looked at, at most, the largest ones: a whole column has 23 discs."""
ONE_HEIGHT = 10.0
"""mm along the column within which pieces are one disc; discs of 32 people of SPIDER lie 18 mm apart or more."""


@dataclass(frozen=True)
class Disc:
    """What was segmented as one disc.

    Attributes:
        voxels: Indices (N, 3).
        centre: (3,) in mm.
        radius: Across the column in mm, 95 % of its voxels lie within.
        votes: Voxels by the level they were called (LEVELS,).
    """

    voxels: np.ndarray
    centre: np.ndarray
    radius: float
    votes: np.ndarray


def find_discs(labels: np.ndarray, spacing_mm: Sequence[float], column: Column) -> list[Disc]:
    """Find connected pieces of disc.

    Args:
        labels: Codes (D, H, W).
        spacing_mm: (d, h, w).
        column: What the codes mean.

    Returns:
        From below upwards, as the names say on the whole; none where fewer than three are there, or names say nothing.
    """
    pieces = _pieces(labels, column)
    if len(pieces) < FEWEST:
        return []
    spacing = np.asarray(spacing_mm, dtype=float)
    table = column.level_of_code(int(labels.max()))
    called = np.array([table[labels[tuple(piece.T)]].mean() for piece in pieces])
    centres = np.array([piece.mean(0) * spacing for piece in pieces])
    upwards = np.linalg.svd(centres - centres.mean(0))[2][0]
    heights = (centres - centres.mean(0)) @ upwards
    rising = float((heights * (called - called.mean())).sum())
    if rising == 0:  # all are called the same, and nothing tells which end is up
        return []
    heights = heights * np.sign(rising)
    order = np.argsort(heights, kind="stable")
    groups: list[list[int]] = []
    for index in order:
        if groups and heights[index] - heights[groups[-1][0]] < ONE_HEIGHT:
            groups[-1].append(index)
        else:
            groups.append([index])
    if len(groups) < FEWEST:
        return []
    discs = [np.concatenate([pieces[index] for index in group]) for group in groups]
    middles = np.array([voxels.mean(0) * spacing for voxels in discs])
    directions = along_column(middles)
    return [
        Disc(
            voxels,
            middle,
            float(np.percentile(_across(voxels * spacing - middle, direction), 95)),
            np.bincount(table[labels[tuple(voxels.T)]], minlength=LEVELS),
        )
        for voxels, middle, direction in zip(discs, middles, directions, strict=True)
    ]


def along_column(centres: np.ndarray) -> np.ndarray:
    """Return the direction of the column at every disc, unit vectors (N, 3), upwards.

    Args:
        centres: Of the discs from below upwards (N, 3), in mm; N at least 2.
    """
    directions = np.gradient(centres, axis=0)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _across(offsets: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return np.linalg.norm(offsets - np.outer(offsets @ direction, direction), axis=1)


def _pieces(labels: np.ndarray, column: Column) -> list[np.ndarray]:
    """Voxels of every connected piece that is large enough to be a disc."""
    marked, number = ndimage.label(np.isin(labels, list(column.discs)))
    if number < FEWEST:
        return []
    sizes = np.bincount(marked.ravel(), minlength=number + 1)[1:]
    large = [index for index in np.argsort(-sizes, kind="stable")[:MOST] if sizes[index] >= SMALLEST * sizes.max()]
    boxes = ndimage.find_objects(marked)
    return [
        np.argwhere(marked[boxes[index]] == index + 1) + [part.start for part in boxes[index]]
        for index in sorted(large)
    ]
