"""The helpers of programs agree with their sources."""

import mujoco
import numpy as np
import pytest

from reward_agent.rewards import library
from reward_agent.rewards.library import describe_library, tolerance

RNG = np.random.default_rng(0)
SIGMOIDS = ["gaussian", "linear", "quadratic", "cosine", "hyperbolic", "long_tail", "reciprocal",
            "tanh_squared"]  # fmt: skip


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_tolerance_is_one_inside_and_has_its_value_at_the_margin(sigmoid):
    x = np.array([0.0, 1.0, 2.0, -1.5, 3.5])
    paid = tolerance(x, bounds=(0.0, 2.0), margin=1.5, sigmoid=sigmoid, value_at_margin=0.25)
    np.testing.assert_allclose(paid, [1, 1, 1, 0.25, 0.25], atol=1e-12)


@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_tolerance_falls_with_the_distance(sigmoid):
    distance = np.linspace(0, 5, 200)
    paid = tolerance(distance, margin=1.0, sigmoid=sigmoid)
    assert (np.diff(paid) <= 1e-12).all()
    assert paid.min() >= 0
    np.testing.assert_allclose(paid, tolerance(-distance, margin=1.0, sigmoid=sigmoid))


# Computed with dm_control's own formulas: value at margin 0.1, bounds (1, 2), margin 2, x = 4.
@pytest.mark.parametrize(
    ("sigmoid", "at_double"),
    [("gaussian", 0.1), ("linear", 0.1), ("quadratic", 0.1), ("cosine", 0.1)],
)
def test_tolerance_at_the_margin_is_the_same_on_both_sides(sigmoid, at_double):
    paid = tolerance([4.0, -1.0], bounds=(1, 2), margin=2, sigmoid=sigmoid)
    np.testing.assert_allclose(paid, at_double)


def test_tolerance_half_way_is_what_the_formulas_of_dm_control_give():
    half = {
        "gaussian": np.exp(-0.5 * (0.5 * np.sqrt(-2 * np.log(0.1))) ** 2),
        "linear": 1 - 0.5 * 0.9,
        "quadratic": 1 - (0.5 * np.sqrt(0.9)) ** 2,
        "long_tail": 1 / ((0.5 * np.sqrt(9.0)) ** 2 + 1),
        "reciprocal": 1 / (0.5 * 9.0 + 1),
        "cosine": (1 + np.cos(0.5 * np.arccos(-0.8))) / 2,
        "hyperbolic": 1 / np.cosh(0.5 * np.arccosh(10.0)),
        "tanh_squared": 1 - np.tanh(0.5 * np.arctanh(np.sqrt(0.9))) ** 2,
    }
    for sigmoid, expected in half.items():
        assert tolerance(0.5, margin=1.0, sigmoid=sigmoid) == pytest.approx(expected)


def test_tolerance_without_margin_is_a_step_and_bounds_may_be_infinite():
    np.testing.assert_array_equal(tolerance([0.9, 1.0, 1.1], bounds=(1, 1)), [0, 1, 0])
    np.testing.assert_array_equal(tolerance([-1e9, 5.0], bounds=(0, np.inf), margin=1.0), [0, 1])


@pytest.mark.parametrize(
    "wrong",
    [{"bounds": (2, 1)}, {"margin": -1}, {"margin": 1, "value_at_margin": 0},
     {"margin": 1, "value_at_margin": 1}, {"margin": 1, "sigmoid": "round"},
     {"margin": 1, "sigmoid": "linear", "value_at_margin": 1.0}],
)  # fmt: skip
def test_tolerance_says_what_is_wrong(wrong):
    with pytest.raises(ValueError, match=r"bounds|margin|sigmoid"):
        tolerance(np.array([5.0]), **wrong)


def random_quaternions(n):
    raw = RNG.normal(size=(n, 4))
    return raw / np.linalg.norm(raw, axis=-1, keepdims=True)


def test_rotation_is_mujocos():
    for quaternion, vector in zip(random_quaternions(20), RNG.normal(size=(20, 3)), strict=True):
        expected = np.zeros(3)
        mujoco.mju_rotVecQuat(expected, vector, quaternion)
        np.testing.assert_allclose(library.rotate_vector(quaternion, vector), expected, atol=1e-12)


def test_rotation_takes_batches_and_one_vector_for_all():
    quaternions = random_quaternions(5)
    up = library.rotate_vector(quaternions, np.array([0.0, 0.0, 1.0]))
    assert up.shape == (5, 3)
    np.testing.assert_allclose(np.linalg.norm(up, axis=-1), 1.0)


def test_product_is_mujocos():
    for left, right in zip(random_quaternions(10), random_quaternions(10), strict=True):
        expected = np.zeros(4)
        mujoco.mju_mulQuat(expected, left, right)
        np.testing.assert_allclose(library.quat_multiply(left, right), expected, atol=1e-12)


def test_euler_angles_are_those_that_made_the_quaternion():
    angles = RNG.uniform([-3, -1.5, -3], [3, 1.5, 3], size=(20, 3))
    for roll, pitch, yaw in angles:
        quaternion = np.zeros(4)
        mujoco.mju_euler2Quat(quaternion, np.array([yaw, pitch, roll]), "zyx")
        np.testing.assert_allclose(library.quat_to_euler(quaternion), [roll, pitch, yaw], atol=1e-9)
        assert library.quat_to_roll(quaternion) == pytest.approx(roll)
        assert library.quat_to_pitch(quaternion) == pytest.approx(pitch)
        assert library.quat_to_yaw(quaternion) == pytest.approx(yaw)


def test_angle_between_orientations_ignores_the_sign_of_the_quaternion():
    quaternions = random_quaternions(10)
    np.testing.assert_allclose(library.quat_angle(quaternions, -quaternions), 0.0, atol=1e-7)
    turned = np.array([np.cos(0.4), 0.0, np.sin(0.4), 0.0])
    assert library.quat_angle(turned, [1.0, 0, 0, 0]) == pytest.approx(0.8)


def test_angles_wrap_and_differ_by_the_shortest_way():
    np.testing.assert_allclose(
        library.wrap_angle([np.pi + 0.1, -7.0]), [-np.pi + 0.1, -7 + 2 * np.pi]
    )
    assert library.angle_difference(-3.0, 3.0) == pytest.approx(2 * np.pi - 6)


def test_normalize_keeps_a_zero_vector():
    np.testing.assert_array_equal(library.normalize([[0.0, 0.0], [3.0, 4.0]]), [[0, 0], [0.6, 0.8]])


def test_description_has_a_line_for_every_helper():
    lines = describe_library().splitlines()
    assert len(lines) == len(library.LIBRARY)
    assert lines[0].startswith("tolerance(x, bounds=(0.0, 0.0), margin=0.0, sigmoid='gaussian'")
