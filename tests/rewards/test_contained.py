"""What no rule can see is decided when a program runs: by the types of its values, and by clocks."""

import json
import os
import subprocess
import sys

import pytest
from support.rewards import TESTS, make_card, read_cases

from reward_agent.rewards.checks import check_program
from reward_agent.types import RewardProgram

CASES = read_cases("contained.txt")


def run_all(programs, hash_seed="0"):
    """How each program ended, by name: in a process in which text has other hashes."""
    places = os.pathsep.join(map(str, (TESTS, TESTS.parent)))
    done = subprocess.run(
        [sys.executable, "-m", "support.contain"],
        input=json.dumps(programs),
        text=True,
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": places, "PYTHONHASHSEED": hash_seed},
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def ends():
    return run_all({case.name: case.source for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_program_that_the_rules_let_through_is_ended_by_what_is_said(case, ends):
    assert check_program(RewardProgram(case.source), make_card()).is_accepted
    # Which limit ends a loop is up to the machine: a clock, the kernel's clock, or a MemoryError.
    limits = {"contract/time", "SIGPROF", "contract/memory-size", "contract/exception"}
    assert ends[case.name] in (limits if case.rule == "limits" else {case.rule})


# --- text, sets and orders are the same in every process ------------------------------------------

STEADY = """
def number(text):
    letters = "0123456789abcdefghijklmnopqrstuvwxyz<>{{}}[]() ,.'_"
    return float(sum([(letters.find(char) + 1) * (i % 7 + 1) for i, char in enumerate(str(text))]))


def compute_reward(state, action, next_state):
    plain = lambda: 0
    box = [1]
    value = {expression}
    return np.zeros(len(action)), {{"x": number(value)}}
"""
EXPRESSIONS = [
    "str([np.sum])[-8:-3]",
    "str(np.sum)",
    "str(plain)",
    "str(compute_reward)",
    "str(i for i in box)",
    "str(iter(box))",
    "str(box.append)",
    "str(zip(box, box)) + str(map(abs, box)) + str(enumerate(box)) + str(reversed(box))",
    "str({'a': [(plain,)]})",
    "str({plain: 1})",
    "str(state)",
    "str(tolerance)",
    "str(np.add) + str(np.add.reduce) + str(np.linalg.norm) + str(list) + str(np.float64)",
    "f'{plain}'",
    "f'{plain!r}{plain!s}'",
    "f'{[plain]}'",
    "f'{plain=}'",
    "f'{box.append}'",
    "'%s' % plain",
    "'%s%r' % (plain, 1)",
    "'%(a)s' % {'a': plain}",
    "'%s %s %d' % (plain, 1, 2)",
    "'%s %s' % ([plain], (np.sum, iter(box)))",
    "'%s' % {plain: 1}",
    "'%(a)r' % dict(a=np.sum)",
    "'%s' % {'a': box.append}",
    "'{}'.format(plain)",
    "'{a}{b}'.format(a=plain, b=[plain])",
    "'{}{}'.format(*[plain, 1])",
    "'{}{}'.format(*(i for i in (plain, np.sum)))",
    "''.join(map(str, [plain, np.sum]))",
    "[*map(str, (plain,))][0]",
    "max([plain], key=str)",
    "list({'hip', 'knee', 'ankle', 'torso', 'toe'})",
    "list({name for name in ('hip', 'knee', 'ankle')})",
    "list(set(['hip', 'knee', 'ankle', 'toe']))",
    "[*frozenset(['hip', 'knee', 'ankle', 'toe'])]",
    "list(map(set, [['hip', 'knee', 'ankle']]))[0]",
    "[name for name in {'hip', 'knee'} | {'ankle', 'toe'}]",
    "list({'a': 1, 'b': 2, 'c': 3}.keys() - ['a'])",
    "list({'a': 1, 'b': 2}.keys() | {'c': 3}.keys())",
    "[key for key, _ in {'a': plain}.items()]",
    "list(zip({'a': plain}.items(), {'b': np.sum}.items()))",
    "max({'aa', 'bb', 'cc'}, key=len)",
    "sorted(frozenset(('aa', 'bb', 'cc')), key=len)",
    "list({np.sum, np.mean, plain, number})[0] is np.sum",
    "dict.fromkeys({'hip', 'knee', 'ankle'})",
    "str({'hip', 'knee', 'ankle'})",
]


def test_what_a_program_can_read_is_the_same_in_every_process():
    programs = {text: STEADY.format(expression=text) for text in EXPRESSIONS}
    refused = [
        (name, report.findings)
        for name, source in programs.items()
        if not (report := check_program(RewardProgram(source), make_card())).is_accepted
    ]
    assert not refused
    first, second, third = (run_all(programs, seed) for seed in ("1", "2", "3"))
    assert first == second == third
    assert not [name for name, value in first.items() if not isinstance(value, float | str)]


def test_a_tuple_that_holds_a_function_is_formatted_item_by_item():
    wanted = {
        "'%s %s %d' % (plain, 1, 2)": "<function> 1 2",
        "'%(a)s' % {'a': plain}": "<function>",
    }
    told = run_all({text: STEADY.format(expression=text) for text in wanted})
    again = {text: STEADY.format(expression=repr(shown)) for text, shown in wanted.items()}
    assert told == run_all(again)


def test_in_place_formats_show_no_address_either():
    lines = "text = '%s'; text %= np.sum; _ = text"
    source = STEADY.format(expression="''").replace("    box", f"    {lines}\n    box")
    source = source.replace("number(value)", "number(text)")
    ends = [run_all({"x": source}, seed)["x"] for seed in ("1", "2")]
    assert ends[0] == ends[1]
    assert ends[0] > 0


def test_views_of_dicts_make_no_sets_of_functions():
    source = STEADY.format(expression="list({'a': plain}.items() | {'b': np.sum}.items())")
    assert run_all({"x": source}) == {"x": "contract/exception"}


# --- a set is a set -------------------------------------------------------------------------------

SETS = {
    "len({1, 2, 2})": 2,
    "2 in {1, 2}": 1,
    "{1, 2} == {2, 1}": 1,
    "{1} <= {1, 2}": 1,
    "{1}.issubset([1, 2])": 1,
    "set([1, 2]).issuperset({2})": 1,
    "isinstance({1}, set)": 1,
    "isinstance(frozenset(), (frozenset, list))": 1,
    "len({1, 2} & {2, 3} | {4} ^ {5} - {6})": 3,
    "{'a': 1}.keys() == {'a'}": 1,
    "len({frozenset((1, 2)): 1, frozenset((2, 1)): 2})": 1,
    "sum({1, 2, 3})": 6,
    "isinstance([1], list) and isinstance({}, dict) and isinstance('', str)": 1,
    "len(list((1, 2))) + len(dict(a=1)) + len(str(12)) + len(dict.fromkeys('ab'))": 7,
}


def test_sets_and_types_do_what_they_do_in_python():
    body = "def compute_reward(state, action, next_state):\n    return np.zeros(len(action)), "
    programs = {text: f"{body}{{'x': ({text}) / 8}}\n" for text in SETS}
    assert run_all(programs) == {name: float(value) for name, value in SETS.items()}
