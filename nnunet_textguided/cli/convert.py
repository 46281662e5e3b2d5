"""`nnunet_textguided convert`: public data sets to nnU-Net's raw layout."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from nnunet_textguided.dataset_conversion.label_maps.spider import ABOVE_CHOICES, PARTIAL_CHOICES, SEQUENCES
from nnunet_textguided.errors import UserError
from nnunet_textguided.nnunet_paths import missing_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command a data set.

    Args:
        parser: The parser of `convert`.
    """
    datasets = parser.add_subparsers(dest="dataset", metavar="DATASET", required=True)
    _add_spider(datasets.add_parser("spider", help="SPIDER lumbar MRI (Zenodo 10159290), whole or in part"))


def run(args: argparse.Namespace) -> int:
    """Convert, say what was written and what was not.

    Args:
        args: Of `add_arguments`.

    Returns:
        0, or 1 if some cases could not be converted.
    """
    from nnunet_textguided.dataset_conversion.base.conversion import default_processes
    from nnunet_textguided.dataset_conversion.spider import SpiderOptions, convert_spider
    from nnunet_textguided.findings.annotations import FINDINGS_FILE

    options = SpiderOptions(
        tuple(args.sequences or ()),
        tuple(args.channels or ()),
        args.canal,
        args.partial,
        args.above,
        args.modic,
        args.pfirrmann,
    )
    if args.processes is not None and args.processes < 1:
        raise UserError(f"--processes needs to be at least 1, got {args.processes}.")
    processes = args.processes or default_processes()
    folder, manifest = convert_spider(
        args.source, args.dataset_id, args.name, options, processes=processes, overwrite=args.overwrite
    )
    print(f"Wrote {len(manifest.cases)} cases to {folder} (orientation PIR). Folds: {manifest.splits}.")
    if (folder / FINDINGS_FILE).is_file():
        print(f"Findings: {folder / FINDINGS_FILE}.")
    if manifest.skipped:
        print(f"{len(manifest.skipped)} patients lack the chosen sequences and have no case; manifest.json names them.")
    if missing_paths("nnUNet_preprocessed"):
        print("nnUNet_preprocessed is not set; `nnunet_textguided plan` will put the splits where nnU-Net reads them.")
    if manifest.problems:
        print(
            f"{len(manifest.problems)} problems; mend them and run the same command again to add these cases:",
            file=sys.stderr,
        )
        for problem in manifest.problems.values():
            print(f"  {problem}", file=sys.stderr)
        return 1
    print(f"Next: nnUNetv2_plan_and_preprocess -d {args.dataset_id} --verify_dataset_integrity")
    print(f"then: nnunet_textguided plan -d {args.dataset_id}")
    return 0


def _add_spider(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Label codes: SPIDER's vertebrae and discs become L5..T9 and L5/S..T9/T10; SPIDER does not annotate the "
        "sacrum, which stays a class without voxels and is declared as missing. Findings come from the source's "
        "findings.csv and findings.json, where it has them, else from radiological_gradings.csv."
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="folder that holds 'images' and 'masks'")
    parser.add_argument("-d", dest="dataset_id", metavar="ID", type=int, required=True, help="nnU-Net's dataset id")
    parser.add_argument("--name", default="SPIDER", help="nnU-Net's dataset name (default: %(default)s)")
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
    parser.add_argument("--processes", type=int, metavar="N", help="processes to use (default: the cores, at most 8)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier conversion of this dataset and its splits"
    )
