"""Names beside structures: where they go so that no two overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class NameTag:
    """Where one structure's name goes, in voxels of the drawn slice.

    Attributes:
        code: The structure's label value.
        row: Row of the text's middle.
        column: Column where the text starts ("left") or ends ("right").
        align: Horizontal alignment of the text, "left" or "right".
        anchor: (row, column) of the structure's centroid.
    """

    code: int
    row: float
    column: float
    align: str
    anchor: tuple[float, float]


def spread(positions: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move points on a line apart, as little as it takes.

    Args:
        positions: Rising positions (N,).
        gap: Least distance of neighbours; reduced where N points do not fit.
        low: Lower end of the line.
        high: Upper end of the line.

    Returns:
        Positions (N,) in the same order, at least the gap apart and within the ends.
    """
    count = len(positions)
    if count == 0:
        return np.asarray(positions, dtype=float)
    gap = min(gap, (high - low) / max(count - 1, 1))
    steps = gap * np.arange(count)
    blocks: list[list[float]] = []  # pool adjacent violators: with the gaps taken off, positions must not fall
    for value in np.asarray(positions, dtype=float) - steps:
        blocks.append([value, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, size = blocks.pop()
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + mean * size) / (blocks[-1][1] + size), blocks[-1][1] + size]
    flat = np.concatenate([np.full(int(size), mean) for mean, size in blocks])
    return np.clip(flat, low, high - steps[-1]) + steps


def choose_sides(*maps: np.ndarray) -> dict[int, str]:
    """Give structures the left or the right side by turns, from top to bottom; the same for all panels.

    Args:
        maps: Label codes of the slice (H, W); the first in which a structure occurs decides.

    Returns:
        Label code -> alignment of its name, "right" for a name on the left of its structure.
    """
    sides: dict[int, str] = {}
    for labels in maps:
        anchors = {code: _anchor(labels == code) for code in np.unique(labels).tolist() if code and code not in sides}
        ordered = sorted(anchors, key=lambda code: anchors[code])
        sides |= {code: ("right", "left")[turn % 2] for turn, code in enumerate(ordered)}
    return sides


def place_tags(
    labels: np.ndarray,
    names: Mapping[int, str],
    text_height: float,
    letter_width: float,
    sides: Mapping[int, str] | None = None,
) -> list[NameTag]:
    """Place the names beside their structures without overlap; background and codes without a side get none.

    Args:
        labels: Label codes of the slice (H, W).
        names: Label code -> name.
        text_height: Height of a line of text in rows.
        letter_width: Width of a letter in columns.
        sides: Of `choose_sides`; worked out from these labels when None.
    """
    sides = choose_sides(labels) if sides is None else sides
    centroids = {code: _anchor(labels == code) for code in sorted(set(np.unique(labels).tolist()) & set(names))}
    ordered = sorted(centroids, key=lambda code: centroids[code])
    tags = []
    for side in ("right", "left"):
        codes = [code for code in ordered if sides.get(code) == side]
        wanted = np.array([centroids[code][0] for code in codes])
        placed = spread(wanted, text_height, 0.5 * text_height, labels.shape[0] - 0.5 * text_height)
        for code, row in zip(codes, placed, strict=True):
            column = _free_column(labels, row, 0.5 * text_height, side, 1.5 * letter_width)
            width = letter_width * len(names[code])
            column = max(column, width) if side == "right" else min(column, labels.shape[1] - 1 - width)
            tags.append(NameTag(code, float(row), float(column), side, centroids[code]))
    return tags


def _anchor(mask: np.ndarray) -> tuple[float, float]:
    """(row, column) of the centroid of a structure's largest piece in this slice."""
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def _free_column(labels: np.ndarray, row: float, reach: float, side: str, clearance: float) -> float:
    """Column beside everything that is labelled in the rows of a text; `side` is the text's alignment."""
    band = labels[max(int(row - reach), 0) : int(row + reach) + 2]
    columns = np.flatnonzero(band.any(axis=0))
    if not columns.size:
        columns = np.flatnonzero(labels.any(axis=0))
    return columns[0] - clearance if side == "right" else columns[-1] + clearance
