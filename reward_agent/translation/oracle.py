"""What Python itself makes of a person's file on recorded steps: the oracle of the translation.

The file's own statements run, with NumPy and a few modules of the standard library, and stand-ins
for Gymnasium that replay the recorded steps. Only in the sealed child: see ``Ground.runs_python``.
A file that needs more (torch, a simulator) cannot be run here, and is compared as it was read.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from reward_agent.rewards.language import split_names
from reward_agent.simulation.state import FloatArray, Transition
from reward_agent.translation.eager import EagerMachine, show_step
from reward_agent.translation.entry import Payer, list_entries
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.staging import Staged, give
from reward_agent.translation.values import Broken, Input, Items, Lanes, Table, Untranslatable

_MODULES = split_names(
    "__future__ abc collections copy dataclasses enum functools itertools math numbers numpy "
    "operator statistics typing typing_extensions"
)
_GYM = ("gym", "gymnasium", "stable_baselines3")
_SAYS = ("matplotlib", "logging", "wandb", "tqdm", "warnings", "pprint", "loguru")
_FORBIDDEN = split_names("open eval exec compile input breakpoint help exit quit")
_DUNDERS = split_names(
    "__init__ __call__ __name__ __post_init__ __class__ __dict__ __getitem__ __len__ __doc__"
)
_MOST_LINES = 3_000_000
_FILE = "<the file>"


class CannotRun(Exception):
    """The file needs what is not here."""


class Given:
    """What the card gives, as an object of Python's: ``info``, the inner environment, ``data``."""

    def __init__(self, of: Input, show: Callable[[Any], Any]) -> None:
        self._of, self._show, self._own = of, show, dict[Any, Any]()

    def __getattr__(self, name: str) -> Any:
        get = self._of.get_attribute
        if name.startswith("__") or get is None:
            raise AttributeError(name)
        try:
            return self._show(get(name))
        except Untranslatable as error:
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

    def __contains__(self, key: Any) -> bool:
        raise CannotRun(f"a key in {self._of.name}")


class _Missing:
    """What is not known of a step: it is no matter unless somebody computes with it."""

    def __bool__(self) -> bool:
        raise CannotRun("what is not recorded")

    __float__ = __bool__


class _Quiet:
    """A library that only says or draws something."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self


class Wrapper:
    """Gymnasium's base classes, around an environment that replays a step."""

    def __init__(self, env: Any = None, *given: Any, **named: Any) -> None:
        self.env = env

    def step(self, action: Any) -> Any:
        """Return what was recorded."""
        return self.env.step(action)

    def reset(self, **named: Any) -> Any:
        """Return what was recorded."""
        return self.env.reset(**named)


class _Gym(types.ModuleType):
    """Gymnasium as far as a reward needs it: base classes."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Wrapper if name.endswith(("Env", "Wrapper", "BaseCallback")) else _Quiet()


def _import(name: str, *given: Any) -> Any:
    root = name.split(".")[0]
    if root in _GYM:
        return _Gym(name)
    if root in _SAYS:
        return _Quiet()
    if root not in _MODULES:
        raise ImportError(name)
    module = importlib.import_module(name)
    is_from = len(given) > 2 and bool(given[2])
    return module if is_from else importlib.import_module(root)


def pay_in_python(
    tree: ast.Module, number: int, inputs: Inputs, steps: Sequence[Transition]
) -> FloatArray:
    """Return what the file's own Python pays for consecutive steps from the start of an episode.

    Raises:
        CannotRun: it needs what is not here.
    """
    _check(tree)
    machine = EagerMachine(show_step(steps[0]))
    machine.run_file(tree)
    entry = list_entries(machine, inputs)[number]
    staged = Staged(machine, entry, inputs)
    try:
        with _bounded(), np.errstate(all="ignore"):
            return np.array(list(_run(tree, entry, staged, machine, steps)))
    except Exception as error:  # a stranger's code raises what it likes
        raise CannotRun(f"{type(error).__name__}: {error}") from error


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


def _run(
    tree: ast.Module,
    entry: Payer,
    staged: Staged,
    machine: EagerMachine,
    steps: Sequence[Transition],
) -> Iterator[float]:
    def show(value: Any) -> Any:
        return _show(machine, value)

    names = _load(tree)
    called = _find_entry(entry, staged, names, show)
    for step in steps:
        machine.see(show_step(step))
        staged.environment.begin()
        given = give(machine, entry.function, staged.inputs, staged.instance)
        paid = called(**{name: show(value) for name, value in given.items()})
        yield _read(entry, paid)


def _load(tree: ast.Module) -> dict[str, Any]:
    """Run the file's statements, those that fail left out."""
    known = {key: value for key, value in vars(builtins).items() if key not in _FORBIDDEN}
    known |= {"__import__": _import, "print": lambda *given, **named: None}
    names: dict[str, Any] = {"__builtins__": known, "__name__": "reward"}
    for statement in tree.body:
        code = compile(ast.Module([statement], []), _FILE, "exec")
        try:
            exec(code, names)
        except CannotRun:
            raise
        except Exception:  # who reads what is missing says so
            continue
    return names


def _find_entry(
    entry: Payer, staged: Staged, names: dict[str, Any], show: Callable[[Any], Any]
) -> Callable[..., Any]:
    """Return the entry as Python has it, of an object as at the start of an episode."""
    name = entry.function.name
    if entry.type is None:
        found = names.get(name)
        if not callable(found) or (entry.function.node.lineno == 1 and name not in names):
            raise CannotRun(name)
        return found  # type: ignore[no-any-return]
    held = [key for key, value in staged.machine.scope.names.items() if value is entry.instance]
    if entry.weighs or entry.type.name not in names:
        raise CannotRun(name)
    made = names[held[0]] if entry.instance is not None else _make(entry, staged, names, show)
    return getattr(made, name)  # type: ignore[no-any-return]


def _make(entry: Payer, staged: Staged, names: dict[str, Any], show: Callable[[Any], Any]) -> Any:
    assert entry.type is not None
    around = Given(Input("env", staged.environment.get_attribute), show)
    kind = names[entry.type.name]
    if not hasattr(kind, "__getattr__"):
        kind = type(kind.__name__, (kind,), {"__getattr__": lambda self, key: getattr(around, key)})
    start = entry.type.find("__init__")
    made = kind(**_show_given(staged, start, show)) if start is not None else kind()
    if isinstance(made, Wrapper):
        made.env = around
    reset = entry.type.find("reset")
    if reset is not None:
        made.reset(**_show_given(staged, reset, show))
    return made


def _show_given(staged: Staged, function: Any, show: Callable[[Any], Any]) -> dict[str, Any]:
    given = give(staged.machine, function, staged.inputs, staged.instance, is_strict=False)
    return {name: show(value) for name, value in given.items()}


def _show(machine: EagerMachine, value: Any) -> Any:
    """Return a value of the card as Python's own."""
    if isinstance(value, Lanes):
        if value.is_constant:
            return value.value
        number = np.array(machine.evaluate_node(value.node))
        number = number[0] if value.is_row and number.ndim else number
        return number if np.ndim(number) else number[()]
    if isinstance(value, Input):
        return Given(value, lambda inner: _show(machine, inner))
    if isinstance(value, Items):
        return [_show(machine, item) for item in value]
    if isinstance(value, tuple):
        return tuple(_show(machine, item) for item in value)
    if isinstance(value, Table):
        return {key: _show(machine, item) for key, item in value.items()}
    if isinstance(value, Broken):
        return _Missing()
    if value is None or isinstance(value, int | float | str | Given | np.ndarray | np.generic):
        return value
    raise CannotRun(type(value).__name__)


def _read(entry: Payer, paid: Any) -> float:
    """Return the reward of what the entry returned."""
    if isinstance(paid, tuple):
        paid = paid[1 if entry.function.name == "step" and len(paid) >= 4 else 0]
    if isinstance(paid, dict):
        total = [key for key in paid if str(key).lower() in ("total", "reward", "total_reward")]
        if entry.type is not None:
            raise CannotRun("terms whose weights are looked up")
        paid = paid[total[0]] if total else sum(paid.values())
    number = np.ravel(np.asarray(paid, dtype=float))
    if number.size != 1:
        raise CannotRun(f"{number.size} numbers a step")
    return float(number[0])
