"""Cases that are made from the DICOM files of a study, without a mask."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnunet_textguided.dataset_conversion.base.cases import (
    CaseTask,
    LoadedCase,
    hash_file,
    label_everywhere,
    on_one_grid,
)
from nnunet_textguided.dataset_conversion.base.conversion import RunSettings, run_conversion
from nnunet_textguided.dataset_conversion.base.description import DatasetDescription
from nnunet_textguided.dataset_conversion.base.manifest import Manifest, hash_of_files
from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import SliceHeader
from nnunet_textguided.dataset_conversion.dicom.stack import Stack
from nnunet_textguided.dataset_conversion.dicom.study import choose_sagittal, find_dicom_files, read_study
from nnunet_textguided.dataset_conversion.dicom.volume import read_stack
from nnunet_textguided.errors import UserError
from nnunet_textguided.findings.annotations import Annotation

SEQUENCES = ("T2", "T1")
"""What can be a channel; the first chosen gives the grid."""
Series = Mapping[str, list[SliceHeader]]
_SHOWN = 10  # reasons named where no study can be converted


@dataclass
class Choice:
    """What of a study becomes the channels.

    Attributes:
        stacks: Name of the channel -> its slices; the first one's grid is the case's.
        notes: Decisions, one sentence each.
        about: More for the case's record; JSON-ready.
    """

    stacks: dict[str, Stack]
    notes: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyCase(CaseTask):
    """One study; every data set says which series are taken and what is known of it.

    Attributes:
        folders: Where its DICOM files are.
        sequences: Channels to look for, such as `T2` and `T1`; the first one's grid is the case's.
        ignore: nnU-Net's ignore label, for the label map.
    """

    folders: tuple[Path, ...]
    sequences: tuple[str, ...]
    ignore: int

    @abstractmethod
    def choose(self, series: Series) -> Choice:
        """Choose the series.

        Args:
            series: Series -> headers of its slices.

        Raises:
            CaseError: A sequence is not there, or not whole.
        """

    def findings(self, series: Series) -> tuple[list[Annotation], list[str]]:
        """Return what is known of the study, and notes on what is not; nothing where a data set has no findings.

        Args:
            series: Series -> headers of its slices.
        """
        return [], []

    def knowledge(self) -> dict[str, str]:
        """Return hashes of what is known besides the images, so that a change of it makes the case anew."""
        return {}

    def fingerprint(self) -> dict[str, str]:
        """Return one hash a folder, over the names and contents of its files."""
        hashes = {}
        for folder in self.folders:
            files, _ = _files_of(folder, self.source)
            name = f"{self.relative(folder)} ({len(files)} files)"
            hashes[name] = hash_of_files({self.relative(path): hash_file(path) for path in files})
        return hashes | self.knowledge()

    def load(self) -> LoadedCase:
        """Read headers, choose series, read them onto one grid."""
        files, notes = [], []
        for folder in self.folders:
            there, left_out = _files_of(folder, self.source)
            files += there
            notes += left_out
        if not files:
            raise CaseError(f"no DICOM file in {', '.join(map(str, self.folders))}")
        series, broken = read_study(files)
        choice = self.choose(series)
        images = {name: read_stack(stack) for name, stack in choice.stacks.items()}
        channels, covered_by = on_one_grid(images)
        annotations, odd = self.findings(series)
        about = {"series": {name: stack.slices[0].series for name, stack in choice.stacks.items()}, **choice.about}
        if covered_by:
            about["covered_by"] = covered_by
        notes += [*broken.values(), *choice.notes, *odd]
        return LoadedCase(channels, label_everywhere(channels[0], self.ignore), about, notes, annotations)


def _files_of(folder: Path, source: Path) -> tuple[list[Path], list[str]]:
    """List the DICOM files of a folder; sub-folders may be another study's and are listed by themselves."""
    files, left_out = find_dicom_files(folder, source)
    return [path for path in files if path.parent == folder], left_out


def choose_sequence(stacks: Sequence[Stack], sequence: str, notes: list[str]) -> Stack:
    """Choose the stack of a sequence by the headers.

    Args:
        stacks: Of one study.
        sequence: T1 or T2.
        notes: Of `stacks_of_study`; decisions are added.

    Raises:
        CaseError: There is none; the notes are part of the text, as they say what was left out and why.
    """
    try:
        stack, decisions = choose_sagittal(stacks, sequence)
    except CaseError as problem:
        raise CaseError("; ".join([str(problem), *notes])) from problem
    notes += decisions
    return stack


def check_sequences(chosen: Sequence[str]) -> None:
    """Refuse channels that there are not.

    Args:
        chosen: By the user.

    Raises:
        UserError: None, one that is not of `SEQUENCES`, or one twice.
    """
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(SEQUENCES):
        raise UserError(
            f"Expected one or more of {', '.join(SEQUENCES)}, each at most once, got {' '.join(chosen) or 'none'}."
        )


def convert_studies(
    tasks: Sequence[StudyCase],
    description: DatasetDescription,
    manifest: Manifest,
    folder: Path,
    settings: RunSettings | None,
) -> tuple[Path, Manifest]:
    """Run the conversion of a data set of studies.

    Args:
        tasks: The cases.
        description: For dataset.json.
        manifest: Of this conversion, with what was found wrong before any study was read.
        folder: nnUNet_raw/DatasetXXX_Name.
        settings: How to run.

    Returns:
        The folder, and the manifest as saved.

    Raises:
        UserError: There is no study, or as `run_conversion`.
    """
    if not tasks:
        reasons = [*manifest.problems.values(), *manifest.skipped.values()]
        lines = "".join(f"\n  {reason}" for reason in reasons[:_SHOWN])
        raise UserError(f"No study to convert in {manifest.source}.{lines}")
    return folder, run_conversion(tasks, description, manifest, folder, settings or RunSettings())
