"""The lowest point of a robot above the floor, exact for every shape, all simulations at once.

Each of MuJoCo's primitive shapes is a Minkowski sum of a ball, a box and an ellipsoid, some of
them flat: a capsule is a ball and a segment, a cylinder a disc and a segment. Its extent below
its centre along the floor's normal n, with u = R^T n the normal in the shape's own frame, is

    ball + sum_i box_i |u_i| + sqrt(sum_i (ellipsoid_i u_i)^2)

Source: support functions add under Minkowski sums (Schneider, Convex Bodies, theorem 1.7.5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch

from reward_agent.errors import DataError
from reward_agent.simulation.state import FloatArray


@dataclass(frozen=True)
class _Plane:
    """The floor: a point on it and its unit normal, m."""

    point: FloatArray
    normal: FloatArray


@dataclass(frozen=True)
class _Shape:
    """A geom as a sum of a ball (radius), a box and an ellipsoid (half axes), m."""

    ball: float
    box: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ellipsoid: tuple[float, float, float] = (0.0, 0.0, 0.0)


def make_lowest_reader(
    batch: Batch, kind: str, name: str, floor: str | None
) -> Callable[[], FloatArray]:
    """Return a reader of ``(N,)``, m: the lowest point above the floor, negative below it.

    Args:
        batch: the simulations.
        kind: ``body`` for the body with all that hangs on it, ``geom`` for one geom.
        name: of the body or geom.
        floor: name of the plane; None for the plane z = 0.

    Raises:
        DataError: there is no geom, or one whose shape has no lowest point.
    """
    model = batch.model
    plane = _find_plane(model, floor)
    geoms = [model.geom(name).id] if kind == "geom" else _find_geoms(model, model.body(name).id)
    if not geoms:
        raise DataError(f"lowest:{name}: the body has no geom", "name a body with geoms")
    meshes = [geom for geom in geoms if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH]
    simple = [geom for geom in geoms if geom not in meshes]
    readers = [_make_mesh_reader(batch, geom, plane) for geom in meshes]
    if simple:
        readers.append(_make_shapes_reader(batch, simple, plane))
    if len(readers) == 1:
        return readers[0]
    return lambda: np.min([read() for read in readers], axis=0)


def _find_plane(model: mujoco.MjModel, floor: str | None) -> _Plane:
    if floor is None:
        return _Plane(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    geom = model.geom(floor)
    if geom.type[0] != mujoco.mjtGeom.mjGEOM_PLANE or geom.bodyid[0] != 0:
        raise DataError(f"model.floor {floor!r} is not a plane fixed to the world")
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, geom.quat)
    return _Plane(np.array(geom.pos), rotation.reshape(3, 3)[:, 2].copy())


def _find_geoms(model: mujoco.MjModel, body: int) -> list[int]:
    """Return the geoms of a body and its descendants; only those that collide, if any does."""
    bodies = {body}
    for child in range(body + 1, model.nbody):
        if model.body_parentid[child] in bodies:
            bodies.add(child)
    geoms = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in bodies]
    colliding = [g for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
    return colliding or geoms


def _make_shapes_reader(batch: Batch, geoms: list[int], plane: _Plane) -> Callable[[], FloatArray]:
    shapes = [_make_shape(batch.model, geom) for geom in geoms]
    ball = np.array([shape.ball for shape in shapes])
    box = np.array([shape.box for shape in shapes])
    ellipsoid = np.array([shape.ellipsoid for shape in shapes])
    xpos, xmat = batch.bind("geom_xpos"), batch.bind("geom_xmat")
    rows = np.array(geoms)

    def read() -> FloatArray:
        rotation = xmat[:, rows].reshape(batch.nsim, len(rows), 3, 3)
        normal = np.swapaxes(rotation, -1, -2) @ plane.normal
        extent = ball + np.sum(box * np.abs(normal), axis=-1)
        extent += np.sqrt(np.sum(np.square(ellipsoid * normal), axis=-1))
        centre = (xpos[:, rows] - plane.point) @ plane.normal
        lowest: FloatArray = np.min(centre - extent, axis=-1)
        return lowest

    return read


def _make_shape(model: mujoco.MjModel, geom: int) -> _Shape:
    first, second, third = map(float, model.geom_size[geom])
    kinds = mujoco.mjtGeom
    shapes = {
        kinds.mjGEOM_SPHERE: _Shape(first),
        kinds.mjGEOM_CAPSULE: _Shape(first, box=(0.0, 0.0, second)),
        kinds.mjGEOM_CYLINDER: _Shape(0.0, box=(0.0, 0.0, second), ellipsoid=(first, first, 0.0)),
        kinds.mjGEOM_BOX: _Shape(0.0, box=(first, second, third)),
        kinds.mjGEOM_ELLIPSOID: _Shape(0.0, ellipsoid=(first, second, third)),
    }
    kind = kinds(model.geom_type[geom])
    if kind not in shapes:
        name = model.geom(geom).name or geom
        raise DataError(f"lowest: geom {name!r} is a {kind.name}, which has no lowest point")
    return shapes[kind]


def _make_mesh_reader(batch: Batch, geom: int, plane: _Plane) -> Callable[[], FloatArray]:
    model = batch.model
    mesh = model.geom_dataid[geom]
    start = model.mesh_vertadr[mesh]
    vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]].astype(np.float64)
    xpos, xmat = batch.bind("geom_xpos"), batch.bind("geom_xmat")

    def read() -> FloatArray:
        rotation = xmat[:, geom].reshape(batch.nsim, 3, 3)
        normal = np.swapaxes(rotation, -1, -2) @ plane.normal
        centre = (xpos[:, geom] - plane.point) @ plane.normal
        lowest: FloatArray = centre + np.min(normal @ vertices.T, axis=-1)
        return lowest

    return read
