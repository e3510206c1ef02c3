"""The Stable-Baselines3 edge: many simulations and one generated reward as a ``VecEnv``.

There is no work per environment in a step: only episodes that end cost Python of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.payment import Payment, Reward
from reward_agent.simulation.state import FloatArray, State
from reward_agent.simulation.term_log import EpisodePay, TermLog
from reward_agent.simulation.transition import Transition


class Simulation(Protocol):
    """What is needed of ``simulation.batch.BatchSimulation``."""

    n_sims: int

    @property
    def observation(self) -> FloatArray: ...  # noqa: D102
    def reset(self, ids: NDArray[np.intp] | None = None) -> None: ...  # noqa: D102
    def step(self, action: FloatArray) -> None: ...  # noqa: D102
    def read_state(self) -> State: ...  # noqa: D102
    def find_terminated(self) -> NDArray[np.bool_]: ...  # noqa: D102


@dataclass(frozen=True)
class Ended:
    """The episodes that a step ended, E of them.

    Args:
        ids: (E,) the environments.
        is_time_out: (E,) whether the time limit ended them, not the card's termination.
        observation: (E, observation_size), the last one.
    """

    ids: NDArray[np.intp]
    is_time_out: NDArray[np.bool_]
    observation: NDArray[np.float32]


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
        self._simulation = simulation
        self._payment = Payment(reward, simulation.n_sims)
        self._max_episode_steps = card.max_episode_steps
        self._lengths = np.zeros(simulation.n_sims, dtype=np.int64)
        self._dones: list[NDArray[np.bool_]] = []
        self._state: State
        self._actions: NDArray[np.float32]

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes anew and return the observation (N, observation_size)."""
        self._simulation.reset()
        self._lengths[:] = 0
        self._state = self._simulation.read_state()
        self._payment.begin(self._state)
        self._dones = []
        self.terms.drop_episodes()
        return self._simulation.observation.astype(np.float32)

    def advance(
        self, actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], Ended | None]:
        """Step all simulations; those whose episode ended are at the start of the next.

        What the step pays is asked for afterwards, for many steps at once, with ``pay``.

        Args:
            actions: (N, n_actions).

        Returns:
            Observation (N, observation_size), ends of episodes (N,), and what ended, if any.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        started = time.perf_counter()
        action = actions.astype(np.float64)
        self._simulation.step(action)
        stepped = time.perf_counter()
        next_state = self._simulation.read_state()
        observation = self._simulation.observation.astype(np.float32)
        terminated = self._simulation.find_terminated()
        measured = time.perf_counter()
        self._payment.add(Transition(self._state, action, next_state, terminated))
        taken = time.perf_counter()
        self._state = next_state
        self._lengths += 1
        done = terminated | (self._lengths >= self._max_episode_steps)
        self._dones.append(done)
        ended = self._end_episodes(done, terminated, observation) if done.any() else None
        self.seconds["physics"] += stepped - started
        self.seconds["reward"] += taken - measured
        self.seconds["state"] += measured - stepped + time.perf_counter() - taken
        return observation, done, ended

    def pay(self) -> FloatArray:
        """Return the rewards (n_steps, N) of the steps since it was last called.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        return self._pay()[0]

    def _pay(self) -> tuple[FloatArray, list[EpisodePay]]:
        started = time.perf_counter()
        rewards, terms = self._payment.collect()
        done, self._dones = np.array(self._dones), []
        episodes = self.terms.add(terms, rewards, done)
        self.seconds["reward"] += time.perf_counter() - started
        return rewards, episodes

    def _end_episodes(
        self,
        done: NDArray[np.bool_],
        terminated: NDArray[np.bool_],
        observation: NDArray[np.float32],
    ) -> Ended:
        """Begin the next episodes in the simulations whose episode ended."""
        ids = np.flatnonzero(done)
        ended = Ended(ids, ~terminated[ids], observation[ids])
        self._simulation.reset(ids)
        self._lengths[ids] = 0
        self._state = self._simulation.read_state()
        self._payment.restart(ids, self._state)
        observation[ids] = self._simulation.observation[ids]
        return ended

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions (N, n_actions) for ``step_wait``."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step all simulations and pay the step, as Stable-Baselines3 expects it.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        observation, done, ended = self.advance(self._actions)
        rewards, episodes = self._pay()
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if ended:
            rows = zip(ended.ids, ended.is_time_out, ended.observation, episodes, strict=True)
            for i, is_time_out, last, episode in rows:
                infos[i] = {
                    "terminal_observation": last,
                    "TimeLimit.truncated": bool(is_time_out),
                    "episode": {"r": episode.generated_return, "l": episode.n_steps},
                }
        return observation, rewards[-1].astype(np.float32), done, infos

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
