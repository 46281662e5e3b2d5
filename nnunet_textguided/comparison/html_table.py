"""Tables of a page: from rows of a DataFrame to HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nnunet_textguided.comparison.measure_words import NOTHING, is_missing, number, p_value

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A printed column.

    Attributes:
        heading: Above it.
        text: Of a row; what it returns is escaped later.
        is_number: Whether it is set flush right.
    """

    heading: str
    text: Callable[[Row], str]
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """A table to print.

    Attributes:
        title: Of its caption.
        columns: From the left.
        rows: From the top.
        marked: Rows of the reference are set bold where `system` is this label.
        rules: Sentences below it.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    marked: str | None = None
    rules: Sequence[str] = field(default=())

    def html(self, caption: str) -> str:
        """Return the table, its caption above and its rules below.

        Args:
            caption: Such as "Table 1".
        """
        head = "".join(f'<th scope="col"{_kind(c)}>{escape(c.heading)}</th>' for c in self.columns)
        body = "\n".join(self._row(row) for row in self.rows)
        rules = f'<p class="rules">{escape(" ".join(self.rules))}</p>' if self.rules else ""
        return (
            f'<div class="table"><div class="box" tabindex="0"><table>\n'
            f"<caption><b>{escape(caption)}.</b> {escape(self.title)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n{rules}</div>"
        )

    def _row(self, row: Row) -> str:
        mark = ' class="reference"' if self.marked is not None and row.get("system") == self.marked else ""
        cells = "".join(f"<td{_kind(column)}>{escape(column.text(row))}</td>" for column in self.columns)
        return f"<tr{mark}>{cells}</tr>"


def _kind(column: Column) -> str:
    return ' class="number"' if column.is_number else ""


def words(key: str, heading: str | None = None) -> Column:
    """Return a column of text.

    Args:
        key: Of the rows.
        heading: The key where left out.
    """
    return Column(heading or key, lambda row: NOTHING if is_missing(row.get(key)) else str(row[key]), is_number=False)


def count(key: str, heading: str | None = None) -> Column:
    """Return a column of counts; a mean over repeats that is no whole number keeps a digit.

    Args:
        key: Of the rows.
        heading: The key where left out.
    """

    def text(row: Row) -> str:
        counted = row.get(key)
        return number(counted, 0 if counted is None or is_missing(counted) or float(counted).is_integer() else 1)

    return Column(heading or key, text)


def value(key: str, heading: str, digits: int = 3, sd: str | None = None) -> Column:
    """Return a column of numbers, with ± where a spread is known.

    Args:
        key: Of the rows.
        heading: Above it.
        digits: After the point.
        sd: Key of the spread.
    """

    def text(row: Row) -> str:
        mean, spread = row.get(key), row.get(sd) if sd else None
        alone = is_missing(mean) or is_missing(spread)
        return number(mean, digits) if alone else f"{number(mean, digits)} ± {number(spread, digits)}"

    return Column(heading, text)


def interval(heading: str, low: str, high: str, digits: int = 3, mean: str | None = None) -> Column:
    """Return a column of intervals, as "0.1 to 0.3" or, after a mean, "0.2 (0.1 to 0.3)".

    Args:
        heading: Above it.
        low: Key of the lower limit.
        high: Key of the upper limit.
        digits: After the point.
        mean: Key of what the interval is of, printed before it.
    """

    def text(row: Row) -> str:
        if is_missing(row.get(low)) or is_missing(row.get(high)):
            return number(row.get(mean), digits) if mean else NOTHING
        limits = f"{number(row[low], digits)} to {number(row[high], digits)}"
        return f"{number(row[mean], digits)} ({limits})" if mean else limits

    return Column(heading, text)


def probability(key: str, heading: str) -> Column:
    """Return a column of P values.

    Args:
        key: Of the rows.
        heading: Above it.
    """
    return Column(heading, lambda row: p_value(row.get(key)))
