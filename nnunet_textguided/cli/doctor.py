"""`nnunet_textguided doctor`: what works here, what does not, and how to mend it."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from nnunet_textguided.cli.doctor_checks.check import Check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments.

    Args:
        parser: The command's parser.
    """
    parser.add_argument("-d", "--dataset", type=int, metavar="DATASET_ID", help="look at a converted data set, too")
    parser.add_argument(
        "-i",
        "--images",
        type=Path,
        metavar="FOLDER",
        help="with -d: images to be predicted by a model of that data set",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    """Print one line a check, each as soon as it is known.

    Args:
        args: dataset, images, json.

    Returns:
        1 where any check failed, else 0.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)  # libraries on each other's plans, not about this machine
    checks = []
    for check in all_checks(args.dataset, args.images):
        checks.append(check)
        if not args.json:
            print(check, flush=True)
    failed = [check.name for check in checks if check.status == "FAIL"]
    if args.json:
        print(json.dumps({"ok": not failed, "checks": [check.as_dict() for check in checks]}, indent=2))
    else:
        print(f"\n{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}" if failed else "\nReady.")
    return 1 if failed else 0


def all_checks(dataset_id: int | None = None, images: Path | None = None) -> Iterator[Check]:
    """Yield every check's outcome, in the order in which things build on each other.

    Args:
        dataset_id: nnU-Net's number of a data set to look at, or None.
        images: A folder of images to be predicted by a model of that data set, or None.
    """
    from nnunet_textguided.cli.doctor_checks.dataset import check_dataset
    from nnunet_textguided.cli.doctor_checks.folders import check_folders
    from nnunet_textguided.cli.doctor_checks.installation import check_installation
    from nnunet_textguided.cli.doctor_checks.trainers import check_trainers
    from nnunet_textguided.cli.doctor_checks.weights import check_weights

    yield from _guarded("installation", check_installation)
    yield from _guarded("folders", check_folders)
    yield from _guarded("trainers", check_trainers)
    yield from _guarded("weights", check_weights)
    if dataset_id is not None:
        yield from _guarded("dataset", lambda: check_dataset(dataset_id, images))
    elif images is not None:
        yield Check("images", "FAIL", "nothing to compare them with", "Name the model's data set, too: -d DATASET_ID")


def _guarded(name: str, function: Callable[[], list[Check]]) -> list[Check]:
    """Turn a check that itself breaks into a line, because the others still have something to say."""
    try:
        return function()
    except Exception as error:  # whatever a half-broken installation raises
        found = f"the check itself broke: {type(error).__name__}: {error}"
        return [Check(name, "FAIL", found, f"Install the package again with {sys.executable} -m pip install .")]
