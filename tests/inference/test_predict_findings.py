from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
from toy_model import FINDINGS, IN_PROCESS, make_text_guided, toy_volume, write_model_folder

from nnunet_textguided.errors import UserError
from nnunet_textguided.ext_path import ext_dir
from nnunet_textguided.inference.finding_predictor import FindingPredictor
from nnunet_textguided.inference.model_folder import check_model_folder, has_findings, load_predictor
from nnunet_textguided.inference.model_grid import ModelGrid
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.inference.predictor import TextGuidedPredictor


@pytest.fixture(scope="module", params=["2d", "3d_fullres"])
def finding_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    patch = pytest.MonkeyPatch()
    patch.setenv("nnUNet_extTrainer", str(ext_dir()))
    patch.setenv("nnUNet_compile", "f")
    yield make_text_guided(
        tmp_path_factory.mktemp("models") / f"TextGuidedTrainer__P__{request.param}", request.param, 2
    )
    patch.undo()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(2):
        sitk.WriteImage(toy_volume(number, (4, 21, 18)), str(folder / f"case{number}_0000.nii.gz"))
    return folder


@pytest.fixture(scope="module")
def predicted(finding_model: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What fold 0 says of the images."""
    output = tmp_path_factory.mktemp("predicted")
    predict_folder(finding_model, images, output, 0, settings=IN_PROCESS)
    return output


def test_segmentation_is_that_of_nnunets_own_predictor(
    finding_model: Path, images: Path, predicted: Path, tmp_path: Path
):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    stock = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
    stock.initialize_from_trained_model_folder(str(finding_model), (0,), "checkpoint_final.pth")
    stock.predict_from_files_sequential(str(images), str(tmp_path))
    for number in range(2):
        ours, theirs = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"case{number}.nii.gz")))
            for folder in (predicted, tmp_path)
        )
        assert len(np.unique(ours)) == 3
        np.testing.assert_array_equal(ours, theirs)


def test_maps_are_averaged_over_folds_mirrored_passes_and_tiles_like_logits(finding_model: Path):
    predictor = load_predictor(check_model_folder(finding_model), device=torch.device("cpu"), allow_tqdm=False)
    assert isinstance(predictor, FindingPredictor)
    patch = predictor.configuration_manager.patch_size
    image = torch.randn(1, *(8, 16, 16)[: 3 - len(patch)], *patch)  # one tile a slice, or one tile
    predictor.predict_logits_from_preprocessed_data(image)
    network = predictor.network.network
    expected = []
    with torch.no_grad():
        for parameters in predictor.list_of_parameters:
            network.load_state_dict(parameters)
            batch = image if len(patch) == 3 else image[0][:, None]
            batch = batch[None] if len(patch) == 3 else batch
            flipped = network.forward_with_findings(batch.flip(3))[1].flip(3)
            maps = (network.forward_with_findings(batch)[1] + flipped) / 2
            expected.append(maps[0] if len(patch) == 3 else maps.transpose(0, 1))
    inner = (..., slice(4, -4), slice(4, -4))  # nnU-Net's weights near the border are too small for half precision
    averaged = torch.stack(expected).mean(0)
    torch.testing.assert_close(predictor.finding_maps.float()[inner], averaged[inner], atol=0.05, rtol=0.01)


def test_two_tiles_agree_with_one_where_only_one_reaches(finding_model: Path):
    predictor = load_predictor(
        check_model_folder(finding_model, 0), device=torch.device("cpu"), allow_tqdm=False, use_mirroring=False
    )
    patch = predictor.configuration_manager.patch_size
    depth = 8 if len(patch) == 3 else 3
    image = torch.randn(1, depth, 16, 24)
    predictor.predict_logits_from_preprocessed_data(image)
    both = predictor.finding_maps.clone()
    predictor.predict_logits_from_preprocessed_data(image[..., :16].contiguous())
    torch.testing.assert_close(both[..., :8], predictor.finding_maps[..., :8], atol=0.02, rtol=0.01)


def test_files_hold_every_decision_with_its_place(images: Path, predicted: Path):
    output = predicted
    table = pd.read_csv(output / "findings.csv")
    content = json.loads((output / "case1_findings.json").read_text())
    assert {(row.structure, row.finding) for row in table.itertuples()} <= {("L5/S", "bulge"), ("L5", "fracture")}
    assert len(table) == sum(len(json.loads(f.read_text())["findings"]) for f in output.glob("*_findings.json")) == 4
    image = sitk.ReadImage(str(images / "case1_0000.nii.gz"))
    for finding in content["findings"]:
        assert finding["threshold"] == (0.2 if finding["finding"] == "bulge" else 0.5)
        assert finding["present"] == (finding["probability"] >= finding["threshold"])
        low, high = np.array(finding["box_voxels"])
        assert (low >= 0).all()
        assert (low <= high).all()
        assert (high < np.array(image.GetSize())).all()
        corners = [image.TransformIndexToPhysicalPoint([int(n) for n in corner]) for corner in (low, high)]
        middle = np.array(finding["centroid_mm"])
        assert (middle >= np.min(corners, axis=0) - 3).all()
        assert (middle <= np.max(corners, axis=0) + 3).all()
    assert not (output / ".finding_maps").exists()
    structures = pd.read_csv(output / "structures.csv")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "case1.nii.gz")))
    row = structures[(structures.case == "case1") & (structures.structure == "L5")].iloc[0]
    assert row.volume_mm3 == pytest.approx((labels == 1).sum() * 3.0 * 1.25 * 1.0, rel=1e-4)


def test_a_turned_image_gives_the_same_findings_at_the_same_places(
    finding_model: Path, images: Path, predicted: Path, tmp_path: Path
):
    turned = tmp_path / "turned"
    turned.mkdir()
    for file in images.iterdir():
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(file)), "LPS"), str(turned / file.name))
    predict_folder(finding_model, turned, tmp_path / "out", 0, settings=IN_PROCESS)
    first, second = (pd.read_csv(folder / "findings.csv") for folder in (predicted, tmp_path / "out"))
    places = ["probability", "x_mm", "y_mm", "z_mm", "x_min_mm", "z_max_mm", "volume_mm3"]
    np.testing.assert_allclose(first[places], second[places], atol=1e-3)


def remove_label(segmentation: np.ndarray, label: int) -> np.ndarray:
    """A postprocessing step as nnU-Net stores them: a function and its arguments."""
    return np.where(segmentation == label, 0, segmentation)


def test_findings_are_read_after_the_segmentation_is_postprocessed(finding_model: Path, images: Path, tmp_path: Path):
    """A function that is not nnU-Net's own needs trust."""
    steps = tmp_path / "postprocessing.pkl"
    steps.write_bytes(pickle.dumps(([remove_label], [{"label": 2}])))
    settings = replace(IN_PROCESS, postprocessing=str(steps), trust=True)
    predict_folder(finding_model, images, tmp_path / "out", 0, settings=settings)
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case0.nii.gz")))
    assert set(np.unique(labels)) == {0, 1}
    assert set(pd.read_csv(tmp_path / "out" / "findings.csv").structure) == {"L5"}
    assert set(pd.read_csv(tmp_path / "out" / "structures.csv").structure) == {"L5"}


@pytest.mark.parametrize("content", [None, b"no pickle", pickle.dumps(3)])
def test_a_file_that_is_no_postprocessing_is_refused_before_anything_is_predicted(
    finding_model: Path, images: Path, tmp_path: Path, content: bytes | None
):
    file = tmp_path / "postprocessing.pkl"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"postprocessing\.pkl"):
        predict_folder(
            finding_model, images, tmp_path / "out", 0, settings=replace(IN_PROCESS, postprocessing=str(file))
        )
    assert not (tmp_path / "out").exists()


def test_python_gives_the_findings_of_the_files(finding_model: Path, images: Path, predicted: Path):
    predictor = TextGuidedPredictor.from_model_folder(finding_model, folds=0, device="cpu")
    result = predictor.predict(images / "case1_0000.nii.gz")
    written = json.loads((predicted / "case1_findings.json").read_text())["findings"]
    assert [finding.as_dict() | {} for finding in result.findings] == [
        {**f, **{k: tuple(map(tuple, f[k])) for k in ("box_voxels", "box_mm")}, "centroid_mm": tuple(f["centroid_mm"])}
        for f in written
    ]
    image = sitk.ReadImage(str(images / "case1_0000.nii.gz"))
    array = sitk.GetArrayFromImage(image)
    again = predictor.predict(array, image.GetSpacing()[::-1], image.GetDirection())
    assert [f.probability for f in again.findings] == [f.probability for f in result.findings]
    shift = np.array(image.GetOrigin())
    for one, other in zip(again.findings, result.findings, strict=True):
        np.testing.assert_allclose(np.array(one.centroid_mm) + shift, other.centroid_mm, atol=0.01)


def test_finished_cases_are_kept_and_one_without_findings_is_made_again(
    finding_model: Path, images: Path, predicted: Path, tmp_path: Path
):
    output = tmp_path / "out"
    shutil.copytree(predicted, output)
    (output / "case0_findings.json").unlink()
    again = PredictSettings(npp=0, nps=0, device="cpu", disable_progress_bar=True, continue_prediction=True)
    summary = predict_folder(finding_model, images, output, 0, settings=again)
    assert summary.predicted == ["case0"]
    assert summary.skipped == ["case1"]
    assert sorted(set(pd.read_csv(output / "findings.csv").case)) == ["case0", "case1"]


def test_a_u_net_trained_with_the_same_plans_has_no_findings(tmp_path: Path, finding_model: Path):
    folder = write_model_folder(tmp_path / "nnUNetTrainer__P__2d")
    plans = json.loads((folder / "plans.json").read_text())
    plans["text_guidance"] |= {"findings": FINDINGS, "names": ["L5", "L5/S"]}
    (folder / "plans.json").write_text(json.dumps(plans))
    assert not has_findings(check_model_folder(folder))
    assert has_findings(check_model_folder(finding_model))


@pytest.mark.parametrize("transpose", [(0, 1, 2), (2, 0, 1)])
def test_grid_finds_the_image_voxel_of_every_model_voxel(transpose: tuple[int, int, int]):
    labels = np.arange(6 * 10 * 8).reshape(6, 10, 8)
    transposed = labels.transpose(transpose)
    box = tuple((1, n - 1) for n in transposed.shape)
    size = tuple(stop - start for start, stop in box)
    grid = ModelGrid(tuple(2 * n for n in size), box, transpose)
    brought = grid.bring(labels)
    assert brought.shape == tuple(2 * n for n in size)
    points = np.argwhere(brought >= 0)
    nearest = np.rint(grid.to_image(points)).astype(int)
    np.testing.assert_array_equal(labels[tuple(nearest.T)], brought.ravel())
