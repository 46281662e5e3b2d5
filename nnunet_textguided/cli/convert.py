"""`nnunet_textguided convert`: public data sets to nnU-Net's raw layout."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nnunet_textguided.errors import UserError
from nnunet_textguided.nnunet_paths import missing_paths

if TYPE_CHECKING:
    from nnunet_textguided.dataset_conversion.base.manifest import Manifest

DATASETS: dict[str, tuple[str, str]] = {
    "spider": ("SPIDER", "SPIDER lumbar MRI (Zenodo 10159290), whole or in part"),
    "mrspineseg": ("MRSpineSeg", "MRSpineSeg challenge: T2 MRI and masks of 19 structures"),
    "tianchi": ("Tianchi", "Tianchi spinal disease set: DICOM and points of findings"),
    "rsna2024": ("RSNA2024", "RSNA 2024 lumbar spine: DICOM and severities"),
    "sudirman": ("Sudirman", "lumbar MRI of 515 patients without labels, and the radiologists' notes"),
    "generic": ("Generic", "any folder of images and masks, with a label map as JSON"),
    "combined": ("Combined", "several converted data sets as one"),
}
"""Data set -> (nnU-Net's name for it, one line of help); its options are in the module of that name in cli/datasets."""

_SHOWN = 20  # notes printed; the manifest has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command a data set.

    Args:
        parser: The parser of `convert`.
    """
    datasets = parser.add_subparsers(dest="dataset", metavar="DATASET", required=True)
    for name, (default_name, help_line) in DATASETS.items():
        own = datasets.add_parser(name, help=help_line)
        module = importlib.import_module(f"nnunet_textguided.cli.datasets.{name}")
        module.add_options(own)
        own.add_argument("-d", dest="dataset_id", metavar="ID", type=int, required=True, help="nnU-Net's dataset id")
        own.add_argument("--name", default=default_name, help="nnU-Net's dataset name (default: %(default)s)")
        _add_run_settings(own)


def _add_run_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processes", type=int, metavar="N", help="processes to use (default: the cores, at most 8)")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an earlier conversion of this dataset and its splits"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="read and check everything, say what would be written, write nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, say what was written and what was not.

    Args:
        args: Of `add_arguments`.

    Returns:
        0, or 1 if some cases could not be converted.
    """
    from nnunet_textguided.dataset_conversion.base.conversion import RunSettings
    from nnunet_textguided.dataset_conversion.base.workers import default_processes

    if args.processes is not None and args.processes < 1:
        raise UserError(f"--processes needs to be at least 1, got {args.processes}.")
    settings = RunSettings(args.processes or default_processes(), args.overwrite, args.dry_run)
    module = importlib.import_module(f"nnunet_textguided.cli.datasets.{args.dataset}")
    folder, manifest = module.convert(args, settings)
    written = "Dry run, nothing was written: would write" if args.dry_run else "Wrote"
    print(f"{written} {len(manifest.cases)} cases to {folder} (orientation PIR). Folds: {manifest.splits}.")
    _say_what_is_in_it(folder, manifest, args.dry_run)
    _say_what_is_not(manifest)
    if manifest.problems:
        return 1
    if not args.dry_run:
        print(f"Next: nnUNetv2_plan_and_preprocess -d {args.dataset_id} --verify_dataset_integrity")
        print(f"then: nnunet_textguided plan -d {args.dataset_id}")
    return 0


def _say_what_is_in_it(folder: Path, manifest: Manifest, dry_run: bool) -> None:
    from nnunet_textguided.dataset_conversion.base.conversion import brought_along
    from nnunet_textguided.findings.annotations import FINDINGS_FILE

    findings = brought_along(manifest)
    where = f" in {folder / FINDINGS_FILE}" if (folder / FINDINGS_FILE).is_file() and not dry_run else ""
    if findings:
        present = sum(finding.present for finding in findings)
        print(f"Findings: {len(findings)} decisions, {present} of them present{where}.")
    elif where:
        print(f"Findings{where}.")
    if missing_paths("nnUNet_preprocessed"):
        print("nnUNet_preprocessed is not set; `nnunet_textguided plan` will put the splits where nnU-Net reads them.")


def _say_what_is_not(manifest: Manifest) -> None:
    if manifest.skipped:
        print(f"{len(manifest.skipped)} without a case by the options chosen (manifest.json names all):")
        _print_some(manifest.skipped)
    notes = {
        f"{case} {number}": f"{case}: {note}"
        for case, record in manifest.cases.items()
        for number, note in enumerate(record.get("notes", ()))
    }
    if notes:
        print(f"{len(notes)} decisions and things left out (manifest.json names all):")
        _print_some(notes)
    if manifest.problems:
        print(
            f"{len(manifest.problems)} problems; mend them and run the same command again to add these cases:",
            file=sys.stderr,
        )
        for problem in manifest.problems.values():
            print(f"  {problem}", file=sys.stderr)


def _print_some(lines: Mapping[str, str]) -> None:
    for line in list(lines.values())[:_SHOWN]:
        print(f"  {line}")
    if len(lines) > _SHOWN:
        print(f"  ... and {len(lines) - _SHOWN} more")
