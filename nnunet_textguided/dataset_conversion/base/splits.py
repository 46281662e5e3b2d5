"""Cross-validation splits that never put one patient on both sides, in the file nnU-Net reads."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from nnunet_textguided.errors import UserError
from nnunet_textguided.files import load_json, save_json_atomic
from nnunet_textguided.splits_file import read_splits

logger = logging.getLogger(__name__)

SPLITS_FILE = "splits_final.json"
NUM_FOLDS = 5
SPLIT_SEED = 12345  # the seed nnU-Net uses for its own splits
Splits = list[dict[str, list[str]]]


def split_by_patient(patients: Mapping[str, str], num_folds: int = NUM_FOLDS, seed: int = SPLIT_SEED) -> Splits:
    """Deal the patients out to folds in a seeded random order; all cases of a patient go together.

    Args:
        patients: Case to patient.
        num_folds: Number of folds; fewer patients than that make as many folds as there are patients.
        seed: Of the order.

    Returns:
        One train and val list a fold, or none at all for a single patient.
    """
    import numpy as np

    names = sorted(set(patients.values()))
    num_folds = min(num_folds, len(names))
    if num_folds < 2:
        return []
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[index]: position % num_folds for position, index in enumerate(order)}
    return [
        {
            "train": sorted(case for case, patient in patients.items() if fold_of[patient] != fold),
            "val": sorted(case for case, patient in patients.items() if fold_of[patient] == fold),
        }
        for fold in range(num_folds)
    ]


def load_splits(path: Path, patients: Mapping[str, str]) -> Splits:
    """Read splits that came with the data and check them; a patient's name there means all cases of the patient.

    Args:
        path: A file in the form of nnU-Net's splits_final.json.
        patients: Case to patient of all cases there are.

    Raises:
        UserError: Another form, a case that does not exist, or a patient on both sides of a fold.
    """
    splits = read_splits(path)
    members = {case: [case] for case in patients}
    for patient in set(patients.values()) - set(patients):
        members[patient] = sorted(case for case in patients if patients[case] == patient)
    loaded = []
    for fold, split in enumerate(splits):
        missing = sorted({name for names in split.values() for name in names} - set(members))
        if missing:
            some = ", ".join(sorted(patients)[:3])
            raise UserError(
                f"{path}: fold {fold} names cases that this conversion does not have: {', '.join(missing)} (it has "
                f"{len(patients)}, such as {some}). Correct the file, or choose the sequences it was made for."
            )
        sides = {side: [case for name in split[side] for case in members[name]] for side in ("train", "val")}
        both = {patients[case] for case in sides["train"]} & {patients[case] for case in sides["val"]}
        if both:
            raise UserError(f"{path}: fold {fold} has {', '.join(sorted(both))} in both train and val. Correct it.")
        loaded.append(sides)
    return loaded


def keep_cases(splits: Splits, cases: Iterable[str]) -> Splits:
    """Drop from every fold the cases that are not among `cases`.

    Args:
        splits: Train and val lists.
        cases: The cases there are.
    """
    cases = set(cases)
    return [{side: [case for case in names if case in cases] for side, names in split.items()} for split in splits]


def install_splits(raw_folder: Path, preprocessed_folder: Path, overwrite: bool = False) -> bool:
    """Put a raw data set's splits where nnU-Net reads them.

    Args:
        raw_folder: nnUNet_raw/DatasetXXX_Name.
        preprocessed_folder: nnUNet_preprocessed/DatasetXXX_Name; made if missing.
        overwrite: Replace different splits that lie there.

    Returns:
        Whether nnU-Net will now use the raw data set's splits. False where there are none, or where others lie in
        the preprocessed folder, which are kept (and warned about).

    Raises:
        UserError: A file is not JSON, or the folder cannot be written to.
    """
    source, target = Path(raw_folder) / SPLITS_FILE, Path(preprocessed_folder) / SPLITS_FILE
    if not source.is_file():
        return False
    splits = load_json(source)
    if target.is_file() and not overwrite:
        if load_json(target) == splits:
            return True
        logger.warning("Kept %s, which differs from %s; delete it to use the latter.", target, source)
        return False
    save_json_atomic(splits, target)
    return True
