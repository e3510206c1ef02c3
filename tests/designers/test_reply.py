from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.designers.reply import find_fences, parse_code, parse_record
from reward_agent.errors import DataError
from reward_agent.rewards.source import parse_source
from reward_agent.types import Analysis, Critique, Risk

MAIN = """\
def compute_reward(state, action, next_state):
    speed = next_state.forward_velocity
    return speed, {"speed": speed}
"""
OTHER = MAIN.replace("speed", "pace")
HELPER = """\
def squash(x):
    return np.tanh(x)
"""
USING = """\
SCALE = 2.0


def compute_reward(state, action, next_state):
    speed = squash(SCALE * next_state.forward_velocity)
    return speed, {"speed": speed}
"""


def fence(body: str, tag: str = "python", mark: str = "```") -> str:
    return f"{mark}{tag}\n{body}{mark}\n"


def parse(reply: str) -> str | None:
    return parse_code(reply, "compute_reward").source


@pytest.mark.parametrize(
    "tag", ["python", "py", "Python3", "", "python title=reward.py", "{.python}"]
)
@pytest.mark.parametrize("mark", ["```", "~~~", "````"])
def test_program_is_found_in_its_fence(tag, mark):
    assert parse(f"Here it is.\n\n{fence(MAIN, tag, mark)}\nGood luck with ``it``!") == MAIN


def test_windows_line_ends_and_byte_order_mark():
    assert parse("\ufeff" + fence(MAIN).replace("\n", "\r\n")) == MAIN


def test_indented_fence_of_a_list():
    indented = "".join(f"   {line}\n" for line in fence(MAIN).splitlines())
    assert parse(f"1. The program:\n\n{indented}") == MAIN


def test_last_of_several_programs_is_taken():
    assert parse(f"First try:\n{fence(OTHER)}\nBetter:\n{fence(MAIN)}") == MAIN


def test_last_program_that_can_be_parsed_is_taken():
    assert parse(fence(MAIN) + "Or shorter:\n" + fence("def compute_reward(state, ...\n")) == MAIN


def test_syntax_error_is_kept_for_the_check_to_name():
    broken = "def compute_reward(state, action, next_state)\n    return 1\n"
    assert parse(fence(broken)) == broken


def test_helper_of_another_fence_is_put_first():
    source = parse(f"A helper:\n{fence(HELPER)}\nThe program:\n{fence(USING)}")
    assert source == f"{HELPER.strip()}\n\n\n{USING}"


def test_helper_after_the_program_and_helpers_of_helpers_are_found():
    inner = "LIMIT = 3.0\n"
    helper = HELPER.replace("np.tanh(x)", "np.clip(x, 0, LIMIT)")
    source = parse(fence(inner) + fence(USING) + fence(helper))
    assert source is not None
    assert source.index("LIMIT = 3.0") < source.index("def squash") < source.index("SCALE")


def test_potential_and_memory_of_other_fences_are_kept():
    potential = "def potential(state):\n    return state.torso_height\n"
    source = parse(fence(MAIN) + fence(potential))
    assert source is not None
    assert "def potential" in source
    assert "def compute_reward" in source


def test_unrelated_code_and_shell_lines_are_left_out():
    reply = fence("pip install numpy\n", "bash") + fence("x = 1\n") + fence(MAIN)
    assert parse(reply) == MAIN


def test_bare_code_without_a_fence():
    assert parse(MAIN) == MAIN
    assert (
        parse(f"Sure, here you go:\n\nimport numpy as np\n\n{MAIN}\nThis rewards speed.")
        == f"import numpy as np\n\n{MAIN}"
    )


def test_fence_that_never_closes_holds_a_whole_program():
    assert parse(f"Here:\n```python\n{MAIN}") == MAIN


@pytest.mark.parametrize("end", ["return", "next_state.for", "speed ="])
def test_reply_that_ends_inside_the_code_has_no_program(end):
    parsed = parse_code("```python\n" + MAIN[: MAIN.index(end)], "compute_reward")
    assert parsed.source is None
    assert parsed.reason == "the reply ends inside the code of compute_reward"


def test_whole_program_before_one_that_is_cut_off_is_taken():
    assert parse(fence(MAIN) + "Or:\n```python\n" + OTHER[: OTHER.index("return")]) == MAIN


def test_thoughts_of_a_reasoning_model_are_not_the_reply():
    assert parse(f"<think>\nmaybe\n{fence(OTHER)}</think>\n{fence(MAIN)}") == MAIN
    assert parse(f"<think>\nmaybe\n{fence(OTHER)}") is None


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "holds no code"),
        ("I would reward the speed.", "holds no code"),
        (fence("print('hello')\n"), "no function compute_reward"),
        (fence("def reward(state):\n    return 1\n"), "no function compute_reward"),
        ("You could call compute_reward(state, action, next_state).", "holds no code"),
    ],
)
def test_reason_is_given_where_there_is_no_program(reply, reason):
    parsed = parse_code(reply, "compute_reward")
    assert parsed.source is None
    assert reason in parsed.reason


def test_backticks_inside_a_longer_fence_do_not_close_it():
    body = MAIN + "# ```\n"
    assert parse(f"````python\n{body}````\n") == body


ANALYSIS = '{"failure_mode": "none", "evidence": ["a {b} c"], "next_change": "x", "keep": true}'


@pytest.mark.parametrize(
    "reply",
    [
        ANALYSIS,
        f"```json\n{ANALYSIS}\n```",
        f"Thoughts {{first}}.\n```json\n{ANALYSIS}\n```\nDone.",
        f"```\n{ANALYSIS}\n```",
        f"Answer: {ANALYSIS} Hope it helps.",
        f'```json\n{{"an": "example"}}\n```\n```json\n{ANALYSIS}\n```',
        f"<think>{{}}</think>{ANALYSIS}",
    ],
)
def test_json_object_is_found(reply):
    analysis = parse_record(reply, Analysis)
    assert analysis.evidence == ("a {b} c",)
    assert analysis.keep is True


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "holds no JSON object"),
        ("```json\n{\n```", "holds no JSON object"),
        ("[1, 2]", "holds no JSON object"),
        ('{"verdict": "maybe", "summary": "x"}', "verdict: Input should be 'accept' or 'revise'"),
        ('{"verdict": "accept"}', "summary: Field required"),
        (
            '{"verdict": "accept", "summary": "x", "score": 9}',
            "score: Extra inputs are not permitted",
        ),
        (
            '{"verdict": "accept", "summary": "x", "risks": [{"kind": "a"}]}',
            "risks.0.evidence: Field required",
        ),
    ],
)
def test_invalid_record_says_what_is_wrong(reply, says):
    with pytest.raises(DataError) as caught:
        parse_record(reply, Critique)
    assert says in caught.value.message


def test_hostile_nesting_is_survived():
    assert parse("```python\n" + "(" * 50_000 + f"\n```\n{fence(MAIN)}") == MAIN
    with pytest.raises(DataError):
        parse_record('{"a":' * 50_000, Critique)


TEXT = st.text(
    alphabet=string.ascii_letters + string.digits + " .,:;!?'\"(){}[]<>#*_-+=/\\|\n\t`~é漢😀",
    max_size=300,
)
# Prose that holds neither a fence nor code at its margin.
PROSE = st.lists(
    st.text(alphabet="abc xyz.,!é漢😀", max_size=30).map(lambda line: f"> {line}"), max_size=5
).map("\n".join)


@settings(max_examples=150)
@given(TEXT)
def test_any_text_is_parsed_without_an_exception(text):
    parsed = parse_code(text, "compute_reward")
    assert (parsed.source is None) == bool(parsed.reason)
    assert all("\n".join(part.body.split("\n")) == part.body for part in find_fences(text))


@settings(max_examples=100)
@given(
    before=PROSE,
    between=PROSE,
    after=PROSE,
    mark=st.sampled_from(["```", "~~~", "`````"]),
    tag=st.sampled_from(["", "python", "py"]),
)
def test_program_survives_any_prose_around_it(before, between, after, mark, tag):
    reply = f"{before}\n{fence(OTHER, tag, mark)}{between}\n{fence(MAIN, tag, mark)}{after}"
    assert parse(reply) == MAIN


@settings(max_examples=100)
@given(st.integers(min_value=0, max_value=len(fence(USING))), PROSE)
def test_truncation_gives_the_whole_program_or_none(cut, prose):
    reply = prose + "\n" + fence(USING)[:cut]
    source = parse(reply)
    assert source is None or parse_source(source).source is not None


@settings(max_examples=100)
@given(TEXT, TEXT)
def test_json_survives_any_prose(before, after):
    reply = f"{before}\n\n```json\n{ANALYSIS}\n```\n{after}"
    try:
        assert parse_record(reply, Analysis).next_change == "x"
    except DataError:
        # Only prose that opens a fence of its own, or braces, may swallow the object.
        assert any(mark in before for mark in ("```", "~~~", "{", "<think"))


LANGUAGES = ["bash", "json", "text", "toml", "yaml", "javascript", "c++", "diff", "console"]
# Any character of a comment or a docstring, also those that only some programs count as line ends.
WORDS = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\x00`~\\\"'"),
    max_size=60,
)


@settings(max_examples=100)
@given(
    others=st.lists(
        st.tuples(st.sampled_from(LANGUAGES), st.sampled_from([MAIN, OTHER, '{"a": 1}\n', "ls\n"])),
        max_size=4,
    ),
    place=st.integers(min_value=0, max_value=4),
)
def test_program_is_told_from_blocks_of_other_languages(others, place):
    # A block that is tagged as another language and defines the function may be one that a model
    # tagged wrongly; it never beats the one that says Python and comes after it.
    blocks = [fence(body, tag) for tag, body in others if "def" not in body]
    blocks.insert(min(place, len(blocks)), fence(USING))
    assert parse("\n".join(blocks)) == USING


@settings(max_examples=100)
@given(
    weights=st.lists(st.integers(min_value=0, max_value=99), min_size=1, max_size=6),
    prose=st.lists(PROSE, min_size=6, max_size=6),
)
def test_last_of_any_number_of_candidates_is_taken_whole(weights, prose):
    programs = [MAIN.replace("return speed,", f"return {w} * speed,") for w in weights]
    reply = "\n".join(f"{p}\n{fence(body)}" for p, body in zip(prose, programs, strict=False))
    assert parse(reply) == programs[-1]


@settings(max_examples=150)
@given(doc=WORDS, comment=WORDS, mark=st.sampled_from(["```", "~~~"]))
def test_any_character_in_a_comment_comes_through_to_the_letter(doc, comment, mark):
    source = MAIN.replace(":\n", f':\n    """{doc}."""\n    # {comment}.\n', 1)
    assert parse(f"Voilà 🙂\n\n{fence(source, mark=mark)}") == source


RECORDS = st.builds(
    Critique,
    verdict=st.sampled_from(["accept", "revise"]),
    summary=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80),
    risks=st.lists(
        st.builds(
            Risk,
            kind=st.text(alphabet="abc -", max_size=10),
            line=st.none() | st.integers(min_value=1, max_value=99),
            evidence=st.text(alphabet='ab{}[]":,\\\n é😀', max_size=40),
            remedy=st.text(alphabet="ab`~ \n", max_size=40),
        ),
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=150)
@given(record=RECORDS, indent=st.sampled_from([None, 2]), is_ascii=st.booleans(), prose=PROSE)
def test_record_comes_back_as_it_was_written(record, indent, is_ascii, prose):
    text = json.dumps(record.model_dump(mode="json"), indent=indent, ensure_ascii=is_ascii)
    assert parse_record(f"{prose}\n```json\n{text}\n```\n{prose}", Critique) == record
    assert parse_record(text, Critique) == record


@settings(max_examples=150)
@given(record=RECORDS, share=st.floats(min_value=0, max_value=0.99))
def test_record_that_was_cut_off_is_never_taken_for_another(record, share):
    text = json.dumps(record.model_dump(mode="json"))
    with pytest.raises(DataError):
        parse_record("```json\n" + text[: int(share * len(text))], Critique)
