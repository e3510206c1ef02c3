"""No text, however it was made to be slow, takes the checker more than so many steps."""

import pytest
from support.counting import at_most
from support.rewards import make_card

from reward_agent.rewards.checks import check_metric, check_program
from reward_agent.rewards.rules import syntax
from reward_agent.types import RewardProgram

CARD = make_card()
# Of functions, each counted as it begins and as it ends; the slowest below makes 800,000. Where
# Python's own parser or compiler comes to no end, nothing is called: the whole session ends there.
MOST_CALLS = 2_000_000
pytestmark = pytest.mark.timeout(120, method="thread")
HEAD = "def compute_reward(state, action, next_state):\n"
TAIL = "    return np.zeros(len(action)), {}\n"
LETTERS = "abcdefgh"


def program(*lines):
    return HEAD + "".join(f"    {line}\n" for line in lines) + TAIL


def nest_finally(depth):
    """Python's compiler writes each `finally` twice, so that nested ones double each time."""
    text = HEAD
    for level in range(depth):
        space = "    " + " " * level
        text += f"{space}try:\n{space} pass\n{space}finally:\n"
    return text + "    " + " " * depth + "pass\n" + TAIL


def chain_helpers(n_calls):
    helpers = [
        f"def f{i}(x):\n    x *= 2\n" + f"    f{i + 1}(x)\n" * n_calls + "    return x\n"
        for i in range(12)
    ]
    return "".join(helpers) + "def f12(x):\n    return x\n" + program("f0(action)")


def chain_names(make_line, n_names=30):
    """Names that each stand for an expression of several others."""
    return [f"x{i} = {make_line(f'x{i + 1}')}" for i in range(n_names)]


SLOW = {
    "nested finally": nest_finally(19),
    "every name is every other": program(
        *(f"{one} = {other}" for other in LETTERS for one in LETTERS), "a *= 2"
    ),
    "helpers that call eight helpers": chain_helpers(8),
    "zips of zips": program(*chain_names(lambda x: f"zip({', '.join([x] * 8)})"), "list(x0)"),
    "loops over zips of zips": program(
        *chain_names(lambda x: f"zip({', '.join([x] * 8)})"), *["for q in x0: pass"] * 50
    ),
    "exponents of sums of sums": program(
        *chain_names(lambda x: f"{x} + {x} + {x}", 11),
        "x11 = next_state.torso_height",
        *["y = np.exp(x0)"] * 350,
    ),
    "a tower of powers": program(*["x = 9 ** 9 ** 9 ** 9"] * 300),
    "powers of powers by name": program("x0 = 9", *(f"x{i + 1} = x{i} ** 9" for i in range(300))),
    "shifts of shifts": program("x = 1" + " << 60" * 300),
    "tuples repeated": program("x = (" + "(1, 2, 3, 4) * 256, " * 80 + ")"),
    "a hundred thousand nodes": program("x = [" + "1, " * 100_000 + "]"),
    "hundred thousand nodes on lines": HEAD + "    x = 1; y = 2; z = 3\n" * 33_000,
    "a huge integer": program("x = " + "9" * 1_900),
    "huge hexadecimal integers": program(*["x = 0x" + "f" * 1_800] * 10),
    "an f-string of many fields": program("x = f'" + "{x}" * 600 + "'"),
    "f-strings of lambdas": program(*["x = f'" + "{(lambda: x)}" * 130 + "'"] * 10),
    "unclosed braces": program("x = " + "{" * 24),
    "unclosed double stars": program("x = " + "{**{" * 12),
    "lambdas in brackets": program("x = " + "(lambda:(" * 12),
    "unary operators": program("x = (" + "-\n" * 780 + "1)"),
    "nots on lines": program("x = (" + "not\n" * 780 + "1)"),
    "comprehensions in brackets": program("x = " + "[q for q in [" * 12 + "1" + "]]" * 12),
    "many unknown names": program(*(f"x = {LETTERS[i % 8]}{i}zzz" for i in range(700))),
    "many unknown fields": program(*(f"x = state.torso_hei{i}" for i in range(400))),
    "quotes": ("'\\" * 900 + "\n") * 11,
    "open long strings": ('"""' + "\\" * 1_000 + "\n") * 15,
    "letters of other alphabets": ("é" * 1_900 + "\n") * 10,
    "nul": "x\0y" * 100,
    "surrogates": program("x = '" + "\udcff" * 500 + "'"),
    "byte order mark": "\ufeff" + program("x = 1"),
    "nothing": "",
}


@pytest.mark.parametrize("name", SLOW)
def test_text_made_to_be_slow_is_answered_in_time(name):
    with at_most(MOST_CALLS):
        check_program(RewardProgram(SLOW[name]), CARD)
        check_metric(SLOW[name], CARD)


def test_what_doubles_in_pythons_compiler_is_refused_before_it(monkeypatch):
    monkeypatch.setattr(syntax, "compile_tree", lambda *given: pytest.fail("it was compiled"))
    report = check_program(RewardProgram(SLOW["nested finally"]), CARD)
    assert {finding.rule for finding in report.findings} == {"syntax/finally"}
