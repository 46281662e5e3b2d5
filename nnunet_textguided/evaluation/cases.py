"""Which cases are compared: the truth decides, and what has no prediction is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.evaluation.task import EvaluationError
from nnunet_textguided.splits_file import read_splits


@dataclass(frozen=True)
class CaseFiles:
    """Truth and predictions side by side.

    Attributes:
        pairs: Case -> (truth file, prediction file).
        without_prediction: Cases of the truth that have none.
        without_truth: Predictions that have none; they are not scored.
    """

    pairs: dict[str, tuple[Path, Path]]
    without_prediction: list[str]
    without_truth: list[str]


def match_cases(truth: Path, prediction: Path, file_ending: str, cases: Sequence[str] | None = None) -> CaseFiles:
    """Pair the label files of two folders by name.

    Args:
        truth: Folder of label files.
        prediction: Folder of predictions.
        file_ending: Such as ".nii.gz".
        cases: Cases to compare, by name or as splits_final.json:FOLD; every case of the truth when None.

    Raises:
        EvaluationError: A folder is missing or holds no such file, a named case has no truth, or nothing pairs up.
    """
    files = {folder: _label_files(folder, file_ending) for folder in (truth, prediction)}
    wanted = sorted(files[truth]) if not cases else _named_cases(cases)
    unknown = [case for case in wanted if case not in files[truth]]
    if unknown:
        raise EvaluationError(f"{truth} has no {file_ending} file of: {', '.join(unknown)}.")
    pairs = {case: (files[truth][case], files[prediction][case]) for case in wanted if case in files[prediction]}
    if not pairs:
        raise EvaluationError(
            f"None of the {len(wanted)} cases of {truth} has a prediction in {prediction}. There: "
            f"{', '.join(sorted(files[prediction])[:5]) or f'no {file_ending} file'}."
        )
    extra = sorted(files[prediction].keys() - files[truth].keys())
    return CaseFiles(pairs, [case for case in wanted if case not in pairs], extra)


def _label_files(folder: Path, file_ending: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise EvaluationError(f"Expected a folder of {file_ending} files at {folder}, found none.")
    return {
        file.name.removesuffix(file_ending): file
        for file in folder.iterdir()
        if file.name.endswith(file_ending) and not file.name.startswith(".")
    }


def _named_cases(cases: Sequence[str]) -> list[str]:
    """Resolve FILE.json:FOLD to the validation cases of that fold."""
    names: list[str] = []
    for entry in cases:
        file, _, fold = entry.rpartition(":")
        if not file.endswith(".json"):
            names.append(entry)
            continue
        splits = read_splits(file)
        if not fold.isdecimal() or len(fold) > 4 or int(fold) >= len(splits):
            raise EvaluationError(f"{file} has folds 0 to {len(splits) - 1}, got {fold!r}.")
        names.extend(splits[int(fold)]["val"])
    return sorted(set(names))
