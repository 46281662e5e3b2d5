from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracle import TRAINERS, mean, sd
from sklearn import metrics as sk
from toy_records import FINDINGS, FOLDS, GRID, REPEATS, SEED, toy_records

from nnunet_textguided.comparison.comparison import CompareOptions, compare
from nnunet_textguided.comparison.finding_scores import decide, resample
from nnunet_textguided.comparison.finding_statistics import finding_statistics
from nnunet_textguided.evaluation.finding_metrics import POOLED, score_findings

EXACT = 1e-10
SPEAKING = ["Reference", "Repeated", "Twin"]
MEASURES = ["auroc", "average_precision", "recall", "fpr", "precision"]


def best_f1_threshold(truth: np.ndarray, probability: np.ndarray) -> float:
    """Midway between the highest probability of the best F1 and the next lower one."""
    candidates = sorted(set(probability))
    called = [probability >= t for t in candidates]
    f1 = [2 * (truth * c).sum() / (truth.sum() + c.sum()) for c in called]
    k = max(i for i, value in enumerate(f1) if value > max(f1) - 1e-12)
    return (candidates[k] + (candidates[k - 1] if k else 0.0)) / 2


_DECIDED: dict[tuple[str, str], pd.DataFrame] = {}


def expected_decisions(records, system: str, plans: str) -> pd.DataFrame:
    if (system, plans) not in _DECIDED:
        _DECIDED[system, plans] = _decided(records, system, plans)
    return _DECIDED[system, plans]


def _decided(records, system: str, plans: str) -> pd.DataFrame:
    trainer, parts = TRAINERS[system][0], {}
    for record in records:
        if (record.run.trainer, record.run.plans) == (trainer, plans):
            parts[record.run.fold] = record.findings.dropna(subset="truth")
    for fold, part in parts.items():
        other = parts[1 - fold]
        points = {}
        for finding in FINDINGS:
            own = other[other["finding"] == finding]
            points[finding] = best_f1_threshold(own["truth"].to_numpy(), own["probability"].to_numpy())
        parts[fold] = part.assign(positive=[r.probability >= points[r.finding] for r in part.itertuples()])
    return pd.concat(parts.values()).sort_values(["case", "structure", "finding"], ignore_index=True)


def scikit_learn(part: pd.DataFrame, weight=None) -> dict[str, float]:
    truth, positive, kwargs = part["truth"].to_numpy(int), part["positive"].to_numpy(int), {"sample_weight": weight}
    (tn, fp), (fn, tp) = sk.confusion_matrix(truth, positive, **kwargs)
    return {
        "auroc": sk.roc_auc_score(truth, part["probability"], **kwargs),
        "average_precision": sk.average_precision_score(truth, part["probability"], **kwargs),
        "recall": tp / (tp + fn),
        "fpr": fp / (fp + tn),
        "precision": tp / (tp + fp),
    }


@pytest.mark.parametrize("system", SPEAKING)
def test_each_fold_is_decided_by_thresholds_of_the_other(comparison, records, system):
    for plans in TRAINERS[system][1]:
        table = comparison.decisions
        own = table[(table["system"] == system) & (table["repeat"] == plans)].reset_index(drop=True)
        expected = expected_decisions(records, system, plans)
        columns = ["case", "structure", "finding", "probability", "positive"]
        pd.testing.assert_frame_equal(own[columns], expected[columns], check_dtype=False)
        assert list(own["truth"]) == list(expected["truth"] == 1)


@pytest.mark.parametrize("finding", [*FINDINGS, POOLED])
@pytest.mark.parametrize("system", SPEAKING)
def test_scores_are_scikit_learns_averaged_over_repeats(comparison, records, system, finding):
    table = comparison.findings
    row = table[(table["system"] == system) & (table["finding"] == finding)].iloc[0]
    parts = [expected_decisions(records, system, plans) for plans in TRAINERS[system][1]]
    parts = [part if finding == POOLED else part[part["finding"] == finding] for part in parts]
    each = [scikit_learn(part) for part in parts]
    assert (row["n"], row["n_present"]) == (len(parts[0]), parts[0]["truth"].sum())
    for measure in MEASURES:
        values = [scores[measure] for scores in each]
        assert row[measure] == pytest.approx(mean(values), abs=EXACT)
        assert row[f"{measure}_repeats_sd"] == pytest.approx(sd(values), abs=EXACT, nan_ok=True)
    if finding == POOLED:
        overall = comparison.overall.set_index("system").loc[system]
        assert [overall[f"finding_{m}"] for m in MEASURES] == [row[m] for m in MEASURES]


def resampled(records, system: str, finding: str = POOLED) -> dict[str, list[float]]:
    """Measures with decisions weighted by how often their case was drawn, one resample at a time."""
    drawn = np.random.default_rng(SEED).multinomial(20, [1 / 20] * 20, size=REPEATS)
    cases = sorted(FOLDS[0] + FOLDS[1])
    parts = [expected_decisions(records, system, plans) for plans in TRAINERS[system][1]]
    parts = [part if finding == POOLED else part[part["finding"] == finding] for part in parts]
    values = {measure: [] for measure in MEASURES}
    for times in drawn:
        of_case = dict(zip(cases, times, strict=True))
        each = [scikit_learn(part, [of_case[case] for case in part["case"]]) for part in parts]
        for measure in MEASURES:
            values[measure].append(mean([scores[measure] for scores in each]))
    return values


@pytest.mark.parametrize("system", ["Repeated", "Twin"])
def test_intervals_and_differences_come_from_the_same_resamples_of_cases(comparison, records, system):
    one, other = resampled(records, "Reference"), resampled(records, system)
    scores = comparison.findings[comparison.findings["finding"] == POOLED].set_index("system")
    statistics = comparison.statistics[comparison.statistics["system"] == system].set_index("measure")
    for measure in MEASURES:
        limits = [scores.at[system, f"{measure}_{side}"] for side in ("low", "high")]
        assert limits == pytest.approx(list(np.quantile(other[measure], [0.025, 0.975])), abs=EXACT)
        row = statistics.loc[f"finding_{measure}"]
        differences = [a - b for a, b in zip(one[measure], other[measure], strict=True)]
        differences = [0.0 if abs(d) < 1e-12 else d for d in differences]
        assert row["difference"] == pytest.approx(
            scores.at["Reference", measure] - scores.at[system, measure], abs=EXACT
        )
        assert [row["low"], row["high"]] == pytest.approx(list(np.quantile(differences, [0.025, 0.975])), abs=EXACT)
        below, above = sum(d <= 0 for d in differences), sum(d >= 0 for d in differences)
        assert row["bootstrap_p"] == pytest.approx(min(1, 2 * (1 + min(below, above)) / (REPEATS + 1)), abs=EXACT)
        assert row["n"] == 20
        assert np.isnan(row["wilcoxon_p"])


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize("system", ["Reference", "Repeated"])
def test_intervals_of_one_finding_come_from_resamples_of_cases(comparison, records, system, finding):
    drawn, table = resampled(records, system, finding), comparison.findings
    row = table[(table["system"] == system) & (table["finding"] == finding)].iloc[0]
    for measure in MEASURES:
        limits = [row[f"{measure}_{side}"] for side in ("low", "high")]
        assert limits == pytest.approx(list(np.quantile(drawn[measure], [0.025, 0.975])), abs=EXACT)


def test_holm_counts_only_systems_with_findings(comparison):
    part = comparison.statistics[comparison.statistics["measure"] == "finding_auroc"].set_index("system")
    assert list(part.index) == ["Repeated", "Twin"]
    smaller, larger = part["bootstrap_p"].sort_values()
    expected = [min(1, 2 * smaller), max(min(1, 2 * smaller), larger)]
    assert sorted(part["bootstrap_p_holm"]) == pytest.approx(expected, abs=EXACT)


def test_a_system_without_findings_has_none(comparison):
    assert "Mute" not in set(comparison.findings["system"])
    row = comparison.overall.set_index("system").loc["Mute"]
    assert all(np.isnan(row[f"finding_{measure}"]) for measure in MEASURES)
    assert "Without findings: Mute." in comparison.notes


def test_one_repeat_has_the_intervals_of_evaluate(comparison):
    own = comparison.decisions[comparison.decisions["system"] == "Reference"].rename(columns={"truth": "present"})
    expected = score_findings(own, repeats=REPEATS, seed=SEED)
    table = comparison.findings[comparison.findings["system"] == "Reference"].set_index("finding")
    for name in (*FINDINGS, POOLED):
        for measure in MEASURES:
            for column in (measure, f"{measure}_low", f"{measure}_high"):
                assert table.at[name, column] == pytest.approx(expected.at[name, column], abs=EXACT)


def test_a_finding_that_one_system_lacks_is_undefined_there_and_left_out_of_the_difference(records):
    changed = []
    for record in records:
        if record.run.trainer == "TwinTrainer":
            kept = record.findings[record.findings["finding"] == "bulge"]
            record = type(record)(**{**vars(record), "findings": kept})
        changed.append(record)
    found = compare(GRID, changed, CompareOptions(bootstrap_repeats=20))
    table = found.findings[found.findings["system"] == "Twin"].set_index("finding")
    assert table.at["narrowing", "n"] == 0
    assert np.isnan(table.at["narrowing", "auroc"])
    assert table.at[POOLED, "auroc"] == table.at["bulge", "auroc"]
    # on the bulges, which both have, the twin is identical
    row = found.statistics[(found.statistics["system"] == "Twin") & (found.statistics["measure"] == "finding_auroc")]
    assert row["difference"].item() == 0
    assert row["bootstrap_p"].item() == 1
    assert any("Twin does not have narrowing" in note for note in found.notes)


def test_one_fold_is_decided_at_a_half_and_the_rules_say_so(records):
    grid = type(GRID)(GRID.dataset, GRID.configuration, (0,), GRID.systems)
    found = compare(grid, records, CompareOptions(bootstrap_repeats=20))
    assert list(found.decisions["positive"]) == list(found.decisions["probability"] >= 0.5)
    assert any("0.5, as there is one fold" in rule for rule in found.rules)


def test_no_findings_at_all():
    grid = type(GRID)(GRID.dataset, GRID.configuration, GRID.folds, GRID.systems[3:])
    found = compare(grid, toy_records(grid), CompareOptions(bootstrap_repeats=20))
    assert found.findings is None
    assert found.decisions is None
    assert "finding_auroc" not in found.overall


def test_measures_that_a_resample_leaves_undefined_are_left_out():
    rows = [("a", 1, 0.9), ("b", 0, 0.1), ("b", 0, 0.3)]
    part = pd.DataFrame(rows, columns=["case", "truth", "probability"]).assign(
        repeat="p", positive=[True, False, False]
    )
    drawn = resample(part, seed=0, repeats=50)
    assert np.isnan(drawn["auroc"]).any()  # only one of the two cases was drawn
    assert set(drawn["auroc"][np.isfinite(drawn["auroc"])]) == {1.0}


def test_blocks_of_resamples_do_not_change_the_numbers(comparison, monkeypatch):
    part = comparison.decisions[comparison.decisions["system"] == "Repeated"]
    whole = resample(part, seed=1, repeats=25)
    monkeypatch.setattr("nnunet_textguided.comparison.finding_scores._BLOCK", 4 * len(part))
    for measure, values in resample(part, seed=1, repeats=25).items():
        np.testing.assert_array_equal(values, whole[measure])


def test_one_case_has_scores_but_no_interval_and_no_p_value(records):
    record = records[0].findings
    case = record["case"].iloc[0]
    found = record[record["case"] == case].assign(repeat="p", fold=0)
    decisions = decide(pd.concat([found.assign(system=name) for name in ("A", "B")], ignore_index=True))
    pooled = {name: resample(decisions[decisions["system"] == name], 0, 50) for name in ("A", "B")}
    assert all(len(values) == 0 for values in pooled["A"].values())
    table = finding_statistics(decisions, pooled, "A", 0, 50)
    assert list(table["n"]) == [1] * 5
    assert table[["difference", "low", "high", "bootstrap_p"]].isna().all(axis=None)
