"""What a run needs follows from the files there are; a fold of all systems comes before the next fold."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile

import pytest

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Grid, Run, System
from nnunet_textguided.comparison.jobs import Job, choose, job_of, ordered_runs
from nnunet_textguided.errors import UserError

RUN = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 0)
CASES = ["a", "b"]


@pytest.fixture
def folders(tmp_path):
    preprocessed = tmp_path / "preprocessed" / RUN.dataset
    preprocessed.mkdir(parents=True)
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": ["c"], "val": CASES}]))
    return Folders(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")


@pytest.fixture
def make(folders, tmp_path):
    """Put files of a run where they belong: checkpoints by name, predictions by case."""

    def build(*, whole=(), cut_off=(), predicted=None, summary=True, measured=False, scored=False):
        model, fold = RUN.model_folder(folders.results), RUN.fold_folder(folders.results)
        if whole or cut_off or predicted is not None:
            (fold / "validation").mkdir(parents=True)
            for name in ("plans.json", "dataset.json"):
                (model / name).write_text(json.dumps({"file_ending": ".nii.gz"}))
        for name in whole:
            with zipfile.ZipFile(fold / f"checkpoint_{name}.pth", "w") as archive:
                archive.writestr("data.pkl", "x" * 100)
        for name in cut_off:
            (fold / f"checkpoint_{name}.pth").write_bytes(b"PK\x03\x04 cut off")
        for case in predicted or ():
            (fold / "validation" / f"{case}.nii.gz").touch()
        if predicted and summary:
            (fold / "validation" / "summary.json").write_text("{}")
        records = tmp_path / "records" / RUN.name
        records.mkdir(parents=True)
        for name, wanted in (("inference_cost.json", measured), ("record.json", scored)):
            if wanted:
                (records / name).write_text("{}")

    return build


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, "train"),
        ({"predicted": []}, "train"),
        ({"whole": ["latest"]}, "continue"),
        ({"whole": ["best"]}, "continue"),
        ({"whole": ["best"], "cut_off": ["latest"]}, "continue"),
        ({"cut_off": ["latest"]}, "train"),
        ({"whole": ["latest"], "cut_off": ["final"], "predicted": CASES}, "continue"),
        ({"whole": ["final", "best"]}, "validate"),
        ({"whole": ["final"], "predicted": CASES[:1]}, "validate"),
        ({"whole": ["final"], "predicted": CASES, "summary": False}, "validate"),
        ({"whole": ["final"], "predicted": CASES}, "measure"),
        ({"whole": ["final"], "predicted": CASES, "measured": True}, "done"),
        ({"whole": ["latest"], "scored": True}, "continue"),
        ({"scored": True}, "done"),
    ],
)
def test_kind_follows_from_the_files(make, folders, tmp_path, files, kind):
    make(**files)
    job = job_of(RUN, folders, tmp_path / "records")
    assert job.kind == kind
    assert job.reason


def test_time_of_a_training_before_this_one_is_measured_again(make, folders, tmp_path):
    make(whole=["final"], predicted=CASES, measured=True)
    final = RUN.fold_folder(folders.results) / "checkpoint_final.pth"
    cost = tmp_path / "records" / RUN.name / "inference_cost.json"
    for content, kind in ((final.read_bytes(), "done"), (b"another training", "measure")):
        cost.write_text(json.dumps({"checkpoint": hashlib.sha256(content).hexdigest()}))
        assert job_of(RUN, folders, tmp_path / "records").kind == kind


def test_training_that_began_anew_and_was_interrupted_goes_on(make, folders, tmp_path):
    make(whole=["final", "latest"], predicted=CASES, measured=True)
    fold = RUN.fold_folder(folders.results)
    for seconds, kind in ((-5, "done"), (5, "continue")):  # nnU-Net removes the latest one after writing the final one
        moment = (fold / "checkpoint_final.pth").stat().st_mtime + seconds
        os.utime(fold / "checkpoint_latest.pth", (moment, moment))
        assert job_of(RUN, folders, tmp_path / "records").kind == kind


def test_training_scored_elsewhere_in_another_way_is_not_trained_here(folders, tmp_path):
    ordered = dataclasses.replace(RUN, names_in_order=True)
    record = tmp_path / "records" / ordered.record / "record.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    for scored_as, missing in (([ordered], False), ([RUN, ordered], True)):
        job = job_of(RUN, folders, tmp_path / "records", scored_as=scored_as)
        assert (job.kind, "not yet" in job.reason) == ("done", missing)


def test_finished_run_needs_nothing_where_costs_are_not_wanted(make, folders, tmp_path):
    make(whole=["final"], predicted=CASES)
    assert job_of(RUN, folders, tmp_path / "records", costs=False).kind == "done"


def test_fold_that_the_split_does_not_have_is_an_error(folders, tmp_path):
    with pytest.raises(UserError, match="fold 7"):
        job_of(Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 7), folders, tmp_path / "records")


def test_every_system_finishes_a_fold_before_the_next_begins():
    systems = (System("a", "A", ("p", "q")), System("b", "B", ("p",)))
    first = Grid("Dataset001_X", "2d", (1, 0), systems)
    second = Grid("Dataset001_X", "3d_fullres", (0,), systems[1:])
    found = [(run.configuration, run.fold, run.trainer, run.plans) for run in ordered_runs([first, second])]
    assert found == [
        ("2d", 1, "A", "p"),
        ("2d", 1, "A", "q"),
        ("2d", 1, "B", "p"),
        ("2d", 0, "A", "p"),
        ("2d", 0, "A", "q"),
        ("2d", 0, "B", "p"),
        ("3d_fullres", 0, "B", "p"),
    ]


def test_run_that_two_systems_share_is_listed_once():
    systems = (System("one", "A", ("p",)), System("again", "A", ("p",)))
    assert len(ordered_runs([Grid("Dataset001_X", "2d", (0, 1), systems)])) == 2


JOBS = [Job(Run("Dataset001_X", "2d", trainer, "p", fold), "train") for fold in (0, 1) for trainer in "AB"]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ([], [0, 1, 2, 3]),
        (["Dataset001_X/B__p__2d/fold_0"], [1]),
        (["*/fold_1", "*/A__*"], [0, 2, 3]),
    ],
)
def test_jobs_are_chosen_by_name_or_pattern(names, numbers):
    assert choose(JOBS, names) == [JOBS[number] for number in numbers]


def test_name_of_no_run_is_an_error_that_lists_the_runs():
    with pytest.raises(UserError, match=r"fold_9 names no run(.|\n)*Dataset001_X/A__p__2d/fold_0"):
        choose(JOBS, ["*/fold_0", "*/fold_9"])
