"""What a training is worth: wall-clock time to a score, and the score after some steps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.measure import (
    OURS,
    Call,
    Group,
    Learned,
    Measurement,
    Options,
    Row,
    select_trainings,
)
from benchmarks.rates import DEFAULTS
from reward_agent.evaluation.statistics import interquartile_mean

TUNED = "rl-zoo"
# Time to a score is measured here, to 8 m of hop_forward.
RACE_ENV, RACE_SCORE = "hopper", 8.0
ENVS = (RACE_ENV, "walker2d", "half_cheetah")
STEPS = 500_000
_SPACING = 16_384
_TIME_BARS = {TUNED: 0.2, DEFAULTS: 1 / 3}
_SCORE_BAR = 0.9
_FAR = 5_000_000


def plan(options: Options) -> list[Call]:
    """Return the trainings; the longest first, the sides alternating."""
    calls = []
    for env in options.envs or ENVS:
        sides = [DEFAULTS, OURS] if env != RACE_ENV else [TUNED, DEFAULTS, OURS]
        for seed in range(options.seeds):
            calls += [_make_call(options, env, seed, side) for side in sides]
    return calls


def _make_call(options: Options, env: str, seed: int, side: str) -> Call:
    steps, is_race = options.steps or STEPS, env == RACE_ENV
    arguments: dict[str, Any] = {"env": env, "seed": seed}
    # Where no time is compared, only the last policy counts.
    if side == OURS:
        n_points = steps // _SPACING if is_race else 1
        return Call("ours.learn", {**arguments, "steps": steps, "n_points": n_points})
    goal = {
        "steps": _FAR if is_race else steps,
        "score": RACE_SCORE if is_race else float("inf"),
        "min_steps": steps if side == DEFAULTS else 0,
        "limit_s": options.limit_s,
        "spacing": _SPACING if is_race else steps,
    }
    return Call("baselines.learn", {**arguments, "side": side, "goal": goal})


def compute(options: Options, results: Sequence[Measurement]) -> list[Row]:
    """Return times to the score and scores after ``STEPS``."""
    rows = []
    for env in options.envs or ENVS:
        ours = select_trainings(results, OURS, env)
        if env == RACE_ENV:
            rows += [
                _compare_times(side, ours, select_trainings(results, side, env))
                for side in _TIME_BARS
            ]
        theirs = select_trainings(results, DEFAULTS, env)
        rows.append(_compare_scores(options.steps or STEPS, env, ours, theirs))
    return rows


def _compare_times(side: str, ours: list[Learned], theirs: list[Learned]) -> Row:
    """Return our median time to the score by theirs; who was cut short took at least so long."""
    name = f"time to {RACE_SCORE:g} m, {RACE_ENV}, against {side}"
    row = Row(name=name, bar=f"<= {_TIME_BARS[side]:.4g}")
    if not ours or not theirs:
        return row
    our_times = [item.find_time_to(RACE_SCORE) for item in ours]
    their_times = [(item.find_time_to(RACE_SCORE), item.wall_s) for item in theirs]
    known = tuple(wall_s if found is None else found for found, wall_s in their_times)
    n_open = sum(found is None for found, _ in their_times)
    note = f"{n_open} of {len(theirs)} of theirs ended before it: at least so long" * (n_open > 0)
    reached = median(float("inf") if found is None else found for found in our_times)
    if reached == float("inf"):
        note = f"{our_times.count(None)} of {len(ours)} of ours did not reach it"
    return row.model_copy(
        update={
            "value": None if reached == float("inf") else reached / median(known),
            "ours": tuple(found for found in our_times if found is not None),
            "theirs": known,
            "note": note,
        }
    )


def _compare_scores(steps: int, env: str, ours: list[Learned], theirs: list[Learned]) -> Row:
    name = f"score after {steps:,} steps, {env}, against {DEFAULTS}"
    row = Row(name=name, bar=f">= {_SCORE_BAR}")
    our_scores, their_scores = (
        tuple(found for item in side if (found := item.find_score_at(steps)) is not None)
        for side in (ours, theirs)
    )
    if not our_scores or not their_scores:
        return row.model_copy(update={"note": "a side has no policy with so many steps"})
    mean, other = interquartile_mean(our_scores), interquartile_mean(their_scores)
    note = f"interquartile means {mean:.2f} and {other:.2f}"
    n_lost = len(ours) + len(theirs) - len(our_scores) - len(their_scores)
    if n_lost:
        note += f"; {n_lost} trainings ended before"
    # A ratio says nothing where the other side got nowhere.
    value = mean / other if other > 0 else None
    return row.model_copy(
        update={"value": value, "ours": our_scores, "theirs": their_scores, "note": note}
    )


GROUP = Group(plan, compute, has_slots=True)
