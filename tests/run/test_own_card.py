"""A card that a person brings is tried before a model is asked, and before a program is blamed."""

from __future__ import annotations

from pathlib import Path

import pytest

import reward_agent
from reward_agent.definitions.card import load_env
from reward_agent.errors import DataError
from reward_agent.llm.replies import REPLIES_FILE
from reward_agent.records.settings import RunSettings
from reward_agent.run.active import try_own_card
from reward_agent.run.single import check, open_lab

MJCF = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody><body name="cart">
    <joint name="slide" type="slide" axis="1 0 0" damping="1"/>
    <geom name="cart" size="0.1" mass="1"/>
  </body></worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-1 1" ctrllimited="true" gear="5"/></actuator>
</mujoco>
"""
CARD = """
title = "Cart"
description = "A cart on a rail."
control_dt = 0.02
max_episode_steps = 20
actions = ["push"]
observation = ["qpos", "qvel"]
observation_size = 2

[model]
file = "cart.xml"
frame_skip = 2

[reset]
qpos_uniform = 0.05

[state.cart]
cart_position = { source = "joint:slide.qpos", unit = "m", range = [-1.0, 1.0], doc = "along x" }
cart_velocity = { source = "joint:slide.qvel", unit = "m/s", range = [-5.0, 5.0], doc = "along x" }
"""
PROGRAM = """
def compute_reward(state, action, next_state):
    speed = np.abs(next_state.cart_velocity)
    return speed, {"speed": speed}
"""


def write(folder: Path, before: str = "", after: str = "") -> Path:
    place = folder / "cart"
    place.mkdir()
    assert before in MJCF or before in CARD
    (place / "cart.xml").write_text(MJCF.replace(before, after) if before else MJCF)
    (place / "env.toml").write_text(CARD.replace(before, after) if before else CARD)
    return place


DEAD = ('gear="5"', 'gear="0"')


def test_design_ends_before_a_model_is_asked_where_nothing_moves(tmp_path: Path) -> None:
    script = tmp_path / "replies.md"
    script.write_text(f"--- reply ---\n```python{PROGRAM}```\n")
    with pytest.raises(DataError, match="the card of cart: action 'push' changes no") as caught:
        reward_agent.design(
            str(write(tmp_path, *DEAD)),
            "push the cart to the right",
            provider=f"scripted:{script}",
            runs_dir=tmp_path / "runs",
            environ={},
        )
    assert "correct gear in the MJCF" in caught.value.remedy
    assert "envs check" in caught.value.remedy
    (run,) = (tmp_path / "runs").iterdir()
    assert not (run / REPLIES_FILE).exists()


def test_a_program_is_not_blamed_for_a_card(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the card of cart"):
        check(PROGRAM, str(write(tmp_path, *DEAD)), probe=True)


def test_what_may_mislead_is_told_and_a_card_that_works_is_silent(tmp_path: Path) -> None:
    for folder, change, expected in (
        ("good", (), []),
        ("odd", ('joint:slide.qvel"', 'scale(joint:slide.qvel, 2)"'), ["card/rate"]),
    ):
        (tmp_path / folder).mkdir()
        card = load_env(write(tmp_path / folder, *change))
        with open_lab(card, RunSettings()) as lab:
            assert [finding.rule for finding in try_own_card(lab)] == expected


def test_a_card_that_comes_with_the_program_is_not_tried() -> None:
    with open_lab(load_env("inverted_pendulum"), RunSettings()) as lab:
        assert try_own_card(lab) == ()
