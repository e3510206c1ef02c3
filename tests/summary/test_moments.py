import numpy as np
from support.cards import field, make_dog, make_fish, make_robot

from reward_agent.evaluation.metrics import Episode
from reward_agent.summary.fields import find_airborne, find_runs, list_contacts
from reward_agent.summary.samples import find_moments, find_posture


def labels(events):
    return {event.label: event.step for event in events}


def test_fall_on_the_torso_is_an_event_and_so_is_getting_up(toy_card, make_episode):
    torso = np.zeros(51)
    torso[20:30] = torso[35:40] = 1
    found = labels(find_moments(toy_card, make_episode(torso_floor_contact=torso), "truncated"))
    assert found["torso touches the floor"] == 20
    assert found["torso off the floor for good"] == 40


def test_robot_that_stays_down_never_gets_up(toy_card, make_episode):
    torso = np.zeros(51)
    torso[20:] = 1
    found = labels(find_moments(toy_card, make_episode(torso_floor_contact=torso), "truncated"))
    assert "torso off the floor for good" not in found


def test_longest_flight_is_told_by_its_two_ends(toy_card, make_episode):
    foot = np.ones(51)
    foot[5:8] = foot[20:30] = 0
    found = labels(find_moments(toy_card, make_episode(foot_floor_contact=foot), "truncated"))
    assert found["takes off, flies 0.20 s"] == 20
    assert found["lands on foot"] == 30


def test_drop_at_the_start_is_no_flight(toy_card, make_episode):
    foot = np.ones(51)
    foot[:10] = 0
    found = labels(find_moments(toy_card, make_episode(foot_floor_contact=foot), "truncated"))
    assert not [label for label in found if "takes off" in label]


def test_extremes_of_height_and_pitch_are_found(toy_card, make_episode):
    steps = np.arange(51)
    height = 1 + 0.5 * np.exp(-(((steps - 12) / 5) ** 2))
    found = labels(find_moments(toy_card, make_episode(torso_height=height), "truncated"))
    assert found["highest torso_height"] == 12
    assert not [label for label in found if "pitch" in label]  # it does not move


def test_success_and_termination_outweigh_all_else(toy_card, make_episode):
    events = find_moments(toy_card, make_episode(), "torso_pitch", success_step=30)
    assert {(e.step, e.label) for e in events if e.weight == 5} == {
        (30, "success from here on"),
        (50, "ends: torso_pitch"),
    }


def test_nothing_is_airborne_where_no_contact_is_measured(toy_card, make_episode):
    blind = toy_card.model_copy(
        update={"state": tuple(f for f in toy_card.state if f.unit != "0/1")}
    )
    assert not find_airborne(blind, make_episode()).any()


def test_runs_are_half_open():
    assert find_runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert find_runs(np.zeros(3, dtype=bool)) == []


def rest(card, n=51, **fields):
    """An episode in which every field stays as it is at rest."""
    kept = {
        f.name: np.full((n,) if f.size is None else (n, f.size), f.rest or 0.0) for f in card.fields
    }
    return Episode(kept | fields, np.zeros((n - 1, card.n_actions)), 0.02, False)


def test_a_toe_that_plays_a_foot_is_no_fall():
    dog = make_dog()
    belly = np.zeros(51)
    belly[20:] = 1
    found = labels(find_moments(dog, rest(dog, belly=belly), "truncated"))
    assert found["trunk touches the floor"] == 20
    assert not [label for label in found if "foot touches" in label]


def test_a_tool_on_its_object_is_not_the_floor():
    card = make_robot("arm", field("squeeze", "0/1", "tool_contact"), field("z", "m"))
    assert list_contacts(card) == []
    assert not find_airborne(card, rest(card)).any()


def test_posture_is_told_by_roles_whatever_the_names():
    assert [column.name for column in find_posture(make_dog())] == ["trunk_z", "trunk_zz"]
    assert [column.name for column in find_posture(make_fish())] == ["com.z"]
