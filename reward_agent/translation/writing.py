"""A person's file -> a program in the reward language, over all simulations at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from reward_agent.translation import arithmetic, indexing, nodes, python
from reward_agent.translation.entry import Payer, list_entries
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.journal import ABSENT
from reward_agent.translation.machine import Tracer
from reward_agent.translation.staging import Layout, Stage, Staged, Stored, join_stages
from reward_agent.translation.sums import split_sum
from reward_agent.translation.values import Instance, Lanes, Maybe, Table, Untranslatable

MAX_TERMS = 32
# Lengths that lists come to have, one after the other.
_MOST_STAGES = 34
# A longer line gets no remark.
_MOST_CHARS = 150


@dataclass(frozen=True)
class Text:
    """A program, its terms (the person's name: the program's), and what was assumed for it."""

    source: str
    terms: Mapping[str, str]
    notes: tuple[str, ...] = ()


def prepare_file(tree: ast.Module, inputs: Inputs) -> tuple[Tracer, list[Payer]]:
    """Carry out a file's own statements, and return what may be its reward."""
    machine = Tracer({"__name__": "reward"})
    machine.run_file(tree)
    return machine, list_entries(machine, inputs)


def write_arrays(tree: ast.Module, number: int, inputs: Inputs) -> Text:
    """Return the program over all simulations at once.

    Args:
        tree: the file.
        number: which of its entries.
        inputs: the card's fields.

    Raises:
        Untranslatable: a line has no certain meaning over arrays.
    """
    known: dict[tuple[Any, ...], Stored] = {}
    while True:
        machine, entries = prepare_file(tree, inputs)
        try:
            staged = Staged(machine, entries[number], inputs)
            size = len(known)
            stages, after = _run_stages(staged, known)
            if len(known) == size:
                paid, memory = join_stages(machine, inputs, stages, after, known)
                text = _write(machine, entries[number], paid, memory)
                said = staged.describe_inputs()
                notes = (*entries[number].notes, *([said] if said else []), *machine.notes)
                return replace(text, source=_annotate(text.source, inputs), notes=notes)
        except Untranslatable as failure:
            failure.line = failure.line or machine.line
            raise


def _run_stages(
    staged: Staged, known: dict[tuple[Any, ...], Stored]
) -> tuple[list[Stage], list[int]]:
    """Return a step for each set of lengths that the lists come to have, and which comes next.

    Args:
        staged: the entry.
        known: what memory holds, which grows here.

    Raises:
        Untranslatable: a list grows without end.
    """
    layouts: list[Layout] = [{}]
    stages: list[Stage] = []
    after: list[int] = []
    while len(stages) < len(layouts):
        read = partial(read_result, staged.machine, staged.entry)
        stage = staged.run_stage(layouts[len(stages)], known, read)
        for path, kept in stage.memory.items():
            known.setdefault(path, kept)
        if stage.layout not in layouts:
            layouts.append(stage.layout)
        if len(layouts) > _MOST_STAGES:
            name = ".".join(map(str, next(iter(stage.layout))))
            raise staged.machine.refuse(
                f"{name} grows with every step",
                f"keep its last {_MOST_STAGES - 2} at most, deque(maxlen={_MOST_STAGES - 2}), or "
                "give it its length at the start: deque([0.0] * 50, maxlen=50)",
            )
        stages.append(stage)
        after.append(layouts.index(stage.layout))
    return stages, after


def _annotate(source: str, inputs: Inputs) -> str:
    """Say behind each line which fields the numbers are that it reads of the observation."""
    lines = source.split("\n")
    for place, line in enumerate(lines):
        numbers = dict.fromkeys(re.findall(r"\.(observation)\[:, (\d+)\]", line))
        known = [inputs.places.fields.get(f"{name}[{number}]") for name, number in numbers]
        named = [fields[0] for fields in known if fields]
        if named and len(line) < _MOST_CHARS:
            lines[place] = f"{line}  # {', '.join(named)}"
    return "\n".join(lines)


def _write(
    machine: Tracer, entry: Payer, paid: tuple[Any, Mapping[str, Any]], memory: Sequence[Stored]
) -> Text:
    """Return the text of what was carried out."""
    total, terms = paid
    reward = _finish(machine, "reward", total)
    parts = {name: _finish(machine, name, value) for name, value in terms.items()}
    kept = _write_memory(machine, memory)
    parts = parts or split_sum(reward, machine.lines, set(machine.constants), MAX_TERMS)
    shown: dict[str, ast.expr] = parts or {"reward": reward}
    results = [reward, _make_dict(shown)]
    read = _find_read(machine.lines, results, kept)
    kept = {name: pair for name, pair in kept.items() if name in read}
    if kept:
        results.append(_make_dict({name: after for name, (_, after) in kept.items()}))
    body = _shorten(_keep_live(machine.lines, results), results)
    body.append(ast.Return(ast.Tuple(results, ast.Load())))
    parameters = ["state", "action", "next_state"] + (["memory"] if kept else [])
    is_named = isinstance(entry.function.node, ast.FunctionDef)
    doc = ast.get_docstring(entry.function.node) if is_named else None  # type: ignore[arg-type]
    functions = [_make_function("compute_reward", parameters, body, doc)]
    if kept:
        start = _make_dict({name: before for name, (before, _) in kept.items()})
        functions.insert(0, _make_function("init_memory", ["state"], [ast.Return(start)], None))
    named = set().union(*(nodes.list_names(function) for function in functions))
    constants = _keep_constants(machine.constants, named)
    module = ast.Module([*constants, *functions], [])
    text = ast.unparse(ast.fix_missing_locations(module))
    return Text(f"import numpy as np\n\n{text}\n", {name: name for name in shown})


def read_result(machine: Tracer, entry: Payer, value: Any) -> tuple[Any, Mapping[str, Any]]:
    """Return the reward and its terms of what an entry returned.

    Raises:
        Untranslatable: there is no reward in it.
    """
    terms: Any = None
    if isinstance(value, Instance):  # a named tuple, or a record of the two
        value = tuple(value.names.values())
    if isinstance(value, tuple) and value:
        place = 1 if entry.function.name == "step" and len(value) >= 4 else 0
        rest = [item for index, item in enumerate(value) if index != place]
        value = machine.read(value[place])
        terms = next((item for item in rest if isinstance(item, Table)), None)
        if place:  # info of a step: what is logged there is no sum
            terms = None
    if isinstance(value, Table):  # terms alone
        total = [key for key in value if str(key).lower() in _TOTALS]
        terms = Table({key: item for key, item in value.items() if key not in total})
        value = value[total[0]] if total else python.add_up(machine, [*terms.values()])
    if value is None:
        raise Untranslatable(
            f"{entry.name} returns nothing", "return the reward", entry.function.node.lineno
        )
    if terms:
        if isinstance(value, Lanes) and value.terms and set(value.terms) == set(terms):
            return value, value.terms  # as they are added up, with their weights
        arrays = {str(key): item for key, item in terms.items() if _is_number(item)}
        return value, arrays if len(arrays) <= MAX_TERMS else {}
    if isinstance(value, Lanes) and value.terms:
        return value, value.terms
    return value, {}


_TOTALS = ("total", "reward", "total_reward", "sum")


def _is_number(value: Any) -> bool:
    if isinstance(value, Lanes):
        return not [size for size in value.shape if size is not None]
    return isinstance(value, int | float)


def _finish(machine: Tracer, name: str, value: Any) -> ast.expr:
    """Return the expression (N,) of a reward or a term."""
    array = arithmetic.lift(value)
    while array.shape and array.shape[-1] == 1:
        array = indexing.get_item(array, (Ellipsis, 0))
    sizes = [size for size in array.shape if size is not None]
    if sizes:
        raise Untranslatable(
            f"{name} is {sizes[0]} numbers a step", "add them up: np.sum(…, axis=-1)"
        )
    if array.is_constant:
        return nodes.call("np.full", nodes.count(), array.node)
    node = arithmetic.as_number(array)
    if _is_whole(node):
        node = ast.BinOp(node, ast.Mult(), ast.Constant(1.0))
    whole = replace(array, node=node, kind="float")
    found: Lanes = machine.name_value(name, whole)
    return found.node


def _is_whole(node: ast.expr) -> bool:
    """Whether an expression is made of whole numbers and flags alone."""
    if isinstance(node, ast.BinOp):
        is_kept = isinstance(node.op, ast.Add | ast.Sub | ast.Mult)
        return is_kept and _is_whole(node.left) and _is_whole(node.right)
    if isinstance(node, ast.UnaryOp):
        return _is_whole(node.operand)
    is_number = isinstance(node, ast.Constant) and isinstance(node.value, int)
    return is_number or isinstance(node, ast.Compare)


def _write_memory(
    machine: Tracer, memory: Sequence[Stored]
) -> dict[str, tuple[ast.expr, ast.expr]]:
    """Return the expressions of memory: at the start of an episode and after a step."""
    held: dict[str, tuple[ast.expr, ast.expr]] = {}
    for kept in memory:
        name = kept.name
        after: Any = kept.next
        if kept.start is None:
            flag = after.is_none if isinstance(after, Maybe) else arithmetic.lift(after is None)
            held[f"{name}_is_none"] = _fill(1.0, ()), _hold(machine, f"{name}_is_none", flag)
            after = after.array if isinstance(after, Maybe) else after
            held[name] = _fill(0.0, after.shape), _hold(machine, name, after)
        elif kept.start is ABSENT:
            held[name] = _fill(0.0, _get_shape(after)), _hold(machine, name, after)
        else:
            start = arithmetic.lift(kept.start)
            first = _fill(start.value, start.shape) if start.is_constant else start.node
            held[name] = first, _hold(machine, name, after)
    return held


def _get_shape(value: Any) -> tuple[int | None, ...]:
    """Return how many numbers a place of one simulation holds."""
    return tuple(size for size in arithmetic.lift(value).shape if size is not None)


def _hold(machine: Tracer, name: str, value: Any) -> ast.expr:
    """Return the expression of what memory holds next."""
    array = arithmetic.lift(value)
    if array.is_constant:
        count = nodes.count()
        return nodes.call("np.full", count, nodes.literal(float(array.value)))
    whole = replace(array, node=arithmetic.as_number(array), kind="float")
    found: Lanes = machine.name_value(f"next_{name}", whole)
    return found.node


def _fill(value: Any, shape: tuple[int | None, ...]) -> ast.expr:
    """Return an array of the same numbers for each simulation, in ``init_memory``."""
    count = nodes.call("len", nodes.name("state.observation"))
    if not shape:
        return nodes.call("np.full", count, nodes.literal(float(value)))
    sizes = ast.Tuple([count, *(nodes.literal(size) for size in shape)], ast.Load())
    if isinstance(value, list):
        return nodes.call(
            "np.tile",
            nodes.literal(value),
            ast.Tuple([count, *(nodes.literal(1) for _ in shape)], ast.Load()),
        )
    return nodes.call("np.full", sizes, nodes.literal(float(value)))


def _make_dict(items: Mapping[str, ast.expr]) -> ast.expr:
    return ast.Dict([ast.Constant(key) for key in items], list(items.values()))


def _make_function(
    name: str, parameters: list[str], body: list[ast.stmt], doc: str | None
) -> ast.stmt:
    arguments = ast.arguments([], [ast.arg(item) for item in parameters], None, [], [], None, [])
    head: list[ast.stmt] = [ast.Expr(ast.Constant(doc))] if doc else []
    return ast.FunctionDef(name, arguments, [*head, *body], [], lineno=0)


def _keep_live(lines: list[ast.stmt], results: list[ast.expr]) -> list[ast.stmt]:
    """Return the statements that the results need."""
    needed = set().union(*(nodes.list_names(result) for result in results))
    kept: list[ast.stmt] = []
    for line in reversed(lines):
        assert isinstance(line, ast.Assign)
        [target] = line.targets
        assert isinstance(target, ast.Name)
        if target.id in needed:
            kept.append(line)
            needed |= nodes.list_names(line.value)
    return kept[::-1]


def _find_read(
    lines: list[ast.stmt], results: list[ast.expr], kept: Mapping[str, tuple[ast.expr, ast.expr]]
) -> set[str]:
    """Return what of memory the pay depends on, in this step or in a later one."""
    read: set[str] = set()
    while True:
        wanted = [*results, *(kept[name][1] for name in read)]
        found = {
            str(node.slice.value)
            for item in [*_keep_live(lines, wanted), *wanted]
            for node in ast.walk(item)
            if isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and ast.unparse(node.value) == "memory"
        }
        if found <= read:
            return read
        read |= found


def _shorten(lines: list[ast.stmt], results: list[ast.expr]) -> list[ast.stmt]:
    """Return statements without the steps of a sum that the next statement alone reads."""
    counts: dict[str, int] = {}
    for node in [*lines, *results]:
        for item in ast.walk(node):
            if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load):
                counts[item.id] = counts.get(item.id, 0) + 1
    kept: list[ast.stmt] = []
    for line in lines:
        assert isinstance(line, ast.Assign)
        before = kept[-1] if kept else None
        if isinstance(before, ast.Assign) and isinstance(line.value, ast.BinOp):
            [target] = before.targets
            assert isinstance(target, ast.Name)
            left = line.value.left
            if (
                isinstance(left, ast.Name)
                and left.id == target.id
                and counts[left.id] == 1
                and isinstance(line.value.op, ast.Add | ast.Sub)
                and isinstance(before.value, ast.BinOp)
                and len(ast.unparse(before.value)) + len(ast.unparse(line.value.right)) < 80
            ):
                line.value.left = before.value
                kept.pop()
        kept.append(line)
    return kept


def _keep_constants(constants: Mapping[str, ast.expr], read: set[str]) -> list[ast.stmt]:
    """Return the assignments of the constants that are read, or that those read."""
    kept: list[ast.stmt] = []
    for name in reversed(list(constants)):
        if name in read:
            kept.append(nodes.assign(name, constants[name]))
            read = read | nodes.list_names(constants[name])
    return kept[::-1]
