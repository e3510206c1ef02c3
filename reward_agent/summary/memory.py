"""What a program remembers, beside what the robot does: columns of the sampled episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import StateField
from reward_agent.errors import DataError
from reward_agent.evaluation.arrays import read_arrays
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.summary.fields import Column
from reward_agent.text import clean_text

Memory = Mapping[str, NDArray[np.float64]]

_MOST_COLUMNS, _MOST_CHARS = 6, 24


def read_memory(path: Path, trajectories: Trajectories) -> dict[str, NDArray[np.float64]]:
    """Return what a child wrote, by name, as far as it fits the episodes; untrusted."""
    n_steps = int(np.sum(_count_steps(trajectories)))
    try:
        given = read_arrays(path)
    except (DataError, FileNotFoundError):
        return {}
    numbers = {name: values for name, values in given.items() if values.dtype.kind in "bif"}
    return {
        name: values.astype(np.float64)
        for name, values in numbers.items()
        if values.shape == (n_steps,) and bool(np.isfinite(values).all())
    }


def make_memory_columns(memory: Memory) -> list[Column]:
    """Return a column for each number that changes, those first that change most often."""
    changes = {name: int(np.count_nonzero(np.diff(values))) for name, values in memory.items()}
    names = sorted((name for name in changes if changes[name]), key=lambda name: -changes[name])
    return [_make_column(name, memory[name]) for name in names[:_MOST_COLUMNS]]


def add_memory(
    episodes: Sequence[Episode], trajectories: Trajectories, memory: Memory
) -> list[Episode]:
    """Return the episodes with what is remembered in each state; the first has what follows it."""
    stops = np.cumsum(_count_steps(trajectories))
    return [
        _add(episode, int(stop), int(stop - n_steps), memory)
        if memory and episode.n_steps
        else episode
        for episode, stop, n_steps in zip(episodes, stops, _count_steps(trajectories), strict=True)
    ]


def _add(episode: Episode, stop: int, start: int, memory: Memory) -> Episode:
    # An episode that was cut at its first number that is none has fewer steps than are paid.
    stop = min(stop, start + episode.n_steps)
    told = {
        _key(n): np.concatenate([v[start : start + 1], v[start:stop]]) for n, v in memory.items()
    }
    fields = {**episode.fields, **told}
    return Episode(fields, episode.action, episode.control_dt, episode.terminated)


def _count_steps(trajectories: Trajectories) -> NDArray[np.int64]:
    return np.array([trajectories.episode(i).n_steps for i in range(trajectories.n_episodes)])


def _make_column(name: str, values: NDArray[np.float64]) -> Column:
    low, high = float(values.min()), float(values.max())
    field = StateField.model_construct(
        name=_key(name), source="", unit="", range=(low, high), doc="", role="", limb="", size=None
    )
    return Column(f"memory {clean_text(name, _MOST_CHARS)}", field)


def _key(name: str) -> str:
    return f"memory {name}"
