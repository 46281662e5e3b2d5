from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from nnunet_textguided.errors import UserError
from nnunet_textguided.synthetic.dataset import SPIDER_CODES, make_splits, write_phantom_dataset, write_spider_layout
from nnunet_textguided.synthetic.phantom import PhantomSpec

sitk = pytest.importorskip("SimpleITK")
SMALL = PhantomSpec(shape=(5, 128, 64), spacing=(4.0, 2.7, 2.7))


def test_raw_dataset_is_complete_and_consistent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    folder = write_phantom_dataset(tmp_path / "raw", 910, "Phantom", 6, seed=1, spec=SMALL)
    assert folder == tmp_path / "raw" / "Dataset910_Phantom"
    description = json.loads((folder / "dataset.json").read_text())
    assert description["channel_names"] == {"0": "T1", "1": "T2"}
    assert list(description["labels"].values()) == list(range(20))
    assert description["labels"]["L4/L5"] == 12
    block = description["text_guidance"]
    assert block["orientation"] == "PIR"
    assert block["findings"]["vertebral degeneration"]["applies_to"] == ["L5", "L4", "L3", "L2", "L1"]
    splits = json.loads((folder / "splits_final.json").read_text())
    assert splits == json.loads((tmp_path / "preprocessed" / "Dataset910_Phantom" / "splits_final.json").read_text())
    for case in (f"phantom_{number:03d}" for number in range(6)):
        images = [sitk.ReadImage(str(folder / "imagesTr" / f"{case}_000{channel}.nii.gz")) for channel in range(2)]
        label = sitk.ReadImage(str(folder / "labelsTr" / f"{case}.nii.gz"))
        assert images[0].GetSize() == images[1].GetSize() == label.GetSize() == (64, 128, 5)
        np.testing.assert_allclose(label.GetSpacing(), (2.7, 2.7, 4.0), rtol=1e-5)
        orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(label.GetDirection())
        assert orientation == "PIR"
        assert set(np.unique(sitk.GetArrayFromImage(label))) <= set(range(20))


def test_findings_csv_points_into_the_volume_at_the_lesion(tmp_path: Path):
    folder = write_phantom_dataset(tmp_path, 911, "Phantom", 1, spec=SMALL)
    with (folder / "findings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["case", "structure", "finding", "present", "x_mm", "y_mm", "z_mm"]
    assert len(rows) == 29
    label = sitk.ReadImage(str(folder / "labelsTr" / "phantom_000.nii.gz"))
    codes = json.loads((folder / "dataset.json").read_text())["labels"]
    hits = 0
    for row in rows:
        if row["present"] == "0":
            assert row["x_mm"] == row["y_mm"] == row["z_mm"] == ""
        elif row["finding"] == "vertebral degeneration":
            index = label.TransformPhysicalPointToIndex([float(row[f"{axis}_mm"]) for axis in "xyz"])
            hits += 1
            assert label[index] == codes[row["structure"]]
    assert hits >= 1


def test_canal_is_class_20_when_kept(tmp_path: Path):
    folder = write_phantom_dataset(tmp_path, 912, "Phantom", 1, spec=SMALL, keep_canal=True)
    assert json.loads((folder / "dataset.json").read_text())["labels"]["canal"] == 20
    label = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "labelsTr" / "phantom_000.nii.gz")))
    assert (label == 20).sum() > 100


def test_spider_layout_has_spiders_names_and_codes(tmp_path: Path):
    folder = write_spider_layout(tmp_path / "spider", 2, seed=3, spec=SMALL)
    names = {f"{number}_{sequence}.mha" for number in (1, 2) for sequence in ("t1", "t2")}
    assert {file.name for file in (folder / "images").iterdir()} == names
    assert {file.name for file in (folder / "masks").iterdir()} == names
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "masks" / "1_t1.mha")))
    codes = set(np.unique(mask).tolist())
    assert codes <= {0, *range(1, 10), 100, *range(201, 210)}
    assert {1, 2, 3, 4, 5, 100, 201, 202} <= codes
    rows = [np.nonzero(mask == code)[1].mean() for code in (1, 202, 2, 203, 3)]
    assert all(lower > upper for lower, upper in pairwise(rows))  # from the bottom, rows run down


def test_spider_codes_count_from_the_bottom():
    assert (SPIDER_CODES["L5"], SPIDER_CODES["T9"], SPIDER_CODES["L5/S"], SPIDER_CODES["T9/T10"]) == (1, 9, 201, 209)
    assert "S" not in SPIDER_CODES


def test_spider_layout_keeps_finished_patients_and_makes_up_missing_ones(tmp_path: Path):
    write_spider_layout(tmp_path, 2, spec=SMALL)
    kept, lost = tmp_path / "images" / "1_t1.mha", tmp_path / "masks" / "2_t2.mha"
    content, before = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    write_spider_layout(tmp_path, 2, spec=SMALL)
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content


def test_splits_hold_every_case_out_once_and_never_train_on_it():
    cases = [f"case_{number}" for number in range(12)]
    splits = make_splits(cases, seed=4)
    assert len(splits) == 5
    assert sorted(case for split in splits for case in split["val"]) == sorted(cases)
    for split in splits:
        assert not set(split["train"]) & set(split["val"])
        assert sorted(split["train"] + split["val"]) == sorted(cases)
    assert splits == make_splits(cases, seed=4)
    assert splits != make_splits(cases, seed=5)


def test_no_cases_is_an_error(tmp_path: Path):
    with pytest.raises(UserError, match="at least one case"):
        write_phantom_dataset(tmp_path, 913, "Phantom", 0)
