"""Env steps that racing spends to find what training all candidates to the end finds.

All candidates are trained to the end, and scored on fresh episodes on the way. Who would have got
which slice follows from racing's own policies on these scores: both sides share their trainings, so
that only the decisions differ. Six races are few, so the same is told of simulated ones, which have
no bar to keep.

Runs in which a large language model designed are recorded (``recorded/courses.json``), as far as
their trainings went. They are replayed with the rules of today: a training that was stopped then
holds its last score, fresh episodes agree where a target is held, and a program that nobody trained
with fresh seeds is taken for confirmed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Call, Group, Learned, Measurement, Options, Row
from benchmarks.ours import PROGRAMS
from reward_agent.run.racing import (
    RacingMode,
    RacingPolicy,
    RungScore,
    Standing,
    Target,
    find_next_stop,
    has_held,
    make_policy,
)
from reward_agent.types import Record

ENVS = ("hopper", "half_cheetah")
MODES: tuple[RacingMode, ...] = ("halving", "bandit")
_STEPS, N_POINTS = 200_000, 16
_N_REPETITIONS = 3
_STEPS_BAR, _SCORE_BAR = "<= 0.4", ">= 0.95"
_N_SIMULATED = 200

# Scores of a candidate's policies by their env steps, and those of a race's candidates.
Scores = Mapping[int, RungScore | None]
Courses = Mapping[str, Mapping[int, RungScore]]
FloatArray = NDArray[np.floating]


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


class RecordedPoint(Record):
    """A policy of a recorded training: few episodes, so the interval is wide."""

    total_timesteps: int
    task_score: float
    interval: tuple[float, float]
    success_rate: float

    def read(self) -> RungScore:
        """Return it as racing sees it."""
        return RungScore(self.task_score, *self.interval, self.success_rate)


class RecordedTraining(Record):
    """A candidate of a recorded run, and what a confirming training of it scored, if there was."""

    id: str
    parent: str | None
    total_timesteps: int
    task_score: float
    success_rate: float
    curve: tuple[RecordedPoint, ...]
    fresh: tuple[tuple[float, float], ...] = ()

    @property
    def course(self) -> dict[int, RungScore]:
        """Its policies' scores by their env steps."""
        return {point.total_timesteps: point.read() for point in self.curve}


class RecordedRun(Record):
    """A run in which a large language model designed.

    Args:
        target: score at which the task is done, with every episode a success; None: it has no end.
        n_seeds: fresh seeds for each of the two best.
    """

    name: str
    steps: int
    target: float | None
    n_seeds: int
    env_steps: int
    minutes: float
    n_calls: int
    rounds: tuple[tuple[RecordedTraining, ...], ...]


@dataclass(frozen=True)
class ReplayedRun:
    """What a recorded run comes to with the rules of today."""

    env_steps: int
    n_rounds: int
    best: RecordedTraining
    stopped: tuple[str, ...]


def plan(options: Options) -> list[Call]:
    """Return the training of each candidate, in each repetition."""
    arguments = {"steps": options.steps or _STEPS, "n_points": N_POINTS}
    return [
        Call("ours.learn", {"env": env, "program": name, "seed": seed, **arguments})
        for env in options.envs or ENVS
        for seed in range(min(options.seeds, _N_REPETITIONS))
        for name in PROGRAMS
    ]


def compute(options: Options, results: Sequence[Measurement]) -> list[Row]:
    """Return the share of the steps that racing spends, and of the score that it reaches."""
    races: dict[tuple[str, int], dict[str, dict[int, RungScore]]] = {}
    for item in results:
        if isinstance(item, Learned) and item.program in PROGRAMS:
            races.setdefault((item.env, item.seed), {})[item.program] = _read_course(item)
    whole = {key: courses for key, courses in races.items() if len(courses) == len(PROGRAMS)}
    note = ", ".join(f"{env} {seed}" for env, seed in whole) or "no race was trained whole"
    rows: list[Row] = []
    for mode in MODES:
        bars = _STEPS_BAR, _SCORE_BAR
        rows += _compare(mode, list(whole.values()), f"racing ({mode}), 8 candidates", note, bars)
        title, note_ = f"racing ({mode}), simulated", f"{_N_SIMULATED} races"
        rows += _compare(mode, simulate_races(_N_SIMULATED), title, note_, ("", ""))
    return [*rows, *_compare_recorded(load_recorded())]


def load_recorded() -> list[RecordedRun]:
    """Read the recorded runs."""
    text = (Path(__file__).parent / "recorded" / "courses.json").read_text("utf-8")
    return [RecordedRun.model_validate(item) for item in json.loads(text)]


def _compare_recorded(runs: Sequence[RecordedRun]) -> Iterator[Row]:
    """Yield what the stops of today save of recorded runs, and whom of their best they stop."""
    replayed = [replay_run(run) for run in runs]
    names = ", ".join(
        f"{run.name} {item.n_rounds} of {len(run.rounds)} rounds"
        for run, item in zip(runs, replayed, strict=True)
    )
    ours = tuple(float(item.env_steps) for item in replayed)
    theirs = tuple(float(run.env_steps) for run in runs)
    yield Row(
        name="stops, recorded runs: env steps",
        value=sum(ours) / sum(theirs),
        bar="",
        ours=ours,
        theirs=theirs,
        note=names,
    )
    lost = [
        [_count_lost(run, stopped) for run, stopped in zip(runs, side, strict=True)]
        for side in (
            [set(replay_run(run, has_stops=False).stopped) for run in runs],
            [_list_stopped(run) for run in runs],
        )
    ]
    yield Row(
        name="racing (halving), recorded races: best was stopped",
        value=sum(lost[0]) / sum(len(run.rounds) for run in runs),
        bar="",
        ours=tuple(map(float, lost[0])),
        theirs=tuple(map(float, lost[1])),
        note=f"of {sum(len(run.rounds) for run in runs)} rounds; nobody as good was trained whole",
    )


def _count_lost(run: RecordedRun, stopped: Collection[str]) -> int:
    """Return the rounds of which nobody that ended best was trained whole."""
    best = [max(item.task_score for item in candidates) for candidates in run.rounds]
    return sum(
        all(item.id in stopped for item in candidates if item.task_score >= most)
        for most, candidates in zip(best, run.rounds, strict=True)
    )


def _list_stopped(run: RecordedRun) -> set[str]:
    return {c.id for items in run.rounds for c in items if c.total_timesteps < run.steps}


def _rank(item: RecordedTraining) -> tuple[float, float]:
    return item.task_score, mean([score for score, _ in item.fresh] or [item.task_score])


def replay_run(run: RecordedRun, *, has_stops: bool = True) -> ReplayedRun:
    """Play a recorded run with the rules of today.

    Args:
        run: the run.
        has_stops: whether trainings, races and the run end at the target.
    """
    target = Target(run.target, 1.0) if has_stops and run.target is not None else None
    known = {item.id: item for items in run.rounds for item in items}
    spent, stopped = 0, list[str]()
    tried: list[RecordedTraining] = []
    best: RecordedTraining | None = None
    for n_rounds, candidates in enumerate(run.rounds, 1):
        policy = make_policy("halving", run.steps, len(candidates), watched=target is not None)
        curves = {
            item.id: {stop: item.course[_round_up(item.course, stop)] for stop in policy.stops}
            for item in candidates
        }
        parents = {c.id: known[c.parent].course for c in candidates if c.parent in known}
        race = replay_race(policy, curves, target=target, parents=parents)
        spent += race.spent
        tried += candidates
        stopped += [name for name, seen in race.scores.items() if max(seen) < run.steps]
        best = max(tried, key=_rank)
        held = [name for name, seen in race.scores.items() if target and has_held(seen, target)]
        best = known[held[0]] if held else best
        is_there = target is not None and target.is_met(best.task_score, best.success_rate)
        if is_there and all(target and target.is_met(*fresh) for fresh in best.fresh):
            spent += run.n_seeds * (max(race.scores[best.id]) if held else run.steps)
            return ReplayedRun(spent, n_rounds, best, tuple(stopped))
        spent += run.steps if is_there else 0  # a fresh seed that missed
    assert best is not None
    return ReplayedRun(spent + 2 * run.n_seeds * run.steps, len(run.rounds), best, tuple(stopped))


def _read_course(training: Learned) -> dict[int, RungScore]:
    return {
        point.total_timesteps: RungScore(point.task_score, *point.interval)
        for point in training.curve
        if point.task_score is not None and point.interval is not None
    }


def _compare(
    mode: RacingMode, races: Sequence[Courses], title: str, note: str, bars: tuple[str, str]
) -> Iterator[Row]:
    """Yield the rows of one mode, env steps and score: means of the ratios over the races."""
    full, raced = ([run_race(courses, item) for courses in races] for item in ("none", mode))
    scores = [
        [find_best(courses, race) for courses, race in zip(races, side, strict=True)]
        for side in (raced, full)
    ]
    spent = [[float(race.spent) for race in side] for side in (raced, full)]
    for what, bar, (ours, theirs) in (
        ("steps spent", bars[0], spent),
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
    total = max(max(course) for course in courses.values())
    policy = make_policy(mode, total, len(courses))
    curves = {
        name: {stop: course[_round_up(course, stop)] for stop in policy.stops}
        for name, course in courses.items()
    }
    return replay_race(policy, curves)


def replay_race(
    policy: RacingPolicy,
    curves: Mapping[str, Scores],
    n_slots: int = 1,
    target: Target | None = None,
    parents: Mapping[str, Scores] | None = None,
) -> Race:
    """Play a policy over known curves; slices of equal length take equal time.

    Args:
        policy: decides who gets the next slice.
        curves: score of each candidate at every stop of the policy.
        n_slots: trainings side by side.
        target: ends the race when a training holds it.
        parents: courses of the programs that candidates were made from.
    """
    before = parents or {}
    race = Race({name: {} for name in curves}, 0, ())
    running: dict[str, tuple[int, int]] = {}
    now, spent, order = 0, 0, []
    while True:
        standings = {
            name: Standing(name, race.scores[name], name in running, of_parent=before.get(name, {}))
            for name in curves
        }
        has_room = len(running) < n_slots
        chosen = policy.choose(list(standings.values()), 0) if has_room else None
        if chosen is not None:
            begun = standings[chosen].steps
            stop = find_next_stop(policy, begun)
            running[chosen] = (now + stop - begun, stop)
            spent += stop - begun
            order.append(chosen)
        elif running:
            ended = min(running, key=lambda name: running[name])
            now, stop = running.pop(ended)
            race.scores[ended][stop] = curves[ended][stop]
            if target is not None and has_held(race.scores[ended], target):
                return Race(race.scores, spent, tuple(order))
        else:
            return Race(race.scores, spent, tuple(order))


def find_best(courses: Courses, race: Race) -> float:
    """Return the best score of a policy that was trained; of a training its best policy counts."""
    return max(
        score.mean
        for name, course in courses.items()
        for steps, score in course.items()
        if steps <= _round_up(course, max(race.scores[name], default=0))
    )


def _round_up(course: Mapping[int, RungScore], stop: int) -> int:
    """Return the steps of the first policy that is trained as far as a stop."""
    return next((steps for steps in course if steps >= stop), max(course))


# Simulated trainings: they begin to learn soon or, some of them, late; grow to a level of their
# own, fast or slowly, or fall off again; their policies swing about that, and a few are lucky. The
# numbers were set to give what 48 trainings of hopper and half_cheetah gave: after an eighth of the
# steps a good one has 0.2 of its best (here 0.15), after a quarter 0.4 (here 0.35), policies swing
# by 0.1 (here 0.08); and the best at the end is somewhat more often not yet among the best early.
_TIME = np.arange(1, N_POINTS + 1) / N_POINTS
# Good, mediocre and bad rewards: the best score that they lead to, and how many there are.
_LEVELS, _USUAL_MIX = (1.0, 0.35, 0.03), (0.375, 0.25, 0.375)
_SHARE_LATE = _SHARE_FALLING = 0.12
# Policies swing by this share of their score, more in one environment than in another; half of that
# is still there at the next.
_SWINGS, _PERSISTENCE = (0.03, 0.25), 0.5
_SHARE_LUCKY = 0.02


def simulate_races(n_races: int) -> list[Courses]:
    """Return simulated races of eight candidates, the same ones each time."""
    return [_simulate_race(np.random.default_rng(seed)) for seed in range(n_races)]


def _simulate_race(chance: np.random.Generator) -> Courses:
    mix = _USUAL_MIX if chance.random() < 0.5 else chance.dirichlet((2.0, 2.0, 2.0))
    swing, has_luck = chance.uniform(*_SWINGS), chance.random() < 0.5
    courses = {}
    for number in range(8):
        level = chance.choice(_LEVELS, p=mix)
        means = level * np.exp(chance.normal(0.0, 0.15)) * _draw_growth(chance)
        means *= np.exp(swing * _draw_swings(chance))
        if has_luck:
            is_lucky = chance.random(N_POINTS) < _SHARE_LUCKY
            means *= np.where(is_lucky, chance.uniform(1.5, 2.5), 1.0)
        if level == _LEVELS[-1] and chance.random() < 0.3:  # it is paid for the contrary
            means *= -10.0
        courses[f"candidate {number}"] = _measure(chance, means)
    return courses


def _draw_growth(chance: np.random.Generator) -> FloatArray:
    """Return a curve from 0 to 1 over the training, shape (points,)."""
    is_late = chance.random() < _SHARE_LATE
    onset = chance.uniform(0.1, 0.6) if is_late else chance.uniform(-0.02, 0.1)
    pace = np.exp(chance.uniform(np.log(0.15), np.log(1.5)))
    curve: FloatArray = 1.0 - np.exp(-np.clip(_TIME - onset, 0.0, None) / pace)
    curve /= 1.0 - np.exp(-(1.0 - min(onset, 0.5)) / pace)
    if chance.random() < _SHARE_FALLING:
        begin, slope = chance.uniform(0.05, 0.5), chance.uniform(0.5, 2.0)
        curve *= np.clip(1.0 - slope * np.clip(_TIME - begin, 0.0, None), 0.25, None)
    return curve


def _draw_swings(chance: np.random.Generator) -> FloatArray:
    """Return swings of standard deviation 1, each like the one before, shape (points,)."""
    swings = chance.normal(0.0, 1.0, N_POINTS)
    for k in range(1, N_POINTS):
        swings[k] = _PERSISTENCE * swings[k - 1] + np.sqrt(1 - _PERSISTENCE**2) * swings[k]
    return swings


def _measure(chance: np.random.Generator, means: FloatArray) -> dict[int, RungScore]:
    """Return a course as a few episodes a policy see it."""
    measured = means + chance.normal(0.0, 0.01, N_POINTS)
    half_widths = 0.06 * np.abs(measured) + 0.01
    return {
        1_000 * (number + 1): RungScore(float(mid), float(mid - half), float(mid + half))
        for number, (mid, half) in enumerate(zip(measured, half_widths, strict=True))
    }


GROUP = Group(plan, compute, has_slots=True)
