"""`python -m nnunet_textguided.cli.hold_out`: copy the validation cases of a fold to a folder of their own."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import atomic_path
from nnunet_textguided.findings.annotations import FINDINGS_FILE
from nnunet_textguided.splits_file import read_splits


def copy_validation_cases(raw: Path, splits: Path, fold: int, out: Path) -> list[str]:
    """Copy images and labels of the cases a fold does not train on, and findings.csv where there is one.

    Args:
        raw: Dataset folder with imagesTr and labelsTr.
        splits: splits_final.json of the training.
        fold: The fold.
        out: Folder for imagesTs, labelsTs and findings.csv.

    Returns:
        The case identifiers.

    Raises:
        UserError: There is no such fold, or a case has no image or label.
    """
    folds = read_splits(splits)
    if not 0 <= fold < len(folds):
        raise UserError(f"{splits} has the folds 0 to {len(folds) - 1}, asked for was {fold}.")
    ending = read_dataset_json(raw / "dataset.json", ["file_ending"])["file_ending"]
    cases = sorted(folds[fold]["val"])
    for case in cases:
        channel = re.compile(re.escape(case) + r"_\d{4}" + re.escape(ending))
        images = [file for file in sorted((raw / "imagesTr").iterdir()) if channel.fullmatch(file.name)]
        label = raw / "labelsTr" / f"{case}{ending}"
        if not images or not label.is_file():
            raise UserError(f"{raw} has no image or no label of the validation case {case}, which {splits} names.")
        for source, folder in [*((image, "imagesTs") for image in images), (label, "labelsTs")]:
            _copy(source, out / folder / source.name)
    if (raw / FINDINGS_FILE).is_file():
        _copy(raw / FINDINGS_FILE, out / FINDINGS_FILE)
    return cases


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def main(argv: Sequence[str] | None = None) -> int:
    """Copy as the command line says and return the exit status.

    Args:
        argv: Arguments; the process's own when None.
    """
    parser = argparse.ArgumentParser(prog="python -m nnunet_textguided.cli.hold_out", description=__doc__)
    parser.add_argument("raw", type=Path, help="data set in nnUNet_raw")
    parser.add_argument("splits", type=Path, help="its splits_final.json in nnUNet_preprocessed")
    parser.add_argument("fold", type=int, help="fold whose validation cases are copied")
    parser.add_argument("out", type=Path, help="folder for imagesTs and labelsTs")
    args = parser.parse_args(argv)
    try:
        cases = copy_validation_cases(args.raw, args.splits, args.fold, args.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"held out: {', '.join(cases)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
