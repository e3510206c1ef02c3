"""How long a model's links are: from a joint to the next one, or to the end of what hangs on it."""

from __future__ import annotations

import mujoco
import numpy as np

from reward_agent.simulation.state import FloatArray

_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
# The half length of a geom along its own z, by its size, where it has one.
_LONG = {int(mujoco.mjtGeom.mjGEOM_CAPSULE), int(mujoco.mjtGeom.mjGEOM_CYLINDER)}


def measure_links(model: mujoco.MjModel) -> dict[str, float]:
    """Return the length of each body on a hinge, m, at the model's reference pose.

    It is the distance from its joint to that of what hangs on it, the farthest of several; of the
    last body of a chain, that to the farthest end of its geoms.
    """
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    bodies = [b for b in range(1, model.nbody) if _HINGE in _list_kinds(model, b)]
    lengths = {}
    for body in bodies:
        ends = [
            _find_anchor(model, data, b) for b in bodies if _find_carrier(model, b, bodies) == body
        ]
        ends = ends or list(_list_ends(model, data, body))
        start = _find_anchor(model, data, body)
        reach = max((float(np.linalg.norm(end - start)) for end in ends), default=0.0)
        if reach > 0 and (name := _name(model, body)):
            lengths[name] = reach
    return lengths


def _name(model: mujoco.MjModel, body: int) -> str:
    """Return the name of a body, or of the first of its geoms that has one."""
    geoms = (model.geom(int(g)).name for g in np.flatnonzero(model.geom_bodyid == body))
    return next(filter(None, (model.body(body).name, *geoms)), "")


def _list_kinds(model: mujoco.MjModel, body: int) -> list[int]:
    first = int(model.body_jntadr[body])
    return [int(k) for k in model.jnt_type[first : first + int(model.body_jntnum[body])]]


def _find_anchor(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> FloatArray:
    return np.array(data.xanchor[int(model.body_jntadr[body])])


def _find_carrier(model: mujoco.MjModel, body: int, bodies: list[int]) -> int:
    """Return the nearest body above one that is on a hinge itself, or the world."""
    above = int(model.body_parentid[body])
    while above and above not in bodies:
        above = int(model.body_parentid[above])
    return above


def _list_ends(model: mujoco.MjModel, data: mujoco.MjData, body: int) -> list[FloatArray]:
    """Return both ends of each long geom of a body, and the middle of each other."""
    ends = []
    for geom in np.flatnonzero(model.geom_bodyid == body):
        long = model.geom_size[geom, 1] if int(model.geom_type[geom]) in _LONG else 0.0
        along = data.geom_xmat[geom].reshape(3, 3)[:, 2] * long
        ends += [data.geom_xpos[geom] + along, data.geom_xpos[geom] - along]
    return ends
