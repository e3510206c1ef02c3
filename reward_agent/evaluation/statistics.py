"""Intervals and means that say how far a number from few episodes can be trusted.

Samples are finite numbers, at least one; a ``UsageError`` says what else was given. Several tasks
are strata: for each task its scores, ``(n_runs,)`` each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.errors import UsageError

FloatArray = NDArray[np.float64]
Interval = tuple[float, float]

_LEVEL = 0.95
# Two-sided quantile of the normal distribution at this level.
_Z_95 = 1.959963984540054
_N_RESAMPLES = 2000


def wilson_interval(n_successes: int, n_trials: int) -> Interval:
    """Return the 95 % score interval of a rate; it stays within 0..1, not empty at 0 or 1.

    Raises:
        UsageError: there is no trial, or there are more successes than trials.

    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    if n_trials < 1 or not 0 <= n_successes <= n_trials:
        raise UsageError(
            f"{n_successes} successes of {n_trials} trials", "give 0 <= successes <= trials >= 1"
        )
    rate, z = n_successes / n_trials, _Z_95
    scale = 1 + z**2 / n_trials
    centre = (rate + z**2 / (2 * n_trials)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / n_trials + z**2 / (4 * n_trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(values: ArrayLike) -> Interval:
    """Return the 95 % percentile bootstrap interval of the mean; the same values give the same one.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13.
    """
    return stratified_interval([values], np.mean)


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half; values on the edge of it count in part.

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical
    precipice; for n not divisible by four the edge values are weighted, where SciPy's
    ``trim_mean`` (and rliable with it) rounds the trimmed count down.
    """
    return float(_average_middle(_check_sample(values), axis=0))


def _average_middle(samples: FloatArray, axis: int) -> FloatArray:
    n = samples.shape[axis]
    shares = np.diff(np.clip(np.arange(n + 1) / n, 0.25, 0.75))
    return np.asarray(np.sum(np.sort(samples, axis) * shares, axis) / 0.5)


def correlate(a: ArrayLike, b: ArrayLike, min_points: int = 4) -> float | None:
    """Return Spearman's rank correlation; None with a constant side or less than ``min_points``.

    Source: Spearman (1904); ties get the mean of their ranks.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if len(x) < min_points or _is_constant(x) or _is_constant(y):
        return None
    return float(np.corrcoef(_rank(x), _rank(y))[0, 1])


def _rank(values: FloatArray) -> FloatArray:
    """Return mean ranks: equal values share theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


def _is_constant(values: FloatArray) -> bool:
    return float(np.ptp(values)) <= 1e-9 * max(1.0, float(np.max(np.abs(values))))


def _check_sample(values: ArrayLike) -> FloatArray:
    sample = np.asarray(values, dtype=np.float64).reshape(-1)
    if len(sample) == 0 or not np.isfinite(sample).all():
        raise UsageError(
            f"statistics of {len(sample)} values, of which {int(np.isfinite(sample).sum())} finite",
            "give at least one number, all of them finite",
        )
    return sample


def stratified_interval(
    strata: Sequence[ArrayLike], statistic: Callable[..., Any] = _average_middle, seed: int = 0
) -> Interval:
    """Return the 95 % percentile bootstrap interval of a statistic of all scores together.

    Runs are drawn again within each task, never across tasks, so that every resample has the same
    tasks in the same shares. The statistic is taken along an ``axis``.

    Source: Agarwal et al. (2021), section 4.1: stratified bootstrap with percentiles, as rliable's
    ``get_interval_estimates``.
    """
    samples = _check_strata(strata)
    rng = np.random.default_rng(seed)
    draws = [
        sample[rng.integers(len(sample), size=(_N_RESAMPLES, len(sample)))] for sample in samples
    ]
    values = statistic(np.concatenate(draws, axis=1), axis=1)
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def probability_of_improvement(strata: Sequence[ArrayLike], others: Sequence[ArrayLike]) -> float:
    """Return how likely a run scores higher than one of the others on a random task, 0 to 1.

    Source: Agarwal et al. (2021), section 4.3: mean over tasks of P(X > Y) + P(X = Y) / 2, which
    is the Mann-Whitney U statistic over the number of pairs.
    """
    mine, theirs = _check_strata(strata), _check_strata(others)
    if len(mine) != len(theirs):
        raise UsageError(
            f"{len(mine)} tasks against {len(theirs)}", "compare scores of the same tasks"
        )
    wins = [
        np.mean((x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None]))
        for x, y in zip(mine, theirs, strict=True)
    ]
    return float(np.mean(wins))


def performance_profile(strata: Sequence[ArrayLike], thresholds: ArrayLike) -> FloatArray:
    """Return the share of all runs that score above each threshold, ``(n_thresholds,)``.

    Source: Agarwal et al. (2021), section 4.2: the run-score distribution.
    """
    scores = np.concatenate(_check_strata(strata))
    taus = np.asarray(thresholds, dtype=np.float64).reshape(-1)
    return np.asarray(np.mean(scores[None] > taus[:, None], axis=1))


def normalise_score(score: float, sparse: float, reference: float) -> float | None:
    """Return (score - sparse) / |reference - sparse|; None where the two are the same.

    0 is what paying for success alone reaches, 1 is a person's reward where that is the better one.

    Source: Ma et al. (2024), Eureka, section 4.1: human normalised score.
    """
    width = abs(reference - sparse)
    return None if width <= 1e-9 * max(1.0, abs(sparse)) else (score - sparse) / width


def _check_strata(strata: Sequence[ArrayLike]) -> list[FloatArray]:
    if len(strata) == 0:
        raise UsageError("statistics of no task", "give the scores of at least one task")
    return [_check_sample(scores) for scores in strata]
