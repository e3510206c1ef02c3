"""The statistics over tasks give rliable's numbers.

rliable 1.2.0 computed the constants, with 5,000 resamples for the intervals. It does not run with
today's ``arch``, which is why its numbers are here and it is not: its keyword ``random_state`` had
to be mapped to ``seed``.

The scores are those of rliable's own unit tests, and those of its published example: Atari 100k, 26
games, 100 runs each of SPR and DrQ(eps), normalised by the example's scores of people and of
chance. Its bucket, ``gs://rl-benchmark-data/atari_100k``, is no longer open; the runs are the copies
in ``results/data`` of github.com/eloialonso/iris. That they are the same runs is held by what the
example's notebook printed of them, to the last digit.
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
