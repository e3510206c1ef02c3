import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.simulation.mujoco_film import plan_camera
from reward_agent.simulation.mujoco_model import make_model


def plan(env, change, n_frames=60):
    """Plan for an environment at rest with one coordinate that changes linearly."""
    model = make_model(load_env(env), fields=())
    qpos = np.repeat(model.qpos0[None], n_frames, axis=0)
    for coordinate, reach in change.items():
        qpos[:, coordinate] += np.linspace(0, reach, n_frames)
    return plan_camera(model, qpos, 0.04, 1.5)


def test_planar_robot_is_seen_from_the_side():
    path = plan("hopper", {1: 0.1})
    assert path.azimuth == 90
    assert -15 < path.elevation < 0


def test_arm_on_a_table_is_seen_from_above_by_a_camera_that_stands():
    path = plan("reacher", {0: 3.0, 1: 1.0})
    assert path.elevation == -80
    assert np.ptp(path.lookat, axis=0).max() == 0


def test_robot_that_leaves_is_followed_along_the_floor_only():
    path = plan("hopper", {0: 10.0, 1: 0.3})
    assert np.ptp(path.lookat[:, 0]) > 8
    assert np.ptp(path.lookat[:, 2]) == 0


@pytest.mark.parametrize("env", ["hopper", "ant", "humanoid", "inverted_pendulum", "reacher"])
def test_robot_fits_into_the_picture(env):
    path = plan(env, {0: 0.1})
    model = make_model(load_env(env), fields=())
    height = 2 * path.distance * np.tan(np.deg2rad(model.vis.global_.fovy / 2))
    assert 0.2 < height < 6


def test_single_frame_is_enough():
    assert plan("ant", {}, n_frames=1).lookat.shape == (1, 3)


def test_how_far_a_robot_goes_is_known_where_the_camera_stands_too():
    path = plan("hopper", {0: 0.6})
    assert np.ptp(path.lookat, axis=0).max() == 0
    assert path.way == pytest.approx([0.6, 0.0])
    assert plan("reacher", {0: 3.0, 1: 1.0}).way.max() < 0.2
