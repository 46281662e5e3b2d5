from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nnunet_textguided.cli.main import main
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.evaluate import evaluate_folder, write_evaluation
from nnunet_textguided.spine import SPINE_STRUCTURES

SPINE = {"background": 0, **{name: code for code, name in enumerate(SPINE_STRUCTURES, start=1)}, "spinal canal": 20}


def write_mask(folder: Path, case: str, *runs: tuple[int, int], origin: float = 0.0, length: int = 60) -> Path:
    """A 1 x 1 x length mask made of (code, number of voxels) runs."""
    voxels = [code for code, number in runs for _ in range(number)]
    image = sitk.GetImageFromArray(np.array(voxels + [0] * (length - len(voxels)), np.uint8).reshape(1, 1, -1))
    image.SetOrigin((origin, 0.0, 0.0))
    folder.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(folder / f"{case}.nii.gz"))
    return folder


def write_dataset(folder: Path, labels: dict, **more: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"channel_names": {"0": "T2"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz", **more}
    (folder / "dataset.json").write_text(json.dumps(content))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Labels a, b, c with code 1, 2, 3, dataset.json beside the predictions."""
    write_dataset(tmp_path / "pred", {"background": 0, "a": 1, "b": 2, "c": 3})
    return tmp_path / "labelsTr", tmp_path / "pred"


def by_structure(result: object) -> dict[str, dict]:
    return {record["structure"]: record for record in result.structures.to_dict("records")}


def test_numbers_of_one_case_worked_out_by_hand(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    write_mask(truth, "x", (1, 10), (2, 10))
    write_mask(prediction, "x", (1, 14), (2, 6))
    rows = evaluate_folder(truth, prediction).rows.set_index("structure")
    # a: TP 10, FP 4, FN 0; b: TP 6, FP 0, FN 4
    assert rows.loc["a", ["tp", "fp", "fn", "n_ref", "n_pred"]].tolist() == [10, 4, 0, 10, 14]
    assert rows.loc["a", "iou"] == pytest.approx(10 / 14)
    assert rows.loc["a", "dice"] == pytest.approx(20 / 24)
    assert rows.loc["a", "recall"] == 1.0
    assert rows.loc["a", "precision"] == pytest.approx(10 / 14)
    assert rows.loc["b", "iou"] == pytest.approx(6 / 10)
    assert rows.loc["b", "recall"] == pytest.approx(0.6)
    assert rows.loc["b", "precision"] == 1.0


def test_absent_missed_and_false_structures_follow_the_rule(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    write_mask(truth, "one", (1, 10), (2, 10))  # b missed, c false
    write_mask(prediction, "one", (1, 10), (3, 5))
    write_mask(truth, "two", (1, 10))  # b and c absent
    write_mask(prediction, "two", (1, 5))
    result = evaluate_folder(truth, prediction)
    status = result.rows.set_index(["case", "structure"])["status"]
    assert status["one"].tolist() == ["scored", "missed", "false structure"]
    assert status["two"].tolist() == ["scored", "absent", "absent"]
    assert math.isnan(result.rows.set_index(["case", "structure"]).loc[("two", "b"), "iou"])
    # one: (1 + 0) / 2, c is not in it; two: 0.5
    assert result.cases["miou"].tolist() == [0.5, 0.5]
    structures = by_structure(result)
    assert (structures["a"]["iou"], structures["a"]["n"]) == (0.75, 2)
    assert (structures["b"]["iou"], structures["b"]["n"], structures["b"]["missed"], structures["b"]["absent"]) == (
        *(0.0, 1, 1, 1),
    )
    assert math.isnan(structures["c"]["iou"])
    assert (structures["c"]["false_structures"], structures["c"]["absent"], structures["c"]["precision"]) == (1, 1, 0)
    assert (result.headline["missed"], result.headline["false_structures"]) == (1, 1)


def test_headline_is_mean_and_sample_sd_over_cases(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    for case, hit in (("p", 10), ("q", 6), ("r", 2)):
        write_mask(truth, case, (1, 10))
        write_mask(prediction, case, (1, hit))
    headline = evaluate_folder(truth, prediction).headline
    assert headline["miou_mean"] == pytest.approx(0.6)
    assert headline["miou_sd"] == pytest.approx(0.4)  # of 1.0, 0.6, 0.2 with n - 1
    assert headline["mdice_mean"] == pytest.approx((1 + 12 / 16 + 4 / 12) / 3)
    assert headline["cases"] == 3


def test_one_case_has_no_sd_and_empty_cases_are_not_counted(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    write_mask(truth, "full", (1, 10))
    write_mask(prediction, "full", (1, 10))
    write_mask(truth, "empty")
    write_mask(prediction, "empty")
    result = evaluate_folder(truth, prediction)
    assert (result.headline["cases"], result.headline["cases_without_structure"]) == (1, 1)
    assert result.headline["miou_mean"] == 1.0
    assert math.isnan(result.headline["miou_sd"])


def test_spine_headline_leaves_out_the_canal_and_what_the_source_does_not_annotate(tmp_path: Path) -> None:
    truth, prediction = tmp_path / "labelsTr", tmp_path / "pred"
    write_dataset(tmp_path, SPINE, text_guidance={"missing": {"spider": ["S"]}})
    write_mask(truth, "spider_005", (2, 10), (20, 10))
    write_mask(prediction, "spider_005", (2, 5), (1, 5), (20, 3))  # an S nobody could have confirmed
    result = evaluate_folder(truth, prediction)
    assert result.headline["miou_mean"] == 0.5
    assert (result.headline["structures_covered"], result.headline["structures_total"]) == (18, 19)
    assert result.headline["left_out"] == ["S"]
    assert result.headline["structures_in_truth"] == 1
    assert result.headline["false_structures"] == 0
    assert by_structure(result)["S"]["not_annotated"] == 1
    assert by_structure(result)["spinal canal"]["iou"] == pytest.approx(0.3)
    assert not by_structure(result)["spinal canal"]["in_headline"]


def test_a_structure_missing_in_one_source_counts_in_the_other(tmp_path: Path) -> None:
    truth, prediction = tmp_path / "labelsTr", tmp_path / "pred"
    write_dataset(tmp_path, SPINE, text_guidance={"missing": {"spider": ["S"]}})
    for case in ("spider_1", "other_1"):
        write_mask(truth, case, (2, 10))
        write_mask(prediction, case, (2, 10), (1, 5))
    result = evaluate_folder(truth, prediction)
    record = by_structure(result)["S"]
    assert (record["not_annotated"], record["false_structures"]) == (1, 1)
    assert result.headline["structures_covered"] == 19


def test_excluded_structures_stay_in_the_table(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    write_mask(truth, "x", (1, 10), (2, 10))
    write_mask(prediction, "x", (1, 10))
    result = evaluate_folder(truth, prediction, exclude=["b"])
    assert result.headline["miou_mean"] == 1.0
    assert by_structure(result)["b"]["iou"] == 0.0
    with pytest.raises(UserError, match=r"--exclude names d, .* Its structures: a, b, c"):
        evaluate_folder(truth, prediction, exclude=["d"])


def test_ignored_voxels_count_for_nothing(tmp_path: Path) -> None:
    truth, prediction = tmp_path / "gt", tmp_path / "pred"
    write_dataset(prediction, {"background": 0, "a": 1, "ignore": 2})
    write_mask(truth, "x", (1, 10), (2, 30))
    write_mask(prediction, "x", (1, 40))
    assert evaluate_folder(truth, prediction).headline["miou_mean"] == 1.0


def test_regions_are_scored_as_nnunet_scores_them(tmp_path: Path) -> None:
    truth, prediction = tmp_path / "gt", tmp_path / "pred"
    labels = {"background": 0, "whole": [1, 2], "core": [2]}
    write_dataset(prediction, labels, regions_class_order=[1, 2])
    write_mask(truth, "x", (1, 10), (2, 10))
    write_mask(prediction, "x", (1, 15), (2, 5))
    rows = evaluate_folder(truth, prediction).rows.set_index("structure")
    assert rows["code"].to_dict() == {"whole": "1+2", "core": "2"}
    assert rows["iou"].to_dict() == {"whole": 1.0, "core": 0.5}
    write_dataset(prediction, labels)
    with pytest.raises(UserError, match="regions_class_order"):
        evaluate_folder(truth, prediction)


def test_per_structure_means_equal_nnunets_own(folders: tuple[Path, Path]) -> None:
    from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    truth, prediction = folders
    random = np.random.default_rng(3)
    for case in ("x", "y"):
        for folder in (truth, prediction):
            write_mask(folder, case, *((code, int(random.integers(3, 15))) for code in (1, 2, 3)))
    expected = compute_metrics_on_folder(
        str(truth), str(prediction), None, SimpleITKIO(), ".nii.gz", [1, 2, 3], num_processes=1
    )["mean"]
    ours = by_structure(evaluate_folder(truth, prediction))
    for name, code in (("a", 1), ("b", 2), ("c", 3)):
        assert ours[name]["iou"] == pytest.approx(expected[code]["IoU"])
        assert ours[name]["dice"] == pytest.approx(expected[code]["Dice"])


def test_missing_predictions_are_named_and_the_status_is_1(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture
) -> None:
    truth, prediction = folders
    for case in ("x", "y", "z"):
        write_mask(truth, case, (1, 10))
    write_mask(prediction, "y", (1, 10))
    write_mask(prediction, "stray", (1, 10))
    assert main(["evaluate", str(truth), str(prediction)]) == 1
    out = capsys.readouterr().out
    assert "NO PREDICTION for 2 of the cases: x, z" in out
    assert "1 predictions have no truth and were not scored: stray" in out
    counts = json.loads((prediction / "evaluation.json").read_text())["counts"]
    assert counts["missing_predictions"] == ["x", "z"]


def test_the_command_writes_long_table_and_summary(folders: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    truth, prediction = folders
    write_mask(truth, "x", (1, 10), (2, 10))
    write_mask(prediction, "x", (1, 5))
    out_folder = prediction.parent / "scores"
    assert main(["evaluate", str(truth), str(prediction), "-o", str(out_folder)]) == 0
    table = pd.read_csv(out_folder / "evaluation.csv")
    assert {"case", "structure", "code", "iou", "dice", "tp", "fp", "fn", "n_ref", "n_pred"} <= set(table.columns)
    assert len(table) == 3
    content = json.loads((out_folder / "evaluation.json").read_text())  # strict: NaN would not parse elsewhere
    assert "NaN" not in (out_folder / "evaluation.json").read_text()
    assert content["headline"]["miou_mean"] == 0.25
    assert content["headline"]["miou_sd"] is None
    assert {"nnunet_textguided", "nnunetv2"} <= content["versions"].keys()
    out = capsys.readouterr().out
    assert "mIoU  0.250 +- -" in out
    assert "3 of 3 structures; 2 of them occur in the truth" in out
    assert all(rule in out for rule in content["rules"])


def test_cases_may_be_named_or_taken_from_a_split(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, prediction = folders
    for case in ("x", "y", "z"):
        write_mask(truth, case, (1, 10))
    write_mask(prediction, "y", (1, 10))
    splits = tmp_path / "splits_final.json"
    splits.write_text(json.dumps([{"train": ["x", "z"], "val": ["y"]}]))
    for cases in (["y"], [f"{splits}:0"]):
        assert evaluate_folder(truth, prediction, cases=cases).complete
    with pytest.raises(UserError, match="folds 0 to 0"):
        evaluate_folder(truth, prediction, cases=[f"{splits}:1"])
    with pytest.raises(UserError, match=r"has no .nii.gz file of: w"):
        evaluate_folder(truth, prediction, cases=["w"])


def test_geometry_mismatch_names_both_files(folders: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    truth, prediction = folders
    for case, options in (("size", {"length": 50}), ("shift", {"origin": 2.0})):
        write_mask(truth, case, (1, 10))
        write_mask(prediction, case, (1, 10), **options)
    write_mask(truth, "good", (1, 10))
    write_mask(prediction, "good", (1, 10))
    for case, what in (("size", "size"), ("shift", "origin")):
        with pytest.raises(UserError, match=rf"labelsTr.{case}.nii.gz.*pred.{case}.nii.gz differ in {what}"):
            evaluate_folder(truth, prediction, cases=[case])
    assert main(["evaluate", str(truth), str(prediction)]) == 2
    assert main(["evaluate", str(truth), str(prediction), "--fail-fast", "no"]) == 1
    assert capsys.readouterr().out.count("NOT SCORED") == 2
    assert evaluate_folder(truth, prediction, fail_fast=False).headline["cases"] == 1


def test_unknown_codes_and_broken_files_are_named(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    write_mask(truth, "x", (1, 10))
    write_mask(prediction, "x", (7, 10))
    with pytest.raises(UserError, match=r"pred.x.nii.gz holds codes that .*dataset.json does not name: 7"):
        evaluate_folder(truth, prediction)
    content = (prediction / "x.nii.gz").read_bytes()
    (prediction / "x.nii.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"pred.x.nii.gz is not a readable image"):
        evaluate_folder(truth, prediction)


def test_dataset_json_is_found_or_asked_for(tmp_path: Path) -> None:
    truth = write_mask(tmp_path / "raw" / "labelsTr", "x", (1, 10))
    prediction = write_mask(tmp_path / "model" / "fold_0" / "validation", "x", (1, 10))
    with pytest.raises(UserError, match="--dataset-json"):
        evaluate_folder(truth, prediction)
    for place in (tmp_path / "raw", tmp_path / "model"):
        write_dataset(place, {"background": 0, "a": 1})
        assert evaluate_folder(truth, prediction).task.origin == place / "dataset.json"
    write_dataset(tmp_path / "model", {"background": 0, "b": 1})
    with pytest.raises(UserError, match="do not name the same labels"):
        evaluate_folder(truth, prediction)
    assert evaluate_folder(truth, prediction, tmp_path / "raw" / "dataset.json").headline["miou_mean"] == 1.0
    (tmp_path / "model" / "dataset.json").write_text("[]")
    with pytest.raises(UserError, match=r"model.dataset\.json lacks 'labels'"):
        evaluate_folder(truth, prediction)


def test_nothing_to_compare_is_an_error(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, prediction = folders
    write_mask(truth, "x", (1, 10))
    with pytest.raises(UserError, match="None of the 1 cases"):
        evaluate_folder(truth, prediction)
    with pytest.raises(UserError, match="Expected a folder"):
        evaluate_folder(truth, tmp_path / "nowhere")


@pytest.mark.slow
def test_many_processes_give_the_same_rows(folders: tuple[Path, Path]) -> None:
    truth, prediction = folders
    for number in range(3):
        write_mask(truth, f"x{number}", (1, 10))
        write_mask(prediction, f"x{number}", (1, 5 + number))
    one, two = (evaluate_folder(truth, prediction, num_processes=n).rows for n in (1, 2))
    pd.testing.assert_frame_equal(one, two)


def test_a_real_mask_against_itself_is_perfect(real_data: Path, tmp_path: Path) -> None:
    hippocampus = sorted((real_data / "hippocampus" / "labels").glob("*.nii.gz"))[:2]
    for folder in ("gt", "pred"):
        (tmp_path / folder).mkdir()
        for file in hippocampus:
            sitk.WriteImage(sitk.ReadImage(str(file)), str(tmp_path / folder / file.name))
    write_dataset(tmp_path, {"background": 0, "Anterior": 1, "Posterior": 2})
    result = evaluate_folder(tmp_path / "gt", tmp_path / "pred")
    assert result.headline["miou_mean"] == 1.0
    assert result.headline["structures_in_truth"] == 2
    files = write_evaluation(result, tmp_path / "out", tmp_path / "gt", tmp_path / "pred")
    assert all(file.is_file() for file in files)
