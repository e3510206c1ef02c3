"""Which stages the episodes of a training come to, and which of them is practised.

A program names ``STAGES`` and remembers in which an episode is; its own gates move it. Sums of
episodes are rows by stage, one more for what comes after the last: those that began before it (of
the first stage, all), those of them that came to it, and what was paid in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reward_agent.rewards.program import CompiledReward
from reward_agent.simulation.state import FloatArray
from reward_agent.types import DONE, StageCount

# A stage is practised until this share of so many of the latest episodes has come past it.
_ENOUGH, _N_RECENT = 0.5, 100

Numbers = NDArray[np.intp]


class Practice:
    """Follows the stages of a training's episodes, and says how long these may be.

    The stage that is practised is the first that most do not come past; it is never an earlier one
    again. Episodes that begin after it do not count.

    Args:
        reward: the program, with stages.
        steps: most control steps of an episode while the first, the second, … is practised.
        most_steps: the same afterwards.

    Attributes:
        stages: their names.
        current: number of the one that is practised; that of the stages after the last.
    """

    def __init__(self, reward: CompiledReward, steps: Sequence[int], most_steps: int) -> None:
        self.stages, self.current = reward.stages, 0
        self._reward, self._steps, self._full_steps = reward, steps, most_steps
        self._has_passed = deque[bool](maxlen=_N_RECENT)
        self._sums = np.zeros((3, len(self.stages) + 1))
        self._seen: list[Numbers] = []  # at the beginning of each step
        self._first = self._furthest = np.zeros(0, dtype=np.intp)

    @property
    def most_steps(self) -> int:
        """Most control steps of an episode now."""
        is_told = self.current < len(self._steps)
        return self._steps[self.current] if is_told else self._full_steps

    def begin(self) -> None:
        """Episodes have begun in all simulations."""
        self._first, self._furthest = self._reward.stage, self._reward.stage
        self._now, self._seen = self._reward.stage, []

    def step(self) -> None:
        """A step was paid."""
        self._seen.append(self._now)
        self._now = self._reward.stage
        self._furthest = np.maximum(self._furthest, self._now)

    def end(self, ids: Numbers) -> None:
        """Episodes have ended; their memory is not yet that of the next."""
        first, furthest = self._first[ids], self._furthest[ids]
        self._sums += sum_stages(len(self.stages), first, furthest)
        self._has_passed.extend((furthest > self.current)[first <= self.current].tolist())
        is_full = len(self._has_passed) == _N_RECENT
        if is_full and np.mean(self._has_passed) >= _ENOUGH and self.current < len(self.stages):
            self.current += 1
            self._has_passed.clear()

    def restart(self, ids: Numbers) -> None:
        """The next episodes have begun in their place."""
        self._now = self._reward.stage
        self._first[ids] = self._furthest[ids] = self._now[ids]

    def pay(self, rewards: FloatArray) -> None:
        """Take what the steps (n_steps, N) since the last call paid."""
        stages, self._seen = np.array(self._seen), []
        n_rows = len(self.stages) + 1
        self._sums[2] += np.bincount(stages.ravel(), rewards.ravel(), n_rows)

    def pop(self) -> FloatArray:
        """Return the sums since the last call."""
        sums, self._sums = self._sums, np.zeros_like(self._sums)
        return sums


def sum_stages(n_stages: int, first: Numbers, furthest: Numbers) -> FloatArray:
    """Return the sums (3, n_stages + 1) of episodes, by the stages they began in and came to."""
    stage = np.arange(n_stages + 1)[:, None]
    counts = (stage > first) | (stage == 0)
    rows = [counts.sum(axis=1), (counts & (stage <= furthest)).sum(axis=1), np.zeros(n_stages + 1)]
    return np.array(rows, dtype=np.float64)


def count_stages(names: Sequence[str], sums: FloatArray, n_episodes: int) -> tuple[StageCount, ...]:
    """Return sums over some episodes as what is told of them."""
    rows = zip((*names, DONE), *sums, strict=True) if names else ()
    return tuple(
        StageCount(
            name=name,
            n_episodes=round(n_before),
            n_reached=round(n_reached),
            pay=pay / max(n_episodes, 1),
        )
        for name, n_before, n_reached, pay in rows
    )
