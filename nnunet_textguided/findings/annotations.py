"""findings.csv: which finding is present, absent or not assessed at which structure of which case."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_textguided.csv_cells import original_cell, write_rows
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.vocabulary import FindingVocabulary
from nnunet_textguided.limits import TABLE_MB, read_limited

FINDINGS_FILE = "findings.csv"
COLUMNS = ("case", "structure", "finding", "present")
POINT_COLUMNS = ("x_mm", "y_mm", "z_mm")
NOT_ASSESSED = -1


@dataclass(frozen=True)
class Annotation:
    """One assessed decision.

    Attributes:
        case: Case identifier.
        structure: Where.
        finding: What.
        present: 1 or 0.
        point_mm: Where exactly, LPS world in mm, if known.
    """

    case: str
    structure: str
    finding: str
    present: int
    point_mm: tuple[float, float, float] | None = None


class FindingAnnotations:
    """The annotations of a data set. What has no row is not assessed.

    Args:
        annotations: At most one a (case, structure, finding).
    """

    def __init__(self, annotations: Iterable[Annotation]) -> None:
        self._by_case: dict[str, dict[tuple[str, str], Annotation]] = {}
        for annotation in annotations:
            decisions = self._by_case.setdefault(annotation.case, {})
            decisions[annotation.structure, annotation.finding] = annotation

    def cases(self) -> list[str]:
        """Cases with at least one assessed decision."""
        return sorted(self._by_case)

    def of_case(self, case: str) -> list[Annotation]:
        """The assessed decisions of a case; none is no error."""
        return list(self._by_case.get(case, {}).values())

    def status(self, case: str, vocabulary: FindingVocabulary) -> np.ndarray:
        """Tell what is known of a case.

        Args:
            case: Case identifier.
            vocabulary: Decides rows and columns; findings of the file that it does not hold are left out.

        Returns:
            (structures, findings) int8: 1 present, 0 absent, -1 not assessed.
        """
        table = np.full((len(vocabulary.structures), len(vocabulary)), NOT_ASSESSED, dtype=np.int8)
        for annotation in self.of_case(case):
            if annotation.finding in vocabulary.names:
                row = vocabulary.structures.index(annotation.structure)
                table[row, vocabulary.names.index(annotation.finding)] = annotation.present
        return table


def read_findings(
    path: Path, vocabulary: FindingVocabulary, cases: Collection[str] | None = None
) -> FindingAnnotations:
    """Read and check findings.csv.

    Args:
        path: The file, with the columns `case,structure,finding,present` and optionally `x_mm,y_mm,z_mm`.
        vocabulary: What the data set's dataset.json declares.
        cases: Cases that exist; None = any name goes.

    Raises:
        UserError: Unreadable, empty, or a row that cannot be meant so; the text names file and line.
    """
    try:
        text = read_limited(path, TABLE_MB).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return _annotations(reader, path, vocabulary, cases)
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: is no CSV: {error}.") from error


def _annotations(
    reader: csv.DictReader, path: Path, vocabulary: FindingVocabulary, cases: Collection[str] | None
) -> FindingAnnotations:
    _check_header(path, reader.fieldnames)
    seen: dict[tuple[str, str, str], tuple[int, Annotation]] = {}
    for row in reader:
        where = f"{path}, line {reader.line_num}"
        annotation = _parse(row, where)
        _check_names(annotation, where, vocabulary, cases)
        key = (annotation.case, annotation.structure, annotation.finding)
        first_line, first = seen.setdefault(key, (reader.line_num, annotation))
        if first.present != annotation.present:
            raise UserError(
                f"{where}: {' / '.join(key)} is {annotation.present}, but {first.present} on line {first_line}. "
                "Keep the right one of the two rows."
            )
        if first.point_mm is None and annotation.point_mm is not None:
            seen[key] = (first_line, annotation)
    if not seen:
        raise UserError(f"{path} holds no row. Fill it, or remove it together with text_guidance.findings.")
    return FindingAnnotations(annotation for _, annotation in seen.values())


def write_findings(annotations: Iterable[Annotation], path: Path) -> None:
    """Write findings.csv, points to a hundredth of a millimetre.

    Args:
        annotations: In the order of the rows.
        path: Written as a whole or not at all.
    """
    rows: list[tuple[Any, ...]] = [(*COLUMNS, *POINT_COLUMNS)]
    for a in annotations:
        point = ("", "", "") if a.point_mm is None else tuple(f"{value:.2f}" for value in a.point_mm)
        rows.append((a.case, a.structure, a.finding, a.present, *point))
    write_rows(rows, path)


def _check_header(path: Path, header: Iterable[str] | None) -> None:
    names = list(header or [])
    missing = [name for name in COLUMNS if name not in names]
    if not names:
        raise UserError(f"{path} is empty. Expected a header {','.join((*COLUMNS, *POINT_COLUMNS))} and rows.")
    if missing or len(set(names) & set(POINT_COLUMNS)) not in (0, 3):
        raise UserError(
            f"{path}, line 1: expected the columns {','.join(COLUMNS)} and, all or none, {','.join(POINT_COLUMNS)}, "
            f"got {','.join(names)}."
        )


def _parse(row: dict[str, str | None], where: str) -> Annotation:
    if None in row or any(row[name] is None for name in COLUMNS):
        raise UserError(f"{where}: has more or fewer cells than the header.")
    case, structure, finding, present = (original_cell((row[name] or "").strip()) for name in COLUMNS)
    if present not in ("0", "1"):
        raise UserError(f"{where}: present is 1 or 0, got {present!r}. Leave out the row of what was not assessed.")
    cells = [(row.get(name) or "").strip() for name in POINT_COLUMNS]
    if not any(cells):
        return Annotation(case, structure, finding, int(present))
    try:
        x, y, z = (float(cell) for cell in cells)
    except ValueError as error:
        raise UserError(f"{where}: expected three coordinates in mm or none, got {cells}.") from error
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise UserError(f"{where}: expected finite coordinates in mm, got {cells}.")
    return Annotation(case, structure, finding, int(present), (x, y, z))


def _check_names(
    annotation: Annotation, where: str, vocabulary: FindingVocabulary, cases: Collection[str] | None
) -> None:
    if annotation.finding not in vocabulary.names:
        raise UserError(f"{where}: unknown finding {annotation.finding!r}; dataset.json has {list(vocabulary.names)}.")
    if annotation.structure not in vocabulary.structures:
        raise UserError(
            f"{where}: unknown structure {annotation.structure!r}; dataset.json has {list(vocabulary.structures)}."
        )
    sites = vocabulary.applies_to[vocabulary.names.index(annotation.finding)]
    if annotation.structure not in sites:
        raise UserError(
            f"{where}: {annotation.finding!r} does not apply to {annotation.structure!r}, only to {list(sites)}."
        )
    if cases is not None and annotation.case not in cases:
        raise UserError(f"{where}: there is no case {annotation.case!r} in the data set.")
