"""`nnunet_textguided convert mrspineseg`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add MRSpineSeg's own options.

    Args:
        parser: Of `convert mrspineseg`.
    """
    parser.description = "Its label codes 1 to 19 are those of the shared spine label set. There are no findings."
    parser.add_argument("source", metavar="SRC", type=Path, help="folder that holds 'MR' and 'Mask'")
    parser.add_argument(
        "--keep-unlabelled",
        action="store_true",
        help="take images without mask (the challenge's test cases), too; they get nnU-Net's ignore label",
    )


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Convert MRSpineSeg.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.mrspineseg import convert_mrspineseg

    return convert_mrspineseg(
        args.source, args.dataset_id, args.name, keep_unlabelled=args.keep_unlabelled, settings=settings
    )
