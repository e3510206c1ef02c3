import numpy as np
import pytest

from reward_agent.summary.fields import choose_columns
from reward_agent.summary.samples import _find_period, choose_steps, render_sample, sample_episode
from reward_agent.types import EpisodeScore


def score(**changes):
    given = {"task_score": 1.5, "success": False, "length": 50, "end": "truncated"} | changes
    return EpisodeScore(**given)


def names(columns):
    return [column.name for column in columns]


def test_constant_columns_are_left_out(toy_card, make_episode):
    moving = make_episode(x_position=np.linspace(0, 5, 51))
    assert names(choose_columns(toy_card, "", [moving])) == ["x_position"]


def test_column_that_another_one_tells_is_left_out(toy_card, make_episode):
    x = np.linspace(0, 5, 51)
    com = np.stack([x + 0.1, 0 * x, 1 + np.sin(x)], axis=1)
    columns = choose_columns(toy_card, "", [make_episode(x_position=x, com_position=com)])
    assert names(columns) == ["x_position", "com_position.z"]


def test_field_that_can_end_an_episode_is_kept_though_it_moves_little(toy_card, make_episode):
    # 0.2 rad is next to nothing of the card's range, and half of the healthy one.
    tilting = make_episode(torso_pitch=np.linspace(0, 0.2, 51))
    assert names(choose_columns(toy_card, "", [tilting])) == ["torso_pitch"]


def test_fields_named_in_the_task_come_first_and_joints_last(toy_card, make_episode):
    rng = np.random.default_rng(0)
    wild = {name: rng.normal(size=51) for name in ("x_position", "torso_height", "knee_angle")}
    episode = make_episode(forward_velocity=rng.normal(size=51), **wild)
    assert names(choose_columns(toy_card, "Go up to a great height.", [episode]))[0] == (
        "torso_height"
    )
    assert names(choose_columns(toy_card, "", [episode]))[-1] == "knee_angle"


def test_take_off_and_touch_down_are_sampled_densely(toy_card, make_episode):
    foot = np.ones(201)
    foot[100:110] = 0
    steps = choose_steps(toy_card, make_episode(200, foot_floor_contact=foot), score(), 12)
    assert {98, 100, 102, 108, 110, 112} <= set(steps)
    assert len(steps) <= 12


def test_long_stretches_without_events_get_a_row(toy_card, make_episode):
    foot = np.ones(201)
    foot[10:20] = 0
    steps = sorted(choose_steps(toy_card, make_episode(200, foot_floor_contact=foot), score(), 12))
    assert max(np.diff(steps)) <= 100


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_shortest_episodes_have_their_start_and_end(toy_card, make_episode, n_steps):
    steps = choose_steps(toy_card, make_episode(n_steps), score(length=n_steps), 8)
    assert "start" in steps[0]
    assert "time is up" in steps[n_steps]


def test_robot_at_rest_takes_one_row_and_its_end(toy_card, make_episode):
    episode = make_episode(x_position=np.concatenate([np.linspace(0, 1, 11), np.ones(40)]))
    columns = choose_columns(toy_card, "", [episode])
    sample = sample_episode(toy_card, episode, score(), columns, "median", 0, 12)
    resting = [state for state in sample.states if state.step > 12]
    assert [state.event for state in resting][-1] == "time is up"
    assert len(resting) <= 2


def test_sample_reads_with_units_contacts_and_verdict(toy_card, make_episode):
    episode = make_episode(x_position=np.linspace(0, 5, 51))
    columns = choose_columns(toy_card, "", [episode])
    verdict = score(task_score=4.98765, parts={"turn": 0.25})
    text = render_sample(sample_episode(toy_card, episode, verdict, columns, "best", 3, 6))
    headline, header, first, *_ = text.splitlines()
    assert (
        headline
        == "best episode: task_score 4.99 (no success), 50 steps, end: truncated; turn 0.25"
    )
    assert header.split() == ["time", "s", "x_position", "m", "on", "floor", "event"]
    assert first.split() == ["0.00", "0", "foot", "start"]


def test_what_repeats_is_shown_at_a_steady_rate(toy_card, make_episode):
    t = np.arange(501)
    bobbing = make_episode(500, torso_height=1 + 0.3 * np.sin(2 * np.pi * t / 50))
    steps = choose_steps(toy_card, bobbing, score(length=500), 13)
    cycle = [step for step in steps if 250 <= step <= 300]
    assert len(cycle) >= 8
    assert max(np.diff(cycle)) <= 7
    noise = make_episode(500, torso_height=1 + 0.3 * np.random.default_rng(0).random(501))
    assert len(choose_steps(toy_card, noise, score(length=500), 13)) <= 13


def test_the_joint_that_a_task_names_and_that_moves_is_a_column(toy_card, make_episode):
    rng = np.random.default_rng(0)
    knee = toy_card.state[4].model_copy(update={"role": "joint_angle"})
    toy_card = toy_card.model_copy(
        update={"state": (*toy_card.state[:4], knee, *toy_card.state[5:])}
    )
    wild = ("x_position", "torso_height", "torso_pitch", "forward_velocity")
    fields = {name: 0.5 * rng.normal(size=51) for name in (*wild, "knee_angle")}
    fields["com_position"] = rng.normal(size=(51, 3))
    episode = make_episode(**fields)
    assert names(choose_columns(toy_card, "Swing the knee.", [episode]))[4] == "knee_angle"
    assert names(choose_columns(toy_card, "Go.", [episode]))[-1] == "knee_angle"


def test_joint_velocities_are_shown_where_the_criterion_limits_them(toy_card, make_episode):
    rates = toy_card.state[3].model_copy(
        update={"name": "joint_velocities", "unit": "rad/s", "size": 4, "role": "joint_velocities"}
    )
    card = toy_card.model_copy(update={"state": (*toy_card.state, rates)})
    episode = make_episode(joint_velocities=np.random.default_rng(0).normal(size=(51, 4)))
    limited = choose_columns(card, "Quiet: joints slower than 0.5 rad/s.", [episode])
    assert names(limited) == ["largest |joint_velocities|"]
    assert limited[0].read(episode) == pytest.approx(np.abs(episode.joint_velocities).max(axis=1))
    assert names(choose_columns(card, "Turn at 0.5 rad/s.", [episode])) == []


@pytest.mark.parametrize("values", [np.linspace(0, 1, 31), np.exp(np.linspace(0, 5, 31))])
def test_what_only_grows_has_no_period(values):
    assert _find_period(values) == 0


def test_a_limb_that_waves_is_shown_at_a_steady_rate_where_the_posture_is_still(
    toy_card, make_episode
):
    t = np.arange(501)
    waving = make_episode(500, x_position=np.sin(2 * np.pi * t / 50))
    columns = choose_columns(toy_card, "", [waving])
    steps = choose_steps(toy_card, waving, score(length=500), 13, columns)
    cycle = [step for step in steps if 250 <= step <= 300]
    assert len(cycle) >= 8
