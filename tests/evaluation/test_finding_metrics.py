from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from nnunet_textguided.evaluation.finding_metrics import POOLED, score_decisions, score_findings, weighted_scores
from nnunet_textguided.evaluation.operating_points import best_threshold, choose_operating_points, leave_one_fold_out
from nnunet_textguided.evaluation.point_rule import match_points


def test_hand_counted_toy():
    truth = [1, 1, 1, 0, 0, 0, 0, 0]
    probability = np.array([0.9, 0.8, 0.2, 0.7, 0.1, 0.1, 0.3, 0.4])
    scores = score_decisions(truth, probability, probability >= 0.5)
    # TP 2, FN 1, FP 1, TN 4; 15 pairs, of which (0.9 beats 5) + (0.8 beats 5) + (0.2 beats 2) = 12
    assert scores["n"] == 8
    assert scores["n_present"] == 3
    assert scores["recall"] == pytest.approx(2 / 3)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["fpr"] == pytest.approx(1 / 5)
    assert scores["specificity"] == pytest.approx(4 / 5)
    assert scores["f1"] == pytest.approx(2 / 3)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores["auroc"] == pytest.approx(12 / 15)


def test_equal_to_scikit_learn_on_random_decisions():
    rng = np.random.default_rng(0)
    truth, probability = rng.integers(0, 2, 200), rng.random(200)
    positive = probability >= 0.6
    scores = score_decisions(truth, probability, positive)
    for name, expected in (
        ("recall", sk.recall_score(truth, positive)),
        ("precision", sk.precision_score(truth, positive)),
        ("f1", sk.f1_score(truth, positive)),
        ("balanced_accuracy", sk.balanced_accuracy_score(truth, positive)),
        ("average_precision", sk.average_precision_score(truth, probability)),
    ):
        assert scores[name] == pytest.approx(expected), name


def test_weighted_scores_are_scikit_learns():
    rng = np.random.default_rng(1)
    truth, probability = rng.integers(0, 2, 60), rng.integers(0, 9, 60) / 10  # with ties
    positive, weights = probability >= 0.4, rng.integers(0, 4, (5, 60)).astype(float)
    scores = weighted_scores(truth, probability, positive, weights)
    for row, weight in enumerate(weights):
        for name, expected in (
            ("auroc", sk.roc_auc_score(truth, probability, sample_weight=weight)),
            ("average_precision", sk.average_precision_score(truth, probability, sample_weight=weight)),
            ("f1", sk.f1_score(truth, positive, sample_weight=weight)),
            ("precision", sk.precision_score(truth, positive, sample_weight=weight)),
            ("balanced_accuracy", sk.balanced_accuracy_score(truth, positive, sample_weight=weight)),
        ):
            assert scores[name][row] == pytest.approx(expected), name
        assert scores["fpr"][row] == pytest.approx(1 - scores["specificity"][row])


@pytest.mark.parametrize(
    ("truth", "undefined"),
    [
        ([0, 0], {"recall", "auroc", "average_precision", "balanced_accuracy", "precision", "f1"}),
        ([1, 1], {"fpr", "specificity", "auroc", "balanced_accuracy", "precision"}),
        ([], {"recall", "precision", "fpr", "specificity", "f1", "auroc", "average_precision", "balanced_accuracy"}),
    ],
)
def test_what_is_not_defined_is_neither_zero_nor_one(truth: list[int], undefined: set[str]):
    scores = score_decisions(truth, np.full(len(truth), 0.1), np.zeros(len(truth), bool))
    assert {name for name, value in scores.items() if np.isnan(value)} == undefined


def decisions(seed: int = 0, cases: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for case in range(cases):
        for finding in ("bulge", "fracture"):
            for _ in range(4):
                present = int(rng.random() < 0.4)
                probability = float(np.clip(0.3 + 0.4 * present + rng.normal(0, 0.3), 0, 1))
                rows.append((f"c{case}", finding, present, probability, probability >= 0.5, case % 3))
    return pd.DataFrame(rows, columns=["case", "finding", "present", "probability", "positive", "fold"])


def test_pooled_row_counts_every_decision_once():
    table = score_findings(decisions(), repeats=0)
    assert list(table.index) == ["bulge", "fracture", POOLED]
    assert table.loc[POOLED, "n"] == table.loc["bulge", "n"] + table.loc["fracture", "n"] == 96


def test_intervals_hold_the_estimate_and_shrink_with_more_cases():
    few, many = (score_findings(decisions(1, n), repeats=200).loc[POOLED] for n in (10, 80))
    for row in (few, many):
        assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
    assert many["auroc_high"] - many["auroc_low"] < few["auroc_high"] - few["auroc_low"]


def test_bootstrap_draws_cases_not_decisions():
    """Two cases, one all right, one all wrong: a sample of cases has accuracy 0, a half or 1 and nothing between."""
    table = pd.DataFrame(
        {
            "case": ["a"] * 20 + ["b"] * 20,
            "finding": "x",
            "present": [1, 0] * 20,
            "probability": [0.9, 0.1] * 10 + [0.1, 0.9] * 10,
            "positive": [True, False] * 10 + [False, True] * 10,
        }
    )
    row = score_findings(table, repeats=200).loc["x"]
    assert (row["recall_low"], row["recall"], row["recall_high"]) == (0.0, 0.5, 1.0)


def test_finding_with_no_positive_case_is_shown_as_not_defined():
    table = decisions()
    table.loc[table["finding"] == "bulge", "present"] = 0
    row = score_findings(table, repeats=20).loc["bulge"]
    assert np.isnan(row["auroc"])
    assert np.isnan(row["auroc_low"])
    assert np.isfinite(row["specificity"])


def test_threshold_is_the_best_of_all_by_trying():
    table = decisions(2)
    truth, probability = table["present"].to_numpy(), table["probability"].to_numpy()
    chosen = best_threshold(truth, probability)
    tried = max(sk.f1_score(truth, probability >= t) for t in np.unique(probability))
    assert sk.f1_score(truth, probability >= chosen) == pytest.approx(tried)


def test_threshold_lies_between_separable_probabilities():
    assert best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(0.4)


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1, 1], []])
def test_without_both_outcomes_the_threshold_is_a_half(truth: list[int]):
    assert best_threshold(np.array(truth), np.linspace(0.1, 0.3, len(truth))) == 0.5


def test_a_fold_is_decided_by_the_others_thresholds():
    table = decisions(3)
    positive = leave_one_fold_out(table)
    for fold in range(3):
        points = choose_operating_points(table[table["fold"] != fold])
        part = table[table["fold"] == fold]
        expected = part["probability"] >= part["finding"].map(points)
        assert (positive[part.index] == expected).all()
    changed = table.copy()
    own = changed["fold"] == 0
    changed.loc[own, "present"] = 1 - changed.loc[own, "present"]  # fold 0's own truth must not matter to it
    assert (leave_one_fold_out(changed)[own] == positive[own]).all()


def test_one_fold_is_decided_at_a_half():
    table = decisions(4).assign(fold=0)
    assert (leave_one_fold_out(table) == (table["probability"] >= 0.5)).all()


def points(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["case", "finding", "x_mm", "y_mm", "z_mm"])


def test_hits_lie_within_six_millimetres_and_are_of_the_same_finding_and_case():
    annotated = points(("a", "bulge", 0, 0, 0), ("a", "fracture", 50, 0, 0), ("b", "bulge", 0, 0, 0))
    predicted = points(
        ("a", "bulge", 0, 5.9, 0), ("a", "bulge", 50, 0, 0), ("a", "fracture", 50, 6.1, 0), ("c", "bulge", 0, 0, 0)
    )
    found = match_points(annotated, predicted)
    assert (found["hits"], found["missed"], found["false"]) == (1, 2, 3)
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["precision"] == pytest.approx(1 / 4)


def test_one_prediction_hits_one_point_only_and_as_many_as_can_are_matched():
    annotated = points(("a", "bulge", 0, 0, 0), ("a", "bulge", 8, 0, 0))
    assert match_points(annotated, points(("a", "bulge", 4, 0, 0)))["hits"] == 1
    # the nearest match of the first prediction would leave the second without a point
    assert match_points(annotated, points(("a", "bulge", 3.9, 0, 0), ("a", "bulge", -5, 0, 0)))["hits"] == 2


def test_nothing_annotated_or_predicted_is_not_defined():
    empty = points()
    assert np.isnan(match_points(empty, empty)["recall"])
    assert match_points(points(("a", "bulge", 0, 0, 0)), empty)["recall"] == 0
