"""`nnunet_textguided order-names`: predictions with vertebrae and discs named as one column."""

from __future__ import annotations

import argparse
from pathlib import Path

from nnunet_textguided.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments.

    Args:
        parser: Of this command.
    """
    parser.description = (
        "A network names every voxel for itself, and can give one vertebra two names. Here discs are found whatever "
        "they are called, counted together from below, and vertebrae are named between them. Outlines stay."
    )
    add = parser.add_argument
    add("-i", required=True, type=Path, metavar="FOLDER", help="predictions of any network, in nnU-Net's format")
    add("-o", required=True, type=Path, metavar="FOLDER", help="where they are written; made if missing, may be -i")
    add("-dataset_json", type=Path, metavar="FILE", help="says what codes mean; FOLDER/dataset.json if left out")


def run(args: argparse.Namespace) -> int:
    """Put names in order and say where some were not.

    Args:
        args: As parsed.

    Raises:
        UserError: Folder or dataset.json is not usable, or the labels are no column.
    """
    from nnunet_textguided.inference.name_order import order_folder

    if not args.i.is_dir():
        raise UserError(f"Expected a folder of predictions at {args.i}, found none.")
    dataset_json = args.dataset_json or args.i / "dataset.json"
    if not dataset_json.is_file():
        raise UserError(f"Expected {dataset_json}, which says what the codes mean. Name another with -dataset_json.")
    renamed = order_folder(args.i, args.o, dataset_json)
    for name, voxels in renamed.items():
        print(f"{name}: {f'{voxels} voxels renamed' if voxels else 'in order'}")
    print(f"{len(renamed)} cases written: {args.o}")
    return 0
