"""Geometry of MuJoCo's shapes, exact for every one, N simulations at once.

``export`` copies this text into the files that it writes: so nothing here imports from this
project, and MuJoCo is imported when something is measured.

Each of MuJoCo's primitive shapes is a Minkowski sum of a ball, a box and an ellipsoid, some of
them flat: a capsule is a ball and a segment, a cylinder a disc and a segment. Its extent below
its centre along the floor's normal n, with u = R^T n the normal in the shape's own frame, is

    ball + sum_i box_i |u_i| + sqrt(sum_i (ellipsoid_i u_i)^2)

Source: support functions add under Minkowski sums (Schneider, Convex Bodies, theorem 1.7.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# From centres (N, n_geoms, 3), m, and rotations (N, n_geoms, 9) of all geoms to (N,), m.
HeightMeasure = Callable[[Any, Any], Any]


def locate_point(xpos: Any, xmat: Any, offset: Any) -> Any:
    """Return a point ``(…, 3)``, m, that is given in a frame at ``xpos``, turned by ``xmat``."""
    return xpos + xmat.reshape(*xmat.shape[:-1], 3, 3) @ np.asarray(offset)


def make_lowest_measure(model: Any, kind: str, name: str, floor: str | None) -> HeightMeasure:
    """Return a measure of the lowest point above the floor, negative below it.

    It is that of a ``body`` with all that hangs on it, or of one ``geom``; the floor is a plane by
    name, or z = 0.

    Raises:
        ValueError: there is no geom, or one whose shape has no lowest point.
    """
    import mujoco

    plane = _find_plane(model, floor)
    geoms = [model.geom(name).id] if kind == "geom" else _find_geoms(model, model.body(name).id)
    if not geoms:
        raise ValueError(f"lowest:{name}: the body has no geom; name a body with geoms")
    meshes = [geom for geom in geoms if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH]
    measures = [_make_mesh_measure(model, geom, plane) for geom in meshes]
    if len(meshes) < len(geoms):
        shapes = [geom for geom in geoms if geom not in meshes]
        measures.append(_make_shapes_measure(model, shapes, plane))
    if len(measures) == 1:
        return measures[0]
    return lambda xpos, xmat: np.min([measure(xpos, xmat) for measure in measures], axis=0)


def _find_plane(model: Any, floor: str | None) -> tuple[Any, Any]:
    """Return a point ``(3,)`` on the floor, m, and its unit normal ``(3,)``."""
    import mujoco

    if floor is None:
        return np.zeros(3), np.array([0.0, 0.0, 1.0])
    geom = model.geom(floor)
    if geom.type[0] != mujoco.mjtGeom.mjGEOM_PLANE or geom.bodyid[0] != 0:
        raise ValueError(f"model.floor {floor!r} is not a plane fixed to the world")
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, geom.quat)
    return np.array(geom.pos), rotation.reshape(3, 3)[:, 2].copy()


def _find_geoms(model: Any, body: int) -> list[int]:
    """Return the geoms of a body and its descendants; only those that collide, if any does."""
    bodies = {body}
    for child in range(body + 1, model.nbody):
        if model.body_parentid[child] in bodies:
            bodies.add(child)
    geoms = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in bodies]
    colliding = [g for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
    return colliding or geoms


def _make_shapes_measure(model: Any, geoms: list[int], plane: tuple[Any, Any]) -> HeightMeasure:
    shapes = [_describe_shape(model, geom) for geom in geoms]
    ball, box, ellipsoid = (np.array(part) for part in zip(*shapes, strict=True))
    origin, normal = plane
    rows = np.array(geoms)

    def measure(xpos: Any, xmat: Any) -> Any:
        rotation = xmat[:, rows].reshape(len(xmat), len(rows), 3, 3)
        along = np.swapaxes(rotation, -1, -2) @ normal
        extent = ball + np.sum(box * np.abs(along), axis=-1)
        extent += np.sqrt(np.sum(np.square(ellipsoid * along), axis=-1))
        centre = (xpos[:, rows] - origin) @ normal
        return np.min(centre - extent, axis=-1)

    return measure


def _describe_shape(model: Any, geom: int) -> tuple[float, Any, Any]:
    """Return ball (radius), box and ellipsoid (half axes), m, whose sum a geom is."""
    import mujoco

    first, second, third = map(float, model.geom_size[geom])
    kinds, flat = mujoco.mjtGeom, (0.0, 0.0, 0.0)
    shapes = {
        kinds.mjGEOM_SPHERE: (first, flat, flat),
        kinds.mjGEOM_CAPSULE: (first, (0.0, 0.0, second), flat),
        kinds.mjGEOM_CYLINDER: (0.0, (0.0, 0.0, second), (first, first, 0.0)),
        kinds.mjGEOM_BOX: (0.0, (first, second, third), flat),
        kinds.mjGEOM_ELLIPSOID: (0.0, flat, (first, second, third)),
    }
    kind = kinds(model.geom_type[geom])
    if kind not in shapes:
        name = model.geom(geom).name or geom
        raise ValueError(f"lowest: geom {name!r} is a {kind.name}, which has no lowest point")
    return shapes[kind]


def _make_mesh_measure(model: Any, geom: int, plane: tuple[Any, Any]) -> HeightMeasure:
    mesh = model.geom_dataid[geom]
    start = model.mesh_vertadr[mesh]
    vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]].astype(np.float64)
    origin, normal = plane

    def measure(xpos: Any, xmat: Any) -> Any:
        along = np.swapaxes(xmat[:, geom].reshape(len(xmat), 3, 3), -1, -2) @ normal
        return (xpos[:, geom] - origin) @ normal + np.min(along @ vertices.T, axis=-1)

    return measure
