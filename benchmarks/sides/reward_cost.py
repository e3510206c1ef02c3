"""Reward programs on a live simulation: what each costs beside the rest of a step."""

from __future__ import annotations

import numpy as np

from benchmarks.measurements import RewardCost
from benchmarks.setting import load_setting
from reward_agent.definitions.card import EnvCard
from reward_agent.rewards.program import (
    CompiledReward,
    StepReward,
    load_functions,
    warm_numpy,
)
from reward_agent.rewards.source import find_read_fields
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.payment import Reward
from reward_agent.simulation.state import FloatArray, State
from reward_agent.simulation.vec_env import RewardVecEnv

# What the programs of a foreign corpus are written for.
_CORPUS_OBSERVATION_SIZE, _CORPUS_N_ACTIONS = 24, 6


def measure_costs(env: str, programs: dict[str, str], n_envs: int, steps: int) -> list[RewardCost]:
    """Return the cost of each program; without programs, of the task's reference reward."""
    setting = load_setting(env)
    warm_numpy()
    if not programs:
        return [_measure(setting.card, "reference", setting.source, n_envs, steps, False)]
    return [
        _measure(setting.card, name, source, n_envs, steps, is_foreign=True)
        for name, source in programs.items()
    ]


def _measure(
    card: EnvCard, name: str, source: str, n_envs: int, steps: int, is_foreign: bool
) -> RewardCost:
    fields = ["observation"] if is_foreign else find_read_fields(source, card)
    simulation = make_simulation(card, n_envs, seed=0, fields=fields)
    reward = CompiledReward(load_functions(source), card.ppo.gamma)
    payer: Reward = _Foreign(reward) if is_foreign else reward
    vec_env = RewardVecEnv(card, simulation, payer)
    vec_env.reset()
    low, high = card.action_range
    generator = np.random.default_rng(0)
    actions = generator.uniform(low, high, (steps, n_envs, card.n_actions)).astype(np.float32)
    for number, action in enumerate(actions, start=1):
        vec_env.advance(action)
        if number % card.ppo.n_steps == 0 or number == steps:
            vec_env.pay()
    seconds = vec_env.seconds
    return RewardCost(
        env=card.name,
        program=name,
        n_envs=n_envs,
        call_us=1e6 * seconds["reward"] / steps,
        share=seconds["reward"] / sum(seconds.values()),
    )


class _Foreign:
    """Gives programs of a corpus the observation and the action that they are written for."""

    def __init__(self, reward: CompiledReward) -> None:
        self._reward = reward

    @property
    def has_memory(self) -> bool:
        return self._reward.has_memory

    def begin(self, state: State) -> None:
        self._reward.begin(_widen(state))

    def restart(self, ids: np.ndarray, state: State) -> None:
        self._reward.restart(ids, _widen(state))

    def step(
        self, state: State, action: FloatArray, next_state: State, terminated: np.ndarray
    ) -> StepReward:
        wide = _repeat(action, _CORPUS_N_ACTIONS)
        return self._reward.step(_widen(state), wide, _widen(next_state), terminated)


def _widen(state: State) -> State:
    return State({"observation": _repeat(state.observation, _CORPUS_OBSERVATION_SIZE)})


def _repeat(values: FloatArray, width: int) -> FloatArray:
    """Return the columns again and again, up to a width."""
    return values[:, np.arange(width) % values.shape[1]]
