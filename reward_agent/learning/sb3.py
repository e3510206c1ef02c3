"""Stable-Baselines3 on our environments: the library as it is, behind a thin ``VecEnv``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from reward_agent.simulation.vec_env import RewardVecEnv


class Sb3VecEnv(VecEnv):  # type: ignore[misc]
    """The environments of a training as Stable-Baselines3 expects them.

    ``infos`` is empty except for episodes that end: ``terminal_observation``,
    ``TimeLimit.truncated`` (the time limit, not the card's termination, ended it) and ``episode``.

    Args:
        env: what does the work.
    """

    def __init__(self, env: RewardVecEnv) -> None:
        low, high = env.card.action_range
        self.render_mode = None
        super().__init__(
            env.n_envs,
            spaces.Box(-np.inf, np.inf, (env.card.observation_size,), np.float32),
            spaces.Box(low, high, (env.card.n_actions,), np.float32),
        )
        self._env = env
        self._actions: NDArray[np.float32]

    def reset(self) -> NDArray[np.float32]:
        """Start all episodes anew and return the observation (N, observation_size)."""
        return self._env.reset()

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Keep the actions (N, n_actions) for ``step_wait``."""
        self._actions = actions

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Step all simulations and pay the step.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        observation, done, ended = self._env.advance(self._actions)
        rewards, episodes = self._env.pay_episodes()
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
