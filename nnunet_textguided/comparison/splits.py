"""Which cases a fold trains on and which it validates: nnU-Net's splits_final.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.splits_file import read_splits

SPLITS_FILE = "splits_final.json"


@dataclass(frozen=True)
class Split:
    """The two sides of a fold.

    Attributes:
        train: Sorted case names.
        val: Sorted case names.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]


def folds_of(preprocessed_folder: Path) -> tuple[int, ...]:
    """Return the numbers of the folds there are.

    Args:
        preprocessed_folder: nnUNet_preprocessed/DatasetXXX_Name.

    Raises:
        UserError: There is no splits_final.json, or it is no such file.
    """
    return tuple(range(len(_read(preprocessed_folder))))


def split_of(preprocessed_folder: Path, fold: int) -> Split:
    """Return both sides of a fold.

    Args:
        preprocessed_folder: nnUNet_preprocessed/DatasetXXX_Name.
        fold: Its number.

    Raises:
        UserError: The file is missing, has no such fold, or lists a case twice or on both sides.
    """
    splits, path = _read(preprocessed_folder), preprocessed_folder / SPLITS_FILE
    if not 0 <= fold < len(splits):
        raise UserError(
            f"{path} has the folds 0 to {len(splits) - 1}, got fold {fold}. (nnU-Net would train it on a random split "
            "of its own, which no other fold fits.) Name folds that exist."
        )
    train, val = splits[fold]["train"], splits[fold]["val"]
    for side, names in (("train", train), ("val", val)):
        if twice := _repeated(names):
            raise UserError(f"{path}: fold {fold} lists {', '.join(twice)} more than once under {side}. Correct it.")
    if both := sorted(set(train) & set(val)):
        raise UserError(
            f"{path}: fold {fold} has {', '.join(both)} in both train and val, so these cases would be judged by a "
            "model that has seen them. Correct the file and train the fold anew."
        )
    if not val:
        raise UserError(f"{path}: fold {fold} validates no case, so there is nothing to compare. Name other folds.")
    return Split(tuple(sorted(train)), tuple(sorted(val)))


def validation_cases(preprocessed_folder: Path, fold: int) -> tuple[str, ...]:
    """Return the cases a fold validates, sorted.

    Args:
        preprocessed_folder: nnUNet_preprocessed/DatasetXXX_Name.
        fold: Its number.

    Raises:
        UserError: As `split_of`.
    """
    return split_of(preprocessed_folder, fold).val


def cases_by_fold(preprocessed_folder: Path, folds: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Return the validation cases of several folds that together make one out-of-fold result.

    Args:
        preprocessed_folder: nnUNet_preprocessed/DatasetXXX_Name.
        folds: Their numbers.

    Raises:
        UserError: As `split_of`, or a case is validated by two of them.
    """
    cases = {fold: validation_cases(preprocessed_folder, fold) for fold in folds}
    owner: dict[str, int] = {}
    for fold, names in cases.items():
        for name in names:
            if name in owner:
                raise UserError(
                    f"{preprocessed_folder / SPLITS_FILE}: case {name} is validated by fold {owner[name]} and by fold "
                    f"{fold}, so it would count twice. Compare folds that do not overlap, or correct the file."
                )
            owner[name] = fold
    return cases


def _read(preprocessed_folder: Path) -> list[dict[str, list[str]]]:
    path = preprocessed_folder / SPLITS_FILE
    if not path.is_file():
        raise UserError(
            f"Expected {path}, found none. nnU-Net writes it when the first fold of the data set is trained; a "
            "converted data set brings its own, which nnunet_textguided plan puts there."
        )
    return read_splits(path)


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
