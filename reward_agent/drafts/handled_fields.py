"""The fields of what a drafted robot reaches with and handles: tool, objects, target, fixtures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from reward_agent.drafts.field import DraftField, bare, play, quote, read_place, refer, refer_tree
from reward_agent.drafts.roles import Facts, Part
from reward_agent.drafts.tools import Handling
from reward_agent.drafts.tree import can_touch, find_number, list_ancestors
from reward_agent.drafts.words import Names
from reward_agent.simulation.interventions import SLIDE
from reward_agent.simulation.measures import list_subtree

# A hand with more fingers than these touches as a whole; a gripper with more joints has no opening.
_MOST_FINGERS, _MOST_GRIPPER_JOINTS = 3, 4


def list_handled(facts: Facts, handling: Handling) -> Iterator[tuple[str, Iterable[DraftField]]]:
    """Yield the fields of handling by group; none where nothing reaches."""
    if handling.tool is None:
        return
    yield "tool", _list_tool(facts, handling, handling.tool)
    yield "objects", _list_objects(facts, handling, handling.tool)
    yield "target", _list_target(handling, handling.tool)
    yield "fixtures", _list_fixtures(facts, handling, handling.tool)


def read_target(handling: Handling) -> str:
    """Return the source of where the target is; '' without one."""
    if handling.target is not None:
        return read_place(handling.target)
    return "draw:target" if handling.tool else ""


def _read_gap(one: str, other: str) -> str:
    return f"norm(subtract({one}, {other}))"


def _list_tool(facts: Facts, handling: Handling, tool: Part) -> Iterator[DraftField]:
    if tool.name != "torso":
        doc, guess = f"of what reaches ({tool.own_name}): x, y, z", handling.guesses.get("tool", "")
        yield play("tool_position", read_place(tool), doc, guess=guess)
    model, moved = facts.model, {int(facts.model.jnt_bodyid[j]) for j in handling.grippers}
    ends = [f.body for f in handling.fingers if moved & set(list_ancestors(model, f.body))]
    if len(ends) == 2 and len(handling.grippers) <= _MOST_GRIPPER_JOINTS:
        source = f"distance({', '.join(refer(facts, 'body', body) for body in ends)})"
        doc = "between the fingers' frames; less is more closed"
        yield play("gripper_opening", source, doc, unit="m")


def _list_objects(facts: Facts, handling: Handling, tool: Part) -> Iterator[DraftField]:
    if not handling.objects:
        return
    main, *others = handling.objects
    where, name = f"{refer(facts, 'body', main.body)}.xpos", main.own_name
    rest = float(facts.data.xpos[main.body, 2])
    position = play("object_position", where, f"of {name}: x, y, z", is_needed=True)
    yield replace(position, guess=handling.guesses.get("object", ""))
    yield play(
        "object_height",
        f"{where}[2]",
        f"of {name}, z; {rest:.3g} where it rests",
        bounds=(rest - 0.05, rest + 0.5),
        is_needed=True,
    )
    gap, doc = _read_gap(read_place(tool), where), f"from what reaches to {name}"
    yield play("object_distance", gap, doc, is_needed=True)
    gap, doc = _read_gap(where, read_target(handling)), f"from {name} to the target"
    yield play("object_target_distance", gap, doc, is_needed=True)
    yield from _list_touches(facts, handling, main)
    names = Names()
    for part in others:
        where, doc = refer(facts, "body", part.body), f"of {part.own_name}: x, y, z"
        name = names.take(f"other_object_{part.name}")
        yield DraftField(f"{name}_position", f"{where}.xpos", "m", doc, size=3)


def _list_touches(facts: Facts, handling: Handling, part: Part) -> Iterator[DraftField]:
    """Yield whether fingers touch the object: each of two or three, or any of many."""
    names, bodies = Names(), list_subtree(facts.model, part.body)
    sides = [
        (finger.name, refer(facts, "body", finger.body))
        for finger in handling.fingers
        if can_touch(facts.model, [finger.body], bodies)
    ]
    if len(sides) > _MOST_FINGERS and handling.tool is not None:
        sides = [("tool", refer_tree(facts, handling.tool.body))]
    for name, side in sides:
        yield play(
            "tool_contact",
            f"contact({side}, {refer_tree(facts, part.body)})",
            f"1 while {bare(side)} touches {part.own_name}",
            f"{names.take(name)}_object_contact",
            limb=name,
            is_needed=True,
        )


def _list_target(handling: Handling, tool: Part) -> Iterator[DraftField]:
    target = read_target(handling)
    yield play("target_position", target, "where it is to be: x, y, z", is_needed=True)
    gap, doc = _read_gap(read_place(tool), target), f"from {tool.own_name} to the target"
    yield play("target_distance", gap, doc, is_needed=True)


def _list_fixtures(facts: Facts, handling: Handling, tool: Part) -> Iterator[DraftField]:
    for number, part in enumerate(handling.fixtures):
        field = _make_fixture(facts, part)
        if number:
            yield replace(field, name=f"{part.name}_position")
            continue
        yield replace(field, is_needed=True, guess=handling.guesses.get("fixture", ""))
        if handling.handle is not None:
            gap = _read_gap(read_place(tool), read_place(handling.handle))
            doc = f"from the tool to {handling.handle.own_name}"
            yield play("fixture_distance", gap, doc, "handle_distance", is_needed=True)


def _make_fixture(facts: Facts, part: Part) -> DraftField:
    model, joint = facts.model, find_number(facts.model, "joint", part.own_name)
    source, sign = f"{quote(part.place)}.qpos", find_opening(facts, joint)
    start = float(facts.pose.qpos[model.jnt_qposadr[joint]]) * sign
    limits = sorted(float(limit) for limit in model.jnt_range[joint] * sign)
    return play(
        "fixture_position",
        source if sign > 0 else f"scale({source}, -1)",
        f"of {part.own_name}, {start:.3g} at the start; positive opens or turns it",
        unit="m" if model.jnt_type[joint] == SLIDE else "rad",
        limb=part.name,
        bounds=(limits[0], limits[1]) if model.jnt_limited[joint] else None,
    )


def find_opening(facts: Facts, joint: int) -> float:
    """Return 1 where a fixture moves to greater values from its start, else -1."""
    model = facts.model
    start = float(facts.pose.qpos[model.jnt_qposadr[joint]])
    low, high = model.jnt_range[joint]
    return -1.0 if model.jnt_limited[joint] and start - low > high - start + 1e-6 else 1.0
