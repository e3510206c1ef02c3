"""The tasks of a drafted environment: those that its roles allow, with the robot's own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from reward_agent.definitions.meaning import TaskIdea
from reward_agent.drafts.fields import find_opening
from reward_agent.drafts.plan import DraftPlan
from reward_agent.drafts.toml import write_line
from reward_agent.drafts.tree import SLIDE, find_number
from reward_agent.drafts.words import FIXTURE, has_word

# Of the speed at which a walking leg of that length would leave the ground (Froude number 1).
# Source: Alexander, Principles of Animal Locomotion (2003): walking is below 0.7 of it.
_WALK, _BACK, _SIDE = 0.5, 0.3, 0.25
_G = 9.81
# Of a swimmer, of its length. Gymnasium's, trained for long, makes 0.12; a fish more.
_LENGTHS_PER_S = 0.2
_MOST_FEET_TO_LIFT = 3
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
        metric: its one line.
        target_score: what counts as done.
        unit: of the score.
    """

    name: str
    description: str
    criterion: str
    metric: str
    target_score: float
    unit: str = "s"


def write_tasks(plan: DraftPlan) -> dict[str, str]:
    """Return the files of every task; the first is what to try first."""
    files = dict[str, str]()
    for task in list_tasks(plan):
        head = {
            "name": task.name,
            "description": task.description,
            "criterion": task.criterion,
            "unit": task.unit,
            "target_score": task.target_score,
            "is_bounded": task.unit == "s",
            "max_episode_steps": plan.max_episode_steps,
        }
        lines = [write_line(key, value) for key, value in head.items()]
        files[f"tasks/{task.name}/task.toml"] = "\n".join(lines) + "\n"
        files[f"tasks/{task.name}/metric.py"] = f"score = {task.metric}\n"
    return files


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
    # What falls when nothing is done learns to stand before it learns to go.
    pose, height = plan.facts.pose.held, plan.facts.height
    falls = pose is not None and plan.facts.stands and pose.sank > max(0.15 * height, 0.03)
    is_hard = plan.facts.tree.base == "free" and (
        len(plan.robot.feet) == 2 or falls or not plan.facts.tree.joints
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
    size = facts.size if facts.tree.is_fluid or not facts.stands else facts.height
    top = float(np.sqrt(_G * size))
    walk = _LENGTHS_PER_S * facts.length if facts.tree.is_fluid else _WALK * top
    slow = 0.5 if facts.tree.is_fluid else 1.0
    guards = _write_guards(plan)
    verb = _find_verb(plan)
    ways = [
        ("go_forward", "forward", "forward_velocity", walk),
        ("go_backward", "backward", "forward_velocity", -(_BACK / _WALK) * walk),
        ("go_sideways", "sideways to its left", "sideways_velocity", (_SIDE / _WALK) * walk),
    ]
    for name, way, field, speed in ways:
        sideways = name == "go_sideways" and (robot.has_wheels or facts.tree.is_fluid)
        if not plan.has(field) or sideways:
            continue
        number = _round(speed * (slow if name != "go_forward" else 1.0))
        yield DraftTask(
            name,
            f"{verb} {way} at {abs(number):g} m/s{_say_upright(plan)}.",
            _seconds(plan) + f"in which {field}, averaged over the last second, is near "
            f"{number:g} m/s: full credit within a quarter of it, none at a difference as large as "
            f"it{_say_guards(plan)}. Success: full credit for 3 s without a break, and no fall.",
            f'travel("{field}", speed={number:g}{guards})',
            _target(plan, 0.6),
        )
    if plan.has("yaw_rate"):
        rate = _round(float(np.clip(walk / facts.size, 0.3, 1.5)))
        yield DraftTask(
            "turn",
            f"Turn to the left on the spot at {rate:g} rad/s{_say_upright(plan)}.",
            _seconds(plan) + f"in which yaw_rate, averaged over the last second, is near "
            f"{rate:g} rad/s: full credit within a quarter of it, none at a difference as large as "
            f"it{_say_guards(plan)}. Success: full credit for 3 s without a break, and no fall.",
            f'turn("yaw_rate", rate={rate:g}{guards})',
            _target(plan, 0.6),
        )


def _list_holding(plan: DraftPlan) -> Iterator[DraftTask]:
    robot, facts, guards = plan.robot, plan.facts, _write_guards(plan)
    is_pole = plan.has("pole_up")
    if is_pole and not plan.has("torso_height"):
        yield from _list_balancing(plan)
    if plan.has("joint_angles") and not facts.tree.is_fluid and not is_pole:
        yield DraftTask(
            "hold_pose",
            "Stand still in the start pose." if facts.stands else "Hold still in the start pose.",
            _seconds(plan) + "in which every joint is within 0.2 rad of the start, falling to no "
            f"credit at 0.8 rad, and at rest{_say_guards(plan)}. Success: full credit for 3 s "
            "without a break, and no fall.",
            f'hold_pose("joint_angles"{guards})',
            _target(plan, 0.8),
        )
    if plan.has("torso_height") and not plan.has("joint_angles") and not facts.tree.is_fluid:
        height = float(facts.data.xpos[facts.tree.root, 2])
        height = _round(height - (facts.floor_z if facts.stands else 0.0))
        yield DraftTask(
            "keep_height",
            f"Stay upright with the torso {height:g} m above the floor.",
            _seconds(plan) + f"in which torso_height is near {height:g} m, falling to no credit at "
            f"twice the tolerance of {_round(0.1 * height):g} m. Success: full credit for 2 s.",
            f'keep_height("torso_height", at={height:g}, within={_round(0.1 * height):g})',
            _target(plan, 0.8),
        )
    feet = [f"{foot.name}_floor_contact" for foot in robot.feet]
    if len(feet) >= 3 and not robot.has_wheels and all(plan.has(name) for name in feet):
        lifted, others = feet[0], feet[1:]
        never = [f.name for f in plan.fields if f.role == "body_contact"]
        said = robot.feet[0].name.replace("_", " ")
        yield DraftTask(
            "stand_on",
            f"Raise the {said} off the floor and stand still on the others.",
            _seconds(plan) + f"of standing on {len(others)} feet with the {said} lifted "
            f"and nothing else on the floor, over the last 0.5 s{_say_guards(plan)}. Success: full "
            "credit for 2 s without a break, and no fall.",
            f"stand_on({_list(others)}, off={_list([lifted])}, never={_list(never)}{guards})",
            _target(plan, 0.6),
        )
    if feet and not robot.has_wheels and plan.has("lowest_point"):
        height = _round(max(0.06, 0.2 * facts.height))
        up = ', up="torso_up"' if plan.has("torso_up") else ""
        yield DraftTask(
            "jump",
            f"Jump so that every part is {height:g} m above the floor, and land upright.",
            f"The height, m, of the lowest point in the best flight, at most {height:g}; "
            "above 0.03 m the robot is in the air; a quarter for a flight that does not end on "
            "the floor, upright for 0.5 s. Success: the height is reached and landed, and no fall.",
            f'jump("lowest_point", height={height:g}{up})',
            height,
            "m",
        )


def _list_balancing(plan: DraftPlan) -> Iterator[DraftTask]:
    """Yield what a pole that swings freely can do."""
    stands = any(field.role == "pole_angle" for field in plan.fields)
    name = "balance" if stands else "swing_up"
    yield DraftTask(
        name,
        "Balance the pole upright." if stands else "Swing the pole up and balance it upright.",
        _seconds(plan) + "in which pole_up is near 1: full credit above 0.95, none "
        "where it was at the start, or below 0.9. Success: full credit for 3 s without a break.",
        'keep_height("pole_up", at=1.0, within=0.05, seconds=3.0)',
        _target(plan, 0.8 if stands else 0.4),
    )


def _list_handling(plan: DraftPlan) -> Iterator[DraftTask]:
    facts, handling = plan.facts, plan.handling
    if handling.tool is None:
        return
    reach = plan.workspace.reach if plan.workspace and plan.workspace.reach else facts.size
    within = _round(float(np.clip(0.1 * reach, 0.005, 0.1)))
    is_self = handling.tool.name == "torso" or facts.tree.is_fluid
    if is_self:
        within = _round(0.3 * facts.size)
    guards = _write_guards(plan, has_height=False) if is_self else ""
    what = f"'{handling.tool.own_name}'" if handling.tool.name != "torso" else "the torso"
    fixtures = list(_list_fixture(plan)) if plan.has("fixture_position") else []
    yield from fixtures
    if plan.has("target_distance"):
        yield DraftTask(
            "reach",
            f"Reach the target with {what} and stay there.",
            _seconds(plan) + f"in which target_distance, at its worst of 0.5 s, is small: "
            f"full credit within {within:g} m, none at the distance at the start. Success: full "
            "credit for 0.5 s without a break.",
            f'reach("target_distance", within={within:g}{guards})',
            _target(plan, 0.5),
        )
    approach = ', approach="object_distance"' if plan.has("object_distance") else ""
    if not handling.objects or not plan.reaches_object:
        return
    name = handling.objects[0].own_name
    if plan.has("object_target_distance"):
        yield DraftTask(
            "place",
            f"Bring the object '{name}' to the target.",
            _seconds(plan) + "in which object_target_distance, at its worst of 0.5 s, is "
            f"small: full credit within {within:g} m, none at the distance at the start; coming "
            "near the object earns a fifth. Success: full credit for 0.5 s without a break.",
            f'place("object_target_distance", within={within:g}{approach}{guards})',
            _target(plan, 0.4),
        )
    if plan.has("object_height") and facts.tree.base == "fixed" and facts.model.opt.gravity[2] < 0:
        by = _round(float(np.clip(0.3 * reach, 0.03, 0.1)))
        yield DraftTask(
            "lift",
            f"Lift the object '{name}' by {by:g} m.",
            _seconds(plan) + f"in which object_height is {by:g} m above that at the start, "
            "at its worst of 1 s; coming near the object earns a fifth. Success: full credit for "
            "1 s without a break.",
            f'lift("object_height", by={by:g}{approach})',
            _target(plan, 0.4),
        )


def _list_fixture(plan: DraftPlan) -> Iterator[DraftTask]:
    facts, part = plan.facts, plan.handling.fixtures[0]
    joint = find_number(facts.model, "joint", part.own_name)
    is_slide = facts.model.jnt_type[joint] == SLIDE
    by, unit = (0.1, "m") if is_slide else (0.5, "rad")
    if facts.model.jnt_limited[joint]:
        start = float(facts.pose.qpos[facts.model.jnt_qposadr[joint]])
        low, high = facts.model.jnt_range[joint]
        by = 0.5 * float(high - start if find_opening(facts, joint) > 0 else start - low)
    if by < 1e-3:
        return
    by = _round(by)
    approach = ', approach="fixture_distance"'.replace("fixture_distance", "handle_distance")
    approach = approach if plan.has("handle_distance") else ""
    yield DraftTask(
        "open",
        f"{_find_handling_verb(part.own_name)} '{part.own_name}' by {by:g} {unit}.",
        _seconds(plan) + f"in which fixture_position is {by:g} {unit} further than at the "
        "start, at its worst of 0.5 s; coming near it earns a fifth. Success: full credit for 0.5 "
        "s without a break.",
        f'move_fixture("fixture_position", by={by:g}{approach})',
        _target(plan, 0.4),
    )


def _seconds(plan: DraftPlan) -> str:
    return f"Seconds, of {plan.episode_s:g}, "


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


def _target(plan: DraftPlan, share: float) -> float:
    return _round(share * plan.max_episode_steps * plan.control_dt)


def _list(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _round(value: float) -> float:
    return float(f"{value:.2g}")
