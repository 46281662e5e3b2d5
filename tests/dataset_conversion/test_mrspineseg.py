from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_volumes import codes_in, write_image, write_mask

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.mrspineseg import convert_mrspineseg
from nnunet_textguided.errors import UserError


def test_the_release_converts_with_its_own_codes(tmp_path: Path, nnunet_raw: Path):
    for number, codes in ((1, (1, 2, 11)), (12, tuple(range(1, 20)))):
        write_image(tmp_path / "train" / "MR" / f"Case{number}.nii.gz", seed=number)
        write_mask(tmp_path / "train" / "Mask" / f"mask_case{number}.nii.gz", codes)
    write_image(tmp_path / "test1" / "MR" / "Case200.nii.gz")
    folder, manifest = convert_mrspineseg(tmp_path, 502)
    assert list(manifest.cases) == ["mrspineseg_1", "mrspineseg_12"]
    assert codes_in(folder / "labelsTr" / "mrspineseg_12.nii.gz") == set(range(20))
    assert list(manifest.problems) == ["200"]
    content = json.loads((folder / "dataset.json").read_text())
    assert content["labels"]["T9/T10"] == 19
    assert content["text_guidance"]["missing"] == {}


def test_the_command_keeps_the_challenges_test_cases_if_asked_for(tmp_path: Path, nnunet_raw: Path):
    write_image(tmp_path / "MR" / "Case1.nii.gz")
    write_mask(tmp_path / "Mask" / "mask_case1.nii.gz", (1,))
    write_image(tmp_path / "MR" / "Case2.nii.gz")
    arguments = ["convert", "mrspineseg", str(tmp_path), "-d", "502", "--processes", "1", "--keep-unlabelled"]
    assert main(arguments) == 0
    labels = nnunet_raw / "Dataset502_MRSpineSeg" / "labelsTr"
    assert codes_in(labels / "mrspineseg_2.nii.gz") == {20}
    assert codes_in(labels / "mrspineseg_1.nii.gz") == {0, 1}


def test_a_code_that_the_set_does_not_have_is_named(tmp_path: Path, nnunet_raw: Path):
    write_image(tmp_path / "MR" / "Case1.nii.gz")
    write_mask(tmp_path / "Mask" / "mask_case1.nii.gz", (20,))
    with pytest.raises(UserError, match="mrspineseg_1: unknown label code 20"):
        convert_mrspineseg(tmp_path, 502)


def test_another_folder_is_not_taken_for_the_release(tmp_path: Path, nnunet_raw: Path):
    with pytest.raises(UserError, match="MR"):
        convert_mrspineseg(tmp_path, 502)
