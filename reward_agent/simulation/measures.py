"""Geometry of MuJoCo's shapes, exact for every one, and of frames, N simulations at once.

``export`` copies this text into the files that it writes: so nothing here imports from this
project, and MuJoCo is imported when something is measured.

Each of MuJoCo's primitive shapes is a Minkowski sum of a ball, a box and an ellipsoid, some of
them flat: a capsule is a ball and a segment, a cylinder a disc and a segment. Its extent below
its centre along the floor's normal n, with u = R^T n the normal in the shape's own frame, is

    ball + sum_i box_i |u_i| + sqrt(sum_i (ellipsoid_i u_i)^2)

Source: support functions add under Minkowski sums (Schneider, Convex Bodies, theorem 1.7.5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# From centres (N, n_geoms, 3), m, and rotations (N, n_geoms, 9) of all geoms to (N,), m.
HeightMeasure = Callable[[Any, Any], Any]


def locate_point(xpos: Any, xmat: Any, offset: Any) -> Any:
    """Return a point ``(…, 3)``, m, that is given in a frame at ``xpos``, turned by ``xmat``."""
    return xpos + xmat.reshape(*xmat.shape[:-1], 3, 3) @ np.asarray(offset)


def make_lowest_measure(
    model: Any, kind: str, name: str | int, floors: Sequence[str | int]
) -> HeightMeasure:
    """Return a measure of the lowest point above the floor, negative below it.

    It is that of a ``body`` with all that hangs on it, or of one ``geom``. Its height is above the
    nearest plane of the floor, along its normal; without a plane above the level of the top of the
    floor's first geom (of a height field its zero); without a floor above z = 0.

    Raises:
        ValueError: there is no geom, or one whose shape has no lowest point, or the floor moves.
    """
    import mujoco

    planes = _find_planes(model, floors)
    geoms = [model.geom(name).id] if kind == "geom" else _find_geoms(model, model.body(name).id)
    if not geoms:
        raise ValueError(f"lowest:{name}: the body has no geom; name a body with geoms")
    meshes = [geom for geom in geoms if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH]
    shapes = [geom for geom in geoms if geom not in meshes]
    measures = [_make_mesh_measure(model, mesh, plane) for plane in planes for mesh in meshes]
    measures += [_make_shapes_measure(model, shapes, plane) for plane in planes if shapes]
    if len(measures) == 1:
        return measures[0]
    return lambda xpos, xmat: np.min([measure(xpos, xmat) for measure in measures], axis=0)


def _find_planes(model: Any, floors: Sequence[str | int]) -> list[tuple[Any, Any]]:
    """Return a point ``(3,)``, m, and the unit normal ``(3,)`` of each plane of the floor."""
    import mujoco

    if not floors:
        return [(np.zeros(3), np.array([0.0, 0.0, 1.0]))]
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    geoms = [model.geom(floor).id for floor in floors]
    for geom in geoms:
        body = model.geom_bodyid[geom]
        if model.body_weldid[body] != 0 or model.body_mocapid[body] >= 0:
            raise ValueError(f"lowest: geom {_show(model, geom)} of the floor can move")
    planes = [geom for geom in geoms if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_PLANE]
    if planes:
        return [(data.geom_xpos[geom].copy(), data.geom_xmat[geom][2::3].copy()) for geom in planes]
    return [(_find_top(model, data, geoms[0]), np.array([0.0, 0.0, 1.0]))]


def _find_top(model: Any, data: Any, geom: int) -> Any:
    """Return a point ``(3,)``, m, as high as a geom is; as a height field's zero."""
    import mujoco

    origin = data.geom_xpos[geom].copy()
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_HFIELD:
        return origin
    down = origin.copy(), np.array([0.0, 0.0, -1.0])
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
        measure = _make_mesh_measure(model, geom, down)
    else:
        measure = _make_shapes_measure(model, [geom], down)
    origin[2] -= measure(data.geom_xpos[None], data.geom_xmat[None])[0]
    return origin


def _show(model: Any, geom: int) -> str:
    return repr(model.geom(geom).name or f"#{geom}")


def _find_geoms(model: Any, body: int) -> list[int]:
    """Return the geoms of a body and its descendants; only those that collide, if any does."""
    bodies = list_subtree(model, body)
    geoms = [geom for geom in range(model.ngeom) if model.geom_bodyid[geom] in bodies]
    colliding = [g for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
    return colliding or geoms


def list_subtree(model: Any, body: int) -> list[int]:
    """Return a body and all that hangs on it, in their order."""
    bodies = {body}
    for child in range(body + 1, model.nbody):
        if model.body_parentid[child] in bodies:
            bodies.add(child)
    return sorted(bodies)


def _make_shapes_measure(model: Any, geoms: list[int], plane: tuple[Any, Any]) -> HeightMeasure:
    shapes = [_describe_shape(model, geom) for geom in geoms]
    ball, box, ellipsoid = (np.array(part) for part in zip(*shapes, strict=True))
    has_box, has_ellipsoid = box.any(), ellipsoid.any()
    rows = np.array(geoms)

    def measure(xpos: Any, xmat: Any) -> Any:
        along = _see_normal(xmat[:, rows], plane)
        extent = ball
        if has_box:
            extent = extent + _add_three(box * np.abs(along))
        if has_ellipsoid:
            extent = extent + np.sqrt(_add_three(np.square(ellipsoid * along)))
        return np.min(_measure_height(xpos[:, rows], plane) - extent, axis=-1)

    return measure


def _see_normal(xmat: Any, plane: tuple[Any, Any]) -> Any:
    """Return the normal ``(…, 3)`` of a plane as frames ``(…, 9)`` see it."""
    if tuple(plane[1]) == _UPWARD:
        return xmat[..., 6:]
    return np.swapaxes(xmat.reshape(*xmat.shape[:-1], 3, 3), -1, -2) @ plane[1]


def _measure_height(points: Any, plane: tuple[Any, Any]) -> Any:
    origin, normal = plane
    if tuple(normal) == _UPWARD:
        return points[..., 2] - float(origin[2])
    return (points - origin) @ normal


def _add_three(parts: Any) -> Any:
    return parts[..., 0] + parts[..., 1] + parts[..., 2]


_UPWARD = (0.0, 0.0, 1.0)


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
        shape = kind.name.removeprefix("mjGEOM_").lower()
        raise ValueError(f"lowest: geom {_show(model, geom)} is a {shape}, which has no end")
    return shapes[kind]


def _make_mesh_measure(model: Any, geom: int, plane: tuple[Any, Any]) -> HeightMeasure:
    mesh = model.geom_dataid[geom]
    start = model.mesh_vertadr[mesh]
    vertices = model.mesh_vert[start : start + model.mesh_vertnum[mesh]].astype(np.float64)

    def measure(xpos: Any, xmat: Any) -> Any:
        along = _see_normal(xmat[:, geom], plane) @ vertices.T
        return _measure_height(xpos[:, geom], plane) + np.min(along, axis=-1)

    return measure


# Divides what has no direction, whose angle is 0, without a warning.
_TINY = 1e-300


def _is_any(mask: Any) -> bool:
    """Whether a rare case is there to be worked out: what is computed is the same if it is not."""
    return bool(mask.any())


def _take_axis(xmat: Any, axis: float) -> Any:
    """Return an axis ``(…, 3)``, in the world, of frames that are turned by ``xmat`` ``(…, 9)``.

    An axis is a number: 1, 2, 3 for the frame's own x, y, z, negative for the opposite.
    """
    column = xmat[..., abs(int(axis)) - 1 :: 3]
    return column if axis > 0 else -column


def _find_left(forward: float, up: float) -> float:
    """Return the axis that is to the left of one, with another up."""
    first, third = abs(int(forward)), abs(int(up))
    is_right_handed = (first - third) % 3 == 1
    left = float(6 - first - third)
    return left if (forward * up > 0) == is_right_handed else -left


def _take_height(xmat: Any, axis: float) -> Any:
    """Return the vertical part ``(…)`` of an axis."""
    height = xmat[..., 5 + abs(int(axis))]
    return height if axis > 0 else -height


def measure_roll(xmat: Any, forward: float, up: float) -> Any:
    """Return by how much frames tip to their right, rad, from -pi to pi.

    Roll, pitch and yaw turn a frame from the world's about its forward axis, then about the
    horizontal axis to the left of its heading, then about the vertical.
    """
    left = _find_left(forward, up)
    return np.arctan2(_take_height(xmat, left), _take_height(xmat, up))


def measure_pitch(xmat: Any, forward: float, up: float) -> Any:
    """Return by how much frames tip forward, rad, from -pi/2 to pi/2."""
    left = _find_left(forward, up)
    flat = np.hypot(_take_height(xmat, left), _take_height(xmat, up))
    return np.arctan2(-_take_height(xmat, forward), flat)


def measure_yaw(xmat: Any, forward: float, up: float) -> Any:
    """Return how far to the left of x frames head, rad, from -pi to pi."""
    x, y = _find_heading(xmat, forward, up)
    return np.arctan2(y, x)


def _find_heading(xmat: Any, forward: float, up: float) -> tuple[Any, Any]:
    """Return x and y, each ``(…)``, of where frames head, 1 long.

    One that faces straight up or down heads where its back or its head points.
    """
    ahead = _take_axis(xmat, forward)
    x, y = ahead[..., 0], ahead[..., 1]
    length = np.hypot(x, y)
    is_steep = length < 1e-9
    if _is_any(is_steep):
        sign, other = -np.sign(ahead[..., 2]), _take_axis(xmat, up)
        x = np.where(is_steep, sign * other[..., 0], x)
        y = np.where(is_steep, sign * other[..., 1], y)
        length = np.maximum(np.hypot(x, y), _TINY)
    return x / length, y / length


def turn_local(xmat: Any, vector: Any, forward: float, up: float) -> Any:
    """Return vectors ``(…, 3)`` of the world as frames see them: forward, left, up."""
    own = np.matmul(vector[..., None, :], xmat.reshape(*xmat.shape[:-1], 3, 3))[..., 0, :]
    axes = (forward, _find_left(forward, up), up)
    if axes == _OWN_AXES:
        return own
    return own[..., np.abs(axes).astype(int) - 1] * np.sign(axes)


_OWN_AXES = (1.0, 2.0, 3.0)


def turn_level(xmat: Any, vector: Any, forward: float, up: float) -> Any:
    """Return vectors ``(…, 3)`` of the world as seen along the frames' headings, z up."""
    ahead, aside = _find_heading(xmat, forward, up)
    seen, x, y = vector.copy(), vector[..., 0], vector[..., 1]
    seen[..., 0] = x * ahead + y * aside
    seen[..., 1] = y * ahead - x * aside
    return seen


def measure_velocity(cvel: Any, centre: Any, xpos: Any) -> Any:
    """Return the velocity ``(…, 3)``, m/s, of points that move with bodies.

    Args:
        cvel: ``(…, 6)``, angular velocity and that of what passes ``centre``, in the world.
        centre: ``(…, 3)``, centre of mass of the tree, about which MuJoCo expresses them.
        xpos: ``(…, 3)`` of the points.
    """
    arm = xpos - centre
    turn = cvel.take(_CROSS, -1) * arm.take(_CROSSED, -1)
    return cvel[..., 3:] + (turn[..., :3] - turn[..., 3:])


# Entries whose products are the six terms of a cross product, the subtracted ones last.
_CROSS = np.array([1, 2, 0, 2, 0, 1])
_CROSSED = np.array([2, 0, 1, 1, 2, 0])


def measure_rotation(first: Any, second: Any) -> Any:
    """Return the rotation vector ``(…, 3)``, rad, of second frames seen from first ones.

    It is at most pi long. Both are ``xmat`` ``(…, 9)``.
    """
    shape = (*first.shape[:-1], 3, 3)
    turn = np.swapaxes(first.reshape(shape), -1, -2) @ second.reshape(shape)
    # Twice sine times axis, and twice cosine, of the angle.
    axis = np.empty((*shape[:-2], 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        axis[..., i] = turn[..., k, j] - turn[..., j, k]
    sine = np.sqrt(np.einsum("...i,...i->...", axis, axis))
    cosine = np.einsum("...ii->...", turn) - 1.0
    angle, length = np.arctan2(sine, cosine), sine
    is_half = np.asarray(cosine < -1.99)[..., None]
    if _is_any(is_half):
        axis = np.where(is_half, _find_axis_of_half_turn(turn, cosine, axis), axis)
        length = np.sqrt(np.einsum("...i,...i->...", axis, axis))
    return axis * (angle / np.maximum(length, _TINY))[..., None]


def _find_axis_of_half_turn(turn: Any, cosine: Any, sense: Any) -> Any:
    """Return the axis ``(…, 3)``, of any length, of rotations by about pi.

    Without what turns either way a rotation is cos I + (1 - cos) n n^T, after Rodrigues.
    """
    outer = turn + np.swapaxes(turn, -1, -2) - cosine[..., None, None] * np.eye(3)
    largest = np.argmax(np.diagonal(outer, axis1=-2, axis2=-1), axis=-1)[..., None, None]
    axis = np.take_along_axis(outer, largest, axis=-1)[..., 0]
    is_against = np.sum(axis * sense, axis=-1, keepdims=True) < 0
    return np.where(is_against, -axis, axis)
