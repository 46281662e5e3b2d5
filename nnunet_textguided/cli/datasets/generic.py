"""`nnunet_textguided convert generic`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of folders that are no known data set.

    Args:
        parser: Of `convert generic`.
    """
    parser.description = (
        "NIfTI, MHA, MHD and NRRD files. Where all names of the label map are of the shared spine label set, its codes "
        "are used, and structures that the masks lack are declared as missing. findings.csv and findings.json in SRC "
        "are taken over, splits_final.json too."
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="folder of the data set")
    parser.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="JSON",
        help='what the codes of the masks mean: {"1": "L5", ...} or {"L5": 1, ...}',
    )
    parser.add_argument("--images", default="images", metavar="DIR", help="folder of images in SRC")
    parser.add_argument("--masks", default="labels", metavar="DIR", help="folder of masks in SRC")
    parser.add_argument(
        "--image-name", default="{case}", metavar="PATTERN", help="names without ending; {case}, {channel}"
    )
    parser.add_argument("--mask-name", default="{case}", metavar="PATTERN", help="names without ending; {case}")
    parser.add_argument(
        "--channels",
        nargs="+",
        default=["MRI"],
        metavar="NAME",
        help="what stands for {channel}, first the one on whose grid the masks are; also nnU-Net's channel names",
    )
    parser.add_argument(
        "--patient",
        default="",
        metavar="REGEX",
        help="finds the patient in {case} by its first group; else each is one",
    )
    parser.add_argument(
        "--keep-unlabelled",
        action="store_true",
        help="take images without mask, too; they get nnU-Net's ignore label",
    )
    parser.add_argument("--reference", default="", help="where the data come from, for dataset.json")
    parser.add_argument("--licence", default="", help="under which terms, for dataset.json")


def convert(args: argparse.Namespace, settings: RunSettings) -> tuple[Path, Manifest]:
    """Convert a folder.

    Args:
        args: Of `convert`.
        settings: How to run.
    """
    from nnunet_textguided.dataset_conversion.generic import GenericOptions, convert_generic

    options = GenericOptions(
        args.images,
        args.masks,
        args.image_name,
        args.mask_name,
        tuple(args.channels),
        args.patient,
        args.keep_unlabelled,
        args.reference,
        args.licence,
    )
    return convert_generic(args.source, args.labels, args.dataset_id, args.name, options, settings)
