"""The page's tables of statistics: the reference against the others, for all structures, groups and findings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nnunet_textguided.comparison.frame_table import frame_table
from nnunet_textguided.comparison.html_table import Column, Row, Table, interval, probability, value, words
from nnunet_textguided.comparison.measure_words import FINDING, digits_of, is_missing, measure_name, number

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

HEADLINE = ("miou", "mdice", "hd95_mm", "assd_mm", "recall")
"""Measures over all structures of a case; those of groups and of findings have statistics beside their own tables."""
EFFECT_SIZES = (
    ("d_z", value("d_z", "d_z", 2)),
    ("cohens_d", value("cohens_d", "Cohen's d", 2)),
)


def is_of_findings(measure: str) -> bool:
    """Return whether a measure is of findings.

    Args:
        measure: Its name.
    """
    return measure.startswith(FINDING)


def is_of_group(measure: str) -> bool:
    """Return whether a measure is of a group of structures.

    Args:
        measure: Its name.
    """
    return measure not in HEADLINE and not is_of_findings(measure)


def statistics_table(comparison: Comparison, title: str, chosen: Callable[[str], bool]) -> list[Table]:
    """Return one table, or none where no such measure was compared.

    Args:
        comparison: What was compared.
        title: What the table is of.
        chosen: Whether a measure is shown.
    """
    frame = comparison.statistics
    if frame is None or frame.empty or not (own := frame[frame["measure"].map(chosen)]).size:
        return []
    title = f"{title}: {comparison.reference} minus the other system"
    return [frame_table(comparison, title, _columns(), own)]


def _columns() -> list[tuple[str, Column]]:
    def difference(row: Row) -> str:
        return interval("", "low", "high", digits_of(row["measure"]), mean="difference").text(row)

    def pairs(row: Row) -> str:
        dropped = row.get("dropped")
        left_out = "" if is_missing(dropped) or not dropped else f" ({number(dropped, 0)} dropped)"
        return f"{number(row['n'], 0)}{left_out}"

    return [
        ("measure", Column("measure", lambda row: measure_name(row["measure"]), is_number=False)),
        ("system", words("system", "compared with")),
        ("n", Column("pairs", pairs)),
        ("difference", Column("difference (95 % interval)", difference)),
        ("wilcoxon_p", probability("wilcoxon_p", "Wilcoxon P")),
        ("wilcoxon_p_holm", probability("wilcoxon_p_holm", "after Holm")),
        ("t_p", probability("t_p", "t test P")),
        ("t_p_holm", probability("t_p_holm", "after Holm")),
        ("bootstrap_p", probability("bootstrap_p", "bootstrap P")),
        ("bootstrap_p_holm", probability("bootstrap_p_holm", "after Holm")),
        *EFFECT_SIZES,
    ]
