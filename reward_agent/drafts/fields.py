"""The fields of a drafted card: scalars for what plays a role, vectors with a legend for joints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import mujoco
import numpy as np

from reward_agent.drafts.roles import Facts, Part, Robot, find_axis, read_axis
from reward_agent.drafts.toml import TESTED
from reward_agent.drafts.tools import Handling
from reward_agent.drafts.tree import (
    HINGE,
    SLIDE,
    call,
    collides,
    find_number,
    list_ancestors,
    list_geoms,
    list_subtree,
)
from reward_agent.drafts.words import Names, drop_common, find_side, make_name, split_words

PLAIN_NAME = re.compile(r"[^\W\d][\w/-]*|#[0-9]+")
_MOST_LEGEND, _MOST_BODIES, _MOST_TOUCH = 900, 7, 24
_TOUCH = int(mujoco.mjtSensor.mjSENS_TOUCH)
_RANGEFINDER = int(mujoco.mjtSensor.mjSENS_RANGEFINDER)


@dataclass(frozen=True)
class DraftField:
    """A field on its way into a card, before its range is measured.

    Args:
        name: of the field.
        source: where it comes from.
        unit: its own.
        doc: what it is, and its sign.
        group: heading on the card.
        size: of a vector.
        role: one of ROLES.
        limb: whose it is.
        bounds: what its range is to hold; None: what is measured.
        is_needed: whether it stays, though nothing random moves it.
        guess: what of it was guessed.
    """

    name: str
    source: str
    unit: str
    doc: str
    group: str
    size: int | None = None
    role: str | None = None
    limb: str = ""
    bounds: tuple[float, float] | None = None
    is_needed: bool = False
    guess: str = ""


def quote(place: str) -> str:
    """Return ``kind:name`` as sources write it: odd names in single quotes."""
    kind, _, name = place.partition(":")
    if PLAIN_NAME.fullmatch(name):
        return place
    return f"{kind}:'{name.replace(chr(39), chr(39) * 2)}'"


def refer(facts: Facts, kind: str, number: int) -> str:
    """Return how sources name something: by its number where it has no name."""
    return quote(f"{kind}:{call(facts.model, kind, number)}")


def name_joints(facts: Facts) -> dict[int, str]:
    """Return an identifier for each joint of the robot, made of its own words."""
    joints = facts.tree.joints
    words = [
        split_words(facts.name("joint", j) or facts.name("body", _body(facts, j))) for j in joints
    ]
    kept = [[w for w in row if w not in ("joint", "jnt")] for row in drop_common(words)]
    kept = [k if any(w[:1].isalpha() for w in k) else w for k, w in zip(kept, words, strict=True)]
    names = Names()
    return {
        joint: names.take(make_name(row, f"joint_{joint}"))
        for joint, row in zip(joints, kept, strict=True)
    }


def list_fields(facts: Facts, robot: Robot, handling: Handling) -> list[DraftField]:
    """Return the fields that a model's roles allow, without two of one name."""
    writer = FieldWriter(facts, robot, handling)
    names, fields = Names(["observation"]), []
    for field in writer.list_all():
        fields.append(DraftField(**{**vars(field), "name": names.take(field.name)}))
    return fields


class FieldWriter:
    """Writes the fields of one model."""

    def __init__(self, facts: Facts, robot: Robot, handling: Handling) -> None:
        self.facts, self.robot, self.handling = facts, robot, handling
        self.joint_names = name_joints(facts)
        self._root = refer(facts, "body", facts.tree.root)
        self._axes = f"{robot.forward}, {robot.up}"

    def list_all(self) -> Iterator[DraftField]:
        """Yield every field, in the order of the card."""
        if self.robot.torso is not None:
            yield from self._list_torso()
        yield from self._list_poles()
        yield from self._list_joints()
        yield from self._list_limbs()
        yield from self._list_contacts()
        if self.handling.tool is not None:
            yield from self._list_handling()
        yield from self._list_sensors()
        if not self.facts.tree.joints and self.robot.torso is None:
            yield from self._list_balls()

    # --- the torso -------------------------------------------------------------------------------

    def _list_torso(self) -> Iterator[DraftField]:
        facts, root, axes = self.facts, self._root, self._axes
        speed = 1.5 * float(np.sqrt(9.81 * facts.height))
        velocity = f"level({root}, {axes}, velocity:{root})"
        planar = self._find_planar()
        guess = self.robot.guesses.get("forward", "")
        if not guess.startswith(TESTED):
            guess = f"forward is the torso's {self.robot.forward}"
        yield _make(
            "torso_position", f"{root}.xpos", "m", "x, y, z in the world", "torso", 3, "position"
        )
        yield self._make_height()
        up = _entry(f"{root}.xmat", self.robot.up, 2)
        if planar != "flat":
            yield _make(
                "torso_up", up, "1", "z of the torso's own up axis: 1 upright, 0 on its side, "
                "-1 upside down", "torso", None, "up", bounds=(-1.0, 1.0),
            )  # fmt: skip
        yield from self._list_turns(planar)
        for name, index, doc in (
            ("forward_velocity", 0, "of the torso along its own heading; negative goes back"),
            ("sideways_velocity", 1, "of the torso to its own left"),
            ("vertical_velocity", 2, "of the torso, up is positive"),
        ):
            if (planar, index) in (("upright", 1), ("flat", 2)):
                continue
            yield _make(
                name, f"{velocity}[{index}]", "m/s", doc, "torso", None, name,
                bounds=(-speed, speed), guess="" if index == 2 else guess,
            )  # fmt: skip
        yield _make(
            "com_height",
            f"com:{_bare(root)}[2]",
            "m",
            "centre of mass of the robot, z",
            "torso",
            None,
            "com_height",
        )
        yield _make(
            "com_velocity",
            f"com_velocity:{_bare(root)}",
            "m/s",
            "of the centre of mass in the world: x, y, z",
            "torso",
            3,
            "com_velocity",
            bounds=(-speed, speed),
        )
        if facts.stands:
            yield _make(
                "lowest_point", f"lowest:{_bare(root)}", "m", "of the robot above the floor; 0 "
                "while it stands, above 0.03 it is in the air", "torso", None, "lowest_point",
                bounds=(0.0, facts.height),
            )  # fmt: skip

    def _make_height(self) -> DraftField:
        facts, root = self.facts, self._root
        source, doc = f"{root}.xpos[2]", "torso above the floor"
        if facts.tree.floors and abs(facts.floor_z) > 1e-3:
            floor = refer(facts, "geom", facts.tree.floors[0])
            source = f"subtract({root}.xpos, {floor}.xpos)[2]"
        if not facts.stands:
            doc = "torso, z in the world"
        doc += f"; {self._start_height():.3g} at the start"
        return _make("torso_height", source, "m", doc, "torso", None, "height")

    def _start_height(self) -> float:
        above = float(self.facts.data.xpos[self.facts.tree.root, 2])
        return above - (self.facts.floor_z if self.facts.stands else 0.0)

    def _list_turns(self, planar: str) -> Iterator[DraftField]:
        root, axes = self._root, self._axes
        if planar == "upright":
            yield from self._list_planar_pitch()
            return
        if planar == "":
            for name, half, doc in (
                ("torso_roll", np.pi, "positive tips to the right; 0 upright"),
                ("torso_pitch", np.pi / 2, "positive tips forward; 0 upright"),
            ):
                role = name.removeprefix("torso_")
                yield _make(
                    name,
                    f"{role}({root}, {axes})",
                    "rad",
                    doc,
                    "torso",
                    None,
                    role,
                    bounds=(-half, half),
                )
        yield _make(
            "torso_heading",
            f"yaw({root}, {axes})",
            "rad",
            "where it faces: 0 along x, positive to the left; within pi",
            "torso",
            None,
            "heading",
            bounds=(-np.pi, np.pi),
        )
        if planar == "":
            yield _make(
                "torso_angular_velocity", f"local({root}, {axes}, angular_velocity:{root})",
                "rad/s",
                "about the torso's own forward (roll), left (pitch, positive tips forward) and up "
                "(yaw, positive turns left) axes", "torso", 3, "angular_velocity",
            )  # fmt: skip
        yield _make(
            "yaw_rate",
            f"local({root}, {axes}, angular_velocity:{root})[2]",
            "rad/s",
            "of the torso about its up axis; positive turns left",
            "torso",
            None,
            "yaw_rate",
        )

    def _list_planar_pitch(self) -> Iterator[DraftField]:
        """Yield pitch and its rate: the hinge's own angle, which goes on past a turn."""
        facts, left = self.facts, np.cross(read_axis(self.robot.up), read_axis(self.robot.forward))
        for joint in facts.tree.root_joints:
            if facts.model.jnt_type[joint] != HINGE:
                continue
            sign = float(np.sign(facts.model.jnt_axis[joint] @ left)) or 1.0
            where = refer(facts, "joint", joint)
            angle, rate = f"{where}.qpos", f"{where}.qvel"
            if sign < 0:
                angle, rate = f"scale({angle}, -1)", f"scale({rate}, -1)"
            doc = "positive tips forward, 0 at the start, unwrapped"
            yield _make(
                "torso_pitch", angle, "rad", doc, "torso", None, "pitch", bounds=(-np.pi, np.pi)
            )
            yield _make("pitch_rate", rate, "rad/s", "of torso_pitch", "torso", None, "pitch_rate")
            return

    def _find_planar(self) -> str:
        """Return 'upright' for a robot in a vertical plane, 'flat' in a level one, '' in space."""
        if self.facts.tree.base != "planar":
            return ""
        model = self.facts.model
        slides = [j for j in self.facts.tree.root_joints if model.jnt_type[j] == SLIDE]
        is_up = any(abs(model.jnt_axis[j, 2]) > 0.7 for j in slides)
        return "upright" if is_up or len(slides) < 2 else "flat"

    # --- joints ----------------------------------------------------------------------------------

    def _list_poles(self) -> Iterator[DraftField]:
        """Yield the angle of a link that swings without a motor, or of the only one: a pole."""
        facts = self.facts
        loose = [j for j in facts.tree.joints if j not in facts.tree.driven]
        loose = loose or list(facts.tree.joints if len(facts.tree.joints) == 1 else ())
        if facts.tree.base != "fixed" or not loose or facts.model.jnt_type[loose[0]] != HINGE:
            return
        body = _body(facts, loose[0])
        reach = facts.data.subtree_com[body] - facts.data.xpos[body]
        if abs(reach[2]) < 0.9 * float(np.linalg.norm(reach)) or not np.any(reach):
            return
        stands = reach[2] > 0
        axis = find_axis(np.sign(reach[2]) * facts.data.xmat[body].reshape(3, 3)[2])
        where = refer(facts, "joint", loose[0])
        doc = "0 upright" if stands else "0 hanging"
        role = "pole_angle" if stands else None
        yield _make(
            "pole_angle",
            f"{where}.qpos",
            "rad",
            f"of {self.joint_names[loose[0]]}; {doc}",
            "pole",
            None,
            role,
            bounds=(-np.pi, np.pi),
        )
        yield _make(
            "pole_up", _entry(f"{refer(facts, 'body', body)}.xmat", axis, 2), "1",
            "z of the pole's direction: 1 upright, -1 hanging", "pole", None, "up",
            bounds=(-1.0, 1.0),
        )  # fmt: skip

    def _list_joints(self) -> Iterator[DraftField]:
        for kind, unit, angles, rates in (
            (HINGE, "rad", "joint_angles", "joint_velocities"),
            (SLIDE, "m", "slide_positions", "slide_velocities"),
        ):
            joints = [j for j in self.facts.tree.joints if self.facts.model.jnt_type[j] == kind]
            if not joints:
                continue
            legend, rest = _write_legend([self.joint_names[j] for j in joints])
            limits = self.facts.model.jnt_range[joints]
            limited = self.facts.model.jnt_limited[joints].astype(bool)
            bounds = None
            if limited.any():
                bounds = float(limits[limited].min()), float(limits[limited].max())
            doc = f"[:, i] is {legend}"
            role = kind == HINGE
            yield _make(
                angles, self.read_joints(joints, "qpos"), unit, doc, "joints", len(joints),
                "joint_angles" if role else None, bounds=bounds,
            )  # fmt: skip
            yield _make(
                rates, self.read_joints(joints, "qvel"), f"{unit}/s",
                f"of {angles}, in its order" + (f"; {rest}" if rest else ""), "joints", len(joints),
                "joint_velocities" if role else None,
            )  # fmt: skip

    def read_joints(self, joints: Iterable[int], array: str) -> str:
        """Return the source of entries of qpos or qvel: slices, as few as there can be."""
        model = self.facts.model
        rows = [
            int((model.jnt_qposadr if array == "qpos" else model.jnt_dofadr)[j]) for j in joints
        ]
        runs: list[list[int]] = []
        for row in rows:
            if runs and row == runs[-1][1]:
                runs[-1][1] += 1
            else:
                runs.append([row, row + 1])
        parts = [f"{array}[{start}:{stop}]" for start, stop in runs]
        return parts[0] if len(parts) == 1 else f"concat({', '.join(parts)})"

    def _list_balls(self) -> Iterator[DraftField]:
        """Yield how bodies on ball joints lie, where a fixed robot has no others."""
        model = self.facts.model
        bodies = [_body(self.facts, j) for j in sorted(self.facts.tree.driven)]
        for body in dict.fromkeys(b for b in bodies if model.body_mass[b] > 0):
            where, name = refer(self.facts, "body", body), f"body_{body}"
            yield _make(
                f"{name}_orientation", f"{where}.xquat", "1", "quaternion w, x, y, z", "bodies", 4
            )
            yield _make(
                f"{name}_angular_velocity", f"angular_velocity:{where}", "rad/s",
                "about the world's x, y, z", "bodies", 3,
            )  # fmt: skip

    # --- limbs -----------------------------------------------------------------------------------

    def _list_limbs(self) -> Iterator[DraftField]:
        facts = self.facts
        for foot in self.robot.feet:
            yield _make(
                f"{foot.name}_floor_contact", self.read_contact(foot), "0/1",
                f"1 while the {foot.name.replace('_', ' ')} ({foot.own_name}) touches the floor",
                "feet", None, "foot_contact", foot.name, is_needed=True,
            )  # fmt: skip
        for foot in self.robot.feet:
            if self.robot.has_wheels:
                break
            yield _make(
                f"{foot.name}_height", self._read_lowest(foot), "m",
                "its lowest point above the floor", "feet", None, "foot_height", foot.name,
                bounds=(0.0, 0.6 * facts.height),
            )  # fmt: skip
        for hand in self.robot.hands:
            where = refer(facts, "body", hand.body)
            yield _make(
                f"{hand.name}_position",
                f"{where}.xpos",
                "m",
                f"of {hand.own_name} in the world: x, y, z",
                "hands",
                3,
                "hand_position",
                hand.name,
            )
            yield _make(
                f"{hand.name}_height",
                f"{where}.xpos[2]",
                "m",
                f"of {hand.own_name} above the floor",
                "hands",
                None,
                "hand_height",
                hand.name,
            )

    def _read_lowest(self, part: Part) -> str:
        bodies = [b for b in part.bodies if self.facts.model.body_parentid[b] not in part.bodies]
        if part.kind == "geom":
            return f"lowest:{quote(part.place)}"
        return f"lowest:{refer(self.facts, 'body', bodies[0])}"

    def read_contact(self, part: Part) -> str:
        """Return the source of whether a part, with all that hangs on it, touches the floor."""
        tops = [b for b in part.bodies if self.facts.model.body_parentid[b] not in part.bodies]
        side = refer(self.facts, "body", tops[0]).replace("body:", "subtree:", 1)
        if len(list_subtree(self.facts.model, tops[0])) == 1:
            side = quote(part.place)
        return f"contact:{side}"

    def _list_contacts(self) -> Iterator[DraftField]:
        """Yield contacts of the torso, and of the heaviest parts that are no feet."""
        facts = self.facts
        if not facts.stands:
            return
        feet = {body for foot in self.robot.feet for body in foot.bodies}
        shaped = [
            body
            for body in sorted(facts.tree.bodies - feet - {facts.tree.root})
            if any(collides(facts.model, geom) for geom in list_geoms(facts.model, body))
        ]
        shaped.sort(key=lambda body: -float(facts.model.body_mass[body]))
        names = Names()
        for body in [facts.tree.root, *sorted(shaped[:_MOST_BODIES])]:
            words = [w for w in split_words(facts.name("body", body)) if w not in ("link", "body")]
            side = "" if body == facts.tree.root else _name_side(words)
            kept = "torso" if body == facts.tree.root else make_name(side.split() or words, "part")
            name = names.take(kept)
            where = refer(facts, "body", body)
            yield _make(
                f"{name}_floor_contact", f"contact:{where}", "0/1",
                f"1 while {_bare(where)} touches the floor", "contacts", None, "body_contact", name,
            )  # fmt: skip

    # --- handling --------------------------------------------------------------------------------

    def _list_handling(self) -> Iterator[DraftField]:
        handling = self.handling
        assert handling.tool is not None
        tool, guess = self.read_place(handling.tool), handling.guesses.get("tool", "")
        word = handling.tool.own_name
        if handling.tool.name != "torso":
            yield _make(
                "tool_position",
                tool,
                "m",
                f"of what reaches ({word}): x, y, z",
                "tool",
                3,
                "tool_position",
                guess=guess,
            )
        yield from self._list_gripper()
        yield from self._list_objects(tool)
        target = self.read_target()
        if target:
            yield _make(
                "target_position",
                target,
                "m",
                "where it is to be: x, y, z",
                "target",
                3,
                "target_position",
                is_needed=True,
            )
            yield _make(
                "target_distance",
                f"norm(subtract({tool}, {target}))",
                "m",
                f"from {word} to the target",
                "target",
                None,
                "target_distance",
                is_needed=True,
            )
        for part in handling.fixtures:
            yield from self._list_fixture(part, part == handling.fixtures[0], tool)

    def read_place(self, part: Part) -> str:
        """Return the source of where a part is."""
        if part.offset is None:
            return f"{quote(part.place)}.xpos"
        return f"{quote(part.place)}.point({', '.join(f'{x:g}' for x in part.offset)})"

    def read_target(self) -> str:
        """Return the source of where the target is; '' without one."""
        if self.handling.target is not None:
            return self.read_place(self.handling.target)
        return "draw:target" if self.handling.tool else ""

    def _list_gripper(self) -> Iterator[DraftField]:
        fingers, grippers = self.handling.fingers, self.handling.grippers
        own = {joint: _body(self.facts, joint) for joint in grippers}
        ends = [
            f for f in fingers if set(list_ancestors(self.facts.model, f.body)) & set(own.values())
        ]
        if len(ends) == 2 and len(grippers) <= 4:
            a, b = (refer(self.facts, "body", part.body) for part in ends)
            yield _make(
                "gripper_opening",
                f"distance({a}, {b})",
                "m",
                "between the fingers' frames; less is more closed",
                "tool",
                None,
                "gripper_opening",
            )

    def _list_objects(self, tool: str) -> Iterator[DraftField]:
        facts, handling = self.facts, self.handling
        names = Names()
        for i, part in enumerate(handling.objects):
            where, main = refer(facts, "body", part.body), i == 0
            name = "object" if main else names.take(f"other_object_{part.name}")
            guess = handling.guesses.get("object", "") if main else ""
            yield _make(
                f"{name}_position",
                f"{where}.xpos",
                "m",
                f"of {part.own_name}: x, y, z",
                "objects",
                3,
                "object_position" if main else None,
                is_needed=main,
                guess=guess,
            )
            if not main:
                continue
            rest = float(facts.data.xpos[part.body, 2])
            yield _make(
                "object_height",
                f"{where}.xpos[2]",
                "m",
                f"of {part.own_name}, z; {rest:.3g} where it rests",
                "objects",
                None,
                "object_height",
                bounds=(rest - 0.05, rest + 0.5),
                is_needed=True,
            )
            yield _make(
                "object_distance",
                f"norm(subtract({tool}, {where}.xpos))",
                "m",
                f"from what reaches to {part.own_name}",
                "objects",
                None,
                "object_distance",
                is_needed=True,
            )
            target = self.read_target()
            if target:
                yield _make(
                    "object_target_distance",
                    f"norm(subtract({where}.xpos, {target}))",
                    "m",
                    f"from {part.own_name} to the target",
                    "objects",
                    None,
                    "object_target_distance",
                    is_needed=True,
                )
            yield from self._list_touches(part)

    def _list_touches(self, part: Part) -> Iterator[DraftField]:
        """Yield whether fingers touch the object: each of two or three, or any of many."""
        facts, names = self.facts, Names()
        other = refer(facts, "body", part.body).replace("body:", "subtree:", 1)
        sides = [
            (finger.name, refer(facts, "body", finger.body))
            for finger in self.handling.fingers
            if can_touch(facts.model, [finger.body], list_subtree(facts.model, part.body))
        ]
        if len(sides) > 3 and self.handling.tool is not None:
            body = refer(facts, "body", self.handling.tool.body)
            sides = [("tool", body.replace("body:", "subtree:", 1))]
        for name, side in sides:
            yield _make(
                f"{names.take(name)}_object_contact",
                f"contact({side}, {other})",
                "0/1",
                f"1 while {_bare(side)} touches {part.own_name}",
                "objects",
                None,
                "tool_contact",
                name,
                is_needed=True,
            )

    def _list_fixture(self, part: Part, is_main: bool, tool: str) -> Iterator[DraftField]:
        facts = self.facts
        joint = find_number(facts.model, "joint", part.own_name)
        unit = "m" if facts.model.jnt_type[joint] == SLIDE else "rad"
        source, sign = f"{quote(part.place)}.qpos", find_opening(facts, joint)
        if sign < 0:
            source = f"scale({source}, -1)"
        limits = facts.model.jnt_range[joint] * sign
        bounds = (
            (float(limits.min()), float(limits.max())) if facts.model.jnt_limited[joint] else None
        )
        start = float(facts.pose.qpos[facts.model.jnt_qposadr[joint]]) * sign
        doc = f"of {part.own_name}, {start:.3g} at the start; positive opens or turns it"
        name = "fixture_position" if is_main else f"{part.name}_position"
        guess = self.handling.guesses.get("fixture", "") if is_main else ""
        yield _make(
            name,
            source,
            unit,
            doc,
            "fixtures",
            None,
            "fixture_position",
            part.name,
            bounds=bounds,
            is_needed=is_main,
            guess=guess,
        )
        if is_main and self.handling.handle is not None:
            handle = self.handling.handle
            yield _make(
                "handle_distance",
                f"norm(subtract({tool}, {self.read_place(handle)}))",
                "m",
                f"from the tool to {handle.own_name}",
                "fixtures",
                None,
                "fixture_distance",
                is_needed=True,
            )

    # --- sensors ---------------------------------------------------------------------------------

    def _list_sensors(self) -> Iterator[DraftField]:
        """Yield what touches and how far rangefinders see, as vectors with a legend."""
        model = self.facts.model
        for kind, name, unit, what in (
            (_TOUCH, "touch_forces", "N", "normal force on"),
            (_RANGEFINDER, "rangefinder_distances", "m", "-1 where nothing is seen:"),
        ):
            found = [i for i in range(model.nsensor) if model.sensor_type[i] == kind]
            found = [i for i in found if self.facts.name("sensor", i)]
            if not 0 < len(found) <= _MOST_TOUCH:
                continue
            words = drop_common([split_words(self.facts.name("sensor", i)) for i in found])
            legend, _ = _write_legend([make_name(row, "sensor") for row in words])
            sources = [refer(self.facts, "sensor", i) for i in found]
            if len(found) == 1:
                yield _make(name[:-1], sources[0], unit, f"{what} {legend}", "sensors")
                continue
            source = f"concat({', '.join(sources)})"
            yield _make(name, source, unit, f"{what} {legend}", "sensors", len(found))


def can_touch(model: mujoco.MjModel, bodies: list[int], others: list[int]) -> bool:
    """Return whether a geom of some bodies may touch one of others, by their bits."""
    mine = [geom for body in bodies for geom in list_geoms(model, body)]
    theirs = [geom for body in others for geom in list_geoms(model, body)]
    kind, accepts = model.geom_contype, model.geom_conaffinity
    return any(kind[a] & accepts[b] or kind[b] & accepts[a] for a in mine for b in theirs)


def find_opening(facts: Facts, joint: int) -> float:
    """Return 1 where a fixture moves to greater values from its start, else -1."""
    model = facts.model
    start = float(facts.pose.qpos[model.jnt_qposadr[joint]])
    low, high = model.jnt_range[joint]
    return -1.0 if model.jnt_limited[joint] and start - low > high - start + 1e-6 else 1.0


def _make(
    name: str,
    source: str,
    unit: str,
    doc: str,
    group: str,
    size: int | None = None,
    role: str | None = None,
    limb: str = "",
    **more: object,
) -> DraftField:
    return DraftField(name, source, unit, doc, group, size, role, limb, **more)  # type: ignore[arg-type]


def _entry(matrix: str, axis: str, row: int) -> str:
    """Return the source of a row of an axis of a rotation: 2 is its z."""
    source = f"{matrix}[{3 * row + 'xyz'.index(axis[1])}]"
    return source if axis[0] == "+" else f"scale({source}, -1)"


def _bare(place: str) -> str:
    return place.partition(":")[2]


def _body(facts: Facts, joint: int) -> int:
    return int(facts.model.jnt_bodyid[joint])


def _name_side(words: list[str]) -> str:
    """Return a part's words with its side spelled out: 'front left thigh' of 'FL_thigh'."""
    end, side = find_side("_".join(words))
    others = [w for w in words if not any(find_side(w))]
    return " ".join(filter(None, (end, side, *others)))


def _write_legend(names: list[str]) -> tuple[str, str]:
    """Return '0 hip, 1 knee' and what has no room there, for the doc of another field."""
    items = [f"{i} {name}" for i, name in enumerate(names)]
    legend = ", ".join(items)
    if len(legend) <= _MOST_LEGEND:
        return legend, ""
    n = next(n for n in range(len(items), 0, -1) if len(", ".join(items[:n])) <= _MOST_LEGEND)
    rest = ", ".join(items[n:])
    tail = (
        rest if len(rest) <= _MOST_LEGEND else rest[: _MOST_LEGEND - 1].rpartition(",")[0] + ", …"
    )
    return f"{', '.join(items[:n])}; the others: joint_velocities", tail
