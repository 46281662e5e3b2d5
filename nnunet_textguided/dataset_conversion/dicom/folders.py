"""Which folders hold which study."""

from __future__ import annotations

from pathlib import Path

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.study import find_dicom_files

_TRIED = 5  # files of a folder; releases have unreadable ones among the others


def folders_by_study(source: Path) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Ask one file of every folder for its study.

    Args:
        source: Folder that holds folders of DICOM files, at any depth.

    Returns:
        StudyInstanceUID -> folders in order of their names, and folder or link -> why it belongs to no study.
    """
    files, left_out = find_dicom_files(source, source)
    problems = {line: line for line in left_out}
    by_folder: dict[Path, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent, []).append(path)
    studies: dict[str, list[Path]] = {}
    for folder, there in sorted(by_folder.items()):
        try:
            studies.setdefault(_study_of(there), []).append(folder)
        except CaseError as problem:
            problems[str(folder)] = f"none of the first {_TRIED} files tells its study: {problem}"
    return studies, problems


def _study_of(files: list[Path]) -> str:
    """Study of the first readable file.

    Raises:
        CaseError: Not one of the first files can be read.
    """
    reason = CaseError(f"{files[0].parent}: no StudyInstanceUID")
    for path in files[:_TRIED]:
        try:
            study = read_slice_header(path).study
        except CaseError as problem:
            reason = problem
        else:
            if study:
                return study
    raise reason
