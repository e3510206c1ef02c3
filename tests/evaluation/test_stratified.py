"""Statistics over tasks: rliable's definitions, held by properties and by counting."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.errors import UsageError
from reward_agent.evaluation.statistics import (
    normalise_score,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)

SCORES = st.lists(st.floats(-100, 100, allow_subnormal=False), min_size=1, max_size=6)
STRATA = st.lists(SCORES, min_size=1, max_size=4)


@given(STRATA, STRATA)
def test_improvement_is_the_share_of_won_pairs_averaged_over_tasks(mine, theirs):
    n = min(len(mine), len(theirs))
    mine, theirs = mine[:n], theirs[:n]
    shares = [
        np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for x, y in itertools.product(a, b)])
        for a, b in zip(mine, theirs, strict=True)
    ]
    probability = probability_of_improvement(mine, theirs)
    assert probability == pytest.approx(np.mean(shares))
    assert probability_of_improvement(theirs, mine) == pytest.approx(1 - probability)


@given(STRATA)
def test_profile_falls_from_all_runs_to_none(strata):
    flat = np.concatenate(strata)
    taus = [flat.min() - 1, *np.sort(flat), flat.max() + 1]
    shares = performance_profile(strata, taus)
    assert shares[0] == 1.0
    assert shares[-1] == 0.0
    assert np.all(np.diff(shares) <= 0)
    assert shares[1] == pytest.approx(np.mean(flat > flat.min()))


@settings(max_examples=10)
@given(STRATA)
def test_interval_lies_within_the_scores_and_repeats(strata):
    low, high = stratified_interval(strata, seed=3)
    flat = np.concatenate(strata)
    assert flat.min() - 1e-9 <= low <= high <= flat.max() + 1e-9
    assert (low, high) == stratified_interval(strata, seed=3)


def test_interval_draws_within_tasks_only():
    # Tasks that differ hugely but whose runs agree: no resample can move the mean.
    assert stratified_interval([[0.0] * 4, [1000.0] * 4], np.mean) == (500.0, 500.0)
    low, high = stratified_interval([[0.0, 1000.0] * 4], np.mean)
    assert low < 300 < 700 < high


def test_interval_of_the_mean_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for number in range(40):
        strata = [rng.normal(task, 1.0, 12) for task in range(3)]
        low, high = stratified_interval(strata, np.mean, seed=number)
        hits += low <= 1.0 <= high
    assert 33 <= hits <= 40


@pytest.mark.parametrize(
    ("score", "sparse", "reference", "normalised"),
    [(2.0, 1.0, 3.0, 0.5), (3.0, 1.0, 3.0, 1.0), (1.0, 1.0, 3.0, 0.0), (1.0, 3.0, 1.0, -1.0)],
)
def test_normalised_score_is_measured_from_sparse_to_reference(
    score, sparse, reference, normalised
):
    assert normalise_score(score, sparse, reference) == pytest.approx(normalised)


def test_there_is_no_scale_where_both_ends_are_the_same():
    assert normalise_score(5.0, 2.0, 2.0) is None


@pytest.mark.parametrize("strata", [[], [[]], [[1.0], [float("nan")]]])
def test_nothing_is_made_of_missing_scores(strata):
    with pytest.raises(UsageError):
        stratified_interval(strata)
    with pytest.raises(UsageError):
        probability_of_improvement(strata, strata)
    with pytest.raises(UsageError):
        performance_profile(strata, [0.0])


def test_improvement_needs_the_same_tasks():
    with pytest.raises(UsageError, match="1 tasks against 2"):
        probability_of_improvement([[1.0]], [[1.0], [2.0]])
