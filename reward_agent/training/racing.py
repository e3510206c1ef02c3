"""Racing: which of several trainings gets the next slice.

A training is cut into slices; after each its newest policy is scored by the trusted metric on fresh
episodes. A policy of racing looks at these scores alone and names who goes on. Trainings that it
passes over are paused: their checkpoint is kept, and they go on when it names them later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log, sqrt
from statistics import fmean
from typing import Literal, Protocol

RacingMode = Literal["none", "halving", "bandit"]

# Slices of a training where they are even.
N_SLICES = 8
# Shares of the full budget at which half of the trainings stop; as many of the last as are needed.
RUNG_SHARES = (0.125, 0.25, 0.5)
# Share of the steps of training everyone to the end that a bandit may spend.
BANDIT_SHARE = 0.375
# Weight of the bonus for what is little known, in units of the spread of all scores; and share of
# the growth so far that may hold on. Chosen on simulated curves, see tests/training/test_racing.py.
EXPLORATION = 0.75
GROWTH_SHARE = 0.5


@dataclass(frozen=True)
class RungScore:
    """Trusted score of one candidate after a slice, in the task's unit.

    Args:
        mean: mean task score over fresh episodes.
        low: lower end of its interval.
        high: upper end of its interval.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """One training as racing sees it.

    Args:
        name: the candidate.
        scores: by the env steps of the stop; None where a policy could not be scored.
        is_running: whether a slice of it is under way.
        has_ended: it failed, or has reached the target: it gets no further slice.
    """

    name: str
    scores: Mapping[int, RungScore | None] = field(default_factory=dict)
    is_running: bool = False
    has_ended: bool = False

    @property
    def steps(self) -> int:
        """Env steps of the last stop that was scored."""
        return max(self.scores, default=0)

    @property
    def score(self) -> RungScore | None:
        """The newest score that there is."""
        known = {stop: score for stop, score in self.scores.items() if score is not None}
        return known[max(known)] if known else None


class RacingPolicy(Protocol):
    """Decides who gets the next slice."""

    @property
    def stops(self) -> tuple[int, ...]:
        """Env steps at which a training pauses to be scored, the last being its full budget."""
        ...

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name who gets the next slice, or None: wait for those that run, or end.

        Args:
            standings: the trainings that entered so far, in order.
            n_awaited: candidates that may still enter.
        """
        ...


@dataclass(frozen=True)
class FullTraining:
    """Everyone trains to the end, in order of entry."""

    stops: tuple[int, ...]

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name the first that has steps left."""
        return next((s.name for s in _list_ready(standings, self.stops[-1])), None)


@dataclass(frozen=True)
class SuccessiveHalving:
    """All start; at each rung the better half goes on, and near ties with it.

    Who goes on is found anew from the scores each time, so when a training fails, the best of those
    that stopped before takes its place.

    Source: Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943.

    Args:
        stops: the rungs among them.
        rungs: env steps at which the worse half stops.
    """

    stops: tuple[int, ...]
    rungs: tuple[int, ...]

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name one that has not reached the rung up to which its scores carry it."""
        racing = [s for s in standings if not s.has_ended]
        for rung in self.rungs:
            ready = _list_ready(racing, rung)
            if ready:
                return ready[0].name
            if n_awaited or any(s.steps < rung for s in racing):
                return None
            going_on = choose_survivors({s.name: _find_peak(s, rung) for s in racing})
            racing = [s for s in racing if s.name in going_on]
        return next((s.name for s in _list_ready(racing, self.stops[-1])), None)


@dataclass(frozen=True)
class OptimisticBandit:
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

    stops: tuple[int, ...]
    n_slices: int

    def choose(self, standings: Sequence[Standing], n_awaited: int) -> str | None:
        """Name the most promising one; everyone has a first slice before anyone has a second."""
        ready = _list_ready(standings, self.stops[-1])
        new = [s for s in ready if not s.scores]
        if new:
            return new[0].name
        # Whoever has not entered yet has a claim to a first slice.
        left = self.n_slices - n_awaited - sum(len(s.scores) + s.is_running for s in standings)
        known = [s for s in standings if s.score is not None and not s.has_ended]
        if not known or left <= 0:
            return None
        leader = max(known, key=_find_level)
        if left <= self._count_missing(leader):
            return leader.name if leader in ready else None
        hopes = {s.name: self._find_hope(s, known) for s in known if s in ready}
        chosen = max(hopes, key=lambda name: hopes[name], default=leader.name)
        if hopes.get(chosen, 0.0) <= _find_level(leader):  # nobody could overtake
            chosen = leader.name
        return chosen if chosen in hopes else None

    def _count_missing(self, standing: Standing) -> int:
        """Return the slices up to the full budget that are not under way."""
        return len(self.stops) - len(standing.scores) - standing.is_running

    def _find_hope(self, standing: Standing, known: Sequence[Standing]) -> float:
        """Return the optimistic score."""
        assert standing.score is not None
        means = [score.mean for score in standing.scores.values() if score is not None]
        growth = max(means[-1] - fmean(means[-3:-1]), 0.0) if len(means) > 1 else 0.0
        levels = [_find_level(s) for s in known]
        n_spent = sum(len(s.scores) for s in known)
        bonus = EXPLORATION * (max(levels) - min(levels)) * sqrt(log(n_spent + 1) / len(means))
        width = standing.score.high - standing.score.mean
        coming = GROWTH_SHARE * growth * self._count_missing(standing)
        return _find_level(standing) + width + coming + bonus


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
    even = tuple(total_timesteps * number // N_SLICES for number in range(1, N_SLICES + 1))
    if mode == "bandit" and n_candidates > 1:
        n_slices = ceil(BANDIT_SHARE * N_SLICES * n_candidates)
        return OptimisticBandit(even, max(n_slices, N_SLICES + 2 * (n_candidates - 1)))
    rungs: tuple[int, ...] = ()
    if mode == "halving" and n_candidates > 1:
        n_halvings = min(ceil(log(n_candidates, 2)), len(RUNG_SHARES))
        rungs = tuple(int(total_timesteps * share) for share in RUNG_SHARES[-n_halvings:])
    stops = tuple(sorted({*rungs, total_timesteps, *(even if watched else ())}))
    return SuccessiveHalving(stops, rungs) if rungs else FullTraining(stops)


def find_next_stop(policy: RacingPolicy, steps: int) -> int:
    """Return the env steps to which the next slice goes."""
    return next(stop for stop in policy.stops if stop > steps)


def choose_survivors(scores: Mapping[str, RungScore | None]) -> list[str]:
    """Return the candidates that go on, best first.

    The better half goes on, and near ties with it: of the rest up to an eighth of all, best first,
    whose interval reaches the mean of the last of that half. Ties among bad ones are none: the
    interval must also reach the middle between the best and the worst. A candidate without a score
    (None) stops, unless nobody has one.

    Args:
        scores: candidate id to its score at this rung.
    """
    known = {name: score for name, score in scores.items() if score is not None}
    if not known:
        return list(scores)
    ranked = sorted(known, key=lambda name: known[name].mean, reverse=True)
    half = ranked[: (len(ranked) + 1) // 2]
    middle = (known[ranked[0]].mean + known[ranked[-1]].mean) / 2
    bar = max(known[half[-1]].mean, middle)
    near_ties = [name for name in ranked[len(half) :] if known[name].high >= bar]
    return half + near_ties[: max(1, len(ranked) // 8)]


def has_held(scores: Mapping[int, RungScore | None], target: float) -> bool:
    """Return whether the last two scores reach a target."""
    last = [scores[stop] for stop in sorted(scores)][-2:]
    return len(last) == 2 and all(score is not None and score.mean >= target for score in last)


def describe_stop(steps: int, own: RungScore | None, best: Sequence[RungScore], unit: str) -> str:
    """Say in one line why a candidate did not train to the end."""
    if own is None:
        return f"stopped: no score at {steps:,} steps"
    top = max(score.mean for score in best)
    return f"stopped: {own.mean:.3g} {unit} at {steps:,} steps, the best had {top:.3g}"


def _list_ready(standings: Sequence[Standing], until: int) -> list[Standing]:
    """Return those that could train on now, up to some steps."""
    return [s for s in standings if not s.is_running and not s.has_ended and s.steps < until]


def _find_level(standing: Standing) -> float:
    """Return the mean of the last two scores: one policy's luck is not a level."""
    means = [score.mean for score in standing.scores.values() if score is not None]
    return fmean(means[-2:])


def _find_peak(standing: Standing, until: int) -> RungScore | None:
    """Return the best score up to some steps: of a training its best policy is kept."""
    known = [score for stop, score in standing.scores.items() if score and stop <= until]
    return max(known, key=lambda score: score.mean, default=None)
