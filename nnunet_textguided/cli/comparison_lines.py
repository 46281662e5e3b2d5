"""What `compare` prints: the overall table and the result in one paragraph."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnunet_textguided.comparison.comparison import Comparison

_MEASURES = (("mIoU", "miou", 3), ("mDice", "mdice", 3), ("HD95 (mm)", "hd95_mm", 1), ("ASSD (mm)", "assd_mm", 2))
_COSTS = (("s/epoch", "seconds_per_epoch"), ("s/case", "seconds_per_case"))
_COLUMN, _NARROW, _TEXT_WIDTH = 17, 9, 110


def comparison_lines(comparison: Comparison) -> list[str]:
    """Lay the headline out: mean and sd over cases, costs, rules, and who leads.

    Args:
        comparison: All tables.
    """
    from nnunet_textguided.comparison.summary_words import summary_words

    rows = comparison.overall.to_dict("records")
    costs = comparison.costs.set_index("system").to_dict("index")
    width = max([len("system"), *(len(row["system"]) for row in rows)]) + 2
    head = f"{'system':<{width}}" + "".join(f"{title:>{_COLUMN}}" for title, _, _ in _MEASURES)
    lines = [comparison.grid.title, head + "".join(f"{title:>{_NARROW}}" for title, _ in _COSTS)]
    for row in rows:
        means = "".join(f"{_mean(row, name, digits):>{_COLUMN}}" for _, name, digits in _MEASURES)
        own = "".join(f"{_number(costs[row['system']][name], 1):>{_NARROW}}" for _, name in _COSTS)
        lines.append(f"{row['system']:<{width}}{means}{own}")
    notes = [f"Note: {note}" for note in comparison.notes]
    under = f"mean +- standard deviation (n - 1) over {len(comparison.cases)} cases; - = not measured or not defined"
    wrapped = textwrap.wrap(summary_words(comparison), _TEXT_WIDTH)
    return [*lines, under, "", *notes, *wrapped, "", "Rules:", *(f"- {rule}" for rule in comparison.rules)]


def _mean(row: dict[str, Any], name: str, digits: int) -> str:
    mean, sd = row[f"{name}_mean"], row[f"{name}_sd"]
    return _number(mean, digits) if _is_missing(sd) else f"{_number(mean, digits)} +- {_number(sd, digits)}"


def _number(value: float | None, digits: int) -> str:
    return "-" if _is_missing(value) else f"{value:.{digits}f}"


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
