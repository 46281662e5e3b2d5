"""From a table of a comparison to one of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from nnunet_textguided.comparison.html_table import Column, Table
from nnunet_textguided.comparison.rules import caption

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison


def rules_below(comparison: Comparison) -> tuple[str, ...]:
    """Return what stands below every table; the page has all rules in a section of their own.

    Args:
        comparison: Of which cases.
    """
    return (caption(len(comparison.cases)),)


def frame_table(
    comparison: Comparison,
    title: str,
    columns: Sequence[tuple[str, Column]],
    frame: pd.DataFrame,
    keep_empty: bool = False,
) -> Table:
    """Return a table with the rules below it, rows of the reference marked.

    Args:
        comparison: What was compared.
        title: Of the caption.
        columns: (key, column) from the left; one whose key the frame lacks is left out.
        frame: One of the comparison's tables.
        keep_empty: Whether columns without a value in any row are shown, too.
    """
    shown = frame if keep_empty else frame.dropna(axis=1, how="all")
    kept = [column for key, column in columns if key in shown.columns]
    return Table(title, kept, frame.to_dict("records"), comparison.reference, rules_below(comparison))
