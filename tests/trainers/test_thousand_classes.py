from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_dataset import SMALL, build_dataset

from nnunet_textguided.inference import TextGuidedPredictor
from nnunet_textguided.trainers import TextGuidedTrainer
from nnunet_textguided.trainers.plan import write_text_guided_plans

CLASSES = 1000


@pytest.mark.slow
def test_a_thousand_classes_are_planned_trained_validated_and_predicted(
    nnunet_folders: Path, results: Path, monkeypatch: pytest.MonkeyPatch
):
    labels = {"background": 0, **{f"structure {code}": code for code in range(1, CLASSES)}}
    folder = build_dataset(nnunet_folders, "Dataset907_Thousand", labels, ("2d",))
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")  # not before: nnU-Net's planner takes it for a number of threads
    plans = json.loads(write_text_guided_plans(folder, options=SMALL).read_text())
    dataset_json = json.loads((folder / "dataset.json").read_text())
    trainer = TextGuidedTrainer({**plans, "continue_training": False}, "2d", 0, dataset_json, torch.device("cpu"))
    trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, 2, 1
    trainer.run_training()
    trainer.perform_actual_validation()
    summary = json.loads((Path(trainer.output_folder) / "validation" / "summary.json").read_text())
    assert len(summary["mean"]) == CLASSES - 1

    predictor = TextGuidedPredictor.from_model_folder(trainer.output_folder_base, folds=0, device="cpu")
    image = np.random.default_rng(0).random((3, 40, 36), np.float32)
    result = predictor.predict(image, (4.0, 1.0, 1.0), probabilities=True)
    assert result.labels.dtype == np.uint16
    assert result.probabilities.shape == (CLASSES, *image.shape)
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-3)
