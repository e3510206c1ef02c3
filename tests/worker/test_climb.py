"""What a metric pays as a reward: over an episode, just what it scores in the end."""

from __future__ import annotations

import numpy as np
import pytest

from reward_agent.definitions.card import load_env
from reward_agent.evaluation.metrics import Episode, compile_metric
from reward_agent.simulation.backends import make_simulation
from reward_agent.worker.climb import MetricReward

CARD = load_env("inverted_pendulum").model_copy(update={"max_episode_steps": 80})
SOURCE = """
def score(episode):
    if episode.n_steps < 3:
        raise ValueError("too short")
    moved = float(np.max(np.abs(episode.cart_position)))
    return Score(2.0 * moved, moved > 0.001, {"moved": moved})
"""


@pytest.mark.parametrize(("pays", "scale"), [("score", 2.0), ("success", 2.0)])
def test_an_episode_is_paid_what_it_scores(pays: str, scale: float) -> None:
    metric = compile_metric(SOURCE)
    reward = MetricReward(CARD, metric, ["cart_position"], pays, scale)
    simulation = make_simulation(CARD, 2, 0)
    simulation.reset()
    state = simulation.read_state()
    reward.begin(state)
    positions, actions, total = [state.fields["cart_position"].copy()], [], np.zeros(2)
    for step in range(CARD.max_episode_steps):
        action = np.full((2, 1), 0.2 if step % 2 else -0.1)
        simulation.step(action)
        next_state = simulation.read_state()
        total += reward.step(state, action, next_state, np.zeros(2, dtype=bool)).reward
        state = next_state
        positions.append(state.fields["cart_position"].copy())
        actions.append(action)
    for sim in range(2):
        fields = {"cart_position": np.array(positions)[:, sim].astype(np.float32)}
        score = metric(Episode(fields, np.array(actions)[:, sim], CARD.control_dt))
        expected = score.task_score / scale if pays == "score" else float(score.success)
        assert total[sim] == pytest.approx(expected)


def test_a_new_episode_starts_from_nothing() -> None:
    reward = MetricReward(CARD, compile_metric(SOURCE), ["cart_position"], "score", 1.0)
    simulation = make_simulation(CARD, 1, 0)
    simulation.reset()
    first = simulation.read_state()
    reward.begin(first)
    state, paid = first, []
    for is_last in [False] * 9 + [True]:
        action = np.ones((1, 1))
        simulation.step(action)
        next_state = simulation.read_state()
        paid.append(reward.step(state, action, next_state, np.array([is_last])).reward[0])
        state = next_state
    reward.restart(np.array([0]), first)
    again = [
        reward.step(first, np.ones((1, 1)), first, np.array([i == 9])).reward[0] for i in range(10)
    ]
    assert sum(paid) > 0
    assert sum(again) == pytest.approx(2 * abs(float(first.fields["cart_position"][0])), rel=1e-5)
