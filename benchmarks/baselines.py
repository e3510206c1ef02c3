"""The other sides: Stable-Baselines3's PPO as its users run it, on Gymnasium or on EnvPool.

EnvPool is no dependency: ``pip install envpool`` where this is to be measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, VecNormalize

from benchmarks.measure import Learned, Point, Rate, Setting, load_setting
from benchmarks.ours import evaluate_policies
from benchmarks.rates import DEFAULTS as DEFAULTS_NAME
from benchmarks.rates import ENVPOOL_SIDE
from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.learner import PPOSettings
from reward_agent.learning.policy import Layer, NumpyPolicy, PolicyHeader


@dataclass(frozen=True)
class Baseline:
    """How somebody else trains.

    Args:
        name: of the side.
        n_envs: Gymnasium environments side by side, in one process.
        normalize: observations and rewards by ``VecNormalize``.
        settings: PPO's arguments where they are not the defaults.
    """

    name: str
    n_envs: int
    normalize: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


DEFAULTS = Baseline(DEFAULTS_NAME, n_envs=8)
# Source: https://github.com/DLR-RM/rl-baselines3-zoo, hyperparams/ppo.yml at commit 208b6fd,
# entry Hopper-v4 ("Tuned"); the same as in https://huggingface.co/sb3/ppo-Hopper-v3.
TUNED_HOPPER = Baseline(
    "rl-zoo",
    n_envs=1,
    normalize=True,
    settings={
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.999,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "clip_range": 0.2,
        "n_epochs": 5,
        "gae_lambda": 0.99,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
        "policy_kwargs": {
            "log_std_init": -2,
            "ortho_init": False,
            "activation_fn": torch.nn.ReLU,
            "net_arch": {"pi": [256, 256], "vf": [256, 256]},
        },
    },
)
BASELINES = {item.name: item for item in (DEFAULTS, TUNED_HOPPER)}


def measure_rate(env: str, steps: int, seed: int = 0) -> Rate:
    """Train with the defaults for at least some steps and return how fast that went."""
    torch.set_num_threads(1)
    card = load_setting(env).card
    started = time.perf_counter()
    model = make_model(DEFAULTS, card, seed)
    return _time(model, DEFAULTS.name, env, steps, started)


def measure_envpool(env: str, steps: int, seed: int = 0) -> Rate:
    """Train with the card's settings on EnvPool and return how fast that went."""
    torch.set_num_threads(1)
    card = load_setting(env).card
    started = time.perf_counter()
    ppo = PPOSettings.model_validate(card.learner.given)
    pool = VecMonitor(_EnvPool(str(card.gymnasium_id), ppo.n_envs, seed))
    pool = VecNormalize(
        pool,
        norm_obs=ppo.normalize_observation,
        norm_reward=ppo.normalize_reward,
        gamma=ppo.gamma,
    )
    model = PPO("MlpPolicy", pool, seed=seed, device="cpu", **translate_settings(ppo))
    return _time(model, ENVPOOL_SIDE, env, steps, started)


def _time(model: PPO, side: str, env: str, steps: int, started: float) -> Rate:
    model.learn(steps)
    return Rate(
        side=side,
        env=env,
        n_envs=model.n_envs,
        steps=model.num_timesteps,
        wall_s=time.perf_counter() - started,
    )


def translate_settings(ppo: PPOSettings) -> dict[str, Any]:
    """Return the settings of a card as Stable-Baselines3's PPO takes them."""
    activations = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
    names = (
        "n_steps", "batch_size", "n_epochs", "learning_rate", "gamma", "gae_lambda", "clip_range",
        "ent_coef", "vf_coef", "max_grad_norm", "target_kl",
    )  # fmt: skip
    return {name: getattr(ppo, name) for name in names} | {
        "policy_kwargs": {
            "net_arch": list(ppo.net_arch),
            "activation_fn": activations[ppo.activation],
            "log_std_init": ppo.log_std_init,
        }
    }


@dataclass(frozen=True)
class Goal:
    """When a training may end.

    Args:
        steps: env steps, at most.
        score: task score that ends it, once ``min_steps`` are done.
        min_steps: env steps, at least.
        limit_s: seconds of training, at most.
        spacing: env steps from one judged policy to the next, at least.
    """

    steps: int
    score: float
    min_steps: int
    limit_s: float
    spacing: int


def learn(env: str, seed: int, side: str, goal: dict[str, Any]) -> Learned:
    """Train, and judge policies on the way while the clock stands.

    Args:
        env: environment.
        seed: of the training.
        side: name of a baseline.
        goal: a ``Goal`` as a dict.
    """
    torch.set_num_threads(1)
    baseline, setting = BASELINES[side], load_setting(env)
    judge = _Judge(setting, Goal(**goal))
    model = make_model(baseline, setting.card, seed)
    model.learn(int(goal["steps"]), callback=judge)
    judge.note()
    is_cut = model.num_timesteps < goal["steps"] and not judge.has_reached
    return Learned(
        side=side,
        env=env,
        seed=seed,
        wall_s=judge.wall_s,
        curve=tuple(judge.curve),
        limit_s=judge.wall_s if is_cut else None,
    )


def make_model(baseline: Baseline, card: EnvCard, seed: int) -> PPO:
    """Return Stable-Baselines3's PPO on Gymnasium's environment of a card."""
    # Gymnasium's models have settings of old that MuJoCo warns of, once for each environment.
    mujoco.set_mju_user_warning(lambda message: None)
    kwargs = dict(card.gymnasium_kwargs)
    assert card.gymnasium_id is not None
    env: VecEnv = make_vec_env(
        lambda: gymnasium.make(card.gymnasium_id, **kwargs), n_envs=baseline.n_envs, seed=seed
    )
    if baseline.normalize:
        env = VecNormalize(env, gamma=baseline.settings.get("gamma", 0.99))
    return PPO("MlpPolicy", env, seed=seed, device="cpu", **baseline.settings)


class _Judge(BaseCallback):  # type: ignore[misc]
    """Scores the policy after updates, with the clock of the training stopped."""

    def __init__(self, setting: Setting, goal: Goal) -> None:
        super().__init__()
        self.curve: list[Point] = []
        self.has_reached = False
        self._setting, self._goal = setting, goal
        self._paused_s = 0.0
        self._started = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds of training so far."""
        return time.perf_counter() - self._started - self._paused_s

    def note(self) -> None:
        """Score the policy as it is now, unless one was scored shortly before."""
        steps, wall_s = self.model.num_timesteps, self.wall_s
        last = self.curve[-1].total_timesteps if self.curve else 0
        if steps - last < self._goal.spacing and steps < self._goal.steps:
            return
        policy = export_policy(self.model, self._setting.card)
        score = evaluate_policies(self._setting, [policy])[0].task_score
        self.curve.append(Point(total_timesteps=steps, wall_s=wall_s, task_score=score))
        self.has_reached |= score is not None and score >= self._goal.score
        self._paused_s += self.wall_s - wall_s

    # Before a rollout the weights are those of the last update.
    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps:
            self.note()

    def _on_step(self) -> bool:
        is_done = self.has_reached and self.model.num_timesteps >= self._goal.min_steps
        return not (is_done or self.wall_s > self._goal.limit_s)


def export_policy(model: PPO, card: EnvCard) -> NumpyPolicy:
    """Return the deterministic policy of a Stable-Baselines3 model with an MLP actor."""
    linear = [
        module
        for module in (*model.policy.mlp_extractor.policy_net, model.policy.action_net)
        if isinstance(module, torch.nn.Linear)
    ]
    layers = tuple(Layer(_copy(item.weight), _copy(item.bias)) for item in linear)
    mean, scale, clip = _find_normalization(model)
    is_relu = model.policy.activation_fn is torch.nn.ReLU
    header = PolicyHeader(
        card=card.name,
        n_actions=card.n_actions,
        observation_size=len(mean),
        net_arch=tuple(len(layer.bias) for layer in layers[:-1]),
        activation="relu" if is_relu else "tanh",
        action_range=card.action_range,
        observation_clip=clip,
    )
    return NumpyPolicy(header, layers, mean, scale, _copy(model.policy.log_std))


def _find_normalization(model: PPO) -> tuple[Any, Any, float]:
    env = model.get_vec_normalize_env()
    if env is None:
        size = model.observation_space.shape[0]
        return np.zeros(size, dtype=np.float32), np.ones(size, dtype=np.float32), 1e6
    moments = env.obs_rms
    scale = 1.0 / np.sqrt(moments.var + env.epsilon)
    return moments.mean.astype(np.float32), scale.astype(np.float32), float(env.clip_obs)


def _copy(values: torch.Tensor) -> Any:
    return values.detach().numpy().copy()


class _EnvPool(VecEnv):  # type: ignore[misc]
    """EnvPool as a ``VecEnv``: an episode that ended is begun anew at once."""

    def __init__(self, gymnasium_id: str, n_envs: int, seed: int) -> None:
        import envpool

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
