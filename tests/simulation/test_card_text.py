"""Cards are shown to people and to language models with everything that matters."""

from __future__ import annotations

import ast

import pytest

from reward_agent.definitions.card import list_envs, load_env
from reward_agent.definitions.card_text import render_card, render_card_as_prompt

ENVS = list_envs()


@pytest.mark.parametrize("name", ENVS)
def test_the_prompt_is_python_that_declares_every_field(name: str) -> None:
    card = load_env(name)
    tree = ast.parse(render_card_as_prompt(card))
    (state,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    declared = [node.target.id for node in state.body if isinstance(node, ast.AnnAssign)]  # type: ignore[union-attr]
    assert declared == [field.name for field in card.for_designer.state]


@pytest.mark.parametrize("name", ENVS)
@pytest.mark.parametrize("render", [render_card, render_card_as_prompt])
def test_both_views_tell_actions_times_and_every_meaning(name: str, render: object) -> None:
    card = load_env(name)
    text = render(card)  # type: ignore[operator]
    for word in (*card.actions, f"{card.control_dt:g}", str(card.max_episode_steps)):
        assert word in text
    shown = card if render is render_card else card.for_designer
    for field in shown.state:
        assert field.doc in text


def test_termination_is_told_in_words() -> None:
    text = render_card_as_prompt(load_env("walker2d"))
    assert "ends early unless 0.8 < torso_height < 2; -1 < torso_pitch < 1." in text
    assert "never ends early" in render_card_as_prompt(load_env("half_cheetah"))
