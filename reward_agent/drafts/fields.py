"""The fields of a drafted card: scalars for what plays a role, vectors with a legend for joints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import mujoco
import numpy as np

from reward_agent.drafts.field import (
    DraftField,
    bare,
    play,
    quote,
    read_height_of_axis,
    read_joints,
    refer,
    refer_tree,
)
from reward_agent.drafts.handled_fields import list_handled
from reward_agent.drafts.roles import Array, Facts, Part, Robot, find_axis, read_axis
from reward_agent.drafts.toml import TESTED
from reward_agent.drafts.tools import Handling
from reward_agent.drafts.tree import collides, list_geoms
from reward_agent.drafts.words import (
    Names,
    drop_common,
    find_side,
    has_word,
    make_name,
    split_words,
)
from reward_agent.simulation.interventions import HINGE, SLIDE
from reward_agent.simulation.measures import list_subtree

_MOST_LEGEND, _MOST_BODIES, _MOST_TOUCH = 900, 7, 24
# Cosine of the angle within which a frame's axis lies along a direction.
_ALONG = 0.97


def list_fields(facts: Facts, robot: Robot, handling: Handling) -> list[DraftField]:
    """Return the fields that a model's roles allow, in the order of the card, each name once."""
    names = Names(["observation"])
    return [
        replace(field, name=names.take(field.name), group=group)
        for group, fields in _list_groups(facts, robot, handling)
        for field in fields
    ]


def _list_groups(
    facts: Facts, robot: Robot, handling: Handling
) -> Iterator[tuple[str, Iterable[DraftField]]]:
    if robot.torso is not None:
        yield "torso", _list_torso(facts, robot)
    joint_names = name_joints(facts)
    yield "pole", _list_poles(facts, joint_names)
    yield "joints", _list_joints(facts, joint_names)
    yield "feet", _list_feet(facts, robot)
    yield "hands", _list_hands(facts, robot)
    yield "head", _list_head(facts)
    yield "contacts", _list_contacts(facts, robot)
    yield from list_handled(facts, handling)
    yield "sensors", _list_sensors(facts)
    if not facts.tree.joints and robot.torso is None:
        yield "bodies", _list_balls(facts)


# --- the torso -----------------------------------------------------------------------------------


class _Turn(NamedTuple):
    """A field of how the torso lies or turns, of robots that can turn so.

    ``half`` is that of its range; ``bases``: "space", "upright" (in a vertical plane), "flat".
    """

    role: str
    name: str
    source: str
    doc: str
    bases: str
    half: float | None = None


_LOCAL = "local({root}, {axes}, angular_velocity:{root})"
_TURNS = (
    _Turn("up", "torso_up", "{up}",
          "z of the torso's own up axis: 1 upright, 0 on its side, -1 upside down",
          "space upright", 1.0),
    _Turn("roll", "torso_roll", "roll({root}, {axes})",
          "positive tips to the right; 0 upright", "space", np.pi),
    _Turn("pitch", "torso_pitch", "pitch({root}, {axes})",
          "positive tips forward; 0 upright", "space", np.pi / 2),
    _Turn("heading", "torso_heading", "yaw({root}, {axes})",
          "where it faces: 0 along x, positive to the left; within pi", "space flat", np.pi),
    _Turn("angular_velocity", "torso_angular_velocity", _LOCAL,
          "about the torso's own forward (roll), left (pitch, positive tips forward) and up (yaw, "
          "positive turns left) axes", "space"),
    _Turn("yaw_rate", "yaw_rate", _LOCAL + "[2]",
          "of the torso about its up axis; positive turns left", "space flat"),
)  # fmt: skip
_VELOCITIES = (
    ("forward_velocity", "of the torso along its own heading; negative goes back", ""),
    ("sideways_velocity", "of the torso to its own left", "upright"),
    ("vertical_velocity", "of the torso, up is positive", "flat"),
)  # the third: where there is none


def _list_torso(facts: Facts, robot: Robot) -> Iterator[DraftField]:
    root, base = refer(facts, "body", facts.tree.root), find_base(facts)
    words = {
        "root": root,
        "axes": f"{robot.forward}, {robot.up}",
        "up": read_height_of_axis(root, robot.up),
    }
    yield play("position", f"{root}.xpos", "x, y, z in the world", "torso_position")
    yield _make_height(facts, root)
    for turn in _TURNS:
        if base in turn.bases.split():
            bounds = None if turn.half is None else (-turn.half, turn.half)
            source = turn.source.format(**words)
            yield play(turn.role, source, turn.doc, turn.name, bounds=bounds)
    if base == "upright":
        yield from _list_planar_pitch(facts, robot)
    yield from _list_velocities(facts, robot, root, base)
    if facts.stands:
        doc = "of the robot above the floor; 0 while it stands, above 0.03 it is in the air"
        yield play("lowest_point", f"lowest:{bare(root)}", doc, bounds=(0.0, facts.height))


def _make_height(facts: Facts, root: str) -> DraftField:
    source, start = f"{root}.xpos[2]", float(facts.data.xpos[facts.tree.root, 2])
    if facts.tree.floors and abs(facts.floor_z) > 1e-3:
        floor = refer(facts, "geom", facts.tree.floors[0])
        source = f"subtract({root}.xpos, {floor}.xpos)[2]"
    doc = "torso above the floor" if facts.stands else "torso, z in the world"
    start -= facts.floor_z if facts.stands else 0.0
    return play("height", source, f"{doc}; {start:.3g} at the start", "torso_height")


def _list_planar_pitch(facts: Facts, robot: Robot) -> Iterator[DraftField]:
    """Yield pitch and its rate: the hinge's own angle, which goes on past a turn."""
    left = np.cross(read_axis(robot.up), read_axis(robot.forward))
    hinges = [j for j in facts.tree.root_joints if facts.model.jnt_type[j] == HINGE]
    for joint in hinges[:1]:
        where = refer(facts, "joint", joint)
        angle, rate = f"{where}.qpos", f"{where}.qvel"
        if facts.model.jnt_axis[joint] @ left < 0:
            angle, rate = f"scale({angle}, -1)", f"scale({rate}, -1)"
        doc = "positive tips forward, 0 at the start, unwrapped"
        yield play("pitch", angle, doc, "torso_pitch", bounds=(-np.pi, np.pi))
        yield play("pitch_rate", rate, "of torso_pitch")


def _list_velocities(facts: Facts, robot: Robot, root: str, base: str) -> Iterator[DraftField]:
    speed = 1.5 * float(np.sqrt(9.81 * facts.height))
    bounds = (-speed, speed)
    guess = robot.guesses.get("forward", "")
    if not guess.startswith(TESTED):
        guess = f"forward is the torso's {robot.forward}"
    velocity = f"level({root}, {robot.forward}, {robot.up}, velocity:{root})"
    for index, (role, doc, lacking) in enumerate(_VELOCITIES):
        if base != lacking:
            said = "" if role == "vertical_velocity" else guess
            yield play(role, f"{velocity}[{index}]", doc, bounds=bounds, guess=said)
    whole = bare(root)
    yield play("com_height", f"com:{whole}[2]", "centre of mass of the robot, z")
    doc = "of the centre of mass in the world: x, y, z"
    yield play("com_velocity", f"com_velocity:{whole}", doc, bounds=bounds)


def find_base(facts: Facts) -> str:
    """Return 'upright' for a robot in a vertical plane, 'flat' in a level one, else 'space'."""
    if facts.tree.base != "planar":
        return "space"
    model = facts.model
    slides = [j for j in facts.tree.root_joints if model.jnt_type[j] == SLIDE]
    is_up = any(abs(model.jnt_axis[j, 2]) > 0.7 for j in slides)
    return "upright" if is_up or len(slides) < 2 else "flat"


# --- joints --------------------------------------------------------------------------------------


def name_joints(facts: Facts) -> dict[int, str]:
    """Return an identifier for each joint of the robot, made of its own words."""
    joints, bodies = facts.tree.joints, facts.model.jnt_bodyid
    words = [
        split_words(facts.name("joint", j) or facts.name("body", int(bodies[j]))) for j in joints
    ]
    kept = [[w for w in row if w not in ("joint", "jnt")] for row in drop_common(words)]
    kept = [k if any(w[:1].isalpha() for w in k) else w for k, w in zip(kept, words, strict=True)]
    names = Names()
    return {
        joint: names.take(make_name(row, f"joint_{joint}"))
        for joint, row in zip(joints, kept, strict=True)
    }


def _list_poles(facts: Facts, names: dict[int, str]) -> Iterator[DraftField]:
    """Yield the angle of a link that swings without a motor, or of the only one: a pole."""
    loose = [j for j in facts.tree.joints if j not in facts.tree.driven]
    loose = loose or list(facts.tree.joints if len(facts.tree.joints) == 1 else ())
    if facts.tree.base != "fixed" or not loose or facts.model.jnt_type[loose[0]] != HINGE:
        return
    body = int(facts.model.jnt_bodyid[loose[0]])
    reach = facts.data.subtree_com[body] - facts.data.xpos[body]
    if abs(reach[2]) < 0.9 * float(np.linalg.norm(reach)) or not np.any(reach):
        return
    stands = reach[2] > 0
    axis = find_axis(np.sign(reach[2]) * facts.data.xmat[body].reshape(3, 3)[2])
    angle = play(
        "pole_angle",
        f"{refer(facts, 'joint', loose[0])}.qpos",
        f"of {names[loose[0]]}; {'0 upright' if stands else '0 hanging'}",
        bounds=(-np.pi, np.pi),
    )
    yield angle if stands else replace(angle, role=None)
    doc = "z of the pole's direction: 1 upright, -1 hanging"
    source = read_height_of_axis(refer(facts, "body", body), axis)
    yield play("up", source, doc, "pole_up", bounds=(-1.0, 1.0))


def _list_joints(facts: Facts, names: dict[int, str]) -> Iterator[DraftField]:
    for kind, angles, rates, unit in (
        (HINGE, "joint_angles", "joint_velocities", "rad"),
        (SLIDE, "slide_positions", "slide_velocities", "m"),
    ):
        joints = [j for j in facts.tree.joints if facts.model.jnt_type[j] == kind]
        if not joints:
            continue
        legend, rest = _write_legend([names[j] for j in joints])
        limits = facts.model.jnt_range[joints][facts.model.jnt_limited[joints].astype(bool)]
        bounds = (float(limits.min()), float(limits.max())) if limits.size else None
        roles = (angles, rates) if kind == HINGE else (None, None)
        yield DraftField(
            angles,
            read_joints(facts, joints, "qpos"),
            unit,
            f"[:, i] is {legend}",
            size=len(joints),
            role=roles[0],
            bounds=bounds,
        )
        yield DraftField(
            rates,
            read_joints(facts, joints, "qvel"),
            f"{unit}/s",
            f"of {angles}, in its order" + (f"; {rest}" if rest else ""),
            size=len(joints),
            role=roles[1],
        )


def _list_balls(facts: Facts) -> Iterator[DraftField]:
    """Yield how bodies on ball joints lie, where a fixed robot has no others."""
    bodies = [int(facts.model.jnt_bodyid[j]) for j in sorted(facts.tree.driven)]
    for body in dict.fromkeys(b for b in bodies if facts.model.body_mass[b] > 0):
        where, name = refer(facts, "body", body), f"body_{body}"
        yield DraftField(
            f"{name}_orientation", f"{where}.xquat", "1", "quaternion w, x, y, z", size=4
        )
        source, doc = f"angular_velocity:{where}", "about the world's x, y, z"
        yield DraftField(f"{name}_angular_velocity", source, "rad/s", doc, size=3)


# --- limbs ---------------------------------------------------------------------------------------


def _list_feet(facts: Facts, robot: Robot) -> Iterator[DraftField]:
    for foot in robot.feet:
        words = foot.name.replace("_", " ")
        yield play(
            "foot_contact",
            _read_contact(facts, foot),
            f"1 while the {words} ({foot.own_name}) touches the floor",
            f"{foot.name}_floor_contact",
            limb=foot.name,
            is_needed=True,
        )
    for foot in () if robot.has_wheels else robot.feet:
        yield play(
            "foot_height",
            _read_lowest(facts, foot),
            "its lowest point above the floor",
            f"{foot.name}_height",
            limb=foot.name,
            bounds=(0.0, 0.6 * facts.height),
        )
        where = refer(facts, "body", _find_first(facts, foot))
        yield play(
            "foot_position",
            f"{where}.xpos",
            f"of {foot.own_name} in the world: x, y, z",
            f"{foot.name}_position",
            limb=foot.name,
        )
        yield _make_tilt(facts, robot, foot, _find_first(facts, foot))


def _make_tilt(facts: Facts, robot: Robot, part: Part, body: int) -> DraftField:
    """Return how an end of a limb is tipped in the world.

    It is its pitch where its own axes lie along the torso's at the start, else how far what pointed
    up then still does.
    """
    where, turn = refer(facts, "body", body), facts.data.xmat[body].reshape(3, 3).T
    torso = facts.data.xmat[facts.tree.root].reshape(3, 3)
    axes = [_name_axis(turn @ torso @ read_axis(axis)) for axis in (robot.forward, robot.up)]
    if all(axes):
        source = f"pitch({where}, {', '.join(axes)})"
        doc = "of it in the world; 0 as at the start, positive tips forward"
        return DraftField(f"{part.name}_pitch", source, "rad", doc, limb=part.name)
    doc = "how it stands in the world: 1 as at the start, 0 on its side, -1 upside down"
    source = _read_height(where, turn[:, 2])
    bounds = (-1.0, 1.0)
    return DraftField(f"{part.name}_up", source, "1", doc, limb=part.name, bounds=bounds)


def _read_height(frame: str, direction: Array) -> str:
    """Return the source of the z of a direction that turns with a frame."""
    parts = [
        f"scale({frame}.xmat[{6 + i}], {share:.4g})"
        for i, share in enumerate(direction)
        if abs(share) > 1e-3
    ]
    return reduce(lambda first, second: f"add({first}, {second})", parts)


def _name_axis(direction: Array) -> str:
    """Return the axis of a frame that a direction in it is along; '' if it is along none."""
    largest = int(np.argmax(np.abs(direction)))
    sign = "+" if direction[largest] > 0 else "-"
    return f"{sign}{'xyz'[largest]}" if abs(direction[largest]) > _ALONG else ""


def _list_hands(facts: Facts, robot: Robot) -> Iterator[DraftField]:
    for hand in robot.hands:
        where, name = f"{refer(facts, 'body', hand.body)}.xpos", hand.name
        doc = f"of {hand.own_name} in the world: x, y, z"
        yield play("hand_position", where, doc, f"{name}_position", limb=name)
        doc = f"of {hand.own_name} above the floor"
        yield play("hand_height", f"{where}[2]", doc, f"{name}_height", limb=name)
        yield _make_tilt(facts, robot, hand, hand.body)


def _list_head(facts: Facts) -> Iterator[DraftField]:
    """Yield where the part that the model calls the head is, if it is not the torso itself."""
    bodies = facts.tree.bodies - {facts.tree.root}
    places = [("body", body) for body in sorted(bodies) if _is_head(facts, "body", body)]
    places += [
        ("geom", geom)
        for body in sorted(facts.tree.bodies)
        for geom in list_geoms(facts.model, body)
        if _is_head(facts, "geom", geom)
    ]
    for kind, number in places[:1]:
        where = refer(facts, kind, number)
        doc = f"of {bare(where)} in the world: x, y, z"
        yield DraftField("head_position", f"{where}.xpos", "m", doc, size=3, limb="head")


def _is_head(facts: Facts, kind: str, number: int) -> bool:
    return has_word(facts.name(kind, number), ("head",))


def _find_first(facts: Facts, part: Part) -> int:
    """Return the body that the others of a part hang on."""
    parents = facts.model.body_parentid
    return next(body for body in part.bodies if parents[body] not in part.bodies)


def _read_lowest(facts: Facts, part: Part) -> str:
    if part.kind == "geom":
        return f"lowest:{quote(part.place)}"
    return f"lowest:{refer(facts, 'body', _find_first(facts, part))}"


def _read_contact(facts: Facts, part: Part) -> str:
    """Return the source of whether a part, with all that hangs on it, touches the floor."""
    first = _find_first(facts, part)
    is_alone = len(list_subtree(facts.model, first)) == 1
    return f"contact:{quote(part.place) if is_alone else refer_tree(facts, first)}"


def _list_contacts(facts: Facts, robot: Robot) -> Iterator[DraftField]:
    """Yield contacts of the torso, and of the heaviest parts that are no feet."""
    if not facts.stands:
        return
    names, root = Names(), facts.tree.root
    feet = {body for foot in robot.feet for body in foot.bodies}
    shaped = [
        body
        for body in sorted(facts.tree.bodies - feet - {root})
        if any(collides(facts.model, geom) for geom in list_geoms(facts.model, body))
    ]
    shaped.sort(key=lambda body: -float(facts.model.body_mass[body]))
    for body in [root, *sorted(shaped[:_MOST_BODIES])]:
        where = refer(facts, "body", body)
        name = names.take("torso" if body == root else _name_body(facts, body))
        yield play(
            "body_contact",
            f"contact:{where}",
            f"1 while {bare(where)} touches the floor",
            f"{name}_floor_contact",
            limb=name,
        )


def _name_body(facts: Facts, body: int) -> str:
    """Return a body's words with its side spelled out: 'front_left_thigh' of 'FL_thigh'."""
    words = [w for w in split_words(facts.name("body", body)) if w not in ("link", "body")]
    end, side = find_side("_".join(words))
    others = [w for w in words if not any(find_side(w))]
    return make_name([*filter(None, (end, side)), *others] or words, "part")


# --- sensors -------------------------------------------------------------------------------------

_SEEN = mujoco.mjtSensor.mjSENS_RANGEFINDER
_SENSORS = (
    (mujoco.mjtSensor.mjSENS_TOUCH, "touch_forces", "N", "normal force on"),
    (_SEEN, "rangefinder_distances", "m", "-1 where nothing is seen:"),
)


def _list_sensors(facts: Facts) -> Iterator[DraftField]:
    """Yield what touches and how far rangefinders see, as vectors with a legend."""
    for kind, name, unit, what in _SENSORS:
        found = [
            i
            for i in range(facts.model.nsensor)
            if facts.model.sensor_type[i] == kind and facts.name("sensor", i)
        ]
        if not 0 < len(found) <= _MOST_TOUCH:
            continue
        words = drop_common([split_words(facts.name("sensor", i)) for i in found])
        legend, _ = _write_legend([make_name(row, "sensor") for row in words])
        sources = [refer(facts, "sensor", i) for i in found]
        if len(found) == 1:
            yield DraftField(name[:-1], sources[0], unit, f"{what} {legend}")
        else:
            source = f"concat({', '.join(sources)})"
            yield DraftField(name, source, unit, f"{what} {legend}", size=len(found))


def _write_legend(names: list[str]) -> tuple[str, str]:
    """Return '0 hip, 1 knee' and what has no room there, for the doc of another field."""
    items = [f"{i} {name}" for i, name in enumerate(names)]
    legend = ", ".join(items)
    if len(legend) <= _MOST_LEGEND:
        return legend, ""
    n = next(n for n in range(len(items), 0, -1) if len(", ".join(items[:n])) <= _MOST_LEGEND)
    rest = ", ".join(items[n:])
    if len(rest) > _MOST_LEGEND:
        rest = rest[: _MOST_LEGEND - 1].rpartition(",")[0] + ", …"
    return f"{', '.join(items[:n])}; the others: joint_velocities", rest
