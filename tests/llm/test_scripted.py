from __future__ import annotations

from dataclasses import replace

import pytest
from support.chat import make_chat_model

from reward_agent.errors import DataError, ScriptEndedError, UsageError
from reward_agent.llm.budget import Budget
from reward_agent.llm.replies import Replies
from reward_agent.llm.scripted import ScriptedChatModel, parse_script

SCRIPT = """\
first

two lines
--- reply ---
second
---reply critic---
{"verdict": "accept"}
--- reply designer ---
third
"""


def test_each_agent_has_its_own_cursor(request_):
    model = ScriptedChatModel(parse_script(SCRIPT, "s.md"))
    critic = replace(request_, agent="critic")
    replies = [model.complete(item).reply for item in (request_, critic, request_, request_)]
    assert replies == ["first\n\ntwo lines", '{"verdict": "accept"}', "second", "third"]


def test_agents_without_replies_do_not_take_part():
    assert ScriptedChatModel(parse_script(SCRIPT, "s.md")).agents == {"designer", "critic"}
    assert ScriptedChatModel(parse_script("only one", "s.md")).agents == {"designer"}
    assert ScriptedChatModel(parse_script("--- reply critic ---\n{}", "s.md")).agents == {
        "designer",
        "critic",
    }


def test_running_out_is_said_with_the_count(request_):
    model = ScriptedChatModel(parse_script("one", "s.md"), "s.md")
    model.complete(request_)
    with pytest.raises(
        ScriptEndedError, match=r"s\.md has ended: it holds 1 replies for the designer"
    ):
        model.complete(request_)


def test_reply_may_be_empty_between_separators():
    replies = parse_script("--- reply ---\n\n--- reply ---\nx\n", "s.md")
    assert [reply.reply for reply in replies] == ["", "x"]


def test_windows_line_ends_and_rules_inside_a_reply():
    replies = parse_script("a\r\n---\r\nb\r\n--- reply ---\r\nc\r\n", "s.md")
    assert [reply.reply for reply in replies] == ["a\n---\nb", "c"]


def test_json_lines_carry_stop_reasons(request_):
    text = '{"reply": "x"}\n\n{"agent": "analyzer", "reply": "", "stop_reason": "refusal"}\n'
    model = ScriptedChatModel(parse_script(text, "s.jsonl"))
    assert model.complete(request_).reply == "x"
    assert model.complete(replace(request_, agent="analyzer")).stop_reason == "refusal"


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("", "s.md", "holds no reply"),
        ("  \n\n", "s.md", "holds no reply"),
        ("--- reply writer ---\nx", "s.md", "unknown agent in a separator: 'writer'"),
        ('{"reply": "x"}\n{"text": "y"}', "s.jsonl", "line 2"),
        ("not json", "s.jsonl", "line 1"),
    ],
)
def test_malformed_script_names_the_place(text, name, says):
    with pytest.raises(DataError) as caught:
        parse_script(text, name)
    assert says in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("spec", ["scripted", "scripted:/nowhere/s.md"])
def test_missing_script_is_a_usage_error(spec):
    with pytest.raises(UsageError):
        make_chat_model(spec)


def test_resumed_script_goes_on_after_the_replies_that_were_used(tmp_path, request_):
    script = tmp_path / "s.md"
    script.write_text("one\n--- reply ---\ntwo\n--- reply ---\nthree\n")

    def make_model():
        return make_chat_model(
            f"scripted:{script}", budget=Budget(replies=Replies(tmp_path / "replies.sqlite"))
        )

    requests = [replace(request_, sample_index=index) for index in range(3)]

    before = make_model()
    said = [before.complete(item).reply for item in requests[:2]]
    after = make_model()
    assert [after.complete(item).reply for item in requests] == [*said, "three"]
