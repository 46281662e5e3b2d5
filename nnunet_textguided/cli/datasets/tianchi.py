"""`nnunet_textguided convert tianchi`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.cli.datasets.channels import add_channels

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the Tianchi set.

    Args:
        parser: Of `convert tianchi`.
    """
    parser.description = (
        "One case a study: sagittal T2 (the series that the reader marked) and T1. There are no masks; findings.csv "
        "gets 29 decisions a study with their places. Label maps hold nnU-Net's ignore label."
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        type=Path,
        help="folder that holds lumbar_train150, lumbar_train51 and the annotation files",
    )
    add_channels(parser)
    parser.add_argument(
        "--annotations",
        type=Path,
        nargs="+",
        metavar="JSON",
        help="annotation files (default: *annotation*.json in SRC)",
    )
    parser.add_argument(
        "--keep-unannotated", action="store_true", help="take studies without annotation, too, as not assessed"
    )


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Convert the Tianchi set.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.tianchi import convert_tianchi

    return convert_tianchi(
        args.source,
        args.dataset_id,
        args.name,
        args.sequences,
        annotations=args.annotations or (),
        keep_unannotated=args.keep_unannotated,
        settings=settings,
    )
