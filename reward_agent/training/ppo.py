"""Stable-Baselines3's PPO, for many simulations that step together.

Same algorithm, buffer and network; what differs is where the work is done. While steps are
collected only the actor's mean is computed, in NumPy on the live weights; values, log-probabilities
and statistics follow once for the whole rollout. The update computes the Gaussian's terms directly
instead of through distribution objects, and reads nothing back from torch between minibatches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from reward_agent.simulation.card import PPOSettings
from reward_agent.training.normalization import ObservationNormalizer, ReturnNormalizer
from reward_agent.training.policy import Layer, run_layers

_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class TrainingFailure(Exception):
    """The training cannot go on; the message says what happened, for the Designer."""


@dataclass(frozen=True)
class _TimeOut:
    """An episode that the time limit ended: its return goes on after its last observation."""

    step: int
    env: int
    observation: NDArray[np.float32]


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
        self, env: VecEnv, settings: PPOSettings, total_timesteps: int, seed: int
    ) -> None:
        final_share = settings.final_learning_rate_share
        super().__init__(
            "MlpPolicy",
            env,
            learning_rate=lambda left: settings.learning_rate
            * (final_share + (1.0 - final_share) * left),
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
                "optimizer_kwargs": {"eps": 1e-5, "fused": True},
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
        self.actor_layers = _share_layers(
            [*self.policy.mlp_extractor.policy_net, self.policy.action_net]
        )

    def learn_rollout(self) -> None:
        """Collect one rollout and update the policy with it.

        Raises:
            ContractError: the program failed or broke its contract.
            TrainingFailure: the training cannot go on.
        """
        if self._last_obs is None:
            self._last_obs = self.env.reset()
            self._last_episode_starts = np.ones(self.n_envs, dtype=bool)
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
        rollout_buffer.reset()
        raw, done, ends = self._step_environments(env, rollout_buffer, n_rollout_steps)
        started = time.perf_counter()
        _check_finite(rollout_buffer, raw)
        rewards = self.return_normalizer(rollout_buffer.rewards, done)
        with torch.no_grad():
            self._add_values(rollout_buffer, rewards, ends)
            last = self._predict_values(self.observation_normalizer(self._last_obs))
        rollout_buffer.compute_returns_and_advantage(last_values=last, dones=done[-1])
        self.observation_normalizer.update(raw)
        self.num_timesteps += n_rollout_steps * env.num_envs
        self.seconds["policy"] += time.perf_counter() - started
        callback.on_rollout_end()
        return True

    def _step_environments(
        self, env: VecEnv, buffer: RolloutBuffer, n_steps: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], list[_TimeOut]]:
        """Act for ``n_steps``; observations, actions, rewards and starts go to the buffer.

        Returns:
            Raw observations (n_steps, N, size), ends of episodes (n_steps, N), and time-outs.
        """
        raw = np.empty_like(buffer.observations)
        done = np.empty((n_steps, env.num_envs), dtype=bool)
        time_outs: list[_TimeOut] = []
        std = self.policy.log_std.detach().exp()
        noise = (torch.randn(buffer.actions.shape) * std).numpy()
        low, high = self.action_space.low, self.action_space.high
        for step in range(n_steps):
            started = time.perf_counter()
            raw[step] = self._last_obs
            buffer.observations[step] = normal = self.observation_normalizer(self._last_obs)
            action = run_layers(self.actor_layers, self.settings.activation, normal)
            action += noise[step]
            buffer.actions[step] = action
            buffer.episode_starts[step] = self._last_episode_starts
            self.seconds["policy"] += time.perf_counter() - started
            self._last_obs, buffer.rewards[step], ended, infos = env.step(
                np.clip(action, low, high)
            )
            done[step] = self._last_episode_starts = ended
            for i in np.flatnonzero(ended):
                if infos[i]["TimeLimit.truncated"]:
                    time_outs.append(_TimeOut(step, i, infos[i]["terminal_observation"]))
        buffer.pos, buffer.full = n_steps, True
        return raw, done, time_outs

    def _add_values(
        self, buffer: RolloutBuffer, rewards: NDArray[np.float32], time_outs: list[_TimeOut]
    ) -> None:
        """Write values, log-probabilities and the normalised rewards into the buffer."""
        buffer.values[:] = self._predict_values(buffer.observations)
        buffer.rewards[:] = rewards
        if time_outs:
            last = self.observation_normalizer(np.stack([end.observation for end in time_outs]))
            for end, value in zip(time_outs, self._predict_values(last), strict=True):
                buffer.rewards[end.step, end.env] += self.gamma * value
        observations = torch.from_numpy(buffer.observations)
        mean = self.policy.action_net(self.policy.mlp_extractor.policy_net(observations))
        log_prob = _compute_log_prob(mean, self.policy.log_std, torch.from_numpy(buffer.actions))
        buffer.log_probs[:] = log_prob.numpy()

    def read_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: numbers, lists and tensors; not the simulations."""
        return {
            "policy": self.policy.state_dict(),
            "optimizer": self.policy.optimizer.state_dict(),
            "observations": self.observation_normalizer.read_state(),
            "returns": self.return_normalizer.read_state(),
            "random": torch.get_rng_state(),
            "num_timesteps": self.num_timesteps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``read_state``, in new episodes."""
        self.policy.load_state_dict(state["policy"])
        self.policy.optimizer.load_state_dict(state["optimizer"])
        self.observation_normalizer.restore(state["observations"])
        self.return_normalizer.restore(state["returns"])
        torch.set_rng_state(state["random"])
        self.num_timesteps = state["num_timesteps"]

    def _predict_values(self, observations: NDArray[np.float32]) -> torch.Tensor:
        """Return the values (...) of normalised observations (..., size)."""
        hidden = self.policy.mlp_extractor.value_net(torch.from_numpy(observations))
        return self.policy.value_net(hidden).squeeze(-1)

    def train(self) -> None:
        """Update the policy with the rollout: ``n_epochs`` passes in minibatches.

        Raises:
            TrainingFailure: the weights are no longer finite.
        """
        started = time.perf_counter()
        self._update_learning_rate(self.policy.optimizer)
        rollout = _flatten(self.rollout_buffer)
        parameters = list(self.policy.parameters())
        for _ in range(self.n_epochs):
            if not self._run_epoch(rollout, parameters):
                break
        if not all(bool(torch.isfinite(values).all()) for values in parameters):
            raise TrainingFailure("the policy's weights are no longer finite")
        self.seconds["update"] += time.perf_counter() - started

    def _run_epoch(self, rollout: torch.Tensor, parameters: list[torch.nn.Parameter]) -> bool:
        """Pass once over the rollout; False when the policy has moved far enough (target_kl)."""
        shuffled = rollout[torch.randperm(len(rollout))]
        for batch in shuffled.split(self.batch_size):
            loss, log_ratio = self._compute_loss(batch)
            if self.target_kl is not None and _estimate_kl(log_ratio) > 1.5 * self.target_kl:
                return False
            self.policy.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm, foreach=True)
            self.policy.optimizer.step()
        return True

    def _compute_loss(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return PPO's loss and the log-ratio (n,) of new to old probabilities.

        Source: Schulman et al. 2017, https://arxiv.org/abs/1707.06347, equation 9, with
        Stable-Baselines3's choices (advantages normalised by minibatch, values not clipped).
        """
        size, n_actions = self.observation_space.shape[0], self.action_space.shape[0]
        observations, actions, advantages, returns, old_log_prob = batch.split(
            (size, n_actions, 1, 1, 1), dim=1
        )
        policy, nets = self.policy, self.policy.mlp_extractor
        mean = policy.action_net(nets.policy_net(observations))
        values = policy.value_net(nets.value_net(observations))
        log_ratio = _compute_log_prob(mean, policy.log_std, actions) - old_log_prob[:, 0]
        ratio = log_ratio.exp()
        advantage = advantages[:, 0]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clip_range = self.settings.clip_range
        clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
        policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
        value_loss = torch.nn.functional.mse_loss(values, returns)
        entropy = policy.log_std.sum()
        loss = policy_loss + self.vf_coef * value_loss - self.ent_coef * entropy
        return loss, log_ratio.detach()


def _compute_log_prob(
    mean: torch.Tensor, log_std: torch.Tensor, actions: torch.Tensor
) -> torch.Tensor:
    """Return the log-density (...) of actions (..., n) under a diagonal Gaussian."""
    z = (actions - mean) * (-log_std).exp()
    constant = log_std.sum() + len(log_std) * _HALF_LOG_TWO_PI
    return -0.5 * (z * z).sum(-1) - constant


def _estimate_kl(log_ratio: torch.Tensor) -> float:
    # Source: John Schulman, http://joschu.net/blog/kl-approx.html, as in Stable-Baselines3.
    return float((log_ratio.exp() - 1.0 - log_ratio).mean())


def _flatten(buffer: RolloutBuffer) -> torch.Tensor:
    """Return the rollout as one row a step: observation, action, advantage, return, log-prob."""
    columns = (buffer.advantages, buffer.returns, buffer.log_probs)
    parts = [buffer.observations, buffer.actions, *(values[..., None] for values in columns)]
    rows = np.concatenate(parts, axis=-1)
    return torch.from_numpy(rows.reshape(-1, rows.shape[-1]))


def _share_layers(modules: list[torch.nn.Module]) -> tuple[Layer, ...]:
    """Return NumPy views of the linear layers: they follow every update of the weights."""
    return tuple(
        Layer(module.weight.detach().numpy(), module.bias.detach().numpy())
        for module in modules
        if isinstance(module, torch.nn.Linear)
    )


def _check_finite(buffer: RolloutBuffer, observations: NDArray[np.float32]) -> None:
    for name, values in (("reward", buffer.rewards), ("observation", observations)):
        if not np.isfinite(values).all():
            raise TrainingFailure(f"a {name} was not finite: the simulation is unstable")
