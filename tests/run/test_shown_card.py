"""What a designer knows of an environment, and what a person's program may read."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from reward_agent.definitions.card import load_env
from reward_agent.designers.team import make_team
from reward_agent.records.settings import RunSettings
from reward_agent.run.active import ActiveRun


@pytest.mark.parametrize(
    ("provider", "is_shown"),
    [
        ("given:{}/reward.py", True),
        ("scripted:{}/reply.md", True),
        ("offline", False),
        ("openai", False),
        (None, False),
    ],
)
def test_the_verdict_is_shown_to_a_persons_program_alone(provider, is_shown, tmp_path) -> None:
    for name in ("reward.py", "reply.md"):
        (tmp_path / name).write_text("def compute_reward(state, action, next_state): ...")
    settings = RunSettings(provider=provider and provider.format(tmp_path))
    team = make_team(settings, tmp_path, {"OPENAI_API_KEY": "k"}, threading.Event())
    card = load_env("metaworld")
    run = SimpleNamespace(card=card, team=team)
    names = {field.name for field in ActiveRun.shown_card.fget(run).state}
    assert ({"success", "own_reward"} <= names) is is_shown
    assert {"object_position", "goal_position", "gripper_opening"} <= names


def test_a_card_without_such_fields_is_shown_as_it_is() -> None:
    card = load_env("hopper")
    assert card.for_designer is card
