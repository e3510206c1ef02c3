"""EnvPool's environment against Gymnasium's of the same id: what is the same, what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.drafts.pool_env import PoolEnv
from reward_agent.drafts.survey import survey_env
from reward_agent.export.compose import compose_reward, find_hindrance
from reward_agent.simulation import twins
from reward_agent.simulation.backends import compare_card, make_simulation
from reward_agent.simulation.twins import compare_twins

pytest.importorskip("envpool", reason="pip install 'reward-agent[metaworld]'")
# EnvPool rounds the ends of spaces, at which Gymnasium warns.
pytestmark = [pytest.mark.metaworld, pytest.mark.filterwarnings("ignore::UserWarning")]
CART_POLE = load_env(Path(__file__).parents[1] / "support" / "envs" / "cart_pole")
PROGRAM = """
def compute_reward(state, action, next_state):
    terms = {"paid": next_state.pole_angular_velocity + 10.0 * action[:, 0]}
    return sum(terms.values()), terms
"""


def on_pool(card: EnvCard, **changes: Any) -> EnvCard:
    model = card.model.model_copy(update={"backend": "envpool", "id": "CartPole-v1"} | changes)
    return card.model_copy(update={"model": model})


class HeavyCartPole(CartPoleEnv):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gravity = 30.0


def test_the_same_physics_are_the_same() -> None:
    like = compare_twins(CART_POLE, "gymnasium.envs:CartPole-v1")
    assert like.is_same
    assert "episodes each of random actions: what it pays" in like.compared
    assert min(like.speeds) > 0


def test_what_is_slow_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "_MOST_EPISODE_S", 0.0)
    assert "EnvPool's is too slow" in compare_twins(CART_POLE, "CartPole-v1").differs


def test_an_environment_without_a_limit_says_none() -> None:
    assert survey_env(PoolEnv("CliffWalking-v0", {}), "CliffWalking-v0").limit is None


def test_other_physics_are_told_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(gymnasium.spec("CartPole-v1"), entry_point=HeavyCartPole)
    monkeypatch.setitem(gymnasium.registry, "CartPole-v1", spec)
    like = compare_twins(CART_POLE, "CartPole-v1")
    assert " in EnvPool and " in like.differs
    [finding] = compare_card(make_simulation(on_pool(CART_POLE, twin="CartPole-v1"), 1, 0)).findings
    assert "EnvPool's is not Gymnasium's CartPole-v1" in finding.message


def test_other_lengths_and_missing_infos_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = replace(gymnasium.spec("CartPole-v1"), max_episode_steps=77)
    of_info = CART_POLE.state[0].model_copy(update={"name": "n", "source": "info/n"})
    card = CART_POLE.model_copy(update={"state": (*CART_POLE.state, of_info)})
    assert compare_twins(card, "CartPole-v1").lacks == ("n",)
    monkeypatch.setitem(gymnasium.registry, "CartPole-v1", spec)
    assert "500 steps in EnvPool, 77" in compare_twins(CART_POLE, "CartPole-v1").differs


def test_an_export_wraps_gymnasiums_environment() -> None:
    assert "no model.twin" in find_hindrance(on_pool(CART_POLE))
    card = on_pool(CART_POLE, twin="CartPole-v1")
    assert find_hindrance(card) == ""
    metadata = {"task": "Keep the pole upright.", "has_memory": False, "gymnasium_id": None}
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(compose_reward(card, PROGRAM, metadata, False), "reward.py", "exec"), names)
    env = names["make_env"]()
    env.reset(seed=9)
    assert isinstance(env.unwrapped, CartPoleEnv)
    for number in (1, 0, 1):
        observation, paid, *_, info = env.step(env.decode([number]))
        assert paid == pytest.approx(observation[3] + 10.0 * number)
        assert info["own_reward"] == 1.0
