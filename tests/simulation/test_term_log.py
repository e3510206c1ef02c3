"""Sums over stretches of training add up."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.simulation.term_log import Stretch, TermLog


def fill(log: TermLog, values: np.ndarray) -> None:
    """Add steps: values (n_steps, N) of one term, which is the whole reward."""
    for row in values:
        log.add({"speed": row}, row)


def test_two_stretches_add_up_to_one() -> None:
    values = np.random.default_rng(0).normal(size=(6, 3))
    whole, parts = TermLog(3), TermLog(3)
    for log in (whole, parts):
        fill(log, values[:4])
        log.end_episodes(np.array([1]), np.array([4]))
        first = None if log is whole else log.pop()
        fill(log, values[4:])
        log.end_episodes(np.array([0, 1]), np.array([6, 2]))
    joined, expected = first + parts.pop(), whole.pop()
    assert joined.n_steps == expected.n_steps == 18
    assert joined.episode_return == pytest.approx(expected.episode_return)
    for name in ("minimum", "total", "maximum", "episode_pay"):
        np.testing.assert_allclose(getattr(joined, name), getattr(expected, name))
    assert joined.generated_return == pytest.approx((values[:, 0].sum() + values[:, 1].sum()) / 3)
    assert joined.episode_length == 4.0


def test_pay_without_a_finished_episode_is_that_of_the_longest() -> None:
    log = TermLog(2)
    fill(log, np.full((3, 2), 0.5))
    stretch = log.pop()
    assert stretch.generated_return is None
    assert stretch.find_pay_per_episode(100).tolist() == [50.0]


def test_plain_form_comes_back_equal() -> None:
    log = TermLog(2)
    fill(log, np.ones((3, 2)))
    stretch = log.pop()
    again = Stretch.from_plain(stretch.to_plain())
    assert again.to_plain() == stretch.to_plain()
    assert (again + stretch).n_steps == 12


def test_dropped_episodes_are_never_paid() -> None:
    log = TermLog(1)
    fill(log, np.ones((3, 1)))
    log.drop_episodes()
    fill(log, np.ones((2, 1)))
    assert log.end_episodes(np.array([0]), np.array([2])).tolist() == [2.0]
