"""A sample of a training's episodes, state by state: what was met on the way, for others to score.

What is recorded leaves the training as a file (``worker.train``); who holds no reward program
scores it afterwards, so that neither the metric nor its word on an episode comes near the program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray, State

# Of the steps, so many are read for it: to read more fields costs about a tenth of a step.
_SHARE, _LEAST_WINDOWS = 0.05, 10
# Numbers that are kept, 16 MB.
_MOST_NUMBERS = 4_000_000
# Rows that nobody needs any more are dropped when there are so many.
_MOST_IDLE = 256


@dataclass(frozen=True)
class LoggedEpisode:
    """One episode of T states.

    Args:
        rows: (T, C), the fields side by side, then the action that led there.
        end: the field that ended it; None for the time limit.
        n_steps: steps of each simulation since the log began, at its end.
    """

    rows: NDArray[np.float32]
    end: str | None
    n_steps: int


class EpisodeLog:
    """Records episodes of all simulations whole, now and then.

    Whenever less than its share of the steps was read for it, every episode is recorded for a while
    that begins; so whether one is does not depend on how it goes.

    Args:
        simulation: it reads ``shown`` and ``fields``.
        shown: fields that are read anyway, and are all that the reward is given.
        fields: what is recorded.
        total_timesteps: env steps of the training.

    Attributes:
        episodes: what was recorded, in the order of their ends.
    """

    def __init__(
        self,
        simulation: Simulation,
        shown: Sequence[str],
        fields: Sequence[str],
        total_timesteps: int,
    ) -> None:
        card, n_sims = simulation.card, simulation.n_sims
        self.fields = tuple(fields)
        self.episodes: list[LoggedEpisode] = []
        self._simulation, self._shown = simulation, tuple(shown)
        n_columns = sum(card.field(name).size or 1 for name in fields) + card.n_actions
        self._share = min(_SHARE, _MOST_NUMBERS / (n_columns * total_timesteps))
        # Several in a training, however short it is.
        most = self._share * total_timesteps / n_sims / _LEAST_WINDOWS
        self._window = max(1, min(card.max_episode_steps // 8, round(most)))
        self._no_action = np.zeros((n_sims, card.n_actions))
        self._rows: list[NDArray[np.float32]] = []
        # Of the episode under way, the row of its first state; -1: it is not recorded.
        self._first = np.full(n_sims, -1)
        self._n_steps = self._n_read = self._opened = 0
        # Whether episodes that begin are recorded, and whether the simulation reads all fields.
        self._is_due = self._is_open = True

    def add(self, state: State, action: FloatArray) -> State:
        """Take the state to which an action led; return what the reward is given of it."""
        self._n_steps += 1
        if self._rows:
            self._n_read += 1
            self._rows.append(self._pack(state, action))
        return self._show(state)

    def end(self, ids: NDArray[np.intp], terminated: NDArray[np.bool_]) -> None:
        """Keep what was recorded of episodes that have just ended, before the next begin.

        Args:
            ids: the simulations.
            terminated: (N,), whether the card, not the time limit, ended them.
        """
        for sim in ids[self._first[ids] >= 0]:
            rows = np.stack([row[sim] for row in self._rows[self._first[sim] :]])
            end = self._simulation.termination_reason(int(sim)) if terminated[sim] else None
            self.episodes.append(LoggedEpisode(rows, end, self._n_steps))
        self._first[ids] = -1
        self._drop_idle()
        self._decide()
        is_open = self._is_due or bool(self._rows)
        if is_open != self._is_open:
            self._is_open = is_open
            self._simulation.show(None if is_open else self._shown)

    def _decide(self) -> None:
        """Begin to record, or no longer: all simulations share what a step costs to read."""
        if self._is_due:
            self._is_due = self._n_read < self._opened + self._window
        elif self._n_read <= self._share * self._n_steps:
            self._is_due, self._opened = True, self._n_read

    def begin(self, ids: NDArray[np.intp], state: State) -> State:
        """Take the first states of new episodes; return what the reward is given of all states."""
        if self._is_due and len(ids):
            first = self._pack(state, self._no_action)
            if self._rows:
                self._rows[-1][ids] = first[ids]
            else:
                self._rows.append(first)
            self._first[ids] = len(self._rows) - 1
        return self._show(state)

    def wait(self, ids: NDArray[np.intp]) -> None:
        """Let episodes begin with the newest row: they have begun, and did not move since."""
        begun = ids[self._first[ids] >= 0]
        if len(begun):
            self._first[begun] = len(self._rows) - 1
            self._rows[-1][begun, -self._no_action.shape[1] :] = 0.0

    def forget(self) -> None:
        """Drop the episodes under way."""
        self._first[:], self._rows = -1, []

    def _show(self, state: State) -> State:
        if not self._is_open:
            return state
        return State({name: state.fields[name] for name in self._shown})

    def _pack(self, state: State, action: FloatArray) -> NDArray[np.float32]:
        columns = [state.fields[name].reshape(len(action), -1) for name in self.fields]
        return np.concatenate([*columns, action], axis=1, dtype=np.float32, casting="same_kind")

    def _drop_idle(self) -> None:
        begun = self._first[self._first >= 0]
        oldest = int(begun.min()) if len(begun) else len(self._rows)
        if oldest > _MOST_IDLE or not len(begun):
            del self._rows[:oldest]
            self._first[self._first >= 0] -= oldest
