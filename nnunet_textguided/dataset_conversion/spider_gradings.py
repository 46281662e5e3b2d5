"""SPIDER's radiological_gradings.csv: one row a patient and disc, graded by a radiologist."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.tables import plain, read_rows
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation
from nnunet_textguided.spine import SPINE_STRUCTURES

logger = logging.getLogger(__name__)

GRADINGS_FILE = "radiological_gradings.csv"
_MAX_DIGITS = 9
_PATIENT, _DISC = "patient", "ivd_label"
_SPELLINGS = {"pfirrmann_grade": "pfirrman_grade"}  # the release writes it with one n
DISCS = tuple(name for name in SPINE_STRUCTURES if "/" in name)
"""Disc names from L5/S upwards: the row with IVD label n belongs to the n-th."""


@dataclass(frozen=True)
class Grading:
    """One graded finding.

    Attributes:
        column: Column of the file.
        finding: Our name.
        term: The words of the prompt.
        grades: Grades that occur.
        threshold: Smallest grade that counts as present.
    """

    column: str
    finding: str
    term: str
    grades: range
    threshold: int


def gradings(modic: int = 1, pfirrmann: int = 4) -> tuple[Grading, ...]:
    """List the graded findings.

    Args:
        modic: Smallest Modic type that counts as present, 1 to 3.
        pfirrmann: Smallest Pfirrmann grade that counts as degeneration, 2 to 5.

    Raises:
        UserError: A threshold outside its grades.
    """
    if not 1 <= modic <= 3 or not 2 <= pfirrmann <= 5:
        raise UserError(
            f"Expected a Modic type of 1 to 3 and a Pfirrmann grade of 2 to 5, got {modic} and {pfirrmann}."
        )
    yes_no = range(2)
    return (
        Grading("Disc herniation", "disc herniation", "herniation of the intervertebral disc", yes_no, 1),
        Grading("Disc narrowing", "disc narrowing", "narrowing of the intervertebral disc space", yes_no, 1),
        Grading("Disc bulging", "disc bulge", "bulging of the intervertebral disc", yes_no, 1),
        Grading(
            "Pfirrman grade", "disc degeneration", "degeneration of the intervertebral disc", range(1, 6), pfirrmann
        ),
        Grading("UP endplate", "upper endplate change", "change of the endplate above the disc", yes_no, 1),
        Grading("LOW endplate", "lower endplate change", "change of the endplate below the disc", yes_no, 1),
        Grading("Modic", "Modic change", "Modic change of the bone marrow beside the disc", range(4), modic),
        Grading("Spondylolisthesis", "spondylolisthesis", "slipping of the vertebra above the disc", yes_no, 1),
    )


def findings_block(chosen: Sequence[Grading]) -> dict[str, Any]:
    """The entry `findings` of dataset.json; every finding is reported at a disc."""
    return {grading.finding: {"term": grading.term, "applies_to": list(DISCS)} for grading in chosen}


def read_gradings(path: Path, chosen: Sequence[Grading]) -> dict[int, list[tuple[str, str, int]]]:
    """Read the gradings of all patients.

    Rows of disc 0 (the release has two) and of discs above T9/T10 belong to no structure and are left out.

    Args:
        path: The file; it may cover more patients than there are images of.
        chosen: What to read.

    Returns:
        Patient -> (structure, finding, present).

    Raises:
        UserError: A column is missing, or a cell holds no grade; the text names the line.
    """
    wanted = {plain(grading.column): grading for grading in chosen}
    found: dict[int, list[tuple[str, str, int]]] = {}
    dropped = 0
    seen: set[tuple[int, int]] = set()
    for line, cells in read_rows(path, (_PATIENT, _DISC, *wanted), _SPELLINGS):
        patient, disc = _whole(cells[_PATIENT], "Patient", path, line), _whole(cells[_DISC], "IVD label", path, line)
        if not 1 <= disc <= len(DISCS):
            dropped += 1
            continue
        if (patient, disc) in seen:
            raise UserError(f"{path}, line {line}: patient {patient}, disc {disc} was graded on an earlier line too.")
        seen.add((patient, disc))
        found.setdefault(patient, []).extend(_decisions(cells, DISCS[disc - 1], wanted, path, line))
    if dropped:
        logger.info("%s: left out %d rows of discs that are no structure", path, dropped)
    return found


def annotations_of(patients: Mapping[str, str], found: Mapping[int, list[tuple[str, str, int]]]) -> list[Annotation]:
    """Give every case the gradings of its patient; a patient without any is not assessed.

    Args:
        patients: Case -> patient, `spider_<number>`.
        found: Of `read_gradings`.
    """
    return [
        Annotation(case, structure, finding, present)
        for case, patient in sorted(patients.items())
        for structure, finding, present in found.get(int(patient.removeprefix("spider_")), [])
    ]


def _decisions(
    cells: Mapping[str, str], disc: str, wanted: Mapping[str, Grading], path: Path, line: int
) -> list[tuple[str, str, int]]:
    decisions = []
    for column, grading in wanted.items():
        if not cells.get(column):
            continue  # not assessed
        grade = _whole(cells[column], grading.column, path, line)
        if grade not in grading.grades:
            low, high = grading.grades[0], grading.grades[-1]
            raise UserError(f"{path}, line {line}: {grading.column} is {low} to {high}, got {grade}.")
        decisions.append((disc, grading.finding, int(grade >= grading.threshold)))
    return decisions


def _whole(text: str, column: str, path: Path, line: int) -> int:
    """A whole number; spreadsheets write 1.0 for it."""
    number = text.removesuffix(".0")
    if not number.isascii() or not number.isdecimal() or len(number) > _MAX_DIGITS:
        raise UserError(f"{path}, line {line}: expected a whole number in {column}, got {text!r}.")
    return int(number)
