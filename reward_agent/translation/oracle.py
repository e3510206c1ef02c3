"""What Python itself makes of a person's file on recorded steps: the oracle of the translation.

The file's own statements run, with NumPy and a few modules of the standard library, stand-ins for
torch, JAX and base classes, and recorded steps in place of a simulator. Only in the sealed child:
see ``Ground.runs_python``. A file that needs more cannot be run here, and is not compared.
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reward_agent.rewards.language import split_names
from reward_agent.simulation.state import FloatArray, State, Transition
from reward_agent.text import parse_expression
from reward_agent.translation import environment, nodes, values, written
from reward_agent.translation.entry import Payer, list_entries, weigh_table
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Tracer
from reward_agent.translation.others import find_start
from reward_agent.translation.parity import RecordedSteps
from reward_agent.translation.staging import Staged, give
from reward_agent.translation.stand_ins import (
    CONVENTIONS,
    Base,
    CannotRun,
    Library,
    as_tensor,
    make_base,
    make_import,
)

_FORBIDDEN = split_names("open eval exec compile input breakpoint help exit quit")
_DUNDERS = split_names(
    "__init__ __call__ __name__ __post_init__ __class__ __dict__ __getitem__ __len__ __doc__"
)
_MOST_LINES = 3_000_000
_FILE = "<the file>"


class Given:
    """What the card gives, as an object of Python's: ``info``, the inner environment, ``data``."""

    def __init__(self, of: values.Input, show: Callable[[Any], Any]) -> None:
        self._of, self._show, self._own = of, show, dict[Any, Any]()

    def __getattr__(self, name: str) -> Any:
        get = self._of.get_attribute
        if name.startswith("__") or get is None:
            raise AttributeError(name)
        try:
            return self._show(get(name))
        except values.Untranslatable as error:
            raise AttributeError(name) from error

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str | int) and key in self._own:
            return self._own[key]
        if self._of.get_item is None:
            raise CannotRun(f"{self._of.name}[…]")
        return self._show(self._of.get_item(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own[key] = value

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: D102
        if self._of.call is None:
            raise CannotRun(f"{self._of.name}(…)")
        return self._show(self._of.call(*given, **named))

    def __iter__(self) -> Iterator[Any]:
        raise CannotRun(f"a loop over {self._of.name}")

    def __array__(self, *given: Any, **named: Any) -> Any:
        return np.asarray(self[:])

    def __contains__(self, key: Any) -> bool:
        try:
            self[key]
        except values.Untranslatable:
            return False
        return True


class _Missing:
    """What is not known of a step: it is no matter unless somebody computes with it."""

    def __bool__(self) -> bool:
        raise CannotRun("what is not recorded")

    __float__ = __bool__


@dataclass
class OriginalRun:
    """A file on its way through Python, for consecutive steps from the start of an episode.

    Args:
        tree: the file.
        number: which of its entries pays.
        inputs: the card's fields.
        may_run: whether it may run here.
        fault: where a number stopped being finite, if it is looked for.
        why_not: why Python cannot run it.
    """

    tree: ast.Module
    number: int
    inputs: Inputs
    may_run: bool
    fault: values.Fault | None = None
    why_not: str = ""

    @property
    def is_run(self) -> bool:
        """Whether Python runs it."""
        return self.may_run and not self.why_not

    def pay(self, stretch: RecordedSteps, has_memory: bool) -> FloatArray | None:
        """Return what it pays for a stretch, as ``pay_ours`` does; None where it cannot run."""
        later = () if has_memory else stretch.later
        try:
            parts = [self._pay(steps) for steps in (stretch.steps, later) if steps and self.is_run]
        except CannotRun as error:
            self.why_not = " ".join(str(error).split())[:150]
        return np.concatenate(parts) if self.is_run else None

    def _pay(self, steps: Sequence[Transition]) -> FloatArray:
        _check(self.tree)
        with _bounded(), np.errstate(all="ignore"):
            try:
                paid = np.array(list(self._run(self.tree, steps)))
                if not np.isfinite(paid).all() and self.fault is None:
                    list(self._run(_Watcher(self).visit(copy.deepcopy(self.tree)), steps))
            except Exception as error:  # a stranger's code raises what it likes
                raise CannotRun(f"{type(error).__name__}: {error}") from error
        return paid

    def watch(self, value: Any, line: int, text: str) -> Any:
        """Return a value; the first that is not finite is the fault."""
        is_number = isinstance(value, float | np.ndarray | np.floating)
        if self.fault is None and is_number and not np.isfinite(np.asarray(value, float)).all():
            self.fault = values.Fault(line, parse_expression(text))
        return value

    @cached_property
    def _stage(self) -> _Stage:
        machine = Tracer({"__name__": "reward"}, is_inline=True)
        machine.run_file(self.tree)
        entry = list_entries(machine, self.inputs)[self.number]
        return _Stage(Staged(machine, entry, self.inputs), self.tree)

    def _run(self, tree: ast.Module, steps: Sequence[Transition]) -> Iterator[float]:
        stage = self._stage
        staged, entry, machine = stage.staged, stage.staged.entry, stage.staged.machine
        stage.see(steps[0])
        names = stage.names = _load(tree, self.inputs, self.watch)
        if stage.is_of_file:
            called = _find_entry(entry, staged, names, stage.show)
        else:
            called = _add_entry(entry, staged, names, stage.show)
        start = find_start(machine) if entry.type is None else None
        if start is not None:
            names[start.name]()
        for step in steps:
            stage.see(step)
            paid = called(**{name: stage.show(value) for name, value in stage.given.items()})
            if isinstance(paid, dict) and staged.instance is not None:
                terms = values.Table({key: _take(np.asarray(value)) for key, value in paid.items()})
                paid = stage.show(weigh_table(machine, staged.instance, terms))
            yield _read(entry, paid)


class _Watcher(ast.NodeTransformer):
    """Lets every computed expression of a file be watched."""

    def __init__(self, run: OriginalRun) -> None:
        self._run = run

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return self._wrap(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self._wrap(node)

    def _wrap(self, node: ast.BinOp | ast.Call) -> ast.AST:
        text = ast.Constant(ast.unparse(node))
        self.generic_visit(node)
        given: list[ast.expr] = [node, ast.Constant(node.lineno), text]
        call = ast.Call(ast.Name("__watch__", ast.Load()), given, [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


class _Stage:
    """One step as Python's own values.

    Args:
        staged: the entry, whose machine carries out what is not of the file.
        tree: the file.
    """

    def __init__(self, staged: Staged, tree: ast.Module) -> None:
        self.staged, self._machine = staged, staged.machine
        self._is_torch = "torch" in self._machine.imported
        self._n_stepped = _count_stepped(tree)
        self.is_of_file = any(node is staged.function.node for node in ast.walk(tree))
        self._codes: dict[int, tuple[ast.expr, Any]] = {}
        self._values: dict[str, Any] = {"np": np, "len": len}
        self.names: Mapping[str, Any] = {}
        staged.environment.begin()
        self.given = give(self._machine, staged.entry.function, staged.inputs, staged.instance)

    def see(self, step: Transition) -> None:
        """Go on to another step."""
        ended = step.terminated.astype(np.float64)
        after = State({"terminated": ended, **step.next_state.fields})
        self._values |= {"state": step.state, "next_state": after, "action": step.action}
        self._machine.n_steps = 0
        self.staged.environment.begin()

    def show(self, value: Any) -> Any:
        """Return a value of the card as Python's own."""
        if isinstance(value, values.Lanes):
            return self._compute(value)
        if isinstance(value, values.Input):
            return Given(value, self.show)
        if isinstance(value, values.Partial):
            return lambda *given: self.show(self._machine.call(value, tuple(map(_take, given)), {}))
        if isinstance(value, tuple):
            is_old = isinstance(value, values.Stepped) and self._n_stepped == 4
            return tuple(map(self.show, (*value[:3], value[4]) if is_old else value))
        if isinstance(value, values.Table | values.Items):
            shown = {key: self.show(item) for key, item in value.items()}
            return shown if isinstance(value, values.Table) else [*shown.values()]
        if isinstance(value, values.Broken):
            return _Missing()
        if value is None or isinstance(value, int | float | str | Given | np.ndarray | np.generic):
            return value
        if isinstance(value, values.Instance):  # of a class of the file, without arguments
            return self.names[value.type.name]()
        raise CannotRun(type(value).__name__)

    def _compute(self, value: values.Lanes) -> Any:
        if value.is_constant:
            return np.array(value.value) if value.shape else value.value
        if id(value.node) not in self._codes:  # an expression that is kept is read again
            tree = ast.fix_missing_locations(ast.Expression(value.node))
            self._codes[id(value.node)] = value.node, compile(tree, "<step>", "eval")
        number = np.array(eval(self._codes[id(value.node)][1], {}, self._values))
        number = number[0] if value.is_row and number.ndim else number
        if self._is_torch:
            return as_tensor(number)
        return number if np.ndim(number) else number[()]


def _count_stepped(tree: ast.Module) -> int:
    """Return how many values a file unpacks of ``step(…)``: four in Gym's old words."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            is_call = isinstance(node.value, ast.Call)
            if is_call and ast.unparse(node.value).split("(")[0].endswith(".step"):
                return len(node.targets[0].elts)
    return 5


def _take(value: Any) -> Any:
    """Return a value of Python's as the machine computes with it."""
    if not isinstance(value, np.ndarray | np.generic):
        return value
    listed = np.asarray(value).tolist()
    return values.Lanes(nodes.literal(listed), np.shape(value), value=listed)


def _check(tree: ast.Module) -> None:
    """Refuse what reaches for the interpreter."""
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) if isinstance(node, ast.Attribute) else None
        name = node.id if isinstance(node, ast.Name) else name
        if name and name.startswith("__") and name not in _DUNDERS:
            raise CannotRun(name)


@contextmanager
def _bounded() -> Iterator[None]:
    """End what carries out too many lines."""
    left, before = [_MOST_LINES], sys.gettrace()

    def count(frame: Any, event: str, given: Any) -> Any:
        if frame.f_code.co_filename != _FILE:
            return None
        left[0] -= 1
        if left[0] < 0:
            raise CannotRun("too many lines")
        return count

    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


def _load(tree: ast.Module, inputs: Inputs, watch: Callable[..., Any]) -> dict[str, Any]:
    """Run the file's statements, those that fail left out."""
    module = types.ModuleType("reward")
    names: dict[str, Any] = vars(module)
    known = {key: value for key, value in vars(builtins).items() if key not in _FORBIDDEN}
    known |= {**CONVENTIONS, "print": lambda *given, **named: None, "__watch__": watch}
    of_library = _make_terms()
    own = environment.read_tree(inputs.card)
    if own is not None:
        made = _run_own(own, inputs)
        of_library[made.__name__] = known[made.__name__] = made
    known["__import__"] = make_import(of_library)
    for node in ast.walk(tree):  # base classes that nobody has defined
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            root, *inner_names = ast.unparse(base).split(".")
            known.setdefault(root, Library(root, of_library) if inner_names else make_base(root))
    names["__builtins__"] = known
    sys.modules["reward"] = module  # for dataclasses
    for statement in tree.body:
        code = compile(ast.Module([statement], []), _FILE, "exec")
        try:
            exec(code, names)
        except CannotRun:
            raise
        except Exception:  # who reads what is missing says so
            continue
    return names


def _make_terms() -> dict[str, Any]:
    names: dict[str, Any] = {"np": np}
    exec(written.TERMS, names)
    return {key: value for key, value in names.items() if callable(value)}


def _run_own(tree: ast.Module, inputs: Inputs) -> Any:
    """Return Gymnasium's own class of the card's environment, as Python has it."""
    names: dict[str, Any] = {
        "np": np,
        "MujocoEnv": make_base("MujocoEnv"),
        "utils": Library("utils", {}),
    }
    exec(_compile_own(tree), names)
    made = names[tree.body[-1].name]  # type: ignore[attr-defined]
    for name in ("_get_obs", *(["is_healthy"] if inputs.card.termination else [])):
        if name in vars(made):
            delattr(made, name)  # asked of the step instead
    return made


@functools.cache
def _compile_own(tree: ast.Module) -> Any:
    body = [item for item in tree.body if not isinstance(item, ast.Import | ast.ImportFrom)]
    whole = ast.fix_missing_locations(ast.Module(copy.deepcopy(body), []))
    return compile(whole, "<gymnasium>", "exec")


def _add_entry(
    entry: Payer, staged: Staged, names: dict[str, Any], show: Callable[[Any], Any]
) -> Callable[..., Any]:
    """Return an entry that the file does not have: a sum of its terms."""
    node = copy.deepcopy(staged.function.node)
    assert isinstance(node, ast.FunctionDef)
    node.name = "__entry__"
    exec(compile(ast.fix_missing_locations(ast.Module([node], [])), _FILE, "exec"), names)
    called: Callable[..., Any] = names["__entry__"]
    if entry.type is None:
        return called
    return functools.partial(called, _make(entry, staged, names, show))


def _find_entry(
    entry: Payer, staged: Staged, names: dict[str, Any], show: Callable[[Any], Any]
) -> Callable[..., Any]:
    """Return the entry as Python has it, of an object as at the start of an episode."""
    name = entry.function.name
    of_file = staged.machine.scope.names.items()
    wanted = entry.function if entry.type is None else entry.instance
    held = [key for key, value in of_file if wanted is not None and value is wanted]
    if entry.type is None:
        found = names.get(held[0] if held else name)
        if not callable(found):
            raise CannotRun(name)
        return found  # type: ignore[no-any-return]
    if entry.type.name not in names:
        raise CannotRun(name)
    made = names[held[0]] if entry.instance is not None else _make(entry, staged, names, show)
    return getattr(made, name)  # type: ignore[no-any-return]


def _make(entry: Payer, staged: Staged, names: dict[str, Any], show: Callable[[Any], Any]) -> Any:
    assert entry.type is not None
    around = Given(values.Input("env", staged.environment.get_attribute), show)
    kind = names[entry.type.name]
    if not hasattr(kind, "__getattr__"):
        kind = type(kind.__name__, (kind,), {"__getattr__": lambda self, key: getattr(around, key)})
    for key, value in entry.type.list_names():  # said to be of a class, and set by a base class
        if isinstance(value, values.Class) and value.name in names and not hasattr(kind, key):
            setattr(kind, key, names[value.name])
    start = entry.type.find("__init__")
    made = kind(**_show_given(staged, start, show)) if start is not None else kind()
    if isinstance(made, Base):
        made.env = around
    reset = entry.type.find("reset")
    if reset is not None:
        made.reset(**_show_given(staged, reset, show))
    return made


def _show_given(staged: Staged, function: Any, show: Callable[[Any], Any]) -> dict[str, Any]:
    given = give(staged.machine, function, staged.inputs, staged.instance, is_strict=False)
    return {name: show(value) for name, value in given.items()}


def _read(entry: Payer, paid: Any) -> float:
    """Return the reward of what the entry returned."""
    if isinstance(paid, tuple):
        paid = paid[1 if entry.function.name == "step" and len(paid) >= 4 else 0]
    if isinstance(paid, dict):
        total = [key for key in paid if str(key).lower() in ("total", "reward", "total_reward")]
        paid = paid[total[0]] if total else sum(paid.values())
    number = np.ravel(np.asarray(paid, dtype=float))
    if number.size != 1:
        raise CannotRun(f"{number.size} numbers a step")
    return float(number[0])
