"""Every program that the offline designer writes is accepted, runs, and pays for the behaviour."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

from reward_agent.definitions.card import EnvCard, list_envs
from reward_agent.definitions.task import list_tasks
from reward_agent.designers.brief import DesignBrief
from reward_agent.designers.ideas import load_ideas
from reward_agent.designers.offline.plan import read_plan
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.program import compile_program
from reward_agent.simulation.state import State
from reward_agent.types import RewardProgram

# The tasks of MetaWorld share one card: a few stand for all.
TASKS = [(env, task) for env in list_envs() if env != "metaworld" for task in list_tasks(env)]
TASKS += [("metaworld", task) for task in ("button_press", "drawer_close", "reach", "pick_place")]
IDEAS = list(load_ideas().fresh)
SENTENCES = [
    ("ant", "Spin around to the left without falling over"),
    ("ant", "Walk sideways to the right at 0.5 m/s"),
    ("ant", "Lift the back left leg and stay upright"),
    ("humanoid", "Crouch low and stay still"),
    ("humanoid", "Wave the right hand"),
    ("half_cheetah", "Do a front flip"),
    ("walker2d", "Jump as high as you can"),
    ("hopper", "Land softly"),
    ("inverted_pendulum", "Move to the front slowly, never still"),
]
N = 6


def make_state(card: EnvCard, rng: np.random.Generator, **fixed: float) -> State:
    fields = {}
    for field in card.fields:
        shape = (N,) if field.size is None else (N, field.size)
        fields[field.name] = rng.uniform(*field.range, shape)
        if field.unit == "0/1":
            fields[field.name] = np.round(fields[field.name])
    return State(fields | {name: np.full(N, value) for name, value in fixed.items()})


def write_programs(brief, propose, env: str, task: str, seed: int) -> list[tuple[DesignBrief, str]]:
    briefs = [brief(env, task, idea, index=k, seed=seed) for k, idea in enumerate(IDEAS)]
    return [(each, propose(each).program.source) for each in briefs]


@pytest.mark.parametrize(("env", "task"), TASKS + SENTENCES)
def test_every_program_is_accepted_and_runs(brief, propose, env: str, task: str) -> None:
    rng = np.random.default_rng(0)
    for each, source in write_programs(brief, propose, env, task, seed=1):
        findings = check_program(RewardProgram(source), each.card).findings
        assert [f for f in findings if f.severity != "hint"] == [], source
        reward = compile_program(source, each.card, 0.99)
        states = [make_state(each.card, rng) for _ in range(3)]
        action = rng.uniform(*each.card.action_range, (N, each.card.n_actions))
        reward.begin(states[0])
        for before, after in itertools.pairwise(states):
            step = reward.step(before, action, after, np.zeros(N, bool))
            assert np.isfinite(step.reward).all()
            assert np.abs(step.reward).max() < 30


def test_first_round_holds_different_programs(brief, propose) -> None:
    for env, task in TASKS:
        sources = [source for _, source in write_programs(brief, propose, env, task, 0)]
        assert len(set(sources[:3])) >= 2, (env, task)


def pay(reward, card: EnvCard, before: dict[str, float], after: dict[str, float]) -> float:
    rng = np.random.default_rng(0)
    first, second = make_state(card, rng, **before), make_state(card, rng, **after)
    reward.begin(first)
    action = np.zeros((N, card.n_actions))
    return float(reward.step(first, action, second, np.zeros(N, bool)).reward[0])


@pytest.mark.parametrize("idea", IDEAS)
@pytest.mark.parametrize("task", ["button_press", "drawer_close"])
def test_an_arm_is_paid_for_each_step_of_the_way(brief, propose, task: str, idea: str) -> None:
    """The hand to the object, then the object to the goal: each moves the pay the right way."""
    each = brief("metaworld", task, idea)
    reward = compile_program(propose(each).program.source, each.card, 0.99)
    hand, placed = "end_effector_to_object_distance", "object_to_goal_distance"
    far, near = {hand: 0.25, placed: 0.2}, {hand: 0.05, placed: 0.2}
    there = {hand: 0.05, placed: 0.05}
    assert pay(reward, each.card, near, there) > pay(reward, each.card, near, near)
    assert pay(reward, each.card, far, near) > pay(reward, each.card, far, far)


def test_ideas_differ_on_an_arm(brief, propose) -> None:
    for task, least in {"button_press": 7, "reach": 5}.items():
        sources = [source for _, source in write_programs(brief, propose, "metaworld", task, 0)]
        assert len(set(sources)) >= least


def test_plan_travels_with_the_program_and_is_not_in_it(brief, propose) -> None:
    proposal = propose(brief("hopper", "hop_forward", "staged-gates"))
    source, plan = proposal.program.source, read_plan(proposal.plan)
    assert plan is not None
    assert [term.signal for term in plan.terms] == re.findall(r'^        "(\w+)":', source, re.M)
    assert "# recipe" not in source
    assert read_plan(json.loads(json.dumps(proposal.plan))) == plan


@pytest.mark.parametrize("data", [None, {}, {"terms": 1}, {"steps": []}])
def test_data_of_another_designer_is_no_plan(data) -> None:
    assert read_plan(data) is None


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_travel_pays_for_its_direction_only(brief, propose, direction: str) -> None:
    each = brief("walker2d", f"run_{direction}", "minimal")
    reward = compile_program(propose(each).program.source, each.card, 0.99)
    sign = 1.0 if direction == "forward" else -1.0
    rng = np.random.default_rng(0)
    action = np.zeros((N, each.card.n_actions))
    paid = []
    for speed in (2.0 * sign, -2.0 * sign):
        state = make_state(each.card, rng, forward_velocity=speed)
        reward.begin(state)
        paid.append(reward.step(state, action, state, np.zeros(N, bool)).terms["travel"][0])
    assert paid[0] > 0 > paid[1]


def fly(reward, card: EnvCard, pitches: list[float], foot: list[int], leg: list[int]) -> np.ndarray:
    """Return the pay of new turn over a hand-made course of the hopper."""
    rng = np.random.default_rng(0)
    fixed = {"thigh_floor_contact": 0, "torso_floor_contact": 0, "vertical_velocity": 0}
    states = [
        make_state(card, rng, torso_pitch=p, foot_floor_contact=f, leg_floor_contact=g, **fixed)
        for p, f, g in zip(pitches, foot, leg, strict=True)
    ]
    reward.begin(states[0])
    action = np.zeros((N, card.n_actions))
    steps = [
        reward.step(a, action, b, np.zeros(N, bool)).terms for a, b in itertools.pairwise(states)
    ]
    return np.array([[terms["new_turn"][0], terms["landed"][0]] for terms in steps])


@pytest.mark.parametrize(("task", "sign"), [("front_flip", 1.0), ("back_flip", -1.0)])
def test_flip_pays_new_turn_in_the_air_once_and_standing_after_it(
    brief, propose, task, sign
) -> None:
    each = brief("hopper", task, "weighted-sum")
    reward = compile_program(propose(each).program.source, each.card, 0.99)
    turn = list(np.linspace(0, 2 * np.pi, 21) * sign)
    in_air = [1, *[0] * 19, 1]
    flip = fly(reward, each.card, [*turn, turn[-1]], [*in_air, 1], [0] * 22)
    assert flip[:19, 0].min() > 0
    assert flip[:19, 1].max() == 0
    assert flip[-1, 1] > 0
    there_and_back = fly(
        reward, each.card, [*turn[:6], *turn[4:0:-1], *turn[1:6]], [1, *[0] * 14], [0] * 15
    )
    assert there_and_back[5:, 0].max() == 0
    wrong_way = fly(reward, each.card, [-angle for angle in turn], in_air, [0] * 21)
    assert wrong_way[:, 0].max() == 0
    rolled = fly(reward, each.card, turn, in_air, [0, 0, *[1] * 19])
    assert rolled[2:].max() == 0


@pytest.mark.parametrize("idea", IDEAS)
def test_a_player_is_paid_for_what_it_gathers_and_for_the_way_there(brief, propose, idea) -> None:
    each = brief("crafter", "collect_wood", idea)
    reward = compile_program(propose(each).program.source, each.card, 0.99)
    still = {
        "wood": 0.0, "tree_distance": 3.0, "faces_tree": 0.0, "cells_seen": 99.0, "health": 9.0,
    }  # fmt: skip
    assert pay(reward, each.card, still, still | {"wood": 1.0}) > 0.5
    assert pay(reward, each.card, still, still | {"health": 0.0}) <= 0.0
    if '"nearer"' in propose(each).program.source:
        nearer = pay(reward, each.card, still, still | {"tree_distance": 2.0})
        assert 0.0 < nearer < 0.5


def test_what_is_to_be_avoided_is_not_looked_for(brief, propose) -> None:
    source = propose(brief("crafter", "diamond", "weighted-sum")).program.source
    assert "-0.05 * at_the_brink" in source
    assert "state.lava_distance" not in source
    assert '"gained"' in source
