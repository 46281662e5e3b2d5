"""Tianchi "Spark digital human" spinal disease set (data set 79463): a flat DICOM folder a study, points as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_conversion.base.names import case_name
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.base.target import dataset_folder
from nnunet_textguided.dataset_conversion.dicom.folders import folders_by_study
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader
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
from nnunet_textguided.dataset_conversion.dicom.volume import voxel_to_world
from nnunet_textguided.dataset_conversion.label_maps.spine_labels import spine_labels
from nnunet_textguided.dataset_conversion.tianchi_annotations import FINDINGS, AnnotatedStudy, read_annotations
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation


@dataclass(frozen=True, kw_only=True)
class TianchiCase(StudyCase):
    """A study and the points on its annotated slice.

    Attributes:
        annotation: What the reader said; None = not assessed.
    """

    annotation: AnnotatedStudy | None

    def choose(self, series: Series) -> Choice:
        """Take the annotated series as T2; the others by their headers."""
        stacks, notes = stacks_of_study(series, SAGITTAL)
        chosen = {}
        for sequence in self.sequences:
            if sequence == "T2" and self.annotation is not None:
                instance = self.annotation.instance
                holding = [stack for stack in stacks if any(piece.instance == instance for piece in stack.slices)]
                if not holding:
                    raise CaseError(
                        "; ".join([f"no whole sagittal series holds the annotated slice {instance}", *notes])
                    )
                chosen[sequence] = holding[0]
            else:
                chosen[sequence] = choose_sequence(stacks, sequence, notes)
        return Choice(chosen, notes)

    def findings(self, series: Series) -> tuple[list[Annotation], list[str]]:
        """Turn the points into decisions with a place in mm."""
        if self.annotation is None:
            return [], []
        header = self._annotated_slice(series, self.annotation.instance)
        found = []
        for point in self.annotation.points:
            if point.structure is None:
                continue
            if not (0 <= point.x < header.size[0] and 0 <= point.y < header.size[1]):
                raise CaseError(
                    f"{point.identification} is marked at ({point.x:g}, {point.y:g}), outside the {header.size[0]} x "
                    f"{header.size[1]} pixels of {header.path}"
                )
            place = voxel_to_world(header, point.x, point.y)
            found += [Annotation(self.case, point.structure, name, there, place) for name, there in point.decisions()]
        return found, list(self.annotation.notes)

    def knowledge(self) -> dict[str, str]:
        """Return the annotation's hash."""
        return {"annotation": hashlib.sha256(repr(self.annotation).encode()).hexdigest()}

    def _annotated_slice(self, series: Series, instance: str) -> SliceHeader:
        for headers in series.values():
            for header in headers:
                if header.instance == instance:
                    return header
        raise CaseError(f"the annotated slice {instance} is not among its files")


def convert_tianchi(
    source: Path,
    dataset_id: int,
    name: str = "Tianchi",
    sequences: Sequence[str] = SEQUENCES,
    *,
    annotations: Sequence[Path] = (),
    keep_unannotated: bool = False,
    settings: RunSettings | None = None,
) -> tuple[Path, Manifest]:
    """Convert the studies to cases with findings and without masks: every voxel has nnU-Net's ignore label.

    Studies are linked to the annotations by StudyInstanceUID, the slice by SOPInstanceUID.

    Args:
        source: Folder that holds the studies' folders, at any depth.
        dataset_id: nnU-Net's number of the data set.
        name: Its name.
        sequences: Channels, some of `SEQUENCES`; later ones are resampled onto the first.
        annotations: JSON files; none = all `*annotation*.json` in the source.
        keep_unannotated: Take studies without annotation (the contest's test studies), too.
        settings: How to run.

    Returns:
        The folder written, and the manifest, whose `problems` say what could not be converted.

    Raises:
        UserError: Nothing found, the target may not be used or written to, bad splits, or no case is convertible.
    """
    check_sequences(sequences)
    source = Path(source).absolute()
    folder = dataset_folder(dataset_id, name)
    studies, problems = _read_annotations(source, annotations)
    folders, unreadable = folders_by_study(source)
    absent = {
        study: f"study {study}: annotated, but its DICOM files are not there" for study in studies.keys() - folders
    }
    problems |= unreadable | dict(sorted(absent.items()))
    labels = spine_labels(ignore=True)
    tasks, skipped = [], {}
    for study, places in folders.items():
        case = f"tianchi_{case_name('_'.join(places[0].relative_to(source).parts))}"
        if study not in studies and not keep_unannotated:
            skipped[case] = f"{case}: is not among the annotated studies"
            continue
        tasks.append(
            TianchiCase(
                case=case,
                patient=study,
                source=source,
                target=folder,
                folders=tuple(places),
                sequences=tuple(sequences),
                ignore=labels["ignore"],
                annotation=studies.get(study),
            )
        )
    options = {"sequences": list(sequences), "keep_unannotated": keep_unannotated}
    fresh = Manifest("tianchi", options, str(source), problems=problems, skipped=skipped)
    return convert_studies(tasks, _description(sequences, labels), fresh, folder, settings)


def _read_annotations(source: Path, given: Sequence[Path]) -> tuple[dict[str, AnnotatedStudy], dict[str, str]]:
    files = [Path(path) for path in given] or sorted(source.rglob("*annotation*.json"))
    if not files:
        raise UserError(f"Expected annotation files (*annotation*.json) in {source}, found none. Name them.")
    return read_annotations(files)


def _description(sequences: Sequence[str], labels: dict[str, int]) -> DatasetDescription:
    return DatasetDescription(
        name="Tianchi spinal disease set (Spark digital human)",
        channel_names=tuple(f"{sequence} MRI" for sequence in sequences),
        labels=labels,
        reference="https://tianchi.aliyun.com/dataset/79463",
        licence="terms of the competition",
        findings=FINDINGS,
    )
