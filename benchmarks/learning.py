"""What a training is worth: wall-clock time to a score, and the score after some steps."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks.measurements import Learned, Row
from benchmarks.options import Group, Options, describe_failures, select_trainings
from benchmarks.pool import Call
from benchmarks.throughput import DEFAULTS, OURS
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


def compute(options: Options, results: list[object]) -> list[Row]:
    """Return times to the score and scores after ``STEPS``."""
    rows = []
    for env in options.envs or ENVS:
        ours = select_trainings(results, OURS, env)
        if env == RACE_ENV:
            rows += [
                _compare_times(side, ours, select_trainings(results, side, env))
                for side in _TIME_BARS
            ]
        rows.append(
            _compare_scores(
                options.steps or STEPS, env, ours, select_trainings(results, DEFAULTS, env)
            )
        )
    failures = describe_failures(results)
    return [*rows, Row(name="trainings that failed", note=failures)] if failures else rows


def _make_call(options: Options, env: str, seed: int, side: str) -> Call:
    steps = options.steps or STEPS
    # Where no time is compared, only the last policy counts.
    spacing = _SPACING if env == RACE_ENV else steps
    arguments: dict[str, Any] = {"env": env, "seed": seed, "spacing": spacing}
    if side == OURS:
        return Call("ours.learn", {**arguments, "steps": steps, "in_process": options.in_process})
    is_race = env == RACE_ENV
    goal = {
        "steps": _FAR if is_race else steps,
        "score": RACE_SCORE if is_race else float("inf"),
        "min_steps": steps if side == DEFAULTS else 0,
        "limit_s": options.limit_s,
        "deadline": options.deadline,
    }
    return Call("baselines.learn", {**arguments, "side": side, "goal": goal})


def _compare_times(side: str, ours: list[Learned], theirs: list[Learned]) -> Row:
    """Return our median time to the score by theirs; who was cut short took at least so long."""
    name = f"time to {RACE_SCORE:g} m, {RACE_ENV}, against {side}"
    row = Row(name=name, bar=f"<= {_TIME_BARS[side]:.4g}")
    if not ours or not theirs:
        return row
    our_times = [item.find_time_to(RACE_SCORE) for item in ours]
    their_times = [item.find_time_to(RACE_SCORE) for item in theirs]
    known = tuple(
        item.wall_s if found is None else found
        for item, found in zip(theirs, their_times, strict=True)
    )
    n_open = their_times.count(None)
    note = f"{n_open} of {len(theirs)} of theirs ended before it: at least so long" * (n_open > 0)
    reached = sorted(float("inf") if found is None else found for found in our_times)
    update: dict[str, Any] = {"theirs": known, "note": note}
    if median(reached) == float("inf"):
        update["note"] = f"{our_times.count(None)} of {len(ours)} of ours did not reach it"
    else:
        update["value"] = median(reached) / median(known)
    update["ours"] = tuple(found for found in our_times if found is not None)
    return row.model_copy(update=update)


def _compare_scores(steps: int, env: str, ours: list[Learned], theirs: list[Learned]) -> Row:
    name = f"score after {steps:,} steps, {env}, against SB3 defaults"
    row = Row(name=name, bar=f">= {_SCORE_BAR}")
    our_scores, their_scores = (_list_scores(steps, side) for side in (ours, theirs))
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


def _list_scores(steps: int, trainings: list[Learned]) -> tuple[float, ...]:
    found = (item.find_score_at(steps) for item in trainings)
    return tuple(score for score in found if score is not None)


GROUP = Group(plan, compute, has_slots=True)
