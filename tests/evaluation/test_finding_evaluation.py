from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from nnunet_textguided.cli.main import main
from nnunet_textguided.errors import UserError
from nnunet_textguided.evaluation.finding_evaluation import evaluate_findings, read_predictions, read_truth
from nnunet_textguided.evaluation.folds import evaluate_finding_folds, evaluate_folds, store_operating_points
from nnunet_textguided.evaluation.operating_points import choose_operating_points

TRUTH = "case,structure,finding,present,x_mm,y_mm,z_mm\n"
PREDICTED = "case,structure,finding,probability,threshold,present,x_mm,y_mm,z_mm\n"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_decisions_are_scored_by_the_models_operating_points(tmp_path: Path):
    truth = write(tmp_path / "t.csv", TRUTH + "a,d,x,1,0,0,0\na,e,x,0,,,\nb,d,x,1,,,\nb,e,x,0,,,\n")
    predicted = write(
        tmp_path / "p.csv",
        PREDICTED + "a,d,x,0.4,0.3,1,0,0,5\na,e,x,0.2,0.3,0,9,9,9\nb,e,x,0.35,0.3,1,0,0,0\nb,z,x,0.9,0.3,1,1,1,1\n",
    )
    result = evaluate_findings(read_predictions(predicted), read_truth(truth), {"a", "b"})
    row = result.scores.loc["x"]
    # a/d found, a/e rightly not, b/d was not segmented: missed, b/e falsely found; b/z was never assessed
    assert (row["n"], row["n_present"]) == (4, 2)
    assert (row["recall"], row["fpr"], row["precision"]) == (0.5, 0.5, 0.5)
    assert result.points["hits"] == 1
    missing = result.table[(result.table.case == "b") & (result.table.structure == "d")].iloc[0]
    assert (missing.probability, bool(missing.segmented), bool(missing.positive)) == (0.0, False, False)


def test_without_points_there_is_no_point_rule(tmp_path: Path):
    truth = write(tmp_path / "t.csv", "case,structure,finding,present\na,d,x,1\n")
    predicted = write(tmp_path / "p.csv", PREDICTED + "a,d,x,0.4,0.3,1,0,0,5\n")
    assert evaluate_findings(read_predictions(predicted), read_truth(truth), {"a"}).points is None


def test_nothing_assessed_is_an_error(tmp_path: Path):
    truth = write(tmp_path / "t.csv", TRUTH + "a,d,x,1,,,\n")
    predicted = write(tmp_path / "p.csv", PREDICTED + "b,d,x,0.4,0.3,1,0,0,5\n")
    with pytest.raises(UserError, match="nothing to score"):
        evaluate_findings(read_predictions(predicted), read_truth(truth), {"b"})


@pytest.mark.parametrize("content", [None, "case,structure\n", ""])
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, content: str | None):
    path = tmp_path / "findings.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"findings\.csv"):
        read_predictions(path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Three folds of two cases each, with masks and findings."""
    model, truth = tmp_path / "T__P__2d", tmp_path / "data" / "labelsTr"
    truth.mkdir(parents=True)
    (model).mkdir()
    labels = {"background": 0, "d": 1, "e": 2}
    (model / "dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
    (model / "plans.json").write_text(json.dumps({"text_guidance": {"findings": {}}, "kept": 1}))
    rng = np.random.default_rng(0)
    rows = []
    for case in range(6):
        folder = model / f"fold_{case % 3}" / "validation"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").write_text("{}")
        array = np.zeros((2, 6, 6), np.uint8)
        array[:, :3], array[:, 3:] = 1, 2
        sitk.WriteImage(sitk.GetImageFromArray(array), str(truth / f"c{case}.nii.gz"))
        array[0, 0] = 0 if case else 1
        sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / f"c{case}.nii.gz"))
        for structure in "de":
            present = int(rng.random() < 0.5)
            rows.append((f"c{case}", structure, "x", present, round(0.2 + 0.1 * present + 0.15 * rng.random(), 3)))
    table = pd.DataFrame(rows, columns=["case", "structure", "finding", "truth", "probability"])
    table.rename(columns={"truth": "present"}).drop(columns="probability").to_csv(
        truth.parent / "findings.csv", index=False
    )
    table["segmented"], table["threshold"] = True, 0.5
    for fold in range(3):
        own = table["case"].isin([f"c{fold}", f"c{fold + 3}"])
        table[own].to_csv(model / f"fold_{fold}" / "validation" / "findings.csv", index=False)
    return model


def test_folds_are_one_result_over_all_cases(model: Path):
    result = evaluate_folds(model, model.parent / "data" / "labelsTr")
    assert sorted(result.cases["case"]) == [f"c{n}" for n in range(6)]
    assert result.cases.set_index("case").loc["c0"].filter(like="iou").iloc[0] == 1.0


def test_folds_findings_are_decided_by_the_other_folds(model: Path):
    result = evaluate_finding_folds(model, model.parent / "data" / "findings.csv")
    assert result.scores.loc["x", "n"] == 12
    assert "other 2 folds" in result.thresholds
    assert result.table["positive"].any()  # at 0.5 nothing would be


def test_stored_operating_points_are_those_of_all_folds_and_nothing_else_changes(model: Path):
    points = store_operating_points(model)
    plans = json.loads((model / "plans.json").read_text())
    assert plans == {"text_guidance": {"findings": {}, "operating_points": points}, "kept": 1}
    parts = [pd.read_csv(model / f"fold_{n}" / "validation" / "findings.csv") for n in range(3)]
    pooled = pd.concat(parts).rename(columns={"truth": "present"})
    assert points == {k: pytest.approx(v, abs=1e-6) for k, v in choose_operating_points(pooled).items()}


def test_a_case_of_two_folds_is_an_error(model: Path):
    (model / "fold_1" / "validation" / "c0.nii.gz").write_bytes(
        (model / "fold_0" / "validation" / "c0.nii.gz").read_bytes()
    )
    with pytest.raises(UserError, match="two folds"):
        evaluate_folds(model, model.parent / "data" / "labelsTr")


def test_command_prints_and_writes_both_tables(model: Path, capsys: pytest.CaptureFixture[str]):
    truth = str(model.parent / "data" / "labelsTr")
    assert main(["evaluate", truth, "--folds", str(model), "--set-operating-points"]) == 0
    shown = capsys.readouterr().out
    assert "mIoU" in shown
    assert "all findings" in shown
    assert "Operating points stored: x" in shown
    content = json.loads((model / "out_of_fold" / "findings_evaluation.json").read_text())
    assert content["findings"]["x"]["n"] == 12
    assert (model / "out_of_fold" / "evaluation.csv").is_file()


@pytest.mark.parametrize("arguments", [[], ["p", "--folds", "m"], ["p", "--set-operating-points"]])
def test_command_wants_one_thing_to_evaluate(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["evaluate", "t", *arguments]) == 2
    assert "--folds" in capsys.readouterr().err
