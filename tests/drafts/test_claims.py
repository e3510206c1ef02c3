"""Each claim about a model is tried on the model: what is true holds, what is false is refused."""

from __future__ import annotations

import copy
import re
from typing import Any

import mujoco
import pytest
from support.robots import DOG, DOG_MEANING

from reward_agent.definitions.meaning import ClaimTest, Meaning
from reward_agent.drafts.try_meaning import try_meaning


@pytest.fixture(scope="module")
def dog() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_string(DOG)


def judge(model: mujoco.MjModel, **changes: Any) -> list[ClaimTest]:
    meaning = Meaning.model_validate(copy.deepcopy(DOG_MEANING) | changes)
    return list(try_meaning(model, meaning))


def judge_one(model: mujoco.MjModel, key: str, value: Any) -> ClaimTest:
    verdicts = judge(model, **{key: value})
    return next(verdict for verdict in verdicts if verdict.key == key)


def judge_measure(model: mujoco.MjModel, source: str, quantity: str, unit: str) -> ClaimTest:
    said = {"source": source, "quantity": quantity, "unit": unit, "doc": "Said."}
    return judge_one(model, "measures", [said])


def test_a_truthful_form_passes_whole(dog):
    verdicts = judge(dog)
    assert [verdict.said for verdict in verdicts if verdict.holds is False] == []
    # Words for people are all that nothing can test.
    assert [verdict.key for verdict in verdicts if verdict.holds is None] == ["description"]


# --- a liar ----------------------------------------------------------------------------------


def test_left_and_right_swapped_is_refused_by_the_side_that_a_limb_lies_on(dog):
    swap = {"left": "right", "right": "left"}
    limbs = [
        limb | {"limb": "_".join(swap.get(word, word) for word in limb["limb"].split("_"))}
        for limb in DOG_MEANING["limbs"]
    ]
    refused = [v for v in judge(dog, limbs=limbs) if v.holds is False]
    assert [v.key for v in refused] == ["limbs"] * 4
    assert {v.test for v in refused} == {"side of the forward axis"}
    assert "0.100 m to the other side" in refused[0].said


def test_a_wrong_axis_for_up_is_refused_at_the_start_pose(dog):
    verdict = judge_one(dog, "up", "+x")
    assert (verdict.holds, verdict.test) == (False, "turned over")
    assert "is 0.00 upward, not 1; +z is 1.00" in verdict.said
    assert judge_one(dog, "up", "-z").holds is False


def test_radians_for_metres_are_refused_in_a_model_twice_as_large(dog):
    verdict = judge_measure(dog, "tendon:gait", "other", "m")
    assert verdict.holds is False
    assert "twice as large it is 1.00 times as large" in verdict.said
    assert "that is rad or 1, not m" in verdict.said
    assert judge_measure(dog, "tendon:leash", "angle", "rad").holds is False
    assert judge_measure(dog, "sensor:hip_angle", "speed", "m/s").holds is False


def test_a_constant_is_refused_as_a_distance_because_nothing_changes_it(dog):
    for source in ("distance(site:lamp, site:bowl)", "sensor:lamp_position"):
        verdict = judge_measure(dog, source, "distance", "m")
        assert verdict.holds is False
        assert "nothing changes it" in verdict.said
        assert "that is no distance" in verdict.said


# --- one claim at a time ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("torso", "body:ball", "it is not of the robot"),
        ("torso", "body:trunkk", "did you mean 'trunk'?"),
        ("forward", "+z", "1.00 upward, not level"),
        ("feet", ["geom:trunk"], "touches first"),
        ("feet", ["geom:ball"], "it is not of the robot"),
        ("hands", ["site:mouth"], "move it by 0.000 m"),
        ("tool", "site:bowl", "move it by 0.000 m"),
        ("object", "body:gate", "its own joint moves it by 0.0000 m"),
        ("object", "body:jaw", "it has no joint of its own|hangs together with the robot"),
        ("object", "site:bowl", "no joint of its own"),
        ("target", "body:ball", "hangs together with body:ball"),
        ("fixture", "joint:fl_hip", "it is a joint of the robot"),
        ("fixture", "body:gate", "a fixture is a joint"),
        ("start", "sit", "no keyframe 'sit'"),
        ("start", 3, "no keyframe 3"),
    ],
)
def test_a_claim_is_refused_with_what_was_measured(dog, key, value, words):
    verdict = judge_one(dog, key, value)
    assert verdict.holds is False
    assert re.search(words, verdict.said), verdict.said


def test_an_object_is_tried_by_its_own_joint_not_by_the_robot(dog):
    verdict = judge_one(dog, "object", "body:ball")
    assert (verdict.holds, verdict.test) == (True, "moved by its own joint")
    assert "lifts it by 1.00 m" in verdict.said


def test_a_height_is_tried_by_lifting_what_it_is_the_height_of(dog):
    text = DOG.replace(
        "<gyro ",
        '<distance name="clearance" geom1="ball" geom2="floor" cutoff="50"/><gyro ',
    )
    model = mujoco.MjModel.from_xml_string(text)
    verdict = judge_measure(model, "sensor:clearance", "height", "m")
    assert verdict.holds, verdict.said
    assert "ball lifted by 1 m: +1.00, moved by 1 m in x: +0.00" in verdict.said
    refused = judge_measure(model, "tendon:leash", "height", "m")
    assert refused.holds is False


def test_a_front_that_the_names_of_parts_deny_is_refused(dog):
    # All is turned round together, so that only the names can tell.
    turn = {"left": "right", "right": "left", "front": "rear", "rear": "front"}
    limbs = [
        limb | {"limb": "_".join(turn.get(word, word) for word in limb["limb"].split("_"))}
        for limb in DOG_MEANING["limbs"]
    ]
    forward = next(v for v in judge(dog, forward="-x", limbs=limbs) if v.key == "forward")
    assert forward.holds is False
    assert "front lie -0.40 m beyond those back" in forward.said


def test_a_front_that_nothing_tells_is_left_open():
    box = mujoco.MjModel.from_xml_string("""
      <mujoco><worldbody><body name="box"><freejoint/><geom size="0.1"/><body pos="0 0 0.1">
        <joint name="lid" axis="0 1 0"/><geom size="0.05"/></body></body></worldbody>
        <actuator><motor joint="lid"/></actuator></mujoco>""")
    meaning = Meaning.model_validate({"torso": "body:box", "up": "+z", "forward": "+y"})
    verdicts = {verdict.key: verdict for verdict in try_meaning(box, meaning)}
    assert verdicts["up"].holds
    assert verdicts["forward"].holds is None


def test_a_foot_that_the_floor_does_not_touch_is_refused():
    ghost = DOG.replace(
        '<geom name="fl" type="sphere"', '<geom name="fl" contype="2" conaffinity="2" type="sphere"'
    )
    feet = [v for v in judge(mujoco.MjModel.from_xml_string(ghost)) if v.key == "feet"]
    assert [v.holds for v in feet] == [False, True, True, True]
    assert "2 mm into the floor it touches: no; lifted by 1 m: no" in feet[0].said


def test_a_joint_goes_the_way_that_is_said(dog):
    said = {"joint": "fl_hip", "moves": "geom:fl", "positive": "forward"}
    verdict = judge_one(dog, "joints", [said])
    assert (verdict.holds, verdict.test) == (False, "nudged")
    assert "m backward" in verdict.said


def test_fingers_are_measured_at_both_ends_of_the_control(dog):
    gripper = DOG_MEANING["gripper"] | {"opens": "low"}
    verdict = judge_one(dog, "gripper", gripper)
    assert verdict.holds is False
    assert "at low" in verdict.said


def test_what_builds_on_a_refused_axis_is_refused_with_it(dog):
    verdicts = judge(dog, forward="+z")
    refused = {v.key for v in verdicts if v.holds is False}
    assert {"forward", "limbs", "joints", "tasks"} <= refused
    assert all("forward" in v.said for v in verdicts if v.key == "limbs")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"kind": "travel", "number": 1000}, "expected 0.01 to 20"),
        ({"kind": "travel"}, "its number is None"),
        ({"kind": "place", "number": 1.5}, "the start does it already"),
        ({"kind": "move_fixture", "number": 2.0}, "its range is 0.00 to 1.50"),
        ({"kind": "stand_on", "feet": ["geom:trunk"]}, "stand on some of the feet"),
        ({"kind": "jump", "number": -1}, "cannot rise"),
    ],
)
def test_a_task_that_the_robot_cannot_do_or_has_done_is_refused(dog, task, words):
    verdict = judge_one(dog, "tasks", [task | {"description": "Do it."}])
    assert verdict.holds is False
    assert words in verdict.said


def test_a_pose_that_servos_do_not_hold_is_no_start(dog):
    # Folded legs, beyond what the servos are allowed to ask for.
    text = DOG.replace(
        "</keyframe>",
        '<key name="folded" qpos="0.6 0.3 0.05 1 0 0 0 0 0 0 0.31 1 0 0 0 0 3 3 3 3"/></keyframe>',
    )
    verdict = judge_one(mujoco.MjModel.from_xml_string(text), "start", "folded")
    assert (verdict.holds, verdict.test) == (False, "held for a second")


def test_a_robot_that_is_bolted_down_leaves_open_what_nothing_can_tell():
    arm = mujoco.MjModel.from_xml_string("""
      <mujoco><worldbody><site name="goal" pos="0.3 0 0.5"/><body name="base"><geom size="0.1"/>
        <body name="link" pos="0 0 0.2"><joint name="elbow" axis="0 1 0"/>
          <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.02"/><site name="tip" pos="0.3 0 0"/>
      </body></body></worldbody><actuator><motor joint="elbow"/></actuator></mujoco>""")
    meaning = Meaning.model_validate({
        "torso": "body:base", "up": "+z", "forward": "+x", "tool": "site:tip",
        "target": "site:goal",
        "joints": [{"joint": "elbow", "moves": "site:tip", "positive": "down"}],
    })  # fmt: skip
    verdicts = {v.key: v for v in try_meaning(arm, meaning)}
    assert verdicts["torso"].holds is None
    assert verdicts["forward"].holds is None
    assert verdicts["joints"].holds
    assert verdicts["target"].holds
