"""Parsing holds its bounds for any text."""

import pytest
from support.counting import at_most

from reward_agent.rewards.language import (
    MAX_BRACKET_DEPTH,
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_SOURCE_CHARS,
)
from reward_agent.rewards.source import parse_source


def rules(text):
    return [item.rule for item in parse_source(text).findings]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "text/empty"),
        (" \n\t\n", "text/empty"),
        ("#" * 500 + "\n" + "x = 1\n" * (MAX_LINES + 1), "text/size"),
        ("x = 1\n" * (MAX_SOURCE_CHARS // 6 + 1), "text/size"),
        ("x" * (MAX_LINE_CHARS + 1), "text/size"),
        ("x = " + "(" * (MAX_BRACKET_DEPTH + 1), "text/size"),
        ("x = 1" + " + 1" * 200, "text/size"),
        ("x" + ".T" * 200, "text/size"),
        ("x = 1 \x00", "text/character"),
        ("x = 1\x0c", "text/character"),
        ("x = 1\rimport os", "text/character"),
        ("x = '\u202e'", "text/character"),
        ("x = '\ud800'", "text/character"),
        ("x = 'a\u2028b'", "text/character"),
        ("# -*- coding: latin-1 -*-\nx = 1", "text/character"),
        ("\n# vim: set fileencoding=utf-7 :\nx = 1", "text/character"),
        ("ｘ = 1", "text/character"),
        ("𝑜𝑝𝑒𝑛 = 1", "text/character"),
        ("x = (1", "text/syntax"),
        ("The reward is the speed.", "text/syntax"),
        ("if x:\n\ty = 1\n        z = 2", "text/syntax"),
        ("x = " + "9" * 5000, "text/size"),
        ("x = " + "9" * 1900 + "\\\n" * 2 + "9", "text/syntax"),
    ],
)
def test_text_is_refused_with_its_reason(text, rule):
    assert rules(text) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "x = '" + "[" * 200 + "'",
        "# " + "(" * 200 + "\nx = 1",
        '"""' + "{" * 200 + '"""',
        "σ = 1  # µ",
        "x = 'µ and ½ and ﬁ'",
        "# -*- coding: utf-8 -*-\nx = 1",
        "x = '\\d'",
        "x = 1\r\ny = 2\r\n",
        "x = '''a\\'''' + \"\"\"b\\\"\"\"\"",
    ],
)
def test_text_that_only_looks_odd_is_parsed(text):
    parsing = parse_source(text)
    assert parsing.findings == ()
    assert parsing.source is not None


def test_syntax_error_has_a_place_and_a_remedy():
    finding = parse_source("x = 1\ny = = 2\n").findings[0]
    assert (finding.line, finding.column) == (2, 5)
    assert finding.remedy


ATOMS = ["(", "[", "{", "[(", "-", "~", "not ", "lambda:", "a.", "a[", "a(", "{1:", "f'{", "f\"{f'{",
         "\\", "'''", '"""', "'", "'\\", '"""\\"', "#", "\n", ";", "x;", "1+", "1**", "a if b else ",
         "await ", "@a\n", "(x:=", "0x", "1_", "del a,", "[a for a in ", "try:\n", "with a:", "{**",
         "match a:\n case ", "a=b=", "lambda *", "x[::", "f'{x!r:>{y}}' ", "\u0301", "é", "\\\n",
         "if x:\n ", "a<", "'a' ", "a or "]  # fmt: skip


@pytest.mark.timeout(120, method="thread")  # what Python's parser hangs in ends only so
@pytest.mark.parametrize("atom", ATOMS)
@pytest.mark.parametrize("width", [30, MAX_LINE_CHARS - 10, MAX_SOURCE_CHARS])
def test_repetition_of_anything_is_parsed_or_refused_in_time(atom, width):
    line = (atom * width)[:width]
    text = "\n".join(line for _ in range(max(1, (MAX_SOURCE_CHARS - 20) // (width + 1))))[:19_990]
    with at_most(500_000):
        parse_source(text)
        parse_source("def f():\n    x = " + line)
