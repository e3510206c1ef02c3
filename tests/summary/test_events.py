"""States on the way to events of the best episodes, kept for the starts of later trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.rollout import Rollout
from reward_agent.evaluation.scoring import summarise_scores
from reward_agent.evaluation.trajectories import make_trajectories
from reward_agent.records.job import STATES_FILE
from reward_agent.summary.events import keep_events, read_recorded, record_events
from reward_agent.types import EpisodeScore, Evaluation

N_STATES = 51


def make_rollout(make_episode: Callable[..., Episode], has_physics: bool = True) -> Rollout:
    """Return six jumps; number i takes off at step 10 + i, and is at the position i + step / 100."""
    episodes = []
    for i in range(6):
        foot = np.ones(N_STATES)
        foot[10 + i : 20 + i] = 0.0
        episodes.append(make_episode(foot_floor_contact=foot))
    positions = [i + np.arange(N_STATES)[:, None] / 100 for i in range(6)]
    physics = [{"qpos": p, "qvel": np.zeros((N_STATES, 2))} for p in positions]
    trajectories = make_trajectories(episodes, ["truncated"] * 6)
    return Rollout(trajectories, (), tuple(physics if has_physics else [{}] * 6))


def score(*scores: float) -> Evaluation:
    episodes = [
        EpisodeScore(task_score=value, success=False, length=50, end="truncated")
        for value in scores
    ]
    return summarise_scores(episodes, 1, 0)


def test_the_way_to_an_event_is_kept_of_the_best_episodes(
    toy_card: EnvCard, make_episode: Callable[..., Episode], tmp_path: Path
) -> None:
    rollout, scored = make_rollout(make_episode), score(0, 1, 5, 4, 3, 2)
    recorded = record_events(toy_card, rollout, scored)
    assert {"take-off", "landing"} <= set(recorded)
    ways = recorded["take-off"]
    assert (ways["qpos"].shape, ways["qvel"].shape) == ((4, 24, 1), (4, 24, 2))
    assert ways["qpos"][:, 0, 0].tolist() == [2, 3, 4, 5]  # the best first
    assert ways["qpos"][:, -1, 0].tolist() == [2.12, 3.13, 4.14, 5.15]  # just after take-off
    keep_events(tmp_path, toy_card, rollout, scored)
    again = read_recorded(tmp_path / STATES_FILE)
    assert list(again) == list(recorded)
    assert np.array_equal(again["landing"]["qpos"], recorded["landing"]["qpos"])


def test_where_no_state_can_be_set_nothing_is_kept(
    toy_card: EnvCard, make_episode: Callable[..., Episode], tmp_path: Path
) -> None:
    rollout = make_rollout(make_episode, has_physics=False)
    keep_events(tmp_path, toy_card, rollout, score(0, 1, 5, 4, 3, 2))
    assert read_recorded(tmp_path / STATES_FILE) == {}
    assert read_recorded(tmp_path / "nowhere.npz") == {}
