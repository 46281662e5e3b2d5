"""Trainings first, then the time of predictions, alone; a process looks again at what is left when it starts."""

from __future__ import annotations

import os
from unittest.mock import patch

import pytest

from nnunet_textguided.comparison import run_grid, run_work
from nnunet_textguided.comparison.cluster_options import ClusterOptions
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.comparison.jobs import Job
from nnunet_textguided.comparison.run_grid import GridRunner
from nnunet_textguided.comparison.training_job import TrainingOptions
from nnunet_textguided.locks import RunLock, fold_lock_path

GRID = Grid("Dataset900_Tiny", "2d", (0, 1), (System("A", "TrainerA", ("P",)), System("B", "TrainerB", ("P",))))


@pytest.fixture
def states(monkeypatch):
    """What every run needs, by trainer and fold; the test changes it."""
    needs = {(trainer, fold): "train" for trainer in ("TrainerA", "TrainerB") for fold in (0, 1)}

    def job_of(run, folders, records, costs=True):
        return Job(run, needs[run.trainer, run.fold])

    monkeypatch.setattr(run_work, "job_of", job_of)
    monkeypatch.setattr(
        run_grid, "jobs_of", lambda grids, *rest: [job_of(run, *rest) for grid in grids for run in grid.runs()]
    )
    monkeypatch.setattr(run_grid, "check_startable", lambda runs, folders: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return needs


@pytest.fixture
def runner(tmp_path):
    folders = Folders(*(tmp_path / name for name in ("raw", "preprocessed", "results")))
    parts = (tmp_path / "records", tmp_path / "logs", TrainingOptions("cpu"), ClusterOptions(workers=2))
    return GridRunner([GRID], folders, *parts)


@pytest.fixture
def submitted(monkeypatch, states):
    """Stand in for processes: every job does what it should, and its work is noted."""
    waves = []

    def run_jobs(jobs, work_of, options, logs):
        waves.append(([work_of(job) for job in jobs], options))
        for job in jobs:
            states[job.run.trainer, job.run.fold] = "done" if job.kind == "measure" else "measure"
        return [f"{job.kind} {job.run.trainer} {job.run.fold}" for job in jobs]

    monkeypatch.setattr(run_grid, "run_jobs", run_jobs)
    return waves


def test_trainings_run_first_and_predictions_are_measured_alone(runner, states, submitted, monkeypatch):
    from nnunet_textguided.comparison import resource_use

    monkeypatch.setattr(resource_use, "usable_cores", lambda: 9)
    states["TrainerA", 1], states["TrainerB", 0] = "continue", "done"
    outcomes = runner.run()
    assert outcomes == [
        *("train TrainerA 0", "continue TrainerA 1", "train TrainerB 1"),
        *("measure TrainerA 0", "measure TrainerA 1", "measure TrainerB 1"),
    ]
    (training, first), (measuring, second) = submitted
    assert (first.workers, second.workers) == (2, 1)
    assert {(work.measure, work.options.threads) for work in training} == {(False, 4)}
    assert {(work.measure, work.options.threads) for work in measuring} == {(True, None)}


def test_threads_the_user_set_are_left_alone(runner, states, submitted, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    runner.run()
    assert {work.options.threads for work, *_ in submitted[0][:1]} == {None}


def test_only_named_runs_are_started(runner, submitted):
    assert runner.run(["*TrainerB*/fold_1"]) == ["train TrainerB 1", "measure TrainerB 1"]


@pytest.fixture
def done(monkeypatch):
    calls = []
    monkeypatch.setattr(run_work, "train", lambda run, options, records: calls.append(("train", run)))
    monkeypatch.setattr(run_work, "measure_inference", lambda run, *rest, **options: calls.append(("measure", run)))
    with patch.dict(os.environ):  # work is meant for a process of its own and sets variables for good
        yield calls


@pytest.mark.parametrize(
    ("measure", "left", "expected"),
    [
        (False, "train", ["train"]),
        (False, "validate", ["train"]),
        (False, "measure", []),  # another process has trained it since this one was queued
        (False, "done", []),
        (True, "measure", ["measure"]),
        (True, "done", []),
    ],
)
def test_process_does_what_is_left_when_it_starts(runner, states, done, measure, left, expected):
    job = runner.jobs()[0]
    states[job.run.trainer, job.run.fold] = left
    result = runner._work(job, measure, runner.training)()
    assert result.status == "finished"
    assert [kind for kind, _ in done] == expected
    assert not fold_lock_path(job.run.fold_folder(runner.folders.results)).exists()


def test_run_that_another_process_is_at_is_left_to_it(runner, states, done):
    job = runner.jobs()[0]
    with RunLock(fold_lock_path(job.run.fold_folder(runner.folders.results))):
        result = runner._training(job)()
    assert result.status == "busy"
    assert f"process {os.getpid()}" in result.reason
    assert done == []


def test_work_can_be_pickled_and_brings_nnunets_variables_along(runner, states, done, monkeypatch):
    import pickle

    monkeypatch.setenv("nnUNet_n_proc_DA", "3")
    work = pickle.loads(pickle.dumps(runner._training(runner.jobs()[0])))
    monkeypatch.setenv("nnUNet_n_proc_DA", "1")
    monkeypatch.setenv("nnUNet_results", "elsewhere")
    assert work().status == "finished"
    there = dict(os.environ)
    assert there["nnUNet_n_proc_DA"] == "3"
    assert there["nnUNet_results"] == str(runner.folders.results)
