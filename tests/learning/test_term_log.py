"""Sums over stretches of training add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.learning.term_log import Stretch, TermLog


def fill(log: TermLog, values: np.ndarray, done: np.ndarray | None = None) -> None:
    """Add steps: values (n_steps, N) of one term, which is the whole reward."""
    ended = np.zeros(values.shape, dtype=bool) if done is None else done
    log.add({"speed": values}, values, ended)


def cut(values: np.ndarray, done: np.ndarray) -> list[list[float]]:
    """Return the steps of each episode that ended, environment by environment."""
    episodes = []
    for column, ends in zip(values.T, done.T, strict=True):
        for part in np.split(column, np.flatnonzero(ends) + 1)[:-1]:
            episodes.append(part.tolist())
    return episodes


@given(
    st.integers(1, 6),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_episodes_are_paid_whole_however_the_steps_come(
    n_envs: int, rollouts: list[int], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(sum(rollouts), n_envs))
    done = generator.random(values.shape) < 0.3
    log = TermLog(n_envs)
    for part in np.split(np.arange(len(values)), np.cumsum(rollouts)[:-1]):
        fill(log, values[part], done[part])
    expected = cut(values, done)
    stretch = log.pop()
    assert (stretch.n_steps, stretch.n_episodes) == (values.size, len(expected))
    assert stretch.episode_steps == sum(map(len, expected))
    assert stretch.episode_return == pytest.approx(sum(map(sum, expected)), abs=1e-9)
    assert stretch.total == pytest.approx([values.sum()])
    assert (stretch.minimum, stretch.maximum) == (values.min(), values.max())


def test_two_stretches_add_up_to_one() -> None:
    values = np.random.default_rng(0).normal(size=(6, 3))
    done = np.zeros((6, 3), dtype=bool)
    done[3, 1] = done[5, 0] = done[5, 1] = True
    whole, parts = TermLog(3), TermLog(3)
    fill(whole, values, done)
    fill(parts, values[:4], done[:4])
    first = parts.pop()
    fill(parts, values[4:], done[4:])
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
    fill(log, np.ones((2, 1)), np.array([[False], [True]]))
    stretch = log.pop()
    assert (stretch.n_episodes, stretch.episode_return, stretch.episode_steps) == (1, 2.0, 2)
