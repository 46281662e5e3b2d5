"""What every run of a comparison still needs, and in which order it is done."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunet_textguided.checkpoint_files import BEST, FINAL, LATEST, is_whole
from nnunet_textguided.comparison.costs import is_inference_measured
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid, Run
from nnunet_textguided.comparison.record import RECORD_FILE
from nnunet_textguided.comparison.run_state import is_superseded, state_of
from nnunet_textguided.comparison.splits import validation_cases
from nnunet_textguided.errors import UserError

TRAIN, CONTINUE, VALIDATE, MEASURE, DONE = "train", "continue", "validate", "measure", "done"
TRAINING_KINDS = (TRAIN, CONTINUE, VALIDATE)
"""What nnU-Net's training command does: from scratch, from a checkpoint, only the validation cases."""


@dataclass(frozen=True)
class Job:
    """A run and what it still needs.

    Attributes:
        run: Which one.
        kind: One of "train", "continue", "validate", "measure" (the time of a prediction) and "done".
        reason: Why, for people.
    """

    run: Run
    kind: str
    reason: str = ""

    @property
    def name(self) -> str:
        """What users type after `--only`."""
        return self.run.name


def training_kind(fold_folder: Path) -> str:
    """Return what an unfinished run needs: "train", "continue" or "validate".

    Args:
        fold_folder: With the checkpoints; need not exist.
    """
    if is_whole(fold_folder / FINAL) and not is_superseded(fold_folder):
        return VALIDATE
    return CONTINUE if any(is_whole(fold_folder / name) for name in (LATEST, BEST)) else TRAIN


def job_of(run: Run, folders: Folders, records: Path, costs: bool = True, scored_as: Sequence[Run] = ()) -> Job:
    """Return what one run still needs.

    A run that was scored on another machine (there is a record and no folder of the fold here) needs nothing.

    Args:
        run: Which one.
        scored_as: Those of its variants that are compared; itself if empty.
        folders: nnU-Net's.
        records: Folder of all records.
        costs: Whether the time of a prediction is wanted.

    Raises:
        UserError: The split has no such fold.
    """
    fold_folder = run.fold_folder(folders.results)
    if not fold_folder.is_dir():
        scored = [variant for variant in run.variants if (records / variant.record / RECORD_FILE).is_file()]
        if scored:  # where its predictions lie; training it here would give other ones
            lacking = [variant.record for variant in scored_as or (run,) if variant not in scored]
            return Job(run, DONE, "scored on another machine" + "".join(f", not yet {name}" for name in lacking))
    expected = validation_cases(folders.preprocessed / run.dataset, run.fold)
    state = state_of(run, folders.results, expected)
    if state.kind != "finished":
        return Job(run, training_kind(fold_folder), state.reason)
    if costs and not is_inference_measured(run, folders.results, records):
        return Job(run, MEASURE, "the time of a prediction is not measured")
    return Job(run, DONE, "finished")


def ordered_runs(grids: Sequence[Grid]) -> list[Run]:
    """Return every training once: grid by grid, and within one a fold of all systems before the next fold.

    A table over the folds done so far can then be made at any time.

    Args:
        grids: One a table.
    """
    runs = [run.training for grid in grids for run in sorted(grid.runs(), key=lambda run: grid.folds.index(run.fold))]
    return list(dict.fromkeys(runs))


def jobs_of(grids: Sequence[Grid], folders: Folders, records: Path, costs: bool = True) -> list[Job]:
    """Return what every run needs, in the order it should be done; what is done is in the list, too.

    Args:
        grids: One a table.
        folders: nnU-Net's.
        records: Folder of all records.
        costs: Whether the time of a prediction is wanted.
    """
    compared = list(dict.fromkeys(run for grid in grids for run in grid.runs()))
    return [
        job_of(run, folders, records, costs, [variant for variant in compared if variant.training == run])
        for run in ordered_runs(grids)
    ]


def choose(jobs: Sequence[Job], names: Sequence[str]) -> list[Job]:
    """Return the jobs that were named, in their own order.

    Args:
        jobs: All there are.
        names: Names or patterns such as "*/fold_0"; none means every job.

    Raises:
        UserError: A name fits no job.
    """
    for name in names:
        if not any(fnmatch.fnmatchcase(job.name, name) for job in jobs):
            listed = "\n".join(f"  {job.name}" for job in jobs)
            raise UserError(f"--only {name} names no run of this comparison. Its runs are:\n{listed}")
    return [job for job in jobs if not names or any(fnmatch.fnmatchcase(job.name, name) for name in names)]
