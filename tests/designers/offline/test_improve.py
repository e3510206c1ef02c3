from __future__ import annotations

import random

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.moves import (
    Evidence,
    learn_otherwise,
    list_moves,
    make_random_move,
    read_evidence,
)
from reward_agent.designers.offline.plan import Plan, TermPlan, make_plan, render_program
from reward_agent.designers.offline.route import Route, find_route
from reward_agent.designers.offline.signals import list_signals, read_scene
from reward_agent.designers.offline.words import read_goals
from reward_agent.designers.roles import Proposal
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.choices import read_choices
from reward_agent.summary.summary import TrajectorySummary
from reward_agent.types import RewardProgram, TermPoint

CARD = load_env("hopper")
SIGNALS = list_signals(Body(CARD), read_goals("hop forward"))
PLAN = make_plan(SIGNALS, "weighted-sum", random.Random(0))
HEALTHY = {
    "travel": (-1.0, 0.4, 1.0, 0.6),
    "upright": (0.0, 0.1, 0.2, 0.2),
    "clean_floor": (0.0, 0.05, 0.1, 0.08),
    "effort": (-0.01, -0.005, 0.0, 0.02),
    "alive": (0.4, 0.4, 0.4, 0.1),
}

LAST = {
    name: TermPoint(
        total_timesteps=1,
        minimum=low,
        mean=mean,
        maximum=high,
        pay_per_episode=mean,
        share_of_return=share,
    )
    for name, (low, mean, high, share) in HEALTHY.items()
}


def find_moves(entry, changes: dict, length: float = 1000.0) -> list:
    proposal = Proposal(RewardProgram(render_program(PLAN, SIGNALS, "hop")))
    trained = entry(proposal, HEALTHY | changes, length=length)
    return list_moves(PLAN, SIGNALS, read_evidence(trained, CARD))


def weigh(plan: Plan, signal: str) -> float:
    return next((term.weight for term in plan.terms if term.signal == signal), 0.0)


def test_healthy_training_calls_for_no_rule(entry) -> None:
    assert find_moves(entry, {}) == []


def test_flooding_bonus_is_cut_and_said_so(entry) -> None:
    [move, *_] = find_moves(entry, {"alive": (0.4, 0.4, 0.4, 0.8)})
    assert weigh(move.plan, "alive") < weigh(PLAN, "alive")
    assert "80%" in move.reason


def test_flooding_posture_becomes_a_gate(entry) -> None:
    [move, *_] = find_moves(entry, {"upright": (0.0, 0.1, 0.2, 0.9)})
    assert weigh(move.plan, "upright") == 0
    assert move.plan.terms[0].gates == ("upright",)


def test_dead_term_is_dropped(entry) -> None:
    [move] = find_moves(entry, {"clean_floor": (0.0, 0.0, 0.0, 0.0)})
    assert weigh(move.plan, "clean_floor") == 0


def test_falling_early_makes_posture_and_life_worth_more(entry) -> None:
    moves = find_moves(entry, {}, length=200.0)
    assert any(weigh(move.plan, "alive") > weigh(PLAN, "alive") for move in moves)
    assert "20%" in moves[0].reason


def test_standing_still_raises_the_goal(entry) -> None:
    [move] = find_moves(entry, {"travel": (0.0, 0.01, 0.02, 0.03), "upright": (0.0, 0.1, 0.2, 0.5)})
    assert weigh(move.plan, "travel") == pytest.approx(3 * weigh(PLAN, "travel"))


def test_goal_at_its_cap_gets_a_higher_one(entry) -> None:
    [move] = find_moves(entry, {"travel": (0.0, 0.9, 1.0, 0.7)})
    assert move.plan.terms[0].factor == pytest.approx(1.6)
    assert "/ 8" in render_program(move.plan, SIGNALS, "hop")


def test_named_failures_are_answered() -> None:
    def find_reasons(*failures: str) -> list[str]:
        return [
            move.reason
            for move in list_moves(PLAN, SIGNALS, Evidence(LAST, 1.0, frozenset(failures)))
        ]

    assert find_reasons() == []
    assert "oscillates" in find_reasons("oscillation")[0]
    assert "three times" in find_reasons("standing still")[0]


@pytest.mark.parametrize(
    ("lack", "chosen"),
    [
        ("never seen", {"noise_correlation": 0.7, "std_hold_share": 0.3}),
        ("unsteady", {"final_learning_rate_share": 0.1}),
        ("not kept", None),
        ("nothing", None),
        (None, None),
    ],
)
def test_how_it_is_learned_follows_what_exploration_met(lack, chosen) -> None:
    summary = TrajectorySummary.model_construct(lack=lack, exploration=None)
    move = learn_otherwise(PLAN, summary, Route())
    assert (move.plan.training if move else None) == chosen
    if move and lack == "never seen":
        further = learn_otherwise(move.plan, summary, Route())
        assert further is not None
        assert further.plan.training == {**chosen, "gamma": 0.998}
        move = further
    assert move is None or learn_otherwise(move.plan, summary, Route()) is None
    assert learn_otherwise(PLAN, None, Route()) is None


NEVER_SEEN = TrajectorySummary.model_construct(lack="never seen", exploration=None)


def write_on_the_way(env, sentence, events=(), earns=None):
    """Return what a program says after what its task asks for was never seen, as it is read."""
    body = Body(load_env(env))
    goals = read_goals(sentence, read_scene(body))
    signals = list_signals(body, goals)
    plan = make_plan(signals, "weighted-sum", random.Random(0))
    move = learn_otherwise(plan, NEVER_SEEN, find_route(body, goals[0], events, earns))
    assert move is not None
    plan = Plan.model_validate_json(move.plan.model_dump_json())
    source = render_program(plan, signals, sentence)
    refused = [f for f in check_program(RewardProgram(source), body.card).findings
               if f.severity != "hint"]  # fmt: skip
    assert refused == [], source
    further = learn_otherwise(plan, NEVER_SEEN, Route())
    assert further is not None
    assert "noise_correlation 0.7" in further.reason
    return read_choices(source)


def test_what_was_never_seen_is_begun_just_off_the_floor() -> None:
    choices = write_on_the_way("hopper", "Do a back flip")
    (start,) = choices.starts
    assert start.fields["torso_pitch"] == ((-1.2, -0.2),)
    assert start.fields["torso_height"][0][0] > 1.25
    assert choices.stages == ("take-off", "landing")
    assert choices.stage_steps == (300, 600)


def test_what_was_never_seen_is_begun_just_before_the_event_of_the_run() -> None:
    events = ("highest com_height", "take-off")
    (start,) = write_on_the_way("hopper", "Jump high", events, 12.5).starts
    assert (start.event, start.earns, start.fields) == ("take-off", 12.5, {})


def test_what_can_be_put_nowhere_is_practised_in_stages() -> None:
    choices = write_on_the_way("metaworld", "Push the object to the goal")
    assert (choices.starts, choices.stages) == ((), ("reach", "handle"))


def test_a_lift_is_begun_where_it_was_highest() -> None:
    card = "benchmarks/envs/desk_arm"
    choices = write_on_the_way(card, "Lift the cube", ("highest object_height",), 3.0)
    assert [start.event for start in choices.starts] == ["highest object_height"]
    assert choices.stages == ("reach", "lift")


def test_a_walk_has_no_way_that_the_card_tells() -> None:
    way = find_route(Body(CARD), read_goals("Walk forward")[0], ("take-off",), 1.0)
    assert (way.starts, way.stages) == ((), {})


def test_random_moves_change_the_program_and_repeat_with_a_seed() -> None:
    before = render_program(PLAN, SIGNALS, "hop")
    for seed in range(60):
        move = make_random_move(PLAN, SIGNALS, random.Random(seed))
        assert render_program(move.plan, SIGNALS, "hop") != before, move.reason
        assert move == make_random_move(PLAN, SIGNALS, random.Random(seed))


def test_random_move_never_drops_the_goal() -> None:
    goals = {signal.name for signal in SIGNALS if signal.role == "goal"}
    plan = Plan(terms=(TermPlan(signal="travel", weight=1.0),))
    for seed in range(60):
        plan = make_random_move(plan, SIGNALS, random.Random(seed)).plan
        assert goals & {term.signal for term in plan.terms}
