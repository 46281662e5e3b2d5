"""Reads clinical reports from the files hospitals have, and cleans their text."""

from __future__ import annotations

import csv
import html
import logging
import re
import unicodedata
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import pandas as pd

from nnunet_textguided.csv_cells import original_cell
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import parse_json
from nnunet_textguided.limits import TABLE_MB, read_limited
from nnunet_textguided.sheets import read_sheet

logger = logging.getLogger(__name__)

TABLE_ENDINGS = (".csv", ".tsv", ".xlsx", ".xls")
_ENCODINGS = ("utf-8-sig", "cp1252")
_SMALLEST_REPORT = 3  # letters; shorter cells say nothing
_LIKELY_COLUMNS = ("report", "note", "finding", "impression", "text", "description", "conclusion")


def read_reports(source: str | Path, column: str | None = None) -> list[str]:
    """Read, clean and de-duplicate reports.

    Args:
        source: A table (csv, tsv, xlsx), a .jsonl of objects or strings, a .txt of one report, or a folder of .txt.
        column: Column of the table, or key of the objects; None = found: by its name, else the one with most text.

    Returns:
        Reports in the order of the file, each once.

    Raises:
        UserError: No such file or column, no text, or fewer than two different reports.
    """
    source = Path(source)
    if not source.exists():
        raise UserError(f"{source}: expected reports as csv, xlsx, jsonl, txt or a folder of txt; it is not there.")
    cells = list(_cells(source, column))
    texts = [clean_report(cell) for cell in cells if isinstance(cell, str)]
    kept = list(dict.fromkeys(text for text in texts if sum(map(str.isalpha, text)) >= _SMALLEST_REPORT))
    logger.info("%s: %d entries, %d different reports", source, len(cells), len(kept))
    if len(kept) < 2:
        raise UserError(
            f"{source}: expected at least two different reports, found {len(kept)} in {len(cells)} entries"
            + (f" of column {column!r}." if column else ".")
        )
    return kept


def _cells(source: Path, column: str | None) -> Iterable[object]:
    if source.is_dir():
        files = sorted(source.rglob("*.txt"))
        if not files:
            raise UserError(f"{source}: expected .txt files in the folder, found none.")
        return [decode(read_limited(file, TABLE_MB)) for file in files]
    ending = source.suffix.lower()
    if ending == ".txt":
        return [decode(read_limited(source, TABLE_MB))]
    if ending in (".jsonl", ".ndjson"):
        return _json_lines(source, column)
    if ending in TABLE_ENDINGS:
        return _table_column(source, column)
    raise UserError(f"{source}: expected {', '.join(TABLE_ENDINGS)}, .jsonl, .txt or a folder of .txt.")


def decode(content: bytes) -> str:
    """Bytes of UTF-8 or, where that fails, of Windows' western code page.

    Args:
        content: Of a file.
    """
    for encoding in _ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode(_ENCODINGS[0], errors="replace")


def _json_lines(source: Path, column: str | None) -> list[object]:
    rows = []
    for number, line in enumerate(decode(read_limited(source, TABLE_MB)).splitlines(), start=1):
        if line.strip():
            rows.append(parse_json(line, f"{source}, line {number}"))
    if rows and all(isinstance(row, str) for row in rows):
        return rows
    table = pd.DataFrame([row for row in rows if isinstance(row, dict)])
    return _choose(table, source, column)


def _table_column(source: Path, column: str | None) -> list[object]:
    try:
        if source.suffix.lower().startswith(".xls"):
            table = read_sheet(source)
        else:
            text = decode(read_limited(source, TABLE_MB))
            table = pd.read_csv(StringIO(text), sep="\t" if source.suffix.lower() == ".tsv" else ",")
    except ImportError as error:
        raise UserError(f"{source}: reading it needs another package ({error}); save it as .xlsx or .csv.") from error
    except UserError:
        raise
    except (ValueError, OSError, OverflowError, csv.Error) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{source}: not a table that can be read: {first}.") from error
    return [original_cell(cell) for cell in _choose(table, source, column)]


def _choose(table: pd.DataFrame, source: Path, column: str | None) -> list[object]:
    columns = [str(name) for name in table.columns]
    if column is not None:
        if column not in columns:
            raise UserError(f"{source}: there is no column {column!r}; there are {columns}.")
        return table.iloc[:, columns.index(column)].tolist()
    letters = {name: _letters(table.iloc[:, place]) for place, name in enumerate(columns)}
    named = [name for name in columns if any(word in name.lower() for word in _LIKELY_COLUMNS) and letters[name] > 0]
    candidates = named or [name for name in columns if letters[name] > 0]
    if not candidates:
        raise UserError(f"{source}: none of the columns {columns} holds text.")
    chosen = max(candidates, key=lambda name: letters[name])
    logger.info("%s: reports are taken from column %r", source, chosen)
    return table.iloc[:, columns.index(chosen)].tolist()


def _letters(cells: pd.Series) -> int:
    return sum(sum(map(str.isalpha, cell)) for cell in cells if isinstance(cell, str))


def clean_report(text: str) -> str:
    """Bring one report to plain sentences on one line.

    Args:
        text: As typed.

    Returns:
        Unicode in composed form, no markup; `//` and line breaks end a sentence, runs of spaces are one.
    """
    text = unicodedata.normalize("NFKC", html.unescape(text))
    text = re.sub(r"<[^<>]{1,40}>", " ", text)
    text = re.sub(r"_x000[dD]_|\\[rn]", "\n", text)  # what spreadsheets make of line breaks
    parts = re.split(r"\s*(?://+|[\r\n]+|\u2022)\s*", text)
    sentences = [re.sub(r"\s+", " ", part).strip() for part in parts]
    sentences = [s if re.search(r"[.:;!?,]$", s) else f"{s}." for s in sentences if re.search(r"\w", s)]
    joined = re.sub(r"\s+([.,;:!?])", r"\1", " ".join(sentences))
    return re.sub(r"([.,;:!?])\1+", r"\1", joined)
