"""A model that nnU-Net itself has trained: the layout of its files is nnU-Net's, not ours."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from toy import stand_in_for_spine_scores

from nnunet_textguided.comparison.checkpoint import read_checkpoint
from nnunet_textguided.comparison.costs import stored_numbers
from nnunet_textguided.comparison.fingerprints import plans_content
from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.gather import gather
from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.comparison.run_state import state_of
from nnunet_textguided.comparison.splits import folds_of, validation_cases
from nnunet_textguided.trainers import TextGuidedTrainer, nnUNetTrainer_short


@pytest.fixture
def folders(nnunet_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """A results folder of the test's own."""
    stand_in_for_spine_scores(monkeypatch)
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "results"))
    return Folders.from_environment()


def grid_of(*systems: System) -> Grid:
    return Grid("Dataset900_Tiny", "2d", (0,), systems)


@pytest.mark.slow
def test_a_real_training_is_unfinished_then_finished_then_scored(
    make_trainer, folders: Folders, tiny_dataset: Path, tmp_path: Path
):
    grid = grid_of(System("U-Net", "nnUNetTrainer_short", ("nnUNetPlans",)))
    (run,) = grid.runs()
    trainer = make_trainer(nnUNetTrainer_short, plans="nnUNetPlans")
    trainer.num_iterations_per_epoch = 1
    end, trainer.on_train_end = trainer.on_train_end, lambda: None
    trainer.run_training()
    cases = validation_cases(tiny_dataset, 0)
    assert folds_of(tiny_dataset) == (0, 1, 2, 3, 4)
    state = state_of(run, folders.results, cases)
    assert (state.kind, state.reason) == ("unfinished", "checkpoint_latest.pth at epoch 1 of 2")
    end()
    assert state_of(run, folders.results, cases).reason.startswith("trained; validation lacks case_")
    trainer.perform_actual_validation()
    assert state_of(run, folders.results, cases).kind == "finished"

    (record,) = gather(grid, folders, tmp_path / "records")
    summary = json.loads((run.fold_folder(folders.results) / "validation" / "summary.json").read_text())
    rows = record.structures.set_index(["case", "code"])
    for entry in summary["metric_per_case"]:
        case = Path(entry["prediction_file"]).name.removesuffix(".nii.gz")
        for code, counted in entry["metrics"].items():
            row = rows.loc[(case, code)]
            assert (row["tp"], row["fp"], row["fn"]) == (counted["TP"], counted["FP"], counted["FN"])
    assert set(record.structures["case"]) == set(cases)
    assert record.costs["parameters"] == sum(p.numel() for p in trainer.network.parameters())
    assert (record.costs["epochs"], record.costs["iterations"]) == (2, 2)
    assert record.costs["seconds_per_epoch"] > 0
    assert record.provenance["hardware"]["training"] == "cpu"
    assert record.provenance["training_torch"] == torch.__version__
    assert record.details["plans"]["2d"]["patch_size"] == [32, 32]
    assert "training_data" in record.fingerprints
    pd.testing.assert_index_equal(rows.columns[-2:], pd.Index(["hd95_mm", "assd_mm"]))


def test_real_plans_agree_but_for_our_block_and_real_networks_are_counted_right(
    make_trainer, folders: Folders, text_guided_plans: str, tmp_path: Path
):
    saved = []
    for trainer_class, plans in ((nnUNetTrainer_short, "nnUNetPlans"), (TextGuidedTrainer, text_guided_plans)):
        trainer = make_trainer(trainer_class, plans=plans)
        trainer.on_train_start()
        content = json.loads((Path(trainer.output_folder_base) / "plans.json").read_text())
        saved.append(plans_content(content, "2d"))
        trainer.save_checkpoint(str(tmp_path / "checkpoint.pth"))
        stored = stored_numbers(read_checkpoint(tmp_path / "checkpoint.pth")["network_weights"])
        state = {**dict(trainer.network.named_parameters()), **dict(trainer.network.named_buffers())}
        assert stored == sum(tensor.numel() for tensor in state.values())
    assert saved[0] == saved[1]
    assert {"2d", "dataset_name", "label_manager", "transpose_forward"} <= saved[0].keys()
    assert "architecture" in saved[0]["2d"]
