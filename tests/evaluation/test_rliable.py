"""The statistics over tasks give rliable's numbers.

rliable 1.2.0 computed the constants from these scores (five tasks, eight runs each, one tie between
the methods), with 20,000 resamples for the intervals. It does not run with today's ``arch``, which
is why its numbers are here and it is not: its keyword ``random_state`` had to be mapped to ``seed``.
"""

import numpy as np
import pytest

from reward_agent.evaluation.statistics import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)

MINE = [
    [1.542, 0.676, 1.331, 0.122, 1.144, 0.349, 0.489, 0.085],
    [0.772, 0.956, 0.525, 1.46, 1.225, 0.199, 0.785, 0.197],
    [1.828, 0.749, 0.22, 1.512, 0.394, 0.622, 0.492, 0.902],
    [0.509, 0.992, 1.098, 0.529, 0.427, 0.527, 0.672, 1.139],
    [0.861, 1.041, 2.395, 0.458, 0.727, 1.065, 0.647, 0.952],
]
THEIRS = [
    [0.56, 0.78, 0.3, 0.56, 1.357, 0.791, 0.291, 0.675],
    [0.332, 0.686, 0.772, 0.226, 0.883, 0.65, 1.444, 0.658],
    [0.524, 0.292, 0.743, 1.014, 0.536, 0.353, 0.414, 0.354],
    [0.735, 1.225, 0.989, 0.597, 1.033, 0.821, 0.916, 0.773],
    [0.542, 0.761, 0.859, 0.619, 1.048, 1.408, 0.643, 1.057],
]
THRESHOLDS = [0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]


@pytest.mark.parametrize(("scores", "expected"), [(MINE, 0.75005), (THEIRS, 0.7054)])
def test_interquartile_mean_over_tasks_is_rliables(scores, expected):
    assert interquartile_mean(scores) == pytest.approx(expected, abs=1e-12)


def test_probability_of_improvement_is_rliables():
    assert probability_of_improvement(MINE, THEIRS) == pytest.approx(0.5203125, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (MINE, [1.0, 0.875, 0.725, 0.475, 0.3, 0.15, 0.1]),
        (THEIRS, [1.0, 0.975, 0.8, 0.45, 0.2, 0.075, 0.0]),
    ],
)
def test_performance_profile_is_rliables(scores, expected):
    assert performance_profile(scores, THRESHOLDS) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [(MINE, (0.61225, 0.9074075)), (THEIRS, (0.63014875, 0.79835))],
)
def test_stratified_interval_is_rliables_up_to_the_noise_of_resampling(scores, expected):
    width = expected[1] - expected[0]
    assert np.abs(np.subtract(stratified_interval(scores), expected)).max() < 0.05 * width


def test_an_interval_that_forgot_the_tasks_would_be_told_apart():
    shifted = [np.asarray(scores) + 3 * task for task, scores in enumerate(MINE)]
    low, high = stratified_interval(shifted)
    one_low, one_high = stratified_interval([np.concatenate(shifted)])
    assert high - low < 0.5 * (one_high - one_low)
