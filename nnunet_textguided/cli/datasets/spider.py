"""`nnunet_textguided convert spider`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.dataset_conversion.label_maps.spider import ABOVE_CHOICES, PARTIAL_CHOICES, SEQUENCES

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add SPIDER's own options.

    Args:
        parser: Of `convert spider`.
    """
    parser.description = (
        "Label codes: SPIDER's vertebrae and discs become L5..T9 and L5/S..T9/T10; SPIDER does not annotate the "
        "sacrum, which stays a class without voxels and is declared as missing. Findings come from the source's "
        "findings.csv and findings.json, where it has them, else from radiological_gradings.csv."
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="folder that holds 'images' and 'masks'")
    parser.add_argument(
        "--sequences", nargs="+", choices=SEQUENCES, help="convert these, a case each (default: all that are present)"
    )
    parser.add_argument(
        "--channels",
        nargs="+",
        choices=SEQUENCES,
        help="one case a patient with these as channels; later ones are resampled onto the first, whose mask is used",
    )
    parser.add_argument("--canal", action="store_true", help="keep the spinal canal as class 20 (default: background)")
    parser.add_argument(
        "--partial",
        choices=PARTIAL_CHOICES,
        default="vertebra",
        help="what partially visible vertebrae (codes 101-125) become: that vertebra, background, or nnU-Net's ignore "
        "label (default: %(default)s)",
    )
    parser.add_argument(
        "--above",
        choices=ABOVE_CHOICES,
        default="background",
        help="what vertebrae above T9 and discs above T9/T10 become (default: %(default)s)",
    )
    parser.add_argument(
        "--modic", type=int, default=1, metavar="TYPE", help="smallest Modic type that counts as present (default: 1)"
    )
    parser.add_argument(
        "--pfirrmann",
        type=int,
        default=4,
        metavar="GRADE",
        help="smallest Pfirrmann grade that counts as disc degeneration (default: 4)",
    )


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Convert SPIDER.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.spider import SpiderOptions, convert_spider

    options = SpiderOptions(
        tuple(args.sequences or ()),
        tuple(args.channels or ()),
        args.canal,
        args.partial,
        args.above,
        args.modic,
        args.pfirrmann,
    )
    return convert_spider(args.source, args.dataset_id, args.name, options, settings)
