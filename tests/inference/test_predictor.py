from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference import Segmentation, TextGuidedPredictor
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.inference.reorient import to_orientation


@pytest.fixture(scope="module")
def predictor(model_folder: Path) -> TextGuidedPredictor:
    return TextGuidedPredictor.from_model_folder(model_folder, device="cpu")


def predict_image(predictor: TextGuidedPredictor, image: sitk.Image, **options: bool) -> Segmentation:
    array = sitk.GetArrayFromImage(image)
    return predictor.predict(array, image.GetSpacing()[::-1], image.GetDirection(), **options)


def test_turned_arrays_get_the_same_labels(predictor: TextGuidedPredictor, volume: sitk.Image) -> None:
    expected = predict_image(predictor, volume)
    assert expected.labels.dtype == np.uint8
    assert np.bincount(expected.labels.ravel(), minlength=3).min() > 20
    for code in ("LPS", "RAI", "SLA"):
        turned = to_orientation(volume, code)
        result = predict_image(predictor, turned)
        assert result.labels.shape == turned.GetSize()[::-1]
        assert result.spacing == turned.GetSpacing()[::-1]
        labels = sitk.GetImageFromArray(result.labels)
        labels.CopyInformation(turned)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(to_orientation(labels, "PIR")), expected.labels)


def test_without_direction_the_array_is_taken_as_it_is(predictor: TextGuidedPredictor, volume: sitk.Image) -> None:
    array, spacing = sitk.GetArrayFromImage(volume), volume.GetSpacing()[::-1]
    expected = predict_image(predictor, volume).labels
    np.testing.assert_array_equal(predictor.predict(array, spacing).labels, expected)
    np.testing.assert_array_equal(predictor.predict(array[None], spacing).labels, expected)
    np.testing.assert_array_equal(predictor.predict(array.astype(np.float64), spacing).labels, expected)


def test_arrays_files_and_the_command_agree(
    predictor: TextGuidedPredictor, model_folder: Path, volume: sitk.Image, tmp_path: Path
) -> None:
    image = to_orientation(volume, "LPS")
    (tmp_path / "i").mkdir()
    file = tmp_path / "i" / "case_0000.nii.gz"
    sitk.WriteImage(image, str(file))
    image = sitk.ReadImage(str(file))
    settings = PredictSettings(device="cpu", npp=0, nps=0, disable_progress_bar=True)
    predict_folder(model_folder, tmp_path / "i", tmp_path / "out", settings=settings)
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out" / "case.nii.gz")))
    np.testing.assert_array_equal(predict_image(predictor, image).labels, expected)
    for given in (file, str(file), [file]):
        np.testing.assert_array_equal(predictor.predict(given).labels, expected)


def test_probabilities_lie_as_the_labels_do(predictor: TextGuidedPredictor, volume: sitk.Image) -> None:
    result = predict_image(predictor, to_orientation(volume, "LPS"), probabilities=True)
    assert result.probabilities.shape == (3, *result.labels.shape)
    np.testing.assert_array_equal(result.probabilities.argmax(0), result.labels)
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-5)
    assert predict_image(predictor, volume).probabilities is None


def test_names_and_masks(predictor: TextGuidedPredictor, volume: sitk.Image) -> None:
    result = predict_image(predictor, volume)
    assert result.names == {0: "background", 1: "L5", 2: "L5/S"}
    np.testing.assert_array_equal(result.mask("L5/S"), result.labels == 2)
    with pytest.raises(UserError, match="It has: background, L5, L5/S"):
        result.mask("L9")


def test_spacing_is_in_the_order_of_the_arrays_axes(predictor: TextGuidedPredictor) -> None:
    # In plane the model works at 1 mm: twice the voxels of half the size are what the network sees at 1 mm.
    coarse = np.random.default_rng(1).normal(size=(3, 16, 16)).astype(np.float32)
    fine = coarse.repeat(2, axis=2)
    expected = predictor.predict(coarse, (3.0, 1.0, 1.0)).labels
    agree = (predictor.predict(fine, (3.0, 1.0, 0.5)).labels == expected.repeat(2, axis=2)).mean()
    wrong = (predictor.predict(fine, (3.0, 0.5, 1.0)).labels == expected.repeat(2, axis=2)).mean()
    assert agree > wrong + 0.1


def test_nothing_is_printed(predictor: TextGuidedPredictor, volume: sitk.Image, capsys: pytest.CaptureFixture) -> None:
    predict_image(predictor, volume)
    assert capsys.readouterr().out == ""


def test_inputs_are_left_unchanged(predictor: TextGuidedPredictor, volume: sitk.Image) -> None:
    array = sitk.GetArrayFromImage(volume)
    before = array.copy()
    predictor.predict(array, volume.GetSpacing()[::-1], volume.GetDirection())
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((4, 4)), {"spacing": (1, 1, 1)}, r"Expected an array \(1, Z, Y, X\)"),
        (np.zeros((2, 4, 4, 4)), {"spacing": (1, 1, 1)}, "1 channel"),
        (np.zeros((4, 4, 4)), {}, "Expected spacing"),
        (np.zeros((4, 4, 4)), {"spacing": (1, 0, 1)}, "Expected spacing"),
        (np.zeros((4, 4, 4), complex), {"spacing": (1, 1, 1)}, "real numbers"),
        (np.zeros((4, 4, 4)), {"spacing": (1, 1, 1), "direction": np.zeros((3, 3))}, "direction cosines"),
        ("nowhere.nii.gz", {}, "nowhere.nii.gz is not a readable image"),
        ("nowhere.nii.gz", {"spacing": (1, 1, 1)}, "with arrays only"),
        (["a.nii.gz", "b.nii.gz"], {}, r"Expected 1 file\(s\)"),
    ],
)
def test_wrong_inputs_are_explained(predictor: TextGuidedPredictor, image: object, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        predictor.predict(image, **options)


def test_two_channels_from_arrays_and_files_agree(
    make_model: Callable[..., Path], volume: sitk.Image, tmp_path: Path
) -> None:
    two = TextGuidedPredictor.from_model_folder(make_model(channels=2), device="cpu")
    channels = [volume, sitk.Exp(volume / 100)]
    expected = two.predict(np.stack([sitk.GetArrayFromImage(c) for c in channels]), volume.GetSpacing()[::-1]).labels
    files = [tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"]
    sitk.WriteImage(to_orientation(channels[0], "LPS"), str(files[0]))
    sitk.WriteImage(to_orientation(channels[1], "RAI"), str(files[1]))
    labels = sitk.GetImageFromArray(two.predict(files).labels)
    labels.CopyInformation(to_orientation(volume, "LPS"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(to_orientation(labels, "PIR")), expected)


def test_folds_are_averaged(make_model: Callable[..., Path], volume: sitk.Image) -> None:
    model, other = make_model(seed=0), make_model(seed=1)
    shutil.copytree(other / "fold_0", model / "fold_1")
    array, spacing = sitk.GetArrayFromImage(volume), volume.GetSpacing()[::-1]
    first, both = (TextGuidedPredictor.from_model_folder(model, folds=f, device="cpu") for f in (0, None))
    assert both.model.folds == (0, 1)
    assert (first.predict(array, spacing).labels != both.predict(array, spacing).labels).any()


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_incomplete_model_folders_name_what_is_there(make_model: Callable[..., Path], name: str) -> None:
    model = make_model()
    (model / name).unlink()
    with pytest.raises(UserError, match=rf"has no {name}\. There is: .*fold_0"):
        TextGuidedPredictor.from_model_folder(model)


def test_missing_folds_and_checkpoints_name_what_is_there(make_model: Callable[..., Path]) -> None:
    model = make_model()
    with pytest.raises(UserError, match=r"fold_3 in .*Folds that have it: 0"):
        TextGuidedPredictor.from_model_folder(model, folds=(0, 3))
    with pytest.raises(UserError, match="fold_all"):
        TextGuidedPredictor.from_model_folder(model, folds="all")
    with pytest.raises(UserError, match=r"Checkpoints there: checkpoint_final.pth"):
        TextGuidedPredictor.from_model_folder(model, checkpoint="checkpoint_best.pth")
    (model / "fold_0").rename(model / "fold_all")
    assert TextGuidedPredictor.from_model_folder(model, device="cpu").model.folds == ("all",)


def test_broken_checkpoints_and_orientations_are_explained(make_model: Callable[..., Path]) -> None:
    model = make_model(orientation="PIX")
    with pytest.raises(UserError, match=r"text_guidance.orientation .*'PIX'"):
        TextGuidedPredictor.from_model_folder(model)
    model = make_model()
    checkpoint = model / "fold_0" / "checkpoint_final.pth"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(UserError, match="is not a checkpoint of nnU-Net, or is cut short"):
        TextGuidedPredictor.from_model_folder(model, device="cpu")


def test_a_device_that_is_not_there_is_an_error(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match="no cuda device"):
        TextGuidedPredictor.from_model_folder(model_folder, device="cuda")
    with pytest.raises(UserError, match="cpu, cuda, mps"):
        TextGuidedPredictor.from_model_folder(model_folder, device="tpu")
