"""The tables of the RSNA 2024 release: severities, series, and where each condition was seen.

`train.csv` has a row a study and a column a condition and level; `train_label_coordinates.csv` spells conditions and
levels differently, so all names go through `plain` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.tables import plain, read_rows
from nnunet_textguided.errors import UserError

LABELS, SERIES, COORDINATES = "train.csv", "train_series_descriptions.csv", "train_label_coordinates.csv"
SEVERITIES = ("normal_mild", "moderate", "severe")
LEVELS = {"l1_l2": "L1/L2", "l2_l3": "L2/L3", "l3_l4": "L3/L4", "l4_l5": "L4/L5", "l5_s1": "L5/S"}
CONDITIONS = {
    "spinal_canal_stenosis": ("spinal canal stenosis", "narrowing of the spinal canal at the intervertebral disc"),
    "left_neural_foraminal_narrowing": (
        "left foraminal narrowing",
        "narrowing of the left neural foramen at the intervertebral disc",
    ),
    "right_neural_foraminal_narrowing": (
        "right foraminal narrowing",
        "narrowing of the right neural foramen at the intervertebral disc",
    ),
    "left_subarticular_stenosis": (
        "left subarticular stenosis",
        "narrowing of the left subarticular zone at the intervertebral disc",
    ),
    "right_subarticular_stenosis": (
        "right subarticular stenosis",
        "narrowing of the right subarticular zone at the intervertebral disc",
    ),
}
"""Column of the table -> our finding and its term."""

FINDINGS: dict[str, dict[str, Any]] = {
    finding: {"term": term, "applies_to": list(LEVELS.values())} for finding, term in CONDITIONS.values()
}
"""The entry `findings` of dataset.json."""


@dataclass(frozen=True)
class Mark:
    """Where a condition was looked at.

    Attributes:
        series: Series identifier.
        instance: Number in the file's name.
        x: Column, pixels.
        y: Row, pixels.
    """

    series: str
    instance: str
    x: float
    y: float


@dataclass
class StudyRows:
    """What the tables say of one study.

    Attributes:
        series: Series identifier -> description, such as `sagittal_t1`.
        severities: (structure, finding) -> severity; what the readers left empty is not there.
        marks: (structure, finding) -> place.
    """

    series: dict[str, str] = field(default_factory=dict)
    severities: dict[tuple[str, str], str] = field(default_factory=dict)
    marks: dict[tuple[str, str], Mark] = field(default_factory=dict)

    def decisions(self, threshold: str) -> list[tuple[str, str, int]]:
        """Return structure, finding and presence of what was assessed.

        Args:
            threshold: Smallest severity that counts as present.
        """
        smallest = SEVERITIES.index(threshold)
        return [(*key, int(SEVERITIES.index(severity) >= smallest)) for key, severity in self.severities.items()]


def read_tables(source: Path) -> tuple[dict[str, StudyRows], dict[str, str]]:
    """Read the three tables; those of labels and coordinates may be missing, as for the test images.

    Args:
        source: Folder of the release.

    Returns:
        Study -> its rows, and file and line -> what is wrong there; such rows are left out.

    Raises:
        UserError: A table cannot be read or lacks columns, or that of the series is not there.
    """
    studies: dict[str, StudyRows] = {}
    problems: dict[str, str] = {}
    readers = {
        SERIES: (("study_id", "series_id", "series_description"), _add_series),
        LABELS: (("study_id",), _add_severities),
        COORDINATES: (("study_id", "series_id", "instance_number", "condition", "level", "x", "y"), _add_mark),
    }
    for name, (columns, add) in readers.items():
        path = source / name
        if not path.is_file():
            if name == SERIES:
                raise UserError(f"{path}: expected the release's table of series, found none.")
            continue
        for line, row in read_rows(path, columns):
            try:
                add(studies.setdefault(_identifier(row, "study_id"), StudyRows()), row)
            except CaseError as problem:
                problems[f"{name}:{line}"] = f"{name}, line {line}: {problem}"
    for study in sorted(study for study, rows in studies.items() if not rows.series):
        problems[study] = f"study {study}: has labels, but {SERIES} names no series of it"
    return {study: rows for study, rows in studies.items() if rows.series}, problems


def _add_series(rows: StudyRows, row: Mapping[str, str]) -> None:
    rows.series[_identifier(row, "series_id")] = plain(row["series_description"])


def _add_severities(rows: StudyRows, row: Mapping[str, str]) -> None:
    odd = []
    for column, cell in row.items():
        key = _key(column)
        if key is None or not cell:
            continue  # study_id, a column that someone added, or not assessed
        if plain(cell) in SEVERITIES:
            rows.severities[key] = plain(cell)
        else:
            odd.append(f"{column} is {cell!r}")
    if odd:
        raise CaseError(f"expected Normal/Mild, Moderate, Severe or nothing: {', '.join(odd)}")


def _add_mark(rows: StudyRows, row: Mapping[str, str]) -> None:
    key = _key(f"{plain(row['condition'])}_{plain(row['level'])}")
    if key is None:
        raise CaseError(f"unknown condition or level: {row['condition']!r}, {row['level']!r}")
    try:
        x, y = float(row["x"]), float(row["y"])
    except ValueError as error:
        raise CaseError(f"expected pixel coordinates, got {row['x']!r} and {row['y']!r}") from error
    rows.marks[key] = Mark(_identifier(row, "series_id"), _identifier(row, "instance_number"), x, y)


def _key(column: str) -> tuple[str, str] | None:
    """Structure and finding of a column `<condition>_<level>`."""
    for condition, (finding, _) in CONDITIONS.items():
        level = LEVELS.get(column.removeprefix(f"{condition}_"))
        if column.startswith(f"{condition}_") and level is not None:
            return level, finding
    return None


def _identifier(row: Mapping[str, str], column: str) -> str:
    """A whole number; it names folders and files, so nothing else may be in it. Spreadsheets add `.0`."""
    text = (row.get(column) or "").removesuffix(".0")
    if not text.isascii() or not text.isdecimal():
        raise CaseError(f"expected a number in {column}, got {text!r}")
    return text
