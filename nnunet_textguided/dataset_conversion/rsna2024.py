"""RSNA 2024 Lumbar Spine Degenerative Classification: DICOM folders by study and series, tables of severities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.target import dataset_folder
from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.stack import SAGITTAL
from nnunet_textguided.dataset_conversion.dicom.study import best_of, stacks_of_study
from nnunet_textguided.dataset_conversion.dicom.study_case import (
    SEQUENCES,
    Choice,
    Series,
    StudyCase,
    check_sequences,
    convert_studies,
)
from nnunet_textguided.dataset_conversion.dicom.volume import voxel_to_world
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import spine_labels
from nnunet_textguided.dataset_conversion.rsna2024_tables import FINDINGS, SEVERITIES, Mark, StudyRows, read_tables
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation

IMAGES = "train_images"
_DESCRIPTIONS = {"T1": "sagittal_t1", "T2": "sagittal_t2_stir"}
_NOT_LUMBAR = {"3637444890": "3892989905"}
"""Study -> series known not to show the lumbar spine (noted by several teams of the challenge)."""


@dataclass(frozen=True, kw_only=True)
class RsnaCase(StudyCase):
    """A study and its rows of the tables.

    Attributes:
        rows: What the tables say.
        threshold: Smallest severity that counts as present.
    """

    rows: StudyRows
    threshold: str

    def choose(self, series: Series) -> Choice:
        """Take the series that the table calls sagittal T1 and T2."""
        chosen, notes = {}, []
        for sequence in self.sequences:
            wanted = [name for name, text in self.rows.series.items() if text == _DESCRIPTIONS[sequence]]
            mine = {name: headers for name, headers in series.items() if Path(headers[0].path).parent.name in wanted}
            stacks, odd = stacks_of_study(mine, SAGITTAL)
            if not stacks:
                reason = "; ".join(odd) or f"the table names {', '.join(wanted) or 'none'}"
                raise CaseError(f"has no whole sagittal {sequence} series ({reason})")
            chosen[sequence], decisions = best_of(stacks, sequence)
            notes += [*odd, *decisions]
        others = [name for name, text in self.rows.series.items() if text not in _DESCRIPTIONS.values()]
        return Choice(chosen, notes, {"series_left_out": others})

    def findings(self, series: Series) -> tuple[list[Annotation], list[str]]:
        """Turn severities into decisions, with the place where the readers marked it."""
        found, notes = [], []
        for structure, finding, present in self.rows.decisions(self.threshold):
            place = None
            mark = self.rows.marks.get((structure, finding))
            if mark is not None:
                try:
                    place = self._place(mark)
                except CaseError as problem:
                    notes.append(f"{finding} at {structure} is kept without its place: {problem}")
            found.append(Annotation(self.case, structure, finding, present, place))
        return found, notes

    def knowledge(self) -> dict[str, str]:
        """Return the hash of the rows and the threshold."""
        return {"tables": hashlib.sha256(repr((self.rows, self.threshold)).encode()).hexdigest()}

    def _place(self, mark: Mark) -> tuple[float, float, float]:
        """Place of a mark in LPS mm; it may lie on an axial slice, too."""
        path = self.source / IMAGES / self.patient / mark.series / f"{mark.instance}.dcm"
        header = read_slice_header(path)
        if not (0 <= mark.x < header.size[0] and 0 <= mark.y < header.size[1]):
            raise CaseError(f"({mark.x:.0f}, {mark.y:.0f}) is outside the pixels of {self.relative(path)}")
        return voxel_to_world(header, mark.x, mark.y)


def convert_rsna2024(
    source: Path,
    dataset_id: int,
    name: str = "RSNA2024",
    sequences: Sequence[str] = SEQUENCES,
    *,
    threshold: str = "moderate",
    settings: RunSettings | None = None,
) -> tuple[Path, Manifest]:
    """Convert the studies to cases with findings and without masks: every voxel has nnU-Net's ignore label.

    Args:
        source: Folder of the release, with `train_images` and the tables.
        dataset_id: nnU-Net's number of the data set.
        name: Its name.
        sequences: Channels, some of `SEQUENCES`; later ones are resampled onto the first.
        threshold: Smallest severity that counts as present, `moderate` or `severe`.
        settings: How to run.

    Returns:
        The folder written, and the manifest, whose `problems` say what could not be converted.

    Raises:
        UserError: Nothing found, the target may not be used or written to, bad splits, or no case is convertible.
    """
    check_sequences(sequences)
    if threshold not in SEVERITIES[1:]:
        raise UserError(f"Expected the severity moderate or severe as threshold, got {threshold!r}.")
    source = Path(source).absolute()
    folder = dataset_folder(dataset_id, name)
    studies, problems = read_tables(source)
    labels = spine_labels(ignore=True)
    tasks, skipped = [], {}
    for study, rows in sorted(studies.items()):
        rows.series.pop(_NOT_LUMBAR.get(study, ""), None)
        lacking = [sequence for sequence in sequences if _DESCRIPTIONS[sequence] not in rows.series.values()]
        if lacking:
            skipped[f"rsna_{study}"] = f"rsna_{study}: the table names no sagittal {' and no '.join(lacking)}"
            continue
        tasks.append(
            RsnaCase(
                case=f"rsna_{study}",
                patient=study,
                source=source,
                target=folder,
                folders=_folders(source, study, rows, sequences),
                sequences=tuple(sequences),
                ignore=labels["ignore"],
                rows=rows,
                threshold=threshold,
            )
        )
    options = {"sequences": list(sequences), "threshold": threshold}
    fresh = Manifest("rsna2024", options, str(source), problems=problems, skipped=skipped)
    return convert_studies(tasks, _description(sequences, labels), fresh, folder, settings)


def _description(sequences: Sequence[str], labels: dict[str, int]) -> DatasetDescription:
    return DatasetDescription(
        name="RSNA 2024 lumbar spine degenerative classification",
        channel_names=tuple(f"{sequence} MRI" for sequence in sequences),
        labels=labels,
        reference="https://www.kaggle.com/competitions/rsna-2024-lumbar-spine-degenerative-classification",
        licence="non-commercial research, terms of the competition",
        findings=FINDINGS,
    )


def _folders(source: Path, study: str, rows: StudyRows, sequences: Sequence[str]) -> tuple[Path, ...]:
    """Folders of the series that may become channels."""
    wanted = {_DESCRIPTIONS[sequence] for sequence in sequences}
    return tuple(source / IMAGES / study / series for series, text in rows.series.items() if text in wanted)
