"""CSV files as people save them: other separators, encodings and spellings of the header."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.limits import TABLE_MB, read_limited

_ENCODINGS = ("utf-8-sig", "utf-16", "cp1252")
_SEPARATORS = (",", ";", "\t", "|")


def plain(text: str) -> str:
    """Spell a name one way: small letters, and `_` for all that is neither letter nor digit.

    Args:
        text: Such as `Left Neural Foraminal Narrowing` or `L4/L5`.
    """
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def read_rows(
    path: Path, columns: Sequence[str], spellings: Mapping[str, str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a table, one by one.

    Args:
        path: A CSV file in UTF-8, UTF-16 or Windows' western code page; the separator is found out.
        columns: Columns that have to be there, spelled as `plain` does.
        spellings: Other spelling -> the column that is meant.

    Yields:
        Line number, and column (spelled as `plain` does) -> cell, blanks at its ends removed; empty where the row ends
        too early.

    Raises:
        UserError: The file is missing, too large or no text, or a column is missing; the text says which.
    """
    try:
        content = read_limited(path, TABLE_MB)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from error
    text = _decode(content, path)
    first_line = text.split("\n", 1)[0]
    separator = max(_SEPARATORS, key=first_line.count)
    rows = _rows(text, separator, path)
    header = [(spellings or {}).get(plain(name), plain(name)) for name in next(rows, (1, []))[1]]
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(f"{path}, line 1: expected the columns {', '.join(columns)}; missing are {', '.join(missing)}.")
    for line, cells in rows:
        if any(cell.strip() for cell in cells):
            padded = [*(cell.strip() for cell in cells), *[""] * (len(header) - len(cells))]
            yield line, dict(zip(header, padded, strict=False))


def _rows(text: str, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row."""
    reader = csv.reader(StringIO(text), delimiter=separator)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: is no CSV: {error}.") from error


def _decode(content: bytes, path: Path) -> str:
    for encoding in _ENCODINGS:
        if encoding == "utf-16" and content[:2] not in (b"\xff\xfe", b"\xfe\xff"):
            continue
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise UserError(f"{path}: is no text in UTF-8, UTF-16 or Windows' western code page.")
