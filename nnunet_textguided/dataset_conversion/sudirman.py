"""Sudirman et al., lumbar spine MRI of 515 patients (Mendeley k57fr854j2) and the radiologists' notes.

The images have no labels: they are for pretraining, and for `complete`. Folders: <patient>/<study>/<series>/*.ima.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.csv_cells import write_rows
from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.tables import plain, read_rows
from nnunet_textguided.dataset_conversion.base.target import dataset_folder
from nnunet_textguided.dataset_conversion.dicom.folders import folders_by_study
from nnunet_textguided.dataset_conversion.dicom.stack import SAGITTAL
from nnunet_textguided.dataset_conversion.dicom.study import stacks_of_study
from nnunet_textguided.dataset_conversion.dicom.study_case import (
    SEQUENCES,
    Choice,
    Series,
    StudyCase,
    check_sequences,
    choose_sequence,
    convert_studies,
)
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import spine_labels
from nnunet_textguided.errors import UserError
from nnunet_textguided.sheets import read_sheet

REPORTS_FILE = "reports.csv"
_PATIENT, _NOTES = "patient_id", "clinician_s_notes"


@dataclass(frozen=True, kw_only=True)
class SudirmanCase(StudyCase):
    """A study of a patient."""

    def choose(self, series: Series) -> Choice:
        """Take the sagittal series by their headers."""
        stacks, notes = stacks_of_study(series, SAGITTAL)
        return Choice({sequence: choose_sequence(stacks, sequence, notes) for sequence in self.sequences}, notes)


def convert_sudirman(
    source: Path,
    dataset_id: int,
    name: str = "Sudirman",
    sequences: Sequence[str] = SEQUENCES,
    *,
    notes: Path | None = None,
    settings: RunSettings | None = None,
) -> tuple[Path, Manifest]:
    """Convert the studies to cases without masks, and the notes to `reports.csv` beside dataset.json.

    Args:
        source: Folder that holds the patients' folders, at any depth.
        dataset_id: nnU-Net's number of the data set.
        name: Its name.
        sequences: Channels, some of `SEQUENCES`; later ones are resampled onto the first.
        notes: Table of the radiologists' notes (csv or xlsx) with the columns `Patient ID` and `Clinician's Notes`.
        settings: How to run.

    Returns:
        The folder written, and the manifest, whose `problems` say what could not be converted.

    Raises:
        UserError: Nothing found, the target may not be used or written to, bad notes, or no case is convertible.
    """
    check_sequences(sequences)
    source = Path(source).absolute()
    folder = dataset_folder(dataset_id, name)
    reports = [] if notes is None else read_notes(Path(notes))
    by_study, problems = folders_by_study(source)
    labels = spine_labels(ignore=True)
    tasks = []
    for patient, studies in _by_patient(source, by_study, problems).items():
        for number, places in enumerate(studies, start=1):
            tasks.append(
                SudirmanCase(
                    case=f"sudirman_{patient}" if len(studies) == 1 else f"sudirman_{patient}_{number}",
                    patient=patient,
                    source=source,
                    target=folder,
                    folders=tuple(places),
                    sequences=tuple(sequences),
                    ignore=labels["ignore"],
                )
            )
    description = DatasetDescription(
        name="Lumbar spine MRI of Sudirman et al.",
        channel_names=tuple(f"{sequence} MRI" for sequence in sequences),
        labels=labels,
        reference="https://doi.org/10.17632/k57fr854j2",
        licence="CC BY 4.0",
    )
    fresh = Manifest("sudirman", {"sequences": list(sequences)}, str(source), problems=problems)
    folder, manifest = convert_studies(tasks, description, fresh, folder, settings)
    if reports and not (settings and settings.dry_run):
        _write_reports(reports, folder / REPORTS_FILE)
    return folder, manifest


def read_notes(path: Path) -> list[tuple[str, str]]:
    """Read patient and note of every row that has one.

    Args:
        path: A csv or xlsx file.

    Raises:
        UserError: It cannot be read, or lacks a column.
    """
    if path.suffix.lower() in (".xlsx", ".xls"):
        try:
            table = read_sheet(path, dtype=str).fillna("")
        except ImportError as error:
            raise UserError(f"{path}: cannot be read as a table: {error}") from error
        with_names = table.rename(columns=lambda name: plain(str(name)))
        missing = [name for name in (_PATIENT, _NOTES) if name not in with_names]
        if missing:
            raise UserError(
                f"{path}: expected the columns Patient ID and Clinician's Notes, got {list(table.columns)}."
            )
        rows = with_names.to_dict("records")
    else:
        rows = [row for _, row in read_rows(path, (_PATIENT, _NOTES))]
    return [(row[_PATIENT].strip(), row[_NOTES].strip()) for row in rows if row.get(_NOTES, "").strip()]


def _by_patient(source: Path, studies: dict[str, list[Path]], problems: dict[str, str]) -> dict[str, list[list[Path]]]:
    """Patient -> folders of each study; the patient is the first part of the path that is a number."""
    patients: dict[str, list[list[Path]]] = defaultdict(list)
    for places in studies.values():
        numbers = {part for place in places for part in place.relative_to(source).parts[:-1] if part.isdecimal()}
        if len(numbers) != 1:
            problems[str(places[0])] = f"{places[0]}: expected one patient's number in its path, got {sorted(numbers)}"
            continue
        patients[numbers.pop().zfill(4)].append(places)
    return dict(sorted(patients.items()))


def _write_reports(reports: Sequence[tuple[str, str]], path: Path) -> None:
    write_rows([("patient", "report"), *reports], path)
