"""Scores resampled by torch give the labels that the plans' resampling gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape as export
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from toy_model import IN_PROCESS, configuration, toy_volume

from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.predict_settings import PredictSettings
from nnunet_textguided.inference.resampling import TorchResampling

CLASSES = 20


def exported(scores: np.ndarray, shape: tuple[int, ...], spacing: list[float], torch_too: bool) -> np.ndarray:
    """Labels as nnU-Net exports them."""
    plans = PlansManager(
        {
            "dataset_name": "Dataset999_Toy",
            "plans_name": "nnUNetPlans",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "configurations": {"3d_fullres": configuration(3, 1)},
            "label_manager": "LabelManager",
        }
    )
    dataset = {"labels": {"background": 0, **{f"s{k}": k for k in range(1, CLASSES)}}}
    chosen = plans.get_configuration("3d_fullres")
    if torch_too:
        chosen = TorchResampling(chosen.configuration)
    properties = {
        "spacing": spacing,
        "shape_before_cropping": shape,
        "shape_after_cropping_and_before_resampling": shape,
        "bbox_used_for_cropping": [[0, n] for n in shape],
    }
    return export(scores.copy(), plans, chosen, plans.get_label_manager(dataset), properties)


@pytest.mark.parametrize("spacing", [[3.0, 0.63, 0.63], [1.3, 0.6, 0.6], [3.0, 1.7, 1.7]])
def test_labels_of_twenty_classes_are_equal_but_for_ties(spacing: list[float]) -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(CLASSES, 6, 20, 18)).astype(np.float32)
    shape = tuple(round(n * old / new) for n, old, new in zip((6, 20, 18), (3.0, 1.0, 1.0), spacing, strict=True))
    plain, quick = (exported(scores, shape, spacing, torch_too) for torch_too in (False, True))
    assert plain.shape == quick.shape == shape
    assert len(np.unique(plain)) == CLASSES
    assert (plain != quick).mean() < 1e-3


def test_predict_resamples_with_torch_when_asked_and_leaves_the_plans_alone(
    make_model: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnunetv2.preprocessing.resampling import resample_torch

    called = []
    simple = resample_torch.resample_torch_simple
    monkeypatch.setattr(resample_torch, "resample_torch_simple", lambda *a, **k: called.append(1) or simple(*a, **k))
    model, images = make_model(configuration_name="3d_fullres"), tmp_path / "images"
    images.mkdir()
    sitk.WriteImage(toy_volume(), str(images / "case_0000.nii.gz"))  # 1.25 mm, the model's grid has 1
    before = (model / "plans.json").read_bytes()
    labels = []
    for how in ("plans", "torch"):
        predict_folder(model, images, tmp_path / how, settings=replace(IN_PROCESS, resampling=how))
        labels.append(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / how / "case.nii.gz"))))
        assert bool(called) == (how == "torch")
    assert (model / "plans.json").read_bytes() == before
    assert np.bincount(labels[0].ravel(), minlength=3).min() > 20
    assert (labels[0] != labels[1]).mean() < 1e-3


def test_an_unknown_way_of_resampling_is_refused() -> None:
    with pytest.raises(UserError, match="plans, torch"):
        PredictSettings(resampling="cubic")
