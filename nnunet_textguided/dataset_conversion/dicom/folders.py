"""Which folders hold which study."""

from __future__ import annotations

import os
from pathlib import Path

from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.study import find_dicom_files

from nnunet_textguided.dataset_conversion.base.problems import CaseError

_TRIED = 5  # files of a folder; releases have unreadable ones among the others


def folders_by_study(source: Path) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Ask one file of every folder for its study.

    Args:
        source: Folder that holds folders of DICOM files, at any depth.

    Returns:
        StudyInstanceUID -> folders in order of their names, and folder -> why it belongs to no study.
    """
    studies: dict[str, list[Path]] = {}
    problems: dict[str, str] = {}
    for folder in sorted(Path(top) for top, _, names in os.walk(source) if names):
        files, _ = find_dicom_files(folder, source, recursive=False)
        if not files:
            continue
        try:
            studies.setdefault(_study_of(files), []).append(folder)
        except CaseError as problem:
            problems[str(folder)] = str(problem)
    return studies, problems


def _study_of(files: list[Path]) -> str:
    """Study of the first readable file.

    Raises:
        CaseError: Not one of the first files can be read.
    """
    for path in files[:_TRIED]:
        try:
            return read_slice_header(path).study
        except CaseError as problem:
            last = problem
    raise last
