"""The records of every run of a grid: those there are, and new ones of what has been trained since."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from nnunet_textguided.comparison.checkpoint import final_checkpoint
from nnunet_textguided.comparison.costs import measured_costs
from nnunet_textguided.comparison.fairness import ComparisonError
from nnunet_textguided.comparison.fingerprints import TRUTH, digest, truth_content
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid, Run
from nnunet_textguided.comparison.record import RECORD_FILE, RunRecord
from nnunet_textguided.comparison.run_state import check_trainer, state_of
from nnunet_textguided.comparison.scoring import score_run, scoring_pool
from nnunet_textguided.comparison.splits import cases_by_fold
from nnunet_textguided.errors import UserError
from nnunet_textguided.files import file_sha256

log = logging.getLogger(__name__)

ELSEWHERE = (
    "trained on another machine, whose records hold its scores but not these (with or without names in order). Compare "
    "it there in the same way, then copy the records again."
)


def gather(grid: Grid, folders: Folders, records: Path, num_processes: int = 1) -> list[RunRecord]:
    """Return a record of every run, scoring what is new; each is saved as soon as it is made.

    A record that is there counts where the run's folder is not on this machine, or where neither its checkpoint nor
    the truth has changed since.

    Args:
        grid: What is compared.
        folders: nnU-Net's.
        records: Folder of all records; copy folders into it to bring in runs of other machines.
        num_processes: Processes that score cases.

    Returns:
        In the order of `grid.runs()`.

    Raises:
        ComparisonError: Runs are missing or unfinished; one text lists them all.
        UserError: The splits do not fit the folds, or a case cannot be scored.
    """
    runs = grid.runs()
    truths: dict[int, str | None] = {}
    found = {run: _usable_record(run, folders, records, truths) for run in runs}
    to_score = [run for run in runs if found[run] is None]
    if to_score:
        _check_finished(
            to_score,
            folders,
            records,
            cases_by_fold(folders.preprocessed / grid.dataset, grid.folds),
            len(runs),
        )
    with scoring_pool(num_processes if to_score else 1) as pool:
        for number, run in enumerate(to_score, start=1):
            log.info("Scoring run %d of %d: %s", number, len(to_score), run.record)
            record = score_run(run, folders, records, pool)
            record.save(records)
            found[run] = record
    return [record for record in found.values() if record is not None]


def _usable_record(run: Run, folders: Folders, records: Path, truths: dict[int, str | None]) -> RunRecord | None:
    """The record there is, with costs measured since; None where there is none or what it was made of has changed."""
    record = RunRecord.load(records, run)
    if record is None:
        return None
    if run.fold_folder(folders.results).is_dir():
        checkpoint = final_checkpoint(run, folders.results)
        if not checkpoint.is_file() or file_sha256(checkpoint) != record.provenance.get("checkpoint"):
            log.info("%s is no longer the training that was scored", run.name)
            return None
        if run.fold not in truths:  # systems share their truth: it is read once a fold
            truths[run.fold] = _truth_now(folders, record)
        if truths[run.fold] not in (None, record.fingerprints.get(TRUTH)):
            log.info("The truth of %s has changed since it was scored", run.name)
            return None
    measured = {
        name: value
        for name, value in measured_costs(run, records, record.provenance.get("checkpoint")).items()
        if value is not None
    }
    if {**record.costs, **measured} != record.costs:
        record = replace(record, costs={**record.costs, **measured})
        record.save(records)
    return record


def _is_scored_elsewhere(run: Run, folders: Folders, records: Path) -> bool:
    """Whether another machine scored the same training and there is nothing of it here to score."""
    known = any((records / variant.record / RECORD_FILE).is_file() for variant in run.variants)
    return known and not run.fold_folder(folders.results).is_dir()


def _truth_now(folders: Folders, record: RunRecord) -> str | None:
    """Fingerprint of the truth on this machine; None where it is not here, so that nothing could be scored anew."""
    ending = record.details["dataset"]["file_ending"]
    try:
        return digest(truth_content(record.run.dataset, folders, ending, record.cases))
    except UserError:
        return None


def _check_finished(
    runs: Sequence[Run], folders: Folders, records: Path, cases: dict[int, tuple[str, ...]], total: int
) -> None:
    elsewhere = [run for run in runs if _is_scored_elsewhere(run, folders, records)]
    problems, to_run = [f"{run.record}: {ELSEWHERE}" for run in elsewhere], False
    known_trainer = cache(check_trainer)  # a lookup takes seconds
    for run in dict.fromkeys(run.training for run in runs if run not in elsewhere):
        try:
            state = state_of(run, folders.results, cases[run.fold])
            if state.kind == "finished":
                continue
            known_trainer(run.trainer)
            problems.append(f"{run.name}: {state.kind}, {state.reason}")
            to_run = True
        except UserError as error:
            problems.append(f"{run.name}: {error}")
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        advice = "Run what is missing with: nnunet_textguided compare ... --run" if to_run else "Nothing was scored."
        raise ComparisonError(f"{len(problems)} of {total} runs cannot be compared yet:\n{lines}\n{advice}")
