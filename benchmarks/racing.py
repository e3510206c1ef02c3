"""Env steps that racing spends to find what training all candidates to the end finds.

All candidates are trained to the end, and scored on fresh episodes on the way. Who would have got
which slice follows from racing's own policies on these scores: both sides share their trainings, so
that only the decisions differ. Six races are few, so the same is told of simulated ones, which have
no bar to keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np

from benchmarks.candidates import PROGRAMS
from benchmarks.measurements import Course, Row
from benchmarks.options import Group, Options, describe_failures
from benchmarks.pool import Call
from benchmarks.simulated_races import simulate_race
from reward_agent.run.racing import (
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
_STEPS_BAR, _SCORE_BAR = "<= 0.4", ">= 0.95"
_N_SIMULATED = 200

Courses = Mapping[str, Course]
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
    rows: list[Row] = []
    for mode in MODES:
        note = ", ".join(f"{env} {seed}" for env, seed in races)
        title = f"racing ({mode}), {len(PROGRAMS)} candidates"
        rows += _compare(mode, list(races.values()), title, note, (_STEPS_BAR, _SCORE_BAR))
        title, note = f"racing ({mode}), simulated", f"{_N_SIMULATED} races"
        rows += _compare(mode, simulate_races(_N_SIMULATED), title, note, ("", ""))
    return rows


def simulate_races(n_races: int) -> list[Courses]:
    """Return simulated races, the same ones each time."""
    races = (simulate_race(np.random.default_rng(seed), seed) for seed in range(n_races))
    return [{course.candidate: course for course in courses} for courses in races]


def _compare(
    mode: RacingMode, races: Sequence[Courses], title: str, note: str, bars: tuple[str, str]
) -> Iterator[Row]:
    """Yield the rows of one mode, env steps and score: means of the ratios over the races."""
    full, raced = ([run_race(courses, item) for courses in races] for item in ("none", mode))
    steps = [race.spent for race in raced], [race.spent for race in full]
    scores = (
        [find_best(courses, race) for courses, race in zip(races, raced, strict=True)],
        [find_best(courses, race) for courses, race in zip(races, full, strict=True)],
    )
    for what, bar, (ours, theirs) in (
        ("steps spent", bars[0], steps),
        ("best score", bars[1], scores),
    ):
        ratios = [one / other for one, other in zip(ours, theirs, strict=True) if other > 0]
        yield Row(
            name=f"{title}: {what}",
            value=mean(ratios) if ratios else None,
            bar=bar,
            ours=tuple(ours),
            theirs=tuple(theirs),
            note=note,
        )


def run_race(courses: Courses, mode: RacingMode) -> Race:
    """Play a mode over courses of trainings that went to the end."""
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


def find_best(courses: Courses, race: Race) -> float:
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
