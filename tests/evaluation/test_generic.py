"""Generic metrics: what earns credit, what is success, and what earns nothing."""

from itertools import pairwise

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.evaluation import generic
from reward_agent.evaluation.behaviours import record_behaviours
from reward_agent.evaluation.generic import both
from reward_agent.evaluation.metrics import Episode, compile_metric
from reward_agent.simulation.backends import make_simulation

DT, N_STEPS = 0.02, 500  # 10 s
N = N_STEPS + 1
TIME = np.arange(N) * DT


def play(terminated=False, n_steps=N_STEPS, **fields):
    """Make an episode; a field is an array over 10 s, or constant."""
    full = {
        name: np.broadcast_to(np.asarray(value, float).T, (*np.shape(value)[1:], N)).T
        for name, value in fields.items()
    }
    full = {name: values[: n_steps + 1] for name, values in full.items()}
    return Episode(full, np.zeros((n_steps, 1)), DT, terminated)


def judge(text, episode):
    return compile_metric(f"score = {text}")(episode)


# --- as asked, nothing, a fall -----------------------------------------------------------------

STANDING = {"up": 1.0, "height": 0.3}
FALLEN = {"up": np.where(TIME < 0.4, 1.0, 0.1), "height": np.where(TIME < 0.4, 0.3, 0.1)}
ARRIVING = np.clip(0.5 - 0.25 * TIME, 0.02, None)
LIFTED = np.clip(TIME - 2, 0.0, 0.12)
JUMP = np.where((TIME > 3) & (TIME < 3.4), 0.15, 0.0)
HOLD = 'hold_pose("angles", up="up", height="height")'
TRAVEL = 'travel("velocity", speed=0.8, up="up", height="height")'
BACK = 'travel("velocity", speed=-0.4, up="up")'
FOLLOW = 'travel("velocity", command="command", up="up")'
TURN = 'turn("rate", rate=1.0, up="up")'
FACE = 'face("heading", command="command", up="up")'
CROUCH = 'keep_height("height", command="command", up="up")'
REACH = 'reach("distance", within=0.05)'
PLACE = 'place("distance", within=0.05, approach="tool")'
LIFT = 'lift("object", by=0.1)'
OPEN = 'move_fixture("hinge", by=0.5)'
CLOSE = 'move_fixture("hinge", by=-0.5)'
ON_TWO = 'stand_on(["left", "right"], off=["front"], never=["torso"], up="up")'
HOP = 'jump("lowest", height=0.1, up="up")'
TWICE = 'jump("lowest", height=0.1, times=2, up="up")'
FAR = 'go_far("velocity", speed=0.5, up="up")'
FAR_BACK = 'go_far("velocity", distance=-3.0, up="up")'
CHANGING = np.where(TIME < 5, 0.5, -0.5)
SWING = 0.7 * np.sin(TIME * 12)

DONE = [
    (HOLD, STANDING | {"angles": np.full((N, 3), 0.4)}, 9.9),
    (TRAVEL, STANDING | {"velocity": 0.8 + SWING}, 9.0),
    (BACK, STANDING | {"velocity": -0.4}, 9.0),
    (FOLLOW, STANDING | {"command": CHANGING, "velocity": CHANGING}, 9.0),
    (TURN, STANDING | {"rate": 1.1}, 9.0),
    (FACE, STANDING | {"command": 3.0, "heading": -3.2 + np.exp(-TIME)}, 9.3),
    (CROUCH, STANDING | {"command": 0.2, "height": 0.2 + 0.1 * np.exp(-4 * TIME)}, 9.0),
    (REACH, {"distance": ARRIVING}, 8.6),
    (PLACE, {"distance": ARRIVING, "tool": 0.1}, 8.6),
    (LIFT, {"object": LIFTED}, 6.5),
    (OPEN, {"hinge": np.clip(0.2 * TIME, 0, 0.6)}, 8.3),
    (CLOSE, {"hinge": -np.clip(0.2 * TIME, 0, 0.6)}, 8.3),
    (ON_TWO, STANDING | {"left": 1.0, "right": 1.0, "front": TIME < 1, "torso": 0.0}, 9.0),
    (HOP, STANDING | {"lowest": JUMP}, 0.1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fields", "score"), DONE, ids=[row[0] for row in DONE])
def test_what_is_asked_is_success(text, fields, score):
    judged = judge(text, play(**fields))
    assert judged.success
    assert judged.task_score == pytest.approx(score, rel=0.12)
    assert judged.parts["fell"] == 0


@pytest.mark.parametrize(("text", "fields", "score"), DONE, ids=[row[0] for row in DONE])
def test_a_fall_at_the_end_is_no_success(text, fields, score):
    assert not judge(text, play(terminated=True, **fields)).success
    if "up" in fields:
        up = np.where(TIME < 9.9, 1.0, 0.0)
        assert not judge(text, play(**(fields | {"up": up}))).success


@pytest.mark.parametrize(("text", "fields", "score"), DONE, ids=[row[0] for row in DONE])
def test_falling_at_once_earns_next_to_nothing(text, fields, score):
    judged = judge(
        text, play(**(fields | FALLEN)) if "up" in fields else play(n_steps=20, **fields)
    )
    assert judged.task_score <= 0.05 * score
    assert not judged.success


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (TRAVEL, STANDING | {"velocity": 0.0}),
        (BACK, STANDING | {"velocity": 0.0}),
        (FOLLOW, STANDING | {"command": CHANGING, "velocity": 0.0}),
        ('travel("velocity", speed=0.01)', {"velocity": 0.0}),
        (TURN, STANDING | {"rate": 0.0}),
        (FACE, STANDING | {"command": 2.0, "heading": 0.0}),
        (CROUCH, STANDING | {"command": 0.2, "height": 0.3}),
        (REACH, {"distance": 0.3}),
        (PLACE, {"distance": 0.3, "tool": 0.2}),
        (LIFT, {"object": 0.02}),
        (OPEN, {"hinge": 0.1}),
        (ON_TWO, STANDING | {"left": 1.0, "right": 1.0, "front": 1.0, "torso": 0.0}),
        (HOP, STANDING | {"lowest": 0.0}),
    ],
)
def test_doing_nothing_earns_nothing(text, fields):
    assert judge(text, play(**fields)).task_score == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        # A bounce after a drop, a jump into a fall, a flight without an end.
        (HOP, STANDING | {"lowest": np.abs(0.3 * np.cos(TIME * 8)) * np.exp(-TIME)}),
        (HOP, {"lowest": JUMP, "up": np.where(TIME < 3.6, 1.0, 0.0)}),
        (HOP, STANDING | {"lowest": np.where(TIME > 3, 1.0, 0.0)}),
        (REACH, {"distance": np.abs(0.5 - 0.5 * TIME)}),  # slides past the target
        (LIFT, {"object": np.where((TIME > 3) & (TIME < 3.8), 0.3, 0.0)}),  # thrown
        (OPEN, {"hinge": np.sin(TIME * 6)}),  # swings past
        (TRAVEL, STANDING | {"velocity": 1.6}),  # twice as fast
        (TRAVEL, STANDING | {"velocity": 4 * np.sin(TIME * 12)}),  # shakes
        (TRAVEL, {"velocity": 0.8, "up": 1.0, "height": np.where(TIME < 0.2, 0.3, 0.1)}),  # crawls
        (HOLD, STANDING | {"angles": 0.15 * np.sin(100 * TIME)}),  # trembles
        (ON_TWO, STANDING | {"left": 1.0, "right": 1.0, "front": TIME % 0.2 < 0.1, "torso": 0.0}),
    ],
)
def test_what_only_looks_like_it_is_no_success_and_earns_little(text, fields):
    judged = judge(text, play(**fields))
    assert not judged.success
    assert judged.task_score <= (0.051 if text == HOP else 1.2)


@pytest.mark.parametrize(
    ("text", "make", "steps"),
    [
        (TRAVEL, lambda x: STANDING | {"velocity": 0.8 * x}, 5),
        (FOLLOW, lambda x: STANDING | {"command": -0.5, "velocity": -0.5 * x}, 5),
        (REACH, lambda x: {"distance": np.maximum(0.5 - 0.5 * x, 0.5 - TIME)}, 5),
        (LIFT, lambda x: {"object": np.minimum(0.1 * x, TIME)}, 5),
        (OPEN, lambda x: {"hinge": np.minimum(0.5 * x, TIME)}, 5),
        (HOLD, lambda x: STANDING | {"angles": np.minimum(0.8 * (1 - x), 0.3 * TIME)}, 5),
        (HOP, lambda x: STANDING | {"lowest": np.where((TIME > 3) & (TIME < 3.4), 0.1 * x, 0)}, 5),
    ],
)
def test_credit_rises_from_nothing_to_all_that_is_asked(text, make, steps):
    scores = [judge(text, play(**make(x))).task_score for x in np.linspace(0.0, 1.0, steps)]
    assert all(low <= high for low, high in pairwise(scores))
    assert len(set(np.round(scores, 3))) >= 3


def test_bringing_the_tool_near_earns_a_fifth_before_the_object_moves():
    near = judge(PLACE, play(distance=0.3, tool=ARRIVING - 0.02))
    assert 1.0 < near.task_score < 2.0
    assert not near.success


def test_the_best_of_several_jumps_counts():
    lowest = JUMP + np.where((TIME > 6) & (TIME < 6.2), 0.05, 0.0)
    judged = judge(HOP, play(lowest=lowest, up=1.0))
    assert judged.parts["jumps"] == 2
    assert judged.parts["height"] == pytest.approx(0.15)


def test_two_metrics_at_a_time_ask_for_both():
    metric = both(
        generic.travel("velocity", speed=0.8, up="up"), generic.keep_height("height", at=0.2)
    )
    done = {"velocity": 0.8, "up": 1.0, "height": 0.2 + 0.1 * np.exp(-4 * TIME)}
    assert metric(play(**done)).success
    assert metric(play(**(done | {"height": 0.3}))).task_score < 1e-9
    assert metric(play(**(done | {"velocity": 0.0}))).task_score < 1e-9
    with pytest.raises(DataError, match="two metrics in s"):
        both(metric, generic.jump("lowest", height=0.1))


def test_a_robot_that_is_asked_for_nothing_is_right_to_do_nothing():
    command = np.where(TIME < 5, 0.0, 0.02)
    judged = judge(FOLLOW, play(command=command, velocity=0.0, up=1.0))
    assert judged.task_score == pytest.approx(9.0, abs=0.1)
    assert judge('travel("velocity", speed=0.0)', play(velocity=0.0)).success


def test_an_entry_of_a_vector_is_a_signal():
    velocity = np.stack([np.full(N, 0.8), np.zeros(N)], axis=1)
    assert judge('travel("velocity[0]", speed=0.8)', play(velocity=velocity)).success
    assert not judge('travel("velocity[1]", speed=0.8)', play(velocity=velocity)).success


def test_parts_explain_the_verdict():
    judged = judge(TRAVEL, play(**(STANDING | {"velocity": 0.8})))
    assert judged.parts == {
        "mean_velocity": pytest.approx(0.8),
        "upright_share": 1.0,
        "high_share": 1.0,
        "longest": pytest.approx(9.04),
        "duration": pytest.approx(10.0),
        "fell": 0.0,
    }


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('travel("velocty", speed=1.0)', "reads a field 'velocty'.*did you mean 'velocity'"),
        ('travel("velocity", speed=1.0, up="upp")', "did you mean 'up'"),
        ('travel("velocity", command="comand")', "reads a field 'comand'"),
        ('travel("angles", speed=1.0)', "takes 'angles' for one number, 'angles' has 3"),
        ('travel("angles[3]", speed=1.0)', "takes 'angles\\[3\\]' for one number"),
        ('hold_pose("angles", pose=[0.0])', "the pose has 1 angles, 'angles' has 3"),
        ('travel("velocity")', "line 1: the metric needs a number"),
        ('stand_on("left")', "line 1: stand_on needs a list"),
        ('jump("lowest", height=0.01)', "line 1: a jump of 0.01 m"),
        ('move_fixture("hinge", by=0)', "line 1: .*by 0"),
    ],
)
def test_a_mistake_in_a_metric_is_one_clear_error(text, message):
    episode = play(velocity=0.0, up=1.0, angles=np.zeros((N, 3)))
    with pytest.raises(DataError, match=message):
        judge(text, episode)


# --- on shipped environments -------------------------------------------------------------------


def record(env, behaviour):
    recorded = record_behaviours(load_env(env), [behaviour], n_episodes=4, seed=0)
    return [recorded.trajectories.episode(i) for i in range(4)]


@pytest.mark.parametrize(
    ("env", "text", "most"),
    [
        ("hopper", 'travel("forward_velocity", speed=1.0, up="torso_up")', 0.3),
        # It takes a while to fall.
        ("hopper", 'hold_pose("joint_angles", up="torso_up", height="torso_height")', 1.5),
        ("hopper", 'jump("lowest_point", height=0.2, up="torso_up")', 0.1),
        ("ant", 'travel("forward_velocity", speed=1.0, up="torso_up", height="torso_height")', 2.0),
        # Random actions that are held throw it up a little.
        ("ant", 'jump("lowest_point", height=0.3, up="torso_up")', 0.2),
        ("reacher", 'reach("target_distance", within=0.02)', 0.1),
    ],
)
@pytest.mark.parametrize("behaviour", ["limp", "random actions"])
def test_who_does_not_try_earns_little(env, text, most, behaviour):
    judged = [judge(text, episode) for episode in record(env, behaviour)]
    assert not any(score.success for score in judged)
    assert np.mean([score.task_score for score in judged]) <= most


def test_a_scripted_reach_in_the_real_simulation_is_success():
    card = load_env("reacher")
    simulation = make_simulation(card, 1, seed=1)
    simulation.reset()
    states, upper, lower = [simulation.read_state()], 0.1, 0.11  # m
    for _ in range(card.max_episode_steps):
        qpos, qvel = simulation.qpos[0, :2], simulation.qvel[0, :2]
        x, y = states[0].target_position[0, :2]
        bend = np.arccos(np.clip((x**2 + y**2 - upper**2 - lower**2) / (2 * upper * lower), -1, 1))
        turn = np.arctan2(y, x) - np.arctan2(lower * np.sin(bend), upper + lower * np.cos(bend))
        off = (np.array([turn, bend]) - qpos + np.pi) % (2 * np.pi) - np.pi
        simulation.step([3.0 * off - 0.3 * qvel])
        states.append(simulation.read_state())
    fields = {name: np.concatenate([s.fields[name] for s in states]) for name in states[0].fields}
    episode = Episode(fields, np.zeros((len(states) - 1, 2)), card.control_dt)
    judged = judge('reach("target_distance", within=0.02, seconds=0.2)', episode)
    assert judged.success, judged
    assert judged.task_score > 0.3


# --- how far, how often -------------------------------------------------------------------------


def test_metres_count_until_a_fall_and_the_right_way_alone():
    going = judge(FAR, play(velocity=0.8, up=1.0))
    assert (going.task_score, going.success) == (pytest.approx(8.0), True)
    slow = judge(FAR, play(velocity=0.4, up=1.0))
    assert (slow.task_score, slow.success) == (pytest.approx(4.0), False)
    fallen = judge(FAR, play(velocity=0.8, up=FALLEN["up"]))
    assert fallen.task_score < 0.4
    assert not fallen.success
    assert judge(FAR, play(velocity=-0.8, up=1.0)).task_score < 0
    assert judge(FAR, play(velocity=0.0, up=1.0)).task_score == 0
    assert not judge(FAR, play(velocity=0.8, up=1.0, n_steps=0)).success


def test_a_distance_is_reached_and_more_is_no_more():
    there = judge(FAR_BACK, play(velocity=-0.8, up=1.0))
    assert (there.task_score, there.success) == (3.0, True)
    near = judge(FAR_BACK, play(velocity=-0.2, up=1.0))
    assert (near.task_score, near.success) == (pytest.approx(2.0), False)
    assert judge(FAR_BACK, play(velocity=0.8, up=1.0)).task_score == 0


@pytest.mark.parametrize("given", ["", ", speed=0.0", ", speed=1.0, distance=2.0"])
def test_how_far_needs_one_number(given):
    with pytest.raises(DataError, match="how fast, or how far"):
        judge(f'go_far("velocity"{given})', play(velocity=1.0))


def test_two_jumps_are_judged_by_both():
    again = JUMP + np.where((TIME > 6) & (TIME < 6.4), 0.15, 0.0)
    once, twice = (judge(TWICE, play(lowest=low, up=1.0)) for low in (JUMP, again))
    assert (once.task_score, once.success) == (pytest.approx(0.05), False)
    assert (twice.task_score, twice.success) == (pytest.approx(0.1), True)
    assert judge(HOP, play(lowest=JUMP, up=1.0)).success


def test_a_height_that_is_passed_by_is_not_kept():
    low = 'keep_height("height", at=0.2, within=0.02, seconds=0.1)'
    sinking = np.interp(TIME, [1.0, 2.0], [0.4, 0.0])
    assert judge(low, play(height=sinking)).task_score < 0.15
    assert not judge(low, play(height=sinking)).success
    assert judge(low, play(height=np.maximum(sinking, 0.2))).success


@pytest.mark.parametrize(("speed", "is_within"), [(0.51, True), (0.69, True), (0.48, False)])
def test_a_range_of_speeds_has_full_credit_within_it(speed, is_within):
    judged = judge('travel("velocity", speed=0.6, within=0.1)', play(velocity=speed))
    assert judged.success == is_within
