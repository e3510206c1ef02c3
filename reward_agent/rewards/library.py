"""Functions that every reward program may call by name: bounded terms, angles, quaternions.

All are pure, batched and written for arrays of any leading shape. Quaternions are MuJoCo's:
``(w, x, y, z)`` along the last axis, of unit length, rotating body coordinates to the world's.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.text import read_docstring

Array = NDArray[np.float64]
Sigmoid = Literal["gaussian", "linear", "quadratic", "cosine", "hyperbolic", "long_tail",
                  "reciprocal", "tanh_squared"]  # fmt: skip


def tolerance(
    x: ArrayLike,
    bounds: tuple[float, float] = (0.0, 0.0),
    margin: float = 0.0,
    sigmoid: Sigmoid = "gaussian",
    value_at_margin: float = 0.1,
) -> Array:
    """Return 1 where x lies within bounds, falling smoothly to 0 outside of them.

    Args:
        x: values, any shape.
        bounds: inclusive (lower, upper); may be infinite.
        margin: distance outside of the bounds at which the result is ``value_at_margin``; with 0
            the result is 0 everywhere outside.
        sigmoid: shape of the fall.
        value_at_margin: result at a distance of ``margin``, in 0..1 (exclusive; 0 is allowed for
            linear, quadratic and cosine).

    Returns:
        Array of the shape of x, in 0..1.

    Raises:
        ValueError: bounds in the wrong order, a negative margin, or a value at the margin that the
            sigmoid cannot have.

    Source: dm_control, ``utils/rewards.py: tolerance`` (Tunyasuvunakool et al. 2020, The DeepMind
    Control Suite), Apache-2.0; the formulas are theirs.
    """
    lower, upper = bounds
    if lower > upper:
        raise ValueError(f"bounds ({lower}, {upper}): the lower bound must not exceed the upper")
    if margin < 0:
        raise ValueError(f"margin {margin}: it must be 0 or more")
    values = np.asarray(x, dtype=np.float64)
    if margin == 0:
        return ((values >= lower) & (values <= upper)).astype(np.float64)
    # fmax: between infinite bounds one of the two may be NaN.
    outside = np.maximum(np.fmax(lower - values, values - upper), 0.0)
    return _fall(outside / margin, value_at_margin, sigmoid)


def _fall(distance: Array, value_at_margin: float, sigmoid: str) -> Array:
    """Return a sigmoid that is 1 at distance 0 and ``value_at_margin`` at distance 1."""
    v = float(value_at_margin)
    reaches_zero = sigmoid in ("linear", "quadratic", "cosine")
    if not (0 <= v < 1 if reaches_zero else 0 < v < 1):
        raise ValueError(f"value_at_margin {v}: it must lie within 0..1 for {sigmoid!r}")
    if sigmoid == "gaussian":
        return np.asarray(np.exp(-0.5 * (distance * math.sqrt(-2 * math.log(v))) ** 2))
    if sigmoid == "hyperbolic":
        return np.asarray(1 / np.cosh(distance * math.acosh(1 / v)))
    if sigmoid == "long_tail":
        return np.asarray(1 / ((distance * math.sqrt(1 / v - 1)) ** 2 + 1))
    if sigmoid == "reciprocal":
        return np.asarray(1 / (np.abs(distance) * (1 / v - 1) + 1))
    if sigmoid == "tanh_squared":
        return np.asarray(1 - np.tanh(distance * math.atanh(math.sqrt(1 - v))) ** 2)
    return _fall_to_zero(distance, v, sigmoid)


def _fall_to_zero(distance: Array, v: float, sigmoid: str) -> Array:
    """Return a sigmoid of finite reach."""
    if sigmoid == "cosine":
        scaled = distance * math.acos(2 * v - 1) / math.pi
        return np.where(np.abs(scaled) < 1, (1 + np.cos(math.pi * np.clip(scaled, -1, 1))) / 2, 0.0)
    if sigmoid == "linear":
        return np.asarray(np.maximum(1 - np.abs(distance) * (1 - v), 0.0))
    if sigmoid == "quadratic":
        return np.asarray(np.maximum(1 - (distance * math.sqrt(1 - v)) ** 2, 0.0))
    known = "gaussian linear quadratic cosine hyperbolic long_tail reciprocal tanh_squared"
    raise ValueError(f"sigmoid {sigmoid!r}: expected one of {known}")


def wrap_angle(angle: ArrayLike) -> Array:
    """Return the angle (rad) brought into -π..π (π itself becomes -π)."""
    return np.asarray((np.asarray(angle, dtype=np.float64) + np.pi) % (2 * np.pi) - np.pi)


def angle_difference(angle: ArrayLike, reference: ArrayLike) -> Array:
    """Return the shortest signed turn (rad, in -π..π) from reference to angle."""
    return wrap_angle(np.subtract(angle, reference))


def normalize(vector: ArrayLike) -> Array:
    """Return the vector (…, k) divided by its length; a zero vector stays zero."""
    values = np.asarray(vector, dtype=np.float64)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / np.where(length > 0, length, 1.0))


def quat_multiply(left: ArrayLike, right: ArrayLike) -> Array:
    """Return the product (…, 4) of two quaternions: first right, then left.

    Source: Hamilton's product, as in MuJoCo's ``mju_mulQuat``.
    """
    w1, x1, y1, z1 = np.moveaxis(np.asarray(left, dtype=np.float64), -1, 0)
    w2, x2, y2, z2 = np.moveaxis(np.asarray(right, dtype=np.float64), -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )


def quat_conjugate(quaternion: ArrayLike) -> Array:
    """Return the inverse rotation (…, 4) of a unit quaternion."""
    return np.asarray(np.asarray(quaternion, dtype=np.float64) * [1.0, -1.0, -1.0, -1.0])


def rotate_vector(quaternion: ArrayLike, vector: ArrayLike) -> Array:
    """Return the vector (…, 3) of body coordinates in the world's.

    Source: v + 2w(u×v) + 2u×(u×v) with q = (w, u), as in MuJoCo's ``mju_rotVecQuat``.
    """
    q = np.asarray(quaternion, dtype=np.float64)
    v = np.asarray(vector, dtype=np.float64)
    axis = q[..., 1:]
    turned = 2.0 * np.cross(axis, np.broadcast_to(v, (*axis.shape[:-1], 3)))
    return np.asarray(v + q[..., :1] * turned + np.cross(axis, turned))


def quat_to_euler(quaternion: ArrayLike) -> Array:
    """Return roll, pitch, yaw (…, 3) in rad: rotations about z, then y', then x''.

    Source: Diebel 2006, Representing Attitude, equation 290 (sequence 3-2-1).
    """
    w, x, y, z = np.moveaxis(np.asarray(quaternion, dtype=np.float64), -1, 0)
    roll = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2 * (w * y - z * x), -1.0, 1.0))
    yaw = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return np.stack([roll, pitch, yaw], axis=-1)


def quat_to_roll(quaternion: ArrayLike) -> Array:
    """Return the roll angle (…,) in -π..π rad, about the body's x axis."""
    return np.asarray(quat_to_euler(quaternion)[..., 0])


def quat_to_pitch(quaternion: ArrayLike) -> Array:
    """Return the pitch angle (…,) in -π/2..π/2 rad, about the body's y axis."""
    return np.asarray(quat_to_euler(quaternion)[..., 1])


def quat_to_yaw(quaternion: ArrayLike) -> Array:
    """Return the heading (…,) in -π..π rad, about the world's z axis."""
    return np.asarray(quat_to_euler(quaternion)[..., 2])


def quat_angle(quaternion: ArrayLike, reference: ArrayLike) -> Array:
    """Return the angle (…,) in 0..π rad of the turn between two orientations."""
    turn = quat_multiply(quaternion, quat_conjugate(reference))
    return np.asarray(
        2.0 * np.arctan2(np.linalg.norm(turn[..., 1:], axis=-1), np.abs(turn[..., 0]))
    )


def next_stage(stage: ArrayLike, *gates: ArrayLike) -> Array:
    """Return the stage (N,) after a step: one further where the gate of the present one is open."""
    now = np.asarray(stage, dtype=np.float64)
    steps = [(now == k) & (np.asarray(gate) > 0.5) for k, gate in enumerate(gates)]
    return np.asarray(now + np.sum(steps, axis=0))


LIBRARY: dict[str, Any] = {
    function.__name__: function
    for function in (
        tolerance,
        wrap_angle,
        angle_difference,
        normalize,
        quat_multiply,
        quat_conjugate,
        rotate_vector,
        quat_to_euler,
        quat_to_roll,
        quat_to_pitch,
        quat_to_yaw,
        quat_angle,
        next_stage,
    )
}


def describe_library() -> str:
    """Return the signature and first line of every helper, as text for a prompt."""
    return describe_functions(LIBRARY)


def describe_functions(functions: Mapping[str, Callable[..., Any]]) -> str:
    """Return the signature and first line of functions by name, as text for a prompt."""
    lines = []
    for name, function in functions.items():
        names = [
            parameter.name
            if parameter.default is parameter.empty
            else f"{parameter.name}={parameter.default!r}"
            for parameter in inspect.signature(function).parameters.values()
        ]
        summary = read_docstring(function).splitlines()[0]
        lines.append(f"{name}({', '.join(names)})  # {summary}")
    return "\n".join(lines)
