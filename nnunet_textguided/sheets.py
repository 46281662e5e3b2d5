"""Spreadsheets (.xlsx), which are zip files: looked at before they are unpacked."""

from __future__ import annotations

import itertools
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

from nnunet_textguided.errors import UserError
from nnunet_textguided.limits import TABLE_MB, check_size, limit_bytes

if TYPE_CHECKING:
    import pandas as pd

MAX_CELLS = 10_000_000
"""Empty ones count: a table reaches to its last row and its last column, and one cell far out fills it."""


def read_sheet(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read the first sheet of a spreadsheet.

    Args:
        path: A .xlsx or .xls file.
        options: Of pandas.read_excel.

    Raises:
        UserError: It is not there, too large (also unpacked, or by where its cells lie), or no spreadsheet.
        ImportError: Another package is needed for the format.
    """
    import pandas as pd

    path = Path(path)
    try:
        check_size(path, TABLE_MB)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
                if unpacked > limit_bytes(TABLE_MB):
                    raise UserError(f"{path} unpacks to {unpacked / 1e6:.0f} MB, more than is read. Save it as .csv.")
                for entry in archive.infolist():
                    _check_extent(archive.read(entry), path)
        return pd.read_excel(path, **options)
    except (UserError, ImportError):
        raise
    except Exception as error:  # openpyxl raises whatever its parsers stumble over first
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: cannot be read as a table: {first}.") from error


class _Extent:
    """Follows the rows and cells of a sheet as openpyxl counts them: by their names, else one after the other."""

    def __init__(self) -> None:
        self.row = self.rows = self.column = self.columns = 0

    def note(self, element: str, attributes: dict[str, str]) -> None:
        """Take in the start of an XML element."""
        kind, place = element.rpartition(":")[2], attributes.get("r", "").strip()
        if kind == "row":
            self.row, self.column = _row_number(place) or self.row + 1, 0
            self.rows = max(self.rows, self.row)
        elif kind == "c":
            self.column = _column_number(place) or self.column + 1
            self.columns = max(self.columns, self.column)


def _check_extent(content: bytes, path: Path) -> None:
    """Refuse a part of a spreadsheet whose cells lie so far out that the table between them would fill the memory."""
    extent, parser = _Extent(), expat.ParserCreate()
    parser.StartElementHandler = extent.note
    with suppress(expat.ExpatError):  # no XML: it is said where the part is needed
        parser.Parse(content, True)
    if extent.rows * max(1, extent.columns) > MAX_CELLS:
        raise UserError(
            f"{path}: its cells reach to row {extent.rows} and column {extent.columns}, at most {MAX_CELLS:,} cells "
            "are read, empty ones too. Delete what lies far out, or save the table as .csv."
        )


def _row_number(text: str) -> int:
    try:
        number = float(text)
    except ValueError:
        return 0
    return int(number) if number.is_integer() else 0


def _column_number(place: str) -> int:
    number = 0
    for letter in itertools.takewhile(str.isalpha, place[:4].upper()):
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
