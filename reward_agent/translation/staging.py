"""An entry on the card's inputs: the object that it is a method of, and what it remembers."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from reward_agent.rewards.language import split_names
from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.entry import Payer, list_parameters, weigh_table, weigh_terms
from reward_agent.translation.environment import Environment
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.journal import ABSENT, list_cells
from reward_agent.translation.machine import Tracer
from reward_agent.translation.others import find_other_writer, find_start
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    Function,
    Input,
    Instance,
    Items,
    Lanes,
    Maybe,
    Partial,
    Table,
    Untranslatable,
)

_MOST_CHARS = 100
_COUNT = ("n_kept",)
_MAKES_STEP = split_names(
    "do_simulation step pipeline_step _step_mujoco_simulation physics_step simulate"
)


@dataclass(frozen=True)
class Stored:
    """A place that a step writes and a later step may read: memory.

    Args:
        path: how the file gets there: an attribute, a list and a number.
        start: its value when an episode begins; ``ABSENT`` where it is not there yet.
        next: its value after a step.
    """

    path: tuple[Any, ...]
    start: Any
    next: Any

    @property
    def name(self) -> str:
        """What memory calls it."""
        return "_".join(str(part).strip("_") for part in self.path)


# The keys of the lists whose length changes from step to step, by the way to them.
Layout = dict[tuple[Any, ...], tuple[Any, ...]]


@dataclass(frozen=True)
class Stage:
    """What a step does where its lists have certain lengths.

    Args:
        paid: what was read of what the entry returns.
        memory: what it wrote that the next step may read.
        layout: the lengths after it.
    """

    paid: Any
    memory: dict[tuple[Any, ...], Stored]
    layout: Layout


class Staged:
    """An entry with the object it is a method of, ready to pay step after step.

    Args:
        machine: it has carried out the file.
        entry: what pays.
        inputs: the card's fields.
    """

    def __init__(self, machine: Tracer, entry: Payer, inputs: Inputs) -> None:
        self.machine, self.entry = machine, entry
        self.environment = Environment(machine, inputs, _steps_inside(entry))
        self.inputs = replace(inputs, environment=self.environment)
        self.instance = self._find_instance() if entry.type else None
        self.function = entry.function
        start = find_start(machine) if entry.type is None else None
        if start is not None:
            machine.call_function(start, (), {})
        if entry.weighs and self.instance is not None:
            self.function = weigh_terms(machine, entry, self.instance)
        if self.instance is not None:
            _ask_for_attributes(machine, self.instance)
        self._started = {*machine.ran}
        roots = [self.instance.names] if self.instance is not None else []
        self._cells: dict[int, tuple[Cells, tuple[Any, ...]]] = {}
        around = entry.function.scope  # of a closure
        while around is not machine.scope and around.outer is not None:
            roots.append(around.names)
            around = around.outer
        for root in (*roots, machine.scope.names):
            self._cells = {**list_cells(root), **self._cells}
        self._start = {key: dict(cells) for key, (cells, _) in self._cells.items()}

    def pay(self) -> Any:
        """Return what the entry returns for a step.

        Raises:
            Untranslatable: something in it has no certain meaning.
        """
        self.environment.begin()
        function, instance = self.function, self.instance
        before = instance.type.find("_pre_physics_step") if instance is not None else None
        if isinstance(before, Function) and instance is not None:  # of Isaac Lab's environments
            taken = self.inputs.make("action", self.inputs.card.n_actions)
            self.machine.call_function(before, (instance, taken), {})
        given = give(self.machine, function, self.inputs, instance)
        called = Partial(function, (instance,)) if instance is not None else function
        paid = self.machine.call(called, (), given)
        if isinstance(paid, Table) and instance is not None:
            return weigh_table(self.machine, instance, paid)
        return paid

    def run_stage(
        self, layout: Layout, known: Mapping[tuple[Any, ...], Stored], read: Callable[[Any], Any]
    ) -> Stage:
        """Carry out a step of simulations whose lists have the lengths of a layout, undone.

        Args:
            layout: the keys of what has other ones than at the start.
            known: what memory holds.
            read: what is kept of what the entry returns.

        Raises:
            Untranslatable: something in it has no certain meaning.
        """
        found: list[Any] = []
        self.machine.ran.clear()
        after: Layout = {}

        def run() -> None:
            self._recall(layout, known)
            found.append(read(self.pay()))
            self._forget_ends()
            self._settle()
            after.update(self._find_layout())

        _, wrote = self.machine.branch(run)
        self._check_writers()
        memory = {}
        for (place, key), value in wrote.items():
            if id(place) not in self._cells or value is ABSENT:
                continue
            path = (*self._cells[id(place)][1], key)
            start = self._start[id(place)].get(key, ABSENT)
            is_same = isinstance(value, Cells) and value is start
            if not is_same and (start is not ABSENT or isinstance(place, Items)):
                memory[path] = Stored(path, start, value)
        return Stage(found[0], memory, after)

    def _recall(self, layout: Layout, known: Mapping[tuple[Any, ...], Stored]) -> None:
        """Let places hold what memory holds of them."""
        places = {path: cells for cells, path in self._cells.values()}
        for path, keys in layout.items():
            cells = places[path]
            for key in [*cells.keys()]:
                if key not in keys:
                    self.machine.write(cells, key, ABSENT)
        for path, kept in known.items():
            cells = places[path[:-1]]
            is_there = path[-1] in layout.get(path[:-1], cells)
            if is_there:
                self.machine.write(cells, path[-1], recall(kept, self.inputs))

    def _forget_ends(self) -> None:
        """Let places hold what the next step finds: an episode that has ended has none."""
        for cells, _ in [*self._cells.values()]:
            for key, value in [*cells.items()]:
                if isinstance(value, Broken) and value.kept is not None:
                    self.machine.write(cells, key, value.kept)

    def _settle(self) -> None:
        """Let a list that was made anew, of another length, be the old one with its items."""
        for cells, _ in [*self._cells.values()]:
            for key, old in self._start[id(cells)].items():
                new = cells.get(key)
                known = self._start.get(id(old))
                if not (isinstance(old, Items) and isinstance(new, Items)) or new is old:
                    continue
                if known is None or known.keys() == new.keys():
                    continue
                for place in {*old.keys(), *new.keys()}:
                    self.machine.write(old, place, new.get(place, ABSENT))
                self.machine.write(cells, key, old)

    def _find_layout(self) -> Layout:
        """Return the keys of the lists that are longer or shorter than at the start."""
        return {
            path: tuple(cells.keys())
            for cells, path in self._cells.values()
            if isinstance(cells, Items) and cells.keys() != self._start[id(cells)].keys()
        }

    def _check_writers(self) -> None:
        """Refuse what is read and written by a function that a step does not call."""
        found = find_other_writer(self.machine, self.entry, self._started)
        if found is not None:
            name, writer = found
            raise Untranslatable(
                f"{name} is written by {writer}, which {self.entry.name} does not call",
                f"call {writer} in {self.entry.function.name}, with what a step gives it, or "
                f"write {name} there",
                getattr(self.entry.function.node, "lineno", None),
            )

    def describe_inputs(self) -> str:
        """Say which field each parameter of the entry is."""
        function = self.function
        given = give(self.machine, function, self.inputs, self.instance)
        read = [
            f"{name} is {ast.unparse(value.node)}"
            for name, value in given.items()
            if isinstance(value, Lanes) and name != ast.unparse(value.node)
        ]
        return ", ".join(
            text if len(text) < _MOST_CHARS else text[:_MOST_CHARS] + "…" for text in read
        )

    def _find_instance(self) -> Instance:
        """Return an object of the entry's class, as at the start of an episode."""
        made, machine = self.entry.type, self.machine
        assert made is not None
        self.environment.inherit(made)
        made.names["__inputs__"] = Input("self", self.environment.get_attribute)
        instance = self.entry.instance or Instance(made, Cells())
        start = made.find("__init__")
        if isinstance(start, Function) and self.entry.instance is None:
            given = give(machine, start, self.inputs, instance, is_strict=False)
            machine.call_function(start, (instance,), given)
        for name, value in list(instance.names.items()):
            instance.names[name] = machine.name_constant(name, value)
        reset = made.find("reset")
        if isinstance(reset, Function):
            given = give(machine, reset, self.inputs, instance, is_strict=False)
            machine.call_function(reset, (instance,), given)
        return instance


def _ask_for_attributes(machine: Tracer, instance: Instance) -> None:
    """Let attributes that a method asks for before it sets them be None at first."""
    methods = [value for _, value in instance.type.list_names() if isinstance(value, Function)]
    for node in [node for method in methods for node in ast.walk(method.node)]:
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in ("hasattr", "getattr"):
            continue
        owner, asked, *_ = [*node.args, None, None]
        if not isinstance(asked, ast.Constant) or owner is None or ast.unparse(owner) != "self":
            continue
        name = str(asked.value)
        if name not in instance.names and instance.type.find(name) is None:
            instance.names[name] = None
            machine.asked.add(name)


def recall(kept: Stored, inputs: Inputs) -> Any:
    """Return what memory holds of a place, in the shape in which a step leaves it."""
    after = kept.next.array if isinstance(kept.next, Maybe) else kept.next
    if after is None:
        return None
    array, memory = arithmetic.lift(after), nodes.name("memory")
    shape = array.shape
    if array.is_constant and not inputs.is_row:
        shape = (None, *shape)
    held = Lanes(nodes.index(memory, nodes.literal(kept.name)), shape, inputs.is_row)
    if kept.start is None:
        name = nodes.literal(f"{kept.name}_is_none")
        flag = Lanes(nodes.index(memory, name), () if inputs.is_row else (None,), inputs.is_row)
        return Maybe(arithmetic.compare(ast.Gt(), flag, 0.5), held)
    if array.kind == "bool":
        return arithmetic.compare(ast.Gt(), held, 0.5)
    return held


def _make_annotated(
    machine: Tracer, function: Function, name: str, error: Untranslatable
) -> Instance:
    """Return an object of the class of the file that a parameter is annotated with."""
    spec = function.node.args
    annotated = {item.arg: item.annotation for item in [*spec.args, *spec.kwonlyargs]}
    annotation = annotated.get(name)
    made = machine.scope.names.get(annotation.id) if isinstance(annotation, ast.Name) else None
    if not isinstance(made, Class):
        raise error
    found: Instance = machine.construct(made, (), {})
    return found


def _steps_inside(entry: Payer) -> bool:
    """Whether the entry, or what its ``step`` calls, makes the simulation's step itself."""
    functions = [entry.function]
    if entry.type is not None and entry.function.name == "step":
        functions += [f for _, f in entry.type.list_names() if isinstance(f, Function)]
    return any(
        isinstance(node, ast.Attribute) and node.attr in _MAKES_STEP
        for function in functions
        for node in ast.walk(function.node)
    )


def give(
    machine: Tracer,
    function: Function,
    inputs: Inputs,
    instance: Instance | None,
    is_strict: bool = True,
) -> dict[str, Any]:
    """Return what a function's parameters are given; one whose name says nothing says so if read.

    Args:
        machine: it carries out the function.
        function: of the file.
        inputs: the card's fields.
        instance: what it is a method of.
        is_strict: whether it is the reward itself, whose parameters have their usual places.
    """
    names = list_parameters(function)
    given: dict[str, Any] = {}
    if instance is not None and names:
        names = names[1:]
    missing = {
        name
        for name in names
        if name not in function.defaults and inputs.find_parameter(name, frozenset(names)) is None
    }
    placed = inputs.name_places(names, missing) if is_strict else {}
    others = frozenset([*names, *placed.values()])
    unknown = [name for name in names if name in missing and name not in placed]
    read = nodes.list_names(function.node)
    error = inputs.refuse_parameters(
        function, [name for name in unknown if name in read] or unknown
    )
    for name in names:
        found = inputs.find_parameter(placed.get(name, name), others)
        if name in placed:
            machine.note(f"{name} is read as {placed[name]}, by its place")
        is_own = name in function.defaults and (not is_strict or len(name) == 1)
        if found is not None and not is_own:
            given[name] = found
        elif name not in function.defaults:
            given[name] = machine.attempt(partial(_make_annotated, machine, function, name, error))
    return given


# --- steps of lists that grow: one for each length, of which each simulation is paid by its own ---


def join_stages(
    machine: Tracer,
    inputs: Inputs,
    stages: Sequence[Stage],
    after: Sequence[int],
    known: Mapping[tuple[Any, ...], Stored],
) -> tuple[Any, list[Stored]]:
    """Return what is paid, and memory, of simulations that are at any of the stages.

    Args:
        machine: it carried them out.
        inputs: the card's fields.
        stages: the first is that of an episode's first step.
        after: the stage that follows each.
        known: all that memory holds.
    """
    if len(stages) == 1:
        return stages[0].paid, list(stages[0].memory.values())
    shape = () if inputs.is_row else (None,)
    held = nodes.index(nodes.name("memory"), nodes.literal("_".join(_COUNT)))
    stage = Lanes(held, shape, inputs.is_row)
    memory = [Stored(_COUNT, 0, _choose(machine, stage, [*after]))]
    for path, kept in known.items():
        before = recall(kept, inputs)
        values = [item.memory[path].next if path in item.memory else before for item in stages]
        start = kept.start
        memory.append(Stored(path, start, _choose(machine, stage, values)))
    totals = [item.paid[0] for item in stages]
    named = [item.paid[1] for item in stages]
    names = [name for name in named[0] if all(name in terms for terms in named)]
    are_same = all(len(terms) == len(names) for terms in named)
    terms = {n: _choose(machine, stage, [t[n] for t in named]) for n in names if are_same}
    return (_choose(machine, stage, totals), terms), memory


def _choose(machine: Tracer, stage: Lanes, values: list[Any]) -> Any:
    """Return the value of each simulation's stage."""
    last = len(values) - 1
    if values == [min(place + 1, last) for place in range(len(values))]:
        return arithmetic.spread("np.minimum", arithmetic.binary(ast.Add(), stage, 1), last)
    texts = [_print(value) for value in values]
    common = max(texts, key=texts.count)
    found = values[texts.index(common)]
    for text in dict.fromkeys(texts):
        if text == common:
            continue
        here = [place for place, other in enumerate(texts) if other == text]
        tests = [arithmetic.compare(ast.Eq(), stage, place) for place in here]
        where = functools.reduce(arithmetic.either, tests)
        found = machine.name_value("kept", machine.choose(where, values[here[0]], found))
    return found


def _print(value: Any) -> str:
    """Return what two values have in common that are the same."""
    return ast.unparse(value.node) if isinstance(value, Lanes) else repr(value)
