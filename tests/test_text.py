"""Words of generated code and of failing libraries stay on one line wherever they are shown."""

from __future__ import annotations

import pytest

from reward_agent.errors import DataError
from reward_agent.records.store import Attempt, Candidate, Confirmation
from reward_agent.text import (
    clean_text,
    decode_text,
    format_number,
    format_share,
    format_steps,
    hide_credentials,
    render_table,
)
from reward_agent.types import TrainingResult

HOSTILE = "failed: line one\n\tline two\r\n\x1b[2J\x07\u202eend"
CLEAN = "failed: line one  line two  [2Jend"


def test_text_becomes_one_line_without_control_characters() -> None:
    assert clean_text(HOSTILE) == CLEAN
    assert clean_text("a" * 600, 10) == "a" * 9 + "…"


@pytest.mark.parametrize(
    "record",
    [
        Candidate(id="a", iteration=0, index=0, idea="x", outcome=HOSTILE),
        Attempt(outcome=HOSTILE),
        TrainingResult(outcome=HOSTILE, seed=0, total_timesteps=0, wall_s=0, steps_per_s=0),
        Confirmation(candidate="a", seed=0, evaluation=None, outcome=HOSTILE),
    ],
    ids=lambda record: type(record).__name__,
)
def test_an_outcome_is_one_line_in_every_record(record: Candidate) -> None:
    assert str(record.outcome) == CLEAN
    again = type(record).model_validate_json(record.model_dump_json())
    assert again.outcome == record.outcome


def test_an_error_and_its_remedy_are_one_line_each() -> None:
    error = DataError(HOSTILE, "first\nsecond")
    assert (error.message, error.remedy) == (CLEAN, "first second")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1e-7, "0"),
        (0.00012345, "0.000123"),
        (5.6e-5, "0.0001"),
        (-0.98765, "-0.988"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1000"),
        (123456.7, "123457"),
        (None, "-"),
    ],
)
def test_numbers_have_three_digits_and_no_exponent(value, text):
    assert format_number(value) == text


def test_shares_tell_little_from_nothing():
    assert [format_share(s) for s in (0.0, 0.004, 0.5, 1.0, None)] == [
        "0%",
        "<1%",
        "50%",
        "100%",
        "-",
    ]


def test_steps_are_in_thousands():
    assert [format_steps(s) for s in (999, 1000, 250_400)] == ["999", "1k", "250k"]


def test_columns_are_aligned():
    assert render_table(["a", "bb"], [["xyz", "1"], ["y", "100"]]) == "a     bb\nxyz    1\ny    100"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://user:pass@host/v1?key=abc#frag", "http://host/v1"),
        ("POST https://h/v1?token=s1&x=2 failed", "POST https://h/v1 failed"),
        ("http://u:p/a@h/x and http://a@b:c@h/y", "http://h/x and http://h/y"),
        ("HTTP://U:P@H, 'wss://u:p@h:1/'", "HTTP://H, 'wss://h:1/'"),
        ("user:pw@host:80/v1", "host:80/v1"),
        ("https://%75ser:p%40ss@[::1]:80/p", "https://[::1]:80/p"),
        ("GET /x?access_token=zzz&b=1", "GET /x?access_token=[hidden]&b=1"),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer [hidden]"),
        ("{'api_key': 'abcd1234'}", "{'api_key': '[hidden]'}"),
        ("MY_API_KEY=abcd; password: hunter2", "MY_API_KEY=[hidden]; password: [hidden]"),
        (
            "//user:pw@host/v1 and https:\\/\\/user:pw@host\\/v1",
            "//host/v1 and https:\\/\\/host\\/v1",
        ),
        (
            "Ocp-Apim-Subscription-Key: abc1; passphrase=abc",
            "Ocp-Apim-Subscription-Key: [hidden]; passphrase=[hidden]",
        ),
        ("the key sk-test-0123456789abcdef", "the key [hidden]"),
    ],
)
def test_credentials_are_hidden(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown
    assert hide_credentials(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8080/@me", "see https://medium.com/@user/x", "mail a@b.c",
        "max_tokens: the context is 4096 tokens long", "input_tokens=5", "monkey=banana", "3 passed: fine",
    ],
)  # fmt: skip
def test_what_is_no_credential_stays(text: str) -> None:
    assert hide_credentials(text) == text


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("part", ["a:", "http://", "@", "key=", "_key", "a-", "a:b@", "x"])
def test_hiding_takes_no_longer_the_odder_a_text_is(part: str) -> None:
    hide_credentials(part * 100_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_is_read_as_any_editor_saved_it(encoding):
    assert decode_text("x = 1\r\ny = 'ü'\r".encode(encoding)) == "x = 1\ny = 'ü'\n"
