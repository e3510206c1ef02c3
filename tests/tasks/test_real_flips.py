"""The strict flips are within this robot's reach: torques found by search, played in MuJoCo.

``data/<flip>.npz`` holds ``action_e4`` (400, 3): the torques of one episode times 10,000, found by
the cross-entropy method (take-off to landing) and planning (standing), for the reset of seed 0.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

FLIPS = ("back_flip", "front_flip")


@pytest.mark.parametrize("flip", FLIPS)
def test_real_flip_passes_the_strict_metric(flip, record, load_metric, load_flip_actions):
    score = load_metric("hopper", flip)(record("hopper", flip, load_flip_actions(flip)))
    assert score.success, score
    assert score.task_score == pytest.approx(1.0)
    assert score.parts["other_part_on_floor"] == 0.0
    assert score.parts["stood"] > 1.0


@pytest.mark.parametrize(("flip", "other"), [FLIPS, FLIPS[::-1]])
def test_real_flip_is_worth_little_as_its_opposite(
    flip, other, record, load_metric, load_flip_actions
):
    score = load_metric("hopper", other)(record("hopper", other, load_flip_actions(flip)))
    assert score.task_score < 0.2
    assert not score.success


@pytest.mark.parametrize("flip", FLIPS)
def test_real_flip_that_goes_limp_after_landing_is_no_success(
    flip, record, load_metric, load_flip_actions
):
    actions = load_flip_actions(flip)
    actions[170:] = 0.0
    score = load_metric("hopper", flip)(record("hopper", flip, actions))
    assert score.parts["landed"] == 1.0
    assert score.parts["fell_after_landing"] == 1.0
    assert not score.success


@pytest.mark.parametrize(("flip", "row"), [("back_flip", 20), ("front_flip", 85)])
def test_real_take_off_that_goes_limp_in_the_air_is_no_success(
    flip, row, record, load_metric, load_flip_actions
):
    actions = load_flip_actions(flip)
    actions[row:] = 0.0
    score = load_metric("hopper", flip)(record("hopper", flip, actions))
    assert 0.1 < score.task_score < 0.75
    assert not score.success


@pytest.mark.parametrize("flip", FLIPS)
@pytest.mark.parametrize("torque", [-1.0, 1.0])
@pytest.mark.parametrize("joint", [0, 1, 2])
def test_tipping_over_by_one_constant_torque_is_worth_little(
    flip, joint, torque, record, load_metric
):
    actions = np.zeros((400, 3))
    actions[:, joint] = torque
    score = load_metric("hopper", flip)(record("hopper", flip, actions))
    assert score.task_score < 0.25
    assert score.parts["landed"] == 0.0


@pytest.mark.parametrize("flip", FLIPS)
def test_program_that_follows_a_flip_follows_this_one(flip, record, load_flip_actions):
    program = Path("benchmarks/rewards") / f"{flip}_follow.py.txt"
    tree = ast.parse((Path(__file__).parents[2] / program).read_text())
    [table] = [node.value.args[0] for node in tree.body if _names(node) == "FLIP"]
    rows = np.array(ast.literal_eval(table))
    episode = record("hopper", flip, load_flip_actions(flip))
    single = ("forward_velocity", "vertical_velocity", "torso_pitch_velocity")
    poses = np.column_stack(
        [episode.torso_height, episode.torso_pitch, episode.joint_angles]
        + [getattr(episode, name) for name in single]
        + [episode.joint_velocities]
    )[: 2 * len(rows) : 2]
    np.testing.assert_allclose(rows[:, :5], poses[:, :5], atol=0.0051)
    np.testing.assert_allclose(rows[:, 5:11], poses[:, 5:], atol=0.051)
    torques = load_flip_actions(flip)[: 2 * len(rows)].reshape(len(rows), 2, 3).mean(axis=1)
    np.testing.assert_allclose(rows[:, 11:], torques, atol=0.051)


def _names(node):
    return node.targets[0].id if isinstance(node, ast.Assign) else None
