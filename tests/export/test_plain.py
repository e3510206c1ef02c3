"""A reward exported over a person's own Gymnasium environment."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.export.compose import compose_reward, find_hindrance
from reward_agent.simulation.backends import make_simulation

ENVS = Path(__file__).parents[1] / "support" / "envs"
CART_POLE = load_env(ENVS / "cart_pole")
METADATA = {"task": "Keep the pole upright.", "has_memory": False, "gymnasium_id": None}
PROGRAM = """
def compute_reward(state, action, next_state):
    terms = {"paid": next_state.FIELD + 10.0 * action[:, 0]}
    return sum(terms.values()), terms
"""


def load_reward(card: EnvCard, field: str) -> dict[str, Any]:
    text = compose_reward(card, PROGRAM.replace("FIELD", field), METADATA, False)
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(text, "reward.py", "exec"), names)
    return names


def test_wrapper_pays_what_the_simulation_would() -> None:
    assert find_hindrance(CART_POLE) == ""
    reward = load_reward(CART_POLE, "pole_angular_velocity")
    env = reward["make_env"]()
    assert env.action_space == spaces.Discrete(2)
    simulation = make_simulation(CART_POLE, 1, seed=9)
    simulation.reset()
    env.reset(seed=9)
    for number in (1, 0, 1, 1):
        simulation.step([[number]])
        observation, paid, terminated, _, info = env.step(env.decode([number]))
        state = simulation.read_state()
        np.testing.assert_array_equal(env.state.observation, state.observation)
        assert observation.shape == (4,)
        assert paid == pytest.approx(state.pole_angular_velocity[0] + 10.0 * number)
        assert (info["own_reward"], terminated) == (1.0, False)


def test_wrapper_goes_around_what_a_persons_function_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = CART_POLE.model_dump(exclude={"action_range", "termination"})
    state = [{"name": "n", "source": "info/n", "unit": "1", "range": (0, 9), "doc": "steps"}]
    card = EnvCard.model_validate({
        **plain, "state": state, "actions": ["a", "b"], "choices": [3, 2], "observation_size": 15,
        "model": {"backend": "gymnasium", "id": "odd_envs:make_odd", "options": {"length": 3}},
        "folder": str(ENVS / "odd"),
    })  # fmt: skip
    monkeypatch.syspath_prepend(str(ENVS / "odd"))
    monkeypatch.delitem(sys.modules, "odd_envs", raising=False)
    env = load_reward(card, "n")["make_env"]()
    env.reset(seed=1)
    assert env.state.observation.shape == (1, 15)
    paid = [env.step(np.array([2, 1]))[1:4] for _ in range(3)]
    assert paid == [(21.0, False, False), (22.0, False, False), (23.0, True, False)]
