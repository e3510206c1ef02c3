"""What every learner is to the rest: it learns in slices, can be paused, and leaves a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from reward_agent.learning.policy import NumpyPolicy

# Arrays by name. Texts and numbers are arrays without a dimension.
Arrays: TypeAlias = Mapping[str, NDArray[Any]]

# No policy that learns comes near; below, no network that fits here overflows float32.
_LARGEST_WEIGHT = 1e6
_LARGEST_LOG_STD = 50.0


class TrainingFailure(Exception):
    """The training cannot go on; the message says what happened, for the Designer."""


class Learner(Protocol):
    """An algorithm at work on the environments of one training.

    Its factory takes the environments (``RewardVecEnv``), ``LearnerSettings``, the env steps of the
    whole training and a seed.

    Attributes:
        num_timesteps: env steps learned from so far.
        seconds: wall time by activity, without that of the environments.
    """

    seconds: dict[str, float]

    @property
    def num_timesteps(self) -> int: ...  # noqa: D102

    def learn(self) -> None:
        """Learn from one more slice: a rollout, or some hundred env steps.

        Raises:
            ContractError: the program failed or broke its contract.
            TrainingFailure: the training cannot go on.
        """

    def read_state(self) -> Arrays:
        """Return what it takes to go on; not the simulations."""

    def restore(self, state: Arrays) -> None:
        """Go on from ``read_state``, in new episodes."""

    def make_policy(self) -> NumpyPolicy:
        """Return the policy as it is now; it may share the memory of the weights."""

    def adopt(self, policy: NumpyPolicy) -> None:
        """Begin with a trained policy; critics stay new, since another reward has other values.

        Raises:
            DataError: the policy is of another form.
        """


def check_weights(weights: NDArray[Any], log_std: NDArray[Any] | None) -> None:
    """Refuse weights that are no longer finite, or so large that actions may not be.

    Raises:
        TrainingFailure: they are.
    """
    largest = float(np.abs(weights).max())
    widest = -np.inf if log_std is None else log_std.max()
    if not (largest < _LARGEST_WEIGHT and widest < _LARGEST_LOG_STD):
        raise TrainingFailure(f"the policy's weights blew up: the largest is {largest:.3g}")


def check_finite(rewards: NDArray[Any], observations: NDArray[Any]) -> None:
    """Refuse what no network can learn from.

    Raises:
        TrainingFailure: a value is not finite.
    """
    for name, values in (("reward", rewards), ("observation", observations)):
        if not np.isfinite(values).all():
            raise TrainingFailure(f"a {name} was not finite: the simulation is unstable")
