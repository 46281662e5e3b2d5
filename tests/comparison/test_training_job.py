"""A training is nnU-Net's own, started as its files demand; what it took is summed up over its sittings."""

from __future__ import annotations

import json
import os

import pytest
import torch

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.training_job import TrainingOptions, set_superseded_aside, train, training_cost
from nnunet_textguided.errors import UserError
from nnunet_textguided.ext_path import VARIABLE, lists_ext_dir

RUN = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 3)
ON_CPU = TrainingOptions("cpu", threads=torch.get_num_threads())


@pytest.fixture
def fold(tmp_path, monkeypatch):
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        monkeypatch.setenv(name, str(tmp_path / name))
    folder = RUN.fold_folder(tmp_path / "nnUNet_results")
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def calls(monkeypatch):
    """Stand in for nnU-Net's training and note how it was called."""
    import nnunetv2.run.run_training as module

    found = []
    monkeypatch.setattr(module, "run_training", lambda *args, **options: found.append((args, options)))
    return found


def checkpoint(folder, name, whole=True):
    path = folder / f"checkpoint_{name}.pth"
    if whole:
        torch.save({"current_epoch": 1}, path)
    else:
        path.write_bytes(b"PK\x03\x04")
    return path


@pytest.mark.parametrize(
    ("whole", "cut_off", "continued", "only_validated"),
    [
        ([], [], False, False),
        (["latest"], [], True, False),
        (["best"], ["latest"], True, False),
        ([], ["latest", "best"], False, False),
        (["final"], [], False, True),
        (["latest"], ["final"], True, False),
    ],
)
def test_nnunet_is_called_as_its_checkpoints_demand(fold, calls, tmp_path, whole, cut_off, continued, only_validated):
    for name in whole:
        checkpoint(fold, name)
    for name in cut_off:
        checkpoint(fold, name, whole=False)
    train(RUN, ON_CPU, tmp_path / "records")
    [(args, options)] = calls
    assert args == ("Dataset900_Tiny", "2d", 3, "Trainer", "Plans")
    assert (options["continue_training"], options["only_run_validation"]) == (continued, only_validated)
    assert options["device"] == torch.device("cpu")
    assert sorted(path.name for path in fold.glob("*.damaged")) == sorted(
        f"checkpoint_{n}.pth.damaged" for n in cut_off
    )


def test_cost_is_written_beside_the_record_and_a_failed_sitting_leaves_its_mark(fold, tmp_path, monkeypatch):
    import nnunetv2.run.run_training as module

    file = tmp_path / "records" / RUN.name / "training_cost.json"

    def fail(*args, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(module, "run_training", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        train(RUN, ON_CPU, tmp_path / "records")
    assert json.loads(file.read_text())["seconds"] is None
    monkeypatch.setattr(module, "run_training", lambda *args, **options: None)
    train(RUN, ON_CPU, tmp_path / "records")
    cost = json.loads(file.read_text())
    assert [session["kind"] for session in cost["sessions"]] == ["train", "train"]
    assert [session.get("superseded", False) for session in cost["sessions"]] == [True, False]
    assert cost["seconds"] == cost["sessions"][1]["seconds"] > 0  # the second one began from scratch
    assert 50 < cost["peak_memory_mb"] < 50_000  # this process, which has loaded torch
    assert cost["threads"] == torch.get_num_threads()
    assert cost["device"]


def sitting(kind, seconds, memory):
    return {
        "kind": kind, "device": "D", "gpus": 1, "threads": 2, "seconds": seconds, "peak_memory_mb": memory
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sittings", "seconds", "memory"),
    [
        ([("train", 10.0, 300.0)], 10.0, 300.0),
        ([("train", 10.0, 300.0), ("continue", 5.0, 400.0), ("validate", 1.0, 350.0)], 16.0, 400.0),
        ([("train", None, None), ("continue", 5.0, 200.0)], None, 200.0),
        ([("continue", 5.0, 200.0)], None, 200.0),
        ([("validate", 1.0, 900.0)], None, None),
        ([("train", 10.0, None)], 10.0, None),
    ],
)
def test_sum_over_sittings_says_nothing_where_one_is_not_known(sittings, seconds, memory):
    cost = training_cost([sitting(*entry) for entry in sittings])
    assert (cost["seconds"], cost["peak_memory_mb"]) == (seconds, memory)


def test_what_a_training_before_this_one_took_is_kept_and_not_counted():
    before = {**sitting("train", 100.0, 900.0), "superseded": True}
    cost = training_cost([before, sitting("train", 10.0, 300.0)])
    assert (cost["seconds"], cost["peak_memory_mb"], len(cost["sessions"])) == (10.0, 300.0, 2)


def test_what_a_training_before_this_one_left_is_set_aside(tmp_path):
    (tmp_path / "validation").mkdir()
    final, summary = tmp_path / "checkpoint_final.pth", tmp_path / "validation" / "summary.json"
    for file in (final, summary):
        file.write_text("of before")
    assert [path.name for path in set_superseded_aside(tmp_path)] == ["summary.json.superseded"]
    assert final.is_file()  # nothing newer is there
    latest = tmp_path / "checkpoint_latest.pth"
    latest.write_text("newer")
    moment = final.stat().st_mtime + 5
    os.utime(latest, (moment, moment))
    assert [path.name for path in set_superseded_aside(tmp_path)] == ["checkpoint_final.pth.superseded"]
    assert latest.is_file()
    assert not final.exists()
    assert not summary.exists()


def test_trainers_of_this_package_are_found(fold, calls, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "")
    train(RUN, ON_CPU, tmp_path / "records")
    assert lists_ext_dir(os.environ[VARIABLE])


@pytest.mark.parametrize("options", [("cpu", 2), ("mps", 2), (None, 0)])
def test_number_of_gpus_that_makes_no_sense_is_refused(options):
    with pytest.raises(UserError, match="-num_gpus"):
        TrainingOptions(*options)
