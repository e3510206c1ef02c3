"""What each reward term paid: per step and per episode, over a stretch of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
        stages: sums by stage of the program; see ``learning.stages``.
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
    stages: FloatArray = field(default_factory=lambda: np.zeros((3, 0)))

    def __add__(self, other: Self) -> Self:
        """Return both stretches as one."""
        sums = {name: value + getattr(other, name) for name, value in vars(self).items()}
        ends = {
            "minimum": np.minimum(self.minimum, other.minimum),
            "maximum": np.maximum(self.maximum, other.maximum),
        }
        return replace(self, **(sums | ends | {"names": self.names}))

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
        plain = vars(self).items()
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in plain}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Return what ``to_plain`` was called on."""
        arrays: dict[str, Any] = {k: np.array(v) for k, v in plain.items() if isinstance(v, list)}
        return cls(**(plain | arrays | {"names": tuple(plain["names"])}))


class TermLog:
    """Adds up what each term pays in N environments, with a few NumPy calls for many steps."""

    def __init__(self, n_envs: int) -> None:
        self._names: tuple[str, ...] = ()
        self._stretch: Stretch | None = None
        # Of the episodes under way.
        self._running = np.zeros((2, n_envs))

    def add(
        self,
        terms: Mapping[str, FloatArray],
        reward: FloatArray,
        done: NDArray[np.bool_],
        waits: NDArray[np.bool_] | None = None,
    ) -> FloatArray:
        """Add steps of all environments; return what each episode that ended was paid (E,).

        They come in the order of ``np.flatnonzero(done.T)``.

        Args:
            terms: each (n_steps, N).
            reward: (n_steps, N).
            done: (n_steps, N), whether a step ended an episode.
            waits: (n_steps, N), where there was no step; None: nowhere.
        """
        if not self._names:
            self._names = tuple(terms)
            self._running = np.zeros((len(terms) + 2, reward.shape[1]))
        # Rows: the terms, the reward, and a count of the steps; in each one environment after the
        # other, so that the steps of an episode lie side by side.
        rows = [*(terms[name] for name in self._names), reward, np.ones_like(reward)]
        values = np.array([row.T for row in rows]).reshape(len(rows), -1)
        lowest = highest = values
        if waits is not None:
            nobody = waits.T.ravel()
            lowest, highest = (np.where(nobody, end, values) for end in (np.inf, -np.inf))
            values[:, nobody] = 0.0
        pay = self._end_episodes(values, done)
        # Added to 0.0, so that a sum of -0.0 is shown without a sign.
        paid = pay.sum(axis=1) + 0.0
        stretch = Stretch(
            names=self._names,
            n_steps=round(values[-1].sum()),
            minimum=lowest.min(axis=1)[:-2],
            total=values.sum(axis=1)[:-2] + 0.0,
            maximum=highest.max(axis=1)[:-2],
            n_episodes=pay.shape[1],
            episode_pay=paid[:-2],
            episode_return=float(paid[-2]),
            episode_steps=round(paid[-1]),
        )
        self._stretch = self._stretch + stretch if self._stretch else stretch
        return np.asarray(pay[-2])

    def _end_episodes(self, values: FloatArray, done: NDArray[np.bool_]) -> FloatArray:
        """Return (rows, E): the sums of the episodes that ended, environment by environment."""
        n_steps = len(done)
        ends = done.T.ravel()
        begins = np.empty_like(ends)
        begins[1:] = ends[:-1]
        begins[::n_steps] = True
        starts = np.flatnonzero(begins)
        pay = np.add.reduceat(values, starts, axis=1)
        pay[:, starts % n_steps == 0] += self._running
        is_over = ends[np.append(starts[1:], len(ends)) - 1]
        self._running[:] = 0.0
        self._running[:, starts[~is_over] // n_steps] = pay[:, ~is_over]
        return np.asarray(pay[:, is_over])

    def drop_episodes(self) -> None:
        """Forget the episodes under way: their environments were reset."""
        self._running[:] = 0.0

    def pop(self) -> Stretch:
        """Return what was added since the last call, at least one step."""
        stretch, self._stretch = self._stretch, None
        assert stretch is not None
        return stretch
