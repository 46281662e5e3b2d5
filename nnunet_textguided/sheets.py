"""Spreadsheets (.xlsx), which are zip files: looked at before they are unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.limits import TABLE_MB, check_size, limit_bytes

if TYPE_CHECKING:
    import pandas as pd


def read_sheet(path: str | Path, **options: Any) -> pd.DataFrame:
    """Read the first sheet of a spreadsheet.

    Args:
        path: A .xlsx or .xls file.
        options: Of pandas.read_excel.

    Raises:
        UserError: It is not there, too large (also unpacked), or no spreadsheet.
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
        return pd.read_excel(path, **options)
    except (UserError, ImportError):
        raise
    except Exception as error:  # openpyxl raises whatever its parsers stumble over first
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: cannot be read as a table: {first}.") from error
