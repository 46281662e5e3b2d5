from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from nnunet_textguided.comparison.fairness import ComparisonError, check_fair
from nnunet_textguided.comparison.fingerprints import digest
from nnunet_textguided.comparison.grid import Grid, System
from nnunet_textguided.comparison.record import RunRecord
from nnunet_textguided.errors import UserError

GRID = Grid(
    "Dataset901_Toy",
    "2d",
    (0, 1),
    (System("Ours", "TextGuidedTrainer", ("TG", "TGSeed1")), System("U-Net", "nnUNetTrainer", ("nnUNetPlans",))),
)
CASES = {0: ("a", "b"), 1: ("c", "d")}
DETAILS: dict[str, Any] = {
    "truth": {"a.nii.gz": "1" * 64, "b.nii.gz": "2" * 64},
    "preprocessed": {"a.b2nd": "3" * 64},
    "dataset": {"labels": {"background": 0, "L5": 1}, "text_guidance.missing": {}},
    "plans": {"2d": {"batch_size": 12, "patch_size": [64, 64]}, "label_manager": "LabelManager"},
    "training_data": {"spacings": "4" * 64},
}


def record(run, **details) -> RunRecord:
    train = CASES[1 - run.fold]
    splits = {**dict.fromkeys(train, "train"), **dict.fromkeys(CASES[run.fold], "val")}
    content = {"splits": splits, **DETAILS, **details}
    empty = pd.DataFrame()
    fingerprints = {name: digest(value) for name, value in content.items()}
    return RunRecord(run, CASES[run.fold], empty, None, empty, empty, {}, fingerprints, content, {})


@pytest.fixture
def records() -> list[RunRecord]:
    return [record(run) for run in GRID.runs()]


def changed(records: list[RunRecord], number: int, **details) -> list[RunRecord]:
    """The records, one of them with other details."""
    return [record(r.run, **details) if i == number else r for i, r in enumerate(records)]


def test_systems_that_share_everything_are_fair_in_any_order_and_beside_others(records: list[RunRecord]):
    assert check_fair(GRID, records) == []
    stranger = record(replace(GRID.runs()[0], trainer="Other"), truth={})
    assert check_fair(GRID, [stranger, *reversed(records)]) == []


def test_missing_runs_are_all_named(records: list[RunRecord]):
    with pytest.raises(ComparisonError, match=r"2 of 6 runs.*TGSeed1__2d/fold_1.*nnUNetPlans__2d/fold_0.*--run"):
        check_fair(GRID, [*records[:3], records[5]])


def test_a_run_given_twice_is_refused(records: list[RunRecord]):
    with pytest.raises(ComparisonError, match="fold_0 was handed over twice"):
        check_fair(GRID, [*records, records[0]])


@pytest.mark.parametrize(
    ("aspect", "content", "message"),
    [
        ("splits", {"a": "val", "b": "val", "c": "train"}, r"the splits .*d = nothing instead of train.*splits_final"),
        ("truth", {"a.nii.gz": "1" * 64, "b.nii.gz": "9" * 64}, r"the truth.*b.nii.gz = 9{12}\.\.\. instead of 2{12}"),
        ("preprocessed", {"a.b2nd": "5" * 64}, r"the preprocessed data.*a.b2nd = 5{12}"),
        ("dataset", {"labels": {"background": 0, "L5": 2}}, r"dataset.json.*labels.L5 = 2 instead of 1"),
        ("training_data", {"spacings": "6" * 64}, r"the data set as their trainings found it.*spacings"),
    ],
)
def test_a_difference_names_both_systems_the_entry_and_what_to_do(records, aspect: str, content: dict, message: str):
    with pytest.raises(ComparisonError, match=rf"^Ours \(TG\) and U-Net differ in {message}"):
        check_fair(GRID, changed(records, 4, **{aspect: content}))
    with pytest.raises(ComparisonError, match="U-Net"):
        check_fair(GRID, changed(records, 4, **{aspect: content}), different_plans=True)


def test_repeats_of_one_system_must_agree_as_well(records: list[RunRecord]):
    with pytest.raises(ComparisonError, match=r"Ours \(TG\) and Ours \(TGSeed1\) differ in the truth.*fold 1"):
        check_fair(GRID, changed(records, 3, truth={"c.nii.gz": "0" * 64}))


def test_folds_of_one_model_must_share_labels_and_plans(records: list[RunRecord]):
    with pytest.raises(ComparisonError, match=r"dataset.json \(fold 0 and 1\)"):
        check_fair(GRID, [record(r.run, dataset={}) if r.run.fold == 1 else r for r in records])
    with pytest.raises(ComparisonError, match="outside text_guidance"):
        check_fair(GRID, [record(r.run, plans={}) if r.run.fold == 1 else r for r in records])


def test_folds_of_other_machines_must_have_the_same_preprocessed_data_of_what_both_name(records: list[RunRecord]):
    for content, fair in (({"a.b2nd": "5" * 64, "z.b2nd": "6" * 64}, False), ({"z.b2nd": "6" * 64}, True)):
        apart = [record(r.run, preprocessed=content) if r.run.fold == 1 else r for r in records]
        if fair:
            assert check_fair(GRID, apart) == []
        else:
            with pytest.raises(ComparisonError, match=r"preprocessed data \(fold 0 and 1\): a.b2nd = 555"):
                check_fair(GRID, apart)


def test_plans_that_differ_are_refused_by_key_or_listed(records: list[RunRecord]):
    other = {"2d": {"batch_size": 20, "patch_size": [64, 64]}, "experiment_planner_used": "ResEncUNetPlanner"}
    unfair = [record(r.run, plans=other) if r.run.trainer == "nnUNetTrainer" else r for r in records]
    with pytest.raises(ComparisonError) as caught:
        check_fair(GRID, unfair)
    text = str(caught.value)
    for part in (
        "Ours (TG)",
        "U-Net (nnUNetPlans)",
        "2d.batch_size = 20 instead of 12",
        "experiment_planner_used = ResEncUNetPlanner instead of nothing",
        "--different-plans",
    ):
        assert part in text
    assert "patch_size" not in text
    notes = check_fair(GRID, unfair, different_plans=True)
    assert len(notes) == 3  # batch size, label manager, planner: once, not once a fold
    assert notes[0] == "Plans differ from those of Ours (TG): U-Net has 2d.batch_size = 20 instead of 12."


def test_long_differences_are_cut(records: list[RunRecord]):
    truth = {f"case_{number}.nii.gz": "7" * 64 for number in range(30)}
    with pytest.raises(ComparisonError, match=r"and 26 more\."):
        check_fair(GRID, changed(records, 4, truth=truth))


def test_fingerprints_that_differ_without_details_are_refused_all_the_same(records: list[RunRecord]):
    records[4] = replace(records[4], fingerprints={**records[4].fingerprints, "truth": "0" * 64})
    with pytest.raises(ComparisonError, match="details were not kept"):
        check_fair(GRID, records)


def test_a_model_without_its_copy_of_the_dataset_fingerprint_is_let_through(records: list[RunRecord]):
    fingerprints = {name: value for name, value in records[4].fingerprints.items() if name != "training_data"}
    records[4] = replace(records[4], fingerprints=fingerprints)
    assert check_fair(GRID, records) == []
    del fingerprints["truth"]
    with pytest.raises(ComparisonError, match="the truth"):
        check_fair(GRID, records)


def test_unequal_case_lists_name_the_cases(records: list[RunRecord]):
    records[5] = replace(records[5], cases=("c", "e"))
    with pytest.raises(ComparisonError, match=r"cases in fold 1: only Ours \(TG\) has d; only U-Net has e"):
        check_fair(GRID, records)


def test_a_case_in_two_folds_is_named(records: list[RunRecord]):
    twice = [replace(r, cases=("a", "d")) if r.run.fold == 1 else r for r in records]
    with pytest.raises(ComparisonError, match="case a is validated by fold 0 and by fold 1"):
        check_fair(GRID, twice)
    with pytest.raises(ComparisonError, match="fold 0 lists a more than once"):
        check_fair(GRID, [replace(r, cases=("a", "a")) if r.run.fold == 0 else r for r in records])


def test_the_error_is_one_of_the_users():
    assert issubclass(ComparisonError, UserError)
