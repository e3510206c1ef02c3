"""Cards whose actions are choices, and whose fields come from what Gymnasium returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.card_text import render_card, render_card_as_prompt
from reward_agent.definitions.sources import Array, Indexed, parse_source

CART_POLE = Path(__file__).parents[1] / "support" / "envs" / "cart_pole"


@pytest.fixture
def plain() -> dict[str, Any]:
    return load_env(CART_POLE).model_dump(exclude={"choices", "action_range"})


def test_range_of_choices_is_their_numbers() -> None:
    card = load_env(CART_POLE)
    assert card.n_choices == (2,)
    assert card.action_range == (0.0, 1.0)
    assert (card.n_actions, card.n_outputs) == (1, 2)


def test_choices_without_names_go_by_their_numbers(plain: dict[str, Any]) -> None:
    card = EnvCard.model_validate({**plain, "actions": ["a", "b"], "choices": [3, 2]})
    assert card.choices == (("0", "1", "2"), ("0", "1"))
    assert card.action_range == (0.0, 2.0)
    assert EnvCard.model_validate(card.model_dump()) == card


def test_choices_are_one_row_an_action(plain: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="choices has 2 rows, actions 1"):
        EnvCard.model_validate({**plain, "choices": [3, 2]})


def test_choices_are_not_rescaled(plain: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="passed on as they are"):
        EnvCard.model_validate({**plain, "choices": [2], "action_mapping": "rescaled"})


def test_own_reward_is_for_people_unless_the_card_says_so(plain: dict[str, Any]) -> None:
    assert load_env(CART_POLE).field("own_reward").people_only
    state = [*plain["state"], {"name": "paid", "source": "reward", "people_only": False,
                               "unit": "1", "range": (0, 1), "doc": "paid"}]  # fmt: skip
    assert not EnvCard.model_validate({**plain, "state": state}).field("paid").people_only


def test_card_says_what_each_choice_is() -> None:
    card = load_env(CART_POLE)
    assert "- actions: push, one of 0 left, 1 right." in render_card(card)
    prompt = render_card_as_prompt(card)
    assert "action: np.ndarray  # (N, 1) numbers of choices" in prompt
    assert "# [:, 0] push: 0 left, 1 right" in prompt
    assert "own_reward" not in prompt


@pytest.mark.parametrize(
    ("given", "function"),
    [
        ("CartPole-v1", None),
        ("ALE/Pong-v5", None),
        ("my_envs:Cart-v0", None),
        ("my_envs.pole:make_env", ("my_envs.pole", "make_env")),
    ],
)
def test_id_or_function_makes_the_environment(given: str, function: Any) -> None:
    model = load_env(CART_POLE).model.model_copy(update={"id": given})
    assert model.function == function


def test_sources_name_what_comes_back() -> None:
    assert parse_source("info/is_success") == Array("info/is_success")
    assert parse_source("observation/goal[0:2]") == Indexed(Array("observation/goal"), slice(0, 2))
    assert parse_source("'info/timestep.reward'") == Array("info/timestep.reward")
