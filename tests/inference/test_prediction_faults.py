"""What stops a prediction is told with the model's patch and the options that help."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace

import pytest
import SimpleITK as sitk
import torch

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.input_cases import InputError
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.inference.prediction_faults import told

PREDICTOR = SimpleNamespace(
    configuration_manager=SimpleNamespace(patch_size=[20, 192, 160]), device=torch.device("cuda", 0)
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "patches of 20 x 192 x 160.*cuda:0.*--not_on_device"),
        (RuntimeError("Background workers died. Look for the error message further up!"), "-npp and -nps"),
        (RuntimeError("Segmentation export worker died. It was likely killed"), "-npp and -nps"),
        (RuntimeError("Some background workers are no longer alive"), "-npp and -nps"),
        (OSError(errno.ENOSPC, "No space left on device"), "free some space"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "Resource temporarily unavailable"),
    ],
)
def test_cause_and_way_on_are_told(tmp_path, error, text):
    answer = told(error, PREDICTOR, [], tmp_path)
    assert isinstance(answer, UserError)
    with pytest.raises(UserError, match=rf"Prediction into .* stopped: .*{text}.*--continue_prediction"):
        raise answer


def test_an_image_that_is_cut_short_is_the_cause_before_all_else(tmp_path):
    file = tmp_path / "case_0000.nii.gz"
    file.write_bytes(b"\x1f\x8b half")
    answer = told(RuntimeError("Background workers died."), PREDICTOR, [file], tmp_path)
    assert isinstance(answer, InputError)
    assert "case_0000.nii.gz" in str(answer)


def test_other_errors_pass_as_they_are(tmp_path):
    error = RuntimeError("shapes do not match")
    assert told(error, PREDICTOR, [], tmp_path) is error


def test_a_prediction_cut_short_is_made_again_and_whole_ones_are_kept(
    model_folder: Path, volume: sitk.Image, tmp_path: Path, caplog
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for case in ("a", "b"):
        sitk.WriteImage(volume, str(images / f"{case}_0000.nii.gz"))
    settings = PredictSettings(npp=0, nps=0, device="cpu", disable_progress_bar=True, continue_prediction=True)
    first = predict_folder(model_folder, images, tmp_path / "out", settings=settings)
    files = [tmp_path / "out" / f"{case}.nii.gz" for case in first.predicted]
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    second = predict_folder(model_folder, images, tmp_path / "out", settings=settings)
    assert second.predicted == first.predicted[:1]
    assert second.skipped == first.predicted[1:]
    assert files[0].read_bytes() == whole
    assert "cut short" in caplog.text
