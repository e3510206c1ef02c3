"""What each reward term paid: per step and per episode, over a stretch of training."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """Sums over some steps and the episodes that ended in them; two of them add up.

    Args:
        names: the K terms.
        n_steps: env steps.
        minimum: (K,) over the steps.
        total: (K,) sum over the steps.
        maximum: (K,) over the steps.
        n_episodes: episodes that ended.
        episode_pay: (K,) sum of the terms over those episodes.
        episode_return: sum of the reward over those episodes.
        episode_steps: sum of their lengths.
    """

    names: tuple[str, ...]
    n_steps: int
    minimum: FloatArray
    total: FloatArray
    maximum: FloatArray
    n_episodes: int
    episode_pay: FloatArray
    episode_return: float
    episode_steps: int

    def __add__(self, other: Self) -> Self:
        """Return both stretches as one."""
        return replace(
            self,
            n_steps=self.n_steps + other.n_steps,
            minimum=np.minimum(self.minimum, other.minimum),
            total=self.total + other.total,
            maximum=np.maximum(self.maximum, other.maximum),
            n_episodes=self.n_episodes + other.n_episodes,
            episode_pay=self.episode_pay + other.episode_pay,
            episode_return=self.episode_return + other.episode_return,
            episode_steps=self.episode_steps + other.episode_steps,
        )

    @property
    def generated_return(self) -> float | None:
        """Mean return of the episodes that ended."""
        return self.episode_return / self.n_episodes if self.n_episodes else None

    @property
    def episode_length(self) -> float | None:
        """Mean length of the episodes that ended, in control steps."""
        return self.episode_steps / self.n_episodes if self.n_episodes else None

    def find_pay_per_episode(self, max_episode_steps: int) -> FloatArray:
        """Return (K,): mean pay of the episodes that ended.

        If none ended, all are as long as an episode may be: the mean step times that length.
        """
        if self.n_episodes:
            return self.episode_pay / self.n_episodes
        return self.total / self.n_steps * max_episode_steps

    def to_plain(self) -> dict[str, Any]:
        """Return the sums as numbers, text and lists."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in plain.items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return what ``to_plain`` was called on."""
        arrays: dict[str, Any] = {k: np.array(v) for k, v in plain.items() if isinstance(v, list)}
        return cls(**(plain | arrays))


class TermLog:
    """Adds up what each term pays, with a few NumPy calls a step.

    Args:
        n_envs: number of environments N.
    """

    def __init__(self, n_envs: int) -> None:
        self._n_envs = n_envs
        self._names: tuple[str, ...] = ()
        # Rows: the terms, then the reward. Of the episodes under way:
        self._running = np.zeros((1, n_envs))
        self._clear()

    def add(self, terms: dict[str, FloatArray], reward: FloatArray) -> None:
        """Add one step of all environments: each term and the reward are (N,)."""
        if not self._names:
            self._names = tuple(terms)
            self._running = np.zeros((len(terms) + 1, self._n_envs))
            self._clear()
        values = np.array([*(terms[name] for name in self._names), reward])
        self._running += values
        self._total += values
        np.minimum(self._minimum, values, out=self._minimum)
        np.maximum(self._maximum, values, out=self._maximum)
        self._n_steps += self._n_envs

    def end_episodes(self, ids: NDArray[np.intp], lengths: NDArray[np.int64]) -> FloatArray:
        """Close the episodes of some environments and return their returns.

        Args:
            ids: the environments.
            lengths: control steps of their episodes.
        """
        pay = self._running[:, ids]
        self._running[:, ids] = 0.0
        self._episode_pay += pay.sum(axis=1)
        self._n_episodes += len(ids)
        self._episode_steps += int(lengths.sum())
        return np.asarray(pay[-1])

    def drop_episodes(self) -> None:
        """Forget the episodes under way: their environments were reset."""
        self._running[:] = 0.0

    def pop(self) -> Stretch:
        """Return what was added since the last call, at least one step."""
        stretch = Stretch(
            names=self._names,
            n_steps=self._n_steps,
            minimum=self._minimum.min(axis=1)[:-1],
            total=self._total.sum(axis=1)[:-1],
            maximum=self._maximum.max(axis=1)[:-1],
            n_episodes=self._n_episodes,
            episode_pay=self._episode_pay[:-1].copy(),
            episode_return=float(self._episode_pay[-1]),
            episode_steps=self._episode_steps,
        )
        self._clear()
        return stretch

    def _clear(self) -> None:
        self._total = np.zeros_like(self._running)
        self._minimum = np.full_like(self._running, np.inf)
        self._maximum = np.full_like(self._running, -np.inf)
        self._episode_pay = np.zeros(len(self._running))
        self._n_steps = self._n_episodes = self._episode_steps = 0
