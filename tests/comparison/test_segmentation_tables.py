from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracle import GROUPS, LOWER, TRAINERS, UPPER, case_values, mean, rows, score, sd
from scipy import stats
from toy_records import REPEATS, SEED, STRUCTURES

from nnunet_textguided.comparison.case_scores import mean_over_repeats, score_cases
from nnunet_textguided.evaluation.summary import headline, per_case, per_structure
from nnunet_textguided.evaluation.task import EvaluationTask, Structure

EXACT = 1e-10
SYSTEMS = list(TRAINERS)
HEADLINE = [*UPPER, *LOWER]
MEASURES = {"miou": "iou", "mdice": "dice", "hd95_mm": "hd95_mm", "assd_mm": "assd_mm", "recall": "recall"}


def expected_scores(records) -> dict[str, tuple[str, list[str]]]:
    every = {name: (column, HEADLINE) for name, column in MEASURES.items()}
    for group, names in GROUPS.items():
        every |= {f"{column}_{group}": (column, names) for column in ("dice", "iou", "hd95_mm", "assd_mm")}
    return every


@pytest.mark.parametrize("system", SYSTEMS)
def test_case_scores_are_means_over_structures_then_repeats(comparison, records, system):
    table = comparison.case_scores[comparison.case_scores["system"] == system]
    wide = table.pivot(index="case", columns="measure", values="value")
    every = expected_scores(records)
    assert set(wide) == set(every)
    for name, (column, names) in every.items():
        expected = case_values(records, system, column, names)
        assert list(wide.index) == list(expected)
        np.testing.assert_allclose(wide[name].to_numpy(), list(expected.values()), rtol=0, atol=EXACT, err_msg=name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_overall_is_mean_and_sd_over_cases(comparison, records, system):
    row = comparison.overall.set_index("system").loc[system]
    trainer, plans = TRAINERS[system]
    assert (row["trainer"], row["plans"], row["repeats"]) == (trainer, ", ".join(plans), len(plans))
    assert row["cases"] == 20
    for name, column in MEASURES.items():
        values = list(case_values(records, system, column, HEADLINE).values())
        assert row[f"{name}_mean"] == pytest.approx(mean(values), abs=EXACT)
        assert row[f"{name}_sd"] == pytest.approx(sd(values), abs=EXACT)
        of_repeats = []
        for one in plans:
            own = rows(records, system, one)
            of_repeats.append(
                mean([mean(score(r, column) for r in own[c] if r["structure"] in HEADLINE) for c in sorted(own)])
            )
        assert row[f"{name}_repeats_sd"] == pytest.approx(sd(of_repeats), abs=EXACT, nan_ok=True)
    for column, status in (("missed", "missed"), ("false_structures", "false structure")):
        counted = [
            sum(
                r["status"] == status and r["structure"] in HEADLINE
                for own in rows(records, system, p).values()
                for r in own
            )
            for p in plans
        ]
        assert row[column] == pytest.approx(mean(counted), abs=EXACT)


@pytest.mark.parametrize("system", SYSTEMS)
def test_structures_are_means_over_the_cases_that_have_them(comparison, records, system):
    table = comparison.structures[comparison.structures["system"] == system].set_index("structure")
    plans = TRAINERS[system][1]
    assert list(table.index) == list(STRUCTURES)
    assert not table.at["canal", "in_headline"]
    for name in STRUCTURES:
        own = [
            {c: next(r for r in part if r["structure"] == name) for c, part in rows(records, system, p).items()}
            for p in plans
        ]
        for column in ("iou", "dice", "recall", "hd95_mm", "assd_mm"):
            values = [mean([score(part[case], column) for part in own]) for case in own[0]]
            assert table.at[name, column] == pytest.approx(mean(values), abs=EXACT)
            assert table.at[name, f"{column}_sd"] == pytest.approx(sd(values), abs=EXACT)
        values = [mean([part[case]["precision"] for part in own]) for case in own[0]]
        assert table.at[name, "precision"] == pytest.approx(mean(values), abs=EXACT)
        statuses = [[row["status"] for row in part.values()] for part in own]
        assert table.at[name, "n"] == sum(s in ("scored", "missed") for s in statuses[0])
        for column, status in (
            ("missed", "missed"),
            ("absent", "absent"),
            ("false_structures", "false structure"),
            ("not_annotated", "not annotated"),
        ):
            assert table.at[name, column] == pytest.approx(mean([s.count(status) for s in statuses]), abs=EXACT)


@pytest.mark.parametrize("group", GROUPS)
def test_groups_are_means_over_the_case_means(comparison, records, group):
    for system in SYSTEMS:
        table = comparison.groups
        row = table[(table["system"] == system) & (table["group"] == group)].iloc[0]
        assert row["structures"] == len(GROUPS[group])
        assert row["cases"] == 20
        for column in ("dice", "iou", "hd95_mm", "assd_mm"):
            values = list(case_values(records, system, column, GROUPS[group]).values())
            assert row[f"{column}_mean"] == pytest.approx(mean(values), abs=EXACT)
            assert row[f"{column}_sd"] == pytest.approx(sd(values), abs=EXACT)
        for column, status in (("missed", "missed"), ("false_structures", "false structure")):
            counted = [
                sum(
                    r["status"] == status and r["structure"] in GROUPS[group]
                    for own in rows(records, system, p).values()
                    for r in own
                )
                for p in TRAINERS[system][1]
            ]
            assert row[column] == pytest.approx(mean(counted), abs=EXACT)


def test_one_system_alone_has_the_numbers_of_evaluate(comparison, records):
    own = pd.concat([r.structures for r in records if r.run.trainer == "RefTrainer"])
    structures = tuple(Structure(name, i + 1, name != "canal") for i, name in enumerate(STRUCTURES))
    task = EvaluationTask(structures, None, frozenset(), {}, ".nii.gz", {}, None)
    by_structure = per_structure(own, task)
    expected = headline(per_case(own, task), by_structure)
    row = comparison.overall.set_index("system").loc["Reference"]
    for name in ("miou_mean", "miou_sd", "mdice_mean", "mdice_sd", "missed", "false_structures", "cases"):
        assert row[name] == pytest.approx(expected[name], abs=EXACT)
    table = comparison.structures[comparison.structures["system"] == "Reference"].set_index("structure")
    for name in ("iou", "dice", "recall", "precision", "iou_sd", "dice_sd", "n", "missed", "absent", "not_annotated"):
        np.testing.assert_allclose(table[name], by_structure.set_index("structure")[name], rtol=0, atol=EXACT)


@pytest.mark.parametrize("system", ["Repeated", "Twin", "Mute"])
def test_statistics_are_scipys_on_the_case_values(comparison, records, system):
    for name, (column, names) in expected_scores(records).items():
        table = comparison.statistics
        row = table[(table["measure"] == name) & (table["system"] == system)].iloc[0]
        one, other = (np.array(list(case_values(records, s, column, names).values())) for s in ("Reference", system))
        both = ~(np.isnan(one) | np.isnan(other))
        one, other = one[both], other[both]
        assert (row["reference"], row["n"], row["dropped"]) == ("Reference", both.sum(), (~both).sum())
        assert row["reference_mean"] == pytest.approx(one.mean(), abs=EXACT)
        assert row["system_mean"] == pytest.approx(other.mean(), abs=EXACT)
        assert row["difference"] == pytest.approx((one - other).mean(), abs=EXACT)
        assert np.isnan(row["bootstrap_p"])
        if system == "Twin":
            expected = (1, 1, 0, 0)
        else:
            pooled = np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
            expected = (stats.wilcoxon(one, other).pvalue, stats.ttest_rel(one, other).pvalue)
            expected += ((one - other).mean() / (one - other).std(ddof=1), (one.mean() - other.mean()) / pooled)
        assert tuple(row[["wilcoxon_p", "t_p", "d_z", "cohens_d"]]) == pytest.approx(expected, abs=EXACT)
        drawn = np.random.default_rng(SEED).integers(0, len(one), (REPEATS, len(one)))
        limits = np.quantile([(one - other)[cases].mean() for cases in drawn], [0.025, 0.975])
        assert tuple(row[["low", "high"]]) == pytest.approx(tuple(limits), abs=EXACT)


@pytest.mark.parametrize("test", ["wilcoxon_p", "t_p"])
def test_holm_runs_over_the_other_systems_within_a_measure(comparison, test):
    for _, part in comparison.statistics.groupby("measure"):
        p = list(part[test])
        if np.isnan(p).any():
            continue
        assert len(p) == 3
        expected = [max(min(1.0, q * sum(o >= q for o in p)) for q in p if q <= own) for own in p]
        assert list(part[f"{test}_holm"]) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("system", SYSTEMS)
def test_upper_against_lower_is_paired_within_a_system(comparison, records, system):
    row = comparison.upper_lower.set_index("system").loc[system]
    upper, lower = (np.array(list(case_values(records, system, "dice", names).values())) for names in (UPPER, LOWER))
    assert row["n"] == 20
    expected = {
        "upper_mean": upper.mean(),
        "upper_sd": upper.std(ddof=1),
        "lower_mean": lower.mean(),
        "lower_sd": lower.std(ddof=1),
        "difference": upper.mean() - lower.mean(),
        "wilcoxon_p": stats.wilcoxon(upper, lower).pvalue,
        "t_p": stats.ttest_rel(upper, lower).pvalue,
        "d_z": (upper - lower).mean() / (upper - lower).std(ddof=1),
        "cohens_d": (upper.mean() - lower.mean()) / np.sqrt((upper.var(ddof=1) + lower.var(ddof=1)) / 2),
    }
    drawn = np.random.default_rng(SEED).integers(0, 20, (REPEATS, 20))
    limits = np.quantile([(upper - lower)[cases].mean() for cases in drawn], [0.025, 0.975])
    expected |= {"low": limits[0], "high": limits[1]}
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, abs=EXACT), name


@pytest.mark.parametrize("system", ["Reference", "Repeated"])
def test_structure_cases_are_averaged_over_repeats(comparison, records, system):
    table = comparison.structure_cases
    own = table[table["system"] == system].set_index(["structure", "case"])
    for name in ("S", "T9/T10", "canal"):
        for column in ("iou", "dice", "hd95_mm", "assd_mm"):
            expected = case_values(records, system, column, [name])
            for case, value in expected.items():
                got = own[column].get((name, case), np.nan)
                assert got == pytest.approx(value, abs=EXACT, nan_ok=True)
    assert ("S", "toy_005") not in own.index  # not annotated there


def test_a_case_without_a_structure_of_a_group_has_no_value_there(records):
    one = records[0].structures.assign(system="A", repeat="p", fold=0)
    case = one["case"].iloc[0]
    one.loc[(one["case"] == case) & one["structure"].isin(UPPER), ["status", "dice", "iou"]] = [
        "absent",
        np.nan,
        np.nan,
    ]
    long = mean_over_repeats(score_cases(one, records[0].cases, HEADLINE, GROUPS))
    wide = long.pivot(index="case", columns="measure", values="value")
    assert np.isnan(wide.at[case, "dice_upper"])
    expected = mean(score(r, "dice") for r in one[one["case"] == case].to_dict("records") if r["structure"] in LOWER)
    assert wide.at[case, "mdice"] == pytest.approx(expected, abs=EXACT)


def test_a_repeat_without_a_value_leaves_the_other_to_count():
    table = pd.DataFrame(
        {"system": "A", "repeat": ["p", "q"], "case": "c", "measure": "hd95_mm", "value": [np.nan, 3.0]}
    )
    assert list(mean_over_repeats(table)["value"]) == [3.0]


def test_the_toy_holds_every_kind_of_row(records):
    statuses = set(pd.concat([record.structures for record in records])["status"])
    assert statuses == {"scored", "missed", "absent", "false structure", "not annotated"}
