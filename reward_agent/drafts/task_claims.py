"""Claims about what a robot could learn: it has what a task needs, and the start does not do it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from reward_agent.definitions.meaning import TaskIdea
from reward_agent.drafts.claims import YAW, ClaimTrial
from reward_agent.drafts.live import ClaimError
from reward_agent.simulation.interventions import UPWARD, Root

# Least and greatest size of a task's number, where the model does not say.
_BOUNDS = {
    "travel": (0.01, 20.0), "turn": (0.01, 20.0), "reach": (0.001, 2.0), "place": (0.001, 2.0),
    "lift": (0.005, 2.0), "move_fixture": (0.005, 10.0), "jump": (0.01, 3.0),
}  # fmt: skip


def try_task(trial: ClaimTrial, idea: TaskIdea) -> str:
    """The robot has what the task needs, and the start does not do it already."""
    for key in _NEEDED[idea.kind]:
        is_there = trial.list_held(key) if key == "feet" else trial.holds(key)
        if not is_there:
            raise ClaimError(f"{idea.kind} needs {key}, and none holds")
    if idea.kind not in _BOUNDS:
        return _try_stance(trial, idea) if idea.kind == "stand_on" else "the robot has joints"
    low, high = _BOUNDS[idea.kind]
    if idea.number is None or not low <= abs(idea.number) <= high:
        raise ClaimError(f"its number is {idea.number}, expected {low:g} to {high:g}")
    return _TASKS[idea.kind](trial, idea.number)


def _try_stance(trial: ClaimTrial, idea: TaskIdea) -> str:
    known = trial.list_held("feet")
    unknown = [foot for foot in idea.feet if foot not in known]
    if unknown or not idea.feet or len(set(idea.feet)) == len(known):
        raise ClaimError(f"stand on some of the feet, not all: {', '.join(known)}")
    return f"{len(set(idea.feet))} of {len(known)} feet"


def _try_speed(trial: ClaimTrial, speed: float) -> str:
    if not trial.root().joints:
        raise ClaimError("the robot is bolted down")
    return f"the root moves; {speed:g} m/s is asked for"


def _try_rate(trial: ClaimTrial, rate: float) -> str:
    if trial.root().turn(trial.live.home, UPWARD, YAW) is None:
        raise ClaimError("the robot's root cannot turn about the vertical")
    return f"the root turns; {rate:g} rad/s is asked for"


def _try_gap(trial: ClaimTrial, first: str, within: float) -> str:
    live, data = trial.live, trial.live.pose()
    gap = live.locate(data, getattr(trial.meaning, first)) - live.locate(
        data, str(trial.meaning.target)
    )
    away = float(np.linalg.norm(gap))
    if away <= within:
        raise ClaimError(f"the start does it already: {away:.3f} m away, {within:g} m is asked")
    return f"{away:.3f} m away at the start, {within:g} m is asked for"


def _try_lift(trial: ClaimTrial, by: float) -> str:
    root = Root(trial.live.model, trial.live.find_body(str(trial.meaning.object)))
    if by < 0 or root.shift(trial.live.home, (0.0, 0.0, by)) is None:
        raise ClaimError("the object's own joints do not let it rise by that")
    return f"the object can rise by {by:g} m"


def _try_opening(trial: ClaimTrial, by: float) -> str:
    live = trial.live
    joint = live.find_place(str(trial.meaning.fixture))[1]
    start = float(live.home[live.model.jnt_qposadr[joint]])
    if live.model.jnt_limited[joint]:
        low, high = live.model.jnt_range[joint]
        if not low <= start + by <= high:
            raise ClaimError(
                f"moved by {by:g} it is at {start + by:.2f}, its range is {low:.2f} to {high:.2f}"
            )
    return f"from {start:.2f} to {start + by:.2f}, within its range"


def _try_jump(trial: ClaimTrial, height: float) -> str:
    if height < 0 or trial.root().shift(trial.live.home, (0.0, 0.0, height)) is None:
        raise ClaimError("the robot's root cannot rise by that")
    return f"the robot can rise by {height:g} m"


_NEEDED: dict[str, tuple[str, ...]] = {
    "hold_pose": (), "travel": ("torso", "forward"), "turn": ("torso", "up"),
    "reach": ("tool", "target"), "place": ("object", "target"), "lift": ("object",),
    "move_fixture": ("fixture",), "stand_on": ("torso", "feet"), "jump": ("torso",),
}  # fmt: skip
_TASKS: dict[str, Callable[[ClaimTrial, float], str]] = {
    "travel": _try_speed,
    "turn": _try_rate,
    "reach": lambda trial, within: _try_gap(trial, "tool", within),
    "place": lambda trial, within: _try_gap(trial, "object", within),
    "lift": _try_lift,
    "move_fixture": _try_opening,
    "jump": _try_jump,
}
