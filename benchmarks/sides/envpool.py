"""EnvPool's environments under Stable-Baselines3's PPO, with the settings of our card.

EnvPool is no dependency: ``pip install envpool`` where this is to be measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

from benchmarks.measurements import Rate
from benchmarks.setting import load_setting
from reward_agent.definitions.card import PPOSettings
from reward_agent.errors import UsageError

NAME = "envpool"


def measure_rate(env: str, steps: int, seed: int = 0) -> Rate:
    """Train for at least some steps and return how fast that went.

    Raises:
        UsageError: EnvPool is not installed.
    """
    torch.set_num_threads(1)
    card = load_setting(env).card
    started = time.perf_counter()
    pool: VecEnv = VecMonitor(_EnvPool(str(card.gymnasium_id), card.ppo.n_envs, seed))
    pool = VecNormalize(
        pool,
        norm_obs=card.ppo.normalize_observation,
        norm_reward=card.ppo.normalize_reward,
        gamma=card.ppo.gamma,
    )
    model = make_model(pool, card.ppo, seed)
    model.learn(steps)
    return Rate(
        side=NAME,
        env=env,
        n_envs=card.ppo.n_envs,
        steps=model.num_timesteps,
        wall_s=time.perf_counter() - started,
    )


def make_model(env: VecEnv, ppo: PPOSettings, seed: int) -> PPO:
    """Return Stable-Baselines3's PPO with the settings of a card."""
    activations = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
    return PPO(
        "MlpPolicy",
        env,
        seed=seed,
        device="cpu",
        policy_kwargs={
            "net_arch": list(ppo.net_arch),
            "activation_fn": activations[ppo.activation],
            "log_std_init": ppo.log_std_init,
        },
        **ppo.model_dump(
            include={
                "n_steps", "batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda",
                "clip_range", "ent_coef", "vf_coef", "max_grad_norm", "target_kl",
            }
        ),
    )  # fmt: skip


class _EnvPool(VecEnv):  # type: ignore[misc]
    """EnvPool as a ``VecEnv``: an episode that ended is begun anew at once."""

    def __init__(self, gymnasium_id: str, n_envs: int, seed: int) -> None:
        try:
            import envpool
        except ImportError as error:
            raise UsageError("EnvPool is not installed", "pip install envpool") from error
        self.render_mode = None
        self._pool = envpool.make_gymnasium(gymnasium_id, num_envs=n_envs, seed=seed)
        super().__init__(n_envs, self._pool.observation_space, self._pool.action_space)
        self._actions: NDArray[Any]

    def reset(self) -> NDArray[Any]:
        return np.asarray(self._pool.reset()[0])

    def step_async(self, actions: NDArray[Any]) -> None:
        self._actions = actions.astype(np.float64)

    def step_wait(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, _ = self._pool.step(self._actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(done):
            infos[i] = {
                "terminal_observation": observations[i].copy(),
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
            }
        if done.any():
            ended = np.flatnonzero(done)
            observations = observations.copy()
            observations[ended] = self._pool.reset(ended.astype(np.int32))[0]
        return observations, rewards, done, infos

    def close(self) -> None:
        self._pool.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError(attr_name)

    def env_method(self, method_name: str, *args: Any, **kwargs: Any) -> list[Any]:
        raise NotImplementedError(method_name)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> Sequence[bool]:
        return [False] * self.num_envs
