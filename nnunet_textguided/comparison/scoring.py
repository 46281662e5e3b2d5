"""From a trained run's folder to its record: scores of every validation case, costs, fingerprints, provenance."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from nnunet_textguided.comparison.case_scoring import CaseScores, score_one
from nnunet_textguided.comparison.costs import costs_of
from nnunet_textguided.comparison.fingerprints import FINDINGS_FILE, assessed_findings, contents_of, digest
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.provenance import provenance_of
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.comparison.run_state import state_of
from nnunet_textguided.comparison.splits import validation_cases
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.finding_evaluation import read_predictions
from nnunet_textguided.evaluation.finding_table import KEYS, join_truth
from nnunet_textguided.evaluation.task import EvaluationTask, read_task
from nnunet_textguided.files import load_json

BLOCK = "text_guidance"


def score_run(run: Run, folders: Folders, records: Path | None = None, pool: Executor | None = None) -> RunRecord:
    """Score a finished run.

    Args:
        run: Which one.
        folders: nnU-Net's.
        records: Folder of all records, where measured costs lie; None = not measured.
        pool: Scores the cases, see `scoring_pool`; None = this process.

    Raises:
        UserError: The run is not finished, or a case cannot be scored.
    """
    cases = validation_cases(folders.preprocessed / run.dataset, run.fold)
    state = state_of(run, folders.results, cases)
    if state.kind != "finished":
        raise UserError(f"{run.name} is {state.kind} ({state.reason}) and cannot be scored.")
    task = read_task(run.model_folder(folders.results) / "dataset.json")
    scores = _score_cases(run, folders, task, cases, pool)
    contents, provenance = contents_of(run, folders), provenance_of(run, folders.results, records)
    costs = costs_of(run, folders.results, records, provenance["checkpoint"])
    shifts = [{"case": case, "shift": score.shift} for case, score in zip(cases, scores, strict=True)]
    return RunRecord(
        run=run,
        cases=cases,
        structures=pd.DataFrame([row for score in scores for row in score.structures]),
        findings=findings_of(run, folders, cases),
        instances=pd.DataFrame([row for score in scores for row in score.instances]),
        shifts=pd.DataFrame([row for row in shifts if row["shift"] is not None], columns=["case", "shift"]),
        costs=costs,
        fingerprints={name: digest(content) for name, content in contents.items()},
        details={**contents, "epochs": costs["epochs"], "iterations": costs["iterations"]},
        provenance=provenance,
    )


@contextmanager
def scoring_pool(num_processes: int) -> Iterator[Executor | None]:
    """Hold processes that score cases; one pool for many runs, as each process first loads nnU-Net.

    Args:
        num_processes: 1 = none but this one.
    """
    if num_processes <= 1:
        yield None
        return
    pool = ProcessPoolExecutor(num_processes, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def findings_of(run: Run, folders: Folders, cases: Sequence[str]) -> pd.DataFrame | None:
    """Return the run's findings beside the truth that the data set has now, the same for every system.

    A finding at a structure that was not segmented has probability 0. Of findings the model was not trained for there
    are no rows.

    Args:
        run: Which one.
        folders: nnU-Net's.
        cases: Validation cases of its fold.

    Returns:
        Columns KEYS, truth (1, 0, NaN = not assessed) and probability; None for a model without findings.

    Raises:
        UserError: The table is damaged, or names other cases.
    """
    path = run.fold_folder(folders.results) / "validation" / FINDINGS_FILE
    if not path.is_file():
        return None
    table = read_predictions(path)
    if unknown := sorted(set(table["case"]) - set(cases)):
        raise UserError(f"{path} holds findings of {', '.join(unknown[:5])}, which this fold does not validate.")
    truth = assessed_findings(folders.preprocessed / run.dataset, cases)
    if truth is None:
        if "truth" not in table:
            raise UserError(f"{path} has no column 'truth', and {run.dataset} has no {FINDINGS_FILE} to take it from.")
        return table[[*KEYS, "truth", "probability"]].sort_values(KEYS, ignore_index=True)
    plans = load_json(run.model_folder(folders.results) / "plans.json")
    trained = set((plans.get(BLOCK) or {}).get("findings") or ()) | set(table["finding"])
    own = table[table["segmented"].astype(bool)] if "segmented" in table else table
    joined = join_truth(own[[*KEYS, "probability"]], truth[truth["finding"].isin(trained)])
    return joined[[*KEYS, "truth", "probability"]]


def _predictions(run: Run, folders: Folders, cases: Sequence[str]) -> Path:
    """Folder of the run's predictions; those with names in order are made anew from those of the network."""
    target = run.predictions(folders.results)
    if run.names_in_order:
        from nnunet_textguided.inference.name_order import order_folder

        source = run.training.predictions(folders.results)
        order_folder(source, target, run.model_folder(folders.results) / "dataset.json", cases)
    return target


def _score_cases(
    run: Run, folders: Folders, task: EvaluationTask, cases: Sequence[str], pool: Executor | None
) -> list[CaseScores]:
    truth, predictions = folders.truth(run.dataset), _predictions(run, folders, cases)
    jobs: list[tuple[Any, ...]] = [
        (case, truth / f"{case}{task.file_ending}", predictions / f"{case}{task.file_ending}", task) for case in cases
    ]
    if pool is None:
        return [score_one(*job) for job in jobs]
    pending = [pool.submit(score_one, *job) for job in jobs]
    return [future.result() for future in pending]
