"""The metrics of holding still, reaching and waving, and their cheats."""

import numpy as np
import pytest

from reward_agent.evaluation.metrics import Episode

ANT_DT = 0.05
N_STEPS = 200
ROWS = N_STEPS + 1
LEGS = ("front_left", "back_left", "back_right", "front_right")


def make_lying(height=0.39, up=1.0, speed=0.0, joint_speed=0.0, n_steps=N_STEPS):
    rows = n_steps + 1
    velocity = np.zeros((rows, 3))
    velocity[:, 0] = speed
    fields = {
        "torso_height": np.resize(np.broadcast_to(height, ROWS), rows),
        "torso_up": np.resize(np.broadcast_to(up, ROWS), rows),
        "torso_velocity": velocity,
        "joint_velocities": np.full((rows, 8), joint_speed),
    }
    return Episode(fields, np.zeros((n_steps, 8)), ANT_DT)


@pytest.fixture
def lie(load_metric):
    return load_metric("ant", "lie_down")


def test_lying_flat_and_quiet_is_success(lie):
    score = lie(make_lying())
    assert score.success
    assert score.task_score == pytest.approx(1.0)


def test_going_down_in_the_first_two_seconds_is_success(lie):
    assert lie(make_lying(height=np.where(np.arange(ROWS) < 40, 0.6, 0.39))).success


def test_getting_up_again_is_no_success(lie):
    score = lie(make_lying(height=np.where(np.arange(ROWS) < 180, 0.39, 0.6)))
    assert not score.success
    assert score.task_score == pytest.approx(0.87, abs=0.02)


@pytest.mark.parametrize(
    "cheat",
    [
        {"height": 0.6},
        {"height": 0.26, "up": -1.0},
        {"up": 0.5},
        {"speed": 1.0},
        {"joint_speed": 3.0},
    ],
    ids=["standing", "on its back", "on its side", "running flat", "wriggling"],
)
def test_what_only_looks_like_lying_scores_zero(cheat, lie):
    score = lie(make_lying(**cheat))
    assert score.task_score == 0.0
    assert not score.success


def test_lower_is_better_until_it_lies(lie):
    scores = [lie(make_lying(height=height)).task_score for height in (0.54, 0.5, 0.45, 0.42)]
    assert scores == sorted(set(scores))


def test_limp_legs_sag_too_slowly(lie, record):
    for seed in range(3):
        assert not lie(record("ant", "lie_down", np.zeros((N_STEPS, 8)), seed)).success


def test_short_episode_has_not_stayed(lie):
    score = lie(make_lying(n_steps=20))
    assert score.task_score == pytest.approx(21 / 160)
    assert not score.success


def test_spreading_the_legs_in_the_simulation_lies_down(lie, record):
    # Lifts all feet relative to the torso: the ankles go to their upper limits.
    action = np.array([0.0, -0.3, 0.0, -0.3, 0.0, 0.3, 0.0, 0.3])
    score = lie(record("ant", "lie_down", np.tile(action, (N_STEPS, 1))))
    assert score.success, score


def make_waving(
    leg="front_left", foot_height=0.2, swing=0.5, carrying=3, up=1.0, resting=0.0, period=20
):
    """One foot held up while its hip swings; ``carrying`` of the other feet on the floor."""
    phase = 2 * np.pi * np.arange(ROWS) / period
    fields = {"torso_up": np.full(ROWS, up), "torso_floor_contact": np.full(ROWS, resting)}
    others = [name for name in LEGS if name != leg]
    for name in LEGS:
        is_down = name in others[:carrying] or (name == leg and foot_height <= 0)
        fields[f"{name}_foot_floor_contact"] = np.full(ROWS, float(is_down))
        fields[f"{name}_foot_height"] = np.full(ROWS, foot_height if name == leg else 0.0)
        fields[f"{name}_leg_floor_contact"] = np.zeros(ROWS)
        fields[f"{name}_hip_angle"] = (swing / 2 * np.sin(phase)) if name == leg else np.zeros(ROWS)
        fields[f"{name}_ankle_angle"] = np.ones(ROWS)
    return Episode(fields, np.zeros((N_STEPS, 8)), ANT_DT)


@pytest.fixture
def wave(load_metric):
    return load_metric("ant", "wave_leg")


@pytest.mark.parametrize("leg", LEGS)
def test_waving_any_leg_while_three_carry_is_success(leg, wave):
    score = wave(make_waving(leg))
    assert score.success
    assert score.task_score == pytest.approx(1.0)
    assert score.parts["leg"] == LEGS.index(leg)
    assert 18 <= score.parts["swings"] <= 21


def test_standing_on_four_feet_scores_zero(wave):
    score = wave(make_waving(foot_height=0.02))
    assert score.task_score == 0.0
    assert score.parts["leg"] == -1.0


@pytest.mark.parametrize(
    "cheat",
    [
        {"up": -1.0},
        {"resting": 1.0},
        {"carrying": 0},
        {"carrying": 1},
    ],
    ids=["on its back", "on its belly", "in the air", "on one foot"],
)
def test_what_only_looks_like_waving_scores_zero(cheat, wave):
    assert wave(make_waving(**cheat)).task_score == 0.0


def test_holding_the_foot_up_without_waving_is_half(wave):
    score = wave(make_waving(swing=0.2))
    assert score.task_score == pytest.approx(0.5)
    assert score.parts["swings"] == 0.0
    assert not score.success


def test_shuffling_a_foot_along_the_floor_earns_little(wave):
    score = wave(make_waving(foot_height=0.06))
    assert score.task_score <= 0.11
    assert not score.success


def test_too_few_swings_are_no_success(wave):
    score = wave(make_waving(period=100))
    assert 3 <= score.parts["swings"] <= 5
    assert not score.success


def test_falling_at_the_end_is_no_success(wave):
    episode = make_waving()
    up = np.where(np.arange(ROWS) < 180, 1.0, 0.2)
    score = wave(Episode({**episode.fields, "torso_up": up}, episode.action, ANT_DT))
    assert not score.success
    assert score.parts["down"] > 0.9


def test_higher_foot_is_better_until_it_is_high_enough(wave):
    scores = [wave(make_waving(foot_height=h)).task_score for h in (0.04, 0.06, 0.08, 0.15)]
    assert scores == sorted(set(scores))


def test_lifting_the_legs_in_turn_is_not_waving_one(wave):
    episodes = [make_waving(leg, period=500) for leg in LEGS]
    rows = np.arange(ROWS) * 4 // ROWS
    fields = {
        name: np.choose(rows, [episode.fields[name] for episode in episodes])
        for name in episodes[0].fields
    }
    score = wave(Episode(fields, episodes[0].action, ANT_DT))
    assert not score.success
    assert score.task_score <= 0.35


def test_three_legs_can_carry_while_the_fourth_waves_in_the_simulation(wave, record):
    """The neighbours' feet move towards the gap, then the free foot goes up and its hip swings."""
    torque = 0.15
    actions = np.zeros((N_STEPS, 8))
    actions[:, [0, 4]] = torque, -torque  # hips of front right and back left, towards front left
    actions[:, [1, 5, 7]] = torque, -torque, -torque  # their ankles and back right's, down
    actions[:20, 3] = torque
    actions[20:, 3] = -torque
    actions[20:, 2] = 0.1 * np.sign(np.sin(2 * np.pi * np.arange(20, N_STEPS) / 16))
    score = wave(record("ant", "wave_leg", actions, seed=1))
    assert score.success, score
    assert score.parts["leg"] == 0.0


def make_reach(distance, n_steps=50):
    distance = np.resize(np.broadcast_to(distance, 51), n_steps + 1)
    position = np.zeros((n_steps + 1, 3))
    position[:, 0] = distance
    fields = {"target_distance": distance, "fingertip_position": position}
    return Episode(fields, np.zeros((n_steps, 2)), 0.02)


@pytest.fixture
def reach(load_metric):
    return load_metric("reacher", "reach")


def test_reaching_and_holding_is_success(reach):
    score = reach(make_reach(np.maximum(np.linspace(0.2, -0.3, 51), 0.005)))
    assert score.success
    assert score.task_score == pytest.approx(0.975)


def test_sweeping_past_the_target_is_worth_what_the_end_is(reach):
    score = reach(make_reach(np.abs(np.linspace(0.2, -0.2, 51))))
    assert score.parts["closest"] < 0.01
    assert score.task_score < 0.25
    assert not score.success


def test_not_moving_scores_zero(reach):
    assert reach(make_reach(0.2)).task_score == pytest.approx(0.0)


def test_going_away_from_a_near_target_is_bounded(reach):
    assert reach(make_reach(np.linspace(0.001, 0.4, 51))).task_score == -1.0


def test_short_reach_that_is_not_held_is_no_success(reach):
    assert not reach(make_reach(0.001, n_steps=3)).success


def make_balance(angle, n_steps=1000, terminated=False):
    rows = n_steps + 1
    fields = {
        "pole_angle": np.resize(angle, rows),
        "cart_position": np.zeros(rows),
        "cart_velocity": np.zeros(rows),
    }
    return Episode(fields, np.zeros((n_steps, 1)), 0.04, terminated)


def test_balancing_the_whole_episode_is_success(load_metric):
    score = load_metric("inverted_pendulum", "balance")(make_balance(0.1))
    assert score.success
    assert score.task_score == pytest.approx(40.0)


def test_time_until_the_first_lean_counts(load_metric):
    angle = np.where(np.arange(1001) < 26, 0.0, 0.3)
    score = load_metric("inverted_pendulum", "balance")(make_balance(angle))
    assert score.task_score == pytest.approx(1.0)
    assert not score.success


STAND_PARTS = (
    *("right_shin", "right_thigh", "left_shin", "left_thigh", "pelvis", "right_upper_arm"),
    *("right_forearm", "left_upper_arm", "left_forearm", "torso"),
)


def make_stand(height=1.3, up=1.0, speed=0.0, walked=0.0, knee=0.0, n_steps=1000):
    rows = n_steps + 1
    velocity, position = np.zeros((rows, 3)), np.zeros((rows, 3))
    velocity[:, 0], position[:, 0] = speed, np.linspace(0, walked, rows)
    fields = {f"{part}_floor_contact": np.zeros(rows) for part in STAND_PARTS}
    fields |= {"right_shin_floor_contact": np.full(rows, knee)}
    fields |= {"torso_height": np.full(rows, height), "torso_up": np.full(rows, up)}
    fields |= {"com_velocity": velocity, "com_position": position}
    return Episode(fields, np.zeros((n_steps, 17)), 0.015)


def test_standing_still_to_the_end_is_success(load_metric):
    score = load_metric("humanoid", "stand_still")(make_stand())
    assert score.success
    assert score.task_score == pytest.approx(15.0)


@pytest.mark.parametrize(
    "cheat",
    [{"height": 1.1}, {"up": 0.7}, {"speed": 1.5}, {"knee": 1.0}],
    ids=["crouching", "leaning", "running", "kneeling"],
)
def test_what_only_looks_like_standing_scores_zero(cheat, load_metric):
    assert load_metric("humanoid", "stand_still")(make_stand(**cheat)).task_score == 0.0


def test_strolling_away_loses_its_time(load_metric):
    score = load_metric("humanoid", "stand_still")(make_stand(speed=0.2, walked=3.0))
    assert score.task_score < 4.0
    assert not score.success
