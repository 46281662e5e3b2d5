"""nnU-Net's own commands, run word for word as a user types them, on a tiny data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from command_line import command, make_environment
from tiny_dataset import SMALL, build_dataset

pytestmark = pytest.mark.slow

PLANS = "nnUNetPlansTextGuided"
ON_CPU = f"-p {PLANS} -device cpu"
PREDICT = f"{ON_CPU} -npp 1 -nps 1"


@pytest.fixture(scope="module")
def workspace(nnunet_folders: Path, tiny_dataset: Path, text_guided_plans: str, tmp_path_factory) -> dict[str, str]:
    """Environment with a second folder of trainers behind ours, as a user with own trainers has it."""
    return make_environment(tmp_path_factory.mktemp("own_trainers"))


def model_folder(base: Path, trainer: str, configuration: str = "2d", dataset: str = "Dataset900_Tiny") -> Path:
    return base / "nnUNet_results" / dataset / f"{trainer}__{PLANS}__{configuration}"


@pytest.fixture(scope="module")
def cross_validated(workspace: dict[str, str], nnunet_folders: Path) -> Path:
    """Five folds of a text-guided and of a U-Net model, with probabilities."""
    for trainer in ("TinyTextGuided", "TinyUNet"):
        for fold in range(5):
            line = f"nnUNetv2_train 900 2d {fold} -tr {trainer} {ON_CPU} --npz"
            command(line, workspace, nnunet_folders)
    return nnunet_folders


@pytest.fixture(scope="module")
def new_images(nnunet_folders: Path) -> Path:
    """Two images that nobody trained on."""
    folder = nnunet_folders / "new_images"
    folder.mkdir()
    for case in ("case_00", "case_01"):
        source = nnunet_folders / "nnUNet_raw" / "Dataset900_Tiny" / "imagesTr" / f"{case}_0000.nii.gz"
        shutil.copy(source, folder / f"new_{case}_0000.nii.gz")
    return folder


def test_every_fold_is_validated_with_probabilities(cross_validated: Path):
    for trainer in ("TinyTextGuided", "TinyUNet"):
        cases = [
            path
            for fold in range(5)
            for path in (model_folder(cross_validated, trainer) / f"fold_{fold}" / "validation").glob("*.npz")
        ]
        assert sorted(path.stem for path in cases) == [f"case_{number:02d}" for number in range(12)]


def test_best_configuration_ensemble_and_postprocessing(
    cross_validated: Path, workspace: dict[str, str], new_images: Path
):
    trainers = "TinyTextGuided TinyUNet"
    line = f"nnUNetv2_find_best_configuration 900 -c 2d -tr {trainers} -p {PLANS} -np 1"
    command(line, workspace, cross_validated)
    information = json.loads(
        (cross_validated / "nnUNet_results" / "Dataset900_Tiny" / "inference_information.json").read_text()
    )
    assert len(information["all_results"]) == 3  # both models and their ensemble
    for trainer in trainers.split():
        line = f"nnUNetv2_predict -i {new_images} -o predicted_{trainer} -d 900 -c 2d -tr {trainer} {PREDICT}"
        line += " --save_probabilities"
        command(line, workspace, cross_validated)
    line = "nnUNetv2_ensemble -i predicted_TinyTextGuided predicted_TinyUNet -o ensembled -np 1"
    command(line, workspace, cross_validated)
    processing = information["best_model_or_ensemble"]
    rules, plans = processing["postprocessing_file"], processing["some_plans_file"]
    line = f"nnUNetv2_apply_postprocessing -i ensembled -o processed -pp_pkl_file {rules} -plans_json {plans} -np 1"
    command(line, workspace, cross_validated)
    assert sorted(path.name for path in (cross_validated / "processed").glob("*.nii.gz")) == [
        "new_case_00.nii.gz",
        "new_case_01.nii.gz",
    ]
    members = [
        np.load(cross_validated / f"predicted_{trainer}" / "new_case_00.npz")["probabilities"]
        for trainer in trainers.split()
    ]
    expected = np.mean(members, axis=0).argmax(0)
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(cross_validated / "ensembled" / "new_case_00.nii.gz")))
    np.testing.assert_array_equal(written, expected)


def test_validation_only_best_checkpoint_and_all(cross_validated: Path, workspace: dict[str, str]):
    validation = model_folder(cross_validated, "TinyTextGuided") / "fold_0" / "validation"
    before = (validation / "summary.json").read_bytes()
    shutil.rmtree(validation)
    command(f"nnUNetv2_train 900 2d 0 -tr TinyTextGuided {ON_CPU} --val --npz", workspace, cross_validated)
    assert json.loads((validation / "summary.json").read_text())["mean"] == json.loads(before)["mean"]
    command(
        f"nnUNetv2_train 900 2d 0 -tr TinyTextGuided {ON_CPU} --val --val_best",
        workspace,
        cross_validated,
    )
    command(f"nnUNetv2_train 900 2d all -tr TinyTextGuided {ON_CPU}", workspace, cross_validated)
    assert (model_folder(cross_validated, "TinyTextGuided") / "fold_all" / "validation" / "summary.json").is_file()


def test_finished_training_is_continued_without_repeating_it(cross_validated: Path, workspace: dict[str, str]):
    checkpoint = model_folder(cross_validated, "TinyTextGuided") / "fold_1" / "checkpoint_final.pth"
    before = _weights(checkpoint)
    command(f"nnUNetv2_train 900 2d 1 -tr TinyTextGuided {ON_CPU} --c", workspace, cross_validated)
    after = _weights(checkpoint)
    assert all(np.array_equal(before[key], after[key]) for key in before)


def _weights(checkpoint: Path) -> dict[str, np.ndarray]:
    import torch

    content = torch.load(checkpoint, map_location="cpu", weights_only=False)
    return {key: value.numpy() for key, value in content["network_weights"].items()}


def test_model_goes_elsewhere_as_a_zip_and_predicts_without_network_and_preprocessed_data(
    cross_validated: Path, workspace: dict[str, str], new_images: Path, tmp_path: Path
):
    line = (
        f"nnUNetv2_export_model_to_zip -d 900 -o {tmp_path}/model.zip -c 2d -tr TinyTextGuided -p {PLANS} --not_strict"
    )
    line += " -f 0 1 2 3 4"
    command(line, workspace, cross_validated)
    here = f"nnUNetv2_predict -i {new_images} -o here -d 900 -c 2d -tr TinyTextGuided {PREDICT}"
    command(here, workspace, cross_validated)
    elsewhere = {**workspace, "nnUNet_results": str(tmp_path / "results"), "nnUNet_raw": str(tmp_path / "raw")}
    del elsewhere["nnUNet_preprocessed"]
    (tmp_path / "results").mkdir()
    (tmp_path / "raw").mkdir()
    command(f"nnUNetv2_install_pretrained_model_from_zip {tmp_path}/model.zip", elsewhere, tmp_path)
    there = (
        f"nnUNetv2_predict -i {new_images} -o {tmp_path}/there -d Dataset900_Tiny -c 2d -tr TinyTextGuided {PREDICT}"
    )
    command(there, elsewhere, tmp_path)
    for case in ("new_case_00", "new_case_01"):
        first, second = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}.nii.gz")))
            for folder in (cross_validated / "here", tmp_path / "there")
        )
        np.testing.assert_array_equal(first, second)


def test_weights_of_a_model_with_other_labels_start_a_training(cross_validated: Path, workspace: dict[str, str]):
    from nnunet_textguided.trainers.plan import write_text_guided_plans

    folder = build_dataset(cross_validated, "Dataset901_TwoLabels", {"background": 0, "upper": 1, "lower": 2}, ("2d",))
    write_text_guided_plans(folder, options=SMALL)
    checkpoint = model_folder(cross_validated, "TinyTextGuided") / "fold_0" / "checkpoint_final.pth"
    line = f"nnUNetv2_train 901 2d 0 -tr TinyTextGuided {ON_CPU} -pretrained_weights {checkpoint}"
    assert "Loading pretrained weights" in command(line, workspace, cross_validated)


def test_volumes_train_and_predict_in_3d(workspace: dict[str, str], nnunet_folders: Path, new_images: Path):
    command(f"nnUNetv2_train 900 3d_fullres 0 -tr TinyTextGuided {ON_CPU}", workspace, nnunet_folders)
    line = f"nnUNetv2_predict -i {new_images} -o volumes -d 900 -c 3d_fullres -f 0 -tr TinyTextGuided {PREDICT}"
    command(line, workspace, nnunet_folders)
    assert len(list((nnunet_folders / "volumes").glob("*.nii.gz"))) == 2
