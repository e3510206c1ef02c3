"""The Stable-Baselines3 edge: many simulations and one generated reward as a ``VecEnv``.

There is no work per environment in a step: only episodes that end cost Python of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from reward_agent.simulation.card import EnvCard
from reward_agent.simulation.state import FloatArray, State
from reward_agent.simulation.term_log import TermLog


class Simulation(Protocol):
    """What is needed of ``simulation.batch.BatchSimulation``."""

    n_sims: int

    @property
    def observation(self) -> FloatArray: ...  # noqa: D102
    def reset(self, ids: NDArray[np.intp] | None = None) -> None: ...  # noqa: D102
    def step(self, action: FloatArray) -> None: ...  # noqa: D102
    def read_state(self) -> State: ...  # noqa: D102
    def find_terminated(self) -> NDArray[np.bool_]: ...  # noqa: D102


class StepReward(Protocol):
    """Reward (N,) of a step and its terms, each (N,)."""

    @property
    def reward(self) -> FloatArray: ...  # noqa: D102
    @property
    def terms(self) -> dict[str, FloatArray]: ...  # noqa: D102


class Reward(Protocol):
    """What is needed of ``rewards.program.CompiledReward``."""

    def begin(self, state: State) -> None: ...  # noqa: D102
    def restart(self, ids: NDArray[np.intp], state: State) -> None: ...  # noqa: D102
    def step(  # noqa: D102
        self, state: State, action: FloatArray, next_state: State, terminated: NDArray[np.bool_]
    ) -> StepReward: ...


class RewardVecEnv(VecEnv):  # type: ignore[misc]
    """N simulations of a card under one reward; episodes restart by themselves.

    ``infos`` is empty except for episodes that end: ``terminal_observation``,
    ``TimeLimit.truncated`` (the time limit, not the card's termination, ended it) and ``episode``.

    Args:
        card: the environment.
        simulation: N simulations of it.
        reward: the compiled program.

    Attributes:
        terms: what each reward term paid since it was last read.
        seconds: wall time by activity.
    """

    def __init__(self, card: EnvCard, simulation: Simulation, reward: Reward) -> None:
        low, high = card.action_range
        self.render_mode = None
        super().__init__(
            simulation.n_sims,
            spaces.Box(-np.inf, np.inf, (card.observation_size,), np.float32),
            spaces.Box(low, high, (card.n_actions,), np.float32),
        )
        self.terms = TermLog(simulation.n_sims)
        self.seconds = {"physics": 0.0, "reward": 0.0, "state": 0.0}
        self._simulation, self._reward = simulation, reward
        self._max_episode_steps = card.max_episode_steps
        self._lengths = np.zeros(simulation.n_sims, dtype=np.int64)
        self._state: State
        self._actions: FloatArray

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes anew and return the observation (N, observation_size)."""
        self._simulation.reset()
        self._lengths[:] = 0
        self._state = self._simulation.read_state()
        self._reward.begin(self._state)
        self.terms.drop_episodes()
        return self._simulation.observation.astype(np.float32)

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions (N, n_actions) for ``step_wait``."""
        self._actions = actions.astype(np.float64)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step all simulations; those whose episode ended are at the start of the next.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        started = time.perf_counter()
        self._simulation.step(self._actions)
        stepped = time.perf_counter()
        next_state = self._simulation.read_state()
        observation = self._simulation.observation.astype(np.float32)
        terminated = self._simulation.find_terminated()
        measured = time.perf_counter()
        paid = self._reward.step(self._state, self._actions, next_state, terminated)
        self.terms.add(paid.terms, paid.reward)
        rewarded = time.perf_counter()
        self._state = next_state
        self._lengths += 1
        done = terminated | (self._lengths >= self._max_episode_steps)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            self._end_episodes(np.flatnonzero(done), terminated, observation, infos)
        self.seconds["physics"] += stepped - started
        self.seconds["reward"] += rewarded - measured
        self.seconds["state"] += measured - stepped + time.perf_counter() - rewarded
        return observation, paid.reward.astype(np.float32), done, infos

    def _end_episodes(
        self,
        ids: NDArray[np.intp],
        terminated: NDArray[np.bool_],
        observation: NDArray[np.float32],
        infos: list[dict[str, Any]],
    ) -> None:
        """Describe the episodes that ended, and begin the next in the same simulations."""
        returns = self.terms.end_episodes(ids, self._lengths[ids])
        for i, generated_return in zip(ids, returns, strict=True):
            infos[i] = {
                "terminal_observation": observation[i].copy(),
                "TimeLimit.truncated": not terminated[i],
                "episode": {"r": float(generated_return), "l": int(self._lengths[i])},
            }
        self._simulation.reset(ids)
        self._lengths[ids] = 0
        self._state = self._simulation.read_state()
        self._reward.restart(ids, self._state)
        observation[ids] = self._simulation.observation[ids]

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Return an attribute, which all environments share, once for each."""
        return [getattr(self, attr_name)] * len(self._list_indices(indices))

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> None:
        """Refuse: one environment of a batch has no attributes of its own."""
        raise NotImplementedError(f"{attr_name} cannot be set on one simulation of a batch")

    def env_method(
        self,
        method_name: str,
        *args: Any,
        indices: int | Iterable[int] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Refuse: one environment of a batch has no methods of its own."""
        raise NotImplementedError(f"{method_name} cannot be called on one simulation of a batch")

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Return False for each environment: nothing wraps a simulation of a batch."""
        return [False] * len(self._list_indices(indices))

    def _list_indices(self, indices: int | Iterable[int] | None) -> Sequence[int]:
        return list(self._get_indices(indices))
