"""A picture of one case: the image, the truth and the prediction side by side, every structure with its name."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunet_textguided.errors import UserError
from nnunet_textguided.figure_text import literal
from nnunet_textguided.files import atomic_path
from nnunet_textguided.inference.name_tags import choose_sides, place_tags

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_HEIGHT = 7.0  # inches
_HEAD, _MARGIN = 0.75, 0.1  # inches above a row of panels, and around a panel
FONT_SIZE = 9.0  # points
_LINE_HEIGHT = 1.25  # of the font size
PAPER, INK = "#101318", "#f2f2f2"


def draw_overlay(
    image: np.ndarray,
    truth: np.ndarray | None,
    prediction: np.ndarray | None,
    names: Mapping[int, str],
    spacing: tuple[float, float, float],
    out_png: str | os.PathLike[str],
    title: str = "",
) -> Path:
    """Draw the slice that holds most of the structures.

    Args:
        image: (D, H, W), slices first (sagittal ones in orientation PIR).
        truth: Label codes (D, H, W), or None for no such panel.
        prediction: Label codes (D, H, W), or None.
        names: Label code -> name; codes without a name are drawn without one.
        spacing: mm along (D, H, W).
        out_png: The file to write.
        title: Line above the panels.

    Returns:
        The written file.

    Raises:
        UserError: The arrays are not three-dimensional or differ in shape, or the file cannot be written.
    """
    _check(image, truth, prediction)
    index = choose_slice(image.shape[0], truth, prediction)
    panels: list[tuple[str, np.ndarray | None]] = [("image", None)]
    panels += [(name, maps[index]) for name, maps in (("truth", truth), ("prediction", prediction)) if maps is not None]
    figure = new_figure(len(panels), image.shape[1:], spacing)
    sides = choose_sides(*(labels for _, labels in panels if labels is not None))
    aspect = spacing[1] / spacing[2]
    for axes, (name, labels) in zip(figure.axes, panels, strict=True):
        show_slice(axes, image[index], aspect)
        axes.set_title(name, color=INK, fontsize=FONT_SIZE + 3)
        if labels is not None:
            draw_labels(axes, labels, names, aspect, sides)
    figure.suptitle(title or f"slice {index + 1} of {image.shape[0]}", color=INK, fontsize=FONT_SIZE + 3, y=0.985)
    out_png = Path(out_png)
    with atomic_path(out_png) as temporary:
        figure.savefig(temporary, format="png", dpi=110, facecolor=PAPER)
    return out_png


def choose_slice(n_slices: int, *maps: np.ndarray | None) -> int:
    """Return the slice with the most labelled voxels of the first map that has any, else the middle one.

    Args:
        n_slices: Number of slices D.
        maps: Label codes (D, H, W), in order of preference.
    """
    for labels in maps:
        if labels is not None and np.any(labels):
            return int(np.argmax(np.count_nonzero(labels, axis=(1, 2))))
    return n_slices // 2


def colour(code: int) -> tuple[float, float, float]:
    """Return a colour of a label code, RGB from 0 to 1; neighbouring codes differ clearly."""
    hue = (0.58 + code * 0.61803398875) % 1.0  # the golden ratio never comes back to a hue already used
    return colorsys.hsv_to_rgb(hue, 0.75 if code % 2 else 0.55, 1.0)


def show_slice(axes: Axes, image: np.ndarray, aspect: float) -> None:
    """Show a slice in grey, its brightest and darkest voxels clipped.

    Args:
        axes: Where.
        image: (H, W).
        aspect: Height over width of a voxel.
    """
    low, high = np.percentile(image, [0.5, 99.5])
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect)


def draw_labels(
    axes: Axes,
    labels: np.ndarray,
    names: Mapping[int, str],
    aspect: float,
    sides: Mapping[int, str],
    panel_height: float = PANEL_HEIGHT,
) -> None:
    """Tint the structures of a slice and write their names beside them.

    Args:
        axes: Where the slice is shown.
        labels: Label codes (H, W).
        names: Label code -> name.
        aspect: Height over width of a voxel.
        sides: Of `choose_sides`.
        panel_height: Of the axes, in inches; names keep their size and are spread accordingly.
    """
    from matplotlib import patheffects

    present = [code for code in np.unique(labels).tolist() if code]
    tint = np.zeros((*labels.shape, 4))
    for code in present:
        tint[labels == code] = (*colour(code), 0.5)
    axes.imshow(tint, interpolation="nearest", aspect=aspect)
    rows_per_point = labels.shape[0] / (panel_height * 72)
    letter = 0.62 * FONT_SIZE * rows_per_point * aspect
    outline = [patheffects.withStroke(linewidth=2.2, foreground="black")]
    for tag in place_tags(labels, names, _LINE_HEIGHT * FONT_SIZE * rows_per_point, letter, sides):
        nearer = 0.3 * letter if tag.align == "right" else -0.3 * letter
        axes.plot([tag.column + nearer, tag.anchor[1]], [tag.row, tag.anchor[0]], color=colour(tag.code), linewidth=0.7)
        light = tuple(0.55 + 0.45 * value for value in colour(tag.code))
        style: dict[str, Any] = {
            "color": light,
            "fontsize": FONT_SIZE,
            "ha": tag.align,
            "va": "center",
            "path_effects": outline,
        }
        axes.text(tag.column, tag.row, literal(names[tag.code]), **style)


def new_figure(
    n_panels: int,
    shape: tuple[int, ...],
    spacing: tuple[float, float, float],
    columns: int | None = None,
    panel_height: float = PANEL_HEIGHT,
    head: float = _HEAD,
) -> Figure:
    """Return a figure with panels side by side that fit a slice.

    Args:
        n_panels: Number of panels.
        shape: (H, W) of the slice.
        spacing: mm along (D, H, W).
        columns: Panels a row; all in one where left out.
        panel_height: Inches.
        head: Inches for the titles above a row.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(n_panels, columns or n_panels)
    rows = -(-n_panels // columns)
    width = panel_height * shape[1] * spacing[2] / (shape[0] * spacing[1])
    step = head + panel_height + _MARGIN
    figure = Figure(figsize=(columns * (width + _MARGIN) + _MARGIN, rows * step), facecolor=PAPER)
    FigureCanvasAgg(figure)
    total_width, total_height = figure.get_size_inches()
    for panel in range(n_panels):
        row, column = divmod(panel, columns)
        left, bottom = _MARGIN + column * (width + _MARGIN), (rows - 1 - row) * step + _MARGIN
        corner = (left / total_width, bottom / total_height)
        axes = figure.add_axes((*corner, width / total_width, panel_height / total_height))
        axes.set_axis_off()
    return figure


def _check(image: np.ndarray, *maps: np.ndarray | None) -> None:
    if image.ndim != 3:
        raise UserError(f"An overlay needs a 3D image (D, H, W), got an array of shape {image.shape}.")
    for labels in maps:
        if labels is not None and labels.shape != image.shape:
            raise UserError(f"Image and labels of an overlay differ in shape: {image.shape} and {labels.shape}.")
