"""Images at the edge of what a scanner or a broken tool writes: finite output, or a refusal that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from toy_model import IN_PROCESS, make_text_guided

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference import TextGuidedPredictor
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.voxel_values import LARGEST_VALUE, bad_values

SPACING = (3.0, 1.0, 1.0)
SHAPE = (3, 20, 18)
BAD = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf, "too large": 2 * LARGEST_VALUE}


@pytest.fixture(scope="module", params=["2d", "3d_fullres"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextGuidedPredictor:
    folder = make_text_guided(tmp_path_factory.mktemp("extreme") / "model", request.param)
    return TextGuidedPredictor.from_model_folder(folder, device="cpu")


def extremes(dtype: type) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(0).choice(np.array([limits.min, limits.max], dtype), SHAPE)


IMAGES: dict[str, Callable[[], np.ndarray]] = {
    "all zero": lambda: np.zeros(SHAPE, np.float32),
    "constant": lambda: np.full(SHAPE, 1000.1, np.float32),
    "int16 from end to end": lambda: extremes(np.int16),
    "uint16 from end to end": lambda: extremes(np.uint16),
    "one voxel far above all": lambda: np.pad(np.full((1, 1, 1), LARGEST_VALUE, np.float32), ((1, 1), (9, 10), (8, 9))),
    "values near the smallest float": lambda: np.random.default_rng(0).random(SHAPE, np.float32) * np.float32(1e-38),
    "one slice": lambda: np.random.default_rng(0).random((1, 20, 18), np.float32),
    "smaller than the patch": lambda: np.random.default_rng(0).random((2, 5, 3), np.float32),
    "one voxel": lambda: np.ones((1, 1, 1), np.float32),
    "a rod": lambda: np.random.default_rng(0).random((1, 70, 1), np.float32),
}


@pytest.mark.parametrize("name", IMAGES)
def test_labels_are_as_large_as_the_image_and_probabilities_finite(predictor: TextGuidedPredictor, name: str) -> None:
    image = IMAGES[name]()
    result = predictor.predict(image, SPACING, probabilities=True)
    assert result.labels.shape == image.shape
    assert np.isfinite(result.probabilities).all()
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-4)
    assert all(0 <= finding.probability <= 1 for finding in result.findings)


def test_values_that_normalisation_turns_into_nan_are_counted() -> None:
    image = np.zeros(SHAPE, np.float32)
    image[0, 0, :2], image[2, 1, 1] = np.nan, -np.inf
    assert bad_values(image, "case_0000.nii.gz").startswith("case_0000.nii.gz: 3 of 1080 voxels")
    assert bad_values(np.full(SHAPE, -LARGEST_VALUE), "x") is None
    assert bad_values(np.full(SHAPE, 2**62), "x") is not None
    assert bad_values(extremes(np.uint16), "x") is None


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_an_array_with_an_impossible_value_is_refused(predictor: TextGuidedPredictor, value: float) -> None:
    image = np.ones(SHAPE)
    image[1, 4, 4] = value
    with pytest.raises(UserError, match=r"1 of 1080 voxels are NaN, infinite or beyond 1e\+12"):
        predictor.predict(image, SPACING)


@pytest.mark.parametrize("orientation", ["PIR", None])
def test_a_file_with_nan_is_refused_by_name(make_model: Callable[..., Path], tmp_path: Path, orientation: str | None):
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "good_0000.nii.gz"))
    image[0, 0, 0] = np.nan
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "holes_0000.nii.gz"))
    model = make_model(orientation=orientation)
    with pytest.raises(UserError, match=r"holes_0000.nii.gz: 1 of 1080 voxels are NaN.*nan_to_num"):
        predict_folder(model, folder, tmp_path / "out", settings=IN_PROCESS)
    assert (tmp_path / "out" / "good.nii.gz").is_file()
    assert not (tmp_path / "out" / "holes.nii.gz").exists()
    with pytest.raises(UserError, match=r"holes_0000.nii.gz: 1 of 1080"):
        TextGuidedPredictor.from_model_folder(model, device="cpu").predict(folder / "holes_0000.nii.gz")


@pytest.mark.slow
@pytest.mark.parametrize("orientation", ["PIR", None])
def test_worker_processes_name_the_file_too(make_model: Callable[..., Path], tmp_path: Path, orientation: str | None):
    folder = tmp_path / "images"
    folder.mkdir()
    image = np.full(SHAPE, np.nan, np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / "holes_0000.nii.gz"))
    from nnunet_textguided.inference.predict_settings import PredictSettings

    settings = PredictSettings(npp=1, nps=1, device="cpu", disable_progress_bar=True)
    with pytest.raises(UserError, match=r"holes_0000.nii.gz: 1080 of 1080 voxels"):
        predict_folder(make_model(orientation=orientation), folder, tmp_path / "out", settings=settings)
