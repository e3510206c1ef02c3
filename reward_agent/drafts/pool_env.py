"""One of EnvPool's environments as Gymnasium has them, to be watched; it is not trained on."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator

from reward_agent.errors import hint_closest
from reward_agent.simulation.gymnasium_host import EnvError

# Of its info: what EnvPool itself counts.
_ITS_OWN = ("env_id", "players", "elapsed_step")


class PoolEnv(gymnasium.Env):  # type: ignore[misc]
    """EnvPool's, one at a time; a docstring is Gymnasium's of the same id, where it has one.

    Attributes:
        own_doc: that docstring; '' if there is none.
        limit: steps of an episode.
        threshold: return that counts as solved; None where none is said.
        dt: seconds of a step; None where nobody says.
    """

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        envpool = importlib.import_module("envpool")
        known = envpool.list_all_envs()
        if name not in known:
            raise EnvError(f"EnvPool has no {name!r}{hint_closest(name, known)}", "correct the id")
        self._pool = envpool.make_gymnasium(name, num_envs=1, num_threads=1, seed=0, **options)
        config = self._pool.spec.config
        if config.max_num_players > 1:
            raise EnvError(f"{name} has several agents", "one policy acts here: name another")
        self.observation_space = self._pool.observation_space
        self.action_space = self._pool.action_space
        self.limit = int(config.max_episode_steps)
        self.threshold = float(getattr(config, "reward_threshold", 0.0)) or None
        twin = _find_twin(name)
        self.own_doc = str(twin.__doc__ or "") if twin is not None else ""
        self.dt = float(getattr(config, "ctrl_dt", 0.0)) or None
        self.metadata = dict(getattr(twin, "metadata", None) or {})

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        """Start the next episode; the first was seeded when the pool was made."""
        observation, info = self._pool.reset()
        return _take_first(observation), self._take_info(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance by one step."""
        given = np.asarray(action)[None]
        observation, reward, terminated, truncated, info = self._pool.step(given)
        numbers = (float(reward[0]), bool(terminated[0]), bool(truncated[0]))
        return (_take_first(observation), *numbers, self._take_info(info))

    def _take_info(self, info: dict[str, Any]) -> dict[str, Any]:
        return {key: value[0] for key, value in info.items() if key not in _ITS_OWN}


def _take_first(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _take_first(value) for key, value in observation.items()}
    return observation[0]


def _find_twin(name: str) -> Any:
    """Return the class of Gymnasium's environment of that id, though it may not work here."""
    spec = gymnasium.registry.get(name)
    if spec is None or spec.entry_point is None:
        return None
    entry = spec.entry_point
    try:
        return load_env_creator(entry) if isinstance(entry, str) else entry
    except Exception:  # of whoever wrote it
        return None
