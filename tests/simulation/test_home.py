"""Actions are about the pose that the card calls home, and episodes start around it."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from support.scene import write_scene

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.mujoco_start import find_holding_controls, find_home

AROUND = 'action_mapping = "around_home"'
BENT = "[home]\njoints = { shoulder = -0.8, elbow = 0.5 }"


def _start(card: EnvCard, n_sims: int = 1, seed: int = 0) -> BatchSimulation:
    simulation = BatchSimulation(card, n_sims, seed)
    simulation.reset()
    return simulation


def _measure_drift(simulation: BatchSimulation, n_steps: int = 50) -> float:
    start = simulation.qpos
    for _ in range(n_steps):
        simulation.step(np.zeros((simulation.n_sims, simulation.card.n_actions)))
    return float(np.abs(simulation.qpos - start)[:, 1:3].max())


def test_action_0_holds_the_home_pose(tmp_path: Path) -> None:
    assert _measure_drift(_start(write_scene(tmp_path, AROUND, BENT))) < 0.1


def test_the_keyframes_own_controls_would_not_hold_it(tmp_path: Path) -> None:
    keyframe = '[home]\nkeyframe = "raised"\ncontrols = '
    assert _measure_drift(_start(write_scene(tmp_path, AROUND, keyframe + '"pose"'))) < 0.1
    assert _measure_drift(_start(write_scene(tmp_path, AROUND, keyframe + '"keyframe"'))) > 0.3
    assert _measure_drift(_start(write_scene(tmp_path, AROUND, keyframe + '"zero"'))) > 0.3


def test_home_is_a_keyframe_by_number_with_joints_in_its_place(tmp_path: Path) -> None:
    home = "[home]\nkeyframe = 1\njoints = { elbow = 0.1, socket = [2, 0, 0, 0] }"
    qpos = _start(write_scene(tmp_path, "", home)).qpos[0]
    assert qpos[:3].tolist() == [0.2, -0.8, 0.1]
    assert qpos[-4:].tolist() == [1.0, 0.0, 0.0, 0.0]


def test_servos_are_told_where_geared_joints_are(tmp_path: Path) -> None:
    card = write_scene(tmp_path, AROUND, BENT)
    simulation = BatchSimulation(card, 1, 0)
    assert find_home(card, simulation.model).ctrl.tolist() == pytest.approx([-0.8, 1.0, 0.0])


def test_an_action_is_added_to_home_by_its_scale(tmp_path: Path) -> None:
    card = write_scene(tmp_path, AROUND + "\naction_scale = [0.5, 1.0, 0.1]", BENT)
    simulation = _start(card)
    simulation.step([[1.0, -1.0, 0.5]])
    assert simulation._ctrl[0].tolist() == pytest.approx([-0.3, 0.0, 0.05])


def test_controls_beyond_their_range_are_clipped(tmp_path: Path) -> None:
    card = write_scene(tmp_path, AROUND + "\naction_scale = 50.0", BENT)
    one, more = _start(card), _start(card)
    for _ in range(5):
        one.step([[1.0, 0.0, 0.0]])
        more.step([[0.056, 0.0, 0.0]])
    np.testing.assert_allclose(one.qpos, more.qpos, atol=1e-12)


def test_a_wrong_number_of_scales_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="action_scale has 2 numbers, the model has 3 actuators"):
        BatchSimulation(write_scene(tmp_path, AROUND + "\naction_scale = [1.0, 2.0]"), 1, 0)


def test_rescaled_needs_a_control_range(tmp_path: Path) -> None:
    rescaled = 'action_mapping = "rescaled"'
    with pytest.raises(DataError, match="'elbow_servo' has no control range") as caught:
        BatchSimulation(write_scene(tmp_path, rescaled), 1, 0)
    assert "[model.control_ranges] elbow_servo" in caught.value.remedy
    ranges = "control_ranges = { elbow_servo = [-4.0, 4.0], shoulder = [-1.0, 1.0] }"
    simulation = _start(write_scene(tmp_path, rescaled, model=ranges))
    simulation.step([[1.0, 0.5, 1.0]])
    assert simulation._ctrl[0].tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("[home]\nkeyframe = 2", "no keyframe 2: it has 2"),
        ("[home]\njoints = { elbw = 1.0 }", "no joint named 'elbw'; did you mean 'elbow'"),
        ("[home]\njoints = { socket = 1.0 }", "joint 'socket' has 4 numbers, 1 are given"),
        ('[home]\ncontrols = "keyframe"', "home names none"),
    ],
)
def test_a_home_that_the_model_does_not_have_is_refused(
    tmp_path: Path, tables: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        BatchSimulation(write_scene(tmp_path, "", tables), 1, 0)


def test_servos_on_tendons_and_with_filters_hold(tmp_path: Path) -> None:
    model = mujoco.MjModel.from_xml_string("""
<mujoco>
  <worldbody>
    <body><joint name="a"/><geom size="0.1" pos="0.2 0 0"/>
      <body><joint name="b" axis="0 1 0"/><geom size="0.1" pos="0.2 0 0"/></body>
    </body>
  </worldbody>
  <tendon><fixed name="t"><joint joint="a" coef="1"/><joint joint="b" coef="-2"/></fixed></tendon>
  <actuator>
    <position tendon="t" kp="3"/>
    <position joint="a" kp="3" timeconst="0.1"/>
    <intvelocity joint="b" kp="3" actrange="-3 3"/>
    <velocity joint="a" kv="3"/>
    <damper joint="a" kv="3" ctrlrange="0 1"/>
    <motor joint="b"/>
  </actuator>
</mujoco>""")
    ctrl, act = find_holding_controls(model, np.array([0.4, 0.3]))
    assert ctrl.tolist() == pytest.approx([-0.2, 0.4, 0.0, 0.0, 0.0, 0.0])
    assert act == pytest.approx({0: 0.4, 1: 0.3})


def test_episodes_start_from_any_of_several_keyframes(tmp_path: Path) -> None:
    card = write_scene(tmp_path, "", '[reset]\nkeyframes = [0, "raised"]')
    elbow = _start(card, 40).qpos[:, 2]
    assert set(elbow.tolist()) == {0.0, 0.5}


def test_noise_by_joint_turns_a_quaternion_and_keeps_its_length(tmp_path: Path) -> None:
    noise = "[reset]\nqpos_uniform = 0.5\njoints = { elbow = 0.1, socket = 0.2, cube_free = 0.0 }"
    simulation = _start(write_scene(tmp_path, "", noise), 200)
    qpos = simulation.qpos
    assert np.abs(qpos[:, 2]).max() <= 0.1 < np.abs(qpos[:, 1]).max()
    assert qpos[:, 3:10].tolist() == [[1, 0, 0.1, 1, 0, 0, 0]] * 200
    np.testing.assert_allclose(np.linalg.norm(qpos[:, 10:], axis=1), 1.0)
    angle = 2 * np.arccos(qpos[:, 10])
    assert 0.1 < angle.max() <= 0.2 * np.sqrt(3)


def test_a_free_joint_is_moved_and_turned(tmp_path: Path) -> None:
    qpos = _start(write_scene(tmp_path, "", "[reset]\njoints = { cube_free = 0.1 }"), 50).qpos
    assert 0.05 < np.abs(qpos[:, 3:6] - [1, 0, 0.1]).max() <= 0.1
    np.testing.assert_allclose(np.linalg.norm(qpos[:, 6:10], axis=1), 1.0)
    assert (qpos[:, 6] < 1.0).all()


def test_a_joint_that_noise_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no joint named 'ellbow'"):
        BatchSimulation(write_scene(tmp_path, "", "[reset]\njoints = { ellbow = 0.1 }"), 1, 0)


MOCAP = '[[mocap_actions]]\nbody = "hand"\naxes = "xz"\nstep = 0.1'


def test_actions_move_a_mocap_body(tmp_path: Path) -> None:
    card = write_scene(tmp_path, AROUND, MOCAP, actions=', "hand_x", "hand_z"')
    simulation = _start(card, 2)
    simulation.step([[0.0, 0.0, 0.0, 1.0, -0.5], [0.0, 0.0, 0.0, 5.0, 0.0]])
    simulation.step(np.ones((2, 5)), ids=[1])
    hand = simulation._batch.bind("mocap_pos")[:, 0]
    np.testing.assert_allclose(hand, [[0.1, 0.0, 1.95], [0.2, 0.0, 2.1]])


def test_actions_are_counted_with_those_of_mocap_bodies(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 actuators, and mocap_actions 2 axes"):
        BatchSimulation(write_scene(tmp_path, "", MOCAP), 1, 0)
    wrong = MOCAP.replace("hand", "arm")
    with pytest.raises(DataError, match="no mocap body named 'arm'"):
        BatchSimulation(write_scene(tmp_path, "", wrong, actions=', "x", "z"'), 1, 0)


WELD = '<equality><weld body1="{}" body2="{}"/></equality></mujoco>'


@pytest.mark.parametrize("pair", [("hand", "fore"), ("fore", "hand")])
def test_a_mocap_body_starts_where_its_weld_pulls_nothing(
    tmp_path: Path, pair: tuple[str, str]
) -> None:
    mocap = MOCAP + "\n" + BENT
    card = write_scene(tmp_path, AROUND, mocap, actions=', "hand_x", "hand_z"')
    path = tmp_path / "scene.xml"
    path.write_text(path.read_text().replace("</mujoco>", WELD.format(*pair)))
    simulation = _start(card)
    assert np.abs(simulation._batch.bind("mocap_pos")[0, 0] - [0, 0, 2]).max() > 0.1
    assert _measure_drift(simulation, 20) < 0.02
