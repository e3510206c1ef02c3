"""The statistics over tasks give rliable's numbers.

rliable 1.2.0 computed the constants, with 20,000 resamples for the intervals (5,000 for Atari's). It
does not run with today's ``arch``, which is why its numbers are here and it is not: its keyword
``random_state`` had to be mapped to ``seed``.

The scores are made up (five tasks, eight runs each, one tie between the methods), those of
rliable's own unit tests, and those of its published example: Atari 100k, 26 games, 100 runs each of
SPR and DrQ(eps), normalised by the example's scores of people and of chance. Its bucket,
``gs://rl-benchmark-data/atari_100k``, is no longer open; the runs are the copies in ``results/data``
of github.com/eloialonso/iris. That they are the same runs is held by what the example's notebook
printed of them, to the last digit.
"""

from pathlib import Path

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


# Printed by cell 18 of rliable's deep_rl_precipice_colab.ipynb: median and mean over the games.
PRINTED = {
    "spr": (0.39562938291779215, 0.6157957428691673),
    "drq_eps": (0.312901399063074, 0.4647412513971657),
}
ATARI_THRESHOLDS = [0, 0.1, 0.25, 0.5, 1.0, 2.0]


@pytest.fixture(scope="module")
def atari():
    with np.load(Path(__file__).parent / "data" / "atari_100k.npz", allow_pickle=False) as file:
        return {name: list(file[name]) for name in PRINTED}


@pytest.mark.parametrize("name", PRINTED)
def test_the_runs_are_those_of_the_published_example(atari, name):
    means = np.mean(atari[name], axis=1)
    assert (len(means), len(atari[name][0])) == (26, 100)
    assert (np.median(means), means.mean()) == pytest.approx(PRINTED[name], rel=1e-12)


@pytest.mark.parametrize(
    ("name", "mean", "interval", "profile"),
    [
        (
            "spr",
            0.33664931949376936,
            (0.32574007, 0.34812562),
            [0.96846154, 0.70307692, 0.52, 0.37615385, 0.21423077, 0.07153846],
        ),
        (
            "drq_eps",
            0.27964692908526456,
            (0.27090017, 0.28876206),
            [0.94346154, 0.66961538, 0.47884615, 0.33307692, 0.11923077, 0.04076923],
        ),
    ],
)
def test_the_published_example_has_rliables_numbers(atari, name, mean, interval, profile):
    scores = atari[name]
    assert interquartile_mean(np.concatenate(scores)) == pytest.approx(mean, rel=1e-12)
    assert performance_profile(scores, ATARI_THRESHOLDS) == pytest.approx(profile, abs=1e-8)
    width = interval[1] - interval[0]
    assert np.abs(np.subtract(stratified_interval(scores), interval)).max() < 0.05 * width


def test_the_published_example_has_rliables_probability_of_improvement(atari):
    found = probability_of_improvement(atari["spr"], atari["drq_eps"])
    assert found == pytest.approx(0.6170115384615383, abs=1e-12)


def test_rliables_own_unit_tests_hold():
    x = [[1, 2, 1, 2], [2, 2, 1, 1]]
    y = [[1, 2, 3], [1, 2, 3]]
    assert interquartile_mean(np.concatenate(x)) == 1.5
    assert interquartile_mean(np.concatenate(y)) == 2
    assert probability_of_improvement(x, y) == pytest.approx(1 / 3)
