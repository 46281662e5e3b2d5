"""Partly labelled training through nnU-Net's own loop: one source without the sacrum, one with findings only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_partial import BARE, CUT, WHOLE, write_partial_findings, write_partial_raw

from nnunet_textguided.trainers import TextGuidedTrainer


def write_splits(folder: Path, train: list[str], val: list[str]) -> None:
    (folder / "splits_final.json").write_text(json.dumps([{"train": train, "val": val}]))


@pytest.fixture
def two_sources(partial_dataset: Path):
    """Fold 0: masks without the sacrum, and findings without masks."""
    saved = (partial_dataset / "splits_final.json").read_bytes()
    write_splits(partial_dataset, [*CUT[:2], *BARE[:4]], [CUT[2], BARE[4]])
    yield partial_dataset
    (partial_dataset / "splits_final.json").write_bytes(saved)


def test_masks_without_a_class_and_findings_without_masks_train_together(make_partial_trainer, two_sources: Path):
    trainer = make_partial_trainer(TextGuidedTrainer)
    trainer.run_training()
    assert np.isfinite(trainer.logger.get_value("train_losses", step=None)).all()
    assert np.isfinite(trainer.logger.get_value("val_losses", step=None)).all()
    progress = pd.read_csv(Path(trainer.output_folder) / "findings_progress.csv")
    assert progress[progress.finding == "all findings"].n.min() > 0


@pytest.mark.slow
def test_a_case_without_a_mask_is_validated_by_its_findings(make_partial_trainer, two_sources: Path):
    from nnunet_textguided.cli.main import main

    trainer = make_partial_trainer(TextGuidedTrainer)
    trainer.num_iterations_per_epoch = 15
    trainer.run_training()
    trainer.perform_actual_validation()
    folder = Path(trainer.output_folder) / "validation"
    summary = json.loads((folder / "summary.json").read_text())
    of_case = {Path(row["reference_file"]).name: row["metrics"] for row in summary["metric_per_case"]}
    assert all(row["n_ref"] == row["FP"] == 0 for row in of_case[f"{BARE[4]}.nii.gz"].values())
    assert of_case[f"{CUT[2]}.nii.gz"]["2"]["n_ref"] > 0
    truth = pd.read_csv(folder / "findings.csv").set_index(["case", "structure", "finding"]).truth
    assert truth[BARE[4], "L5/S", "bulge"] == 0
    assert main(["evaluate", str(two_sources / "gt_segmentations"), str(folder)]) in (0, 1)
    status = pd.read_csv(folder / "evaluation.csv").groupby("case").status.unique()
    assert list(status[BARE[4]]) == ["absent"]  # nothing of its segmentation is counted
    assert "absent" not in status[CUT[2]]


@pytest.mark.slow
def test_nnunet_plans_preprocesses_and_verifies_cases_without_masks(nnunet_folders: Path):
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    from nnunet_textguided.trainers.lacking import mask_content
    from nnunet_textguided.trainers.order_fixed_axes import order_fixed_axes_of_folder

    raw = nnunet_folders / "nnUNet_raw" / "Dataset931_Unmasked"
    write_partial_findings(raw, write_partial_raw(raw))
    extract_fingerprints([931], num_processes=1, check_dataset_integrity=True)
    plan_experiments([931], gpu_memory_target_in_gb=0.5)
    preprocess([931], configurations=("2d",), num_processes=(1,))
    data = nnunet_folders / "nnUNet_preprocessed" / raw.name / "nnUNetPlans_2d"
    dataset = nnUNetDatasetBlosc2(str(data))
    contents = {case: mask_content(dataset.load_case(case)[3]) for case in dataset.identifiers}
    assert [contents[case] for case in (*WHOLE, *CUT, *BARE)] == 3 * [{1, 2, 3}] + 3 * [{2, 3}] + 5 * [None]
    assert order_fixed_axes_of_folder(str(data), [1, 2, 3]) == ()  # six masks are too few to tell
