"""Properties that hold for any text: no crash, a bound on steps, no surprise in what is accepted."""

import ast
import string
import warnings

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.counting import at_most
from support.rewards import make_card, make_state, read_cases

from reward_agent.rewards.checks import MAX_FINDINGS, check_metric, check_program
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.language import MAX_SOURCE_CHARS
from reward_agent.rewards.program import CompiledReward, load_functions
from reward_agent.rewards.source import parse_source
from reward_agent.types import RewardProgram

CARD = make_card()
LEGITIMATE = [case.source for case in read_cases("legitimate.txt")]
WORDS = [
    "state",
    "action",
    "next_state",
    "np",
    "math",
    "observation",
    "torso_height",
    "sum",
    "exp",
    "where",
    "linalg",
    "norm",
    "shape\n",
    "",
    "",
    "",
    "def",
    "return",
    "for",
    "in",
    "if",
    "else",
    "lambda",
    "while",
    "import",
    "as",
    "from",
    "not",
    "and",
    "or",
    "is",
    "None",
    "True",
    "compute_reward\n",
    "",
    "",
    "",
    "memory",
    "potential",
    "init_memory",
    "open",
    "eval",
    "getattr",
    "__class__",
    "f'{x}'",
    "'a'",
    "0",
    "1",
    "1.5",
    "1e9",
    "10**9",
    "range",
    "len\n",
    "",
    "",
    "",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    ".",
    "=",
    "==",
    "+",
    "-",
    "*",
    "**",
    "/",
    "@",
    "%",
    ":=",
    "->",
    ";",
    "~",
    "|",
    "&",
    "#",
    "\n",
    "\n",
    "",
    "",
    "",
    "",
    "\t",
    "\\",
    '"',
    "'",
]
MOST_CALLS = 2_000_000
BOUNDED = settings(max_examples=120, suppress_health_check=list(HealthCheck), derandomize=True)


def check_in_time(source):
    """Check, and hold every property of a report."""
    with at_most(MOST_CALLS):
        report = check_program(RewardProgram(source), CARD)
        check_metric(source, CARD)
    assert len(report.findings) <= MAX_FINDINGS
    assert report.model_dump_json()
    lines = source.split("\n")
    for finding in report.findings:
        assert finding.line is None or 1 <= finding.line <= len(lines) + 1
        assert finding.message.isprintable() or finding.rule.startswith("text/")
    return report


@BOUNDED
@given(st.text(max_size=400))
def test_arbitrary_text_is_answered(text):
    check_in_time(text)


@BOUNDED
@given(st.text(string.printable, max_size=200), st.integers(1, MAX_SOURCE_CHARS))
def test_repeated_text_is_answered(text, times):
    check_in_time((text * times)[: MAX_SOURCE_CHARS + 5])


@BOUNDED
@given(st.lists(st.sampled_from(WORDS), max_size=300).map(" ".join))
def test_python_like_text_is_answered(text):
    check_in_time(text)
    check_in_time("def compute_reward(state, action, next_state):\n    x = " + text)


@st.composite
def mutations(draw):
    """A legitimate program with a few pieces cut, doubled, swapped or replaced."""
    source = draw(st.sampled_from(LEGITIMATE))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, max(len(source) - 1, 0)))
        stop = min(len(source), start + draw(st.integers(0, 12)))
        piece = draw(st.one_of(st.sampled_from(WORDS), st.just(source[start:stop] * 2)))
        source = source[:start] + piece + source[stop:]
    return source


@st.composite
def tree_mutations(draw):
    """A legitimate program in which one expression took the place of another."""
    tree = parse_source(draw(st.sampled_from(LEGITIMATE))).source.tree
    others = [
        node
        for node in ast.walk(parse_source(draw(st.sampled_from(LEGITIMATE))).source.tree)
        if isinstance(node, ast.expr)
    ]
    places = [
        (node, name)
        for node in ast.walk(tree)
        for name, value in ast.iter_fields(node)
        if isinstance(value, ast.expr) and name not in ("annotation", "returns")
    ]
    for _ in range(draw(st.integers(1, 3))):
        node, name = draw(st.sampled_from(places))
        setattr(node, name, draw(st.sampled_from(others)))
    try:
        return ast.unparse(tree)
    except (ValueError, RecursionError):
        return ""


def run_accepted(source):
    """Run what is accepted: it may only fail by the contract's own errors."""
    if not check_in_time(source).is_accepted:
        return
    error = find_contract_error(source)
    if error is not None:
        assert len(error.message) <= 500
        assert error.rule.startswith(("contract/", "text/"))


def find_contract_error(source):
    n_sims = 4
    action = np.linspace(-1, 1, n_sims * 6).reshape(n_sims, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            reward = CompiledReward(load_functions(source), 0.99)
            reward.begin(make_state(n_sims))
            for seed in (1, 2):
                paid = reward.step(
                    make_state(n_sims), action, make_state(n_sims, seed), np.zeros(n_sims, bool)
                )
                assert np.isfinite(paid.reward).all()
        except ContractError as error:
            return error
    return None


@BOUNDED
@given(mutations())
def test_mutated_program_is_refused_or_keeps_the_contract(source):
    run_accepted(source)


@BOUNDED
@given(tree_mutations())
def test_mutated_tree_is_refused_or_keeps_the_contract(source):
    run_accepted(source)
