"""A metric over recorded episodes of a training: ``ExploreJob`` → ``ExploreResult``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode
from reward_agent.evaluation.trajectories import TRUNCATED, Trajectories
from reward_agent.learning.episode_log import EpisodeLog
from reward_agent.learning.trainer import Trainer
from reward_agent.records.scoring_jobs import ExploreJob, ExploreResult
from reward_agent.summary.exploration import explore
from reward_agent.types import FINISHED, name_failure
from reward_agent.worker.score import compile_job, read_metric

# A column of the recordings beside the fields: env steps of the training at the episode's end.
_STEPS = "training_steps"
# So many episodes are scored; of more, every other, or third.
_MOST_SCORED = 1500


def run(job: ExploreJob, job_dir: Path) -> ExploreResult:
    """Score the recorded episodes; a metric that fails is an outcome, never an exception.

    Raises:
        DataError: the metric or a recording in the folder is not that of the job.
    """
    source = read_metric(job, job_dir)
    episodes, steps = _load(job_dir, job.recordings)
    try:
        seen = explore(job.card, compile_job(job, source), episodes, np.array(steps))
    # A person's metric may also end the process.
    except (DataError, SystemExit) as error:
        return ExploreResult(outcome=name_failure(str(error)))
    return ExploreResult(outcome=FINISHED, exploration=seen)


def _load(job_dir: Path, names: Sequence[str]) -> tuple[list[Episode], list[int]]:
    """Return recorded episodes without what is no field, and the steps at their ends."""
    parts = [Trajectories.load(job_dir / name) for name in names]
    places = [(part, i) for part in parts for i in range(part.n_episodes) if part.lengths[i]]
    episodes, steps = [], []
    for part, i in places[:: max(1, -(-len(places) // _MOST_SCORED))]:
        episode = part.episode(i)
        fields = dict(episode.fields)
        steps.append(int(fields.pop(_STEPS)[0]))
        episodes.append(Episode(fields, episode.action, episode.control_dt, episode.terminated))
    return episodes, steps


def keep_episodes(trainer: Trainer, begun: int) -> tuple[str, ...]:
    """Leave what was recorded of a training since so many env steps; return all its files.

    What an earlier job left that was killed after its last checkpoint is dropped.
    """
    folder, env, steps = trainer.job_dir, trainer.env, trainer.learner.num_timesteps
    files = {int(path.stem.split("_")[1]): path for path in folder.glob("episodes_*.npz")}
    for stale in [at for at in files if at > begun or not begun]:
        files.pop(stale).unlink()
    if env.log is not None and env.log.episodes:
        files[steps] = folder / f"episodes_{steps}.npz"
        _join(env.log, env.card, env.n_envs, begun).save(files[steps])
    return tuple(files[at].name for at in sorted(files))


def _join(log: EpisodeLog, card: EnvCard, steps_each: int, begun: int) -> Trajectories:
    """Return the episodes of a log as they are stored; it has recorded one at least.

    ``steps_each`` are the env steps of the training in one step of all simulations.
    """
    rows = np.concatenate([episode.rows for episode in log.episodes])
    lengths = [len(episode.rows) for episode in log.episodes]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = [begun + steps_each * episode.n_steps for episode in log.episodes]
    fields = {_STEPS: np.repeat(np.array(at, dtype=np.float32), lengths)}
    column = 0
    for name in log.fields:
        size = card.field(name).size
        values = rows[:, column : column + (size or 1)]
        fields[name] = values if size else values[:, 0]
        column += size or 1
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[starts[:-1]] = True
    return Trajectories(
        starts=starts,
        fields=fields,
        action=rows[~is_first, column:],
        terminated=np.array([episode.end is not None for episode in log.episodes]),
        ends=tuple(episode.end or TRUNCATED for episode in log.episodes),
        control_dt=card.control_dt,
    )
