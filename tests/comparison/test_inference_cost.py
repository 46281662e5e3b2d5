"""The time of a prediction is measured on images as they are on disk, the first one only warming up."""

from __future__ import annotations

import hashlib
import json
import time
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from nnunet_textguided.comparison.folders import Folders
from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.inference_cost import measure_inference
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference import model_folder

RUN = Run("Dataset900_Tiny", "2d", "Trainer", "Plans", 0)
PAUSES = {"a": 0.5, "b": 0.05, "c": 0.15, "d": 5.0}
"""Seconds that a prediction takes."""


class Predictor:
    """Takes as long as the image's first voxel says."""

    allowed_mirroring_axes = (1,)
    configuration_manager = SimpleNamespace(previous_stage_name=None)

    def __init__(self):
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

        self.plans_manager = SimpleNamespace(image_reader_writer_class=SimpleITKIO)
        self.shapes = []

    def predict_single_npy_array(self, image, properties):
        self.shapes.append((image.shape, tuple(properties["spacing"])))
        time.sleep(float(image[0, 0, 0, 0]))


@pytest.fixture
def predictor(monkeypatch):
    made = Predictor()
    monkeypatch.setattr(model_folder, "check_model_folder", lambda path, folds: (path, folds))
    monkeypatch.setattr(model_folder, "load_predictor", lambda model, **options: made)
    return made


def make_folders(tmp_path, cases):
    raw, preprocessed = tmp_path / "raw" / RUN.dataset, tmp_path / "preprocessed" / RUN.dataset
    for folder in (raw / "imagesTr", raw / "labelsTr", preprocessed):
        folder.mkdir(parents=True)
    (raw / "dataset.json").write_text(json.dumps({"file_ending": ".nii.gz", "channel_names": {"0": "T2"}}))
    for case in cases:
        image = sitk.GetImageFromArray(np.full((2, 3, 4), PAUSES[case], np.float32))
        image.SetSpacing((1.0, 2.0, 3.0))
        sitk.WriteImage(image, str(raw / "imagesTr" / f"{case}_0000.nii.gz"))
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": ["t"], "val": cases}]))
    folders = Folders(tmp_path / "raw", tmp_path / "preprocessed", tmp_path / "results")
    RUN.fold_folder(folders.results).mkdir(parents=True)
    (RUN.fold_folder(folders.results) / "checkpoint_final.pth").write_bytes(b"weights")
    return folders


def measure(folders, tmp_path):
    measure_inference(RUN, folders, tmp_path / "records", device="cpu", threads=torch.get_num_threads())
    return json.loads((tmp_path / "records" / RUN.name / "inference_cost.json").read_text())


def test_median_is_over_the_cases_after_the_first_of_at_most_three(predictor, tmp_path):
    cost = measure(make_folders(tmp_path, ["a", "b", "c", "d"]), tmp_path)
    assert list(cost["cases"]) == ["b", "c"]
    assert cost["seconds_per_case"] == pytest.approx(sum(cost["cases"].values()) / 2)
    assert 0.1 <= cost["seconds_per_case"] < 0.4
    assert cost["warmed_up"] is True
    assert predictor.shapes == [((1, 2, 3, 4), (3.0, 2.0, 1.0))] * 3
    assert cost["mirror_axes"] == [1]
    assert cost["checkpoint"] == hashlib.sha256(b"weights").hexdigest()
    assert cost["device"]
    assert cost["peak_memory_mb"] > 0


def test_only_case_counts_though_nothing_warmed_up(predictor, tmp_path):
    cost = measure(make_folders(tmp_path, ["a"]), tmp_path)
    assert list(cost["cases"]) == ["a"]
    assert cost["warmed_up"] is False
    assert cost["seconds_per_case"] >= 0.5


def test_images_that_are_not_there_are_named(predictor, tmp_path):
    folders = make_folders(tmp_path, ["b"])
    (tmp_path / "raw" / RUN.dataset / "imagesTr" / "b_0000.nii.gz").unlink()
    with pytest.raises(UserError, match=r"Dataset900_Tiny/b is not there.*--no-costs"):
        measure(folders, tmp_path)


def test_second_stage_of_a_cascade_is_refused(predictor, tmp_path):
    predictor.configuration_manager = SimpleNamespace(previous_stage_name="3d_lowres")
    with pytest.raises(UserError, match=r"second stage.*--no-costs"):
        measure(make_folders(tmp_path, ["b"]), tmp_path)
