"""Ends of episodes, restarts and the log of terms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from support.counting import CountingSimulation

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.simulation.state import State

LIMIT = 5  # steps


@dataclass(frozen=True)
class Paid:
    reward: np.ndarray
    terms: dict[str, np.ndarray]


@dataclass
class CountReward:
    """Pays the count after the step, and keeps what it was told."""

    has_memory: bool = True
    restarts: list[list[int]] = field(default_factory=list)
    before: list[np.ndarray] = field(default_factory=list)

    def begin(self, state: State) -> None:
        self.restarts.append(list(range(state.n_sims)))

    def restart(self, ids: np.ndarray, state: State) -> None:
        assert not state.count[ids].any()
        self.restarts.append(ids.tolist())

    def step(
        self, state: State, action: np.ndarray, next_state: State, terminated: np.ndarray
    ) -> Paid:
        self.before.append(state.count)
        bonus = np.ones_like(next_state.count)
        return Paid(next_state.count + bonus, {"count": next_state.count, "bonus": bonus})


@pytest.fixture(scope="module")
def card() -> EnvCard:
    return load_env("hopper").model_copy(update={"max_episode_steps": LIMIT})


def make_env(card: EnvCard, ends: list[int]) -> tuple[RewardVecEnv, CountReward]:
    reward = CountReward()
    env = RewardVecEnv(card, CountingSimulation(ends), reward)
    env.reset()
    return env, reward


def run_steps(env: RewardVecEnv, n_steps: int) -> list[tuple]:
    action = np.zeros((env.n_envs, 3), dtype=np.float32)
    return [(*env.advance(action), env.pay()) for _ in range(n_steps)]


def test_termination_is_not_truncation(card: EnvCard) -> None:
    env, _ = make_env(card, [2, 100])
    steps = run_steps(env, LIMIT)
    assert [step[1].tolist() for step in steps] == [
        [False, False], [True, False], [False, False], [True, False], [False, True]
    ]  # fmt: skip
    assert [step[2] is None for step in steps] == [True, False, True, False, False]
    assert (steps[1][2].ids.tolist(), steps[1][2].is_time_out.tolist()) == ([0], [False])
    assert (steps[4][2].ids.tolist(), steps[4][2].is_time_out.tolist()) == ([1], [True])


def test_what_the_environment_cuts_off_is_no_termination(card: EnvCard) -> None:
    class Cutting(CountingSimulation):
        ends_by_itself = True

        def find_terminated(self) -> np.ndarray:
            return np.zeros(self.n_sims, dtype=bool)

        def find_truncated(self) -> np.ndarray:
            return self._counts >= self._ends

    env = RewardVecEnv(card, Cutting([2, 3]), CountReward())
    env.reset()
    [_, (_, done, ended, _)] = run_steps(env, 2)
    assert done.tolist() == [True, False]
    assert ended.ids.tolist() == [0]
    assert ended.is_time_out.tolist() == [True]


def test_termination_at_the_time_limit_is_termination(card: EnvCard) -> None:
    env, _ = make_env(card, [LIMIT])
    assert not run_steps(env, LIMIT)[-1][2].is_time_out.any()


def test_last_observation_is_kept_and_the_next_is_of_the_new_episode(card: EnvCard) -> None:
    env, _ = make_env(card, [2, 100])
    observation, _, ended, _ = run_steps(env, 2)[-1]
    assert ended.ids.tolist() == [0]
    assert ended.observation[:, 0].tolist() == [2.0]
    assert observation[:, 0].tolist() == [0.0, 2.0]


def test_program_is_told_of_each_new_episode(card: EnvCard) -> None:
    env, reward = make_env(card, [2, 3])
    run_steps(env, 3)
    assert reward.restarts == [[0, 1], [0], [1]]
    # What it sees before a step is the start of the new episode, not the end of the last.
    assert [counts.tolist() for counts in reward.before] == [[0, 0], [1, 1], [0, 2]]


def test_terms_are_added_up_by_step_and_by_episode(card: EnvCard) -> None:
    env, _ = make_env(card, [2, 100])
    assert run_steps(env, 4)[-1][3].tolist() == [[3.0, 5.0]]
    stretch = env.terms.pop()
    assert stretch.names == ("count", "bonus")
    assert (stretch.n_steps, stretch.n_episodes, stretch.episode_steps) == (8, 2, 4)
    assert stretch.episode_pay.tolist() == [6.0, 4.0]
    assert stretch.total.tolist() == [16.0, 8.0]
    assert (stretch.minimum.tolist(), stretch.maximum.tolist()) == ([1.0, 1.0], [4.0, 1.0])
    run_steps(env, 1)
    after = env.terms.pop()
    # The episode that began before the log was read is paid in full when it ends.
    assert (after.n_episodes, after.episode_pay.tolist()) == (1, [15.0, 5.0])


def test_who_ends_while_an_action_is_held_waits_at_the_start_of_the_next(card: EnvCard) -> None:
    env, reward = make_env(card, [3, 100])
    action = np.zeros((2, 3), dtype=np.float32)
    observation, done, ended = env.advance(action, 4)
    assert observation[:, 0].tolist() == [0.0, 4.0]
    assert (done.tolist(), ended.ids.tolist()) == ([True, False], [0])
    assert (ended.observation[:, 0].tolist(), ended.is_time_out.tolist()) == ([3.0], [False])
    assert env.pay().tolist() == [[2.0, 2.0], [3.0, 3.0], [4.0, 4.0], [0.0, 5.0]]
    _, done, ended = env.advance(action, 4)
    assert (ended.ids.tolist(), ended.is_time_out.tolist()) == ([1, 0], [True, False])
    assert env.pay().tolist() == [[2.0, 6.0], [3.0, 0.0], [4.0, 0.0], [0.0, 0.0]]
    stretch = env.terms.pop()
    assert env.n_steps == stretch.n_steps == (3 + 4) + (3 + 1)
    assert (stretch.n_episodes, stretch.episode_steps) == (3, 3 + 5 + 3)
    assert stretch.episode_pay.tolist() == [6.0 + 15.0 + 6.0, 11.0]
    assert (stretch.minimum.tolist(), stretch.maximum.tolist()) == ([1.0, 1.0], [5.0, 1.0])
    # What waits is begun with anew, whatever the program made of a step that was none.
    assert reward.restarts == [[0, 1], [0], [0], [1], [1], [1], [0], [0, 1]]


def test_no_python_per_environment_in_a_step_without_ends(card: EnvCard) -> None:
    """Count the simulation's calls: they do not grow with the number of environments."""
    calls = []

    class Watched(CountingSimulation):
        def __getattribute__(self, name: str):
            if not name.startswith("_"):
                calls.append(name)
            return super().__getattribute__(name)

    counts = []
    for n_envs in (2, 64):
        env = RewardVecEnv(card, Watched([100] * n_envs), CountReward())
        env.reset()
        calls.clear()
        run_steps(env, 1)
        counts.append(len(calls))
    assert counts[0] == counts[1] == 4
