"""Racing: which of several trainings gets the next slice.

A training is cut into slices; after each its newest policy is scored by the trusted metric on fresh
episodes. A policy of racing looks at these scores alone and names who goes on. Trainings that it
passes over are paused: their checkpoint is kept, and they go on when it names them later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, hypot, inf, isfinite, log, sqrt
from statistics import fmean, stdev
from typing import Literal

from reward_agent.definitions.task import TaskSpec
from reward_agent.records.disk import read_optional
from reward_agent.records.outcomes import Outcome
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import SearchSettings
from reward_agent.records.store import RunStore
from reward_agent.types import Evaluation

RacingMode = Literal["none", "halving", "bandit"]

# Slices of a training. After an eighth the best is among the better half (48 trainings of hopper
# and half_cheetah); more slices would cost more starts and evaluations.
N_SLICES = 8
# How many may go on by halving while they may still end best: which of the last two does is open
# until the end, since policies swing by more than what is between them.
LEAST_KEPT = 2
# Standard errors of what may still change by which a training may be behind: 1 in 6 overtakes.
DOUBT = 1.0
# Share of the steps of training everyone to the end that a bandit may spend.
BANDIT_SHARE = 0.375
# Weight of the bonus for what is little known, in units of the spread of all scores; and share of
# the growth so far that may hold on. Chosen on simulated curves, see tests/run/test_racing.py.
EXPLORATION = 0.75
GROWTH_SHARE = 0.5


@dataclass(frozen=True)
class RungScore:
    """Trusted score of one candidate after a slice, in the task's unit.

    Args:
        mean: mean task score over fresh episodes.
        low: lower end of its interval.
        high: upper end of its interval.
        success: share of the episodes that are a success.
        evaluation: what it was read from, where there is one.
    """

    mean: float
    low: float
    high: float
    success: float = 0.0
    evaluation: Evaluation | None = field(default=None, compare=False, repr=False)

    @classmethod
    def read(cls, evaluation: Evaluation) -> RungScore | None:
        """Return the score of an evaluation; None where it has none."""
        mean = evaluation.task_score
        if mean is None:
            return None
        low, high = evaluation.task_score_interval or (mean, mean)
        return cls(mean, low, high, evaluation.success_rate or 0.0, evaluation)


def pool_scores(scores: Sequence[RungScore | None]) -> RungScore | None:
    """Return what a program scores over its seeds, the search's own first, with its interval.

    Of one seed it is the score itself; of more their mean, as sure as they agree.
    """
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        return known[0] if known else None
    means = [score.mean for score in known]
    mean, spread = fmean(means), 2 * stdev(means) / sqrt(len(means))
    success = fmean(score.success for score in known)
    first = scores[0].evaluation if scores[0] is not None else None
    return RungScore(mean, mean - spread, mean + spread, success, first)


@dataclass(frozen=True)
class Target:
    """Where a task is done: nothing that is trained longer can be better.

    Args:
        score: task score that is to be held.
        least_success: share of successes that is to be held with it.
    """

    score: float
    least_success: float = 0.0

    def is_met(self, mean: float | None, success: float | None) -> bool:
        """Return whether an evaluation is there."""
        is_enough = mean is not None and mean >= self.score
        return is_enough and (success or 0.0) >= self.least_success


@dataclass(frozen=True)
class Standing:
    """One training as racing sees it.

    Args:
        name: the candidate.
        scores: by the env steps of the stop; None where a policy could not be scored.
        is_running: whether a slice of it is under way.
        has_ended: it failed, or has reached the target: it gets no further slice.
        of_parent: scores of the whole training of the program that it was made from.
        is_carried: whether a person lets it train on whatever racing says: its slices count for
            no budget.
    """

    name: str
    scores: Mapping[int, RungScore | None] = field(default_factory=dict)
    is_running: bool = False
    has_ended: bool = False
    of_parent: Mapping[int, RungScore | None] = field(default_factory=dict)
    is_carried: bool = False

    @property
    def course(self) -> tuple[Evaluation, ...]:
        """What was evaluated on the way, oldest first."""
        known = (self.scores[stop] for stop in sorted(self.scores))
        return tuple(s.evaluation for s in known if s is not None and s.evaluation is not None)

    @property
    def steps(self) -> int:
        """Env steps of the last stop that was scored."""
        return max(self.scores, default=0)

    @property
    def score(self) -> RungScore | None:
        """The newest score that there is."""
        return next(reversed(self.list_scores()), None)

    def list_scores(self, until: float = inf) -> list[RungScore]:
        """Return the scores up to some env steps, oldest first; without those that are none."""
        return _list_known(self.scores, 0, until)

    def find_precedent(self, stop: int) -> Precedent | None:
        """Return where the program that it was made from stood at a stop, and what it came to."""
        until, after = _list_known(self.of_parent, 0, stop), _list_known(self.of_parent, stop, inf)
        if not until or not after:
            return None
        return Precedent(_find_level(until), max(score.mean for score in after))


@dataclass(frozen=True)
class Precedent:
    """How the training of an earlier program went on from a stop.

    Args:
        level: where it stood there.
        end: the best score that it had afterwards.
    """

    level: float
    end: float


@dataclass(frozen=True)
class RacingPolicy:
    """Decides who gets the next slice: here everyone trains to the end, in order of entry.

    Args:
        stops: env steps at which a training pauses to be scored, the last being its full budget.
    """

    stops: tuple[int, ...]

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name who gets the next slice, or None: wait for those that run, or end.

        Args:
            standings: the trainings that entered so far, in order.
            n_awaited: candidates that may still enter.
        """
        return next((s.name for s in _list_ready(standings, self.stops[-1])), None)

    def thin_out(self, racing: Sequence[Standing], number: int) -> list[Standing]:
        """Return who goes on after so many slices, of those that have had them: here all."""
        return list(racing)


@dataclass(frozen=True)
class SuccessiveHalving(RacingPolicy):
    """All start; the further a training is, the fewer go on, and only who may still end best.

    Halving gives every stretch of training the same env steps: half as many go twice as far. Here
    that holds at each stop instead of at powers of two alone: of ``n`` trainings, ``n / k`` go
    through slice ``k``, two at least. That is 0.34 of the steps of all of many trainings at most,
    and 0.39 of eight. Fewer than eight are thinned out as if they were eight.

    Who goes on is found anew from the scores each time, so when a training fails, the best of those
    that stopped before takes its place. Beside them go on those that do as well as the programs
    that they were made from did at the same step, where these ended no worse than the best stands.

    Source: Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943.

    Args:
        stops: evenly spaced.
        n_candidates: trainings that may enter.
    """

    n_candidates: int

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name one that has not reached the stop up to which its scores carry it."""
        racing = [s for s in standings if not s.has_ended]
        for number, stop in enumerate(self.stops[:-1], 1):
            ready = _list_ready(racing, stop)
            if ready:
                return ready[0].name
            if n_awaited or any(s.steps < stop for s in racing):
                return None
            racing = self.thin_out(racing, number)
        return next((s.name for s in _list_ready(racing, self.stops[-1])), None)

    def thin_out(self, racing: Sequence[Standing], number: int) -> list[Standing]:
        """Return who goes on after so many slices, in order of entry."""
        stop, n_slices = self.stops[number - 1], len(self.stops)
        courses = {s.name: s.list_scores(stop) for s in racing}
        n_kept = max(LEAST_KEPT, ceil(max(self.n_candidates, n_slices) / (number + 1)))
        precedents = {s.name: s.find_precedent(stop) for s in racing}
        going_on = choose_survivors(courses, n_kept, n_slices - number, precedents)
        return [s for s in racing if s.name in going_on]


@dataclass(frozen=True)
class OptimisticBandit(RacingPolicy):
    """The next slice goes to the training that could still become the best.

    A training's optimistic score is what it would reach if the better end of its interval and its
    growth so far held on, plus a bonus while little is known of it. Slices are limited; the last of
    them are kept for the leader, so that one training at least is whole.

    Source: the choice among rewards as a bandit over paused trainings is ORSO's (Zhang et al. 2025,
    https://arxiv.org/abs/2410.13837); the growth is that of rising bandits (Metelli et al. 2022,
    https://arxiv.org/abs/2212.03798).

    Args:
        stops: evenly spaced.
        n_slices: slices that all trainings together may take.
    """

    n_slices: int

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name the most promising one; everyone has a first slice before anyone has a second."""
        ready = _list_ready(standings, self.stops[-1])
        new = [s for s in ready if not s.scores]
        if new:
            return new[0].name
        # Whoever has not entered yet has a claim to a first slice.
        spent = sum(len(s.scores) + s.is_running for s in standings if not s.is_carried)
        left = self.n_slices - n_awaited - spent
        known = [s for s in standings if s.score is not None and not s.has_ended]
        levels = {s.name: _find_level(s.list_scores()) for s in known}
        if not known or left <= 0:
            return None
        leader = max(known, key=lambda s: levels[s.name])
        if left <= self._count_missing(leader):
            return leader.name if leader in ready else None
        hopes = {s.name: self._find_hope(s, known) for s in known if s in ready}
        chosen = max(hopes, key=lambda name: hopes[name], default=leader.name)
        if hopes.get(chosen, 0.0) <= levels[leader.name]:  # nobody could overtake
            chosen = leader.name
        return chosen if chosen in hopes else None

    def _count_missing(self, standing: Standing) -> int:
        """Return the slices up to the full budget that are not under way."""
        return len(self.stops) - len(standing.scores) - standing.is_running

    def _find_hope(self, standing: Standing, known: Sequence[Standing]) -> float:
        """Return the optimistic score."""
        course = standing.list_scores()
        means = [score.mean for score in course]
        growth = max(means[-1] - fmean(means[-3:-1]), 0.0) if len(means) > 1 else 0.0
        levels = [_find_level(s.list_scores()) for s in known]
        n_spent = sum(len(s.scores) for s in known)
        bonus = EXPLORATION * (max(levels) - min(levels)) * sqrt(log(n_spent + 1) / len(means))
        width = course[-1].high - course[-1].mean
        coming = GROWTH_SHARE * growth * self._count_missing(standing)
        return _find_level(course) + width + coming + bonus


def read_course(store: RunStore, candidate_id: str | None) -> dict[int, RungScore | None]:
    """Return what the policies of a candidate of earlier rounds scored, by env steps."""
    known = [c for c in store.list_finished() if c.id == candidate_id] if candidate_id else []
    if not known:
        return {}
    path = store.candidate_dir(known[0].iteration, known[0].id) / "evaluation.json"
    evaluated = read_optional(path, EvaluateResult)
    curve = evaluated.curve if evaluated else ()
    return {item.total_timesteps: RungScore.read(item) for item in curve}


def make_policy(
    mode: RacingMode, total_timesteps: int, n_candidates: int, *, watched: bool = False
) -> RacingPolicy:
    """Return the policy of a mode.

    Args:
        mode: how trainings are stopped.
        total_timesteps: full budget of one training.
        n_candidates: trainings that enter.
        watched: whether there is a score at which a training ends early, so that it has to be
            scored in between in any mode.
    """
    shares = (total_timesteps * number // N_SLICES for number in range(1, N_SLICES + 1))
    even = tuple(sorted({max(1, stop) for stop in shares}))
    if mode == "bandit" and n_candidates > 1:
        n_slices = ceil(BANDIT_SHARE * N_SLICES * n_candidates)
        return OptimisticBandit(even, max(n_slices, N_SLICES + 2 * (n_candidates - 1)))
    if mode == "halving" and n_candidates > 1:
        return SuccessiveHalving(even, n_candidates)
    return RacingPolicy(even if watched else (total_timesteps,))


def find_next_stop(policy: RacingPolicy, steps: int) -> int:
    """Return the env steps to which the next slice goes."""
    return next(stop for stop in policy.stops if stop > steps)


def choose_survivors(
    courses: Mapping[str, Sequence[RungScore]],
    n_kept: int,
    n_left: int,
    precedents: Mapping[str, Precedent | None] | None = None,
) -> list[str]:
    """Return the candidates that go on, best first: the best, and who may still end better.

    Ranked is by level and not by the best policy so far: that one is kept in any case, and says
    less of those to come. What may still change is the error of the evaluation, and what the
    training itself does: its scores so far are taken as a random walk, whose steps are growth and
    swings alike. The best may have got ahead by such a step, so one of its own counts as well (one
    success where others had none yet says little); what it may lose later costs nothing. After one
    score a walk is unknown, and the best ``n_kept`` go on. Of these places one is for whose course
    goes highest: two rises running are more than luck.

    Who is behind where its parent was behind, too, is no worse for that: if the parent ended no
    worse than the best stands now, it goes on beside those, ``LEAST_KEPT`` of them at most.

    Args:
        courses: candidate id to its scores so far, oldest first; one without any stops, unless
            nobody has one.
        n_kept: how many may go on for their own scores.
        n_left: slices to come of a training that goes to the end.
        precedents: how trainings of the programs that they were made from went on from here.
    """
    levels = {name: _find_level(course) for name, course in courses.items() if course}
    if not levels:
        return list(courses)
    ranked = sorted(levels, key=lambda name: levels[name], reverse=True)
    best, kept = ranked[0], ranked[:n_kept]
    rising = max(levels, key=lambda name: (_find_heading(courses[name]), name in kept))
    if rising not in kept:
        kept[-1] = rising
    of_best = _find_doubt(courses[best], 1)
    going_on = [
        name
        for name in kept
        if name == rising
        or levels[best] - levels[name] <= DOUBT * hypot(of_best, _find_doubt(courses[name], n_left))
    ]
    keeping_up = [
        name
        for name in ranked
        if name not in going_on
        and _keeps_up(courses[name], (precedents or {}).get(name), levels[best])
    ]
    return going_on + keeping_up[:LEAST_KEPT]


def _keeps_up(course: Sequence[RungScore], precedent: Precedent | None, best: float) -> bool:
    """Return whether a training does as well as one that ended no worse than the best stands."""
    if precedent is None or precedent.end < best:
        return False
    return _find_level(course) + _find_error(course[-1]) >= precedent.level


def find_target(settings: SearchSettings, task: TaskSpec) -> Target | None:
    """Return where trainings and the run may end; None: they go on as long as they may.

    That is the score that a person named, else the task's own where there is nothing beyond it.
    """
    if settings.target_score is not None:
        return Target(settings.target_score)
    if settings.early_stop and task.is_bounded and task.target_score is not None:
        return Target(task.target_score, least_success=1.0)
    return None


def has_held(scores: Mapping[int, RungScore | None], target: Target) -> bool:
    """Return whether the last two scores reach a target."""
    last = [scores[stop] for stop in sorted(scores)][-2:]
    is_met = [score is not None and target.is_met(score.mean, score.success) for score in last]
    return is_met == [True, True]


def name_reached(target: Target, unit: str, steps: int) -> Outcome:
    """Say that a training ended where the task is done."""
    how = f"{target.score:g} {unit} twice running by {steps:,} steps"
    return Outcome(kind="reached", detail=how, at_steps=steps)


def name_stop(standing: Standing, others: Sequence[Standing], unit: str) -> Outcome:
    """Say why a candidate did not train to the end: who did better by the same steps.

    Args:
        standing: the candidate.
        others: the trainings that it raced with.
        unit: of the scores.
    """
    steps, own = standing.steps, standing.score
    courses = {other.name: other.list_scores(steps) for other in others if other.steps > steps}
    levels = {name: _find_level(course) for name, course in courses.items() if course}
    if own is None:
        why = f"no score at {steps:,} steps"
    elif not levels:
        why = f"{own.mean:.3g} {unit} at {steps:,} steps"
    else:
        best = max(levels, key=lambda name: levels[name])
        compared = _compare(own.mean, courses[best][-1].mean, best)
        why = f"{own.mean:.3g} {unit} at {steps:,} steps, {compared}"
    return Outcome(kind="stopped", detail=why, at_steps=steps)


def _compare(own: float, other: float, name: str) -> str:
    """Say what another training, which went on, had by the same steps."""
    if f"{own:.3g}" == f"{other:.3g}":
        return f"as much as {name} had there, which went on"
    if own > other:
        return f"where {name} had {other:.3g}, but more over its last two scores"
    return f"where {name} had {other:.3g}"


def _list_ready(standings: Sequence[Standing], until: int) -> list[Standing]:
    """Return those that could train on now, up to some steps."""
    return [s for s in standings if not s.is_running and not s.has_ended and s.steps < until]


def _list_known(
    scores: Mapping[int, RungScore | None], after: float, until: float
) -> list[RungScore]:
    """Return the scores of some stops, oldest first; without those that are none."""
    known = (scores[stop] for stop in sorted(scores) if after < stop <= until)
    return [score for score in known if score is not None and isfinite(score.mean)]


def _find_level(course: Sequence[RungScore]) -> float:
    """Return the mean of the last two scores: one policy's luck is not a level."""
    return fmean(score.mean for score in course[-2:])


def _find_heading(course: Sequence[RungScore]) -> float:
    """Return where a course goes: while it rises, on from its newest score; else its level."""
    means = [score.mean for score in course[-3:]]
    if len(means) == 3 and means[0] < means[1] < means[2]:
        return means[2] + GROWTH_SHARE * (means[2] - means[0]) / 2
    return _find_level(course)


def _find_error(score: RungScore) -> float:
    """Return the standard error of an evaluation: an interval of 95 % is four of them wide."""
    return (score.high - score.low) / 4


def _find_doubt(course: Sequence[RungScore], n_ahead: int) -> float:
    """Return the standard error of a score that is some slices ahead."""
    if len(course) < 2:
        return inf
    changes = [new.mean - old.mean for old, new in pairwise(course)]
    spread = n_ahead * fmean(change**2 for change in changes)
    return sqrt(_find_error(course[-1]) ** 2 + spread)
