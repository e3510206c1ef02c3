"""The metrics of going somewhere: distance is paid as it comes, success asks for the manner."""

import numpy as np
import pytest

from reward_agent.evaluation.metrics import Episode

HOPPER_DT = 0.008
CHEETAH_DT = 0.05
ANT_DT = 0.05


def alternate(n_rows, period, share):
    """Return 1 during the first share of every period, else 0, ``(n_rows,)``."""
    return (np.arange(n_rows) % period < share * period).astype(float)


def make_hopper(distance, n_steps=1000, terminated=False, contact=None):
    x = np.linspace(0.01, 0.01 + distance, n_steps + 1)
    contact = alternate(n_steps + 1, 50, 0.5) if contact is None else contact
    fields = {"x_position": x, "foot_floor_contact": contact}
    return Episode(fields, np.zeros((n_steps, 3)), HOPPER_DT, terminated)


@pytest.fixture
def hop(load_metric):
    return load_metric("hopper", "hop_forward")


def test_hopping_three_metres_without_a_fall_is_success(hop):
    score = hop(make_hopper(3.5))
    assert score.task_score == pytest.approx(3.5)
    assert score.success
    assert score.parts["hops"] == 20


def test_hopping_far_and_falling_keeps_the_metres_only(hop):
    score = hop(make_hopper(5.0, n_steps=400, terminated=True))
    assert score.task_score == pytest.approx(5.0)
    assert score.parts["fell"] == 1.0
    assert not score.success


def test_sliding_on_the_foot_is_no_hopping(hop):
    assert not hop(make_hopper(5.0, contact=np.ones(1001))).success


def test_chatter_of_the_contact_is_no_hopping(hop):
    score = hop(make_hopper(5.0, contact=alternate(1001, 6, 0.7)))
    assert score.parts["hops"] == 0
    assert not score.success


def test_dive_is_one_flight_at_most(hop):
    contact = np.zeros(101)
    contact[:20] = 1.0
    score = hop(make_hopper(0.8, n_steps=100, terminated=True, contact=contact))
    assert score.parts["hops"] == 0
    assert not score.success


def test_hopping_backwards_scores_below_zero(hop):
    assert hop(make_hopper(-2.0)).task_score == pytest.approx(-2.0)


def make_walker(distance, right=None, left=None, terminated=False):
    n_steps = 1000
    rows = n_steps + 1
    steps = alternate(rows, 60, 0.6)
    fields = {
        "x_position": np.linspace(0, distance, rows),
        "right_foot_floor_contact": steps if right is None else right,
        "left_foot_floor_contact": np.roll(steps, 30) if left is None else left,
    }
    return Episode(fields, np.zeros((n_steps, 6)), HOPPER_DT, terminated)


@pytest.mark.parametrize(("task", "sign"), [("run_forward", 1.0), ("run_backward", -1.0)])
def test_walker_runs_in_the_asked_direction_on_both_legs(task, sign, load_metric):
    metric = load_metric("walker2d", task)
    assert metric(make_walker(sign * 6.0)).success
    assert not metric(make_walker(-sign * 6.0)).success
    assert metric(make_walker(-sign * 6.0)).task_score == pytest.approx(-6.0)
    assert not metric(make_walker(sign * 6.0, terminated=True)).success


@pytest.mark.parametrize("dragged", [np.zeros(1001), np.ones(1001)], ids=["held up", "dragged"])
def test_walker_on_one_leg_is_no_success(dragged, load_metric):
    metric = load_metric("walker2d", "run_forward")
    assert not metric(make_walker(6.0, right=dragged)).success
    assert not metric(make_walker(6.0, left=dragged)).success


def make_cheetah(distance, up=1.0, torso=0.0, head=0.0, n_steps=1000):
    rows = n_steps + 1
    fields = {
        "x_position": np.linspace(0, distance, rows),
        "torso_up": np.broadcast_to(up, rows),
        "torso_floor_contact": np.broadcast_to(torso, rows),
        "head_floor_contact": np.broadcast_to(head, rows),
    }
    return Episode(fields, np.zeros((n_steps, 6)), CHEETAH_DT)


@pytest.mark.parametrize(("task", "sign"), [("run_forward", 1.0), ("run_backward", -1.0)])
def test_cheetah_runs_in_the_asked_direction(task, sign, load_metric):
    metric = load_metric("half_cheetah", task)
    assert metric(make_cheetah(sign * 120.0)).success
    assert metric(make_cheetah(sign * 120.0)).task_score == pytest.approx(120.0)
    assert not metric(make_cheetah(-sign * 120.0)).success


def test_cheetah_on_its_back_gets_nothing_for_its_metres(load_metric):
    score = load_metric("half_cheetah", "run_forward")(make_cheetah(200.0, up=-1.0))
    assert score.task_score == 0.0
    assert score.parts["distance"] == pytest.approx(200.0)
    assert not score.success


def test_cheetah_that_flips_over_half_way_keeps_the_first_half(load_metric):
    up = np.where(np.arange(1001) <= 500, 1.0, -1.0)
    score = load_metric("half_cheetah", "run_forward")(make_cheetah(200.0, up=up))
    assert score.task_score == pytest.approx(100.0)
    assert not score.success


def test_cheetah_cannot_gain_by_going_back_upside_down(load_metric):
    x_back_and_forth = np.concatenate([np.linspace(0, -50, 500), np.linspace(-50, 0, 501)])
    up = np.where(np.arange(1001) < 500, -1.0, 1.0)
    episode = make_cheetah(0.0, up=up)
    fields = {**episode.fields, "x_position": x_back_and_forth}
    score = load_metric("half_cheetah", "run_forward")(Episode(fields, episode.action, CHEETAH_DT))
    assert score.task_score <= 0.0


def test_cheetah_sliding_on_its_head_is_no_success(load_metric):
    score = load_metric("half_cheetah", "run_forward")(make_cheetah(200.0, head=1.0))
    assert score.parts["body_on_floor_share"] == 1.0
    assert not score.success


def make_ant(distance, up=1.0, n_steps=1000, terminated=False):
    rows = n_steps + 1
    position = np.zeros((rows, 3))
    position[:, 0] = np.linspace(0, distance, rows)
    fields = {"torso_position": position, "torso_up": np.broadcast_to(up, rows)}
    return Episode(fields, np.zeros((n_steps, 8)), ANT_DT, terminated)


def test_ant_runs_fifty_metres_the_right_way_up(load_metric):
    metric = load_metric("ant", "run_forward")
    assert metric(make_ant(60.0)).success
    assert metric(make_ant(60.0)).task_score == pytest.approx(60.0)
    assert not metric(make_ant(60.0, terminated=True)).success
    assert not metric(make_ant(30.0)).success


def test_ant_on_its_back_gets_nothing_for_its_metres(load_metric):
    score = load_metric("ant", "run_forward")(make_ant(60.0, up=-1.0))
    assert score.task_score == 0.0
    assert score.parts["inverted_share"] == 1.0
    assert not score.success


def make_humanoid(distance, right=None, terminated=False):
    n_steps = 1000
    rows = n_steps + 1
    position = np.zeros((rows, 3))
    position[:, 0] = np.linspace(0, distance, rows)
    steps = alternate(rows, 40, 0.6)
    fields = {
        "com_position": position,
        "right_foot_floor_contact": steps if right is None else right,
        "left_foot_floor_contact": np.roll(steps, 20),
    }
    return Episode(fields, np.zeros((n_steps, 17)), 0.015, terminated)


def test_humanoid_runs_on_both_feet_without_a_fall(load_metric):
    metric = load_metric("humanoid", "run_forward")
    assert metric(make_humanoid(20.0)).success
    assert not metric(make_humanoid(20.0, terminated=True)).success
    assert not metric(make_humanoid(20.0, right=np.zeros(1001))).success
    assert not metric(make_humanoid(10.0)).success
