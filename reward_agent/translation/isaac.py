"""What Isaac Lab, legged_gym and Brax compute of a robot's motion, and Isaac Lab's terms of it.

It is written here as a person would, and carried out like a file of theirs: for one simulation or
for all. ``of`` and ``env`` are asked for the card's fields by role.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Mapping
from typing import Any

from reward_agent.translation import nodes
from reward_agent.translation.values import (
    Cells,
    Function,
    Instance,
    Locals,
    Untranslatable,
    Word,
)

_MOTION = """
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
TERMS = """
def is_alive(env): return np.where(env.terminated, 0.0, 1.0)
def is_terminated(env): return np.where(env.terminated, 1.0, 0.0)
def lin_vel_z_l2(env, **_): return np.square(env.data.root_lin_vel_b[..., 2])
def ang_vel_xy_l2(env, **_): return np.sum(np.square(env.data.root_ang_vel_b[..., :2]), axis=-1)
def flat_orientation_l2(env, **_):
    return np.sum(np.square(env.data.projected_gravity_b[..., :2]), axis=-1)
def base_height_l2(env, target_height, **_):
    return np.square(env.data.root_pos_w[..., 2] - target_height)
def joint_vel_l1(env, **_): return np.sum(np.abs(env.data.joint_vel), axis=-1)
def joint_vel_l2(env, **_): return np.sum(np.square(env.data.joint_vel), axis=-1)
def action_l2(env): return np.sum(np.square(env.action), axis=-1)
"""
_ALIASES = {
    "base_lin_vel": "root_lin_vel_b",
    "base_ang_vel": "root_ang_vel_b",
    "base_pos": "root_pos_w",
    "projected_gravity": "projected_gravity_b",
    "dof_pos": "joint_pos",
    "dof_vel": "joint_vel",
}
_LIBRARIES = re.compile(r"isaac|orbit|mjlab|(^|\.)mdp($|\.)")


@functools.cache
def _load(text: str) -> Mapping[str, Function]:
    scope = Locals(Cells({"np": Word("numpy", "")}))
    for node in nodes.parse(text):
        assert isinstance(node, ast.FunctionDef)
        scope.names[node.name] = Function(node, scope, {})
    return {k: v for k, v in scope.names.items() if isinstance(v, Function)}


def find_motion(name: str) -> Function | None:
    """Return how a robot's motion of a name is computed; None for any other name."""
    word = re.sub(r"^root_(link|com)_", "root_", name.lstrip("_"))
    function = _load(_MOTION).get(_ALIASES.get(word, word))
    return None if function is None or function.name.startswith(("turn", "_")) else function


def find_term(path: str) -> Function | None:
    """Return a term of Isaac Lab's ``mdp`` by its path; None where it is another's, or unknown."""
    library, _, name = path.rpartition(".")
    return _load(TERMS).get(name) if _LIBRARIES.search(library) else None


def check_chosen(given: Mapping[str, Any]) -> None:
    """Refuse a term of some joints or bodies.

    Raises:
        Untranslatable: a configuration chooses them by name.
    """
    for value in given.values():
        chosen = value.names if isinstance(value, Instance) else {}
        for key in ("joint_names", "body_names"):
            if key in chosen:
                raise Untranslatable(
                    f"{key}={chosen[key]!r} chooses by names of another model",
                    "write the term as a function of the card's fields of these joints",
                )
