"""The flips' metrics on hand-made trajectories: what a flip is, and what only looks like one."""

import numpy as np
import pytest

from reward_agent.evaluation.metrics import Episode

DT = 0.008
N_STEPS = 400
SIGNS = {"front_flip": 1.0, "back_flip": -1.0}

# A phase is (seconds, turns at its end, what touches the floor): "foot", "other", "both" or "".
STAND = (0.4, 0.0, "foot")
TAKE_OFF = (0.08, 0.1, "foot")
FLIGHT = (0.4, 0.97, "")
LAND = (0.1, 1.0, "foot")
REAL_FLIP = (STAND, TAKE_OFF, FLIGHT, LAND)


def make_episode(*phases, sign=1.0, n_steps=N_STEPS, is_folding=False, terminated=False):
    """Play phases, then hold the last one until the episode ends.

    The whole body turns, unless it is folding: then the foot stays as it is and the hip bends.
    """
    turn, foot, other = [0.0], [0.0], [0.0]
    for seconds, end, contact in phases:
        n = round(seconds / DT)
        turn += list(np.linspace(turn[-1], end, n + 1)[1:])
        foot += [float(contact in ("foot", "both"))] * n
        other += [float(contact in ("other", "both"))] * n
    rows = n_steps + 1
    turn, foot, other = (
        np.asarray((values + [values[-1]] * rows)[:rows]) for values in (turn, foot, other)
    )
    fields = {
        "torso_pitch": sign * 2 * np.pi * turn,
        "foot_floor_contact": foot,
        "torso_floor_contact": other,
        "thigh_floor_contact": np.zeros(rows),
        "leg_floor_contact": np.zeros(rows),
        "thigh_angle": sign * 2 * np.pi * turn * is_folding,
        "leg_angle": np.zeros(rows),
        "foot_angle": np.zeros(rows),
    }
    return Episode(fields, np.zeros((n_steps, 3)), DT, terminated)


@pytest.fixture(params=sorted(SIGNS))
def judge(request, load_metric):
    """Score the phases of an episode in the flip's own direction."""
    metric = load_metric("hopper", request.param)
    sign = SIGNS[request.param]

    def score(*phases, sign=sign, **options):
        return metric(make_episode(*phases, sign=sign, **options))

    score.sign = sign
    return score


def test_real_flip_is_success(judge):
    score = judge(*REAL_FLIP)
    assert score.success
    assert score.task_score == pytest.approx(1.0)
    assert score.parts["clean_turn"] == 1.0
    assert score.parts["landed"] == 1.0
    assert score.parts["flight"] == pytest.approx(0.4)
    assert score.parts["other_part_on_floor"] == 0.0


def test_episode_that_ends_at_a_fall_has_not_stayed_up(judge):
    n_steps = 200
    score = judge(*REAL_FLIP, n_steps=n_steps, terminated=True)
    assert score.parts["landed"] == 1.0
    assert score.parts["stayed_up"] == pytest.approx(score.parts["stood"])
    assert 0.8 < score.task_score < 0.95
    assert not score.success


def test_landing_in_the_last_instant_before_a_fall_earns_no_staying(judge):
    n_steps = 115
    score = judge(*REAL_FLIP, n_steps=n_steps, terminated=True)
    assert score.parts["landed"] == 1.0
    assert score.task_score < 0.64


def test_second_try_counts_after_a_collapse(judge):
    collapse = ((0.3, 0.25, ""), (0.2, 0.25, "other"), (0.2, 0.0, "both"))
    assert judge(STAND, *collapse, *REAL_FLIP).success


def test_last_of_two_flips_counts(judge):
    second = ((0.6, 1.0, "foot"), (0.4, 1.97, ""), (0.1, 2.0, "foot"))
    assert judge(*REAL_FLIP, *second).success


def test_standing_still_scores_zero(judge):
    score = judge(STAND)
    assert score.task_score == 0.0
    assert not score.success


def test_hopping_upright_scores_almost_nothing(judge):
    hop = ((0.3, 0.02, ""), (0.2, 0.0, "foot"))
    assert judge(STAND, *hop, *hop).task_score < 0.02


def test_turning_the_wrong_way_scores_zero(judge):
    assert judge(*REAL_FLIP, sign=-judge.sign).task_score == 0.0


def test_half_turn_in_the_air_onto_the_head_is_half_a_turn(judge):
    score = judge(STAND, (0.3, 0.5, ""), (0.2, 0.5, "other"))
    assert score.parts["clean_turn"] == pytest.approx(0.5, abs=0.02)
    assert score.task_score == pytest.approx(0.25, abs=0.01)
    assert not score.success


def test_roll_on_the_ground_is_worth_nothing_and_its_parts_say_so(judge):
    roll = ((0.3, 0.25, "foot"), (0.6, 0.9, "other"), (0.3, 1.0, "both"), (0.1, 1.0, "foot"))
    score = judge(STAND, *roll)
    assert score.task_score == 0.0
    assert score.parts["clean_turn"] == 0.0
    assert score.parts["any_turn"] == pytest.approx(1.0, abs=0.01)
    assert score.parts["inverted_on_floor"] > 0.3


def test_tipping_over_collapsing_and_getting_up_is_worth_less_than_a_half_turn(judge):
    tip = ((0.3, 0.3, "foot"), (0.05, 0.32, ""), (0.5, 0.9, "other"), (0.3, 1.0, "foot"))
    assert (
        judge(STAND, *tip).task_score < judge(STAND, (0.3, 0.5, ""), (0.2, 0.5, "other")).task_score
    )


def test_headstand_and_push_off_is_no_clean_turn(judge):
    handspring = ((0.2, 0.3, "foot"), (0.3, 0.5, "other"), (0.3, 0.97, ""), LAND)
    assert judge(STAND, *handspring).task_score == 0.0


def test_foot_on_the_floor_while_inverted_ends_the_clean_turn(judge):
    fold = ((0.2, 0.35, "foot"), (0.3, 0.97, ""), LAND)
    assert judge(STAND, *fold).task_score == 0.0


def test_half_turns_with_a_stance_between_do_not_add_up(judge):
    half_and_back = ((0.3, 0.5, ""), (0.3, 0.0, ""), (0.2, 0.0, "foot"))
    once = judge(STAND, *half_and_back)
    assert judge(STAND, *half_and_back, *half_and_back).task_score == pytest.approx(once.task_score)
    assert once.parts["landed"] == 0.0


def test_leaning_before_the_jump_gives_no_turn(judge):
    lean = (0.3, -0.08, "foot")
    straight = judge(STAND, (0.3, 0.5, ""), (0.2, 0.5, "other")).parts["clean_turn"]
    assert judge(STAND, lean, (0.3, 0.5, ""), (0.2, 0.5, "other")).parts["clean_turn"] <= straight


def test_folding_over_at_the_hip_in_a_hop_turns_nothing(judge):
    fold = (STAND, (0.2, 0.42, ""), (0.2, 0.0, ""), (0.2, 0.0, "foot"))
    score = judge(*fold, is_folding=True)
    assert score.parts["any_turn"] == pytest.approx(0.42)
    assert score.task_score == 0.0
    assert judge(*fold).task_score > 0.15


def test_landing_on_the_back_after_most_of_the_turn_is_no_landing(judge):
    score = judge(STAND, TAKE_OFF, (0.4, 0.8, ""), (0.1, 0.8, "other"), (0.4, 1.0, "foot"))
    assert score.parts["landed"] == 0.0
    assert score.task_score == pytest.approx(0.4, abs=0.01)


def test_fall_right_after_landing_is_no_success(judge):
    score = judge(*REAL_FLIP, (0.2, 1.2, "foot"), (0.3, 1.25, "other"))
    assert not score.success
    assert score.parts["fell_after_landing"] == 1.0
    assert 0.6 < score.task_score < 0.8


def test_late_fall_is_no_success_but_better_than_an_early_one(judge):
    early = judge(*REAL_FLIP, (0.6, 1.0, "foot"), (0.1, 1.25, "other"))
    late = judge(*REAL_FLIP, (1.2, 1.0, "foot"), (0.1, 1.25, "other"))
    assert early.task_score < late.task_score < 1.0
    assert not late.success


def test_landing_too_late_to_stand_half_a_second_is_no_success(judge):
    score = judge((2.4, 0.0, "foot"), TAKE_OFF, FLIGHT, LAND)
    assert score.parts["landed"] == 1.0
    assert not score.success


def test_two_turns_in_one_flight_are_not_the_flip_that_was_asked_for(judge):
    score = judge(STAND, (0.6, 1.97, ""), (0.3, 2.0, "foot"))
    assert not score.success
    assert score.parts["landed"] == 0.0


def test_score_rises_with_every_step_towards_a_flip(judge):
    turns = [judge(STAND, (0.4, turn, ""), (0.2, turn, "other")) for turn in (0.1, 0.3, 0.6, 0.9)]
    landed = judge(*REAL_FLIP, (0.05, 1.2, "foot"), (0.1, 1.2, "other"))
    stood = judge(*REAL_FLIP, (0.5, 1.0, "foot"), (0.1, 1.2, "other"))
    stayed = judge(*REAL_FLIP)
    scores = [score.task_score for score in (*turns, landed, stood, stayed)]
    assert scores == sorted(set(scores))


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_short_episode_scores_zero(judge, n_steps):
    assert judge(STAND, n_steps=n_steps).task_score == 0.0


def test_episode_that_never_stands_scores_zero(judge):
    assert judge((0.4, 0.9, ""), (0.4, 1.0, "other")).task_score == 0.0
