"""The comparison as files for other programs: a CSV a table, and one JSON with everything."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.comparison import Comparison
from nnunet_textguided.csv_cells import write_table
from nnunet_textguided.files import atomic_path, save_json_atomic, without_nan

TABLES = (
    *("overall", "structures", "groups", "findings", "costs", "statistics", "upper_lower", "spider"),
    *("case_scores", "structure_cases", "decisions"),
)
JSON_FILE = "comparison.json"
RULES_FILE = "rules.txt"


def write_tables(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `<table>.csv` of every table that has rows, rules.txt beside them, and comparison.json.

    Args:
        comparison: What was found.
        folder: Made if missing.

    Returns:
        The files, comparison.json last.

    Raises:
        UserError: The folder cannot be written to.
    """
    files = []
    for name in TABLES:
        table = getattr(comparison, name)
        if table is None or table.empty:
            # a table of an earlier comparison in this folder would be taken for one of this
            (folder / f"{name}.csv").unlink(missing_ok=True)
            continue
        files.append(folder / f"{name}.csv")
        write_table(table, files[-1])
    files.append(folder / RULES_FILE)
    with atomic_path(files[-1]) as temporary:
        temporary.write_text("\n".join([*comparison.rules, *comparison.notes]) + "\n", encoding="utf-8")
    files.append(folder / JSON_FILE)
    save_json_atomic(as_json(comparison), files[-1])
    return files


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything as JSON can hold it: tables as lists of rows, null for what is not defined.

    Args:
        comparison: What was found.
    """
    content: dict[str, Any] = {
        "title": comparison.grid.title,
        "grid": asdict(comparison.grid),
        "reference": comparison.reference,
        "cases": comparison.cases,
        "rules": comparison.rules,
        "notes": comparison.notes,
        **{name: _rows(getattr(comparison, name)) for name in TABLES},
        "provenance": comparison.provenance,
    }
    return without_nan(content)


def _rows(table: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    return None if table is None else table.to_dict("records")
