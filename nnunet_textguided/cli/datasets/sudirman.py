"""`nnunet_textguided convert sudirman`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.cli.datasets.channels import add_channels

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of Sudirman's set.

    Args:
        parser: Of `convert sudirman`.
    """
    parser.description = (
        "One case a study, without labels: for pretrain-image, and for `complete`. The notes become reports.csv beside "
        "dataset.json, for pretrain-text."
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="folder that holds the patients' folders")
    add_channels(parser)
    parser.add_argument(
        "--notes", type=Path, metavar="TABLE", help="csv or xlsx with the columns Patient ID and Clinician's Notes"
    )


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Convert Sudirman's set.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.sudirman import convert_sudirman

    return convert_sudirman(
        args.source, args.dataset_id, args.name, args.sequences, notes=args.notes, settings=settings
    )
