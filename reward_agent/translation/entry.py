"""What of a person's file is the reward: a function, a method, a table or a class of terms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from reward_agent.rewards.language import split_names
from reward_agent.text import parse_expression
from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Tracer
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    Function,
    Instance,
    Items,
    Locals,
    Partial,
    Table,
    Untranslatable,
)

# The usual names, the surest first.
_FUNCTIONS = (
    "compute_reward", "compute_dense_reward", "get_reward", "reward_fn", "reward_function",
    "reward", "compute", "rewards", "calculate_reward", "calc_reward", "my_reward", "custom_reward",
    "total_reward", "reward_and_done", "_get_reward", "_get_rew", "_reward",
)  # fmt: skip
_METHODS = (
    "_get_reward", "get_reward", "_get_rew", "compute_dense_reward", "compute_reward",
    "calculate_reward", "_compute_reward", "_reward", "_calculate_reward", "reward", "total_reward",
    "compute", "step", "__call__", "_get_rewards",
)  # fmt: skip
_HINTS = ("rew", "pay", "fitness", "objective", "return_of", "shaping")
# What a file has beside its reward.
_OTHER = split_names(
    "step reset act policy predict train main phi potential get_obs observe render"
)
_TERM = "_reward_"


@dataclass(frozen=True)
class Payer:
    """A function, or a method of a class, that pays one step.

    Args:
        function: what is called.
        type: its class.
        instance: the object that the file has made of it.
        weighs: whether it adds up methods ``_reward_NAME`` by weights, which are looked up.
        notes: what was assumed.
    """

    function: Function
    type: Class | None = None
    instance: Instance | None = None
    weighs: bool = False
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name, with its class's."""
        return f"{self.type.name}.{self.function.name}" if self.type else self.function.name


def list_entries(machine: Tracer, inputs: Inputs) -> list[Payer]:
    """Return what may be the reward of a file, the likeliest first.

    Raises:
        Untranslatable: there is none, or what has its name could not be read.
    """
    names = machine.scope.names
    functions = {key: f for key, value in names.items() if (f := _find_function(key, value, names))}
    named = [functions[name] for name in _FUNCTIONS if name in functions]
    hinted = [f for name, f in functions.items() if _is_hinted(name) and _returns(f)]
    known = [f for name, f in functions.items() if _is_step(f, inputs) and name not in _OTHER]
    classes = _list_leaves(machine)
    found = [Payer(f) for f in _sort_by_calls(named)]
    found += _list_tables(machine, inputs)
    found += [
        Payer(method, value.type, value)
        for value in names.values()
        if isinstance(value, Instance)
        for method in _find_methods(value.type)
    ]
    found += [_make_sum(made) for made in classes if _list_terms(made)]
    found += [entry for made in classes for entry in _list_methods(made)]
    found += [Payer(f) for f in _sort_by_calls([*hinted, *known])]
    unique = {(id(entry.function), id(entry.type)): entry for entry in reversed(found)}
    kept = [entry for entry in found if unique.pop((id(entry.function), id(entry.type)), None)]
    if not kept:
        only = [f for f in _sort_by_calls([*functions.values()]) if f.name not in _OTHER]
        called = {n.id for f in only for n in ast.walk(f.node) if isinstance(n, ast.Name)}
        only = [f for f in only if f.name not in called and _returns(f)]
        if len(only) == 1:
            note = f"{only[0].name} is taken for the reward: the only function that returns one"
            return [Payer(only[0], notes=(note,))]
        raise _explain_none(names)
    # Another than the likeliest is another reward, unless it is of the same class.
    return [e for e in kept if e is kept[0] or (e.type is not None and e.type is kept[0].type)]


def _find_function(name: str, value: Any, names: Cells) -> Function | None:
    """Return a function of the file; one with some of its arguments given takes the others."""
    if isinstance(value, Function) or not isinstance(value, Partial):
        return value if isinstance(value, Function) else None
    if not isinstance(value.function, Function):
        return None
    free = list_parameters(value.function)[len(value.arguments) :]
    free = [key for key in free if key not in value.keywords]
    given = ", ".join(f"{key}={key}" for key in free)
    made = _parse(f"def {name}({', '.join(free)}):\n    return {name}({given})", names)
    return replace(made, defaults=value.function.defaults)


def _is_hinted(name: str) -> bool:
    return any(hint in name.lower() for hint in _HINTS)


def _returns(function: Function) -> bool:
    return any(isinstance(node, ast.Return) and node.value for node in ast.walk(function.node))


def _explain_none(names: Cells) -> Untranslatable:
    broken = [value for value in names.values() if isinstance(value, Broken)]
    likely = [names[n] for n in _FUNCTIONS if isinstance(names.get(n), Broken)] or broken[-1:]
    if likely:
        error: Untranslatable = likely[0].error
        return error
    return Untranslatable(
        "there is no reward in the file",
        "write a function reward(obs, action, next_obs, info), or "
        "compute_reward(state, action, next_state)",
        1,
    )


def _is_step(function: Function, inputs: Inputs) -> bool:
    """Whether a function is given what a step has, all that it must be given."""
    names = list_parameters(function)
    needed = [name for name in names if name not in function.defaults]
    given = [inputs.find_parameter(name, frozenset(names)) for name in needed]
    return len(needed) > 1 and all(value is not None for value in given)


def list_parameters(function: Function) -> list[str]:
    """Return the names of a function's parameters."""
    if function.like is not None:
        return list_parameters(function.like)
    spec = function.node.args
    return [item.arg for item in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]]


def _sort_by_calls(functions: list[Function]) -> list[Function]:
    """Return functions, those that another of them calls behind it."""
    called = {
        node.id
        for function in functions
        for node in ast.walk(function.node)
        if isinstance(node, ast.Name) and node.id != function.name
    }
    return sorted(functions, key=lambda function: function.name in called)


def _list_leaves(machine: Tracer) -> list[Class]:
    """Return the classes of the file of which no other is made."""
    classes = [value for value in machine.scope.names.values() if isinstance(value, Class)]
    bases = {id(base) for made in classes for base in made.bases}
    leaves = [made for made in classes if id(made) not in bases and not made.is_enum]
    # One that another is made with is a part of it.
    return sorted(leaves, key=lambda made: any(_uses(other, made.name) for other in leaves))


def _uses(made: Class, name: str) -> bool:
    """Whether a class's body, or a method of it, names another class of the file."""
    held = [value for _, value in made.list_names()]
    methods = [value.node for value in held if isinstance(value, Function)]
    listed = [
        item for value in held for item in (value if isinstance(value, tuple | Items) else [value])
    ]
    return made.name != name and (
        any(isinstance(item, Instance) and item.type.name == name for item in listed)
        or any(name in nodes.list_names(node) for node in methods)
    )


def _find_methods(made: Class) -> list[Function]:
    usual = [f for name in (*_METHODS, *_FUNCTIONS) if isinstance(f := made.find(name), Function)]
    others = [f for _, f in made.list_names() if isinstance(f, Function) and _returns(f)]
    hinted = [f for f in others if _is_hinted(f.name) and not f.name.startswith(_TERM)]
    return list({id(f): f for f in (*usual, *hinted)}.values())


def _list_methods(made: Class) -> list[Payer]:
    """Return the methods that may pay; an environment's ``step`` before what it calls in parts."""
    methods = _find_methods(made)
    step = made.find("step")
    if isinstance(step, Function) and _pays_in_step(step):
        methods = [step, *(f for f in methods if f is not step and _is_paid(step, f.name))]
    return [Payer(method, made) for method in methods]


def _pays_in_step(step: Function) -> bool:
    """Whether ``step`` says what the reward is, rather than leaving it to somebody else."""
    returned = [node.value for node in ast.walk(step.node) if isinstance(node, ast.Return)]
    return any(_is_step_result(value) for value in returned)


def _is_step_result(value: ast.expr | None) -> bool:
    is_long = isinstance(value, ast.Tuple) and len(value.elts) >= 4
    has_rest = isinstance(value, ast.Tuple) and isinstance(value.elts[-1], ast.Starred)
    return is_long or (has_rest and len(value.elts) > 2)  # type: ignore[union-attr]


def _is_paid(step: Function, method: str) -> bool:
    """Whether ``step`` pays what a method returns, as it is."""
    returned = [node.value for node in ast.walk(step.node) if isinstance(node, ast.Return)]
    paid = [value.elts[1] for value in returned if _is_step_result(value)]  # type: ignore[union-attr]
    names = {ast.unparse(value) for value in paid}
    writers = [
        node
        for node in ast.walk(step.node)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        and names & nodes.list_bound(node)
    ]
    values = [writer.value for writer in writers] if writers else paid
    return len(values) == 1 and _calls(values[0], method)


def _calls(value: ast.expr | None, method: str) -> bool:
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == method
    )


# --- terms as methods, and tables of terms --------------------------------------------------------


def _list_terms(made: Class) -> list[str]:
    return [
        name.removeprefix(_TERM)
        for name, value in made.list_names()
        if name.startswith(_TERM) and isinstance(value, Function)
    ]


def _make_sum(made: Class) -> Payer:
    function = _parse("def total(self):\n    return 0.0", made.names, made)
    notes = [f"the terms of {made.name} are added up with their weights"]
    others = [made.find(name) for name in ("compute_reward", "_prepare_reward_function")]
    text = " ".join(ast.unparse(f.node) for f in others if isinstance(f, Function))
    if "self.dt" in text:
        notes.append("times the control step, as it says")
    if "clip" in text or "clamp" in text:
        notes.append("what it cuts off of the sum is left out")
    return Payer(function, made, weighs=True, notes=(", ".join(notes),))


def weigh_terms(machine: Tracer, entry: Payer, instance: Instance) -> Function:
    """Return a method that adds up ``_reward_NAME()`` times the weight of that name.

    Raises:
        Untranslatable: no weight is found.
    """
    made = entry.type
    assert made is not None
    terms = _list_terms(made)
    weights = _find_weights(machine, instance, terms)
    if not weights:
        raise machine.refuse(
            f"{made.name} has the terms {', '.join(terms)}, and no weight of one of them",
            f"give them weights in a class `scales`: class scales: {terms[0]} = 1.0",
        )
    factor = " * self.dt" if any("control step" in note for note in entry.notes) else ""
    parts = [f"{path} * self.{_TERM}{name}(){factor}" for name, path in weights.items()]
    return _parse(f"def total(self):\n    return {' + '.join(parts)}", machine.scope.names, made)


def weigh_table(machine: Tracer, instance: Instance, terms: Table) -> Table:
    """Return terms times the weights of their names, and the control step, as ``step`` says."""
    weights = _find_weights(machine, instance, [str(name) for name in terms])
    step = instance.type.find("step")
    text = ast.unparse(step.node) if isinstance(step, Function) else ""
    is_timed = re.search(r"\.values\(\)\) \* self\.(dt|ctrl_dt|control_dt)\b", text)
    paths = {name: [weights[name]] if name in weights else [] for name in terms}
    if not weights:
        machine.note("the terms are added up as they are: the file says no weights of their names")
    held = Cells({"__terms__": terms, "self": instance})
    scope = Locals(held, machine.scope)
    parts = []
    for name in terms:
        factors = [f"__terms__[{name!r}]", *paths[name], *(["self.dt"] if is_timed else [])]
        parts.append(f"{name!r}: {' * '.join(factors)}")
    weighed = machine.evaluate(parse_expression(f"{{{', '.join(parts)}}}"), scope)
    assert isinstance(weighed, Table)
    return weighed


def _parse(text: str, names: Cells, made: Class | None = None) -> Function:
    [node] = nodes.parse(text)
    assert isinstance(node, ast.FunctionDef)
    return Function(node, Locals(names), {}, made)


def _find_weights(machine: Tracer, instance: Instance, terms: list[str]) -> dict[str, str]:
    """Return the expression of each term's weight, from the class or table that names most."""
    best: dict[str, str] = {}
    for path, names in [
        *_walk(instance.names, "self", 0),
        *_walk(instance.type.names, "self", 0),
        *_walk(machine.scope.names, "", 0),
    ]:
        found = {
            name: f"{path}[{name!r}]" if isinstance(names, Table) else f"{path}.{name}"
            for name in terms
            if isinstance(arithmetic.unlift(names.get(name)), int | float)
        }
        if len(found) > len(best):
            best = found
    return best


def _walk(names: Cells, path: str, depth: int) -> Iterator[tuple[str, Cells]]:
    """Yield what holds names, with the expression that leads there."""
    for key, value in names.items():
        inner = value.names if isinstance(value, Class | Instance) else value
        if not isinstance(inner, Cells) or isinstance(inner, Items) or depth > 4:
            continue
        step = f"[{key!r}]" if isinstance(names, Table) else f".{key}"
        whole = f"{path}{step}" if path else str(key)
        yield whole, inner
        yield from _walk(inner, whole, depth + 1)


def _list_tables(machine: Tracer, inputs: Inputs) -> list[Payer]:
    """Return the tables whose entries have a function and a weight."""
    found = []
    for path, names in _walk(machine.scope.names, "", 0):
        terms = [name for name, value in names.items() if _is_term(value)]
        if terms and isinstance(names, Cells):
            found.append(_make_table(machine, path, names, terms))
    return found


def _is_term(value: Any) -> bool:
    held = value.names if isinstance(value, Instance) else value
    return isinstance(held, Cells) and "func" in held and "weight" in held


def _make_table(machine: Tracer, path: str, names: Cells, terms: list[str]) -> Payer:
    parts, lines = [], []
    for name in terms:
        held = names[name].names if isinstance(names[name], Instance) else names[name]
        lines.append(held.line)
        place = f"{path}[{name!r}]" if isinstance(names, Table) else f"{path}.{name}"
        given = [*_list_given(held["func"]), *([f"**{place}.params"] if held.get("params") else [])]
        parts.append(f"{name!r}: {place}.weight * {place}.func({', '.join(given)})")
    inner = f"    terms = {{{', '.join(parts)}}}\n    return sum(terms.values()), terms"
    function = _parse(
        f"def {path.split('.')[-1]}({', '.join(_STEP)}):\n{inner}", machine.scope.names
    )
    summed = next(node for node in ast.walk(function.node) if isinstance(node, ast.Dict))
    for part, line in zip(summed.values, lines, strict=True):
        nodes.put_at(part, line)
    return Payer(function, notes=(f"the terms of {path} are added up with their weights",))


_STEP = ("env", "obs", "action", "next_obs", "info")


def _list_given(function: Any) -> list[str]:
    """Return what a term's function is given of a step: the environment where its name is none."""
    if not isinstance(function, Function):
        return ["env"]
    names = [name for name in list_parameters(function) if name not in function.defaults]
    first = next(iter(names), "env")
    return [name for name in names if name in _STEP] or ([f"{first}=env"] if names else [])
