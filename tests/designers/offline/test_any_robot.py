"""Programs for robots with names that mean nothing here: their cards say roles."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from support.cards import LEGS, field, make_arm, make_dog, make_fish, make_robot

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import make_task
from reward_agent.designers.brief import DesignBrief, DesignIdea
from reward_agent.designers.ideas import load_ideas
from reward_agent.designers.offline import OfflineDesigner
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.words import Scene, read_goals
from reward_agent.designers.roles import Proposal
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.state import State

N = 2
IDEAS = list(load_ideas().fresh)
COMMANDS = (
    field("asked_vx", "m/s", "commanded_velocity", range=(0, 1)),
    field("asked_w", "rad/s", "commanded_yaw_rate", range=(-1, 1)),
)


def propose(card: EnvCard, sentence: str, idea: str = "weighted-sum") -> Proposal:
    brief = DesignBrief(card, make_task(card.name, sentence), DesignIdea(idea, "…"))
    return OfflineDesigner().propose(brief)


def pay(card: EnvCard, sentence: str, idea: str = "minimal") -> Callable[..., float]:
    """Return what a step to the given state pays; fields not given are 0, or as at rest."""
    program = propose(card, sentence, idea).program
    assert program is not None, sentence
    reward = compile_program(program.source, card, 0.99)
    rest = {
        f.name: np.full((N,) if f.size is None else (N, f.size), f.rest or 0.0) for f in card.fields
    }

    def step(**given: float | list[float]) -> float:
        after = {k: np.broadcast_to(np.asarray(v, float), rest[k].shape) for k, v in given.items()}
        before, now = State(dict(rest)), State({**rest, **after})
        reward.begin(before)
        action = np.zeros((N, card.n_actions))
        return float(reward.step(before, action, now, np.zeros(N, bool)).reward[0])

    return step


DOES = [
    *itertools.product(
        [make_dog()],
        [
            "Walk forward at 0.8 m/s.", "Walk backward", "Go sideways to the left", "Run fast",
            "Turn left at 1 rad/s", "Hold the start pose.", "Stand on the hind legs", "Jump 0.2 m",
            "Stand on three legs", "Lift the front left leg", "Crouch low",
        ],
    ),
    *itertools.product([make_fish()], ["Swim forward at 0.2 m/s", "swim backward", "go slowly"]),
    *itertools.product(
        [make_arm()],
        [
            "Bring the hand to the target", "Reach the target with the left hand",
            "Bring the cube to the target", "Lift the cube by 0.2 m", "Open the door by 0.5 rad",
            "Hold the start pose", "Pick up the cube",
        ],
    ),
    (make_robot("led", *make_dog().state, *COMMANDS), "Follow the commands"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("card", "sentence"), DOES, ids=lambda value: getattr(value, "name", value)
)
def test_every_program_for_any_robot_is_accepted(card: EnvCard, sentence: str) -> None:
    for idea in IDEAS:
        program = propose(card, sentence, idea).program
        assert program is not None
        findings = check_program(program, card).findings
        assert [found for found in findings if found.severity != "hint"] == [], program.source


@pytest.mark.parametrize("idea", IDEAS)
def test_a_toe_on_the_floor_does_not_stop_travel(idea: str) -> None:
    dog = pay(make_dog(), "Walk forward at 0.8 m/s.", idea)
    going = {"trunk_v": [0.8, 0, 0], "trunk_place": [0.016, 0, 0]}
    assert dog(**going) > dog() + 0.5
    assert dog(**going, belly=1.0) <= dog(**going)


def test_nothing_is_forbidden_where_no_foot_is_known() -> None:
    card = make_robot(
        "crawler",
        field("v", "m/s", "forward_velocity"),
        field("toe", "0/1", "body_contact", limb="toe"),
    )
    source = propose(card, "go forward", "product-of-goals").program.source
    assert "toe" not in source


def test_what_touches_the_floor_at_rest_may_do_so() -> None:
    wheel = field("wheel", "0/1", "body_contact", limb="wheel", rest=1.0)
    dog = make_dog()
    card = dog.model_copy(update={"state": (*dog.state, wheel)})
    assert [part.name for part in Body(card).body_contacts] == ["belly"]


def test_a_robot_that_leans_at_rest_is_upright_as_it_rests() -> None:
    card = make_robot(
        "leaning", field("v", "m/s", "forward_velocity"), field("tilt", "1", "up", rest=0.4)
    )
    source = propose(card, "go forward").program.source
    assert "bounds=(0.35, 0.45)" in source


def test_a_fish_is_paid_for_speed_however_slow_random_motion_was() -> None:
    fish = pay(make_fish(), "Swim forward at 0.2 m/s")
    assert fish(swim=0.2) > fish(swim=0.1) > fish()
    free = pay(make_fish(), "swim forward fast")
    assert free(swim=2.0) > free(swim=0.5) > free(swim=0.03)


@pytest.mark.parametrize(
    ("sentence", "height", "speed"),
    [("walk forward", 0.3, 0.86), ("walk forward", 1.0, 1.6), ("run", 0.3, 4.2), ("run", 1.2, 5.0)],
)
def test_speed_without_a_number_is_that_of_a_robot_of_this_size(sentence, height, speed) -> None:
    card = make_robot(
        "walker",
        field("v", "m/s", "forward_velocity", range=(-0.1, 0.1)),
        field("z", "m", "height", rest=height),
    )
    source = propose(card, f"{sentence} ahead").program.source
    assert f"next_state.v / {speed:g}," in source


@pytest.mark.parametrize(
    ("sentence", "right", "wrong"),
    [
        ("Walk backward at 0.5 m/s", {"trunk_v": [-0.5, 0, 0]}, {"trunk_v": [0.5, 0, 0]}),
        ("Go sideways to the right", {"trunk_v": [0, -0.5, 0]}, {"trunk_v": [0, 0.5, 0]}),
        ("Turn right at 1 rad/s", {"trunk_w": [0, 0, -1]}, {"trunk_w": [0, 0, 1]}),
        ("Turn left at 1 rad/s", {"trunk_w": [0, 0, 1]}, {"trunk_w": [0, 0, 2]}),
        ("Hold the start pose", {"q": 0.0}, {"q": 0.4}),
        ("Jump 0.2 m high", {"trunk_z": 0.5}, {"trunk_z": 0.35}),
        (
            "Stand on the front feet",
            {"toe_back_left": 0, "toe_back_right": 0},
            {"toe_front_left": 0, "toe_front_right": 0},
        ),
        ("Stand on two legs", {"toe_back_left": 0, "toe_back_right": 0}, {}),
        ("Lift the back right leg", {"clearance_back_right": 0.2}, {"clearance_front_left": 0.2}),
    ],
)
def test_a_dog_is_paid_for_what_is_asked(sentence: str, right: dict, wrong: dict) -> None:
    step = pay(make_dog(), sentence)
    assert step(**right) > step(**wrong)


@pytest.mark.parametrize(
    ("sentence", "right", "wrong"),
    [
        ("Bring the left hand to the target", {"left_gap": 0.0}, {"right_gap": 0.0, "left_gap": 1}),
        ("Bring the hand to the target", {"left_gap": 1, "right_gap": 0}, {"left_gap": 1, "right_gap": 1}),
        ("Bring the cube to the target", {"cube_gap": 0.0}, {"cube_gap": 0.2, "left_gap": 0}),
        ("Lift the cube by 0.2 m", {"cube_z": 0.2}, {"cube_z": 0.1}),
        ("Open the door by 0.5 rad", {"hinge": -0.5}, {"hinge": 0.1}),
    ],
)  # fmt: skip
def test_an_arm_is_paid_for_what_is_asked(sentence: str, right: dict, wrong: dict) -> None:
    step = pay(make_arm(), sentence)
    assert step(**right) > step(**wrong)


def test_the_nearest_hand_is_guided_to_the_object() -> None:
    step = pay(make_arm(), "Lift the cube", "weighted-sum")
    assert step(left_to_cube=0.3, right_to_cube=0.1) > step(left_to_cube=0.3, right_to_cube=0.3)


def test_commands_are_followed_unless_the_sentence_says_a_number() -> None:
    card = make_robot("led", *make_dog().state, *COMMANDS)
    for sentence in ("Walk forward", "Follow the commanded velocity"):
        step = pay(card, sentence)
        assert step(trunk_v=[0.3, 0, 0], asked_vx=0.3) > step(trunk_v=[0.8, 0, 0], asked_vx=0.3)
    both = pay(card, "Follow the commands")
    assert both(asked_w=1, trunk_w=[0, 0, 1]) > both(asked_w=1)
    assert "asked_" not in propose(card, "Walk forward at 0.5 m/s").program.source
    assert "asked_" not in propose(card, "Walk backward").program.source


@pytest.mark.parametrize(
    ("card", "sentence", "role"),
    [
        (make_dog(), "Open the door", "fixture_position (rad, how far it is moved"),
        (make_dog(), "Lift the cube", "object_height (m, above where it rests)"),
        (make_dog(), "Push the ball to the goal", "object_target_distance (m,"),
        (make_dog(), "Bring the nose to the target", "target_distance (m, from the tool"),
        (make_fish(), "Swim sideways", "sideways_velocity (m/s,"),
        (make_fish(), "Turn left", "yaw_rate (rad/s, positive turns left)"),
        (make_fish(), "Hold the start pose", "joint_angles (rad, vector of any size"),
        (make_arm(), "Walk forward", "forward_velocity (m/s,"),
        (make_arm(), "Follow the commanded speed", "commanded_velocity (m/s,"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_role_that_is_missing_is_named_with_what_to_do(card, sentence: str, role: str) -> None:
    proposal = propose(card, sentence)
    assert proposal.program is None
    assert role in str(proposal.outcome)
    assert 'role = "…" in env.toml' in str(proposal.outcome)


def test_a_dog_that_has_a_ball_turns_and_walks_by_itself() -> None:
    ball = field("ball_gap", "m", "object_target_distance", range=(0, 1))
    card = make_robot("fetcher", *make_dog().state, ball)
    for sentence in ("Turn left", "Drive forward", "Lift the front left leg", "Slide to the right"):
        assert "ball_gap" not in propose(card, sentence).program.source
    for sentence in ("Bring the ball to the target", "Push it to the goal", "Move the ball"):
        assert "ball_gap" in propose(card, sentence).program.source


@pytest.mark.parametrize("name", ["grasp_site", "S_grasp", "push rod", "open-door", "lift/drop"])
def test_what_a_thing_is_called_says_nothing_of_what_is_done(name: str) -> None:
    goals = read_goals(f"Reach the target with '{name}' and don't stop.", Scene(True, True, True))
    assert [goal.kind for goal in goals][:1] == ["reach"]


def test_what_is_moved_is_measured_from_where_it_was() -> None:
    shelf = field("z", "m", "object_height", rest=0.8)
    step = pay(make_robot("arm", shelf), "Lift the object 'cup' by 0.1 m.")
    assert step() == step(z=0.7) + 1.0 == 0.0
    assert step(z=0.91) > step(z=0.85) > 0


def test_the_fixture_that_is_named_is_moved() -> None:
    latch = field("turned", "rad", "fixture_position", limb="latch")
    card = make_arm(latch)
    for sentence in ("Open 'latch' by 0.5 rad.", "Turn the latch"):
        assert "turned" in propose(card, sentence).program.source
    assert "turned" not in propose(card, "Open the door").program.source


def test_a_pole_that_hangs_is_paid_all_the_way_up() -> None:
    card = make_robot("pole", field("cosine", "1", "up", rest=-1.0))
    step = pay(card, "Swing the pole up and balance it upright.")
    levels = [step(cosine=value) for value in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    assert levels == sorted(levels)
    assert levels[0] < levels[1] - 0.1


def test_a_distance_is_measured_by_its_start_where_random_motion_threw_the_object_away() -> None:
    gap = field("gap", "m", "object_target_distance", range=(0, 36), rest=0.3)
    source = propose(make_robot("arm", gap), "Bring the object to the target").program.source
    assert "/ 0.006, -1.0, 1.0)" in source


def test_ground_along_x_is_not_paid_to_a_robot_that_faces_another_way() -> None:
    dog = make_dog()
    for heading, is_paid in ((0.0, True), (1.57, False)):
        faces = field("faces", "rad", "heading", rest=heading)
        card = dog.model_copy(update={"state": (*dog.state, faces)})
        source = propose(card, "Walk forward at 1 m/s", "one-time-progress").program.source
        assert ("trunk_place" in source) == is_paid


def test_limbs_are_found_by_role() -> None:
    limbs = Body(make_dog()).limbs
    assert [limb.name for limb in limbs] == [f"{leg}_foot" for leg in LEGS]
    assert all(limb.kind == "foot" and limb.height and limb.contact for limb in limbs)


def test_a_wrapped_pitch_is_no_measure_of_a_flip() -> None:
    dog = make_dog()
    lean = field("lean", "rad", "pitch", range=(-3.2, 3.2))
    card = dog.model_copy(update={"state": (*dog.state, lean)})
    assert propose(card, "Do a front flip").program is None
