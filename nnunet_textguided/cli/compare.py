"""`nnunet_textguided compare`: trained systems on the same cases, one table, paired statistics."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunet_textguided.cli.predict import TRUST_HELP
from nnunet_textguided.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nnunet_textguided.comparison.cluster_options import ClusterOptions
    from nnunet_textguided.comparison.folders import Folders
    from nnunet_textguided.comparison.grid import Grid, System
    from nnunet_textguided.comparison.jobs import Job
    from nnunet_textguided.comparison.run_grid import GridRunner
    from nnunet_textguided.comparison.submission import JobOutcome

FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments.

    Args:
        parser: Of this command.
    """
    many: dict[str, Any] = {"nargs": "+", "default": []}
    add = parser.add_argument
    add("-d", nargs="+", required=True, metavar="DATASET", help="data sets, by number or name; a table each")
    add("-c", nargs="+", default=["2d"], metavar="CONFIGURATION", help="configurations; a table each")
    add("-f", nargs="+", type=int, metavar="FOLD", help="folds; all of splits_final.json if left out")
    text = "what is compared; several PLANS are repeats (seeds), averaged case by case; the first is the reference"
    text += "; :names_in_order after PLANS scores its predictions with vertebrae and discs named as one column"
    add("--systems", **many, metavar="LABEL=TRAINER:PLANS[,PLANS]", help=text)
    add("-tr", **many, metavar="TRAINER", help="with -p: every trainer with every plans is a system, too")
    add("-p", **many, metavar="PLANS", help="plans identifiers for -tr")
    add("--reference", metavar="LABEL", help="system that the others are compared with; the first if left out")
    add("-o", default="comparison", metavar="OUT", help="folder for tables, figures and page")
    add("--records", metavar="DIR", help="folder of the scores of every run; OUT/records if left out")
    text = "upper structures; those from T9 to T12/L1 if left out"
    add("--upper", nargs="+", metavar="NAME", help=text)
    add("--exclude", **many, metavar="NAME", help="structures that shall not count for the headline")
    add("--different-plans", action="store_true", help="list plans that differ outside text_guidance, do not refuse")
    add("--no-pictures", action="store_true", help="draw no cases")
    add("-np", type=int, default=1, metavar="N", help="processes that score cases")
    add("--trust", action="store_true", help=TRUST_HELP)
    _add_run_arguments(parser)


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("running what is missing").add_argument
    add("--run", action="store_true", help="train, validate and measure what is missing, then compare")
    add("--dry-run", action="store_true", help="print every run with its state and what --run would do")
    text = "run only these: names as --dry-run prints them, or patterns such as '*/fold_0'"
    add("--only", "--retry", nargs="+", default=[], metavar="NAME", help=text)
    add("--no-costs", action="store_true", help="do not measure the time of a prediction")
    add("--workers", type=int, metavar="N", help="jobs at once; 1 here and no limit on SLURM if left out")
    add("--cluster", choices=["local", "slurm"], default="local", help="where jobs run")
    text = "for every job: partition=gpu time=720 (minutes) gpus_per_node=1 cpus_per_task=12 mem_gb=48 ..."
    add("--slurm", nargs="+", default=[], metavar="KEY=VALUE", help=text)
    text = "device of training and prediction; cuda where there is one if left out"
    add("-device", choices=["cpu", "cuda", "mps"], help=text)
    add("-num_gpus", type=int, default=1, metavar="N", help="GPUs of one training, as nnU-Net's own option")


def run(args: argparse.Namespace) -> int:
    """Run what is missing where asked to, compare, write, print.

    Args:
        args: As parsed.

    Returns:
        0, or 1 if a job failed or is in work elsewhere.

    Raises:
        UserError: Something named does not exist, runs are unfinished, or they cannot be compared fairly.
    """
    systems = _systems(args)
    if args.only and not (args.run or args.dry_run):
        raise UserError("--only says which runs --run starts: add --run, or leave it out.")
    from nnunet_textguided.comparison.folders import Folders
    from nnunet_textguided.comparison.grids import grids_of
    from nnunet_textguided.safe_checkpoint import trust_everything

    if args.trust:
        trust_everything()
    folders = Folders.from_environment()
    grids = grids_of(args.d, args.c, args.f, systems, folders)
    _check_options(args, grids, folders)
    if args.run or args.dry_run:
        runner = _runner(args, grids, folders)
        if args.dry_run:
            jobs = runner.jobs(args.only)
            runner.check(jobs)
            print("\n".join(_job_lines(jobs)))
            return 0
        status = _run_jobs(runner, args.only)
        if status is not None:
            return status
    return _compare(args, grids, folders)


def _systems(args: argparse.Namespace) -> list[System]:
    from nnunet_textguided.comparison.grid import System, systems_of_product

    if bool(args.tr) != bool(args.p):
        raise UserError("-tr and -p belong together: every trainer with every plans is a system.")
    systems = [System.parse(text) for text in args.systems] + systems_of_product(args.tr, args.p)
    if not systems:
        raise UserError("Name what is compared: --systems LABEL=TRAINER:PLANS ..., or -tr TRAINER ... -p PLANS ...")
    return systems


def _check_options(args: argparse.Namespace, grids: Sequence[Grid], folders: Folders) -> None:
    """Find a wrong name before the trainings, not after them."""
    from nnunet_textguided.comparison.groups import Cut
    from nnunet_textguided.files import load_json
    from nnunet_textguided.inference.name_order import Column

    labels = [system.label for system in grids[0].systems]
    if args.reference is not None and args.reference not in labels:
        raise UserError(f"--reference {args.reference!r} is none of the systems: {', '.join(labels)}.")
    if args.upper is not None:
        Cut.of(args.upper)
    for path in dict.fromkeys(folders.preprocessed / grid.dataset / "dataset.json" for grid in grids):
        if path.is_file() and any(system.names_in_order for system in grids[0].systems):
            Column.of_labels(load_json(path)["labels"])
        known = load_json(path)["labels"] if args.exclude and path.is_file() else args.exclude
        unknown = [name for name in args.exclude if name not in known]
        if unknown:
            raise UserError(f"--exclude {', '.join(unknown)}: {path} has no such label. It has: {', '.join(known)}.")


def _records(args: argparse.Namespace) -> Path:
    return Path(args.records or Path(args.o) / "records").absolute()


def _runner(args: argparse.Namespace, grids: Sequence[Grid], folders: Folders) -> GridRunner:
    from nnunet_textguided.comparison.run_grid import GridRunner
    from nnunet_textguided.comparison.training_job import TrainingOptions

    training = TrainingOptions(args.device, args.num_gpus)
    logs = Path(args.o).absolute() / "logs"
    return GridRunner(grids, folders, _records(args), logs, training, _cluster(args), not args.no_costs)


def _cluster(args: argparse.Namespace) -> ClusterOptions:
    from nnunet_textguided.comparison.cluster_options import LOCAL, ClusterOptions, parse_slurm, visible_devices

    local_gpus = args.cluster == LOCAL and args.device in (None, "cuda")
    if args.cluster == LOCAL and args.device is not None:
        from nnunet_textguided.inference.predict_settings import choose_device

        choose_device(args.device)
    devices = visible_devices() if local_gpus else ()
    return ClusterOptions(args.cluster, args.workers, parse_slurm(args.slurm), args.num_gpus, devices)


def _run_jobs(runner: GridRunner, names: Sequence[str]) -> int | None:
    """Run what is missing; None where the comparison can follow."""
    from nnunet_textguided.cli.interruption import interruption_raises
    from nnunet_textguided.comparison.cluster_options import LOCAL
    from nnunet_textguided.comparison.jobs import TRAINING_KINDS

    # a cluster's jobs go on without this command, but those of this machine would be left alone with their locks
    with_its_jobs = interruption_raises() if runner.cluster.cluster == LOCAL else nullcontext()
    try:
        with with_its_jobs:
            outcomes = runner.run(names)
    except KeyboardInterrupt:
        print("\nThe jobs that were running are ended. The same command goes on from their last checkpoints.")
        raise
    lines = [line for outcome in outcomes for line in _outcome_lines(outcome)]
    if lines:
        print("\n".join(lines))
        return FAILED
    left = [job for job in runner.jobs() if job.kind in TRAINING_KINDS]
    if left and names:
        print("\n".join(["Done. Of the other runs these are not finished:", *_job_lines(left)]))
        return 0
    return None


def _outcome_lines(outcome: JobOutcome) -> list[str]:
    from nnunet_textguided.comparison.started_task import BUSY, FINISHED

    if outcome.status == FINISHED:
        return []
    if outcome.status == BUSY:
        return [f"IN WORK ELSEWHERE {outcome.job.name}: {outcome.reason}"]
    return [
        f"FAILED {outcome.job.name}: {outcome.reason}",
        f"  The end of {outcome.log}:",
        *(f"  | {line}" for line in outcome.last_lines().splitlines()),
        f"  Again, this one alone: add --run --only {outcome.job.name}",
    ]


def _job_lines(jobs: Sequence[Job]) -> list[str]:
    width = max((len(job.name) for job in jobs), default=0) + 2
    counts = Counter(job.kind for job in jobs)
    total = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    return [*(f"{job.name:<{width}}{job.kind:<10}{job.reason}" for job in jobs), f"{len(jobs)} runs: {total}"]


def _compare(args: argparse.Namespace, grids: Sequence[Grid], folders: Folders) -> int:
    from nnunet_textguided.cli.comparison_lines import comparison_lines
    from nnunet_textguided.comparison.comparison import CompareOptions
    from nnunet_textguided.comparison.report import compare_grid, write_comparison

    upper = None if args.upper is None else tuple(args.upper)
    options = CompareOptions(reference=args.reference, upper=upper, exclude=tuple(args.exclude))
    processes = max(1, min(args.np, os.cpu_count() or 1))
    for grid in grids:
        comparison = compare_grid(grid, folders, _records(args), options, args.different_plans, processes)
        written = write_comparison(comparison, folders, Path(args.o), not args.no_pictures)
        print("\n".join(comparison_lines(comparison)))
        markdown, page, *others = map(str, written.files)
        print(f"Written: {markdown}, {page} and {len(others)} more files\n")
    return 0
