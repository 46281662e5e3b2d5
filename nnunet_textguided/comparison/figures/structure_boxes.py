"""Box plots of every structure, a colour a system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.figures.style import (
    FONT_SIZE,
    INK,
    WIDTH,
    SystemStyle,
    legend_above,
    literal,
    new_figure,
    system_styles,
    tidy,
)
from nnunet_textguided.comparison.measure_words import measure_name
from nnunet_textguided.spine import SPINE_DISCS, SPINE_VERTEBRAE

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

MAX_CASES_AS_POINTS = 30
_BOX_INCHES, _GAP_INCHES = 0.085, 0.15  # least width of a box, and between two structures
_ROW_HEIGHT = 3.9
_GROUP_SHARE = 0.8  # of the room of a structure that its boxes take


def level_order(structures: Sequence[str]) -> list[str]:
    """Return structures from the lowest to the highest level; those that are no level of the spine follow as they were.

    Args:
        structures: Names of structures.
    """
    pairs = zip(SPINE_VERTEBRAE, (*SPINE_DISCS, None), strict=True)
    rank = {name: number for number, name in enumerate(name for pair in pairs for name in pair if name)}
    return sorted(structures, key=lambda name: rank.get(name, len(rank)))


def structure_boxes(comparison: Comparison, measure: str = "iou") -> Illustration:
    """Draw a box a structure and system over the cases that have the structure.

    Args:
        comparison: With `structure_cases`.
        measure: iou or dice.

    Returns:
        The figure; with many systems the structures are broken into rows.
    """
    rows = comparison.structure_cases.dropna(subset=[measure])
    labels = [system.label for system in comparison.grid.systems]
    structures = level_order(list(dict.fromkeys(rows["structure"])))
    styles = system_styles(labels)
    points = rows["case"].nunique() <= MAX_CASES_AS_POINTS
    parts = _break(structures, len(labels))
    figure = new_figure(_ROW_HEIGHT * len(parts) + 0.4)
    for axes, part in zip(figure.subplots(len(parts), 1, squeeze=False)[:, 0], parts, strict=True):
        for index, label in enumerate(labels):
            _draw_boxes(axes, rows[rows["system"] == label], part, measure, (index, len(labels)), styles[label], points)
        _finish(axes, part, measure)
    handles = [
        Patch(label=literal(label), facecolor=_tint(style), edgecolor=style.colour, hatch=style.hatch)
        for label, style in styles.items()
    ]
    legend_above(figure, handles)
    name = measure_name(measure)
    shown = "every dot is a case" if points else "dots are cases beyond the whiskers"
    caption = (
        f"{name} of every structure from the lowest to the highest level over the cases whose truth has it (repeats "
        "averaged). Line: median; box: quartiles; whiskers: furthest cases within 1.5 times the box's length; "
        f"{shown}. A missed structure is 0."
    )
    alt = f"Box plots of {name} for {len(structures)} structures and {len(labels)} systems; the tables give the means."
    return Illustration(f"structures_{measure}", "structures", f"{name} by structure", caption, alt, figure)


def _break(structures: list[str], systems: int) -> list[list[str]]:
    """Share structures out over as few rows as leave every box its least width."""
    fit = max(1, int((WIDTH - 0.8) / (systems * _BOX_INCHES + _GAP_INCHES)))
    rows = max(1, math.ceil(len(structures) / fit))
    size = max(1, math.ceil(len(structures) / rows))
    return [structures[start : start + size] for start in range(0, len(structures), size)] or [[]]


def _draw_boxes(
    axes: Axes,
    rows: pd.DataFrame,
    structures: list[str],
    measure: str,
    place: tuple[int, int],
    style: SystemStyle,
    points: bool,
) -> None:
    index, count = place
    width = _GROUP_SHARE / count
    groups = dict(tuple(rows.groupby("structure")[measure]))
    shown = [(number, groups[name].to_numpy()) for number, name in enumerate(structures) if name in groups]
    if not shown:
        return
    positions = [number + (index - (count - 1) / 2) * width for number, _ in shown]
    edge = {"color": style.colour, "linewidth": 0.9}
    drawn = axes.boxplot(
        [values for _, values in shown],
        positions=positions,
        widths=0.78 * width,
        manage_ticks=False,
        patch_artist=True,
        showfliers=not points,
        boxprops={"facecolor": _tint(style), "edgecolor": style.colour, "linewidth": 0.9, "hatch": style.hatch},
        medianprops={"color": INK, "linewidth": 1.3},
        whiskerprops=edge,
        capprops=edge,
        flierprops={**style.dots, "markersize": 2},
    )
    for box in drawn["boxes"]:
        box.set_gid(f"system-{index}")
    if points:
        for position, (_, values) in zip(positions, shown, strict=True):
            spread = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(1)
            axes.plot(position + spread * width, values, **style.dots, markersize=1.8, alpha=0.75, zorder=3)


def _finish(axes: Axes, structures: list[str], measure: str) -> None:
    tidy(axes)
    axes.set_xticks(range(len(structures)), [literal(name) for name in structures], fontsize=FONT_SIZE)
    for border in range(1, len(structures)):
        axes.axvline(border - 0.5, color="#eceff4", linewidth=0.8, zorder=0)
    axes.set_xlim(-0.5, max(len(structures), 1) - 0.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel(measure_name(measure), fontsize=FONT_SIZE)


def _tint(style: SystemStyle) -> tuple[float, float, float]:
    """The colour, three quarters white; opaque, as SVG would make a hatch as faint as its ground."""
    red, green, blue = (0.75 + 0.25 * part for part in to_rgb(style.colour))
    return red, green, blue
