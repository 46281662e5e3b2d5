"""How numbers and names stand in a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nnunet_textguided.comparison.measure_words import number


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out cells as a Markdown table, the first column to the left and the others to the right.

    Args:
        head: Names of the columns.
        rows: Their cells.
    """
    cells = [[_safe(cell) for cell in row] for row in (head, *rows)]
    cells.insert(1, ["---", *["---:"] * (len(head) - 1)])
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def mean_sd(mean: float, sd: float, digits: int = 3) -> str:
    """Write mean ± sd; - where there is no mean.

    Args:
        mean: Over cases.
        sd: Over cases, NaN for one.
        digits: After the point.
    """
    return f"{number(mean, digits)} ± {number(sd, digits)}" if mean == mean else "-"


def interval(row: dict[str, Any]) -> str:
    """Write a difference with its interval.

    Args:
        row: Of a table of statistics.
    """
    return value_with_limits(row["difference"], row["low"], row["high"])


def value_with_limits(value: float, low: float, high: float) -> str:
    """Write a value with the limits of its interval; - where it is not defined.

    Args:
        value: The value.
        low: Lower limit.
        high: Upper limit.
    """
    return f"{number(value)} ({number(low)} to {number(high)})" if value == value else "-"


def _safe(cell: str) -> str:
    """A pipe or a line break in a name would break the table."""
    return cell.replace("|", "\\|").replace("\n", " ")
