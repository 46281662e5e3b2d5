from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy import ToyDataset, toy_plans, write_json, write_mask, write_toy_dataset

from nnunet_textguided.comparison.fingerprints import contents_of, digest, plans_content
from nnunet_textguided.errors import UserError

ASPECTS = {"splits", "truth", "preprocessed", "dataset", "plans", "training_data"}


@pytest.fixture
def toy(tmp_path: Path) -> ToyDataset:
    toy = write_toy_dataset(tmp_path, cases=4, text_guidance={"missing": {"case": ["T11"]}})
    toy.write_model(toy.run())
    return toy


def hashes(toy: ToyDataset) -> dict[str, str]:
    return {name: digest(content) for name, content in contents_of(toy.run(), toy.folders).items()}


def edit_json(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    write_json(path, content)


def append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def swap_train_case(toy: ToyDataset) -> None:
    edit_json(toy.preprocessed / "splits_final.json", lambda splits: splits[0]["train"].pop())


def change_label_voxel(toy: ToyDataset) -> None:
    truth = toy.truths["case_00"].copy()
    truth[0, 0, 0] = 1
    write_mask(toy.preprocessed / "gt_segmentations" / "case_00.nii.gz", truth)


def change_finding(toy: ToyDataset) -> None:
    table = pd.read_csv(toy.preprocessed / "findings.csv")
    row = table.index[table["case"] == "case_00"][0]
    table.loc[row, "present"] = 1 - table.loc[row, "present"]
    table.to_csv(toy.preprocessed / "findings.csv", index=False)


def model(toy: ToyDataset) -> Path:
    return toy.run().model_folder(toy.folders.results)


CHANGES = {
    "train case": (swap_train_case, {"splits", "preprocessed"}),
    "label voxel": (change_label_voxel, {"truth"}),
    "assessed finding": (change_finding, {"truth"}),
    "preprocessed file": (
        lambda toy: append(toy.preprocessed / "nnUNetPlans_2d" / "case_01_seg.b2nd"),
        {"preprocessed"},
    ),
    "label code": (
        lambda toy: edit_json(model(toy) / "dataset.json", lambda d: d["labels"].update(T11=9)),
        {"dataset"},
    ),
    "channel": (
        lambda toy: edit_json(model(toy) / "dataset.json", lambda d: d["channel_names"].update({"0": "CT"})),
        {"dataset"},
    ),
    "missing": (lambda toy: edit_json(model(toy) / "dataset.json", lambda d: d.pop("text_guidance")), {"dataset"}),
    "fingerprint": (
        lambda toy: edit_json(model(toy) / "dataset_fingerprint.json", lambda d: d.update(spacings=[])),
        {"training_data"},
    ),
    "batch size": (
        lambda toy: edit_json(model(toy) / "plans.json", lambda p: p["configurations"]["2d"].update(batch_size=3)),
        {"plans"},
    ),
    "planner": (
        lambda toy: edit_json(model(toy) / "plans.json", lambda p: p.update(experiment_planner_used="R")),
        {"plans"},
    ),
}
NO_CHANGES = {
    "plans name": lambda toy: edit_json(model(toy) / "plans.json", lambda p: p.update(plans_name="nnUNetPlansSeed1")),
    "block": lambda toy: edit_json(model(toy) / "plans.json", lambda p: p.update(text_guidance={"seed": 1})),
    "continued": lambda toy: edit_json(model(toy) / "plans.json", lambda p: p.update(continue_training=True)),
    "other configuration": lambda toy: edit_json(
        model(toy) / "plans.json", lambda p: p["configurations"]["3d_fullres"].update(batch_size=9)
    ),
    "number of cases": lambda toy: edit_json(model(toy) / "dataset.json", lambda d: d.update(numTraining=9)),
    "unpacked array": lambda toy: (toy.preprocessed / "nnUNetPlans_2d" / "case_00.npy").write_bytes(b"x"),
    "label file of a training case": lambda toy: append(toy.preprocessed / "gt_segmentations" / "case_01.nii.gz"),
    "order of labels": lambda toy: edit_json(
        model(toy) / "dataset.json", lambda d: d.update(labels=dict(reversed(d["labels"].items())))
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_shows_in_its_own_fingerprint_only(toy: ToyDataset, name: str):
    change, expected = CHANGES[name]
    before = hashes(toy)
    assert before.keys() == ASPECTS
    change(toy)
    after = hashes(toy)
    assert {aspect for aspect in before if before[aspect] != after[aspect]} == expected


@pytest.mark.parametrize("name", NO_CHANGES)
def test_what_does_not_matter_shows_nowhere(toy: ToyDataset, name: str):
    before = hashes(toy)
    NO_CHANGES[name](toy)
    assert hashes(toy) == before


def test_a_large_preprocessed_file_is_told_by_its_ends_and_its_size(toy: ToyDataset):
    path = toy.preprocessed / "nnUNetPlans_2d" / "case_00.b2nd"
    content = np.random.default_rng(0).bytes(300_000)
    seen = set()
    for changed in (content, b"x" + content[1:], content[:-1] + b"x", content + content[:100]):
        path.write_bytes(changed)
        seen.add(hashes(toy)["preprocessed"])
    assert len(seen) == 4


def test_inherited_configurations_are_compared_by_what_they_come_to():
    plans = toy_plans()
    plans["configurations"]["fine"] = {"inherits_from": "2d", "batch_size": 7}
    assert plans_content(plans, "fine")["fine"] == {"batch_size": 7, "patch_size": [48, 20], "spacing": [1.5, 1.0]}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gt_segmentations/case_00.nii.gz", "has no .nii.gz file of: case_00"),
        ("nnUNetPlans_2d/case_01*", "preprocessed files of case case_01"),
    ],
)
def test_a_case_without_files_is_named(toy: ToyDataset, file: str, message: str):
    for path in toy.preprocessed.glob(file):
        path.unlink()
    with pytest.raises(UserError, match=message):
        contents_of(toy.run(), toy.folders)


def test_a_configuration_that_the_plans_lack_is_named():
    with pytest.raises(UserError, match=r"'3d_lowres'.*2d, 3d_fullres"):
        plans_content(toy_plans(), "3d_lowres")


def test_raw_labels_stand_in_where_nothing_else_is_there(toy: ToyDataset):
    gt = toy.preprocessed / "gt_segmentations"
    before = hashes(toy)
    for file in gt.iterdir():
        file.unlink()
    gt.rmdir()
    assert hashes(toy) == before
    with pytest.raises(UserError, match="found neither"):
        toy.folders.truth("Dataset999_None")
