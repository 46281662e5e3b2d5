"""`nnunet_textguided convert combined`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the data sets to combine.

    Args:
        parser: Of `convert combined`.
    """
    parser.description = (
        "Joins raw data sets of the same channels: labels and findings by name, folds one by one. What one of them "
        "does not annotate is declared as missing from its cases and is not learned as background there."
    )
    parser.add_argument("parts", metavar="PART", type=int, nargs="+", help="ids of data sets in nnUNet_raw")


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Combine data sets.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.combined import combine

    return combine(args.parts, args.dataset_id, args.name, settings)
