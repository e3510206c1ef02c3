import numpy as np
import pytest

from reward_agent.summary.fields import choose_columns
from reward_agent.summary.samples import choose_steps, render_sample, sample_episode
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
