"""Images at the edge of what a scanner or a broken tool writes: finite output, or a refusal that names the file."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from toy_model import IN_PROCESS, make_text_guided

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference import TextGuidedPredictor
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.inference.voxel_values import LARGEST_VALUE, bad_values

SPACING = (3.0, 1.0, 1.0)
SHAPE = (2, 16, 16)
BAD = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf, "too large": 2 * LARGEST_VALUE}


@pytest.fixture(scope="module")
def predictors(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TextGuidedPredictor]:
    @functools.cache
    def load(configuration: str) -> TextGuidedPredictor:
        folder = make_text_guided(tmp_path_factory.mktemp("extreme") / "model", configuration)
        return TextGuidedPredictor.from_model_folder(folder, device="cpu")

    return load


def extremes(dtype: type) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.random.default_rng(0).choice(np.array([limits.min, limits.max], dtype), SHAPE)


IMAGES: dict[str, Callable[[], np.ndarray]] = {
    "all zero": lambda: np.zeros(SHAPE, np.float32),
    "constant": lambda: np.full(SHAPE, 1000.1, np.float32),
    "int16 from end to end": lambda: extremes(np.int16),
    "uint16 from end to end": lambda: extremes(np.uint16),
    "one voxel far above all": lambda: np.pad(np.full((1, 1, 1), LARGEST_VALUE, np.float32), ((1, 0), (8, 7), (8, 7))),
    "values near the smallest float": lambda: np.random.default_rng(0).random(SHAPE, np.float32) * np.float32(1e-38),
    "one slice": lambda: np.random.default_rng(0).random((1, 16, 16), np.float32),
    "smaller than the patch": lambda: np.random.default_rng(0).random((2, 5, 3), np.float32),
    "one voxel": lambda: np.ones((1, 1, 1), np.float32),
    "a rod": lambda: np.random.default_rng(0).random((1, 40, 1), np.float32),
}


# In 3D the values pass the same layers; sizes are what may fail there.
FAST_IN_3D = ("one slice", "smaller than the patch", "one voxel")
CASES = [("2d", name) for name in IMAGES] + [("3d_fullres", name) for name in FAST_IN_3D]
SLOW_CASES = [pytest.param("3d_fullres", name, marks=pytest.mark.slow) for name in IMAGES if name not in FAST_IN_3D]


@pytest.mark.parametrize(("configuration", "name"), [*CASES, *SLOW_CASES])
def test_labels_are_as_large_as_the_image_and_probabilities_finite(
    predictors: Callable[[str], TextGuidedPredictor], configuration: str, name: str
) -> None:
    image = IMAGES[name]()
    result = predictors(configuration).predict(image, SPACING, probabilities=True)
    assert result.labels.shape == image.shape
    assert np.isfinite(result.probabilities).all()
    np.testing.assert_allclose(result.probabilities.sum(0), 1, atol=1e-4)
    assert all(0 <= finding.probability <= 1 for finding in result.findings)


def test_values_that_normalisation_turns_into_nan_are_counted() -> None:
    image = np.zeros(SHAPE, np.float32)
    image[0, 0, :2], image[1, 1, 1] = np.nan, -np.inf
    assert bad_values(image, "case_0000.nii.gz").startswith("case_0000.nii.gz: 3 of 512 voxels")
    assert bad_values(np.full(SHAPE, -LARGEST_VALUE), "x") is None
    assert bad_values(np.full(SHAPE, 2**62), "x") is not None
    assert bad_values(extremes(np.uint16), "x") is None


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_an_array_with_an_impossible_value_is_refused(
    predictors: Callable[[str], TextGuidedPredictor], value: float
) -> None:
    image = np.ones(SHAPE)
    image[1, 4, 4] = value
    with pytest.raises(UserError, match=r"1 of 512 voxels are NaN, infinite or beyond 1e\+12"):
        predictors("2d").predict(image, SPACING)


@pytest.fixture(params=["PIR", None])
def nrrd_model(request: pytest.FixtureRequest, make_model: Callable[..., Path], tmp_path: Path) -> Path:
    """A model of a data set in .nrrd: unlike NIfTI's, that reader gives NaN as it stands there."""
    model = shutil.copytree(make_model(orientation=request.param), tmp_path / "model")
    content = json.loads((model / "dataset.json").read_text())
    (model / "dataset.json").write_text(json.dumps({**content, "file_ending": ".nrrd"}))
    return model


def write_images(folder: Path, ending: str, value: float) -> np.ndarray:
    """`good`, and `holes` with one voxel of that value; returns the latter."""
    folder.mkdir()
    image = np.random.default_rng(0).random(SHAPE, np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / f"good_0000{ending}"))
    image[0, 0, 0] = value
    sitk.WriteImage(sitk.GetImageFromArray(image), str(folder / f"holes_0000{ending}"))
    return image


def test_a_file_with_nan_is_refused_by_name(nrrd_model: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "images", ".nrrd", np.nan)
    with pytest.raises(UserError, match=r"holes_0000.nrrd: 1 of 512 voxels are NaN.*nan_to_num"):
        predict_folder(nrrd_model, tmp_path / "images", tmp_path / "out", settings=IN_PROCESS)
    assert (tmp_path / "out" / "good.nrrd").is_file()
    assert not (tmp_path / "out" / "holes.nrrd").exists()
    with pytest.raises(UserError, match=r"holes_0000.nrrd: 1 of 512"):
        TextGuidedPredictor.from_model_folder(nrrd_model, device="cpu").predict(tmp_path / "images" / "holes_0000.nrrd")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_the_nifti_reader_takes_what_is_no_number_for_zero(model_folder: Path, tmp_path: Path, value: float) -> None:
    image = write_images(tmp_path / "images", ".nii.gz", value)
    predictor = TextGuidedPredictor.from_model_folder(model_folder, device="cpu")
    found = predictor.predict(tmp_path / "images" / "holes_0000.nii.gz").labels
    image[0, 0, 0] = 0
    direction = (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_array_equal(found, predictor.predict(image, (1.0, 1.0, 1.0), direction).labels)


@pytest.mark.slow
def test_worker_processes_name_the_file_too(nrrd_model: Path, tmp_path: Path) -> None:
    write_images(tmp_path / "images", ".nrrd", np.inf)
    settings = PredictSettings(npp=1, nps=1, device="cpu", disable_progress_bar=True)
    with pytest.raises(UserError, match=r"holes_0000.nrrd: 1 of 512 voxels"):
        predict_folder(nrrd_model, tmp_path / "images", tmp_path / "out", settings=settings)
