"""Which conditions of a metric fail and what ends each hold, read from the metric's own text."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.definitions.task import load_task, read_task_metric
from reward_agent.evaluation.conditions import summarise_conditions
from reward_agent.evaluation.metrics import Episode, compile_generated_metric, compile_metric
from reward_agent.records.gates import GateSummary
from reward_agent.summary.summary import render_gates

HOPPER = load_env("hopper")
PROPOSED = """
def longest(mask):
    bad = np.concatenate([np.array([-1]), np.flatnonzero(~mask), np.array([len(mask)])])
    return int(np.max(np.diff(bad))) - 1


def score(episode):
    near = np.abs(episode.forward_velocity - 1.2) < 0.3
    held = longest(near & (episode.torso_up > 0.5)) * episode.control_dt
    is_up = held >= 0.5 and episode.torso_up[-1] > 0.5
    return Score(held, is_up and not episode.terminated, {"held": held})
"""
COMPOSED = 'score = travel("forward_velocity", speed=1.2, seconds=0.5, up="torso_up")\n'


def make_episode(velocity: float, falls_at: int = 151) -> Episode:
    """Go at a speed for 150 steps; then the robot may be found on its side."""
    fields = {
        field.name: np.zeros((151,) if field.size is None else (151, field.size))
        for field in HOPPER.fields
    }
    fields["forward_velocity"][:] = velocity
    fields["torso_up"][:falls_at] = 1.0
    return Episode(fields, np.zeros((150, 3)), 0.01, terminated=falls_at < 151)


EPISODES = [make_episode(1.2), make_episode(1.2, falls_at=100), make_episode(3.0)]


def summarise(source: str) -> dict[str, GateSummary]:
    metric = compile_generated_metric(source, HOPPER)
    return {gate.name: gate for gate in summarise_conditions(source, metric, EPISODES)}


def test_conditions_of_a_success_are_counted_over_episodes() -> None:
    success = summarise(PROPOSED)["success"]
    assert success.of_episodes
    shut = {item.text: round(item.shut * 3) for item in success.conditions}
    assert shut == {"held >= 0.5": 1, "torso_up[-1] > 0.5": 1, "not terminated": 1}


@pytest.mark.parametrize(
    ("source", "gate", "fast", "fallen"),
    [
        (PROPOSED, "held", "near: abs(forward_velocity - 1.2) < 0.3", "torso_up > 0.5"),
        (COMPOSED, "credit", "forward_velocity near what is asked", "torso_up above 0.7"),
    ],
)
def test_what_ended_each_hold_is_told_with_the_field_at_that_time(
    source: str, gate: str, fast: str, fallen: str
) -> None:
    held = summarise(source)[gate]
    conditions = {item.text: item for item in held.conditions}
    assert held.n_holds == 2
    assert (conditions[fast].ended, conditions[fallen].ended) == (0, 1)
    assert conditions[fallen].ends == {"torso_up": (0.0, 0.0)}
    assert conditions[fast].alone > 0.3
    told = render_gates([held], "Conditions of the metric")
    assert f"  {fallen}: shut" in told
    assert "ended 1 holds (torso_up 0 then)" in told


def test_of_a_function_that_is_asked_of_each_leg_the_nearest_is_told() -> None:
    card = load_env("ant")
    fields = {f.name: np.zeros((201,) if f.size is None else (201, f.size)) for f in card.fields}
    fields["torso_up"][:] = 1.0
    for leg in ("front_left", "back_left", "back_right", "front_right"):
        fields[f"{leg}_foot_floor_contact"][:] = leg != "back_right"
    fields["back_right_foot_height"][:120] = 0.3
    source = read_task_metric("ant", load_task("ant", "wave_leg")) or ""
    episode = Episode(fields, np.zeros((200, 8)), 0.05)
    found = summarise_conditions(source, compile_metric(source), [episode])
    [poised] = [gate for gate in found if gate.name == "credit (judge_leg)"]
    assert poised.open == pytest.approx(120 / 201)
    assert [item.text for item in poised.conditions if item.ended] == ["lift"]


def test_a_metric_that_fails_has_none() -> None:
    source = "def score(episode):\n    return 1\n"
    assert summarise_conditions(source, compile_metric(source), EPISODES) == ()
