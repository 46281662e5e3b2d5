"""Fixtures: a tiny data set, planned and preprocessed by nnU-Net itself."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

DATASET = "Dataset900_Tiny"
SMALL = {"encoder": "convnextv2_atto", "encoder_weights": "none", "text_model": "random", "text_weights": None}
"""Options of a small model that needs no download."""
LABELS = {"background": 0, "S": 1, "L5": 2, "L5/S": 3}


def write_case(raw: Path, name: str, rng: np.random.Generator, kept: set[int]) -> None:
    """Three boxes stacked along the second axis, brighter from one to the next; sides left and right vary."""
    labels = np.zeros((6, 40, 36), np.uint8)
    column = int(rng.integers(6, 18))
    for label, row in ((2, 4), (3, 16), (1, 26)):
        labels[1:5, row : row + 9, column : column + 12] = label
    image = labels * 40.0 + rng.normal(0, 8, labels.shape)
    labels[~np.isin(labels, list(kept))] = 0
    for array, path in (
        (image.astype(np.float32), raw / "imagesTr" / f"{name}_0000.nii.gz"),
        (labels, raw / "labelsTr" / f"{name}.nii.gz"),
    ):
        volume = sitk.GetImageFromArray(array)
        volume.SetSpacing((1.0, 1.0, 4.0))
        sitk.WriteImage(volume, str(path))


@pytest.fixture(scope="session")
def nnunet_folders(tmp_path_factory: pytest.TempPathFactory):
    """nnU-Net's three folders, set for the whole session."""
    base = tmp_path_factory.mktemp("nnunet")
    patch = pytest.MonkeyPatch()
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        (base / name).mkdir()
        patch.setenv(name, str(base / name))
    patch.setenv("nnUNet_n_proc_DA", "1")
    patch.setenv("nnUNet_def_n_proc", "1")
    patch.setenv("nnUNet_compile", "f")
    yield base
    patch.undo()


def build_dataset(base: Path, name: str, labels: dict[str, int], configurations: tuple[str, ...]) -> Path:
    """Write 12 cases, let nnU-Net plan and preprocess them, and make patches and widths small.

    Returns:
        The folder in nnUNet_preprocessed.
    """
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    raw = base / "nnUNet_raw" / name
    for folder in ("imagesTr", "labelsTr"):
        (raw / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):
        write_case(raw, f"case_{number:02d}", rng, set(labels.values()))
    dataset_json = {"channel_names": {"0": "T2"}, "labels": labels, "numTraining": 12, "file_ending": ".nii.gz"}
    (raw / "dataset.json").write_text(json.dumps(dataset_json))
    number = int(name[7:10])
    extract_fingerprints([number], num_processes=1)
    plan_experiments([number], gpu_memory_target_in_gb=0.5)
    preprocess([number], configurations=configurations, num_processes=(1,) * len(configurations))
    folder = base / "nnUNet_preprocessed" / name
    path = folder / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["2d"].update(patch_size=[32, 32], batch_size=2)
    plans["configurations"]["3d_fullres"].update(patch_size=[6, 32, 32], batch_size=2)
    for configuration in ("2d", "3d_fullres"):
        kwargs = plans["configurations"][configuration]["architecture"]["arch_kwargs"]
        kwargs["features_per_stage"] = [4 for _ in kwargs["features_per_stage"]]
    path.write_text(json.dumps(plans))
    return folder


@pytest.fixture(scope="session")
def tiny_dataset(nnunet_folders: Path) -> Path:
    """`nnUNet_preprocessed/Dataset900_Tiny`: 12 cases, 2d and 3d_fullres, patches of 32."""
    return build_dataset(nnunet_folders, DATASET, LABELS, ("2d", "3d_fullres"))


@pytest.fixture(scope="session")
def text_guided_plans(tiny_dataset: Path) -> str:
    """Identifier of plans with a small encoder from scratch and random text vectors."""
    from nnunet_textguided.trainers.plan import write_text_guided_plans

    return write_text_guided_plans(tiny_dataset, options=SMALL).stem


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of the test's own."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path))
    return tmp_path


@pytest.fixture
def make_trainer(tiny_dataset: Path, text_guided_plans: str, monkeypatch: pytest.MonkeyPatch):
    """Build a trainer by class the way nnUNetv2_train does: fresh plans every time."""
    import torch

    monkeypatch.setenv("nnUNet_n_proc_DA", "0")  # batches come from this process, so seeds hold

    def make(trainer_class, plans: str = text_guided_plans, configuration: str = "2d", fold: int = 0, **block):
        content = json.loads((tiny_dataset / f"{plans}.json").read_text())
        if block:
            content["text_guidance"].update(block)
        content["continue_training"] = False
        dataset_json = json.loads((tiny_dataset / "dataset.json").read_text())
        trainer = trainer_class(copy.deepcopy(content), configuration, fold, dataset_json, device=torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 2, 2, 1
        return trainer

    return make
