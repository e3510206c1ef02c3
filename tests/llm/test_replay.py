from __future__ import annotations

from dataclasses import replace

import pytest

from reward_agent.errors import BudgetError, DataError, ReplayError, UsageError
from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, Completion
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.replay import ReplayChatModel, describe_difference, make_model
from reward_agent.llm.replies import REPLIES_FILE, Replies, read_replies
from reward_agent.types import Critique, Usage


class Model:
    provider, name, agents, max_concurrency = "paid", "paid-1", ALL_AGENTS, 1

    def __init__(self):
        self.n_calls = 0

    def complete(self, request):
        self.n_calls += 1
        return Completion(
            reply=f"reply {self.n_calls}",
            stop_reason="stop",
            model=self.name,
            provider=self.provider,
            usage=Usage(n_calls=1, input_tokens=100, usd=0.01),
            wall_s=3.0,
        )


@pytest.fixture
def asked(request_):
    """What a run asked: two programs and a critique."""
    request_ = replace(request_, iteration=0)
    return [
        request_,
        replace(request_, sample_index=1),
        replace(request_, agent="critic", template="critic/review", reply_type=Critique),
    ]


def record(folder, requests):
    replies = Replies(folder / REPLIES_FILE)
    model = CalledChatModel(Model(), budget=Budget(replies=replies))
    for item in requests:
        model.complete(item)
    replies.close()


@pytest.fixture
def path(tmp_path, asked):
    record(tmp_path, asked)
    return tmp_path / REPLIES_FILE


def test_what_was_asked_is_answered_as_it_was_and_costs_nothing(path, asked):
    model = ReplayChatModel(read_replies(path.parent), "run-1")
    completions = [model.complete(item) for item in asked]
    assert [item.reply for item in completions] == ["reply 1", "reply 2", "reply 3"]
    assert {item.usage for item in completions} == {Usage()}
    assert {item.provider for item in completions} == {"replay"}
    assert {item.model for item in completions} == {"paid-1"}


def test_agents_that_took_no_part_take_none(tmp_path, asked):
    record(tmp_path, asked[:1])
    model = ReplayChatModel(read_replies(tmp_path), "run-1")
    assert model.agents == {"designer"}


def test_prompt_that_differs_gets_the_reply_of_its_place_and_the_difference_is_told(path, asked):
    warnings = []
    model = ReplayChatModel(read_replies(path.parent), "run-1", warn=warnings.append)
    changed = replace(asked[1], messages=(ChatMessage("user", "Hop. It scored 0.82."),))
    assert model.complete(changed).reply == "reply 2"
    [warning] = warnings
    assert "designer/first, round 1, candidate 1" in warning
    assert "then" in warning
    assert "now" in warning


@pytest.mark.parametrize(
    "change", [{"sample_index": 7}, {"iteration": 3}, {"template": "designer/repair"}]
)
def test_place_that_the_run_does_not_hold_is_a_named_error(change, path, asked):
    model = ReplayChatModel(read_replies(path.parent), "run-1")
    changed = replace(asked[0], messages=(ChatMessage("user", "Else."),), **change)
    with pytest.raises(ReplayError, match="the run run-1 holds no reply to designer/"):
        model.complete(changed)


def test_second_turn_of_a_place_is_not_answered_with_the_first(path, asked):
    model = ReplayChatModel(read_replies(path.parent), "run-1")
    for text in ("Once.", "Twice."):
        changed = replace(asked[0], messages=(ChatMessage("user", text),))
        if text == "Once.":
            assert model.complete(changed).reply == "reply 1"
        else:
            with pytest.raises(ReplayError, match="turn 2"):
                model.complete(changed)


def test_run_that_stopped_at_a_limit_stops_there_again(path, asked):
    model = ReplayChatModel(read_replies(path.parent), "run-1", "--max-calls 3 is reached")
    with pytest.raises(BudgetError, match="stopped asking here: --max-calls 3"):
        model.complete(replace(asked[0], sample_index=9))


@pytest.mark.parametrize("content", [None, b"not a database " * 100, b""])
def test_replies_that_are_not_there_are_a_named_error(content, tmp_path):
    path = tmp_path / REPLIES_FILE
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"replies\.sqlite"):
        read_replies(path.parent)


def test_replaying_changes_nothing_in_the_run(path):
    before = {item: item.read_bytes() for item in path.parent.iterdir()}
    path.chmod(0o400)
    assert len(read_replies(path.parent)) == 3
    assert {item: item.read_bytes() for item in path.parent.iterdir()} == before


def test_a_run_must_be_named():
    with pytest.raises(UsageError, match="replay needs a run"):
        make_model(ProviderOptions())


@pytest.mark.parametrize(
    ("then", "now", "says"),
    [
        ("a\nscore 0.81 m", "a\nscore 0.82 m", "line 2: 'score 0.81 m' then, 'score 0.82 m' now"),
        ("a", "a\nb", "one goes on where the other ends"),
        ("ab", "abc", "line 1: 'ab' then, 'abc' now"),
    ],
)
def test_difference_of_two_prompts_is_shown_where_it_is(then, now, says):
    assert describe_difference(then, now) == says
