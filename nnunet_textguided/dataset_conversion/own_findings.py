"""Findings that lie beside the images of a source already: findings.json declares them, findings.csv holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json
from nnunet_textguided.findings.annotations import FINDINGS_FILE, Annotation, FindingAnnotations, read_findings
from nnunet_textguided.findings.vocabulary import FindingVocabulary

DECLARATION_FILE = "findings.json"
"""The entry `findings` of dataset.json: name -> term and the structures it applies to."""


def read_own_findings(
    source: Path, structures: Sequence[str]
) -> tuple[dict[str, Any], dict[int, list[Annotation]]] | None:
    """Read the findings of a source; its `case` column holds patient numbers, as the image names do.

    Args:
        source: Folder of the data set.
        structures: Names of the classes the conversion writes.

    Returns:
        The declaration, and patient number -> findings; None where the source has neither file.

    Raises:
        UserError: One of the two files is missing, or they say what cannot be.
    """
    own = _read(source, structures)
    if own is None:
        return None
    block, annotations = own
    found: dict[int, list[Annotation]] = {}
    for patient in annotations.cases():
        if not patient.isdecimal() or int(patient) in found:
            raise UserError(
                f"{source / FINDINGS_FILE}: expected in `case` the number of a patient, written one way, got "
                f"{patient!r}."
            )
        found[int(patient)] = annotations.of_case(patient)
    return block, found


def own_annotations_of(patients: Mapping[str, str], found: Mapping[int, list[Annotation]]) -> list[Annotation]:
    """Give every case the findings of its patient.

    Args:
        patients: Case -> patient, `<data set>_<number>`.
        found: Patient number -> findings; a patient without any is not assessed.
    """
    return [
        replace(annotation, case=case)
        for case, patient in sorted(patients.items())
        for annotation in found.get(int(patient.rpartition("_")[2]), [])
    ]


def read_findings_by_case(source: Path, structures: Sequence[str], names: Mapping[str, str]) -> dict[str, Any]:
    """Return what a source's findings add to the description; its `case` column holds cases as the files call them.

    Args:
        source: Folder of the data set.
        structures: Names of the classes the conversion writes.
        names: Case as its files call it -> case identifier.

    Raises:
        UserError: One of the two files is missing, they say what cannot be, or name a case that there is not.
    """
    own = _read(source, structures)
    if own is None:
        return {}
    block, annotations = own
    unknown = sorted(set(annotations.cases()) - set(names))
    if unknown:
        raise UserError(f"{source / FINDINGS_FILE}: there are no files of the cases {', '.join(unknown[:5])}.")

    def annotate(patients: Mapping[str, str]) -> list[Annotation]:
        return [
            replace(annotation, case=name)
            for case, name in names.items()
            if name in patients
            for annotation in annotations.of_case(case)
        ]

    return {"findings": block, "annotate": annotate}


def _read(source: Path, structures: Sequence[str]) -> tuple[dict[str, Any], FindingAnnotations] | None:
    declaration, table = source / DECLARATION_FILE, source / FINDINGS_FILE
    there = [path for path in (declaration, table) if path.is_file()]
    if not there:
        return None
    if len(there) == 1:
        missing = (declaration if there[0] == table else table).name
        raise UserError(f"{source} has {there[0].name} but no {missing}: give both, or remove it.")
    block = load_json(declaration)
    if not isinstance(block, dict):
        raise UserError(f"{declaration}: expected findings as in dataset.json, name -> term and applies_to.")
    return block, read_findings(table, FindingVocabulary.from_block(block, structures))
