"""Mean differences of the reference to every other system, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.figures.style import (
    FONT_SIZE,
    INK,
    SOFT,
    SystemStyle,
    literal,
    new_figure,
    system_styles,
    tidy,
)
from nnunet_textguided.comparison.measure_words import lower_is_better, measure_name, p_value

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

SHOWN = ("miou", "mdice", "hd95_mm", "assd_mm", "dice_upper", "dice_lower", "finding_auroc")
"""Measures with a panel, where they were compared; the table has them all."""
_COLUMNS = 2
_ROW_INCHES = 0.34  # of a system in a panel


def difference_plot(comparison: Comparison) -> Illustration | None:
    """Draw a panel a measure: differences (reference minus other), intervals, the zero line, P after Holm.

    Args:
        comparison: With `statistics`.

    Returns:
        The figure; None where there are no statistics (one case, or one system).
    """
    statistics = comparison.statistics
    if statistics is None or statistics.empty:
        return None
    labels = [system.label for system in comparison.grid.systems]
    others = [label for label in labels if label in set(statistics["system"])]
    compared = list(dict.fromkeys(statistics["measure"]))
    measures = [measure for measure in SHOWN if measure in compared] or compared
    columns = min(_COLUMNS, len(measures))
    rows = math.ceil(len(measures) / columns)
    figure = new_figure(rows * (_ROW_INCHES * len(others) + 1.05))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, measure) in enumerate(zip(panels, measures, strict=False)):
        own = statistics[statistics["measure"] == measure].set_index("system").reindex(others)
        _draw(axes, own, system_styles(labels), show_names=number % columns == 0)
        better = "left" if lower_is_better(measure) else "right"
        axes.set_title(measure_name(measure), fontsize=FONT_SIZE + 1, color=INK, loc="left")
        axes.set_xlabel(f"difference; {better} of 0: {literal(comparison.reference)} better", fontsize=FONT_SIZE - 1)
    for axes in panels[len(measures) :]:
        axes.set_visible(False)
    return Illustration(
        "differences",
        "segmentation",
        f"Differences between {comparison.reference} and the other systems",
        f"Mean over cases of {comparison.reference} minus the other system, with the 95 % bootstrap interval; the "
        "vertical line is no difference. P: Wilcoxon's signed-rank test of paired cases (findings: bootstrap over "
        "cases), corrected by Holm.",
        f"Differences of {comparison.reference} to {', '.join(others)} in {', '.join(map(measure_name, measures))}; "
        "the table of paired statistics gives the numbers.",
        figure,
    )


def _draw(axes: Axes, own: pd.DataFrame, styles: dict[str, SystemStyle], show_names: bool) -> None:
    tidy(axes, grid="x")
    axes.axvline(0, color=SOFT, linewidth=1)
    beside = axes.get_yaxis_transform()  # x in parts of the panel, y in data
    for height, (label, row) in enumerate(own.iterrows()):
        axes.plot([row["low"], row["high"]], [height, height], color=styles[label].colour, linewidth=1.8)
        axes.plot([row["difference"]], [height], **styles[label].dots, markersize=6)
        p = p_value(_corrected(row))
        text = f"P {p}" if p.startswith("<") else f"P = {p}"
        axes.text(1.02, height, text, transform=beside, fontsize=FONT_SIZE - 1, va="center", color=INK)
    names = [literal(label) for label in own.index] if show_names else [""] * len(own)
    axes.set_yticks(range(len(own)), names, fontsize=FONT_SIZE)
    axes.set_ylim(len(own) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _corrected(row: pd.Series) -> float:
    """Findings have no value a case, so only the bootstrap's P."""
    wilcoxon = row["wilcoxon_p_holm"]
    return row.get("bootstrap_p_holm", wilcoxon) if pd.isna(wilcoxon) else wilcoxon
