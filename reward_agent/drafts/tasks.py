"""The tasks of a drafted environment: those that its roles allow, with the robot's own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from reward_agent.definitions.meaning import TaskIdea
from reward_agent.drafts.handled_fields import find_opening
from reward_agent.drafts.plan import DraftPlan
from reward_agent.drafts.toml import write_line
from reward_agent.drafts.tree import find_number
from reward_agent.drafts.words import FIXTURE, has_word
from reward_agent.simulation.interventions import SLIDE

# Of the speed at which a walking leg of that length would leave the ground (Froude number 1).
# Source: Alexander, Principles of Animal Locomotion (2003): walking is below 0.7 of it.
_WALK, _G = 0.5, 9.81
# Way, field and share: backward and sideways is slower.
_WAYS = (
    ("go_forward", "forward", "forward_velocity", _WALK),
    ("go_backward", "backward", "forward_velocity", -0.3),
    ("go_sideways", "sideways to its left", "sideways_velocity", 0.25),
)
# Of a swimmer, of its length. Gymnasium's, trained for long, makes 0.12; a fish more.
_LENGTHS_PER_S = 0.2
# On fewer feet none is lifted; what opens by less, m or rad, is shut for good.
_LEAST_FEET, _LEAST_OPENING = 3, 1e-3
# The argument of each metric that an idea's number is.
_NUMBERS = {
    "travel": "speed", "turn": "rate", "reach": "within", "place": "within", "lift": "by",
    "move_fixture": "by", "jump": "height",
}  # fmt: skip


@dataclass(frozen=True)
class DraftTask:
    """A task on its way into a folder.

    Args:
        name: of the task.
        description: what to do, one sentence.
        criterion: what the metric asks.
        metric: what makes the score: of a robot's model one expression, else a whole text.
        target_score: what counts as done; None where nobody says.
        unit: of the score.
    """

    name: str
    description: str
    criterion: str
    metric: str
    target_score: float | None
    unit: str = "s"


def write_tasks(plan: DraftPlan) -> dict[str, str]:
    """Return the files of every task; the first is what to try first."""
    files = dict[str, str]()
    for task in list_tasks(plan):
        files |= write_task(replace(task, metric=f"score = {task.metric}"), plan.max_episode_steps)
    return files


def write_task(task: DraftTask, max_episode_steps: int) -> dict[str, str]:
    """Return the files of a task, whose metric is a whole text."""
    head = {
        "name": task.name,
        "description": task.description,
        "criterion": task.criterion,
        "unit": task.unit,
        "target_score": task.target_score,
        "is_bounded": task.unit in ("s", "share"),
        "max_episode_steps": max_episode_steps,
    }
    lines = [write_line(key, value) for key, value in head.items() if value is not None]
    return {
        f"tasks/{task.name}/task.toml": "\n".join(lines) + "\n",
        f"tasks/{task.name}/metric.py": task.metric.rstrip("\n") + "\n",
    }


def list_tasks(plan: DraftPlan) -> list[DraftTask]:
    """Return the tasks that a card's fields allow, the one to try first in front."""
    drafted, asked = _list_drafted(plan), list[DraftTask]()
    for held in plan.meant.list_held("tasks"):
        found = next(((t, a) for t in drafted if (a := _adopt(plan, t, held.value))), None)
        if found is not None:
            drafted.remove(found[0])
            asked.append(found[1])
    return [*asked, *drafted]


def _adopt(plan: DraftPlan, task: DraftTask, idea: TaskIdea) -> DraftTask | None:
    """Return a task with an idea's number and words; None where it is of another kind."""
    argument = _NUMBERS.get(idea.kind)
    if task.metric.partition("(")[0] != idea.kind:
        return None
    told = replace(task, description=idea.description)
    if idea.kind == "stand_on":
        on = [foot for foot in plan.robot.feet if foot.place in idea.feet]
        off = [foot for foot in plan.robot.feet if foot.place not in idea.feet]
        names = [_list([f"{foot.name}_floor_contact" for foot in feet]) for feet in (on, off)]
        lifted = ", the ".join(foot.name.replace("_", " ") for foot in off)
        words = f"standing on {len(on)} feet with the {lifted} lifted"
        metric = re.sub(r"\[.*?\], off=\[.*?\]", f"{names[0]}, off={names[1]}", task.metric)
        criterion = re.sub(r"standing on \d+ feet with the [^.,;]+ lifted", words, task.criterion)
        return replace(told, metric=metric, criterion=criterion)
    number = argument and re.search(rf"\b{argument}=(-?[0-9.e+-]+)", task.metric)
    if not number or idea.number is None:
        return told
    if (float(number[1]) < 0) != (idea.number < 0):
        return None
    old, new = number[1], f"{idea.number:g}"
    stated = rf"(?<![\d.-]){re.escape(old)}(?= m/s| rad/s| m\b| rad\b|;)"
    return replace(
        told,
        metric=task.metric.replace(number[0], f"{argument}={new}", 1),
        criterion=re.sub(stated, new, task.criterion),
        target_score=idea.number if task.unit == "m" else task.target_score,
    )


def _list_drafted(plan: DraftPlan) -> list[DraftTask]:
    handled = list(_list_handling(plan))
    going = list(_list_going(plan))
    held = list(_list_holding(plan))
    # What falls when nothing is done learns to stand before it learns to go; wheels just go.
    pose, height = plan.facts.pose.held, plan.facts.height
    falls = pose is not None and plan.facts.stands and pose.sank > max(0.15 * height, 0.03)
    is_walker = not plan.robot.has_wheels
    is_hard = plan.facts.tree.base == "free" and (
        falls or (is_walker and len(plan.robot.feet) == 2) or not plan.facts.tree.joints
    )
    return [*held[:1], *going, *held[1:], *handled] if is_hard else [
        *(handled if plan.facts.tree.base == "fixed" else []),
        *going,
        *held,
        *([] if plan.facts.tree.base == "fixed" else handled),
    ]  # fmt: skip


def _list_going(plan: DraftPlan) -> Iterator[DraftTask]:
    robot, facts = plan.robot, plan.facts
    if robot.torso is None:
        return
    is_swimmer = facts.tree.is_fluid
    size = facts.size if is_swimmer or not facts.stands else facts.height
    walk = _LENGTHS_PER_S * facts.length if is_swimmer else _WALK * float(np.sqrt(_G * size))
    slow = 0.5 if is_swimmer else 1.0
    upright, guards = _say_upright(plan), _write_guards(plan)
    for name, way, field, share in _WAYS:
        if not plan.has(field) or (name == "go_sideways" and (robot.has_wheels or is_swimmer)):
            continue
        speed = _round(share / _WALK * walk * (1.0 if name == "go_forward" else slow))
        yield _make_timed(
            plan,
            name,
            f"{_find_verb(plan)} {way} at {abs(speed):g} m/s{upright}.",
            _ask_speed(plan, field, f"{speed:g} m/s"),
            f'travel("{field}", speed={speed:g}{guards})',
            _Held(3.0, falls=True, share=0.6),
        )
    if plan.has("yaw_rate"):
        rate = _round(float(np.clip(walk / facts.size, 0.3, 1.5)))
        yield _make_timed(
            plan,
            "turn",
            f"Turn to the left on the spot at {rate:g} rad/s{upright}.",
            _ask_speed(plan, "yaw_rate", f"{rate:g} rad/s"),
            f'turn("yaw_rate", rate={rate:g}{guards})',
            _Held(3.0, falls=True, share=0.6),
        )


def _ask_speed(plan: DraftPlan, field: str, speed: str) -> str:
    return (
        f"in which {field}, averaged over the last second, is near {speed}: full credit within a "
        f"quarter of it, none at a difference as large as it{_say_guards(plan)}"
    )


def _list_holding(plan: DraftPlan) -> Iterator[DraftTask]:
    has_angles, is_pole = plan.has("joint_angles"), plan.has("pole_up")
    has_height, is_fluid = plan.has("torso_height"), plan.facts.tree.is_fluid
    if is_pole and not has_height:
        yield _make_balancing(plan)
    if has_angles and not is_fluid and not is_pole:
        yield _make_timed(
            plan,
            "hold_pose",
            f"{'Stand' if plan.facts.stands else 'Hold'} still in the start pose.",
            "in which every joint is within 0.2 rad of the start, falling to no credit at "
            f"0.8 rad, and at rest{_say_guards(plan)}",
            f'hold_pose("joint_angles"{_write_guards(plan)})',
            _Held(3.0, falls=True, share=0.8),
        )
    if has_height and not has_angles and not is_fluid:
        yield _make_height(plan)
    if plan.robot.has_wheels:
        return
    feet = [f"{foot.name}_floor_contact" for foot in plan.robot.feet]
    if len(feet) >= _LEAST_FEET and all(plan.has(name) for name in feet):
        yield _make_stance(plan, feet)
    if feet and plan.has("lowest_point"):
        yield _make_jump(plan)


def _make_balancing(plan: DraftPlan) -> DraftTask:
    """Return what a pole that swings freely can do."""
    stands = any(field.role == "pole_angle" for field in plan.fields)
    return _make_timed(
        plan,
        "balance" if stands else "swing_up",
        "Balance the pole upright." if stands else "Swing the pole up and balance it upright.",
        "in which pole_up is near 1: full credit above 0.95, none where it was at the start, or "
        "below 0.9",
        'keep_height("pole_up", at=1.0, within=0.05, seconds=3.0)',
        _Held(3.0, share=0.8 if stands else 0.4),
    )


def _make_height(plan: DraftPlan) -> DraftTask:
    facts = plan.facts
    above = float(facts.data.xpos[facts.tree.root, 2]) - (facts.floor_z if facts.stands else 0.0)
    height = _round(above)
    within = _round(0.1 * height)
    return _make_timed(
        plan,
        "keep_height",
        f"Stay upright with the torso {height:g} m above the floor.",
        f"in which torso_height is near {height:g} m, falling to no credit at twice the "
        f"tolerance of {within:g} m",
        f'keep_height("torso_height", at={height:g}, within={within:g})',
        _Held(2.0, share=0.8),
    )


def _make_stance(plan: DraftPlan, feet: list[str]) -> DraftTask:
    lifted, others = feet[0], feet[1:]
    never = [field.name for field in plan.fields if field.role == "body_contact"]
    said = plan.robot.feet[0].name.replace("_", " ")
    lists = f"{_list(others)}, off={_list([lifted])}, never={_list(never)}"
    return _make_timed(
        plan,
        "stand_on",
        f"Raise the {said} off the floor and stand still on the others.",
        f"of standing on {len(others)} feet with the {said} lifted and nothing else on the floor, "
        f"over the last 0.5 s{_say_guards(plan)}",
        f"stand_on({lists}{_write_guards(plan)})",
        _Held(2.0, falls=True, share=0.6),
    )


def _make_jump(plan: DraftPlan) -> DraftTask:
    height = _round(max(0.06, 0.2 * plan.facts.height))
    up = ', up="torso_up"' if plan.has("torso_up") else ""
    return DraftTask(
        "jump",
        f"Jump so that every part is {height:g} m above the floor, and land upright.",
        f"The height, m, of the lowest point in the best flight, at most {height:g}; "
        "above 0.03 m the robot is in the air; a quarter for a flight that does not end on "
        "the floor, upright for 0.5 s. Success: the height is reached and landed, and no fall.",
        f'jump("lowest_point", height={height:g}{up})',
        height,
        "m",
    )


def _list_handling(plan: DraftPlan) -> Iterator[DraftTask]:
    facts, handling = plan.facts, plan.handling
    if handling.tool is None:
        return
    if plan.has("fixture_position"):
        yield from _list_opening(plan)
    reach = plan.workspace.reach if plan.workspace and plan.workspace.reach else facts.size
    is_self = handling.tool.name == "torso" or facts.tree.is_fluid
    near = 0.3 * facts.size if is_self else float(np.clip(0.1 * reach, 0.005, 0.1))
    within = _round(near)
    guards = _write_guards(plan, has_height=False) if is_self else ""
    if plan.has("target_distance"):
        what = "the torso" if handling.tool.name == "torso" else f"'{handling.tool.own_name}'"
        yield _make_timed(
            plan,
            "reach",
            f"Reach the target with {what} and stay there.",
            _ask_near("target_distance", within),
            f'reach("target_distance", within={within:g}{guards})',
            _Held(0.5, share=0.5),
        )
    if handling.objects and plan.reaches_object:
        yield from _list_carrying(plan, within, guards, reach)


def _ask_near(field: str, within: float) -> str:
    return (
        f"in which {field}, at its worst of 0.5 s, is small: full credit within {within:g} m, "
        "none at the distance at the start"
    )


def _list_carrying(
    plan: DraftPlan, within: float, guards: str, reach: float
) -> Iterator[DraftTask]:
    facts, name = plan.facts, plan.handling.objects[0].own_name
    approach = _write_approach(plan, "object_distance")
    if plan.has("object_target_distance"):
        yield _make_timed(
            plan,
            "place",
            f"Bring the object '{name}' to the target.",
            _ask_near("object_target_distance", within) + "; coming near the object earns a fifth",
            f'place("object_target_distance", within={within:g}{approach}{guards})',
            _Held(0.5, share=0.4),
        )
    if plan.has("object_height") and facts.tree.base == "fixed" and facts.model.opt.gravity[2] < 0:
        by = _round(float(np.clip(0.3 * reach, 0.03, 0.1)))
        yield _make_timed(
            plan,
            "lift",
            f"Lift the object '{name}' by {by:g} m.",
            f"in which object_height is {by:g} m above that at the start, at its worst of 1 s; "
            "coming near the object earns a fifth",
            f'lift("object_height", by={by:g}{approach})',
            _Held(1.0, share=0.4),
        )


def _list_opening(plan: DraftPlan) -> Iterator[DraftTask]:
    facts, name = plan.facts, plan.handling.fixtures[0].own_name
    joint = find_number(facts.model, "joint", name)
    by, unit = (0.1, "m") if facts.model.jnt_type[joint] == SLIDE else (0.5, "rad")
    if facts.model.jnt_limited[joint]:
        start = float(facts.pose.qpos[facts.model.jnt_qposadr[joint]])
        low, high = facts.model.jnt_range[joint]
        by = 0.5 * float(high - start if find_opening(facts, joint) > 0 else start - low)
    if by < _LEAST_OPENING:
        return
    by = _round(by)
    approach = _write_approach(plan, "handle_distance")
    yield _make_timed(
        plan,
        "open",
        f"{_find_handling_verb(name)} '{name}' by {by:g} {unit}.",
        f"in which fixture_position is {by:g} {unit} further than at the start, at its worst of "
        "0.5 s; coming near it earns a fifth",
        f'move_fixture("fixture_position", by={by:g}{approach})',
        _Held(0.5, share=0.4),
    )


# --- what tasks have in common -------------------------------------------------------------------


class _Held(NamedTuple):
    """What a task in s calls success, and the share of the episode that is its target."""

    seconds: float
    falls: bool = False
    share: float = 0.5


def _make_timed(
    plan: DraftPlan, name: str, description: str, asked: str, metric: str, held: _Held
) -> DraftTask:
    """Return a task whose score is the seconds in which all is as asked."""
    return DraftTask(
        name,
        description,
        f"Seconds, of {plan.episode_s:g}, {asked}. Success: full credit for {held.seconds:g} s "
        f"without a break{', and no fall' if held.falls else ''}.",
        metric,
        _round(held.share * plan.max_episode_steps * plan.control_dt),
    )


def _write_approach(plan: DraftPlan, field: str) -> str:
    return f', approach="{field}"' if plan.has(field) else ""


def _find_handling_verb(name: str) -> str:
    if has_word(name, ("knob", "lever", "switch", "handle", "spinner", "valve", "burner")):
        return "Turn"
    return "Open" if has_word(name, (*FIXTURE, "microwave", "oven", "hinge")) else "Move"


def _find_verb(plan: DraftPlan) -> str:
    if plan.facts.tree.is_fluid:
        return "Move"
    return "Drive" if plan.robot.has_wheels else "Walk" if plan.robot.feet else "Move"


def _write_guards(plan: DraftPlan, has_height: bool = True) -> str:
    """Return the arguments that name what may not be lost: an upright torso, its height."""
    if not plan.facts.stands:
        return ""
    up = ', up="torso_up"' if plan.has("torso_up") else ""
    height = ', height="torso_height"' if plan.has("torso_height") and has_height else ""
    return up + height


def _say_upright(plan: DraftPlan) -> str:
    return ", upright" if plan.facts.stands and plan.has("torso_up") else ""


def _say_guards(plan: DraftPlan) -> str:
    if not plan.facts.stands:
        return ""
    return "; only while torso_up is above 0.7 and torso_height above half of that at the start"


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _round(value: float) -> float:
    return float(f"{value:.2g}")
