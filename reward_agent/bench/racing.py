"""Env steps that racing spends to find what training all candidates to the end finds.

All candidates are trained to the end, and scored on fresh episodes on the way. Who would have got
which slice follows from racing's own policies on these scores: both sides share their trainings, so
that only the decisions differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from reward_agent.bench.candidates import PROGRAMS
from reward_agent.bench.measurements import Course, Row
from reward_agent.bench.options import Group, Options, describe_failures
from reward_agent.bench.pool import Call
from reward_agent.training.racing import (
    RacingMode,
    RacingPolicy,
    RungScore,
    Standing,
    find_next_stop,
    make_policy,
)

ENVS = ("hopper", "half_cheetah")
MODES: tuple[RacingMode, ...] = ("halving", "bandit")
_STEPS, _N_POINTS = 200_000, 16
_N_REPETITIONS = 3
_STEPS_BAR, _SCORE_BAR = 0.4, 0.95

Scores = Mapping[int, RungScore | None]


@dataclass(frozen=True)
class Race:
    """What a race came to.

    Args:
        scores: of each candidate, at the stops that it got to.
        spent: env steps of all candidates together.
        order: who got a slice, one after the other.
    """

    scores: dict[str, dict[int, RungScore | None]]
    spent: int
    order: tuple[str, ...]


def plan(options: Options) -> list[Call]:
    """Return the training of each candidate, in each repetition."""
    steps = options.steps or _STEPS
    arguments = {"steps": steps, "n_points": _N_POINTS, "in_process": options.in_process}
    return [
        Call("racing.measure_course", {"env": env, "candidate": name, "seed": seed, **arguments})
        for env in options.envs or ENVS
        for seed in range(min(options.seeds, _N_REPETITIONS))
        for name in PROGRAMS
    ]


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return the share of the steps that racing spends, and of the score that it reaches."""
    courses = [item for item in results if isinstance(item, Course)]
    races: dict[tuple[str, int], dict[str, Course]] = {}
    for course in courses:
        races.setdefault((course.env, course.seed), {})[course.candidate] = course
    failures = describe_failures(results)
    if not races or failures:
        return [Row(name="racing", note=failures or "no candidate was trained")]
    note = ", ".join(f"{env} {seed}" for env, seed in races)
    return [row for mode in MODES for row in _compare(mode, list(races.values()), note)]


def _compare(mode: RacingMode, races: Sequence[Mapping[str, Course]], note: str) -> Iterator[Row]:
    """Yield the rows of one mode: means of the ratios over the races."""
    full, raced = ([_run(courses, item) for courses in races] for item in ("none", mode))
    name = f"racing ({mode}), {len(PROGRAMS)} candidates:"
    sides: dict[str, tuple[str, Sequence[float], Sequence[float]]] = {
        f"{name} steps spent": (
            f"<= {_STEPS_BAR}",
            [r.spent for r in raced],
            [f.spent for f in full],
        ),
        f"{name} best score": (
            f">= {_SCORE_BAR}",
            [_find_best(courses, race) for courses, race in zip(races, raced, strict=True)],
            [_find_best(courses, race) for courses, race in zip(races, full, strict=True)],
        ),
    }
    for title, (bar, ours, theirs) in sides.items():
        ratios = [one / other for one, other in zip(ours, theirs, strict=True) if other > 0]
        value = mean(ratios) if ratios else None
        yield Row(
            name=title, value=value, bar=bar, ours=tuple(ours), theirs=tuple(theirs), note=note
        )


def _run(courses: Mapping[str, Course], mode: RacingMode) -> Race:
    total = max(course.steps[-1] for course in courses.values())
    policy = make_policy(mode, total, len(courses))
    curves = {
        name: {stop: read_score(course, stop) for stop in policy.stops}
        for name, course in courses.items()
    }
    return replay_race(policy, curves)


def replay_race(policy: RacingPolicy, curves: Mapping[str, Scores], n_slots: int = 1) -> Race:
    """Play a policy over known curves; slices of equal length take equal time.

    Args:
        policy: decides who gets the next slice.
        curves: score of each candidate at every stop of the policy.
        n_slots: trainings side by side.
    """
    race = Race({name: {} for name in curves}, 0, ())
    running: dict[str, tuple[int, int]] = {}
    now, spent, order = 0, 0, []
    while True:
        standings = {name: Standing(name, race.scores[name], name in running) for name in curves}
        has_room = len(running) < n_slots
        chosen = policy.choose(list(standings.values()), 0) if has_room else None
        if chosen is not None:
            before = standings[chosen].steps
            stop = find_next_stop(policy, before)
            running[chosen] = (now + stop - before, stop)
            spent += stop - before
            order.append(chosen)
        elif running:
            ended = min(running, key=lambda name: running[name])
            now, stop = running.pop(ended)
            race.scores[ended][stop] = curves[ended][stop]
        else:
            return Race(race.scores, spent, tuple(order))


def _find_best(courses: Mapping[str, Course], race: Race) -> float:
    """Return the best score of a policy that was trained; of a training its best policy counts."""
    return max(
        score[0]
        for name, course in courses.items()
        for steps, score in zip(course.steps, course.scores, strict=True)
        if steps <= _round_up(course, max(race.scores[name], default=0))
    )


def read_score(course: Course, stop: int) -> RungScore:
    """Return the score of the first policy that is trained as far as a stop."""
    return RungScore(*course.scores[course.steps.index(_round_up(course, stop))])


def _round_up(course: Course, stop: int) -> int:
    """Return the steps of the first policy that is trained as far as a stop."""
    return next((steps for steps in course.steps if steps >= stop), course.steps[-1])


GROUP = Group(plan, compute, has_slots=True)
