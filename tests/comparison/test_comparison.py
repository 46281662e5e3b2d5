from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pandas as pd
import pytest
from toy_records import FOLDS, GRID, toy_record, toy_records

from nnunet_textguided.comparison.comparison import CompareOptions, compare
from nnunet_textguided.comparison.cost_table import cost_table
from nnunet_textguided.comparison.grid import Grid, Run, System
from nnunet_textguided.comparison.groups import DEFAULT_UPPER, Cut, groups_of
from nnunet_textguided.comparison.markdown import to_markdown
from nnunet_textguided.comparison.notes import notes_of
from nnunet_textguided.errors import UserError
from nnunet_textguided.spine import SPINE_STRUCTURES

QUICK = CompareOptions(bootstrap_repeats=20)
TABLES = ("overall", "structures", "groups", "findings", "costs", "statistics", "upper_lower", "spider", "case_scores")
PAIR = Grid(GRID.dataset, GRID.configuration, GRID.folds, GRID.systems[:2])


def edited(record, table: str, column: str, row: int, value):
    changed = getattr(record, table).copy()
    changed.loc[row, column] = value
    return dataclasses.replace(record, **{table: changed})


def mute(records: list) -> list:
    """The same without findings, for what does not concern them."""
    return [dataclasses.replace(record, findings=None) for record in records]


def frames_equal(one: pd.DataFrame, other: pd.DataFrame, keys: list[str]) -> None:
    one, other = (t.sort_values(keys, ignore_index=True) for t in (one, other))
    pd.testing.assert_frame_equal(one, other, check_like=True, rtol=0, atol=1e-12)


def keys_of(table: pd.DataFrame) -> list[str]:
    return [name for name in ("system", "structure", "group", "finding", "measure", "case") if name in table]


def test_order_of_records_and_of_cases_within_them_does_not_matter(records, comparison):
    shuffled = []
    for record in reversed(records):
        order = np.random.default_rng(1).permutation(len(record.cases))
        rank = {case: k for k, case in enumerate(record.cases[i] for i in order)}
        tables = {
            name: getattr(record, name).sort_values("case", key=lambda cases: cases.map(rank), kind="stable")
            for name in ("structures", "instances", "shifts", "findings")
            if getattr(record, name) is not None
        }
        shuffled.append(dataclasses.replace(record, cases=tuple(rank), **tables))
    options = CompareOptions(**{k: v for k, v in comparison.provenance["options"].items() if k != "reference"})
    found = compare(GRID, shuffled, options)
    for name in TABLES:
        frames_equal(getattr(found, name), getattr(comparison, name), keys_of(getattr(found, name)))


def test_order_of_systems_does_not_matter_once_the_reference_is_named(records, comparison):
    grid = dataclasses.replace(GRID, systems=GRID.systems[::-1])
    options = {**comparison.provenance["options"], "reference": "Reference"}
    found = compare(grid, records, CompareOptions(**options))
    for name in TABLES:
        frames_equal(getattr(found, name), getattr(comparison, name), keys_of(getattr(found, name)))


def test_another_reference_flips_the_signs(records):
    forth = compare(PAIR, records, QUICK).statistics.set_index("measure")
    back = compare(PAIR, records, dataclasses.replace(QUICK, reference="Repeated")).statistics.set_index("measure")
    assert set(back["reference"]) == {"Repeated"}
    for name in ("difference", "d_z", "cohens_d"):
        np.testing.assert_allclose(back[name], -forth[name], rtol=0, atol=1e-12)
    np.testing.assert_allclose(back["low"], -forth["high"], rtol=0, atol=1e-12)
    for name in ("wilcoxon_p", "t_p", "bootstrap_p"):
        np.testing.assert_allclose(back[name], forth[name], rtol=0, atol=1e-12)


def test_identical_systems_differ_in_nothing_and_raise_no_warning(records):
    grid = dataclasses.replace(GRID, systems=(GRID.systems[0], GRID.systems[2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(grid, records, QUICK).statistics
    of_cases = found[~found["measure"].str.startswith("finding_")]
    assert (of_cases[["difference", "low", "high", "d_z", "cohens_d"]] == 0).all(axis=None)
    assert (of_cases[["wilcoxon_p", "wilcoxon_p_holm", "t_p", "t_p_holm"]] == 1).all(axis=None)
    of_findings = found[found["measure"].str.startswith("finding_")]
    assert len(of_findings) == 5
    assert (of_findings[["difference", "low", "high"]] == 0).all(axis=None)
    assert (of_findings[["bootstrap_p", "bootstrap_p_holm"]] == 1).all(axis=None)


def test_one_case_has_means_but_no_statistics_and_says_so():
    grid = dataclasses.replace(GRID, folds=(0,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = compare(grid, [toy_record(run, ("toy_001",)) for run in grid.runs()], QUICK)
    assert found.overall["miou_mean"].notna().all()
    assert found.overall["miou_sd"].isna().all()
    assert len(found.statistics) == 0
    assert found.findings[["auroc_low", "auroc_high"]].isna().all(axis=None)
    assert found.upper_lower[["difference", "wilcoxon_p", "d_z"]].isna().all(axis=None)
    assert any("One case only (toy_001): no statistics" in note for note in found.notes)
    assert "One case only" in to_markdown(found)


def test_one_system_has_nothing_to_be_compared_with(records):
    found = compare(dataclasses.replace(GRID, systems=GRID.systems[:1]), records, QUICK)
    assert len(found.statistics) == 0
    assert len(found.overall) == 1
    assert any("One system only" in note for note in found.notes)
    assert "mIoU" in to_markdown(found)


def test_labels_that_are_no_spine_have_one_group_and_no_upper_lower_or_challenge_score():
    made = []
    for run in PAIR.runs():
        record = toy_record(run, FOLDS[run.fold], ("liver", "spleen"))
        made.append(dataclasses.replace(record, findings=None, instances=pd.DataFrame(), shifts=pd.DataFrame()))
    found = compare(PAIR, made, QUICK)
    assert set(found.groups["group"]) == {"all"}
    np.testing.assert_allclose(found.groups["dice_mean"], found.overall["mdice_mean"], rtol=0, atol=1e-12)
    assert len(found.upper_lower) == 0
    assert found.spider is None
    assert set(found.structures["in_headline"]) == {True}
    assert not any("Cut" in rule for rule in found.rules)
    with pytest.raises(UserError, match="no spine"):
        compare(PAIR, made, CompareOptions(upper=("liver",)))


def test_default_cut_is_thoracic_against_lumbar():
    assert set(DEFAULT_UPPER) == {"T9", "T10", "T11", "T12", "T9/T10", "T10/T11", "T11/T12", "T12/L1"}
    assert set(Cut().lower) == {"L1", "L2", "L3", "L4", "L5", "S", "L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S"}


def test_another_cut_moves_the_groups_and_is_printed(records):
    found = compare(PAIR, mute(records), dataclasses.replace(QUICK, upper=("L1/L2", "T9", "L1")))
    sizes = found.groups[found.groups["system"] == "Reference"].set_index("group")["structures"]
    assert (sizes["upper"], sizes["lower"]) == (3, 16)
    assert any("upper = L1, T9, L1/L2; lower = S, L5" in rule for rule in found.rules)


def test_what_is_excluded_counts_for_no_mean(records):
    found = compare(PAIR, mute(records), dataclasses.replace(QUICK, exclude=("S", "T9")))
    sizes = found.groups[found.groups["system"] == "Reference"].set_index("group")["structures"]
    assert dict(sizes) == {"vertebrae": 8, "discs": 9, "upper": 7, "lower": 10}
    rows = pd.concat([r.structures for r in records if r.run.trainer == "RefTrainer"])
    rows = rows[rows["structure"].isin(set(SPINE_STRUCTURES) - {"S", "T9"}) & rows["status"].isin(["scored", "missed"])]
    expected = rows.groupby("case")["iou"].mean().mean()
    assert found.overall.set_index("system").at["Reference", "miou_mean"] == pytest.approx(expected, abs=1e-12)


def test_groups_leave_out_what_has_no_counted_structure():
    assert "upper" not in groups_of(SPINE_STRUCTURES, ["L5", "L5/S"], Cut())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "Nobody"}, "No system is called 'Nobody'.*Reference, Repeated"),
        ({"upper": ("T8",)}, "got T8"),
        ({"upper": SPINE_STRUCTURES}, "19 of the 19"),
        ({"upper": ()}, "0 of the 19"),
        ({"exclude": ("tail",)}, "tail"),
        ({"exclude": SPINE_STRUCTURES}, "exclude fewer"),
        ({"bootstrap_repeats": 0}, "at least 1"),
    ],
)
def test_options_that_name_nothing_are_refused(records, options, message):
    with pytest.raises(UserError, match=message):
        compare(PAIR, records, CompareOptions(**options))


def test_a_run_without_record_is_named(records):
    with pytest.raises(UserError, match="RefTrainer__plansA__2d/fold_1"):
        compare(PAIR, [r for r in records if r.run != PAIR.runs()[1]], QUICK)


def test_a_case_in_two_folds_is_named():
    made = toy_records(PAIR)
    made[1] = toy_record(made[1].run, (*FOLDS[1], "toy_004"))
    with pytest.raises(UserError, match=r"fold_1: another fold validated toy_004 as well"):
        compare(PAIR, made, QUICK)


def test_systems_of_other_cases_are_refused():
    made = toy_records(PAIR)
    made[3] = toy_record(made[3].run, FOLDS[1][1:])
    with pytest.raises(UserError, match=r"RefTrainer__plansA__2d and RepTrainer__plansB__2d.*toy_001"):
        compare(PAIR, made, QUICK)


@pytest.mark.parametrize("column", ["iou", "dice", "recall", "hd95_mm", "assd_mm"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_score_that_is_not_a_number_is_refused_with_its_case(column, value):
    made = toy_records(PAIR)
    row = made[0].structures.index[made[0].structures["status"] == "scored"][5]
    made[0] = edited(made[0], "structures", column, row, value)
    case = made[0].structures.at[row, "case"]
    with pytest.raises(UserError, match=rf"fold_0: case {case}.*not a number"):
        compare(PAIR, made, QUICK)


def test_a_probability_that_is_not_a_number_is_refused_where_the_truth_is_known():
    made = toy_records(PAIR)
    findings = made[0].findings
    known, unknown = (findings.index[findings["truth"].notna() == there][0] for there in (True, False))
    compare(PAIR, [edited(made[0], "findings", "probability", unknown, np.nan), *made[1:]], QUICK)
    with pytest.raises(UserError, match="probability is not a number"):
        compare(PAIR, [edited(made[0], "findings", "probability", known, np.inf), *made[1:]], QUICK)


def test_a_case_missing_from_the_scores_is_named():
    made = toy_records(PAIR)
    made[0] = dataclasses.replace(made[0], structures=made[0].structures.query("case != 'toy_006'"))
    with pytest.raises(UserError, match="toy_006"):
        compare(PAIR, made, QUICK)


def test_distances_that_are_not_defined_are_dropped_and_counted():
    made = toy_records(PAIR)
    table = made[0].structures.copy()
    found = (table["case"] == "toy_002") & (table["status"] == "scored")
    table.loc[found, "status"], table.loc[found, ["hd95_mm", "assd_mm"]] = "missed", np.nan
    made[0] = dataclasses.replace(made[0], structures=table)
    row = compare(PAIR, mute(made), QUICK).statistics.set_index("measure").loc["hd95_mm"]
    assert (row["n"], row["dropped"]) == (19, 1)


def test_costs_are_means_over_the_runs_that_measured_them(comparison, records):
    table = comparison.costs.set_index("system")
    assert table.at["Reference", "parameters"] == 40000
    assert table.at["Reference", "seconds_per_epoch"] == pytest.approx((8 + 9) / 2)
    assert table.at["Reference", "training_minutes"] == pytest.approx(5 * (8 + 9) / 2 / 60)
    assert set(table["iterations"]) == {1250}
    assert table.at["Reference", "seconds_per_case"] == pytest.approx(2.0)  # measured on one fold
    assert table.at["Repeated", "seconds_per_epoch"] == pytest.approx((5 + 6 + 6 + 7) / 4)
    assert table["training_memory_mb"].isna().all()
    assert set(table["device"]) == set(table["inference_device"]) == {"toy processor"}
    bare = cost_table({"A": [dataclasses.replace(records[0], costs={})]})
    assert bare.drop(columns="system").iloc[0].tolist() == [None] * 9


def test_costs_of_different_devices_are_not_to_be_compared():
    made = toy_records(PAIR)
    made[0] = dataclasses.replace(made[0], costs={**made[0].costs, "device": "another"})
    assert any("another, toy processor" in note for note in compare(PAIR, mute(made), QUICK).notes)


def test_provenance_names_every_run_and_the_versions(comparison):
    found = comparison.provenance
    assert len(found["runs"]) == 10
    run = found["runs"]["Dataset900_Toy/RepTrainer__plansC__2d/fold_1"]
    assert run["provenance"] == {"checkpoint": "cccccccc"}
    assert run["fingerprints"] == {"splits": "s", "truth": "t"}
    assert run["details"] == {"epochs": 5, "seed": 7}
    assert {"scipy", "numpy", "pandas", "scikit-learn"} <= found["statistics"].keys()
    assert found["options"]["seed"] == 4


def test_rules_say_what_a_reader_must_know(comparison):
    text = " ".join(comparison.rules)
    for part in ("20 cases", "scores 0 (missed", "Cut between levels: upper = T12", "Holm", "25 resamples, seed 4"):
        assert part in text
    assert "chosen for each fold on the other 1" in text


def test_a_system_may_use_the_runs_of_another():
    twice = Grid(GRID.dataset, "2d", (0, 1), (GRID.systems[1], System("Best half", "RepTrainer", ("plansC",))))
    found = compare(twice, mute(toy_records(twice)), QUICK)
    assert list(found.overall["repeats"]) == [2, 1]
    assert Run(GRID.dataset, "2d", "RepTrainer", "plansC", 0) in twice.runs()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "a GPU"}, ["The training was measured on different devices (a GPU, toy processor)"]),
        ({"inference_device": "a GPU"}, ["The prediction was measured on different devices (a GPU, toy processor)"]),
        ({"iterations": 600}, ["different numbers of iterations: 600 of Repeated; 1250 of Reference, Repeated"]),
        ({"device": None, "inference_device": None, "iterations": None}, []),
    ],
)
def test_costs_that_are_not_alike_are_noted(changes, words):
    made = toy_records(PAIR)
    made[-1] = dataclasses.replace(made[-1], costs={**made[-1].costs, **changes})
    notes = notes_of(["a", "b"], {"Reference": made[:2], "Repeated": made[2:]}, None)
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))
