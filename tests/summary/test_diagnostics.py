"""Each failure mode has an episode or a training that shows it and one that does not."""

from dataclasses import replace

import numpy as np
import pytest
from support.cards import field

from reward_agent.summary.course import CoursePoint, TermSummary
from reward_agent.summary.diagnostics import (
    Case,
    diagnose,
    find_contrary_term,
    find_dead_terms,
    find_early_termination,
    find_flooding,
    find_hacking,
    find_late_collapse,
    find_noise_pay,
    find_oscillation,
    find_standing_still,
    find_survival_exploit,
)
from reward_agent.types import Evaluation

FLAT = (1.0, 1.1, 0.9, 1.0, 1.1, 0.9)
CLIMBING = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def course(scores=FLAT, returns=CLIMBING, lengths=None):
    lengths = lengths or (100,) * len(scores)
    return tuple(
        CoursePoint(
            total_timesteps=1000 * (i + 1),
            task_score=score,
            task_score_interval=(score - 0.1, score + 0.1),
            success_rate=0.0,
            generated_return=100 * paid,
            episode_length=length,
        )
        for i, (score, paid, length) in enumerate(zip(scores, returns, lengths, strict=True))
    )


def term(name, pay, share, **changes):
    given = {"name": name, "pay_mean": pay, "pay_min": pay, "pay_max": pay, "share": share}
    steps = {"step_min": 0.0, "step_mean": 0.2 * pay / 100, "step_max": pay / 100}
    return TermSummary(**given | steps | {"pay_over_training": (pay,)} | changes)


BALANCED = (term("speed", 60.0, 0.6), term("upright", 40.0, 0.4))


@pytest.fixture
def make_case(toy_card, make_episode):
    def make(success_rate=0.0, **changes):
        best = Evaluation(
            total_timesteps=6000,
            seed=0,
            n_episodes=2,
            task_score=1.0,
            success_rate=success_rate,
            episode_length=50,
        )
        walk = {"forward_velocity": np.full(51, 2.0), "x_position": np.linspace(0, 2, 51)}
        given = {
            "card": toy_card,
            "target_score": 10.0,
            "course": course(),
            "terms": BALANCED,
            "best": best,
            "episodes": [make_episode(**walk)] * 2,
        }
        return Case(**given | changes)

    return make


def test_return_that_climbs_over_a_flat_score_is_hacking(make_case):
    found = find_hacking(make_case())
    assert found.name == "reward hacking"
    assert "generated return 50 → 300 while task_score 1 → 0.9" in found.evidence


@pytest.mark.parametrize(
    "changes",
    [
        {"course": course(CLIMBING)},
        {"course": course(FLAT, FLAT[::-1])},
        {"target_score": 0.9},
        {"success_rate": 0.8},
    ],
    ids=["score climbs too", "return does not climb", "target reached", "succeeds"],
)
def test_no_hacking_where(make_case, changes):
    assert find_hacking(make_case(**changes)) is None


def test_missing_success_alone_blames_nobody_while_the_score_climbs(make_case):
    dense = (term("speed", 95.0, 0.95, training_correlation=0.9), term("upright", 5.0, 0.05))
    assert diagnose(make_case(course=course(CLIMBING), terms=dense)) == ()


def test_nothing_is_blamed_on_the_reward_without_a_metric(make_case):
    unscored = tuple(
        point.model_copy(update={"task_score": None, "task_score_interval": None})
        for point in course()
    )
    flooded = (term("speed", 95.0, 0.95), term("upright", 5.0, 0.05))
    assert diagnose(make_case(course=unscored, terms=flooded)) == ()


def test_one_term_of_nearly_all_the_pay_floods(make_case):
    terms = (term("upright", 90.0, 0.9, training_correlation=-0.1), term("spin", 10.0, 0.1))
    found = find_flooding(make_case(terms=terms))
    assert "upright is 90% of the pay (90 an episode)" in found.evidence
    assert "-0.10" in found.evidence
    assert find_flooding(make_case(terms=terms, course=course(CLIMBING))) is None
    assert find_flooding(make_case()) is None
    assert find_flooding(make_case(terms=terms[:1])) is None


def test_term_that_never_pays_is_dead(make_case):
    dead = term("flip", 0.0, 0.0, step_mean=0.0, step_max=0.0)
    assert "flip" in find_dead_terms(make_case(terms=(*BALANCED, dead))).evidence
    small = term("effort", -0.01, 1e-4, step_min=-0.001)
    assert find_dead_terms(make_case(terms=(*BALANCED, small))) is None
    # It paid once: so it can.
    rare = dead.model_copy(update={"pay_over_training": (0.0, 3.0, 0.0)})
    assert find_dead_terms(make_case(terms=(*BALANCED, rare))) is None


def test_steady_pay_for_lasting_is_a_survival_exploit(make_case):
    alive = term("alive", 99.0, 0.9, step_mean=0.99, step_max=1.0)
    lasting = course(lengths=(20, 40, 60, 80, 100, 100))
    found = find_survival_exploit(make_case(terms=(alive, BALANCED[0]), course=lasting))
    assert "alive: 90% of the pay" in found.evidence
    falling = course(lengths=(20, 20, 20, 20, 20, 20))
    assert find_survival_exploit(make_case(terms=(alive, BALANCED[0]), course=falling)) is None
    assert find_survival_exploit(make_case(course=lasting)) is None


def test_costs_that_are_ended_early_are_an_exploit(make_case):
    costly = (term("effort", -20.0, 0.9), term("speed", 2.0, 0.1))
    short = course(lengths=(60, 40, 20, 10, 10, 10))
    found = find_early_termination(make_case(terms=costly, course=short))
    assert "an episode pays -18; " in found.evidence
    assert "effort (-20)" in found.evidence
    assert find_early_termination(make_case(terms=costly)) is None  # lasts to the limit
    assert find_early_termination(make_case(course=short)) is None  # pays more than it costs


def test_term_that_pays_for_worse_is_contrary(make_case):
    terms = (term("speed", 60.0, 0.6, training_correlation=-0.9), BALANCED[1])
    assert "speed (r = -0.90)" in find_contrary_term(make_case(terms=terms)).evidence
    agreeing = (term("speed", 60.0, 0.6, training_correlation=0.9), BALANCED[1])
    assert find_contrary_term(make_case(terms=agreeing)) is None
    # A cost that grows as the task is done better is no contradiction.
    cost = (term("effort", -60.0, 0.6, training_correlation=-0.9), BALANCED[1])
    assert find_contrary_term(make_case(terms=cost)) is None


def test_policy_that_was_better_before_has_collapsed(make_case):
    found = find_late_collapse(make_case(course=course((0.5, 2.0, 4.0, 3.0, 1.0, 0.5))))
    assert "task_score 4 at 3k steps, 0.5 at 6k" in found.evidence
    assert find_late_collapse(make_case(course=course(CLIMBING))) is None
    assert find_late_collapse(make_case()) is None  # 1.1 and 0.9 are within the noise


def test_pay_that_only_exploring_earns_is_for_noise(make_case):
    shaking = (term("shake", 10.0, 1.0, pay_in_training=900.0),)
    assert "shake pays 900 an episode in training, 10 without noise" in (
        find_noise_pay(make_case(terms=shaking)).evidence
    )
    honest = (term("speed", 800.0, 1.0, pay_in_training=900.0),)
    assert find_noise_pay(make_case(terms=honest)) is None
    assert find_noise_pay(make_case()) is None


def test_robot_without_speed_stands_still(make_case, make_episode):
    found = find_standing_still(make_case(episodes=[make_episode()]))
    assert "forward_velocity" in found.evidence
    assert find_standing_still(make_case()) is None
    # Standing is the task, and it is done.
    assert find_standing_still(make_case(episodes=[make_episode()], success_rate=1.0)) is None
    # It fell before half a second: it had no time to stand.
    assert find_standing_still(make_case(episodes=[make_episode(10)])) is None


def test_stillness_that_is_asked_for_is_no_failure(make_case, make_episode):
    x = np.concatenate([np.linspace(0, 8, 26), np.full(25, 8.0)])
    lying = make_episode(forward_velocity=np.gradient(x), x_position=x)
    case = make_case(episodes=[lying])
    assert find_standing_still(case) is not None
    asked = replace(case, task_text="Lie down and stay there quietly.")
    assert find_standing_still(asked) is None
    # It never left the start, and nothing of the task is there.
    idle = replace(asked, episodes=[make_episode()], target_score=100.0)
    assert find_standing_still(idle) is not None


def test_a_command_is_no_motion_of_the_robot(make_case, make_episode):
    case = make_case(episodes=[make_episode(asked=np.ones(51))])
    asked = field("asked", "m/s", "commanded_velocity")
    card = case.card.model_copy(update={"state": (*case.card.state, asked)})
    assert find_standing_still(replace(case, card=card)) is not None


def test_actions_that_jump_to_and_fro_oscillate(make_case, make_episode):
    bang = np.tile([[1.0], [-1.0]], (25, 1))
    assert "100%" in find_oscillation(make_case(episodes=[make_episode(action=bang)])).evidence
    smooth = np.sin(np.linspace(0, 20, 50))[:, None]
    assert find_oscillation(make_case(episodes=[make_episode(action=smooth)])) is None
    tremble = 0.05 * bang
    assert find_oscillation(make_case(episodes=[make_episode(action=tremble)])) is None
