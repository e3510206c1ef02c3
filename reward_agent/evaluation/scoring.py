"""From recorded episodes and a metric to an ``Evaluation``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode, MetricFunction
from reward_agent.evaluation.statistics import bootstrap_interval, wilson_interval
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.types import EpisodeScore, Evaluation, rank_value

# Beginnings of an episode that are scored to find the moment of success.
_N_PREFIXES = 24


def score_trajectories(
    trajectories: Trajectories, metric: MetricFunction | None, total_timesteps: int, seed: int
) -> Evaluation:
    """Score every episode and return what they say together; without a metric scores stay open.

    Raises:
        DataError: the metric fails; the message names its file and line.
    """
    scores = [
        score_episode(trajectories.episode(i), end, metric)
        for i, end in enumerate(trajectories.ends)
    ]
    return summarise_scores(scores, total_timesteps, seed)


def score_episode(episode: Episode, end: str, metric: MetricFunction | None) -> EpisodeScore:
    """Score one episode; one without a single step has no score."""
    if metric is None or episode.n_steps == 0:
        return EpisodeScore(task_score=None, success=False, length=episode.n_steps, end=end)
    score = metric(episode)
    return EpisodeScore(
        task_score=score.task_score,
        success=score.success,
        parts=score.parts,
        length=episode.n_steps,
        end=end,
        success_step=find_success_step(episode, metric) if score.success else None,
    )


def summarise_scores(
    episodes: Sequence[EpisodeScore], total_timesteps: int, seed: int
) -> Evaluation:
    """Return means and 95 % intervals; the score is None if one episode has none."""
    scores = [episode.task_score for episode in episodes if episode.task_score is not None]
    is_scored = len(scores) == len(episodes)
    n_successes = sum(episode.success for episode in episodes)
    return Evaluation(
        total_timesteps=total_timesteps,
        seed=seed,
        n_episodes=len(episodes),
        task_score=float(np.mean(scores)) if is_scored else None,
        task_score_interval=bootstrap_interval(scores) if is_scored else None,
        success_rate=n_successes / len(episodes) if is_scored else None,
        success_interval=wilson_interval(n_successes, len(episodes)) if is_scored else None,
        parts=_average_parts(episodes),
        episode_length=float(np.mean([episode.length for episode in episodes])),
        episodes=tuple(episodes),
    )


def rank_policies(curve: Sequence[Evaluation]) -> list[int]:
    """Return the indices from the highest task score down, the later one of equals first.

    What has no score comes last.
    """
    keys = [(rank_value(evaluation.task_score), i) for i, evaluation in enumerate(curve)]
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)


def pool_evaluations(first: Evaluation, second: Evaluation) -> Evaluation:
    """Return the evaluation of the episodes of both; they are of one policy."""
    episodes = (*first.episodes, *second.episodes)
    return summarise_scores(episodes, first.total_timesteps, first.seed)


def drop_parts(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation without the numbers that explain its scores."""
    episodes = tuple(episode.model_copy(update={"parts": {}}) for episode in evaluation.episodes)
    return evaluation.model_copy(update={"episodes": episodes, "parts": {}})


def rank_episodes(evaluation: Evaluation) -> list[int]:
    """Return the episodes from the worst to the best, by score, then by length."""
    keys = [(rank_value(episode.task_score), episode.length) for episode in evaluation.episodes]
    return sorted(range(len(keys)), key=keys.__getitem__)


def find_success_step(episode: Episode, metric: MetricFunction) -> int:
    """Return the step from which on the episode counts as a success.

    The metric is asked about beginnings of the episode: the moment is the end of the shortest one
    from which on all are successes.
    """
    steps = np.unique(np.linspace(1, episode.n_steps, _N_PREFIXES).astype(int))
    earliest = episode.n_steps
    for step in steps[::-1]:
        if not _is_success(metric, episode.cut(int(step), terminated=False)):
            break
        earliest = int(step)
    return earliest


def _is_success(metric: MetricFunction, episode: Episode) -> bool:
    try:
        return metric(episode).success
    except DataError:
        # A metric may need a minimal length; a beginning is not an episode it was written for.
        return False


def _average_parts(episodes: Sequence[EpisodeScore]) -> dict[str, float]:
    """Return the mean of each part over the episodes that have it."""
    names = dict.fromkeys(name for episode in episodes for name in episode.parts)
    return {
        name: float(np.mean([e.parts[name] for e in episodes if name in e.parts])) for name in names
    }
