"""Two systems on the same cases: difference, interval, tests and effect sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
REPEATS = 9999
ROUNDING = 1e-12  # of the largest value: differences below are the rounding of sums taken in another order
_NAN = float("nan")


@dataclass(frozen=True)
class PairedStatistics:
    """What a comparison of paired samples found; NaN where fewer than two pairs are defined.

    Attributes:
        n: Pairs that count.
        dropped: Pairs left out because a value is not defined.
        reference_mean: Mean of the first sample.
        other_mean: Mean of the second sample.
        difference: Mean of first - second.
        low: Lower limit of the 95 % interval of the difference.
        high: Upper limit.
        wilcoxon_p: Two-sided P of Wilcoxon's signed-rank test.
        t_p: Two-sided P of the paired t test.
        d_z: Mean / sd of the differences.
        cohens_d: Difference of the means / pooled sd of the two samples.
    """

    n: int
    dropped: int
    reference_mean: float = _NAN
    other_mean: float = _NAN
    difference: float = _NAN
    low: float = _NAN
    high: float = _NAN
    wilcoxon_p: float = _NAN
    t_p: float = _NAN
    d_z: float = _NAN
    cohens_d: float = _NAN


def paired_statistics(
    reference: np.ndarray, other: np.ndarray, seed: int = 0, repeats: int = REPEATS
) -> PairedStatistics:
    """Compare two samples of the same cases.

    Interval: percentile bootstrap of the mean difference, cases drawn with replacement (`scipy.stats.bootstrap`).
    Wilcoxon: `scipy.stats.wilcoxon` on first - second, differences of zero discarded (Wilcoxon's own rule), P exact
    where scipy can. Effect sizes, all sd with n - 1: d_z = mean / sd of the differences; pooled Cohen's d = difference
    of the means / sqrt((s1^2 + s2^2) / 2) (Cohen 1988, Statistical Power Analysis, chapter 2; Lakens 2013,
    doi:10.3389/fpsyg.2013.00863). Identical samples give d = 0 and P = 1; a constant other difference has no spread, so
    d_z is infinite and the t test's P takes its limit 0.

    Args:
        reference: (N,) values of the reference, NaN where not defined.
        other: (N,) values of the other system, of the same cases in the same order.
        seed: Of the bootstrap.
        repeats: Bootstrap resamples.
    """
    reference, other = np.asarray(reference, dtype=float), np.asarray(other, dtype=float)
    defined = np.isfinite(reference) & np.isfinite(other)
    n, dropped = int(defined.sum()), int((~defined).sum())
    if n < 2:
        return PairedStatistics(n, dropped)
    first, second = reference[defined], other[defined]
    rounding = ROUNDING * max(np.abs(first).max(), np.abs(second).max())
    differences = first - second
    differences[np.abs(differences) <= rounding] = 0.0
    mean, constant = float(differences.mean()), bool(np.ptp(differences) <= rounding)
    pooled_sd = float(np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2))
    low, high = _interval(differences, seed, repeats)
    return PairedStatistics(
        n,
        dropped,
        float(first.mean()),
        float(second.mean()),
        mean,
        low,
        high,
        wilcoxon_p=float(stats.wilcoxon(differences, zero_method="wilcox").pvalue) if differences.any() else 1.0,
        t_p=float(mean == 0) if constant else float(stats.ttest_1samp(differences, 0.0).pvalue),
        d_z=_ratio(mean, 0.0 if constant else float(differences.std(ddof=1))),
        cohens_d=_ratio(mean, pooled_sd if pooled_sd > rounding else 0.0),
    )


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct P values of several comparisons by Holm's step-down method (Scand. J. Statist. 6: 65, 1979).

    The k-th smallest of m is multiplied by m - k + 1; none falls below a smaller one's, none exceeds 1.

    Args:
        p_values: (N,) P values; NaN = no test, which is not counted as a comparison.

    Returns:
        (N,) corrected P values, NaN where there was none.
    """
    p_values = np.asarray(p_values, dtype=float)
    corrected, tested = np.full_like(p_values, np.nan), np.isfinite(p_values)
    known = p_values[tested]
    order = np.argsort(known)
    steps = np.maximum.accumulate(known[order] * np.arange(len(known), 0, -1))
    in_place = np.empty_like(known)
    in_place[order] = np.minimum(steps, 1.0)
    corrected[tested] = in_place
    return corrected


def _interval(differences: np.ndarray, seed: int, repeats: int) -> tuple[float, float]:
    # `random_state` is the name that old and new scipy both take
    found = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=repeats,
        confidence_level=CONFIDENCE,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(difference: float, sd: float) -> float:
    """An effect size; 0 / 0 is 0, as equal samples have no effect."""
    if sd > 0:
        return difference / sd
    return float(np.copysign(np.inf, difference)) if difference else 0.0
