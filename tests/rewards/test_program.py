"""The contract of a compiled program, checked at every call."""

import json
import time

import numpy as np
import pytest
from support.rewards import make_card, make_state, read_cases, read_corpus

from reward_agent.rewards import language
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.facade import MATH, NUMPY, make_globals
from reward_agent.rewards.library import LIBRARY
from reward_agent.rewards.program import CompiledReward, compile_program, load_functions
from reward_agent.simulation.state import State

N = 8
ACTION = np.random.default_rng(3).uniform(-1, 1, (N, 6))
ALIVE = np.zeros(N, dtype=bool)
HEAD = "def compute_reward(state, action, next_state):\n"


def compile_body(body, gamma=0.9):
    """A program that is not checked: these tests are about what the checker cannot see."""
    return CompiledReward(load_functions(HEAD + "    " + body.replace("\n", "\n    ")), gamma)


def call(body):
    return compile_body(body).step(make_state(N), ACTION, make_state(N, 1), ALIVE)


def failure(body):
    with pytest.raises(ContractError) as caught:
        call(body)
    return caught.value


# --- how long a call takes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "n = int(np.sum(np.abs(action)) * 1e9)\nfor _ in range(n):\n    pass\nreturn 1.0, {}",
        "x = [i for _, n in [(0, 10**9), (1, 3)] for i in range(n)]\nreturn 1.0, {}",
        "try:\n    x = [i for i in range(10**9)]\nexcept Exception:\n    x = 0\nreturn 1.0, {}",
    ],
)
def test_a_call_that_loops_for_long_is_ended_by_its_clock(body, monkeypatch):
    monkeypatch.setattr("reward_agent.rewards.bounds.MAX_CALL_S", 0.2)
    error = failure(body)
    assert error.rule == "contract/time"
    assert error.line is not None


def test_the_clock_of_a_call_stops_with_it(monkeypatch):
    monkeypatch.setattr("reward_agent.rewards.bounds.MAX_CALL_S", 0.1)
    call("return next_state.torso_height * 1.0, {}")
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass


def test_a_module_that_loops_for_long_is_ended_by_the_clock(monkeypatch):
    monkeypatch.setattr("reward_agent.rewards.bounds.MAX_CALL_S", 0.2)
    with pytest.raises(ContractError) as caught:
        load_functions("X = [i for i in range(10**9)]\n")
    assert caught.value.rule == "contract/time"


# --- what comes back -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "rule"),
    [
        ("next_state.torso_height", "contract/return"),
        ("None", "contract/return"),
        ("(next_state.torso_height,)", "contract/return"),
        ("next_state.torso_height, {}, {}", "contract/return"),
        ("[next_state.torso_height, {}]", "contract/return"),
        ("next_state.observation, {}", "contract/shape"),
        ("next_state.observation[:, :1], {}", "contract/shape"),
        ("next_state.torso_height[:-1], {}", "contract/shape"),
        ("1.0, {}", "contract/type"),
        ("list(next_state.torso_height), {}", "contract/type"),
        ("next_state.torso_height > 0, {}", "contract/dtype"),
        ("np.ones(8, dtype=int), {}", "contract/dtype"),
        ("np.full(8, np.nan), {}", "contract/not-finite"),
        ("np.full(8, -np.inf), {}", "contract/not-finite"),
        ("np.full(8, 1.1e6), {}", "contract/size"),
        ("np.full(8, 1e300), {}", "contract/size"),
        ("next_state.torso_height, []", "contract/terms"),
        ("next_state.torso_height, {str(i): 1.0 for i in range(33)}", "contract/terms"),
        ("next_state.torso_height, {1: 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'': 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'a/b': 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'a\\nb': 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'x' * 65: 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'a b': 1.0, 'a_b': 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'potential_shaping': 1.0}", "contract/term-name"),
        ("next_state.torso_height, {'a': next_state.observation}", "contract/shape"),
        ("next_state.torso_height, {'a': 'x'}", "contract/type"),
        ("next_state.torso_height, {'a': None}", "contract/type"),
        ("next_state.torso_height, {'a': np.full(8, 'x')}", "contract/dtype"),
        ("next_state.torso_height, {'a': np.nan}", "contract/not-finite"),
        ("next_state.torso_height, {'a': np.full(8, 1e13)}", "contract/size"),
        ("next_state.torso_height, {'a': 10 ** 400}", "contract/size"),
    ],
)
def test_broken_contract_is_named(returned, rule):
    error = failure(f"return {returned}")
    assert error.rule == rule
    assert error.message


def test_reward_and_terms_are_floats_and_copies():
    paid = call(
        "x = next_state.torso_height\n"
        "return x.astype(np.float32), {'own': x, 'flag': x > 1, 'count': (x > 1).astype(int), "
        "'number': 2, 'one': np.float32(0.5), 'zero-d': np.array(0.25)}"
    )
    assert paid.reward.dtype == np.float64
    assert {values.dtype for values in paid.terms.values()} == {np.dtype(np.float64)}
    assert {values.shape for values in paid.terms.values()} == {(N,)}
    paid.terms["own"][:] = 7.0
    assert not np.array_equal(make_state(N, 1).torso_height, paid.terms["own"])
    assert paid.terms["number"][0] == 2.0
    assert paid.terms["zero_d"][0] == 0.25


def test_term_names_are_made_fit_for_files_and_logs():
    paid = call("x = next_state.torso_height\nreturn x * 1, {'speed_µ': x, 'a b': x, 'a.c-d': x}")
    assert list(paid.terms) == ["speed__", "a_b", "a_c_d"]


def test_terms_must_stay_the_same():
    reward = compile_body(
        "x = next_state.torso_height\nreturn x * 1, ({'a': x} if float(x[0]) > 100 else {'b': x})"
    )
    reward.step(make_state(N), ACTION, make_state(N, 1), ALIVE)
    high = State({name: values + 1e3 for name, values in make_state(N).fields.items()})
    with pytest.raises(ContractError, match="the terms were b; now they are a") as caught:
        reward.step(make_state(N), ACTION, high, ALIVE)
    assert caught.value.rule == "contract/term-names-change"


def test_order_of_terms_may_change():
    reward = compile_body(
        "x = next_state.torso_height\n"
        "terms = {'a': x, 'b': 2 * x} if float(x[0]) > 100 else {'b': 2 * x, 'a': x}\n"
        "return x * 1, terms"
    )
    high = State({name: values + 1e3 for name, values in make_state(N).fields.items()})
    for state in (make_state(N, 1), high):
        paid = reward.step(make_state(N), ACTION, state, ALIVE)
        np.testing.assert_array_equal(paid.terms["b"], 2 * paid.terms["a"])
    assert set(reward.term_names) == {"a", "b"}


def test_term_names_are_empty_before_the_first_step():
    reward = compile_body("return next_state.torso_height * 1, {'a': 1.0}")
    assert reward.term_names == ()


# --- what goes in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "action[:] = 0.0",
        "action *= 2",
        "next_state.torso_height[0] = 1",
        "np.negative(state.torso_height, state.torso_height)",
        "np.add(action, 1, out=action)",
        "state.observation.T[0] = 8.0",
        "state.observation.sort(axis=0)",
        "state.observation.reshape(-1)[0] = 1.0",
    ],
)
def test_writing_into_an_input_fails(statement):
    error = failure(f"{statement}\nreturn action[:, 0], {{}}")
    assert error.rule == "contract/writes-input"
    assert "read-only" in error.message
    assert error.line == 2


def test_caller_keeps_its_action():
    action = ACTION.copy()
    compile_body("return action[:, 0] * 2, {}").step(make_state(N), action, make_state(N), ALIVE)
    assert action.flags.writeable
    np.testing.assert_array_equal(action, ACTION)


# --- failures of the program ---------------------------------------------------------------------


def test_exception_becomes_a_contract_error_with_its_line():
    error = failure("x = 1\nraise ValueError('odd\\x1b[2J\\n' + 'long ' * 400)")
    assert error.rule == "contract/exception"
    assert error.line == 3
    assert "ValueError in line 3: odd[2J" in error.message
    assert len(error.message) <= 500
    assert error.message.isprintable()


def test_a_message_holds_no_address():
    error = failure("x = {}[lambda: 0]\nreturn x, {}")
    assert "0x" not in error.message
    assert "KeyError in line 2: <function" in error.message


@pytest.mark.parametrize(
    "body",
    ["f = lambda g: g(g)\nreturn f(f)", "return [0] * 10 ** 12", "return 1 / 0", "return missing"],
)
def test_any_exception_is_contained(body):
    assert failure(body).rule == "contract/exception"


def test_failure_says_in_which_simulation():
    error = failure("x = next_state.torso_height * 1\nx[3] = np.nan\nreturn x, {}")
    assert error.simulation == 3


def test_what_is_not_a_number_is_told_without_warnings():
    assert failure("return np.log(-np.abs(action[:, 0])), {}").rule == "contract/not-finite"
    assert failure("return np.exp(np.full(8, 1e4)), {}").rule == "contract/not-finite"


def test_refused_program_is_not_compiled():
    with pytest.raises(ContractError) as caught:
        compile_program(HEAD + "    return open('x'), {}\n", make_card(), 0.9)
    assert caught.value.rule == "names/builtin"


def test_syntax_error_is_a_contract_error():
    with pytest.raises(ContractError) as caught:
        load_functions("def f(:\n")
    assert caught.value.rule == "text/syntax"


# --- nothing is remembered -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("LOG = []", "LOG.append(1)"),
        ("LOG = [[]]", "LOG[0].append(1)"),
        ("LOG = {'a': []}", "LOG['a'].append(1)"),
        ("LOG = {}", "LOG['n'] = 1"),
        ("LOG = {}", "LOG |= {'n': 1}"),
        ("LOG = ([],)", "LOG[0].append(1)"),
        ("LOG = np.zeros(3)", "LOG[0] += 1"),
        ("LOG = [np.zeros(3)]", "LOG[0][0] += 1"),
        ("def push(x, log=[]):\n    log.append(x)", "push(1)"),
        ("def push(x, *, log={}):\n    log[x] = 1", "push(1)"),
        ("push = lambda x, log=[]: log.append(x)", "push(1)"),
        ("TOOLS = {'push': lambda x, log=[]: log.append(x)}", "TOOLS['push'](1)"),
        ("LOG = slice([0], None)", "LOG.start.append(1)"),
        ("LOG = {(1, 2): [0]}", "[*LOG.values()][0].append(1)"),
        ("LOG = np.zeros(3)", "LOG.reshape(-1)[0] = 1.0"),
        ("LOG = [np.zeros(3)[1:]]", "LOG[0].fill(1.0)"),
        ("LOG = {'a': [0]}.items()", "LOG[0][1].append(1)"),
        ("LOG = {0: 0}", "log = LOG\n    log |= {1: 1}"),
        ("LOG = [0]", "log = LOG\n    log *= 2"),
    ],
)
def test_nothing_of_the_module_can_be_changed(module, statement):
    source = f"{module}\n{HEAD}    log = 0\n    {statement}\n    return action[:, 0], {{}}\n"
    reward = CompiledReward(load_functions(source), 0.9)
    with pytest.raises(ContractError):
        reward.step(make_state(N), ACTION, make_state(N), ALIVE)


@pytest.mark.parametrize(
    "module",
    [
        "IT = iter_ = enumerate([1, 2])",
        "IT = (i for i in range(3))",
        "IT = zip([1], [2])",
        "IT = map(abs, [1])",
        "IT = reversed([1])",
        "IT = {}.values()",
        "IT = [].append",
        "IT = {'push': [].append}",
        "IT = ValueError([])",
        "IT = {(i for i in range(3)): 1}",
        "IT = np.zeros(3).fill",
        "IT = (lambda box: lambda: box)([0])",
        "IT = lambda x=iter([1]): x",
        "IT = lambda *, x=[{}.update]: x",
        "IT = slice(iter([0]), None)",
        "def make():\n    box = [0]\n    return lambda: box.append(1)\nIT = make()",
        "IT = [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
    ],
)
def test_module_may_not_hold_what_remembers(module):
    with pytest.raises(ContractError, match=r"IT|iter_") as caught:
        load_functions(f"{module}\n{HEAD}    return action[:, 0], {{}}\n")
    assert caught.value.rule == "contract/module"


def test_module_constants_can_still_be_copied_and_extended():
    source = (
        "NAMES = ['a']\nTABLE = {'b': 1.0}\n" + HEAD + "    names = list(NAMES) + ['c']\n"
        "    table = dict(TABLE)\n    table['d'] = 2.0\n    names.append('e')\n"
        "    more = NAMES + ['f']\n    more.sort()\n    copied = TABLE.copy()\n    copied['x'] = 1.0\n"
        "    return action[:, 0], table\n"
    )
    reward = CompiledReward(load_functions(source), 0.9)
    for _ in range(2):
        paid = reward.step(make_state(N), ACTION, make_state(N), ALIVE)
        assert set(paid.terms) == {"b", "d"}


def test_memory_that_was_never_written_is_not_read():
    assert failure("return np.empty(8), {}").rule == "contract/not-finite"
    assert failure("return np.empty_like(action)[:, 0], {}").rule == "contract/not-finite"
    assert np.array_equal(call("return np.empty(8, dtype=int) * 1.0, {}").reward, np.zeros(N))


# --- what can be reached -------------------------------------------------------------------------


def test_facade_has_every_allowed_name_and_no_module():
    missing = [name for name in language.NUMPY_NAMES if not hasattr(NUMPY, name)]
    # Names of NumPy versions after the oldest one that is supported may be missing there.
    assert not [name for name in missing if hasattr(np, name)]
    assert all(hasattr(MATH, name) for name in language.MATH_NAMES)
    members = [getattr(NUMPY, name) for name in language.NUMPY_NAMES if hasattr(NUMPY, name)]
    assert not [member for member in members if isinstance(member, type(np))]


def test_facade_cannot_be_changed():
    with pytest.raises(AttributeError):
        NUMPY.sum = None
    with pytest.raises(AttributeError):
        del NUMPY.linalg.norm


def test_library_names_are_those_of_the_language():
    assert set(LIBRARY) == language.LIBRARY_NAMES
    assert set(LIBRARY) <= set(make_globals())


@pytest.mark.parametrize(
    "expression",
    ["np.load", "np.random", "np.f2py", "np.core", "np.linalg.eig", "math.factorial", "open", "eval",
     "getattr", "__import__('os')", "type", "object", "print", "np.dtype"],
)  # fmt: skip
def test_what_is_not_on_the_list_is_not_there(expression):
    assert failure(f"x = {expression}\nreturn action[:, 0], {{}}").rule == "contract/exception"


def test_array_type_can_be_asked_for_and_not_called():
    paid = call("return np.full(len(action), float(isinstance(action, np.ndarray))), {}")
    assert paid.reward[0] == 1.0
    paid = call("return np.full(len(action), float(isinstance(1, (np.integer, np.floating)))), {}")
    assert paid.reward[0] == 0.0
    error = failure("return np.ndarray((8,), buffer=b'A' * 64), {}")
    assert "cannot be called" in error.message


@pytest.mark.parametrize("module", ["os", "numpy.linalg", "numpy.f2py", "sys", "builtins"])
def test_imports_reach_the_facades_only(module):
    assert "cannot be imported" in failure(f"import {module}\nreturn action[:, 0], {{}}").message


def test_imports_of_the_list_give_the_facades():
    paid = call(
        "import numpy as np\nimport math\nfrom typing import Dict\nfrom math import pi\n"
        "return np.full(len(action), math.tau - pi), {}"
    )
    assert paid.reward[0] == pytest.approx(np.pi)


def test_reserved_attributes_cover_every_type_a_program_can_hold():
    """A field of any other name can be read from any object without reaching something else."""
    values = [np.zeros(2), np.float64(1), np.int64(1), "", [], {}, (), 1, 1.5, True, len, np.add,
              np.dtype(float), np.finfo(float), slice(1), range(2), ValueError(), (i for i in ()),
              {}.items(), enumerate([]), zip(), map(abs, []), lambda: 0]  # fmt: skip
    reachable = {name for value in values for name in dir(value) if not name.startswith("_")}
    assert reachable <= language.RESERVED_ATTRIBUTES | language.METHODS


# --- programs ------------------------------------------------------------------------------------


def programs():
    own = [(case.name, case.source) for case in read_cases("legitimate.txt")]
    return own + [(case["id"], case["source"]) for case in read_corpus("legitimate")]


@pytest.mark.parametrize(("name", "source"), programs(), ids=[name for name, _ in programs()])
def test_legitimate_program_runs_for_any_number_of_simulations(name, source):
    for n_sims in (1, 8, 64):
        reward = compile_program(source, make_card(), 0.99)
        action = np.random.default_rng(0).uniform(-1, 1, (n_sims, 6))
        reward.begin(make_state(n_sims))
        alive = np.zeros(n_sims, dtype=bool)
        for seed in (1, 2):
            paid = reward.step(make_state(n_sims), action, make_state(n_sims, seed), alive)
            assert paid.reward.shape == (n_sims,)
            assert np.isfinite(paid.reward).all()
            assert json.dumps(list(paid.terms)).isascii()


def test_windows_line_ends_are_accepted():
    source = HEAD + "    x = action[:, 0]\n    return x * 1.0, {'x': x}\n"
    compile_program(source.replace("\n", "\r\n"), make_card(), 0.9)
