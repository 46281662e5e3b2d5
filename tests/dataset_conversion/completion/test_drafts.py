"""Drafts for cases without a mask: by a model, or from other masks; restarted, and never over anybody's own work."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from toy_model import IN_PROCESS, write_model_folder

from nnunet_textguided.cli.main import main
from nnunet_textguided.dataset_conversion.completion import draft_sources
from nnunet_textguided.errors import UserError
from nnunet_textguided.inference.predict import predict_folder
from nnunet_textguided.inference.reorient import to_orientation

HERE = ["-device", "cpu", "-npp", "0", "-nps", "0"]


def read(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path))


def codes(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(read(path))


def draft(tmp_path: Path, model: Path, *more: str) -> int:
    return main(["complete", "draft", "901", "-o", str(tmp_path / "drafts"), "-m", str(model), *HERE, *more])


def drafted(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "drafts").glob("*.nii.gz"))


@pytest.fixture
def count_predictions(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The cases of every call that predicted."""
    calls = []

    def predict(*args, **kwargs):
        summary = predict_folder(*args, **kwargs)
        calls.append(summary.predicted)
        return summary

    monkeypatch.setattr(draft_sources, "predict_folder", predict)
    return calls


def test_cases_without_a_mask_get_the_models_prediction_on_their_own_grid(
    dataset: Path, model: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    assert draft(tmp_path, model) == 0
    assert drafted(tmp_path) == ["none_a.nii.gz", "none_b.nii.gz"]
    predict_folder(model, dataset / "imagesTr", tmp_path / "expected", settings=IN_PROCESS)
    for case in ("none_a", "none_b"):
        mask, image = read(tmp_path / "drafts" / f"{case}.nii.gz"), read(dataset / "imagesTr" / f"{case}_0000.nii.gz")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(mask), codes(tmp_path / "expected" / f"{case}.nii.gz"))
        assert mask.GetSize() == image.GetSize()
        assert mask.GetDirection() == pytest.approx(image.GetDirection())
        assert mask.GetOrigin() == pytest.approx(image.GetOrigin())
    assert {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()} == before


def test_of_a_partly_annotated_case_only_unknown_voxels_are_filled(dataset: Path, model: Path, tmp_path: Path) -> None:
    assert draft(tmp_path, model, "--cases", "part") == 0
    assert drafted(tmp_path) == ["part.nii.gz"]
    predict_folder(model, dataset / "imagesTr", tmp_path / "expected", settings=IN_PROCESS)
    known, mask = codes(dataset / "labelsTr" / "part.nii.gz"), codes(tmp_path / "drafts" / "part.nii.gz")
    np.testing.assert_array_equal(mask[:2], known[:2])
    np.testing.assert_array_equal(mask[2:], codes(tmp_path / "expected" / "part.nii.gz")[2:])
    assert (mask[:2] != codes(tmp_path / "expected" / "part.nii.gz")[:2]).any()  # else the model knew it all


def test_a_case_with_nothing_to_fill_is_a_problem_and_the_others_go_on(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert draft(tmp_path, model, "--cases", "full", "none_a") == 1
    assert drafted(tmp_path) == ["none_a.nii.gz"]
    assert "full.nii.gz leaves nothing to fill" in capsys.readouterr().err


def test_a_case_without_a_label_file_has_no_mask(dataset: Path, model: Path, tmp_path: Path) -> None:
    (dataset / "labelsTr" / "full.nii.gz").unlink()
    assert draft(tmp_path, model) == 0
    assert "full.nii.gz" in drafted(tmp_path)


def test_a_second_call_keeps_drafts_and_predicts_nothing(
    dataset: Path, model: Path, tmp_path: Path, count_predictions: list, capsys: pytest.CaptureFixture
) -> None:
    assert draft(tmp_path, model) == 0
    capsys.readouterr()
    assert draft(tmp_path, model) == 0
    assert count_predictions == [["none_a", "none_b"]]
    assert "0 drafts written, 2 were there already" in capsys.readouterr().out


def test_an_interrupted_call_goes_on_where_it_stopped(
    dataset: Path, model: Path, tmp_path: Path, count_predictions: list
) -> None:
    assert draft(tmp_path, model) == 0
    (tmp_path / "drafts" / "none_a.nii.gz").unlink()  # predicted, not yet laid out
    (tmp_path / "drafts" / "none_b.nii.gz").unlink()  # not even predicted
    (tmp_path / "drafts" / "untouched" / "none_b.nii.gz").unlink()
    assert draft(tmp_path, model) == 0
    assert count_predictions == [["none_a", "none_b"], ["none_b"]]
    assert drafted(tmp_path) == ["none_a.nii.gz", "none_b.nii.gz"]


def test_another_model_or_image_makes_new_drafts_but_corrected_ones_stay(
    dataset: Path, model: Path, tmp_path: Path, count_predictions: list
) -> None:
    assert draft(tmp_path, model) == 0
    first, corrected = (tmp_path / "drafts" / f"none_{letter}.nii.gz" for letter in "ab")
    drawn = read(corrected) * 0 + 1
    sitk.WriteImage(drawn, str(corrected))
    by_hand, before = corrected.read_bytes(), codes(first)
    other = write_model_folder(tmp_path / "other", seed=1)
    assert draft(tmp_path, other) == 0
    assert count_predictions[-1] == ["none_a"]
    assert (codes(first) != before).any()
    assert corrected.read_bytes() == by_hand
    image = dataset / "imagesTr" / "none_a_0000.nii.gz"
    sitk.WriteImage(read(image) + 1, str(image))
    assert draft(tmp_path, other) == 0
    assert count_predictions[-1] == ["none_a"]


def test_a_mask_that_somebody_drew_there_is_not_drafted_over(dataset: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    shutil.copy(dataset / "labelsTr" / "full.nii.gz", tmp_path / "drafts" / "none_a.nii.gz")
    assert draft(tmp_path, model) == 0
    np.testing.assert_array_equal(
        codes(tmp_path / "drafts" / "none_a.nii.gz"), codes(dataset / "labelsTr" / "full.nii.gz")
    )


def test_an_image_cut_short_is_named_and_the_others_are_drafted(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    image = dataset / "imagesTr" / "none_a_0000.nii.gz"
    image.write_bytes(image.read_bytes()[:-500])
    assert draft(tmp_path, model) == 1
    assert drafted(tmp_path) == ["none_b.nii.gz"]
    error = capsys.readouterr().err
    assert "none_a: " in error
    assert "is cut short" in error


def test_a_model_of_other_labels_is_refused_with_both_sets_named(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    content = json.loads((other / "dataset.json").read_text())
    content["labels"] = {"background": 0, "L5/S": 1, "L5": 2}
    (other / "dataset.json").write_text(json.dumps(content))
    assert draft(tmp_path, other) == 2
    error = capsys.readouterr().err
    assert "The model: 0 background, 1 L5/S, 2 L5. The data set: 0 background, 1 L5, 2 L5/S." in error
    assert drafted(tmp_path) == []


def test_a_model_of_more_channels_is_refused(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert draft(tmp_path, write_model_folder(tmp_path / "two", channels=2)) == 2
    assert "takes 2 channel(s), Dataset901_Toy has 1: T2" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../none_a", "/etc/passwd", "none_a/../none_a", "none_c", ""])
def test_names_that_are_no_case_are_refused(
    dataset: Path, model: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture
) -> None:
    assert draft(tmp_path, model, "--cases", name) == 2
    assert "Dataset901_Toy has no case" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["draft", "../901", "-o", "d", "-m", "x"], "Expected a data set's number or name"),
        (["draft", "*", "-o", "d", "-m", "x"], "Expected a data set's number or name"),
        (["draft", "902", "-o", "d", "-m", "x"], "There are: Dataset901_Toy"),
        (["draft", "901", "-o", "d"], "-m MODEL_FOLDER"),
        (["draft", "901", "-o", "d", "-m", "x", "--masks", "y"], "-m MODEL_FOLDER"),
        (["draft", "901", "-o", "d", "--masks", "nowhere"], "Expected a folder of masks at"),
        (["draft", "901", "-o", "raw/Dataset901_Toy/labelsTr", "-m", "x"], "lies within the data set"),
        (["check", "901", "nowhere"], "Expected a folder of drafts at"),
    ],
)
def test_wrong_arguments_are_explained(
    dataset: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["complete", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_drafts_of_another_data_set_are_not_mixed_in(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert draft(tmp_path, model) == 0
    dataset.rename(dataset.with_name("Dataset901_Other"))
    assert main(["complete", "check", "901", str(tmp_path / "drafts")]) == 2
    assert "holds drafts of Dataset901_Toy, not of Dataset901_Other" in capsys.readouterr().err


def from_masks(tmp_path: Path, *more: str) -> int:
    return main(["complete", "draft", "901", "-o", str(tmp_path / "drafts"), "--masks", str(tmp_path / "m"), *more])


def test_masks_of_another_tool_are_turned_to_the_image_by_position(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "m").mkdir()
    drawn = read(dataset / "labelsTr" / "full.nii.gz")  # in PIR; none_b is LPS
    sitk.WriteImage(drawn, str(tmp_path / "m" / "none_b.nrrd"))
    assert from_masks(tmp_path) == 0
    result = read(tmp_path / "drafts" / "none_b.nii.gz")
    assert result.GetSize() == read(dataset / "imagesTr" / "none_b_0000.nii.gz").GetSize() != drawn.GetSize()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(to_orientation(result, "PIR")), sitk.GetArrayFromImage(drawn))
    assert "1 cases have no mask, neither in the data set nor in" in capsys.readouterr().out
    assert from_masks(tmp_path, "--cases", "none_a") == 1
    assert "has no mask of it: expected none_a.nii.gz" in capsys.readouterr().err


def test_masks_with_unknown_codes_or_other_grids_are_problems(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "m").mkdir()
    drawn = read(dataset / "labelsTr" / "full.nii.gz")
    sitk.WriteImage(drawn * 4, str(tmp_path / "m" / "none_a.nii.gz"))
    sitk.WriteImage(drawn[:-1], str(tmp_path / "m" / "none_b.nii.gz"))
    assert from_masks(tmp_path) == 1
    error = capsys.readouterr().err
    assert "none_a.nii.gz: unknown label code 4, 8. The data set has: 0 background, 1 L5" in error
    assert "mask and image lie on different grids" in error
    assert drafted(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="symbolic links")
def test_links_out_of_the_folder_are_problems(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "none_a.nii.gz").symlink_to(dataset / "labelsTr" / "full.nii.gz")
    assert from_masks(tmp_path) == 1
    assert "is a link to" in capsys.readouterr().err


def test_the_review_lists_doubtful_drafts_first_and_says_why(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "m").mkdir()
    whole = read(dataset / "labelsTr" / "full.nii.gz")
    parted = sitk.Image(whole)
    parted[4:12, 4:6, :] = 0  # in two, one above the other
    sitk.WriteImage(whole, str(tmp_path / "m" / "none_a.nii.gz"))
    sitk.WriteImage(parted, str(tmp_path / "m" / "none_b.nii.gz"))
    assert from_masks(tmp_path) == 0
    with (tmp_path / "drafts" / "review.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["doubtful"], row["score"]) for row in rows] == [
        ("none_b", "1", "2"),
        ("none_a", "0", "0"),
    ]
    assert rows[0]["reasons"].startswith("L5 is in 2 pieces: 50% of it belong together")
    out = capsys.readouterr().out
    assert "1 of 2 masks are doubtful" in out
    assert "none_b (2): L5 is in 2 pieces" in out


def test_masks_and_links_never_reach_outside_the_working_folder(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert draft(tmp_path, model) == 0
    target = tmp_path / "elsewhere.nii.gz"
    shutil.move(tmp_path / "drafts" / "none_a.nii.gz", target)
    (tmp_path / "drafts" / "none_a.nii.gz").symlink_to(target)
    assert main(["complete", "accept", "901", str(tmp_path / "drafts")]) == 1
    assert "out of the folder" in capsys.readouterr().err


def test_a_broken_list_of_drafts_is_refused(dataset: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "drafts").mkdir()
    (tmp_path / "drafts" / "drafts.json").write_text('{"format": 1, "dataset": "Dataset901_Toy", "cases": {"a": 3}}')
    assert draft(tmp_path, model) == 2


def test_regions_are_refused(dataset: Path) -> None:
    from nnunet_textguided.dataset_conversion.completion.raw_dataset import RawDataset

    content = json.loads((dataset / "dataset.json").read_text())
    content["labels"] = {"background": 0, "whole": [1, 2], "core": [2]}
    content["regions_class_order"] = [1, 2]
    (dataset / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="whole, core are regions"):
        RawDataset.open("Dataset901_Toy")
