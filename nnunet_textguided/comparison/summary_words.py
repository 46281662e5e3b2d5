"""The result in one paragraph: who leads whom, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from nnunet_textguided.comparison.measure_words import is_missing, number, p_value

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

MEASURE = "miou"
LEVEL_OF_SIGNIFICANCE = 0.05
LEADS, LEVEL, BEHIND = "leads", "level", "behind"


def verdict(row: Any) -> str:
    """Say how the reference stands to another system, by the interval of the difference alone.

    Args:
        row: Of `statistics`, of a measure whose higher value is the better one; low and high limit the interval of
            reference minus other.

    Returns:
        LEADS (the interval is above zero), BEHIND (below zero) or LEVEL (it includes zero).
    """
    if row["low"] > 0:
        return LEADS
    return BEHIND if row["high"] < 0 else LEVEL


def summary_words(comparison: Comparison) -> str:
    """Sum up a comparison in plain words.

    Args:
        comparison: What was compared.

    Returns:
        One paragraph; a system that the reference does not lead is named with the difference.
    """
    rows = _statistics(comparison)
    return " ".join([_what(comparison), _highest(comparison), *_verdicts(comparison, rows)])


def _statistics(comparison: Comparison) -> list[dict[str, Any]]:
    table = comparison.statistics
    if table is None or table.empty:
        return []
    own = table[table["measure"] == MEASURE].to_dict("records")
    return [row for row in own if not is_missing(row["low"])]


def _what(comparison: Comparison) -> str:
    grid = comparison.grid
    systems, cases = len(grid.systems), len(comparison.cases)
    folds = ", ".join(map(str, grid.folds))
    return (
        f"{systems} {'system was' if systems == 1 else 'systems were'} scored on the same {cases} "
        f"{'case' if cases == 1 else 'cases'} of {grid.title}: the validation cases of "
        f"{'fold' if len(grid.folds) == 1 else 'folds'} {folds}."
    )


def _highest(comparison: Comparison) -> str:
    table = comparison.overall.set_index("system")
    means = table["miou_mean"]
    if means.isna().all():
        return "No case has a structure that counts for mIoU."
    best = [label for label in means.index if means[label] == means.max()]
    has_sd = not is_missing(table.loc[best[0], "miou_sd"])
    how = " (mean ± standard deviation over cases)" if has_sd else ""
    text = f"The highest mIoU is that of {_joined(best)}: {_mean(table, best[0])}{how}"
    if comparison.reference in best:
        return f"{text}."
    return f"{text}; {comparison.reference} has {_mean(table, comparison.reference)}."


def _mean(table: pd.DataFrame, label: str) -> str:
    mean, sd = table.loc[label, "miou_mean"], table.loc[label, "miou_sd"]
    return number(mean) if is_missing(sd) else f"{number(mean)} ± {number(sd)}"


def _verdicts(comparison: Comparison, rows: list[dict[str, Any]]) -> list[str]:
    reference = comparison.reference
    if len(comparison.grid.systems) == 1:
        return ["There is no other system to compare it with."]
    if not rows:
        why = "There is one case only" if len(comparison.cases) == 1 else "Fewer than two cases have a value"
        return [f"{why}, so there are no statistics: no interval, no P, and no system is said to lead."]
    parts = {kind: [row for row in rows if verdict(row) == kind] for kind in (LEADS, LEVEL, BEHIND)}
    text = []
    if parts[LEADS]:
        named = _joined([f"{row['system']} by {_evidence(row, doubt=True)}" for row in parts[LEADS]])
        text.append(f"{reference} leads {named}.")
    if parts[LEVEL]:
        named = _joined([f"{row['system']} (difference {_evidence(row)})" for row in parts[LEVEL]])
        text.append(f"{reference} does not lead {named}: the interval of the difference includes zero.")
    if parts[BEHIND]:
        named = _joined([f"{row['system']}, which is ahead by {_evidence(row, turned=True)}" for row in parts[BEHIND]])
        text.append(f"{reference} does not lead {named}.")
    untested = [s.label for s in comparison.grid.systems if s.label not in {reference, *(r["system"] for r in rows)}]
    if untested:
        text.append(f"No statistics for {_joined(untested)}: fewer than two cases have a value in both systems.")
    return [*text, _how(rows)]


def _evidence(row: dict[str, Any], turned: bool = False, doubt: bool = False) -> str:
    """Difference, interval and P; turned to the other system's side, or with a word of doubt where P is high."""
    difference, low, high = (row[name] for name in ("difference", "low", "high"))
    if turned:
        difference, low, high = -difference, -high, -low
    p = p_value(row["wilcoxon_p_holm"])
    tested = f"P {p}" if p.startswith("<") else f"P = {p}"
    if doubt and row["wilcoxon_p_holm"] >= LEVEL_OF_SIGNIFICANCE:
        tested += f", not significant at {LEVEL_OF_SIGNIFICANCE}"
    return f"{number(difference)} [{number(low)} to {number(high)}; {tested}]"


def _how(rows: list[dict[str, Any]]) -> str:
    pairs = sorted({int(row["n"]) for row in rows})
    of = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
    correction = f", corrected by Holm over {len(rows)} comparisons" if len(rows) > 1 else ""
    return (
        "In brackets: 95 % bootstrap interval of the mean difference in mIoU and P of Wilcoxon's signed-rank test over "
        f"{of} paired cases{correction}."
    )


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
