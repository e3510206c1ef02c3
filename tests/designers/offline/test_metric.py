"""Metrics that the offline designer composes, and what it says that it leaves out."""

from __future__ import annotations

import pytest
from support.cards import field, make_arm, make_dog, make_fish, make_robot

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.designers.offline import OfflineDesigner
from reward_agent.designers.offline.metric import compose_metric
from reward_agent.designers.roles import MetricProposal
from reward_agent.errors import RefusalError
from reward_agent.evaluation.quantities import list_dropped
from reward_agent.rewards.checks import check_metric

SIDED = make_robot(
    "sided",
    field("left_height", "m", "foot_height", limb="left_foot"),
    field("right_height", "m", "foot_height", limb="right_foot"),
)
ROBOTS = {"sided": SIDED, "dog": make_dog(), "fish": make_fish(), "arm": make_arm()}


def load(name: str) -> EnvCard:
    return ROBOTS.get(name) or load_env(name)


def compose(name: str, sentence: str) -> MetricProposal:
    proposal = compose_metric(load(name), sentence)
    assert proposal is not None
    return proposal


HOPPER = 'up="torso_up", height="torso_height"'
COMPOSED = [
    ("hopper", "go forward at 1.2 m/s", f'travel("forward_velocity", speed=1.2, seconds=3, {HOPPER})'),
    (
        "hopper",
        "Hop forward at 3.6 km/h for five seconds",
        f'travel("forward_velocity", speed=1, seconds=5, {HOPPER})',
    ),
    ("hopper", "run 10 m", f'go_far("forward_velocity", distance=10, {HOPPER})'),
    ("hopper", "jump twice", 'jump("lowest_point", height=0.25, times=2, up="torso_up")'),
    ("hopper", "jump 30 cm high", 'jump("lowest_point", height=0.3, up="torso_up")'),
    ("hopper", "stand still for 5 s", f'hold_pose("joint_angles", seconds=5, {HOPPER})'),
    (
        "hopper",
        "Crouch low",
        'keep_height("torso_height", at=0.844, within=0.084, seconds=2, up="torso_up")',
    ),
    ("hopper", "travel 12 ft forward", f'go_far("forward_velocity", distance=3.658, {HOPPER})'),
    ("hopper", "keep the torso 1.2 m high",
     'keep_height("torso_height", at=1.2, within=0.12, seconds=3, up="torso_up")'),
    ("walker2d", "crouch to between 0.5 and 0.7 m for 2 s",
     'keep_height("torso_height", at=0.6, within=0.1, seconds=2, up="torso_up")'),
    ("half_cheetah", "run at 3 mph",
     'travel("forward_velocity", speed=1.341, seconds=3, up="torso_up", height="torso_height")'),
    ("half_cheetah", "go backward at 1-2 km/h for 4 s",
     f'travel("forward_velocity", speed=-0.4167, within=0.1389, seconds=4, {HOPPER})'),
    ("half_cheetah", "walk backwards at -1 m/s",
     f'travel("forward_velocity", speed=-1, seconds=3, {HOPPER})'),
    ("ant", "spin around three times",
     f'turn("torso_angular_velocity[2]", rate=4, seconds=4.71, {HOPPER})'),
    ("walker2d", "walk at 1 m/s and crouch to 0.8 m",
     f'both(travel("forward_velocity", speed=1, seconds=3, {HOPPER}), '
     'keep_height("torso_height", at=0.8, within=0.08, seconds=2, up="torso_up"))'),
    ("walker2d", "raise the right foot 20 cm and keep it up for two seconds",
     'both(lift("right_foot_height", by=0.2, seconds=2, up="torso_up"), '
     'stand_on(["left_foot_floor_contact"], off=["right_foot_floor_contact"], '
     'never=["right_leg_floor_contact", "right_thigh_floor_contact", "left_leg_floor_contact", '
     f'"left_thigh_floor_contact", "torso_floor_contact"], seconds=2, {HOPPER}))'),
    (
        "ant",
        "turn right at 45 deg/s",
        f'turn("torso_angular_velocity[2]", rate=-0.7854, seconds=3, {HOPPER})',
    ),
    (
        "humanoid",
        "lie on your back for 4 s",
        'both(lift("torso_height", by=-0.7, seconds=4), '
        'keep_height("torso_up", at=-1, within=0.15, seconds=4))',
    ),
    ("reacher", "reach the target within 2 cm and hold it for 3 s",
     'reach("target_distance", within=0.02, seconds=3)'),
    ("inverted_pendulum", "keep the pole upright",
     'keep_height("pole_up", at=1, within=0.05, seconds=3)'),
    ("dog", "Walk sideways to the right at 0.3 m/s",
     'travel("trunk_v[1]", speed=-0.3, seconds=3, up="trunk_zz", height="trunk_z")'),
    ("dog", "Stand on the hind legs",
     'stand_on(["toe_back_left", "toe_back_right"], off=["toe_front_left", "toe_front_right"], '
     'never=["belly"], seconds=2, up="trunk_zz", height="trunk_z")'),
    ("dog", "Hold the start pose", 'hold_pose("q", seconds=3, up="trunk_zz", height="trunk_z")'),
    ("fish", "Swim backward at 0.2 m/s", 'travel("swim", speed=-0.2, seconds=3)'),
    ("arm", "Reach the target with the left hand",
     'reach("left_gap", within=0.05, seconds=0.5)'),
    ("arm", "Bring the cube to the target",
     'place("cube_gap", within=0.05, approach="left_to_cube", seconds=0.5)'),
    ("arm", "Lift the cube by 20 cm",
     'lift("cube_z", by=0.2, approach="left_to_cube", seconds=1)'),
    ("arm", "Open the door by 30 degrees", 'move_fixture("hinge", by=-0.524, seconds=0.5)'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sentence", "call"), COMPOSED, ids=[row[1] for row in COMPOSED])
def test_a_sentence_is_judged_by_its_own_words_and_numbers(
    name: str, sentence: str, call: str
) -> None:
    proposal, card = compose(name, sentence), load(name)
    assert proposal.source == f"score = {call}\n"
    assert proposal.words.not_measured == ()
    assert check_metric(proposal.source, card).is_accepted
    assert list_dropped(sentence, proposal.words.criterion, card.control_dt) == ()
    assert proposal.words.unit == ("m" if "jump(" in call or "go_far(" in call else "s")


@pytest.mark.parametrize(
    ("name", "sentence", "left_out"),
    [
        ("hopper", "moonwalk backwards", {"moonwalk"}),
        ("half_cheetah", "gallop forward gracefully", {"gallop", "gracefully"}),
        ("ant", "walk to the left and jump", {"jump"}),
        ("arm", "Pick up the cube twice", {"2 times"}),
        ("walker2d", "walk forward for 5 s without lifting the feet", {"lifting", "5 s"}),
        ("metaworld", "open the drawer", {"open", "drawer"}),
        ("sided", "Lift the front left leg", {"front"}),
        ("sided", "Lift the left leg, with the body at 0.3 m", {"body", "0.3 m"}),
        ("humanoid", "hold still for 2 s with the right hand up", {"hand"}),
        ("inverted_pendulum", "stand still for 6 s", {"still"}),
        ("hopper", "jump between 0.2 and 0.3 m high", {"between", "0.3 m"}),
        ("metaworld", "pull the object out by 10 cm", {"out", "10 cm"}),
        ("hopper", "idź forward", {"idź"}),
    ],
)
def test_what_no_metric_judges_is_listed(name: str, sentence: str, left_out: set[str]) -> None:
    assert {*compose(name, sentence).words.not_measured} == left_out


@pytest.mark.parametrize(
    ("name", "sentence", "reason"),
    [
        ("hopper", "do a moonwalk", "cannot measure 'moonwalk'"),
        ("humanoid", "Do a handstand", "cannot measure 'handstand'"),
        ("hopper", "向前走", "no metric for '向前走': it reads English keywords (walk, jump,"),
        ("hopper", "Back flip!", "reads like the card's task 'back_flip': --task back_flip"),
        ("ant", "wave a front leg", "--task wave_leg"),
        ("hopper", "spin like a top", "no field of hopper plays yaw_rate"),
        ("ant", "turn left by 90 degrees", "no field of ant plays heading"),
        ("hopper", "get 1.2 m high", "no generic metric judges 'jump'"),
        ("dog", "Jump 0.2 m", "no field of dog plays lowest_point"),
        ("arm", "close the door", "no generic metric judges 'fixture'"),
        ("hopper", "…", "cannot measure its words"),
    ],
)
def test_a_sentence_without_a_metric_is_told_why_and_gets_no_other(
    name: str, sentence: str, reason: str
) -> None:
    with pytest.raises(RefusalError) as caught:
        compose(name, sentence)
    assert reason in caught.value.message
    proposal = OfflineDesigner().propose_metric(load(name), sentence)
    assert proposal.source is None


def test_a_sentence_like_a_task_is_told_its_name_and_judged_by_its_own_words() -> None:
    proposal = compose("hopper", "hop forward fast with the torso upright")
    assert proposal.source.startswith('score = go_far("forward_velocity", speed=')
    assert "--task hop_forward" in proposal.words.meaning
    assert "--task" not in compose("hopper", "go forward at 1.2 m/s").words.meaning


@pytest.mark.parametrize(
    ("sentence", "done"),
    [
        ("go forward at 1.2 m/s", "at 4 s, with a success in every episode"),
        ("stand still for 5 s", "at 4.75 s, with a success in every episode"),
        ("jump 0.4 m high", "at 0.38 m, with a success in every episode"),
        ("run 10 m", "at 9.5 m, with a success in every episode"),
        ("hop on the spot", "at 0.237 m, with a success in every episode"),
        ("run far", "when nothing improves: more than 14.4 m is better still"),
    ],
)
def test_a_metric_says_when_it_is_done(sentence: str, done: str) -> None:
    assert compose("hopper", sentence).words.done == done


@pytest.mark.parametrize("sentence", ["touch the target", "reach it and stay there for 1 s"])
def test_what_a_tool_is_to_do_can_be_done_within_an_episode(sentence: str) -> None:
    words, card = compose("reacher", sentence).words, load_env("reacher")
    episode_s = (words.max_episode_steps or card.max_episode_steps) * card.control_dt
    window_s = 1.0 if "1 s" in sentence else 0.5
    assert words.target_score is not None
    assert words.target_score < 0.8 * (episode_s - window_s)  # there is time to come near


def test_a_turn_by_an_angle_is_to_a_heading() -> None:
    dog = make_dog()
    heading = field("compass", "rad", "heading", rest=0.5)
    card = dog.model_copy(update={"state": (*dog.state, heading)})
    source = OfflineDesigner().propose_metric(card, "turn right by 90 degrees").source
    assert 'face("compass", at=-1.071' in source


def test_commands_are_followed_where_the_card_has_them() -> None:
    dog = make_dog()
    more = (
        field("asked_vx", "m/s", "commanded_velocity", range=(0, 1)),
        field("asked_w", "rad/s", "commanded_yaw_rate", range=(-1, 1)),
    )
    card = dog.model_copy(update={"state": (*dog.state, *more)})
    source = OfflineDesigner().propose_metric(card, "Follow the commands").source
    assert 'travel("trunk_v[0]", command="asked_vx"' in source
    assert 'turn("trunk_w[2]", command="asked_w"' in source
    assert check_metric(source, card).is_accepted


def test_an_episode_is_long_enough_for_what_is_asked() -> None:
    words = compose("reacher", "hold the target for 3 s, reach it").words
    card = load_env("reacher")
    assert words.max_episode_steps is not None
    assert words.max_episode_steps * card.control_dt >= 3.0


def test_a_metric_that_is_sent_back_is_followed_by_its_parts_alone() -> None:
    card, sentence = load("hopper"), "go forward at 1 m/s and crouch"
    designer = OfflineDesigner()
    proposals = [designer.propose_metric(card, sentence)]
    while proposals[-1].source is not None:
        proposals.append(designer.propose_metric(card, sentence, proposals[-1]))
    both, *alone, none = [proposal.source for proposal in proposals]
    assert both is not None
    assert both.startswith("score = both(")
    assert [str(source).split("(")[0] for source in alone] == [
        "score = travel",
        "score = keep_height",
    ]
    assert "crouch" in proposals[1].words.not_measured
    assert none is None
    assert "no other metric" in str(proposals[-1].outcome)
