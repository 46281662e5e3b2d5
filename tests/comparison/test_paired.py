from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats

from nnunet_textguided.comparison.paired import holm, paired_statistics

EXACT = 1e-10


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def samples(n: int = 20, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.beta(5, 2, n), rng.beta(4, 2, n)


def own_sd(values) -> float:
    mean = sum(values) / len(values)
    return (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5


def test_tests_are_scipys_and_effect_sizes_follow_their_formulas():
    one, other = samples()
    found = paired_statistics(one, other, repeats=99)
    differences = [a - b for a, b in zip(one, other, strict=True)]
    mean = sum(differences) / len(differences)
    assert found.n == 20
    assert found.dropped == 0
    assert found.reference_mean == pytest.approx(sum(one) / 20, abs=EXACT)
    assert found.other_mean == pytest.approx(sum(other) / 20, abs=EXACT)
    assert found.difference == pytest.approx(mean, abs=EXACT)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(one, other).pvalue, abs=EXACT)
    assert found.t_p == pytest.approx(stats.ttest_rel(one, other).pvalue, abs=EXACT)
    assert found.d_z == pytest.approx(mean / own_sd(differences), abs=EXACT)
    assert found.d_z == pytest.approx(stats.ttest_rel(one, other).statistic / 20**0.5, abs=EXACT)
    pooled = ((own_sd(one) ** 2 + own_sd(other) ** 2) / 2) ** 0.5
    assert found.cohens_d == pytest.approx(mean / pooled, abs=EXACT)


def test_exact_wilcoxon_of_five_pairs_counted_by_hand():
    # all 2^5 signs are equally likely, one of them gives rank sum 0 and one 15: P = 2 / 32
    found = paired_statistics(np.array([0.1, 0.3, 0.6, 1.0, 1.5]), np.zeros(5), repeats=9)
    assert found.wilcoxon_p == pytest.approx(2 / 32, abs=EXACT)


def test_zero_differences_are_discarded_before_ranking():
    one, other = np.array([0.1, 0.3, 0.6, 1.0, 1.5, 0.4, 0.7]), np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.4, 0.7])
    found = paired_statistics(one, other, repeats=9)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(one - other, zero_method="wilcox").pvalue, abs=EXACT)
    assert found.n == 7


def test_interval_is_the_percentile_bootstrap_of_the_mean_over_drawn_cases():
    one, other = samples(8)
    found = paired_statistics(one, other, seed=5, repeats=400)
    rng, means = np.random.default_rng(5), []
    drawn = rng.integers(0, 8, (400, 8))
    for cases in drawn:
        means.append(sum(one[c] - other[c] for c in cases) / 8)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=EXACT)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=EXACT)


def test_swapping_the_samples_flips_every_sign_and_no_p_value():
    one, other = samples()
    forth, back = paired_statistics(one, other, repeats=99), paired_statistics(other, one, repeats=99)
    for name in ("difference", "d_z", "cohens_d"):
        assert getattr(back, name) == pytest.approx(-getattr(forth, name), abs=EXACT)
    for name in ("wilcoxon_p", "t_p"):
        assert getattr(back, name) == pytest.approx(getattr(forth, name), abs=EXACT)
    assert (back.low, back.high) == pytest.approx((-forth.high, -forth.low), abs=EXACT)


def test_identical_samples_have_no_effect_and_p_one():
    one, _ = samples()
    found = paired_statistics(one, one.copy(), repeats=99)
    assert (found.difference, found.low, found.high, found.d_z, found.cohens_d) == (0, 0, 0, 0, 0)
    assert (found.wilcoxon_p, found.t_p) == (1, 1)


def test_differences_that_are_rounding_count_as_none():
    parts = np.random.default_rng(0).random((3, 20))
    one, other = (parts[0] + parts[1]) + parts[2], (parts[2] + parts[1]) + parts[0]
    assert (one != other).any()
    found = paired_statistics(one, other, repeats=99)
    assert (found.difference, found.d_z, found.wilcoxon_p, found.t_p) == (0, 0, 1, 1)


def test_constant_difference_has_an_infinite_d_z_and_t_at_its_limit():
    other = np.array([0.1, 0.2, 0.4, 0.5, 0.7])
    found = paired_statistics(other - 0.1, other, repeats=99)
    assert found.d_z == -np.inf
    assert found.t_p == 0
    assert found.wilcoxon_p == pytest.approx(2 / 32, abs=EXACT)
    assert found.cohens_d == pytest.approx(-0.1 / own_sd(other), abs=EXACT)
    assert found.low == pytest.approx(-0.1, abs=EXACT)


def test_two_constant_samples_have_infinite_effects():
    found = paired_statistics(np.full(4, 0.3), np.full(4, 0.1), repeats=9)
    assert (found.d_z, found.cohens_d) == (np.inf, np.inf)


def test_pairs_with_an_undefined_value_are_dropped_and_counted():
    one, other = samples()
    one[3], other[3], other[7] = np.nan, np.nan, np.nan
    keep = [i for i in range(20) if i not in (3, 7)]
    found, expected = paired_statistics(one, other, repeats=99), paired_statistics(one[keep], other[keep], repeats=99)
    assert (found.n, found.dropped) == (18, 2)
    assert found.difference == expected.difference
    assert found.wilcoxon_p == expected.wilcoxon_p


@pytest.mark.parametrize(("values", "n", "dropped"), [([0.5], 1, 0), ([], 0, 0), ([0.5, np.nan], 1, 1)])
def test_fewer_than_two_pairs_have_no_statistics(values, n, dropped):
    found = paired_statistics(np.array(values), np.zeros(len(values)))
    assert (found.n, found.dropped) == (n, dropped)
    numbers = [getattr(found, name) for name in vars(found) if name not in ("n", "dropped")]
    assert len(numbers) == 9
    assert np.isnan(numbers).all()


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.2 times 4, 3, 2, 1 and never falling: 0.04, 0.06, 0.06, 0.2
    assert holm(np.array([0.03, 0.01, 0.2, 0.02])) == pytest.approx([0.06, 0.04, 0.2, 0.06], abs=EXACT)
    assert holm(np.array([0.6, 0.9])) == pytest.approx([1.0, 1.0], abs=EXACT)


def test_holm_is_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for n in (1, 2, 3, 9):
        p_values = np.random.default_rng(n).random(n) / 3
        assert holm(p_values) == pytest.approx(multitest.multipletests(p_values, method="holm")[1], abs=EXACT)


def test_holm_does_not_count_what_was_not_tested():
    corrected = holm(np.array([np.nan, 0.01, 0.04]))
    assert np.isnan(corrected[0])
    assert corrected[1:] == pytest.approx([0.02, 0.04], abs=EXACT)
    assert np.isnan(holm(np.array([np.nan]))).all()
