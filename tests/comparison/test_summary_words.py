from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from toy_comparison import changed, toy_comparison

from nnunet_textguided.comparison.summary_words import BEHIND, LEADS, LEVEL, summary_words, verdict

START = "2 systems were scored on the same 4 cases of Dataset100_Toy, 2d: the validation cases of folds 0, 1. "
END = (
    "In brackets: 95 % bootstrap interval of the mean difference in mIoU and P of Wilcoxon's signed-rank test over 4 "
    "paired cases."
)


def two_systems(means: tuple[float, float], low: float, high: float, p: float = 0.031):
    overall = pd.DataFrame({"system": ["A", "B"], "miou_mean": means, "miou_sd": [0.0504, 0.06]})
    row = {"measure": "miou", "system": "B", "n": 4, "difference": means[0] - means[1], "low": low, "high": high}
    statistics = pd.DataFrame([{**row, "wilcoxon_p": p, "wilcoxon_p_holm": p}])
    return changed(toy_comparison(("A", "B"), cases=4, findings=False), overall=overall, statistics=statistics)


def test_a_lead_is_told_with_difference_interval_and_p():
    assert summary_words(two_systems((0.8, 0.7), 0.052, 0.151)) == (
        f"{START}The highest mIoU is that of A: 0.800 ± 0.050 (mean ± standard deviation over cases). "
        f"A leads B by 0.100 [0.052 to 0.151; P = 0.031]. {END}"
    )


def test_a_lead_without_significance_after_correction_says_so():
    words = summary_words(two_systems((0.8, 0.7), 0.052, 0.151, p=0.125))
    assert "A leads B by 0.100 [0.052 to 0.151; P = 0.125, not significant at 0.05]." in words


def test_a_level_system_is_one_the_reference_does_not_lead():
    assert summary_words(two_systems((0.71, 0.7), -0.02, 0.04, p=0.625)) == (
        f"{START}The highest mIoU is that of A: 0.710 ± 0.050 (mean ± standard deviation over cases). A does not lead "
        "B (difference 0.010 [-0.020 to 0.040; P = 0.625]): the interval of the difference includes zero. " + END
    )


def test_a_system_ahead_is_named_with_its_lead_as_a_positive_number():
    assert summary_words(two_systems((0.6, 0.75), -0.2, -0.1, p=0.0004)) == (
        f"{START}The highest mIoU is that of B: 0.750 ± 0.060 (mean ± standard deviation over cases); A has 0.600 ± "
        f"0.050. A does not lead B, which is ahead by 0.150 [0.100 to 0.200; P < 0.001]. {END}"
    )


def test_one_case_gives_no_statistics_and_no_leader():
    comparison = toy_comparison(("A", "B"), cases=1, findings=False)
    words = summary_words(comparison)
    assert words.startswith("2 systems were scored on the same 1 case of")
    assert words.endswith(
        "There is one case only, so there are no statistics: no interval, no P, and no system is said to lead."
    )
    assert "±" not in words
    assert "leads" not in words


def test_one_system_has_nothing_to_be_compared_with():
    words = summary_words(toy_comparison(("A",), cases=4, findings=False))
    assert words.startswith("1 system was scored")
    assert words.endswith("There is no other system to compare it with.")


def test_every_other_system_is_in_the_paragraph_once_and_under_its_own_verdict():
    comparison = toy_comparison(("R", "worse", "same", "better", "unknown"), cases=6, findings=False)
    table = comparison.statistics.copy()
    limits = {"worse": (0.1, 0.2), "same": (-0.1, 0.1), "better": (-0.2, -0.1), "unknown": (np.nan, np.nan)}
    table["low"] = table["system"].map(lambda s: limits[s][0])
    table["high"] = table["system"].map(lambda s: limits[s][1])
    words = summary_words(changed(comparison, statistics=table))
    sentences = words.split(". ")
    assert any(s.startswith("R leads worse by") for s in sentences)
    assert any(s.startswith("R does not lead same (difference") and s.endswith("includes zero") for s in sentences)
    assert any(s.startswith("R does not lead better, which is ahead by") for s in sentences)
    assert any(s.startswith("No statistics for unknown: fewer than two cases") for s in sentences)
    assert "corrected by Holm over 3 comparisons" in words


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.2, LEADS), (0.0, 0.2, LEVEL), (0.0, 0.0, LEVEL), (-0.2, 0.0, LEVEL), (-0.2, -0.1, BEHIND)],
)
def test_verdict_goes_by_the_interval(low: float, high: float, expected: str):
    assert verdict({"low": low, "high": high}) == expected
