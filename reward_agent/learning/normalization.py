"""Running normalisation of observations and rewards, updated once a rollout.

As Stable-Baselines3's ``VecNormalize``, except that the statistics stand still during a rollout:
what the policy saw when it acted is what it is updated with, and a step costs no statistics.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd

from reward_agent.learning.policy import normalize

FloatArray = NDArray[np.float32]

_EPSILON = 1e-8
CLIP = 10.0


class ObservationNormalizer:
    """Mean and spread of each entry of the observation.

    Args:
        size: entries of an observation.
        is_on: False: observations pass unchanged, but for the clip.
    """

    def __init__(self, size: int, is_on: bool) -> None:
        self._moments = RunningMeanStd(shape=(size,))
        self._is_on = is_on
        self.mean = np.zeros(size, dtype=np.float32)
        self.scale = np.ones(size, dtype=np.float32)
        self.clip = CLIP if is_on else 1e6

    def __call__(self, observation: FloatArray) -> FloatArray:
        """Return the normalised observation, shape unchanged."""
        return normalize(observation, self.mean, self.scale, self.clip)

    def update(self, observations: FloatArray) -> None:
        """Take in raw observations (n_steps, N, size)."""
        if not self._is_on:
            return
        self._moments.update(observations.reshape(-1, observations.shape[-1]).astype(np.float64))
        self._share_moments()

    def read_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return _read_moments(self._moments)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``read_state``."""
        _restore_moments(self._moments, state)
        if self._is_on:
            self._share_moments()

    def adopt(self, mean: FloatArray, scale: FloatArray, count: float) -> None:
        """Begin with the statistics of a policy, as if of so many observations."""
        if not self._is_on:
            return
        self._moments.mean = mean.astype(np.float64)
        self._moments.var = 1.0 / np.square(scale.astype(np.float64)) - _EPSILON
        self._moments.count = count
        self._share_moments()

    def _share_moments(self) -> None:
        self.mean[:] = self._moments.mean
        self.scale[:] = 1.0 / np.sqrt(self._moments.var + _EPSILON)


class ReturnNormalizer:
    """Divides rewards by the spread of the discounted return so far.

    Args:
        n_envs: number of environments N.
        gamma: discount.
        is_on: False: rewards pass unchanged.
    """

    def __init__(self, n_envs: int, gamma: float, is_on: bool) -> None:
        self._moments = RunningMeanStd(shape=())
        self._gamma, self._is_on = gamma, is_on
        self._returns = np.zeros(n_envs)

    def __call__(self, rewards: FloatArray, done: NDArray[np.bool_]) -> FloatArray:
        """Take in the rewards of a rollout and return them normalised.

        Args:
            rewards: (n_steps, N).
            done: (n_steps, N): whether the step was the last of its episode.
        """
        if not self._is_on:
            return rewards
        returns = np.empty(rewards.shape)
        for step, reward in enumerate(rewards):
            self._returns = self._returns * self._gamma + reward
            returns[step] = self._returns
            self._returns[done[step]] = 0.0
        self._moments.update(returns.ravel())
        scale = 1.0 / np.sqrt(self._moments.var + _EPSILON)
        return np.asarray(np.clip(rewards * scale, -CLIP, CLIP), dtype=np.float32)

    def read_state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return _read_moments(self._moments)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``read_state``, in new episodes."""
        _restore_moments(self._moments, state)
        self._returns[:] = 0.0


def _read_moments(moments: RunningMeanStd) -> dict[str, Any]:
    return {
        "mean": moments.mean.tolist(),
        "var": moments.var.tolist(),
        "count": float(moments.count),
    }


def _restore_moments(moments: RunningMeanStd, state: dict[str, Any]) -> None:
    moments.mean, moments.var = np.array(state["mean"]), np.array(state["var"])
    moments.count = state["count"]
