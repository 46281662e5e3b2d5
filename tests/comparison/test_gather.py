from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from toy import ToyDataset, stand_in_for_spine_scores, write_json, write_mask, write_toy_dataset

from nnunet_textguided.comparison import gather as gather_module
from nnunet_textguided.comparison.fairness import ComparisonError, check_fair
from nnunet_textguided.comparison.gather import gather
from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.errors import UserError

SYSTEMS = (System("Ours", "TextGuidedTrainer", ("TG", "TGSeed1")), System("U-Net", "nnUNetTrainer", ("nnUNetPlans",)))


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyDataset:
    stand_in_for_spine_scores(monkeypatch)
    toy = write_toy_dataset(tmp_path, cases=4)
    for number, run in enumerate(grid_of(toy).runs()):
        toy.write_model(run, seed=number, weights={"w": torch.full((4,), float(number))})
    return toy


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that were scored since."""
    names = []

    def score(run, *rest):
        names.append(run.name)
        return original(run, *rest)

    original = gather_module.score_run
    monkeypatch.setattr(gather_module, "score_run", score)
    return names


def grid_of(toy: ToyDataset, folds=(0, 1), systems=SYSTEMS) -> Grid:
    return Grid(toy.name, "2d", folds, systems)


def fold_folder(toy: ToyDataset, number: int) -> Path:
    return grid_of(toy).runs()[number].fold_folder(toy.folders.results)


def test_every_run_is_scored_once_saved_and_fair(toy: ToyDataset, tmp_path: Path, scored, caplog):
    grid = grid_of(toy)
    with caplog.at_level(logging.INFO):
        records = gather(grid, toy.folders, tmp_path / "records")
    assert [record.run for record in records] == grid.runs()
    assert scored == [run.name for run in grid.runs()]
    assert "Scoring run 6 of 6" in caplog.text
    assert check_fair(grid, records) == []
    again = gather(grid, toy.folders, tmp_path / "records")
    assert len(scored) == 6
    assert [record.provenance for record in again] == [record.provenance for record in records]


@pytest.mark.parametrize("gone", [("results", "preprocessed"), ("raw", "preprocessed")])
def test_a_record_counts_where_model_or_truth_is_on_another_machine(toy: ToyDataset, tmp_path: Path, scored, gone):
    gather(grid_of(toy), toy.folders, tmp_path / "records")
    scored.clear()
    for folder in gone:
        shutil.rmtree(getattr(toy.folders, folder))
    assert len(gather(grid_of(toy), toy.folders, tmp_path / "records")) == 6
    assert scored == []


def test_a_run_that_was_trained_anew_is_scored_anew(toy: ToyDataset, tmp_path: Path, scored):
    before = gather(grid_of(toy), toy.folders, tmp_path / "records")
    scored.clear()
    run = grid_of(toy).runs()[2]
    toy.write_model(run, quality=1.0, weights={"w": torch.ones(9)})
    after = gather(grid_of(toy), toy.folders, tmp_path / "records")
    assert scored == [run.name]
    assert after[2].structures["iou"].min() == 1.0 > before[2].structures["iou"].min()
    assert RunRecord.load(tmp_path / "records", run).costs["parameters"] == 9


def test_runs_of_a_fold_whose_truth_was_corrected_are_scored_anew(toy: ToyDataset, tmp_path: Path, scored):
    gather(grid_of(toy), toy.folders, tmp_path / "records")
    scored.clear()
    case = toy.folds[1][0]
    write_mask(toy.preprocessed / "gt_segmentations" / f"{case}.nii.gz", np.roll(toy.truths[case], 1, 1))
    records = gather(grid_of(toy), toy.folders, tmp_path / "records")
    assert scored == [run.name for run in grid_of(toy).runs() if run.fold == 1]
    assert check_fair(grid_of(toy), records) == []


def test_costs_measured_after_scoring_are_taken_up_without_scoring_again(toy: ToyDataset, tmp_path: Path, scored):
    records = tmp_path / "records"
    gather(grid_of(toy), toy.folders, records)
    scored.clear()
    run = grid_of(toy).runs()[0]
    write_json(records / run.name / "inference_cost.json", {"seconds_per_case": 1.5, "peak_memory_mb": 77})
    costs = gather(grid_of(toy), toy.folders, records)[0].costs
    assert (costs["seconds_per_case"], costs["inference_memory_mb"]) == (1.5, 77)
    (records / run.name / "inference_cost.json").unlink()  # a record that travelled keeps what it knows
    assert gather(grid_of(toy), toy.folders, records)[0].costs == costs
    assert scored == []


def test_all_that_is_missing_or_unfinished_is_listed_at_once_and_nothing_is_scored(toy: ToyDataset, tmp_path, scored):
    shutil.rmtree(fold_folder(toy, 1))
    (fold_folder(toy, 3) / "checkpoint_final.pth").unlink()
    (fold_folder(toy, 4) / "validation" / "case_02.nii.gz").unlink()
    with pytest.raises(ComparisonError) as caught:
        gather(grid_of(toy), toy.folders, tmp_path / "records")
    text = str(caught.value)
    assert text.startswith("3 of 6 runs cannot be compared yet")
    for part in (
        "TextGuidedTrainer__TG__2d/fold_1: missing, not trained here",
        "TextGuidedTrainer__TGSeed1__2d/fold_1: unfinished, training was started",
        "nnUNetTrainer__nnUNetPlans__2d/fold_0: unfinished, trained; validation lacks case_02",
        "compare ... --run",
    ):
        assert part in text
    assert scored == []


def test_a_trainer_that_does_not_exist_is_named_with_similar_ones(toy: ToyDataset, tmp_path: Path, monkeypatch):
    def refuse(name: str) -> None:
        raise UserError(f"No trainer is called {name!r}.")

    monkeypatch.setattr(gather_module, "check_trainer", refuse)
    systems = (*SYSTEMS, System("Typo", "nnUNetTrainr", ("nnUNetPlans",)))
    with pytest.raises(ComparisonError, match=r"fold_0: No trainer is called 'nnUNetTrainr'"):
        gather(grid_of(toy, systems=systems), toy.folders, tmp_path / "records")
    assert len(gather(grid_of(toy), toy.folders, tmp_path / "records")) == 6  # what is trained is not looked up


def test_a_run_of_other_splits_is_listed(toy: ToyDataset, tmp_path: Path):
    write_mask(fold_folder(toy, 0) / "validation" / "case_01.nii.gz", toy.truths["case_01"])
    with pytest.raises(ComparisonError, match="trained with other splits"):
        gather(grid_of(toy), toy.folders, tmp_path / "records")


def test_folds_that_do_not_exist_or_overlap_are_refused(toy: ToyDataset, tmp_path: Path):
    with pytest.raises(UserError, match="folds 0 to 1, got fold 2"):
        gather(grid_of(toy, folds=(0, 2)), toy.folders, tmp_path / "records")
    splits = [{"train": ["case_01"], "val": ["case_00", "case_02"]}, {"train": ["case_01"], "val": ["case_02"]}]
    write_json(toy.preprocessed / "splits_final.json", splits)
    with pytest.raises(UserError, match="case_02 is validated by fold 0 and by fold 1"):
        gather(grid_of(toy), toy.folders, tmp_path / "records")


def test_an_interrupted_gather_loses_nothing(toy: ToyDataset, tmp_path: Path, monkeypatch, scored):
    calls = []
    counted = gather_module.score_run

    def interrupted(run, *rest):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(run)
        return counted(run, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(gather_module, "score_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gather(grid_of(toy), toy.folders, tmp_path / "records")
    scored.clear()
    assert len(gather(grid_of(toy), toy.folders, tmp_path / "records")) == 6
    assert scored == [run.name for run in grid_of(toy).runs()[2:]]


def test_records_of_different_data_are_gathered_but_not_fair(toy: ToyDataset, tmp_path: Path):
    gather(grid_of(toy), toy.folders, tmp_path / "records")
    shutil.rmtree(fold_folder(toy, 4))  # its record is from before
    path = toy.preprocessed / "nnUNetPlans_2d" / "case_03.pkl"
    path.write_bytes(path.read_bytes() + b"x")
    toy.write_model(grid_of(toy).runs()[0], weights={"w": torch.ones(5)})
    records = gather(grid_of(toy), toy.folders, tmp_path / "records")
    with pytest.raises(ComparisonError, match=r"the preprocessed data.*case_03.pkl"):
        check_fair(grid_of(toy), records)
