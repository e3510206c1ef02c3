"""The other sides: Stable-Baselines3's PPO as its users run it, on Gymnasium or on EnvPool."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from benchmarks.measurements import CurvePoint, Learned, Rate
from benchmarks.setting import Setting, load_setting
from benchmarks.sides.scores import score_policies
from reward_agent.definitions.card import EnvCard
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


DEFAULTS = Baseline("sb3-defaults", n_envs=8)
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


def measure_rate(env: str, steps: int, seed: int = 0, side: str = DEFAULTS.name) -> Rate:
    """Train for at least some steps and return how fast that went."""
    torch.set_num_threads(1)
    baseline, setting = BASELINES[side], load_setting(env)
    started = time.perf_counter()
    model = make_model(baseline, setting.card, seed)
    model.learn(steps)
    return Rate(
        side=side,
        env=env,
        n_envs=baseline.n_envs,
        steps=model.num_timesteps,
        wall_s=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class Goal:
    """When a training may end.

    Args:
        steps: env steps, at most.
        score: task score that ends it, once ``min_steps`` are done.
        min_steps: env steps, at least.
        limit_s: seconds of training, at most.
        deadline: time of day, in s since 1970, at most.
    """

    steps: int
    score: float
    min_steps: int
    limit_s: float
    deadline: float = float("inf")


def learn(env: str, seed: int, side: str, goal: dict[str, float], spacing: int) -> Learned:
    """Train, and judge policies on the way while the clock stands.

    Args:
        env: environment.
        seed: of the training.
        side: name of a baseline.
        goal: a ``Goal`` as a dict.
        spacing: env steps from one judged policy to the next, at least.
    """
    torch.set_num_threads(1)
    baseline, setting = BASELINES[side], load_setting(env)
    judge = _Judge(setting, Goal(**goal), spacing)  # type: ignore[arg-type]
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

    def __init__(self, setting: Setting, goal: Goal, spacing: int) -> None:
        super().__init__()
        self.curve: list[CurvePoint] = []
        self.has_reached = False
        self._setting, self._goal, self._spacing = setting, goal, spacing
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
        if steps - last < self._spacing and steps < self._goal.steps:
            return
        [score] = score_policies(self._setting, [export_policy(self.model, self._setting.card)])
        self.curve.append(CurvePoint(total_timesteps=steps, wall_s=wall_s, task_score=score))
        self.has_reached |= score is not None and score >= self._goal.score
        self._paused_s += self.wall_s - wall_s

    # Before a rollout the weights are those of the last update.
    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps:
            self.note()

    def _on_step(self) -> bool:
        goal = self._goal
        is_done = self.has_reached and self.model.num_timesteps >= goal.min_steps
        return not (is_done or self.wall_s > goal.limit_s or time.time() > goal.deadline)


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
