"""The work of a training is counted, not timed: what must not grow, and what must not happen."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.learner import LearnerSettings, PPOSettings
from reward_agent.learning.ppo import PPO
from reward_agent.learning.vec_env import RewardVecEnv
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.mujoco_batch import BatchSimulation

SOURCE = """
def compute_reward(state, action, next_state):
    forward = next_state.forward_velocity
    return forward, {"forward": forward}
"""
REMEMBERING = """
def init_memory(state):
    return {"best": state.forward_velocity}

def compute_reward(state, action, next_state, memory):
    best = np.maximum(memory["best"], next_state.forward_velocity)
    return best, {"best": best}, {"best": best}
"""
SETTINGS = PPOSettings(n_envs=8, n_steps=16, batch_size=32, n_epochs=3)


@pytest.fixture(scope="module")
def card() -> EnvCard:
    return load_env("half_cheetah")  # no episode ends early


def make_env(card: EnvCard, n_envs: int, source: str = SOURCE) -> RewardVecEnv:
    simulation = BatchSimulation(card, n_envs, seed=0, fields=["forward_velocity"])
    return RewardVecEnv(card, simulation, compile_program(source, card, 0.99))


def make_ppo(env: RewardVecEnv, settings: PPOSettings) -> PPO:
    return PPO(env, LearnerSettings(**settings.model_dump()), 100_000, seed=0)


def make_model(card: EnvCard, **changes: Any) -> PPO:
    settings = SETTINGS.model_copy(update=changes)
    return make_ppo(make_env(card, settings.n_envs), settings)


def count_calls(function: Callable[[], object]) -> Counter[str]:
    """Count the calls that Python makes, by their name."""
    calls: Counter[str] = Counter()

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_qualname] += 1
        elif event == "c_call":
            calls[argument.__qualname__] += 1

    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_a_step_makes_as_many_calls_for_many_environments_as_for_few(card: EnvCard) -> None:
    counts = []
    for n_envs in (4, 256):
        env = make_env(card, n_envs)
        env.reset()
        action = np.zeros((n_envs, card.n_actions), dtype=np.float32)
        env.advance(action)
        counts.append(count_calls(lambda env=env, action=action: env.advance(action)))
    assert counts[0]["Batch.step"] == counts[1]["Batch.step"] == 1
    # With 256 environments the second step is not paid yet, with 4 neither.
    assert counts[0] == counts[1]
    assert counts[0].total() <= 80


def test_a_program_without_memory_is_called_once_for_two_thousand_rows(card: EnvCard) -> None:
    model = make_model(card, n_envs=64, n_steps=64, batch_size=1024)
    model.learn()
    calls = count_calls(model.learn)
    # Beside them a few rows are paid again, ever rarer, to see that each pays for itself.
    assert calls["compute_reward"] - calls["CompiledReward._pay_rows"] == 64 * 64 // 2048


def test_a_program_with_memory_is_called_once_a_step(card: EnvCard) -> None:
    settings = SETTINGS.model_copy(update={"n_envs": 64})
    env = make_env(card, settings.n_envs, REMEMBERING)
    model = make_ppo(env, settings)
    model.learn()
    assert count_calls(model.learn)["compute_reward"] == settings.n_steps


def test_a_rollout_steps_the_batch_once_a_step(card: EnvCard) -> None:
    model = make_model(card)
    model.learn()
    calls = count_calls(model.learn)
    assert calls["Batch.step"] == SETTINGS.n_steps
    assert calls["PPO._predict_values"] == 2  # of the whole rollout, and of what follows it
    assert calls["compute_gradient"] == SETTINGS.n_epochs * 8 * 16 // SETTINGS.batch_size


def test_calls_of_a_rollout_do_not_grow_with_the_environments(card: EnvCard) -> None:
    totals = []
    for n_envs in (8, 64):
        # As many minibatches of a rollout in both.
        model = make_model(card, n_envs=n_envs, batch_size=4 * n_envs)
        model.learn()
        totals.append(count_calls(model.learn).total())
    assert totals[1] <= totals[0]


def test_the_update_reads_the_rollout_where_it_lies(card: EnvCard) -> None:
    model = make_model(card)
    model.learn()
    steps, rollout = model.rollout.flatten(), model.rollout
    for name in ("observations", "actions", "advantages", "returns", "log_probs"):
        assert np.shares_memory(getattr(steps, name), getattr(rollout, name))
    part = steps.take(slice(0, 32))
    assert np.shares_memory(part.observations, rollout.observations)


def measure_arrays() -> int:
    """Return the bytes of NumPy's arrays made since tracing began; Python's free lists are none."""
    only = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    traces = tracemalloc.take_snapshot().filter_traces([only]).traces
    return sum(trace.size for trace in traces)


def test_rollouts_leave_no_array_behind(card: EnvCard) -> None:
    model, sizes = make_model(card), []
    tracemalloc.start()
    try:
        for _ in range(6):
            model.learn()
            model._env.terms.pop()
            sizes.append(measure_arrays())
    finally:
        tracemalloc.stop()
    assert sizes[1:] == [sizes[1]] * 5


def test_a_rollout_holds_at_most_a_few_copies_of_itself(card: EnvCard) -> None:
    model = make_model(card, n_envs=64, n_steps=64, batch_size=1024)
    model.learn()
    size = sum(values.nbytes for values in vars(model.rollout).values())
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        model.learn()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 6 * size
