"""Every case's mIoU in all systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from nnunet_textguided.comparison.figures.illustration import Illustration
from nnunet_textguided.comparison.figures.style import (
    FONT_SIZE,
    legend_above,
    line_handle,
    literal,
    new_figure,
    system_styles,
    tidy,
)
from nnunet_textguided.comparison.measure_words import measure_name

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

_MAX_NAMES = 60


def case_table(comparison: Comparison, measure: str = "miou") -> pd.DataFrame:
    """Return a row a case and a column a system, sorted by the reference from the worst to the best case.

    Args:
        comparison: With `case_scores`.
        measure: Which one.

    Returns:
        Cases that the reference has no value for (no structure in the truth) are left out.
    """
    own = comparison.case_scores[comparison.case_scores["measure"] == measure]
    table = own.pivot(index="case", columns="system", values="value")
    table = table.reindex(columns=[system.label for system in comparison.grid.systems])
    return table[table[comparison.reference].notna()].sort_index().sort_values(comparison.reference, kind="stable")


def case_lines(comparison: Comparison, measure: str = "miou") -> Illustration:
    """Draw a line a system through its values of all cases.

    Args:
        comparison: With `case_scores`.
        measure: Of `case_scores`.
    """
    table = case_table(comparison, measure)
    figure = new_figure(4.4)
    axes = figure.subplots()
    tidy(axes, grid="both")
    styles = system_styles(list(table.columns))
    for label, style in styles.items():
        is_reference = label == comparison.reference
        axes.plot(
            range(len(table)),
            table[label],
            **{**style.dots, **style.line},
            markersize=5 if is_reference else 4,
            linewidth=2.2 if is_reference else 1.0,
            zorder=3 if is_reference else 2,
        )
    if len(table) <= _MAX_NAMES:
        axes.set_xticks(range(len(table)), [literal(case) for case in table.index], rotation=90, fontsize=FONT_SIZE - 1)
    else:
        axes.set_xlabel(f"{len(table)} cases, sorted by {literal(comparison.reference)}", fontsize=FONT_SIZE)
    axes.set_ylabel(measure_name(measure), fontsize=FONT_SIZE)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(-0.5, max(len(table), 1) - 0.5)
    legend_above(figure, [line_handle(label, style) for label, style in styles.items()])
    name = measure_name(measure)
    return Illustration(
        f"cases_{measure}",
        "segmentation",
        f"{name} of every case",
        f"{name} of every case in all systems (repeats averaged), sorted by {comparison.reference}.",
        f"{name} of {len(table)} cases as a line a system, rising with {comparison.reference}.",
        figure,
    )
