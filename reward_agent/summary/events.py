"""States on the way to what happens in the best episodes: a later training may begin in them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.evaluation.arrays import read_arrays
from reward_agent.evaluation.rollout import Rollout
from reward_agent.evaluation.scoring import rank_episodes
from reward_agent.records.job import STATES_FILE
from reward_agent.simulation.state import FloatArray
from reward_agent.summary.samples import find_moments
from reward_agent.types import Evaluation

# By event, then by array of the physics: (episodes, points of the way from the start to it, k).
RecordedStates = dict[str, dict[str, FloatArray]]

_N_EPISODES, _N_POINTS, _MOST_EVENTS = 4, 24, 12
_NAME = re.compile(r"([\w .-]{1,80})/(qpos|qvel)")


def record_events(card: EnvCard, rollout: Rollout, scored: Evaluation) -> RecordedStates:
    """Return the states on the way to each event of the best episodes; {} where none can be set.

    Args:
        card: the environment.
        rollout: episodes of a policy.
        scored: the same, by the metric; without one the first of them count as the best.
    """
    ways: dict[str, list[dict[str, FloatArray]]] = {}
    for index in rank_episodes(scored)[::-1][:_N_EPISODES]:
        physics, told = rollout.physics[index], scored.episodes[index]
        episode = rollout.trajectories.episode(index).keep_finite()
        seen: set[str] = set()
        for moment in find_moments(card, episode, told.end, told.success_step):
            # Where the episode ended, a new one ends at once.
            if not moment.event or moment.event in seen or not 0 < moment.step < episode.n_steps:
                continue
            seen.add(moment.event)
            points = np.linspace(0, moment.step, _N_POINTS).round().astype(int)
            way = {name: values[points] for name, values in physics.items()}
            ways.setdefault(moment.event, []).append(way)
    return {
        event: {name: np.stack([way[name] for way in several]) for name in several[0]}
        for event, several in list(ways.items())[:_MOST_EVENTS]
        if several[0]
    }


def keep_events(folder: Path, card: EnvCard, rollout: Rollout, scored: Evaluation) -> None:
    """Write the states of ``record_events`` to a folder, as ``read_recorded`` reads them."""
    arrays = {
        f"{event}/{name}": values
        for event, physics in record_events(card, rollout, scored).items()
        for name, values in physics.items()
    }
    np.savez_compressed(folder / STATES_FILE, allow_pickle=False, **arrays)


def read_recorded(path: Path) -> RecordedStates:
    """Read recorded states; {} where there is no file.

    Raises:
        DataError: it is none of ours.
    """
    recorded: RecordedStates = {}
    for name, values in (read_arrays(path) if path.exists() else {}).items():
        match = _NAME.fullmatch(name)
        if not match or values.ndim != 3 or 0 in values.shape or values.dtype != np.float64:
            raise DataError(f"{path}: {name[:80]!r} is no array of recorded states")
        recorded.setdefault(match[1], {})[match[2]] = values
    return recorded
