"""A robot's motion by the names of Isaac Lab, legged_gym and Brax, from the card's fields by role.

It is written as a person would, and carried out like a file of theirs: ``of`` is asked for roles.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reward_agent.translation import arithmetic, indexing, nodes, written
from reward_agent.translation.machine import Tracer
from reward_agent.translation.values import Input, Lanes, Untranslatable

if TYPE_CHECKING:
    from reward_agent.translation.inputs import Inputs

MOTION = """
def turn(of, v):  # the body's frame -> the world's
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    if of.orientation is None:
        s, c = np.sin(of.pitch), np.cos(of.pitch)
        return np.stack([c * x + s * z, y, c * z - s * x], axis=-1)
    w, a, b, c = of.orientation
    return np.stack([
        (1 - 2 * (b * b + c * c)) * x + 2 * (a * b - w * c) * y + 2 * (a * c + w * b) * z,
        2 * (a * b + w * c) * x + (1 - 2 * (a * a + c * c)) * y + 2 * (b * c - w * a) * z,
        2 * (a * c - w * b) * x + 2 * (b * c + w * a) * y + (1 - 2 * (a * a + b * b)) * z,
    ], axis=-1)

def turn_back(of, v):  # the world's frame -> the body's
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    if of.orientation is None:
        s, c = np.sin(of.pitch), np.cos(of.pitch)
        return np.stack([c * x - s * z, y, c * z + s * x], axis=-1)
    w, a, b, c = of.orientation
    return np.stack([
        (1 - 2 * (b * b + c * c)) * x + 2 * (a * b + w * c) * y + 2 * (a * c - w * b) * z,
        2 * (a * b - w * c) * x + (1 - 2 * (a * a + c * c)) * y + 2 * (b * c + w * a) * z,
        2 * (a * c + w * b) * x + 2 * (b * c - w * a) * y + (1 - 2 * (a * a + b * b)) * z,
    ], axis=-1)

def projected_gravity_b(of):
    if of.orientation is None:
        return np.stack([np.sin(of.pitch), 0.0, -np.cos(of.pitch)], axis=-1)
    w, a, b, c = of.orientation
    return np.stack([2 * (w * b - a * c), -2 * (b * c + w * a), 2 * (a * a + b * b) - 1], axis=-1)

def root_pos_w(of): return of.position
def root_lin_vel_w(of): return of.velocity
def root_lin_vel_b(of): return turn_back(of, of.velocity)
def root_ang_vel_b(of): return of.angular_velocity
def root_ang_vel_w(of): return turn(of, of.angular_velocity)

def root_quat_w(of):
    if of.orientation is None:
        return np.stack([np.cos(of.pitch / 2), 0.0, np.sin(of.pitch / 2), 0.0], axis=-1)
    return np.stack(of.orientation, axis=-1)

def base_quat(of):  # Isaac Gym's order
    w, x, y, z = [root_quat_w(of)[..., k] for k in range(4)]
    return np.stack([x, y, z, w], axis=-1)

def root_state_w(of):
    return _join(root_pos_w(of), root_quat_w(of), root_lin_vel_w(of), root_ang_vel_w(of))

def root_states(of):
    return _join(root_pos_w(of), base_quat(of), root_lin_vel_w(of), root_ang_vel_w(of))

def _join(*parts):
    return np.stack([p[..., k] for p in parts for k in range(p.shape[-1])], axis=-1)

def joint_pos(of): return of.joint_angles
def joint_vel(of): return of.joint_velocities
"""
_ALIASES = {
    "base_lin_vel": "root_lin_vel_b",
    "base_ang_vel": "root_ang_vel_b",
    "base_pos": "root_pos_w",
    "projected_gravity": "projected_gravity_b",
    "dof_pos": "joint_pos",
    "dof_vel": "joint_vel",
}
# What a vector of a robot in a plane is made of, by role: along x, nothing along y, along z.
_PLANAR = {
    "position": ("forward_position", "height"),
    "velocity": ("forward_velocity", "vertical_velocity"),
}


def read_motion(inputs: Inputs, name: str, state: str) -> Any:
    """Return a robot's motion by one of the libraries' names; None for any other name."""
    word = re.sub(r"^root_(link|com)_", "root_", name.lstrip("_"))
    function = written.load(MOTION).get(_ALIASES.get(word, word))
    if function is None or function.name.startswith(("turn", "_")):
        return None
    if (name, state) not in inputs.known:
        of = Input(name, lambda part: _read_part(inputs, name, part, state))
        found = Tracer(is_inline=True).call_function(function, (of,), {})
        inputs.known[name, state] = found
    return inputs.known[name, state]


def _read_part(inputs: Inputs, name: str, part: str, state: str) -> Any:
    """Return what a motion is computed of: a field, or of a robot in a plane several.

    Raises:
        Untranslatable: the card does not say it.
    """
    if part == "orientation":
        fresh = [inputs.places.fields.get(f"qpos[{number}]") for number in range(3, 7)]
        if not inputs.card.find_role(part):
            return None
        if all(fresh):
            whole = inputs.get_data(state).get_attribute
            assert whole is not None
            return tuple(whole("qpos").get_item(number) for number in range(3, 7))
        array = _read_role(inputs, name, part, state)
        return tuple(indexing.take(array, number) for number in range(4))
    if part == "angular_velocity" and not inputs.card.find_role(part):
        return _spread(inputs, (None, _read_role(inputs, name, "pitch_rate", state), None))
    if part in _PLANAR and not inputs.card.find_role(part):
        along, up = (_read_role(inputs, name, role, state) for role in _PLANAR[part])
        return _spread(inputs, (along, None, up))
    return _read_role(inputs, name, part, state)


def _spread(inputs: Inputs, parts: tuple[Lanes | None, ...]) -> Lanes:
    zero = Lanes(nodes.literal(0.0), value=0.0)
    return arithmetic.stack([zero if part is None else part for part in parts])


def _read_role(inputs: Inputs, name: str, role: str, state: str) -> Lanes:
    found = inputs.card.find_role(role)
    if found is None:
        raise Untranslatable(
            f"{name} is no field of the card", f"the card has no {role.replace('_', ' ')}"
        )
    return inputs.read_field(found, state)
