"""Cards of robots that say their roles, with names that mean nothing here: no simulator reads them."""

from __future__ import annotations

from reward_agent.definitions.card import EnvCard, ModelSource, StateField


def field(name: str, unit: str, role: str = "", size: int | None = None, **keys) -> StateField:
    low, high = keys.pop("range", {"0/1": (0, 1), "1": (-1, 1)}.get(unit, (-2, 2)))
    given = {"name": name, "unit": unit, "role": role, "size": size, "range": (low, high)}
    return StateField(source="qpos[0]", doc="a", **given, **keys)


def make_robot(name: str, *fields: StateField, **keys) -> EnvCard:
    given = {
        "name": name, "title": name, "description": name, "control_dt": 0.02,
        "model": ModelSource(file="robot.xml", frame_skip=1), "max_episode_steps": 500,
        "actions": ("a", "b"), "observation": ("qpos",), "observation_size": 2,
    }  # fmt: skip
    return EnvCard(state=fields, **given | keys)


LEGS = ("front_left", "front_right", "back_left", "back_right")


def make_dog(**keys) -> EnvCard:
    """A dog of 0.3 m as people draw it: contacts of toes, velocities as a vector."""
    feet = [
        (
            field(f"toe_{leg}", "0/1", "foot_contact", limb=f"{leg}_foot", rest=1.0),
            field(f"clearance_{leg}", "m", "foot_height", limb=f"{leg}_foot"),
        )
        for leg in LEGS
    ]
    return make_robot(
        "dog",
        field("trunk_place", "m", "position", 3),
        field("trunk_z", "m", "height", rest=0.3, range=(0, 5)),
        field("trunk_zz", "1", "up", rest=1.0),
        field("trunk_v", "m/s", "velocity", 3, range=(-0.1, 0.1)),
        field("trunk_w", "rad/s", "angular_velocity", 3),
        field("q", "rad", "joint_angles", 12),
        field("qd", "rad/s", "joint_velocities", 12),
        *[each for foot in feet for each in foot],
        field("belly", "0/1", "body_contact", limb="trunk", rest=0.0),
        **keys,
    )


def make_fish() -> EnvCard:
    """A fish: it swims, stands on nothing, and its range is what random motion reached."""
    return make_robot(
        "fish",
        field("com", "m", "position", 3),
        field("swim", "m/s", "forward_velocity", range=(-0.03, 0.03)),
        field("fins", "rad/s", "joint_velocities", 5),
    )


def make_arm(*more: StateField) -> EnvCard:
    """A fixed arm with two hands, a cube that it may lift and a door."""
    return make_robot(
        "arm",
        field("left_to_cube", "m", "object_distance", limb="left_hand", range=(0, 1)),
        field("right_to_cube", "m", "object_distance", limb="right_hand", range=(0, 2)),
        field("left_gap", "m", "target_distance", limb="left_hand", range=(0, 1)),
        field("right_gap", "m", "target_distance", limb="right_hand", range=(0, 1)),
        field("cube_gap", "m", "object_target_distance", range=(0, 1)),
        field("cube_z", "m", "object_height", range=(0, 1)),
        field("hinge", "rad", "fixture_position", range=(-1.5, 0.1)),
        field("squeeze", "0/1", "tool_contact"),
        field("q", "rad", "joint_angles", 7),
        field("qd", "rad/s", "joint_velocities", 7),
        *more,
    )
