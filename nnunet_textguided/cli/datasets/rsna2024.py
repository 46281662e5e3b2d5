"""`nnunet_textguided convert rsna2024`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.cli.datasets.channels import add_channels

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the RSNA 2024 set.

    Args:
        parser: Of `convert rsna2024`.
    """
    parser.description = (
        "One case a study: sagittal T2 and T1 on one grid; axial series are left out. There are no masks; findings.csv "
        "gets what was assessed, with its place. Label maps hold nnU-Net's ignore label."
    )
    parser.add_argument(
        "source", metavar="SRC", type=Path, help="folder of the release: train_images and the csv files"
    )
    add_channels(parser)
    parser.add_argument(
        "--severity",
        choices=("moderate", "severe"),
        default="moderate",
        help="smallest severity that counts as present (default: %(default)s)",
    )


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Convert the RSNA 2024 set.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.rsna2024 import convert_rsna2024

    return convert_rsna2024(
        args.source, args.dataset_id, args.name, args.sequences, threshold=args.severity, settings=settings
    )
