"""What a result is held against: the robot untrained, the first round, fresh seeds, the target."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from reward_agent.records.disk import read_optional
from reward_agent.records.job import (
    BEHAVIOURS_DIR,
    JOB_FILE,
    RESULT_FILE,
    SCORE_DIR,
    UNSKILLED,
    Behaviour,
)
from reward_agent.records.scoring_jobs import EvaluateResult, RecordResult, ScoreJob, ScoreResult
from reward_agent.records.store import Candidate, RunRecord, RunStore, rank_candidates
from reward_agent.report.charts import shorten
from reward_agent.text import count
from reward_agent.types import EpisodeScore, Evaluation, RewardProgram, rank_value

# Of a metric's docstring: "``drift`` m", "``reach`` and ``lift`` m".
_PARTS = r"((?:``\w+``(?:\sand\s)?)+)\s*\(?(m/s|rad/s|0/1|turns|rad|m|s|N)\b"


@dataclass(frozen=True)
class Untrained:
    """The best that the robot did without a policy: held still, limp, at random or falling."""

    behaviour: Behaviour
    task_score: float
    n_done: int
    n_episodes: int


@dataclass(frozen=True)
class Bar:
    """One line beside the film.

    Args:
        words: what was measured.
        task_score: mean over its episodes; None where nothing was measured.
        note: how many episodes succeeded, or what else there is to say.
        is_result: whether it is the policy of the film.
    """

    words: str
    task_score: float | None
    note: str = ""
    is_result: bool = False


def read_untrained(store: RunStore, metric_source: str) -> Untrained | None:
    """Return the best of what a run recorded of its robot untrained, as its metric scores it."""
    folder = store.dir / BEHAVIOURS_DIR
    recorded = read_optional(folder / RESULT_FILE, RecordResult)
    job = read_optional(folder / SCORE_DIR / JOB_FILE, ScoreJob)
    scored = read_optional(folder / SCORE_DIR / RESULT_FILE, ScoreResult)
    if recorded is None or job is None or scored is None or scored.evaluation is None:
        return None
    is_other = bool(metric_source) and job.metric_sha256 != RewardProgram(metric_source).sha256
    episodes = scored.evaluation.episodes
    if is_other or len(episodes) != len(recorded.behaviours):
        return None
    groups = {
        name: [e for own, e in zip(recorded.behaviours, episodes, strict=True) if own == name]
        for name in UNSKILLED
    }
    found = [_describe(name, own) for name, own in groups.items() if own]
    return max(found, key=lambda item: item.task_score, default=None)


def _describe(name: Behaviour, episodes: Sequence[EpisodeScore]) -> Untrained:
    score = fmean(rank_value(episode.task_score) for episode in episodes)
    return Untrained(name, score, sum(e.success for e in episodes), len(episodes))


def find_first(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the best of the first round by its score in the search."""
    return next(iter(rank_candidates(c for c in candidates if c.iteration == 0)), None)


def read_own(store: RunStore) -> Evaluation | None:
    """Return what a policy did that was trained in the run with Gymnasium's own reward."""
    found = read_optional(store.own_reward_dir / "evaluation" / RESULT_FILE, EvaluateResult)
    return found.best if found is not None else None


def list_measures(
    run: RunRecord,
    untrained: Untrained | None,
    first: Candidate | None,
    own: Evaluation | None,
    result: Bar | None,
) -> list[Bar]:
    """Return the lines beside the film, the result first, the target last."""
    measures = [result] if result else []
    measures += list(_list_of_seeds(run))
    if first is not None and first.evaluation is not None and not _ends_with(run, first):
        done = say_done(first.evaluation.success_rate, first.evaluation.n_episodes)
        words = f"best of round 1: {first.id}, its search score"
        measures.append(Bar(words, first.task_score, done))
    if untrained is not None:
        done = say_done(untrained.n_done / untrained.n_episodes, untrained.n_episodes)
        measures.append(Bar(f"untrained: {untrained.behaviour}", untrained.task_score, done))
    if run.card.gymnasium_id:
        measures.append(_describe_own(run, own))
    if run.task.target_score is not None:
        measures.append(Bar("asked for", run.task.target_score))
    return measures


def _ends_with(run: RunRecord, first: Candidate) -> bool:
    """Whether the policy that a run ends with is that of a candidate's training in the search."""
    policy = run.winner.policy if run.winner else None
    return policy is not None and (policy.candidate, policy.seed) == (
        first.id,
        run.config.get("seed", 0),
    )


def _describe_own(run: RunRecord, own: Evaluation | None) -> Bar:
    """Say what Gymnasium's own reward makes of the task: here, or where it was measured before."""
    words = f"Gymnasium's own reward, {run.card.gymnasium_id}"
    if own is not None:
        done = say_done(own.success_rate, own.n_episodes)
        return Bar(f"{words}, trained once with a fresh seed", own.task_score, done)
    known = run.task.own_reward
    if known is None or known.task_score is None:
        return Bar(f"{words} (--own-reward trains it)", None, "not trained")
    command = (
        f"reward-agent train --env {run.card.name} --task {run.task.name} "
        f"--steps {known.total_timesteps} --seed {known.seed}"
    )
    done = say_done(known.success_rate, known.n_episodes)
    note = f"{done}; not of this run, but of: {command}" if done else f"of: {command}"
    steps = f"{known.total_timesteps:,} env steps"
    return Bar(f"{words}, measured before: {steps}", known.task_score, note)


def _list_of_seeds(run: RunRecord) -> Iterator[Bar]:
    """Yield what the winning reward makes when it is trained anew, where that was tried."""
    winner = run.winner
    if winner is not None and winner.is_confirmed:
        n = len(winner.task_scores)
        done = "" if winner.success_rate is None else f"{winner.success_rate:.0%} of tries succeed"
        each = f"each: {', '.join(map(shorten, winner.task_scores))}" if n > 1 else ""
        note = "; ".join(filter(None, (done, each)))
        words = f"{winner.candidate} trained anew, {count(n, 'fresh seed')}"
        yield Bar(words, winner.task_score, note)


def say_fresh(run: RunRecord, candidate: str) -> str:
    """Say what a program made when it was trained anew; '' where that was not tried."""
    found = [item.task_score if item else None for item in run.list_fresh(candidate)]
    told = ["no score" if score is None else shorten(score) for score in found]
    return f"; trained anew with fresh seeds {candidate} made {', '.join(told)}" if told else ""


def say_done(rate: float | None, n_episodes: int) -> str:
    """Say in how many episodes the task was done."""
    return "" if rate is None else f"{round(rate * n_episodes)} of {n_episodes} tries succeed"


def read_units(metric_source: str) -> dict[str, str]:
    """Return the units of a metric's parts, as far as its docstring tells: "``distance`` m"."""
    return {
        name: "of tries" if unit == "0/1" else unit
        for names, unit in re.findall(_PARTS, metric_source)
        for name in re.findall(r"\w+", names)
        if name != "and"
    }


def find_width(measures: Sequence[Bar], measure: Bar) -> float:
    """Return how long a line's bar is, in percent of the longest."""
    longest = max((abs(item.task_score or 0.0) for item in measures), default=0.0)
    own = max(0.0, rank_value(measure.task_score)) if measure.task_score is not None else 0.0
    return round(100 * own / longest, 1) if longest else 0.0
