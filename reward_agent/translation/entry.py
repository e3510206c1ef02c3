"""Where a person's reward is in a file, and what it is given."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Machine
from reward_agent.translation.values import (
    Array,
    Bound,
    Cells,
    Class,
    Function,
    Input,
    Instance,
    Maybe,
)

# The usual names, the surest first.
_FUNCTIONS = (
    "compute_reward",
    "compute_dense_reward",
    "get_reward",
    "reward_fn",
    "reward_function",
    "reward",
    "compute",
    "rewards",
    "calculate_reward",
    "calc_reward",
    "my_reward",
    "reward_and_done",
)
_METHODS = (
    "_get_reward",
    "get_reward",
    "_get_rew",
    "compute_dense_reward",
    "compute_reward",
    "calculate_reward",
    "reward",
    "step",
    "__call__",
)


@dataclass(frozen=True)
class Entry:
    """A function or a class's method that pays one step."""

    function: Function
    type: Class | None = None

    @property
    def name(self) -> str:
        """Its name, with its class's."""
        return f"{self.type.name}.{self.function.name}" if self.type else self.function.name


def list_entries(machine: Machine) -> list[Entry]:
    """Return what may be the reward of a file, the likeliest first."""
    names = machine.scope.names
    functions = {key: value for key, value in names.items() if isinstance(value, Function)}
    found = [Entry(functions[name]) for name in _FUNCTIONS if name in functions]
    classes = [value for value in names.values() if isinstance(value, Class)]
    of_classes = [
        Entry(method, made)
        for made in classes
        for name in _METHODS
        if isinstance(method := made.names.get(name), Function)
    ]
    other = [
        Entry(function)
        for name, function in functions.items()
        if "rew" in name.lower() and name not in _FUNCTIONS
    ]
    # A class with terms as methods is added up here where nothing else is.
    summed = [
        Entry(_make_sum(machine, made), made)
        for made in classes
        if any(name.startswith("_reward_") for name in made.names)
    ]
    return found + summed + of_classes + other


def _make_sum(machine: Machine, made: Class) -> Function:
    """Return a method that adds up ``_reward_NAME()`` times the weight of that name."""
    terms = [name.removeprefix("_reward_") for name in made.names if name.startswith("_reward_")]
    weights = _find_weights(machine, made, terms)
    parts = [f"{path} * self._reward_{name}()" for name, path in weights.items()]
    if not parts:
        raise machine.refuse(
            f"{made.name} has terms {', '.join(terms)}, and no weight of one of them",
            "give them weights in a class `scales`, such as tracking = 1.0",
        )
    text = f"def total(self):\n    return {' + '.join(parts)}"
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return Function(node, machine.scope, {}, made)


def _find_weights(machine: Machine, made: Class, terms: list[str]) -> dict[str, str]:
    """Return the expression of each term's weight, from the class or table that names most."""
    best: dict[str, str] = {}
    for path, names in _walk(machine.scope.names, "", 0):
        found = {
            name: f"{path}.{name}"
            for name in terms
            if isinstance(arithmetic.unlift(names.get(name)), int | float)
        }
        if len(found) > len(best):
            best = found
    return best


def _walk(names: Cells, path: str, depth: int) -> Iterator[tuple[str, Cells]]:
    for key, value in names.items():
        inner = value.names if isinstance(value, Class | Instance) else None
        if inner is not None and depth < 4:
            whole = f"{path}.{key}" if path else str(key)
            yield whole, inner
            yield from _walk(inner, whole, depth + 1)


class Environment:
    """What ``self`` of an environment, a wrapper or a task has beside what the file says.

    Before ``do_simulation`` its data are those before the step.
    """

    def __init__(self, inputs: Inputs, steps_inside: bool) -> None:
        self.inputs, self._steps_inside = inputs, steps_inside
        self.begin()

    def begin(self) -> None:
        """Be as before the step, if the entry makes it."""
        self.state = "state" if self._steps_inside else "next_state"

    def get_attribute(self, name: str) -> Any:
        """Return ``self.NAME``."""
        if name in ("do_simulation", "_step_mujoco_simulation"):
            return Input(name, call=self._step)
        if name in ("step", "physics_step", "simulate"):
            return Input(name, call=self._step_inner)
        if name == "reset":
            info = self.inputs.get_parameter("info", frozenset())
            return Input(name, call=lambda *given, **named: (self._observe("state"), info))
        if name in ("env", "unwrapped", "envs"):
            return Input(name, self.get_attribute)
        if name == "is_healthy":
            return arithmetic.invert(self.inputs.get_terminated())
        if name in ("_get_obs", "get_obs", "_get_observation"):
            return Input(name, call=lambda *given: self.inputs.get_observation(self.state))
        if name in ("data", "sim", "_data"):
            return Input("data", lambda inner: self._get_data().get_attribute(inner))  # type: ignore[misc]
        if name in ("render", "close", "seed"):
            return Input(name, call=lambda *given, **named: None)
        if name in ("frame_skip", "n_substeps", "_n_frames", "n_frames"):
            return Input(name)  # how the step is made, which the card says
        return self.inputs.get_own(name, self.state)

    def _observe(self, state: str) -> Array:
        return self.inputs.get_observation(state)

    def _get_data(self) -> Input:
        return self.inputs.get_data(self.state)

    def _step(self, *given: Any) -> None:
        self.state = "next_state"

    def _step_inner(self, *given: Any) -> tuple[Any, ...]:
        self.state = "next_state"
        info = self.inputs.get_parameter("info", frozenset())
        own = Input("the environment's own reward")
        observation = self.inputs.get_observation("next_state")
        return observation, own, self.inputs.get_terminated(), False, info


@dataclass(frozen=True)
class Kept:
    """A name that a step writes and a later step may read: memory.

    Args:
        start: its value when an episode begins.
        next: its value after a step.
    """

    start: Any
    next: Any


class Staged:
    """An entry with the object it is a method of, ready to pay step after step.

    Args:
        machine: it has carried out the file.
        entry: what pays.
        inputs: the card's fields.
    """

    def __init__(self, machine: Machine, entry: Entry, inputs: Inputs) -> None:
        self.machine, self.entry, self._inputs = machine, entry, inputs
        self._environment = Environment(inputs, _steps_inside(entry))
        self._instance = self._make_instance() if entry.type else None
        self.cells = self._instance.names if self._instance is not None else machine.scope.names
        self.start = dict(self.cells)

    def pay(self) -> Any:
        """Return what the entry returns for a step.

        Raises:
            Untranslatable: something in it has no certain meaning.
        """
        self._environment.begin()
        function, instance = self.entry.function, self._instance
        given = _give(self.machine, function, self._inputs, instance)
        called = Bound(function, instance) if instance is not None else function
        return self.machine.call(called, (), given)

    def recall(self, known: Mapping[str, Kept]) -> None:
        """Let names hold what memory holds of them."""
        for name, kept in known.items():
            self.cells[name] = _recall(name, kept, self._inputs)

    def pay_and_remember(self) -> tuple[Any, dict[str, Kept]]:
        """Return what the entry returns, and what it wrote that was there before it."""
        found: list[Any] = []
        _, wrote = self.machine.branch(lambda: found.append(self.pay()))
        memory = {
            name: Kept(self.start[name], value)
            for (place, name), value in wrote.items()
            if place is self.cells and name in self.start
        }
        return found[0], memory

    def _make_instance(self) -> Instance:
        """Return an object of the entry's class, as at the start of an episode."""
        made, machine = self.entry.type, self.machine
        assert made is not None
        made.names["__inputs__"] = Input("self", self._environment.get_attribute)
        instance = Instance(made, Cells())
        start = made.find("__init__")
        if isinstance(start, Function):
            given = _give(machine, start, self._inputs, instance)
            machine.call_function(start, (instance,), given)
        for name, value in list(instance.names.items()):
            instance.names[name] = machine.name_constant(name, value)
        reset = made.find("reset")
        if isinstance(reset, Function):
            given = _give(machine, reset, self._inputs, instance)
            machine.call_function(reset, (instance,), given)
        return instance


def _recall(name: str, kept: Kept, inputs: Inputs) -> Any:
    """Return what memory holds of a name, in the shape in which a step leaves it."""
    after = kept.next.array if isinstance(kept.next, Maybe) else kept.next
    if after is None:
        return None
    array = arithmetic.lift(after)
    held = Array(nodes.index(nodes.name("memory"), nodes.literal(name)), array.shape, inputs.is_row)
    if kept.start is None:
        flag = Array(nodes.index(nodes.name("memory"), nodes.literal(f"{name}_is_none")))
        return Maybe(arithmetic.compare(ast.Gt(), flag, 0.5), held)
    if array.kind == "bool":
        return arithmetic.compare(ast.Gt(), held, 0.5)
    return held


def _steps_inside(entry: Entry) -> bool:
    """Whether the entry makes the simulation's step itself."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("do_simulation", "step", "_step_mujoco_simulation")
        for node in ast.walk(entry.function.node)
    )


def _give(
    machine: Machine, function: Function, inputs: Inputs, instance: Instance | None
) -> dict[str, Any]:
    """Return what a function's parameters are given.

    Raises:
        Untranslatable: a parameter without a default has a name that says nothing.
    """
    spec = function.node.args
    names = [item.arg for item in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]]
    given: dict[str, Any] = {}
    if instance is not None and names:
        names = names[1:]
    elif names and names[0] == "self":
        given["self"] = Input("self", inputs.get_own)
        names = names[1:]
    for name in names:
        if name in ("env", "environment"):
            given[name] = Input("env", inputs.get_own)
            continue
        found = inputs.get_parameter(name, frozenset(names))
        if found is not None:
            given[name] = found
        elif name not in function.defaults:
            machine.line = getattr(function.node, "lineno", None)
            raise machine.refuse(
                f"{function.name} is given {name}, which says nothing about the card",
                inputs.suggest(name),
            )
    return given
