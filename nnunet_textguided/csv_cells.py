"""CSV that a spreadsheet opens without running a formula, and that reads back as it was.

A text cell that begins as a formula would gets an apostrophe in front, and so does one that begins with apostrophes
and goes on like that, so that taking one apostrophe away always gives the text back. Numbers stay as they are, also
negative ones. Which beginnings count: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.limits import TABLE_MB, check_size

if TYPE_CHECKING:
    import pandas as pd

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_ESCAPED = re.compile("'+[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def safe_cell(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula.

    Args:
        value: A cell; what is no text, or the text of a number, comes back as it is.
    """
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def original_cell(value: Any) -> Any:
    """Take away the apostrophe that `safe_cell` put before a text.

    Args:
        value: A cell.
    """
    return value[1:] if isinstance(value, str) and _ESCAPED.match(value) else value


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV, without its index, as a whole or not at all.

    Args:
        table: Cells are made safe, and so are the names of columns.
        path: The file.
    """
    safe = _with_cells(table, safe_cell)
    texts = (cell for place, name in enumerate(safe) for cell in (name, *_texts(safe.iloc[:, place])))
    with atomic_path(path) as temporary:
        safe.to_csv(temporary, index=False, lineterminator=_line_end(texts))


def write_rows(rows: Iterable[Sequence[Any]], path: str | os.PathLike[str]) -> None:
    """Write rows as CSV, as a whole or not at all.

    Args:
        rows: The header first.
        path: The file.
    """
    safe = [[safe_cell(cell) for cell in row] for row in rows]
    line_end = _line_end(cell for row in safe for cell in row)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator=line_end).writerows(safe)


def read_table(path: str | os.PathLike[str], texts: Iterable[str] = ("case",), exact: bool = False) -> pd.DataFrame:
    """Read what `write_table` wrote, or a table like it.

    Args:
        path: The file.
        texts: Columns that are text also where they look like numbers.
        exact: Read floats to the last bit, slower.

    Returns:
        The table; an empty file gives one without columns.

    Raises:
        UserError: It is not there, too large, or no CSV in UTF-8.
    """
    import pandas as pd

    path = Path(path)
    try:
        check_size(path, TABLE_MB)
        options: dict[str, Any] = {"engine": "python"} if exact else {}
        return _with_cells(pd.read_csv(path, dtype=dict.fromkeys(texts, str), **options), original_cell)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except UserError:
        raise
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _line_end(cells: Iterable[Any]) -> str:
    """A line feed; with a carriage return where a cell holds one: Python before 3.13 puts quotes around it only then.

    Without quotes, what follows the carriage return would be a cell of its own.
    """
    return "\r\n" if any(isinstance(cell, str) and "\r" in cell for cell in cells) else "\n"


def _with_cells(table: pd.DataFrame, change: Callable[[Any], Any]) -> pd.DataFrame:
    """The table with every text changed; columns without such a text are left as they are."""
    columns = list(table.columns)
    for place in range(len(columns)):
        before = _texts(table.iloc[:, place])
        after = [change(cell) for cell in before]
        if any(one is not two for one, two in zip(before, after, strict=True)):
            table = table.copy(deep=False)
            table.isetitem(place, after)
    renamed = [change(name) for name in columns]
    return table if renamed == columns else table.set_axis(renamed, axis="columns")


def _texts(cells: pd.Series) -> list[Any]:
    """The cells of a column that may hold texts, none of a column of numbers."""
    return [] if cells.dtype.kind in "biufcmM" else cells.tolist()
