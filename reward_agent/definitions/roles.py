"""What a field is for, and what a part of a robot is: the closed words that everyone reads.

The offline designer, summaries, metrics and drafts ask a card for a role, never for a name: the
names below are the only ones that mean something. A field that says no role plays the one whose
usual name it bears, letter for letter; ``role = ""`` plays none whatever its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from reward_agent.definitions.tables import Word
from reward_agent.types import Record

# "+z" is the body's own third axis.
Axis = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
# "body:trunk", "site:tip": a kind of MuJoCo's objects and a name.
Place = Annotated[
    Word, Field(pattern=r"^(?:body|geom|site|joint):.+$", description="such as 'body:trunk'")
]


class RobotRoles(Record):
    """Which parts of the model are what; None and empty where it has no such part.

    ``up`` and ``forward`` are axes of the torso's own frame, which point there in the start pose.
    """

    torso: Place | None = None
    feet: tuple[Place, ...] = Field((), max_length=50)
    hands: tuple[Place, ...] = Field((), max_length=50)
    tool: Place | None = Field(None, description="what reaches or grasps")
    object: Place | None = Field(None, description="what is moved, and moves by itself")
    target: Place | None = Field(None, description="where the tool or the object is to be")
    fixture: Place | None = Field(None, description="a joint of the surroundings: a door's hinge")
    up: Axis = "+z"
    forward: Axis = "+x"


@dataclass(frozen=True)
class FieldRole:
    """What a field that plays a role measures.

    Args:
        unit: of the field.
        size: of a vector, None for a scalar, 0 for a vector of any size.
        doc: what it is, and its sign.
        names: which fields play it that say no role, each a regular expression of a whole name;
            a group is the limb.
        limb_end: what follows the group in the limb's name.
    """

    unit: str
    size: int | None
    doc: str
    names: tuple[str, ...] = ()
    limb_end: str = ""


_LEG_ANGLE = (
    r"((?:front|back|left|right)(?:_left|_right)?)_"
    r"(?:hip|thigh|knee|leg|shin|ankle|foot)(?:_[xyz])?_angle"
)

# Where a limb is meant, ``StateField.limb`` says which: "front_left_foot".
ROLES: dict[str, FieldRole] = {
    # Of the torso, in the world unless it is said.
    "position": FieldRole("m", 3, "of the torso: x, y, z", ("torso_position",)),
    "forward_position": FieldRole(
        "m", None, "of the torso, along x", ("x_position", "cart_position")
    ),
    "height": FieldRole("m", None, "of the torso above the floor", ("torso_height", "height")),
    "orientation": FieldRole("1", 4, "quaternion w, x, y, z", ("torso_orientation",)),
    "up": FieldRole("1", None, "1 upright, -1 upside down", ("torso_up", "pole_up", "up")),
    "facing": FieldRole("1", None, "1 facing along x, -1 back", ("torso_heading",)),
    "heading": FieldRole("rad", None, "positive to the left of x", ("heading",)),
    "pitch": FieldRole("rad", None, "positive tips forward", ("torso_pitch", "pitch")),
    "roll": FieldRole("rad", None, "positive tips to the right", ("torso_roll", "roll")),
    "velocity": FieldRole("m/s", 3, "of the torso: x, y, z", ("torso_velocity",)),
    "forward_velocity": FieldRole(
        "m/s", None, "of the torso, forward", ("forward_velocity", "cart_velocity")
    ),
    "sideways_velocity": FieldRole("m/s", None, "of the torso, left", ("sideways_velocity",)),
    "vertical_velocity": FieldRole("m/s", None, "of the torso, up", ("vertical_velocity",)),
    "angular_velocity": FieldRole(
        "rad/s",
        3,
        "about the torso's own forward (roll), left (pitch) and up (yaw) axes",
        ("torso_angular_velocity",),
    ),
    "pitch_rate": FieldRole(
        "rad/s", None, "positive tips forward", ("torso_pitch_velocity", "pitch_rate")
    ),
    "yaw_rate": FieldRole("rad/s", None, "positive turns left", ("yaw_rate",)),
    # Of the whole robot.
    "com_position": FieldRole("m", 3, "centre of mass: x, y, z", ("com_position",)),
    "com_height": FieldRole("m", None, "of the centre of mass above the floor", ("com_height",)),
    "com_velocity": FieldRole("m/s", 3, "of the centre of mass: x, y, z", ("com_velocity",)),
    "angular_momentum": FieldRole(
        "kg m2/s", 3, "about the centre of mass: x, y (positive tips forward), z"
    ),
    "lowest_point": FieldRole("m", None, "of the robot above the floor", ("lowest_point",)),
    "joint_angles": FieldRole("rad", 0, "of the joints", ("joint_angles",)),
    "joint_velocities": FieldRole("rad/s", 0, "of the joints", ("joint_velocities",)),
    # Of a limb, or of a part.
    "foot_contact": FieldRole("0/1", None, "touches the floor", (r"(\w*foot)_floor_contact",)),
    "body_contact": FieldRole("0/1", None, "no foot, touches the floor", (r"(\w+)_floor_contact",)),
    "foot_height": FieldRole("m", None, "lowest point above the floor", (r"(\w*foot)_height",)),
    "foot_position": FieldRole("m", 3, "x, y, z", (r"(\w*foot)_position",)),
    "hand_height": FieldRole("m", None, "above the floor", (r"(\w*hand)_height",)),
    "hand_position": FieldRole("m", 3, "x, y, z", (r"(\w*hand)_position",)),
    "joint_angle": FieldRole("rad", None, "of a joint of a limb", (_LEG_ANGLE,), "_foot"),
    "joint_velocity": FieldRole(
        "rad/s",
        None,
        "of a joint of a limb",
        ("pole_angular_velocity", "(shoulder|elbow)_velocity"),
    ),
    "tool_contact": FieldRole("0/1", None, "the tool touches the object"),
    # Of manipulation.
    "tool_position": FieldRole("m", 3, "x, y, z", ("end_effector_position", "fingertip_position")),
    "object_position": FieldRole("m", 3, "x, y, z", ("object_position",)),
    "object_height": FieldRole("m", None, "above where it rests", ("object_height",)),
    "target_position": FieldRole("m", 3, "x, y, z", ("target_position", "goal_position")),
    "target_distance": FieldRole(
        "m",
        None,
        "from the tool to the target",
        ("target_distance", "end_effector_to_goal_distance"),
    ),
    "object_distance": FieldRole(
        "m", None, "from the tool to the object", (r"\w+_to_object_distance",)
    ),
    "object_target_distance": FieldRole(
        "m", None, "from the object to the target", (r"object_to_\w+_distance",)
    ),
    "fixture_position": FieldRole("rad", None, "how far it is moved; 0 at the start"),
    "fixture_distance": FieldRole("m", None, "from the tool to where the fixture is held"),
    "gripper_opening": FieldRole("1", None, "0 closed, 1 open; or how far", ("gripper_opening",)),
    "pole_angle": FieldRole("rad", None, "0 upright", ("pole_angle",)),
    # Of a world to gather things in, and to look for them.
    "held": FieldRole("pieces", None, "of a thing, in the inventory"),
    "thing_distance": FieldRole("cells", None, "to the nearest thing of a kind in view"),
    "thing_faced": FieldRole("0/1", None, "a thing of a kind is what is acted on"),
    "ground_seen": FieldRole("cells", None, "that have been in view in this episode"),
    "health": FieldRole("1", None, "0 dead"),
    # What an episode asks for, drawn at its start.
    "commanded_velocity": FieldRole("m/s", None, "forward velocity asked for"),
    "commanded_sideways_velocity": FieldRole("m/s", None, "velocity to the left asked for"),
    "commanded_yaw_rate": FieldRole("rad/s", None, "turning rate asked for"),
    "commanded_heading": FieldRole("rad", None, "heading asked for"),
    "commanded_height": FieldRole("m", None, "height of the torso asked for"),
}
# Units that a role's field may have beside its own.
OTHER_UNITS = {"fixture_position": ("m",), "gripper_opening": ("m", "rad")}
# Entries of vectors that play a scalar's role where no field of its own does.
ENTRIES: dict[str, tuple[str, int]] = {
    "forward_position": ("position", 0),
    "height": ("position", 2),
    "forward_velocity": ("velocity", 0),
    "sideways_velocity": ("velocity", 1),
    "vertical_velocity": ("velocity", 2),
    "pitch_rate": ("angular_velocity", 1),
    "yaw_rate": ("angular_velocity", 2),
    "com_height": ("com_position", 2),
    "foot_height": ("foot_position", 2),
    "hand_height": ("hand_position", 2),
}
# What says how large a measure is to be in an episode.
COMMANDS: dict[str, str] = {
    "forward_velocity": "commanded_velocity",
    "sideways_velocity": "commanded_sideways_velocity",
    "yaw_rate": "commanded_yaw_rate",
    "heading": "commanded_heading",
    "height": "commanded_height",
}


@cache
def find_usual_role(name: str, unit: str, size: int | None) -> tuple[str, str] | None:
    """Return the role that a field plays by its usual name, and its limb or ''; None if none."""
    for role, row in ROLES.items():
        if row.unit != unit or (row.size != size and not (row.size == 0 and size)):
            continue
        for pattern in row.names:
            match = re.fullmatch(pattern, name)
            if match:
                return role, "".join(match.groups()) + (row.limb_end if match.groups() else "")
    return None


def describe_role(role: str) -> str:
    """Return a role with its unit and meaning: ``height (m, of the torso above the floor)``."""
    row = ROLES[role]
    kind = "" if row.size is None else f", vector of {row.size or 'any size'}"
    return f"{role} ({row.unit}{kind}, {row.doc})"
