"""Voxel masks of a phantom patient's structures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from nnunet_textguided.synthetic.anatomy import CANAL_DEPTH, CANAL_GAP, CANAL_HALF_WIDTH, Anatomy, Part
from nnunet_textguided.synthetic.structures import BOTTOM_UP, CODES


@dataclass(frozen=True)
class Grid:
    """World and spinal coordinates of every voxel, in mm. Array axes run right, down and backwards (PIR).

    Attributes:
        left: Left coordinate of every slice (D, 1, 1).
        posterior: Posterior coordinate (H, W).
        superior: Superior coordinate (H, W).
        s: Way along the spinal curve (H, W).
        u: Distance behind the curve (H, W).
        lateral: Left coordinate relative to the curve (D, H, W).
    """

    left: np.ndarray
    posterior: np.ndarray
    superior: np.ndarray
    s: np.ndarray
    u: np.ndarray
    lateral: np.ndarray


def make_grid(
    anatomy: Anatomy, shape: tuple[int, int, int], spacing: tuple[float, float, float], origin: np.ndarray
) -> Grid:
    """Lay the voxel grid over the patient.

    Args:
        anatomy: The patient.
        shape: (D, H, W).
        spacing: mm along (D, H, W).
        origin: LPS mm (3,) of voxel (0, 0, 0).
    """
    left = (origin[0] - spacing[0] * np.arange(shape[0])).reshape(-1, 1, 1)
    superior, posterior = np.meshgrid(
        origin[2] - spacing[1] * np.arange(shape[1]), origin[1] + spacing[2] * np.arange(shape[2]), indexing="ij"
    )
    s, u = anatomy.curve.spinal_coordinates(posterior, superior)
    lateral = left - np.interp(s, anatomy.curve.s, anatomy.curve.lateral)[None]
    return Grid(left, posterior, superior, s, u, lateral.astype(np.float32))


def draw_labels(anatomy: Anatomy, grid: Grid) -> np.ndarray:
    """Label the vertebral bodies, the sacrum and the discs.

    Only bodies are labelled: arches and spinous processes are part of the picture, not of the label. A disc's label is
    its normal extent: what a bulge, protrusion or extrusion adds behind it stays unlabelled, and a Schmorl node stays
    part of its vertebra.

    Returns:
        Codes of `structures.CODES`, uint8 (D, H, W).
    """
    labels = np.zeros(grid.lateral.shape, dtype=np.uint8)
    for name in BOTTOM_UP:
        part = anatomy.parts[name]
        near = (grid.s > part.low - 2) & (grid.s < part.high + 2) & (np.abs(grid.u) < part.half_depth + 2)
        if not near.any():
            continue
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        crop = labels[:, box[0], box[1]]
        inside = _inside(part, grid.s[box], grid.u[box], grid.lateral[:, box[0], box[1]]) & (crop == 0)
        crop[_largest_piece(inside)] = CODES[name]
    return labels


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """Drop voxels of a sharp corner that touch the structure by an edge only."""
    pieces, count = ndimage.label(mask)
    return mask if count < 2 else pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])


def _inside(part: Part, s: np.ndarray, u: np.ndarray, lateral: np.ndarray) -> np.ndarray:
    depth: float | np.ndarray = part.half_depth
    width: float | np.ndarray = part.half_width
    along = (s - part.middle) / (0.5 * (part.high - part.low))
    if part.name == "S":  # a wedge: full size at its endplate, two fifths at its tip
        taper = np.clip(0.7 + 0.3 * along, 0.4, 1.0)
        depth, width = depth * taper, width * taper
    elif part.dish > 0:  # a vertebra has a waist
        waist = 1 - 0.07 * np.clip(1 - along**2, 0, 1)
        depth, width = depth * waist, width * waist
    radius = (np.abs(u) / depth) ** 3 + (np.abs(lateral) / width) ** 3  # a superellipse: between an ellipse and a box
    hollow = part.dish * np.clip(1 - radius, 0, 1)
    return (radius < 1) & (s >= part.low + hollow) & (s < part.high - hollow)


def draw_canal(anatomy: Anatomy, grid: Grid) -> np.ndarray:
    """Return the dural sac, bool (D, H, W); it tapers out behind the upper sacrum."""
    depth = CANAL_DEPTH * np.clip((grid.s - 0.75 * anatomy.parts["S"].low) / 40.0, 0, 1)
    centre = anatomy.half_depth(grid.s) + CANAL_GAP + 0.5 * depth
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = (2 * (grid.u - centre) / depth) ** 2 + (grid.lateral / CANAL_HALF_WIDTH) ** 2
    return (depth > 0) & (radius < 1)
