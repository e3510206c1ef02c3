"""Stable-Baselines3's PPO, for many simulations that step together.

Same algorithm, networks, initial weights, buffer and advantages; what differs is where the work is
done. While steps are collected, only the actor's mean is computed; values, log-probabilities and
statistics follow once for the whole rollout. The networks run in NumPy, on memory that torch's
modules share, and are updated with gradients written out by hand (``gradients.py``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.vec_env import VecEnv

from reward_agent.definitions.card import PPOSettings
from reward_agent.learning.gradients import (
    Adam,
    Networks,
    Steps,
    compute_gradient,
    compute_log_probs,
    make_networks,
)
from reward_agent.learning.normalization import ObservationNormalizer, ReturnNormalizer
from reward_agent.learning.policy import run_layers
from reward_agent.simulation.vec_env import Ended, RewardVecEnv

FloatArray: TypeAlias = NDArray[np.float32]

_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}

# No policy that learns comes near; below, no network that fits here overflows float32.
_LARGEST_WEIGHT = 1e6
_LARGEST_LOG_STD = 50.0


class TrainingFailure(Exception):
    """The training cannot go on; the message says what happened, for the Designer."""


@dataclass(frozen=True)
class _TimeOut:
    """An episode that the time limit ended: its return goes on after its last observation."""

    step: int
    env: int
    observation: FloatArray


class _NoOptimizer:
    """Stands in for torch's optimiser: to make one imports a second's worth of torch._dynamo."""

    def __init__(self, parameters: Iterator[torch.nn.Parameter], lr: float) -> None:
        pass


class BatchPPO(PPO):  # type: ignore[misc]
    """PPO on a ``RewardVecEnv``.

    Args:
        env: the environments; observations and rewards are normalised here, not by a wrapper.
        settings: hyper-parameters.
        total_timesteps: env steps of the whole training, over which the learning rate decays.
        seed: of weights, actions and minibatches.

    Attributes:
        observation_normalizer: what the policy sees.
        seconds: wall time by activity.
    """

    def __init__(
        self, env: RewardVecEnv, settings: PPOSettings, total_timesteps: int, seed: int
    ) -> None:
        final_share = settings.final_learning_rate_share
        super().__init__(
            "MlpPolicy",
            env,
            learning_rate=lambda left: (
                settings.learning_rate * (final_share + (1.0 - final_share) * left)
            ),
            n_steps=settings.n_steps,
            batch_size=settings.batch_size,
            n_epochs=settings.n_epochs,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            clip_range=settings.clip_range,
            ent_coef=settings.ent_coef,
            vf_coef=settings.vf_coef,
            max_grad_norm=settings.max_grad_norm,
            target_kl=settings.target_kl,
            policy_kwargs={
                "net_arch": list(settings.net_arch),
                "activation_fn": _ACTIVATIONS[settings.activation],
                "log_std_init": settings.log_std_init,
                "optimizer_class": _NoOptimizer,
            },
            seed=seed,
            device="cpu",
        )
        self.set_logger(Logger(folder=None, output_formats=[]))
        self.settings = settings
        self.budget = total_timesteps
        size = self.observation_space.shape[0]
        self.observation_normalizer = ObservationNormalizer(size, settings.normalize_observation)
        self.return_normalizer = ReturnNormalizer(
            env.num_envs, settings.gamma, settings.normalize_reward
        )
        self.seconds = {"policy": 0.0, "update": 0.0}
        self.networks = _share_networks(self.policy, settings)
        self._gradient = self.networks.make_zeros()
        self._optimizer = Adam(len(self.networks.flat))
        self._last_obs: FloatArray = env.reset()
        self._last_episode_starts = np.ones(env.num_envs, dtype=bool)

    def learn_rollout(self) -> None:
        """Collect one rollout and update the policy with it.

        Raises:
            ContractError: the program failed or broke its contract.
            TrainingFailure: the training cannot go on.
        """
        self._update_current_progress_remaining(self.num_timesteps, self.budget)
        self.collect_rollouts(self.env, CallbackList([]), self.rollout_buffer, self.n_steps)
        self.train()

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer with ``n_rollout_steps`` steps of all environments."""
        callback.on_rollout_start()
        # Not reset, which would make new arrays: every entry is written anew.
        raw, done, ends = self._step_environments(env, rollout_buffer, n_rollout_steps)
        started = time.perf_counter()
        _check_finite(rollout_buffer, raw)
        rewards = self.return_normalizer(rollout_buffer.rewards, done)
        self._add_values(rollout_buffer, rewards, ends)
        last = self._predict_values(self.observation_normalizer(self._last_obs))
        rollout_buffer.compute_returns_and_advantage(torch.from_numpy(last), dones=done[-1])
        self.observation_normalizer.update(raw)
        self.num_timesteps += n_rollout_steps * env.num_envs
        self.seconds["policy"] += time.perf_counter() - started
        callback.on_rollout_end()
        return True

    def _step_environments(
        self, env: RewardVecEnv, buffer: RolloutBuffer, n_steps: int
    ) -> tuple[FloatArray, NDArray[np.bool_], list[_TimeOut]]:
        """Act for ``n_steps``; observations, actions, rewards and starts go to the buffer.

        Returns:
            Raw observations (n_steps, N, size), ends of episodes (n_steps, N), and time-outs.
        """
        raw = np.empty_like(buffer.observations)
        done = np.empty((n_steps, env.num_envs), dtype=bool)
        time_outs: list[_TimeOut] = []
        noise = torch.randn(buffer.actions.shape).numpy() * np.exp(self.networks.log_std)
        low, high = self.action_space.low, self.action_space.high
        started = time.perf_counter()
        elsewhere_s = sum(env.seconds.values())
        for step in range(n_steps):
            raw[step] = self._last_obs
            buffer.observations[step] = normal = self.observation_normalizer(self._last_obs)
            action = run_layers(self.networks.actor, self.settings.activation, normal)
            action += noise[step]
            buffer.actions[step] = action
            buffer.episode_starts[step] = self._last_episode_starts
            np.minimum(np.maximum(action, low, out=action), high, out=action)
            self._last_obs, done[step], ended = env.advance(action)
            self._last_episode_starts = done[step]
            if ended:
                time_outs += _list_time_outs(step, ended)
        buffer.rewards[:] = env.pay()
        elsewhere_s = sum(env.seconds.values()) - elsewhere_s
        self.seconds["policy"] += time.perf_counter() - started - elsewhere_s
        buffer.pos, buffer.full = n_steps, True
        return raw, done, time_outs

    def _add_values(
        self, buffer: RolloutBuffer, rewards: FloatArray, time_outs: list[_TimeOut]
    ) -> None:
        """Write values, log-probabilities and the normalised rewards into the buffer."""
        buffer.values[:] = self._predict_values(buffer.observations)
        buffer.rewards[:] = rewards
        if time_outs:
            last = self.observation_normalizer(np.stack([end.observation for end in time_outs]))
            for end, value in zip(time_outs, self._predict_values(last), strict=True):
                buffer.rewards[end.step, end.env] += self.gamma * value
        mean = run_layers(self.networks.actor, self.settings.activation, buffer.observations)
        buffer.log_probs[:] = compute_log_probs(self.networks, mean, buffer.actions)

    def read_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: numbers, lists and tensors; not the simulations."""
        return {
            "weights": torch.from_numpy(self.networks.flat),
            "optimizer": self._optimizer.read_state(),
            "observations": self.observation_normalizer.read_state(),
            "returns": self.return_normalizer.read_state(),
            "random": torch.get_rng_state(),
            "num_timesteps": self.num_timesteps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``read_state``, in new episodes."""
        self.networks.flat[:] = state["weights"].numpy()
        self._optimizer.restore(state["optimizer"])
        self.observation_normalizer.restore(state["observations"])
        self.return_normalizer.restore(state["returns"])
        torch.set_rng_state(state["random"])
        self.num_timesteps = state["num_timesteps"]

    def _predict_values(self, observations: FloatArray) -> FloatArray:
        """Return the values (...) of normalised observations (..., size)."""
        return run_layers(self.networks.critic, self.settings.activation, observations)[..., 0]

    def train(self) -> None:
        """Update the policy with the rollout: ``n_epochs`` passes in minibatches.

        Raises:
            TrainingFailure: the weights are no longer finite, or so large that actions may not be.
        """
        started = time.perf_counter()
        learning_rate = self.lr_schedule(self._current_progress_remaining)
        rollout = _flatten(self.rollout_buffer)
        for _ in range(self.n_epochs):
            if not self._run_epoch(rollout, learning_rate):
                break
        largest = float(np.abs(self.networks.flat).max())
        if not (largest < _LARGEST_WEIGHT and self.networks.log_std.max() < _LARGEST_LOG_STD):
            raise TrainingFailure(f"the policy's weights blew up: the largest is {largest:.3g}")
        self.seconds["update"] += time.perf_counter() - started

    def _run_epoch(self, rollout: Steps, learning_rate: float) -> bool:
        """Pass once over the rollout; False when the policy has moved far enough (target_kl)."""
        shuffled = rollout.take(torch.randperm(len(rollout)).numpy())
        for start in range(0, len(rollout), self.batch_size):
            batch = shuffled.take(slice(start, start + self.batch_size))
            log_ratio = compute_gradient(self.networks, batch, self.settings, self._gradient)
            if self.target_kl is not None and _estimate_kl(log_ratio) > 1.5 * self.target_kl:
                return False
            self._optimizer.step(
                self.networks.flat, self._gradient.flat, learning_rate, self.max_grad_norm
            )
        return True


def _list_time_outs(step: int, ended: Ended) -> list[_TimeOut]:
    rows = zip(ended.ids, ended.observation, ended.is_time_out, strict=True)
    return [_TimeOut(step, int(i), last) for i, last, is_time_out in rows if is_time_out]


def _share_networks(policy: ActorCriticPolicy, settings: PPOSettings) -> Networks:
    """Move the weights of torch's policy into NumPy arrays, which torch goes on using."""
    (size,), (n_actions,) = policy.observation_space.shape, policy.action_space.shape
    networks = make_networks(size, settings.net_arch, n_actions, settings.activation)
    nets = policy.mlp_extractor
    modules = [*nets.policy_net, policy.action_net, *nets.value_net, policy.value_net]
    linear = [module for module in modules if isinstance(module, torch.nn.Linear)]
    for module, layer in zip(linear, (*networks.actor, *networks.critic), strict=True):
        _share(module.weight, layer.weight)
        _share(module.bias, layer.bias)
    _share(policy.log_std, networks.log_std)
    return networks


def _share(parameter: torch.nn.Parameter, values: FloatArray) -> None:
    values[:] = parameter.detach().numpy()
    parameter.data = torch.from_numpy(values)


def _estimate_kl(log_ratio: FloatArray) -> float:
    # Source: John Schulman, http://joschu.net/blog/kl-approx.html, as in Stable-Baselines3.
    return float((np.exp(log_ratio) - 1.0 - log_ratio).mean())


def _flatten(buffer: RolloutBuffer) -> Steps:
    """Return the rollout (n_steps, N, …) as one row a step."""
    return Steps(
        buffer.observations.reshape(-1, buffer.observations.shape[-1]),
        buffer.actions.reshape(-1, buffer.actions.shape[-1]),
        buffer.advantages.ravel(),
        buffer.returns.ravel(),
        buffer.log_probs.ravel(),
    )


def _check_finite(buffer: RolloutBuffer, observations: FloatArray) -> None:
    for name, values in (("reward", buffer.rewards), ("observation", observations)):
        if not np.isfinite(values).all():
            raise TrainingFailure(f"a {name} was not finite: the simulation is unstable")
