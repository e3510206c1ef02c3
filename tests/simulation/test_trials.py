"""What ``envs check`` finds of a robot that floats, whatever its card claims: each fault by its name.

The good robot is a trunk on two position servos with a box beside it; a fault is one change.
"""

from __future__ import annotations

import re
from pathlib import Path

import mujoco
import pytest

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.simulation.mujoco_trials import can_touch, try_card
from reward_agent.types import Finding
from reward_agent.worker.check_env import check_card

MJCF = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.005"/>
  <worldbody>
    <geom name="ground" type="plane" size="5 5 0.1"/>
    <body name="trunk" pos="0 0 0.3">
      <freejoint name="root"/>
      <geom name="trunk" type="box" size="0.2 0.2 0.05" mass="2"/>
      <body name="left" pos="0 0.15 0">
        <joint name="left" axis="0 1 0" range="-1 1" damping="1"/>
        <geom name="left_foot" type="box" pos="0 0 -0.2" size="0.2 0.05 0.05" mass="0.3"/>
      </body>
      <body name="right" pos="0 -0.15 0">
        <joint name="right" axis="0 1 0" range="-1 1" damping="1"/>
        <geom name="right_foot" type="box" pos="0 0 -0.2" size="0.2 0.05 0.05" mass="0.3"/>
      </body>
    </body>
    <body name="box" pos="4 0 0.05">
      <freejoint name="box"/>
      <geom name="box" type="box" size="0.05 0.05 0.05" mass="0.1"/>
    </body>
  </worldbody>
  <actuator>
    <position name="left" joint="left" kp="40" ctrlrange="-1 1" ctrllimited="true"/>
    <position name="right" joint="right" kp="40" ctrlrange="-1 1" ctrllimited="true"/>
  </actuator>
</mujoco>
"""
CARD = """
title = "Stander"
description = "A trunk on two legs with broad feet, and a box."
control_dt = 0.02
max_episode_steps = 100
actions = ["left_target", "right_target"]
action_mapping = "rescaled"
observation = ["qpos[2:9]", "qvel[:8]"]
observation_size = 15
observation_range = [-30.0, 30.0]
termination = [{ field = "trunk_height", min = 0.15 }]

[model]
file = "stander.xml"
frame_skip = 4
floor = "ground"

[roles]
torso = "body:trunk"
object = "body:box"

[reset]
qpos_uniform = 0.01

[state.trunk]
trunk_height = { source = "body:trunk.xpos[2]", unit = "m", range = [0.0, 1.0], doc = "of its centre", role = "height" }
trunk_up = { source = "body:trunk.xmat[8]", unit = "1", range = [-1.0, 1.0], doc = "1 upright", role = "up" }
trunk_velocity = { source = "joint:root.qvel[:3]", size = 3, unit = "m/s", range = [-3.0, 3.0], doc = "x, y, z", role = "velocity" }
trunk_position = { source = "body:trunk.xpos", size = 3, unit = "m", range = [-5.0, 5.0], doc = "x, y, z", role = "position" }
left_angle = { source = "joint:left.qpos", unit = "rad", range = [-1.0, 1.0], doc = "positive swings it back" }
left_velocity = { source = "joint:left.qvel", unit = "rad/s", range = [-20.0, 20.0], doc = "of left_angle" }

[state.contacts]
left_foot_floor_contact = { source = "contact:left_foot", unit = "0/1", range = [0.0, 1.0], doc = "1 while it touches" }
box_contact = { source = "contact(geom:left_foot, geom:box)", unit = "0/1", range = [0.0, 1.0], doc = "1 while they touch" }
trunk_contact = { source = "contact:trunk", unit = "0/1", range = [0.0, 1.0], doc = "1 while it touches" }
"""


def write(folder: Path, mjcf: str = MJCF, card: str = CARD) -> EnvCard:
    place = folder / "stander"
    place.mkdir(exist_ok=True)
    (place / "stander.xml").write_text(mjcf)
    (place / "env.toml").write_text(card)
    return load_env(place)


def swap(text: str, before: str, after: str) -> str:
    assert before in text
    return text.replace(before, after)


def find(findings: tuple[Finding, ...], rule: str) -> list[Finding]:
    return [finding for finding in findings if finding.rule == f"card/{rule}"]


def test_a_robot_that_does_what_its_card_says_is_clean(tmp_path: Path) -> None:
    result = check_card(write(tmp_path))
    assert result.findings == ()
    assert any("'box_contact'" in note for note in result.notes)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('kp="40"', 'kp="40" gear="0"', "the gear of its actuator is 0"),
        ('name="right" joint="right" kp="40"', 'name="right" joint="right" kp="0"', "the gain"),
    ],
)
def test_a_motor_that_does_nothing_is_found(
    tmp_path: Path, before: str, after: str, why: str
) -> None:
    found = find(try_card(write(tmp_path, swap(MJCF, before, after))), "dead-motor")
    assert found[-1].message.startswith("action 'right_target' changes no velocity")
    assert why in found[-1].message
    assert found[0].severity == ("error" if len(found) == 2 else "warning")


def test_actions_of_no_size_are_found(tmp_path: Path) -> None:
    card = swap(CARD, '"rescaled"', '"around_home"\naction_scale = [0.0, 0.25]')
    (finding,) = find(try_card(write(tmp_path, card=card)), "dead-motor")
    assert "'left_target' changes no velocity" in finding.message
    assert "action_scale" in finding.remedy


def test_a_role_of_a_part_that_is_not_there_is_found(tmp_path: Path) -> None:
    card = swap(CARD, 'torso = "body:trunk"', 'torso = "body:trunc"\nfeet = ["geom:left_foot"]')
    (finding,) = try_card(write(tmp_path, card=card))
    assert "roles.torso: the model has no body named 'trunc'; did you mean" in finding.message


def test_a_motor_without_a_control_range_is_found(tmp_path: Path) -> None:
    mjcf = swap(MJCF, 'ctrlrange="-1 1" ctrllimited="true"', "")
    (finding,) = check_card(write(tmp_path, mjcf)).findings
    assert "'left' has no control range" in finding.message
    assert "model.control_ranges" in finding.remedy


def test_a_home_that_actions_hold_but_that_does_not_stand_is_found(tmp_path: Path) -> None:
    card = swap(CARD, '"rescaled"', '"around_home"\naction_scale = 0.25')
    assert try_card(write(tmp_path, card=card)) == ()
    mjcf = swap(MJCF, 'pos="0 0 -0.2" size="0.2 0.05', 'pos="0.2 0 -0.2" size="0.02 0.05')
    (finding,) = find(try_card(write(tmp_path, mjcf, card)), "falls")
    assert "the robot falls within" in finding.message


def test_a_start_outside_of_the_healthy_range_is_found(tmp_path: Path) -> None:
    (finding,) = find(try_card(write(tmp_path, card=swap(CARD, "min = 0.15", "min = 0.5"))), "ends")
    assert finding.severity == "error"
    assert "'trunk_height' is 0.3 at the start, its range is 0.5..inf" in finding.message


def test_noise_that_ends_some_episodes_at_once_is_found(tmp_path: Path) -> None:
    card = swap(
        swap(CARD, "min = 0.15", "min = 0.299"), "qpos_uniform = 0.01", "qpos_uniform = 0.02"
    )
    (finding,) = find(check_card(write(tmp_path, card=card)).findings, "ends")
    assert "episodes are over at their start (trunk_height)" in finding.message


def test_physics_that_diverge_are_called_that(tmp_path: Path) -> None:
    card = swap(CARD, "termination = [{ field", "termination = []\nnotes = []\n#")
    mjcf = swap(swap(MJCF, 'kp="40"', 'kp="1e7"'), 'range="-1 1" damping="1"', 'range="-1 1"')
    findings = check_card(
        write(
            tmp_path,
            swap(mjcf, "0.005", "0.02"),
            swap(
                swap(card, "frame_skip = 4", "frame_skip = 1"),
                "control_dt = 0.02",
                "control_dt = 0.02",
            ),
        )
    ).findings
    assert find(findings, "diverges")
    assert not find(findings, "range")


def test_an_action_0_that_moves_a_servo_far_is_found(tmp_path: Path) -> None:
    mjcf = swap(MJCF, 'ctrlrange="-1 1"', 'ctrlrange="0 2"')
    (finding,) = find(try_card(write(tmp_path, mjcf)), "moves")
    assert "at action 0 joint 'left' moves by 1 rad" in finding.message
    assert "around_home" in finding.remedy


@pytest.mark.parametrize(
    ("before", "after", "rule", "message"),
    [
        ("body:trunk.xpos[2]", "body:trunk.xpos[0]", "height", "changes by 0 m where the robot is l"),
        ("body:trunk.xpos[2]", "body:box.xpos[2]", "height", "'trunk_height' plays height"),
        ('source = "body:trunk.xpos", size = 3', 'source = "body:box.xpos", size = 3', "height",
         r"'trunk_position\[2\]' plays position"),
        ("body:trunk.xmat[8]", "body:trunk.xmat[7]", "up", "is 0 at the start, expected 1"),
        ("body:trunk.xmat[8]", "body:box.xmat[8]", "up", "is 1 where the robot is upside down"),
        ("body:trunk.xmat[8]", "body:trunk.xmat[0]", "up", "turned a quarter to the left"),
        ('role = "up"', 'role = "up", rest = 0.2', "rest", "is 1 at the start.*rest = 0.2"),
        ("joint:root.qvel[:3]", "joint:root.qvel[3:]", "rate", r"'trunk_velocity\[\d\]' is"),
        ("joint:left.qvel", "joint:right.qvel", "rate", "'left_velocity' is"),
        ("joint:left.qvel", "scale(joint:left.qvel, -1)", "rate", "'left_angle' changes by"),
    ],
)  # fmt: skip
def test_a_field_that_is_not_what_it_plays_is_found(
    tmp_path: Path, before: str, after: str, rule: str, message: str
) -> None:
    found = find(try_card(write(tmp_path, card=swap(CARD, before, after))), rule)
    assert found
    assert any(re.search(message, finding.message) for finding in found), found
    assert all(finding.remedy for finding in found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<geom name="trunk"', '<geom name="trunk" contype="2" conaffinity="2"'),
        ("</mujoco>", '<contact><exclude body1="world" body2="trunk"/></contact></mujoco>'),
    ],
)
def test_a_contact_that_can_never_be_is_found(tmp_path: Path, before: str, after: str) -> None:
    (finding,) = find(try_card(write(tmp_path, swap(MJCF, before, after))), "contact")
    assert "'trunk_contact': geom:trunk and the floor can never touch" in finding.message


def test_a_contact_of_a_pair_or_with_a_parent_is_judged_as_mujoco_does() -> None:
    model = mujoco.MjModel.from_xml_string("""
    <mujoco><worldbody>
      <geom name="floor" type="plane" size="1 1 1"/>
      <body><joint/><geom name="thigh" size="0.1"/>
        <body><joint/><geom name="shin" size="0.1"/>
          <body><joint/><geom name="foot" size="0.1" contype="0" conaffinity="0"/></body>
        </body>
      </body></worldbody>
      <contact><pair geom1="floor" geom2="foot"/></contact></mujoco>""")
    geoms = {name: model.geom(name).id for name in ("floor", "thigh", "shin", "foot")}
    assert can_touch(model, geoms["foot"], geoms["floor"])
    assert can_touch(model, geoms["floor"], geoms["thigh"])
    assert not can_touch(model, geoms["thigh"], geoms["shin"])
    assert not can_touch(model, geoms["thigh"], geoms["foot"])


def test_a_constant_entry_is_found_unless_it_is_said_or_can_change(tmp_path: Path) -> None:
    field = (
        'still = { source = "concat(qpos[0], geom:ground.xpos[0])", size = 2, unit = "m", '
        'range = [-3.0, 3.0], doc = "x, and another" }\n[state.contacts]'
    )
    card = swap(CARD, "[state.contacts]", field)
    (finding,) = find(check_card(write(tmp_path, card=card)).findings, "constant")
    assert "field 'still': entry 1: always 0" in finding.message
    said = swap(card, "x, and another", "x, and another (always 0)")
    assert not find(check_card(write(tmp_path, card=said)).findings, "constant")
    latch = swap(card, 'geom:ground.xpos[0])"', 'body:box.xmat[2])"')
    result = check_card(write(tmp_path, card=latch))
    assert not find(result.findings, "constant")


def test_the_models_own_limit_is_not_called_too_narrow(tmp_path: Path) -> None:
    mjcf = swap(MJCF, 'axis="0 1 0" range="-1 1"', 'axis="0 1 0" range="-0.1 0.1"')
    own = swap(CARD, 'range = [-1.0, 1.0], doc = "positive', 'range = [-0.1, 0.1], doc = "positive')
    assert not find(check_card(write(tmp_path, mjcf, own)).findings, "range")
    narrow = swap(
        own, 'range = [-0.1, 0.1], doc = "positive', 'range = [0.0, 0.01], doc = "positive'
    )
    (finding,) = find(check_card(write(tmp_path, mjcf, narrow)).findings, "range")
    assert "too narrow" in finding.message
