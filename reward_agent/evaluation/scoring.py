"""From recorded episodes and a metric to an ``Evaluation``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from reward_agent.errors import DataError
from reward_agent.evaluation.metrics import Episode, MetricFunction
from reward_agent.evaluation.statistics import bootstrap_interval, wilson_interval
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.types import EpisodeScore, Evaluation, rank_value

# Beginnings of an episode that are scored to find the moment of success.
_N_PREFIXES = 24
# Whole numbers that differ more than so are counts.
_MOST_KINDS = 4


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
    step = find_success_step(episode, metric) if score.success else None
    return EpisodeScore(
        task_score=score.task_score,
        success=score.success,
        parts=score.parts,
        length=episode.n_steps,
        end=end,
        success_step=step,
        success_start=None if step is None else find_success_start(episode, step, metric),
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


def list_contenders(evaluations: Sequence[Evaluation]) -> list[int]:
    """Return the indices of those that may be the best, the first of them to be taken.

    That are the one with the highest task score and whatever no interval sets apart from it. Among
    these the score says little, so the share of successes decides, then the score; the later one of
    equals comes first.
    """
    scores = [rank_value(item.task_score) for item in evaluations]
    intervals = [
        item.task_score_interval or (score, score)
        for item, score in zip(evaluations, scores, strict=True)
    ]
    least, _ = intervals[max(range(len(scores)), key=scores.__getitem__)]
    near = [i for i, (_, high) in enumerate(intervals) if high >= least]
    return sorted(near, key=lambda i: (evaluations[i].success_rate or 0.0, scores[i], i))[::-1]


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


def find_success_start(episode: Episode, success_step: int, metric: MetricFunction) -> int:
    """Return where that begins which is a success by a step: a hold, say, and not its end.

    What came before may be left out, and the rest is a success still; found by halving.
    """
    low, high = 0, success_step
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = _is_success(metric, episode.cut(success_step, terminated=False).skip(middle))
        low, high = (middle, high) if is_enough else (low, middle)
    return low


def _is_success(metric: MetricFunction, episode: Episode) -> bool:
    try:
        return metric(episode).success
    except DataError:
        # A metric may need a minimal length; a beginning is not an episode it was written for.
        return False


def _average_parts(episodes: Sequence[EpisodeScore]) -> dict[str, float]:
    """Return each part over the episodes that have it: the mean, or the commonest of few numbers.

    The mean of an index is none, so a part of few different whole numbers is not averaged, unless
    it is a flag, whose mean is a share.
    """
    names = dict.fromkeys(name for episode in episodes for name in episode.parts)
    values = {name: [e.parts[name] for e in episodes if name in e.parts] for name in names}
    return {name: _average(values[name]) for name in names}


def _average(values: Sequence[float]) -> float:
    kinds = count_kinds(values)
    return float(kinds.most_common(1)[0][0]) if kinds else float(np.mean(values))


def count_kinds(values: Sequence[float]) -> Counter[float]:
    """Return how often each of few different whole numbers occurs; nothing of other values."""
    counts = Counter(sorted(values))
    is_whole = all(float(value).is_integer() for value in counts)
    is_flag = counts.keys() <= {0.0, 1.0}
    is_few = len(counts) <= min(_MOST_KINDS, len(values) / 2)
    return counts if is_whole and is_few and not is_flag else Counter()
