"""The metrics of a steady speed, of standing, of hopping on the spot and of jumping."""

import numpy as np
import pytest

from reward_agent.evaluation.metrics import Episode

DT = 0.008
N_STEPS = 1000


def make_episode(fields, n_steps=N_STEPS, dt=DT, terminated=False):
    rows = n_steps + 1
    full = {
        name: np.broadcast_to(np.asarray(value, float), (rows, *np.shape(value)[1:])).copy()
        for name, value in fields.items()
    }
    return Episode(full, np.zeros((n_steps, 3)), dt, terminated)


def go(speed, n_steps=N_STEPS, dt=DT, up=1.0, terminated=False):
    x = np.cumsum(np.broadcast_to(speed, n_steps + 1)) * dt
    return make_episode({"x_position": x, "torso_up": up}, n_steps, dt, terminated)


@pytest.mark.parametrize("env", ["hopper", "walker2d"])
def test_a_steady_metre_a_second_is_success(env, load_metric):
    metric = load_metric(env, "target_speed")
    score = metric(go(1.0))
    assert score.success
    assert score.task_score == pytest.approx(7.0, abs=0.02)  # of 8 s, the first one is the window
    assert score.parts["mean_speed"] == pytest.approx(1.0, abs=0.01)


def test_a_gaits_own_swing_is_no_fault(load_metric):
    swing = 1.0 + 0.9 * np.sin(np.arange(N_STEPS + 1) * DT * 2 * np.pi * 2.5)
    assert load_metric("hopper", "target_speed")(go(swing)).success


@pytest.mark.parametrize(
    ("speed", "score"), [(0.0, 0.0), (-1.0, 0.0), (0.5, 3.5), (1.5, 3.5), (3.0, 0.0)]
)
def test_the_wrong_speed_is_worth_less_the_further_off(speed, score, load_metric):
    judged = load_metric("hopper", "target_speed")(go(speed))
    assert judged.task_score == pytest.approx(score, abs=0.03)
    assert not judged.success


def test_the_mean_speed_of_a_dash_and_a_rest_is_no_steady_speed(load_metric):
    speed = np.where(np.arange(N_STEPS + 1) % 500 < 167, 3.0, 0.0)
    judged = load_metric("hopper", "target_speed")(go(speed))
    assert judged.parts["mean_speed"] == pytest.approx(1.0, abs=0.05)
    assert judged.task_score < 2.5


def test_a_fall_ends_the_pay_and_bars_success(load_metric):
    metric = load_metric("hopper", "target_speed")
    early = metric(go(1.0, n_steps=300, terminated=True))
    assert early.task_score == pytest.approx(1.4, abs=0.02)
    assert not metric(go(1.0, n_steps=990, terminated=True)).success


def test_the_cheetah_is_asked_for_two_metres_a_second_the_right_way_up(load_metric):
    metric = load_metric("half_cheetah", "target_speed")
    assert metric(go(2.0, 200, 0.05)).success
    assert metric(go(1.0, 200, 0.05)).task_score == pytest.approx(4.5, abs=0.1)
    sliding = metric(go(2.0, 200, 0.05, up=-0.5))
    assert sliding.task_score == 0.0
    assert sliding.parts["inverted_share"] == 1.0


def stand(height=1.25, pitch=0.0, speed=0.0, lowest=0.0, terminated=False, n_steps=N_STEPS):
    velocity = np.array([[speed, 0.0, 0.0]])
    x = np.arange(n_steps + 1) * DT * speed
    position = np.stack([x, 0 * x, 0 * x + height], axis=-1)
    fields = {
        "torso_height": height,
        "torso_pitch": pitch,
        "com_velocity": velocity,
        "com_position": position,
        "lowest_point": lowest,
    }
    return make_episode(fields, n_steps, terminated=terminated)


@pytest.mark.parametrize("env", ["hopper", "walker2d"])
def test_standing_still_is_success(env, load_metric):
    score = load_metric(env, "stand")(stand())
    assert score.task_score == pytest.approx(8.0)
    assert score.success


@pytest.mark.parametrize(
    "cheat",
    [
        {"height": 0.9},
        {"pitch": 0.3},
        {"speed": 0.4},
        {"lowest": 0.05},
        {"terminated": True},
        {"n_steps": 600},
    ],
    ids=str,
)
def test_crouching_leaning_walking_flying_and_falling_are_no_standing(cheat, load_metric):
    assert not load_metric("hopper", "stand")(stand(**cheat)).success


def test_standing_pays_by_how_still_it_is(load_metric):
    metric = load_metric("hopper", "stand")
    scores = [metric(stand(speed=speed)).task_score for speed in (0.0, 0.1, 0.2, 0.5)]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 4
    assert scores[-1] == 0.0
    assert metric(stand(n_steps=250)).task_score == pytest.approx(2.0)


def hop(top, n_hops, distance=0.0, terminated=False, n_steps=N_STEPS):
    """Return an episode of equal hops, half of the time in the air, that end ``distance`` away."""
    phase = (np.arange(n_steps + 1) * n_hops / n_steps) % 1.0
    height = np.where(phase > 0.5, top * np.sin((phase - 0.5) * 2 * np.pi), 0.0)
    fields = {
        "x_position": np.linspace(0.0, distance, n_steps + 1),
        "foot_floor_contact": (phase <= 0.5).astype(float),
        "lowest_point": height,
    }
    return make_episode(fields, n_steps, terminated=terminated)


def test_hopping_on_the_spot_is_success(load_metric):
    score = load_metric("hopper", "hop_in_place")(hop(0.1, 10))
    assert score.success
    assert score.task_score == pytest.approx(1.0, rel=0.02)
    assert score.parts["hops_in_place"] == 10


@pytest.mark.parametrize(
    ("episode", "score"),
    [
        (hop(0.01, 40), 0.0),  # chatter of the contact
        (hop(0.6, 2), 0.4),  # two leaps
        (hop(0.06, 7), 0.42),  # too few, too low
        (hop(0.0, 1), 0.0),
    ],
    ids=["chatter", "leaps", "few", "rest"],
)
def test_what_is_no_hopping_gets_the_metres_of_its_hops_at_most(episode, score, load_metric):
    judged = load_metric("hopper", "hop_in_place")(episode)
    assert judged.task_score == pytest.approx(score, abs=0.01)
    assert not judged.success


def test_hopping_away_and_falling_are_no_success(load_metric):
    metric = load_metric("hopper", "hop_in_place")
    away = metric(hop(0.1, 10, distance=5.0))
    assert away.task_score < 0.2
    assert not away.success
    assert not metric(hop(0.1, 10, terminated=True)).success


def jump(top, landed=True, n_after=100, terminated=False):
    """Return 50 rows on the floor, 60 in the air, then ``n_after`` on the floor again."""
    flight = top * np.sin(np.linspace(0.0, np.pi, 62))[1:-1]
    after = np.zeros(n_after if landed else 0)
    height = np.concatenate([np.zeros(50), flight, after])
    fields = {"foot_floor_contact": (height == 0.0).astype(float), "lowest_point": height}
    return make_episode(fields, len(height) - 1, terminated=terminated)


def test_a_high_jump_that_is_landed_is_success(load_metric):
    score = load_metric("hopper", "jump")(jump(0.35))
    assert score.task_score == pytest.approx(0.35, abs=0.001)
    assert score.success


def test_a_lower_jump_earns_its_height(load_metric):
    score = load_metric("hopper", "jump")(jump(0.2))
    assert score.task_score == pytest.approx(0.2, abs=0.001)
    assert not score.success


def test_a_leap_into_a_fall_earns_half(load_metric):
    score = load_metric("hopper", "jump")(jump(0.5, landed=False, terminated=True))
    assert score.task_score == pytest.approx(0.25, abs=0.001)
    assert not score.success


def test_a_fall_right_after_the_landing_is_no_success(load_metric):
    judge = load_metric("hopper", "jump")
    assert not judge(jump(0.4, n_after=30, terminated=True)).success
    assert judge(jump(0.4, n_after=80, terminated=True)).success


@pytest.mark.parametrize("task", ["target_speed", "stand", "hop_in_place", "jump"])
def test_the_reward_for_success_alone_pays_random_actions_next_to_nothing(task, record_states):
    from reward_agent.definitions.task import load_task, read_sparse_reward
    from reward_agent.rewards.program import compile_program

    rng = np.random.default_rng(0)
    card, (states, actions) = record_states("hopper", task, rng.uniform(-1, 1, (200, 3)))
    program = compile_program(read_sparse_reward("hopper", load_task("hopper", task)), card, 0.99)
    program.begin(states[0])
    steps = zip(states, actions, states[1:], strict=False)
    paid = sum(program.step(s, a[None], t, np.zeros(1, bool)).reward[0] for s, a, t in steps)
    assert 0.0 <= paid <= 0.5 * len(actions)
