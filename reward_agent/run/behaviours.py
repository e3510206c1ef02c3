"""Behaviours of a run: what its robot can do without a policy, recorded once for all who ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import METRIC_FILE
from reward_agent.evaluation.arrays import MAX_RECORDING_BYTES
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.files import read_capped
from reward_agent.records.disk import read_optional
from reward_agent.records.job import (
    ALL_BEHAVIOURS,
    BEHAVIOURS_DIR,
    RESULT_FILE,
    SCORE_DIR,
    TRAJECTORIES_FILE,
    Behaviour,
)
from reward_agent.records.scoring_jobs import RecordJob, RecordResult, ScoreJob, ScoreResult
from reward_agent.records.store import RunStore
from reward_agent.records.training_jobs import KnownEpisode
from reward_agent.run.active import Lab
from reward_agent.summary.standing import describe_standing
from reward_agent.types import RewardProgram

POSE: Behaviour = "start pose held"
_N_STARTS, _MOST_KEYFRAMES = 16, 20
FALLING: Behaviour = "falling at once"


@dataclass(frozen=True)
class RecordedBehaviours:
    """Episodes in a folder's ``trajectories.npz``, by the name of what the robot does in each."""

    folder: Path
    result: RecordResult

    @property
    def names(self) -> tuple[str, ...]:
        """What the robot does in each episode."""
        return self.result.behaviours

    def read(self) -> bytes:
        """Return the file of the episodes."""
        return read_capped(self.folder / TRAJECTORIES_FILE, MAX_RECORDING_BYTES)


def describe_robot(lab: Lab, folder: Path) -> str:
    """Say what was measured on the robot, for those who design; '' where no pose can be held."""
    return _describe(lab.card, record_behaviours(lab, folder))


def describe_pose(lab: Lab, folder: Path) -> str:
    """Say the same from nothing but its start pose, held from several starts."""
    return _describe(lab.card, record_behaviours(lab, folder, (POSE,), _N_STARTS))


def read_robot(store: RunStore) -> str:
    """Say what a run has measured on its robot; '' if it has not."""
    folder = store.dir / BEHAVIOURS_DIR
    result = read_optional(folder / RESULT_FILE, RecordResult)
    if result is None:
        return ""
    return _describe(store.read_run().card, RecordedBehaviours(folder, result))


def _describe(card: EnvCard, recorded: RecordedBehaviours) -> str:
    if POSE not in recorded.names:
        return ""
    trajectories = Trajectories.load(recorded.folder / TRAJECTORIES_FILE)
    first = recorded.names.index(POSE)
    others = [
        trajectories.episode(i)
        for i, name in enumerate(recorded.names)
        if i != first and name != FALLING  # tipped over before it is recorded
    ]
    result = recorded.result
    told = describe_standing(card, trajectories.episode(first), result.links, others)
    named = ", ".join(result.keyframes[:_MOST_KEYFRAMES])
    return f"{told}\nKeyframes of the model: {named}." if named else told


def record_behaviours(
    lab: Lab,
    folder: Path,
    behaviours: Sequence[Behaviour] = ALL_BEHAVIOURS,
    n_episodes: int = RecordJob.model_fields["n_episodes"].default,
) -> RecordedBehaviours:
    """Return the behaviours of a card, recorded unless the folder has those of this very card.

    Raises:
        JobError: they cannot be recorded; that is ours.
    """
    job = RecordJob(
        card=lab.card, seed=lab.settings.seed, behaviours=tuple(behaviours), n_episodes=n_episodes
    )
    result = lab.run_job(job, folder).result
    assert isinstance(result, RecordResult)
    return RecordedBehaviours(folder, result)


def score_behaviours(lab: Lab, recorded: RecordedBehaviours) -> tuple[KnownEpisode, ...]:
    """Return what is known of each episode: its name, and the metric's score where there is one.

    A metric that fails on them leaves them without a score.
    """
    unscored = tuple(KnownEpisode(name=name) for name in recorded.names)
    if lab.metric.source is None:
        return unscored
    files = {METRIC_FILE: lab.metric.source.encode(), TRAJECTORIES_FILE: recorded.read()}
    job = ScoreJob(
        card=lab.card,
        metric_sha256=RewardProgram(lab.metric.source).sha256,
        is_trusted=lab.metric.is_trusted,
    )
    result = lab.run_job(job, recorded.folder / SCORE_DIR, files).result
    if not isinstance(result, ScoreResult) or result.evaluation is None:
        return unscored
    return tuple(
        KnownEpisode(name=name, task_score=episode.task_score, success=episode.success)
        for name, episode in zip(recorded.names, result.evaluation.episodes, strict=True)
    )
