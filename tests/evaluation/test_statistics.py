import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.errors import UsageError
from reward_agent.evaluation.statistics import (
    bootstrap_interval,
    correlate,
    interquartile_mean,
    wilson_interval,
)

finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # From R: prop.test(x, n, correct = FALSE)$conf.int
    [(0, 10, 0.0, 0.2775), (8, 10, 0.4902, 0.9433), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_wilson_interval_is_that_of_r(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_rate_and_is_never_empty(counts):
    successes, trials = counts
    low, high = wilson_interval(successes, trials)
    assert 0 <= low < high <= 1
    assert low - 1e-12 <= successes / trials <= high + 1e-12


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_interval_refuses_impossible_counts(successes, trials):
    with pytest.raises(UsageError, match=f"{successes} successes of {trials}"):
        wilson_interval(successes, trials)


def test_bootstrap_interval_repeats_and_narrows_with_more_values():
    draws = np.random.default_rng(1).normal(5.0, 2.0, size=400)
    few, many = bootstrap_interval(draws[:16]), bootstrap_interval(draws)
    assert bootstrap_interval(draws[:16]) == few
    assert many[1] - many[0] < few[1] - few[0]
    assert many[0] < draws.mean() < many[1]
    # The normal approximation of the same interval.
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * draws.std() / 20, rel=0.1)


def test_bootstrap_interval_of_one_value_is_that_value():
    assert bootstrap_interval([3.0]) == (3.0, 3.0)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_statistics_refuse_what_has_no_mean(values):
    with pytest.raises(UsageError, match="finite"):
        bootstrap_interval(values)
    with pytest.raises(UsageError, match="finite"):
        interquartile_mean(values)


def test_interquartile_mean_drops_a_quarter_at_each_end():
    assert interquartile_mean([1000.0, 1, 2, 3, 4, 5, 6, -1000]) == pytest.approx(3.5)
    # Of six values one and a half are dropped at each end.
    assert interquartile_mean([0, 1, 2, 3, 4, 100]) == pytest.approx(
        (0.5 * 1 + 2 + 3 + 0.5 * 4) / 3
    )


def test_correlation_is_of_ranks_and_ties_share_theirs():
    assert correlate([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1.0)
    assert correlate([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    # By hand: ranks 1 2.5 2.5 4 5 and 5 1.5 1.5 3.5 3.5, so -1 / sqrt(9.5 * 9).
    assert correlate([1, 2, 2, 3, 4], [5, 1, 1, 2, 2]) == pytest.approx(-1 / 85.5**0.5)


@pytest.mark.parametrize(("a", "b"), [([1, 1, 1, 1], [1, 2, 3, 4]), ([1, 2, 3], [1, 2, 3])])
def test_correlation_says_nothing_without_variation_or_points(a, b):
    assert correlate(a, b) is None
