"""A raw data set whose cases are annotated throughout, in part or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from toy_model import LABELS, toy_volume, write_model_folder

from nnunet_textguided.inference.reorient import to_orientation

IGNORE = 3


def like(image: sitk.Image, codes: np.ndarray) -> sitk.Image:
    mask = sitk.GetImageFromArray(codes.astype(np.uint8))
    mask.CopyInformation(image)
    return mask


@pytest.fixture
def dataset(nnunet_raw: Path) -> Path:
    """Dataset901_Toy: `full` has a mask, `part` one on its first slices, `none_a` and `none_b` (LPS) have none."""
    folder = nnunet_raw / "Dataset901_Toy"
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(parents=True)
    full = np.zeros((6, 21, 18))
    full[:, 2:8, 4:12], full[:, 9:12, 4:12] = 1, 2
    part = np.where(np.arange(6)[:, None, None] < 2, full, IGNORE)
    nothing = np.full(full.shape, IGNORE)
    for seed, (case, codes) in enumerate({"full": full, "part": part, "none_a": nothing, "none_b": nothing}.items()):
        image = toy_volume(seed)
        label = like(image, codes)
        if case == "none_b":
            image, label = to_orientation(image, "LPS"), to_orientation(label, "LPS")
        sitk.WriteImage(image, str(folder / "imagesTr" / f"{case}_0000.nii.gz"))
        sitk.WriteImage(label, str(folder / "labelsTr" / f"{case}.nii.gz"))
    content = {
        "channel_names": {"0": "T2"},
        "labels": {**LABELS, "ignore": IGNORE},
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2D model of the same structures, trained in PIR."""
    return write_model_folder(tmp_path_factory.mktemp("models") / "nnUNetTrainer__nnUNetPlans__2d")
