"""What a generated reward pays for the steps of N simulations, asked for many steps at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reward_agent.simulation.state import FloatArray, State, Transition

# A call costs about as much for a thousand rows as for some dozens. Not more of them: arrays of
# this size stay in the caches, and a program that makes N x N numbers stays within its memory.
_ROWS_PER_CALL = 1024


class Paid(Protocol):
    """Reward (N,) of a step and its terms, each (N,)."""

    @property
    def reward(self) -> FloatArray: ...  # noqa: D102
    @property
    def terms(self) -> dict[str, FloatArray]: ...  # noqa: D102


class Reward(Protocol):
    """What is needed of ``rewards.program.CompiledReward``."""

    @property
    def has_memory(self) -> bool: ...  # noqa: D102
    def begin(self, state: State) -> None: ...  # noqa: D102
    def restart(self, ids: NDArray[np.intp], state: State) -> None: ...  # noqa: D102
    def step(  # noqa: D102
        self, state: State, action: FloatArray, next_state: State, terminated: NDArray[np.bool_]
    ) -> Paid: ...


class Payment:
    """Has steps paid many in one call, or each at once if the reward remembers.

    A reward without memory pays each row for itself alone (the probe refuses others), so the steps
    of a rollout are as good as so many simulations.

    Args:
        reward: the compiled program.
        n_sims: number of simulations N.
    """

    def __init__(self, reward: Reward, n_sims: int) -> None:
        self._reward, self._n_sims = reward, n_sims
        self._steps_per_call = 1 if reward.has_memory else max(_ROWS_PER_CALL // n_sims, 1)
        self._open: list[Transition] = []
        self._paid: list[Paid] = []

    def begin(self, state: State) -> None:
        """Start episodes in all simulations; steps that were not collected are forgotten."""
        self._open, self._paid = [], []
        self._reward.begin(state)

    def restart(self, ids: NDArray[np.intp], state: State) -> None:
        """Start new episodes in some simulations, whose first state is in ``state``."""
        self._reward.restart(ids, state)

    def add(self, step: Transition) -> None:
        """Take a step to be paid.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        self._open.append(step)
        if len(self._open) == self._steps_per_call:
            self._pay()

    def collect(self) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return reward and terms, each (n_steps, N), of the steps since it was last called.

        Raises:
            ContractError: the program failed or broke its contract.
        """
        if self._open:
            self._pay()
        paid, self._paid = self._paid, []
        names = paid[0].terms if paid else ()
        terms = {name: self._stack([part.terms[name] for part in paid]) for name in names}
        return self._stack([part.reward for part in paid]), terms

    def _pay(self) -> None:
        step, self._open = Transition.join(self._open), []
        paid = self._reward.step(step.state, step.action, step.next_state, step.terminated)
        self._paid.append(paid)

    def _stack(self, parts: Sequence[FloatArray]) -> FloatArray:
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return rows.reshape(-1, self._n_sims)
