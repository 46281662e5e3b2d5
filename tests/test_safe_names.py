"""Names that become file names stay inside their folder, wherever they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunet_textguided.comparison.grid import Run
from nnunet_textguided.comparison.splits import split_of
from nnunet_textguided.dataset_conversion.base.manifest import Manifest
from nnunet_textguided.dataset_json import read_dataset_json
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.draw import draw_folder
from nnunet_textguided.inference.report import report_case
from nnunet_textguided.safe_names import check_ending, check_name
from nnunet_textguided.trainers.guidance import BLOCK, TextGuidance

ESCAPES = [
    "../x",
    "a/../../x",
    "/etc/x",
    "a\\..\\x",
    "..",
    ".",
    "",
    ".hidden",
    "C:x",
    "a\x00",
    "a\n",
    " a",
    "x" * 201,
    7,
]


@pytest.mark.parametrize("name", ESCAPES)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(UserError, match="the case"):
        check_name(name, "the case")


@pytest.mark.parametrize("name", ["spider_005", "case-1", "L4 L5", "Müller.1", "x" * 200, "a..b"])
def test_other_names_are_taken(name):
    assert check_name(name, "the case") == name


@pytest.mark.parametrize("ending", ["/../x.nii.gz", "", "nii", ".", "*", ".n[i]i", 3, None, "..nii", ".nii/../../x"])
def test_endings_that_lead_elsewhere_are_refused(ending, tmp_path: Path):
    with pytest.raises(UserError, match="file_ending"):
        check_ending(ending, "dataset.json")
    content = {"labels": {"background": 0, "L5": 1}, "file_ending": ending}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="file_ending"):
        read_dataset_json(tmp_path / "dataset.json")
    with pytest.raises(UserError, match="file_ending"):
        draw_folder(tmp_path, None, tmp_path, tmp_path / "out")


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".png", ".tif", ".nrrd"])
def test_usual_endings_are_taken(ending: str):
    assert check_ending(ending, "dataset.json") == ending


def test_splits(tmp_path: Path):
    (tmp_path / "splits_final.json").write_text(json.dumps([{"train": ["a"], "val": ["../../etc/x"]}]))
    with pytest.raises(UserError, match=r"splits_final\.json, fold 0, val"):
        split_of(tmp_path, 0)


def test_a_manifest_cannot_have_files_of_others_removed(tmp_path: Path):
    content = {"format": 1, "converter": "c", "options": {}, "source": "s", "cases": {"../../x": {"files": {}}}}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"manifest\.json, cases"):
        Manifest.load(tmp_path)


def test_plans_cannot_have_a_bank_written_elsewhere():
    dataset = {"labels": {"background": 0, "L5": 1}, "file_ending": ".nii.gz"}
    block = {**TextGuidance.for_dataset(dataset).to_block(), "bank": {"file": "/tmp/x.safetensors"}}
    with pytest.raises(UserError, match="bank"):
        TextGuidance.from_plans({BLOCK: block})


@pytest.mark.parametrize("place", range(4))
def test_runs(place: int):
    names = ["Dataset900_Tiny", "2d", "Trainer", "Plans"]
    names[place] = "../x"
    with pytest.raises(UserError, match=r"'\.\./x'"):
        Run(*names, 0)


def test_reports(tmp_path: Path):
    dataset = {"labels": {}, "file_ending": ".nii.gz"}
    with pytest.raises(UserError, match="case in"):
        report_case(tmp_path, tmp_path, tmp_path / "out", "../x", dataset)
    assert not (tmp_path / "out").exists()
