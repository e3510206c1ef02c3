"""Whatever a reply holds ends as a program, a record, or one reason why there is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.designers import reply as module
from reward_agent.designers.model import LanguageModel
from reward_agent.designers.reply import parse_code, parse_record
from reward_agent.designers.roles import MetricWords
from reward_agent.errors import DataError
from reward_agent.llm.chat import MAX_REPLY_CHARS, Completion
from reward_agent.types import Analysis, Critique, Record

N = MAX_REPLY_CHARS
ENTRY = "def compute_reward(state, action, next_state):\n    return next_state.x, {}\n"
GOOD = '{"verdict": "accept", "summary": "fine"}'
TEXTS = {
    "fences": "```\nx = 1\n```\n" * (N // 14),
    "programs": f"```python\n{ENTRY}```\n" * (N // 90),
    "helpers": "".join(f"```\na{i} = 1\n```\n" for i in range(20_000)) + f"```\n{ENTRY}```\n",
    "open fences": "```\n" * (N // 4), "ticks": "`" * N, "braces": "{" * N, "brackets": "[" * N,
    "nested objects": '{"summary":' * (N // 11), "empty objects": "{}" * (N // 2),
    "objects": GOOD * (N // len(GOOD)), "thoughts": "<think>" * (N // 7),
    "closed thoughts": "<think></think>" * (N // 15), "halves": "def compute_reward(" * (N // 19),
    "heads": "def compute_reward(s):\n" * (N // 23), "lines": "\n" * N,
    "assignments": "a = 1\n" * (N // 6) + ENTRY, "names": "a, " * (N // 3) + "\n" + ENTRY,
    "digits": '{"summary":' + "9" * N + "}", "large": '{"summary": 1e999999}',
    "nul": "\0" * N, "nul in code": f"```python\n\0{ENTRY}```", "bidi": "\u202e" * N,
    "surrogates": "\ud800" * N, "escaped surrogates": '{"summary": "\\ud800\\udfff\\u0000"}',
    "quotes": '"""' * (N // 3), "decorators": "@a\n" * (N // 3) + ENTRY,
    "backslashes": "\\\n" * (N // 2) + ENTRY, "ten megabytes": "x" * 10**7,
    "code of ten megabytes": f"```python\n{ENTRY}" + "# x\n" * 2_500_000,
    "parentheses": f"```python\n{ENTRY}{'(' * 100_000}\n```", "minus": f"```python\nx = {'-' * 99_999}1\n{ENTRY}```",
    "deep attribute": f"```python\nx = a{'.a' * 50_000}\n{ENTRY}```",
    "TOML": "```toml\na = " + "[" * 100_000 + "\n```", "quotations": "> " * 100_000 + ENTRY,
    "lists": "- " * 100_000, "emphasis": "*" * N, "links": "[" * 50_000 + "](" * 50_000,
}  # fmt: skip


def complain(text: str, kind: type[Record]) -> str:
    """Return why a text holds no record; '' if it holds one."""
    try:
        parse_record(text, kind)
    except DataError as error:
        return error.message
    return ""


@pytest.mark.timeout(120, method="thread")  # an expression that tries all ways has no end
@pytest.mark.parametrize("name", TEXTS)
def test_no_text_raises_or_takes_long(name: str) -> None:
    parsed = parse_code(TEXTS[name], "compute_reward")
    assert parsed.source or len(parsed.reason) < 300
    for kind in (Critique, Analysis, MetricWords):
        complaint = complain(TEXTS[name], kind)
        assert len(complaint) < 1500
        assert complaint.isprintable()


@pytest.mark.parametrize("error", [RecursionError, MemoryError, ValueError, KeyError, OSError])
def test_whatever_a_parser_raises_is_a_reason(error, monkeypatch) -> None:
    def fail(text: str) -> None:
        raise error("deep inside")

    monkeypatch.setattr(module, "find_fences", fail)
    assert error.__name__ in parse_code(ENTRY, "compute_reward").reason
    with pytest.raises(DataError, match=error.__name__):
        parse_record(GOOD, Critique)


def test_texts_of_a_record_are_short_and_can_be_written() -> None:
    risk = '{"kind": "x", "evidence": "\\ud800", "remedy": "\\u0000y"}'
    text = f'{{"verdict": "accept", "summary": "{"z" * 100_000}", "risks": [{", ".join([risk] * 999)}]}}'
    critique = parse_record(text, Critique)
    assert len(critique.summary) == 4000
    assert len(critique.risks) == 50
    assert critique.risks[0].evidence == "?"
    assert critique.risks[0].remedy == "\0y"
    assert critique.model_dump_json().encode()


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_the_end_of_one_candidate_and_no_more(name, play, brief) -> None:
    completion = Completion(reply=TEXTS[name], stop_reason="stop", model="m", provider="p")
    again = Completion.model_validate_json(completion.model_dump_json())
    assert again == completion
    for said in (completion, again):  # as it comes, and as it is read again
        proposal = LanguageModel(play(said)).propose(brief)
        assert (proposal.program is None) is (proposal.outcome is not None)
        assert len(proposal.reply) <= N


PIECES = ["```", "~~~~", "python", "json", "\n", "    ", "{", "}", "[", '"', ":", ",", "def ", "(",
          "compute_reward", "return ", "<think>", "</think>", "\\u", "\ud800", "\0", "\t", "1e9",
          "verdict", "accept", "summary", "#", "'''", "=", "\r", "\u2028"]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60).map("".join))
def test_any_text_is_read(text: str) -> None:
    parse_code(text, "compute_reward")
    assert complain(text, Critique).isprintable()
