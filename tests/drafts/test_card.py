"""A draft of a model of any kind: roles, start, actions, fields, tasks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
from drafts.conftest import GYMNASIUM, Drafted
from support.kinds import KINDS

from reward_agent.definitions.card import find_env_dir, load_env
from reward_agent.definitions.card_text import render_card_as_prompt
from reward_agent.definitions.task import load_task, read_task_metric
from reward_agent.drafts.card import write_draft
from reward_agent.drafts.field import DraftField
from reward_agent.drafts.measure import Measured, set_range
from reward_agent.errors import DataError
from reward_agent.records.draft import DraftOptions
from reward_agent.simulation.backends import make_simulation
from reward_agent.worker.check_env import check_card

ALL = (*KINDS, *GYMNASIUM)
Make = Callable[[str], Drafted]


# Gymnasium's are seconds long: their own cards are checked in tests/simulation/test_check.py.
@pytest.mark.parametrize(
    "name", [*KINDS, *(pytest.param(name, marks=pytest.mark.slow) for name in GYMNASIUM)]
)
def test_a_draft_describes_its_model(draft: Make, name: str) -> None:
    # Nothing that random actions do ever reaches or moves the puck of the pusher.
    found = [f.message for f in check_card(draft(name).card).findings]
    findings = [message for message in found if "object_height" not in message]
    assert findings == []


@pytest.mark.parametrize("name", ALL)
def test_a_draft_has_tasks_whose_metrics_it_can_read(draft: Make, name: str) -> None:
    made = draft(name)
    assert made.tasks
    for task in made.tasks:
        spec = load_task(made.card, task)
        assert spec.criterion
        assert spec.target_score
        assert "score = " in (read_task_metric(made.card, spec) or "")
        for word in made.metric(task).split('"')[1::2]:
            made.card.field(word)


@pytest.mark.parametrize("name", ALL)
def test_a_designer_is_shown_few_characters(draft: Make, name: str) -> None:
    assert len(render_card_as_prompt(draft(name).card)) < 10_000


@pytest.mark.parametrize("name", ["servo_quadruped", "arm_and_object"])
def test_the_same_model_makes_the_same_bytes(draft: Make, name: str) -> None:
    made = draft(name)
    again = write_draft(made.model, "robot.xml", made.options, find_env_dir(made.card))
    assert again == made.draft


@pytest.mark.parametrize("name", ["servo_quadruped", "arm", "arm_and_object", "door"])
def test_action_0_holds_the_start_pose(draft: Make, name: str) -> None:
    card = draft(name).card
    simulation = make_simulation(card, 1, seed=0)
    simulation.reset()
    start = simulation.read_state().fields["joint_angles"]
    for _ in range(round(1 / card.control_dt)):
        simulation.step(np.zeros((1, card.n_actions)))
    moved = np.abs(simulation.read_state().fields["joint_angles"] - start)
    assert moved.max() < 0.1


@pytest.mark.parametrize(
    ("name", "up", "forward"),
    [
        ("quadruped", "+z", "+x"),
        ("servo_quadruped", "+z", "+x"),
        ("planar_walker", "+z", "+x"),
        ("biped", "+y", "+z"),
        ("swimmer", "+z", "+x"),
        ("cart", "+z", "+x"),
        ("walker2d", "+z", "+x"),
        ("humanoid", "+z", "+x"),
    ],
)
def test_axes_of_the_torso(draft: Make, name: str, up: str, forward: str) -> None:
    roles = draft(name).card.roles
    assert roles is not None
    assert (roles.up, roles.forward) == (up, forward)


@pytest.mark.parametrize(
    ("name", "feet"),
    [
        ("quadruped", ["front_left_foot", "front_right_foot", "back_left_foot", "back_right_foot"]),
        ("planar_walker", ["left_foot", "right_foot"]),
        ("biped", ["left_foot", "right_foot"]),
        ("cart", [f"{e}_{s}_wheel" for e in ("front", "back") for s in ("left", "right")]),
        ("swimmer", []),
        ("humanoid", ["right_foot", "left_foot"]),
        ("walker2d", ["foot_1", "foot_2"]),
    ],
)
def test_feet_are_what_stands_on_the_floor(draft: Make, name: str, feet: list[str]) -> None:
    card = draft(name).card
    limbs = [field.limb for field in card.list_roles("foot_contact")]
    assert limbs == feet or len(limbs) == len(feet) > 0


def test_in_a_vertical_plane_the_roots_own_velocities_are_observed(
    draft: Callable[[str], Drafted],
) -> None:
    assert "qvel[0:3]" in draft("walker2d").card.observation
    assert not any("level(" in source for source in draft("walker2d").card.observation)
    assert any("level(" in source for source in draft("ant").card.observation)


def test_hands_are_ends_of_a_pair_of_arms(draft: Make) -> None:
    roles = draft("biped").card.roles
    assert roles is not None
    assert roles.hands == ("body:lhand", "body:rhand")


@pytest.mark.parametrize(
    ("name", "tool", "thing", "target"),
    [
        ("arm", "body:wrist", None, None),
        ("arm_and_object", "site:pinch", "body:cube", "site:goal"),
        ("door", "site:pinch", None, None),
        ("reacher", "body:fingertip", None, "body:target"),
        ("pusher", "body:tips_arm", "body:object", "body:goal"),
        ("cart_pole", None, None, None),
    ],
)
def test_what_an_arm_handles(
    draft: Make, name: str, tool: str | None, thing: str | None, target: str | None
) -> None:
    roles = draft(name).card.roles
    found = (roles.tool, roles.object, roles.target) if roles else (None, None, None)
    assert found == (tool, thing, target)


def test_an_arm_without_a_target_draws_a_point_that_it_can_reach(draft: Make) -> None:
    card = draft("arm").card
    target = card.draws["target"]
    assert target.what is None
    simulation = make_simulation(card, 8, seed=0)
    simulation.reset()
    places = simulation.read_state().fields["target_position"]
    assert len(np.unique(places[:, 0])) == 8
    # The arm is 0.25 m and 0.2 m long, on a turret 0.2 m high.
    assert np.linalg.norm(places - [0, 0, 0.2], axis=1).max() < 0.55


def test_a_door_is_opened_by_what_is_left_of_its_range(draft: Make) -> None:
    made = draft("door")
    assert 'move_fixture("fixture_position", by=0.8' in made.metric("open")
    field = made.card.find_role("fixture_position")
    assert field is not None
    assert field.source == "scale(joint:door_hinge.qpos, -1)"
    assert made.card.find_role("fixture_distance")


@pytest.mark.parametrize(
    ("name", "tasks"),
    [
        (
            "quadruped",
            ["hold_pose", "go_forward", "go_backward", "go_sideways", "turn", "stand_on"],
        ),
        ("servo_quadruped", ["go_forward", "go_backward", "go_sideways", "turn", "hold_pose"]),
        ("biped", ["hold_pose", "go_forward", "go_backward", "go_sideways", "turn", "jump"]),
        ("arm", ["reach", "hold_pose"]),
        ("arm_and_object", ["reach", "place", "lift", "hold_pose"]),
        ("door", ["open", "reach", "hold_pose"]),
        ("swimmer", ["go_forward", "go_backward", "turn"]),
        ("cart_pole", ["balance"]),
        ("cart", ["go_forward", "go_backward", "turn"]),
        ("scooter", ["go_forward", "go_backward", "turn"]),
    ],
)
def test_tasks_that_roles_allow(draft: Make, name: str, tasks: list[str]) -> None:
    assert draft(name).tasks[: len(tasks)] == tasks


@pytest.mark.parametrize(
    ("name", "mapping"),
    [
        ("quadruped", "rescaled"),
        ("servo_quadruped", "around_home"),
        ("arm_and_object", "around_home"),
        ("cart", "rescaled"),
    ],
)
def test_servos_are_told_positions_around_the_start(draft: Make, name: str, mapping: str) -> None:
    assert draft(name).card.action_mapping == mapping


def test_what_flies_hovers_from_its_keyframe(draft: Make) -> None:
    made = draft("drone")
    assert made.card.home.keyframe == "hover"
    assert made.card.home.controls == "keyframe"
    assert made.card.action_mapping == "around_home"
    assert made.tasks[0] == "keep_height"


def test_what_crawls_has_no_feet_and_no_tool(draft: Make) -> None:
    roles = draft("snake").card.roles
    assert roles is not None
    assert roles.feet == ()
    assert roles.tool is None


def test_a_model_that_nothing_moves_is_refused(tmp_path: Path) -> None:
    text = "<mujoco><worldbody><body><freejoint/><geom size='.1'/></body></worldbody></mujoco>"
    (tmp_path / "robot.xml").write_text(text)
    model = mujoco.MjModel.from_xml_string(text)
    with pytest.raises(DataError, match="no actuator that moves anything"):
        write_draft(model, "robot.xml", DraftOptions(name="still", source="robot.xml"), tmp_path)


def test_what_stands_in_what_at_the_start_is_named(tmp_path: Path) -> None:
    text = """<mujoco><worldbody><geom name="board" type="box" pos=".2 0 .5" size=".1 .1 .02"/>
      <body name="arm" pos="0 0 .5"><joint name="elbow" axis="0 1 0" range="-1 1"/>
        <geom type="capsule" fromto="0 0 0 .4 0 0" size=".03"/></body></worldbody>
      <actuator><motor name="motor" joint="elbow" ctrlrange="-1 1"/></actuator></mujoco>"""
    (tmp_path / "arm.xml").write_text(text)
    model = mujoco.MjModel.from_xml_string(text)
    draft = write_draft(model, "arm.xml", DraftOptions(name="arm", source="arm.xml"), tmp_path)
    found = " ".join(draft.warnings)
    assert re.search(r"at the start, (board|body:arm) stands .* m deep in (board|body:arm)", found)


def test_motors_without_a_range_get_one(draft: Make) -> None:
    ranges = draft("planar_walker").card.model.control_ranges
    assert set(ranges) == set(draft("planar_walker").card.actions)
    assert all(low == -high for low, high in ranges.values())


def test_a_robot_in_the_air_is_put_on_the_floor(draft: Make) -> None:
    card = draft("quadruped").card
    height = card.find_role("lowest_point")
    assert height is not None
    assert height.rest is not None
    assert abs(height.rest) < 0.05


def test_what_has_no_name_is_said_by_its_number(tmp_path: Path) -> None:
    text = KINDS["servo_quadruped"].replace(' name="ground"', "").replace(' name="trunk"', "")
    (tmp_path / "robot.xml").write_text(text)
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "robot.xml"))
    options = DraftOptions(name="nameless", source="robot.xml")
    draft = write_draft(model, "robot.xml", options, tmp_path)
    (tmp_path / "env.toml").write_text(draft.files["env.toml"])
    card = load_env(tmp_path)
    assert card.model.floors == ("#0",)
    assert card.roles is not None
    assert card.roles.torso == "body:#1"
    assert set(card.home.joints) == {"#0"}  # lowered onto the floor
    assert [f for f in check_card(card).findings if "diverges" not in f.message] == []


def test_guesses_are_marked_at_their_lines(draft: Make) -> None:
    made = draft("arm_and_object")
    text = made.draft.files["env.toml"]
    assert [
        line for line in text.splitlines() if line.startswith("tool = ") and "# guessed" in line
    ]
    assert any("site:pinch" in guess for guess in made.draft.guesses)
    assert tomllib.loads(text)["roles"]["tool"] == "site:pinch"


def test_names_of_any_script_become_identifiers(tmp_path: Path) -> None:
    text = KINDS["arm"].replace('"wrist"', '"手首"').replace('"elbow"', '"Ellbögen #1"')
    (tmp_path / "arm.xml").write_text(text)
    model = mujoco.MjModel.from_xml_path(str(tmp_path / "arm.xml"))
    options = DraftOptions(name="arm", source="arm.xml")
    card = write_draft(model, "arm.xml", options, tmp_path).files["env.toml"]
    assert "'手首'" in card or "手首" in card
    assert "ellbogen_1" in card


def test_ends_of_limbs_say_how_they_are_tipped_whichever_way_their_axes_lie(draft: Make) -> None:
    fields = {field.name: field for field in draft("ant").card.state}
    assert fields["left_foot_up"].source.startswith("add(")
    assert fields["left_foot_up"].rest == pytest.approx(1.0, abs=0.2)
    assert "head_position" in {field.name for field in draft("humanoid").card.state}


@pytest.mark.parametrize("moved", [0.0, 1e-10, 1e-7])
def test_what_random_actions_hardly_move_has_room_to_move(moved: float) -> None:
    finger = DraftField("finger_velocity", "qvel[0]", "m/s", "of the left finger")
    measured = Measured({"finger_velocity": (-moved, moved)}, {}, frozenset())
    low, high = set_range(finger, measured).bounds or (0.0, 0.0)
    assert low <= -0.4
    assert high >= 0.4
