from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from scipy.spatial.distance import cdist
from sklearn.metrics import f1_score, jaccard_score
from toy import (
    FINDINGS,
    SPACING_MM,
    ToyDataset,
    stand_in_for_spine_scores,
    toy_plans,
    write_json,
    write_mask,
    write_toy_dataset,
)

from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.comparison.scoring import score_run, scoring_pool
from nnunet_textguided.errors import UserError

BLOCK = {"findings": {name: {} for name in FINDINGS}, "seed": 3, "bank": {"sha256": "ab"}}
NO_SPINE = {"background": 0, **{f"organ {code}": code for code in range(1, 8)}}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyDataset:
    stand_in_for_spine_scores(monkeypatch)
    return write_toy_dataset(tmp_path, cases=20)


def predicted(toy: ToyDataset, run, case: str) -> np.ndarray:
    folder = run.fold_folder(toy.folders.results) / "validation"
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}.nii.gz")))


def border_points(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    inner = np.logical_and.reduce([np.roll(padded, step, axis) for axis in range(3) for step in (-1, 1)])
    return np.argwhere(padded & ~inner) * np.array(SPACING_MM)


def test_every_number_equals_an_independent_computation(toy: ToyDataset):
    run = toy.run()
    toy.write_model(run, quality=0.6)
    record = score_run(run, toy.folders)
    assert record.cases == tuple(toy.folds[0])
    assert len(record.structures) == 10 * 7
    seen = set()
    for row in record.structures.to_dict("records"):
        truth = toy.truths[row["case"]] == toy.labels[row["structure"]]
        prediction = predicted(toy, run, row["case"]) == toy.labels[row["structure"]]
        seen.add(row["status"])
        if truth.any():
            assert row["iou"] == pytest.approx(jaccard_score(truth.ravel(), prediction.ravel()), abs=1e-10)
            assert row["dice"] == pytest.approx(f1_score(truth.ravel(), prediction.ravel()), abs=1e-10)
        if truth.any() and prediction.any():
            pairs = cdist(border_points(truth), border_points(prediction))
            distances = np.concatenate([pairs.min(0), pairs.min(1)])
            assert row["hd95_mm"] == pytest.approx(np.percentile(distances, 95), abs=1e-10)
            assert row["assd_mm"] == pytest.approx(distances.mean(), abs=1e-10)
        else:
            assert np.isnan([row["hd95_mm"], row["assd_mm"]]).all()
    assert seen >= {"scored", "missed", "absent"}


def test_a_record_survives_being_written_and_read(toy: ToyDataset, tmp_path: Path):
    run = toy.run("TextGuidedTrainer", "nnUNetPlansTextGuided")
    toy.write_model(run, findings=True, plans=toy_plans(run.plans, BLOCK))
    record = score_run(run, toy.folders)
    record.save(tmp_path / "records")
    back = RunRecord.load(tmp_path / "records", run)
    for name in ("structures", "findings", "instances", "shifts"):
        pd.testing.assert_frame_equal(getattr(back, name), getattr(record, name), check_dtype=False)
    assert back.cases == record.cases
    for name in ("costs", "fingerprints", "details", "provenance"):
        assert getattr(back, name) == getattr(record, name)


def test_findings_get_the_truth_of_the_data_set_and_zero_where_not_segmented(toy: ToyDataset):
    run = toy.run("TextGuidedTrainer", "nnUNetPlansTextGuided")
    fold = toy.write_model(run, quality=0.4, findings=True, plans=toy_plans(run.plans, BLOCK))
    written = pd.read_csv(fold / "validation" / "findings.csv")
    unsegmented = written[~written["segmented"]]
    assert len(unsegmented) > 3
    written["truth"] = 1 - written["truth"]  # what an older validation might say is not believed
    written.to_csv(fold / "validation" / "findings.csv", index=False)
    findings = score_run(run, toy.folders).findings
    assert list(findings.columns) == ["case", "structure", "finding", "truth", "probability"]
    keys = ["case", "structure", "finding"]
    joined = findings.merge(toy.findings, on=keys, how="left")
    np.testing.assert_array_equal(joined["truth"], joined["present"])
    known = toy.findings[toy.findings["case"].isin(toy.folds[0])]
    assert findings["truth"].notna().sum() == len(known)
    zero = findings.merge(unsegmented[keys], on=keys)
    assert len(zero) == len(unsegmented)
    assert (zero["probability"] == 0).all()
    own = findings.merge(written[written["segmented"]], on=keys, suffixes=("", "_written"))
    np.testing.assert_array_equal(own["probability"], own["probability_written"])


def test_findings_a_model_was_not_trained_for_are_not_asked_of_it(toy: ToyDataset):
    run = toy.run("TextGuidedTrainer", "nnUNetPlansTextGuided")
    plans = toy_plans(run.plans, {"findings": {FINDINGS[0]: {}}})
    fold = toy.write_model(run, findings=True, plans=plans)
    path = fold / "validation" / "findings.csv"
    table = pd.read_csv(path)
    table[table["finding"] == FINDINGS[0]].to_csv(path, index=False)
    assert set(score_run(run, toy.folders).findings["finding"]) == {FINDINGS[0]}


def test_without_findings_csv_of_the_data_set_the_models_own_truth_counts(toy: ToyDataset):
    fold = toy.write_model(toy.run(), findings=True)
    for folder in (toy.preprocessed, toy.folders.raw / toy.name):
        (folder / "findings.csv").unlink()
    written = pd.read_csv(fold / "validation" / "findings.csv")
    findings = score_run(toy.run(), toy.folders).findings
    assert findings["truth"].sum() == written["truth"].sum()
    written.drop(columns="truth").to_csv(fold / "validation" / "findings.csv", index=False)
    with pytest.raises(UserError, match="no column 'truth'"):
        score_run(toy.run(), toy.folders)


def test_findings_of_a_case_the_fold_does_not_validate_are_refused(toy: ToyDataset):
    fold = toy.write_model(toy.run(), findings=True)
    path = fold / "validation" / "findings.csv"
    pd.read_csv(path).assign(case=lambda t: t["case"].replace("case_00", "case_01")).to_csv(path, index=False)
    with pytest.raises(UserError, match="findings of case_01"):
        score_run(toy.run(), toy.folders)


def test_a_model_without_findings_has_none(toy: ToyDataset):
    toy.write_model(toy.run())
    assert score_run(toy.run(), toy.folders).findings is None


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, pytest.param(partial(scoring_pool, 2), marks=pytest.mark.slow)])
def test_labels_that_are_no_spine_get_no_instances_and_a_pool_changes_nothing(tmp_path: Path, pool):
    toy = write_toy_dataset(tmp_path, cases=6, labels=NO_SPINE)
    toy.write_model(toy.run())
    serial = score_run(toy.run(), toy.folders)
    assert (len(serial.instances), len(serial.shifts)) == (0, 0)
    with pool() as workers:
        parallel = score_run(toy.run(), toy.folders, pool=workers)
    pd.testing.assert_frame_equal(parallel.structures, serial.structures)
    assert len(serial.structures) == 3 * 7


def test_spine_scores_are_those_of_their_modules(tmp_path: Path):
    pytest.importorskip("nnunet_textguided.comparison.spider_score")
    pytest.importorskip("nnunet_textguided.comparison.level_shift")
    toy = write_toy_dataset(tmp_path, cases=4)
    toy.write_model(toy.run(), quality=1.0)
    record = score_run(toy.run(), toy.folders)
    assert set(record.instances["case"]) == set(record.cases)
    assert (record.shifts["shift"].dropna() == 0).all()


def test_spine_scores_see_mm_codes_and_every_name_also_those_the_source_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from nnunet_textguided.comparison import case_scoring

    toy = write_toy_dataset(tmp_path, cases=2, text_guidance={"missing": {"case": ["T11"]}})
    toy.write_model(toy.run())
    calls = []
    monkeypatch.setattr(case_scoring, "spine_rows", lambda *call: (calls.append(call), ([], float("nan")))[1])
    record = score_run(toy.run(), toy.folders)
    (case, truth, prediction, spacing, names) = calls[0]
    assert spacing == SPACING_MM
    np.testing.assert_array_equal(truth, toy.truths[case])
    np.testing.assert_array_equal(prediction, predicted(toy, toy.run(), case))
    assert names == {code: name for name, code in toy.labels.items() if name != "background"}
    assert record.shifts["shift"].isna().all()
    own = record.structures[record.structures["structure"] == "T11"]
    assert own[["iou", "hd95_mm", "assd_mm"]].isna().all().all()


def test_regions_are_measured_as_unions_and_ignored_voxels_not_at_all(tmp_path: Path):
    labels = {"background": 0, "both": [1, 2], "one": 2, "ignore": 3}
    toy = write_toy_dataset(tmp_path, cases=2, labels=labels, regions_class_order=[1, 2])
    truth, prediction = np.zeros((2, 4, 60, 20), np.uint8)
    truth[1:3, 5:15, 5:15] = 1
    truth[1:3, 15:20, 5:15] = 2
    truth[:, 40:] = 3
    prediction[1:3, 5:21, 5:15] = 2
    prediction[:, 45:50] = 1  # where nobody knows
    case = toy.folds[0][0]
    write_mask(toy.preprocessed / "gt_segmentations" / f"{case}.nii.gz", truth)
    toy.write_model(toy.run())
    write_mask(toy.run().fold_folder(toy.folders.results) / "validation" / f"{case}.nii.gz", prediction)
    both, one = score_run(toy.run(), toy.folders).structures.to_dict("records")
    # both masks are two slices thick, so all 300 and 320 voxels are border; 20 of them lie one row too far
    assert both["assd_mm"] == pytest.approx(20 * SPACING_MM[1] / 620)
    assert both["iou"] == pytest.approx(15 / 16)
    assert one["hd95_mm"] > 10


def test_a_prediction_of_other_geometry_is_refused(toy: ToyDataset):
    fold = toy.write_model(toy.run())
    write_mask(fold / "validation" / "case_00.nii.gz", toy.truths["case_00"], origin=7.0)
    with pytest.raises(UserError, match=r"case_00.*differ in origin"):
        score_run(toy.run(), toy.folders)


def test_an_unfinished_run_is_refused(toy: ToyDataset):
    fold = toy.write_model(toy.run())
    (fold / "checkpoint_final.pth").unlink()
    with pytest.raises(UserError, match="is unfinished"):
        score_run(toy.run(), toy.folders)
    with pytest.raises(UserError, match="folds 0 to 1, got fold 5"):
        score_run(toy.run(fold=5), toy.folders)


def test_provenance_tells_versions_hashes_and_hardware_but_no_names_of_machines_or_folders(
    toy: ToyDataset, tmp_path: Path
):
    import hashlib
    import platform

    run = toy.run("TextGuidedTrainer", "nnUNetPlansTextGuided")
    fold = toy.write_model(run, plans=toy_plans(run.plans, {**BLOCK, "encoder_weights": "/home/me/w.pth"}))
    unread = score_run(run, toy.folders, tmp_path / "records").provenance  # as of a U-Net with the same plans
    assert [unread[name] for name in ("seed", "text_bank", "encoder_weights")] == [None] * 3
    debug = json.loads((fold / "debug.json").read_text())
    write_json(fold / "debug.json", {**debug, "guidance": "TextGuidance(...)"})
    about = score_run(run, toy.folders, tmp_path / "records").provenance
    assert about["checkpoint"] == hashlib.sha256((fold / "checkpoint_final.pth").read_bytes()).hexdigest()
    assert about["versions"]["numpy"] == np.__version__
    assert {"nnunetv2", "torch", "MedPy", "nnunet_textguided", "python"} <= about["versions"].keys()
    assert (about["seed"], about["text_bank"], about["training_torch"]) == (3, "ab", "2.9.9")
    assert about["hardware"]["training"] == "cpu"
    assert about["hardware"]["scoring"]["cores"] >= 1
    assert about["scored"].endswith("+00:00")
    text = json.dumps(about)
    assert not [name for name in ("secret-host", "/home", str(tmp_path), platform.node()) if name and name in text]
    write_json(tmp_path / "records" / run.name / "training_cost.json", {"device": "A GPU"})
    assert score_run(run, toy.folders, tmp_path / "records").provenance["hardware"]["training"] == "A GPU"
