from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from toy import ToyDataset, save_checkpoint, write_mask, write_toy_dataset

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.run_state import check_trainer, state_of
from nnunet_textguided.errors import UserError

WEIGHTS = {"w": torch.ones(3000)}


@pytest.fixture
def toy(tmp_path: Path) -> ToyDataset:
    return write_toy_dataset(tmp_path, cases=4)


@pytest.fixture
def run(toy: ToyDataset) -> Run:
    run = toy.run()
    toy.write_model(run)
    return run


def state(toy: ToyDataset, run: Run) -> tuple[str, str]:
    found = state_of(run, toy.folders.results, toy.folds[run.fold])
    return found.kind, found.reason


def test_a_run_without_a_folder_is_missing(toy: ToyDataset, run: Run):
    assert state(toy, toy.run(fold=1)) == ("missing", "not trained here")
    assert state(toy, toy.run("OtherTrainer"))[0] == "missing"


def test_a_finished_run_is_told_without_torch(toy: ToyDataset, run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("the checkpoint was opened"))
    assert state(toy, run) == ("finished", "trained and validated on 2 cases")


def test_an_interrupted_training_says_its_epoch(toy: ToyDataset, run: Run):
    fold = run.fold_folder(toy.folders.results)
    (fold / "checkpoint_final.pth").unlink()
    save_checkpoint(fold / "checkpoint_best.pth", WEIGHTS, run.trainer, (1.0,))
    assert state(toy, run) == ("unfinished", "checkpoint_best.pth at epoch 1 of 3")
    save_checkpoint(fold / "checkpoint_latest.pth", WEIGHTS, run.trainer, (1.0, 1.0))
    assert state(toy, run) == ("unfinished", "checkpoint_latest.pth at epoch 2 of 3")
    (fold / "debug.json").unlink()
    assert state(toy, run) == ("unfinished", "checkpoint_latest.pth at epoch 2")


def test_a_training_that_left_no_checkpoint_is_unfinished(toy: ToyDataset, run: Run):
    (run.fold_folder(toy.folders.results) / "checkpoint_final.pth").unlink()
    kind, reason = state(toy, run)
    assert (kind, "no checkpoint" in reason) == ("unfinished", True)


@pytest.mark.parametrize("name", ["checkpoint_final.pth", "checkpoint_latest.pth"])
@pytest.mark.parametrize("keep", [0, 500, 9000])
def test_a_checkpoint_that_is_cut_short_is_unfinished(toy: ToyDataset, run: Run, name: str, keep: int):
    fold = run.fold_folder(toy.folders.results)
    (fold / "checkpoint_final.pth").unlink()
    save_checkpoint(fold / name, WEIGHTS, run.trainer, (1.0,))
    whole = (fold / name).read_bytes()
    assert len(whole) > 9000
    (fold / name).write_bytes(whole[:keep])
    kind, reason = state(toy, run)
    assert kind == "unfinished"
    assert f"{name} is cut short" in reason


def test_a_file_that_is_no_checkpoint_is_unfinished(toy: ToyDataset, run: Run):
    fold = run.fold_folder(toy.folders.results)
    (fold / "checkpoint_final.pth").unlink()
    torch.save({"something": 1}, fold / "checkpoint_latest.pth")
    assert state(toy, run)[0] == "unfinished"


def test_a_validation_that_lacks_cases_or_summary_is_unfinished(toy: ToyDataset, run: Run):
    validation = run.fold_folder(toy.folders.results) / "validation"
    (validation / "summary.json").unlink()
    assert state(toy, run) == ("unfinished", "trained; validation has no summary.json yet")
    (validation / "case_02.nii.gz").unlink()
    assert state(toy, run) == ("unfinished", "trained; validation lacks case_02")
    shutil.rmtree(validation)
    assert state(toy, run) == ("unfinished", "trained; validation lacks case_00, case_02")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_a_model_folder_without_its_files_is_unfinished(toy: ToyDataset, run: Run, name: str):
    (run.model_folder(toy.folders.results) / name).unlink()
    kind, reason = state(toy, run)
    assert kind == "unfinished"
    assert name in reason


def test_predictions_of_other_cases_mean_other_splits_and_are_refused(toy: ToyDataset, run: Run):
    validation = run.fold_folder(toy.folders.results) / "validation"
    write_mask(validation / ".partial-1-case_01.nii.gz", toy.truths["case_01"])  # of an interrupted export
    assert state(toy, run)[0] == "finished"
    write_mask(validation / "case_01.nii.gz", toy.truths["case_01"])
    with pytest.raises(UserError, match=r"case_01.*trained with other splits"):
        state(toy, run)


def test_a_trainer_that_does_not_exist_is_refused_with_similar_names(capsys: pytest.CaptureFixture):
    for name in ("nnUNetTrainer", "TextGuidedTrainer_short", "nnUNetTrainerMatched"):
        check_trainer(name)
    with pytest.raises(UserError, match=r"'TextGuidedTrainr_short'.*TextGuidedTrainer_short"):
        check_trainer("TextGuidedTrainr_short")
    with pytest.raises(UserError, match="nnUNetTrainer_5epochs"):
        check_trainer("nnUNetTrainer_5epoch")
    with pytest.raises(UserError, match="No trainer is called 'join'"):
        check_trainer("join")  # nnU-Net finds a function of this name
    assert capsys.readouterr().out == ""
