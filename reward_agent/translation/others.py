"""What a step of a reward reads, and functions write that it does not call: no constants."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from reward_agent.rewards.language import split_names
from reward_agent.translation import nodes
from reward_agent.translation.entry import Payer
from reward_agent.translation.machine import Tracer
from reward_agent.translation.values import Class, Function

# What runs when an episode or a training begins.
_AT_START = re.compile(
    r"_*(init|__init__|__post_init__|__enter__|__exit__|on_reset|reset|initialize|seed|close|setup"
    r"|set_seed|begin|start)(_.*)?"
)
_CHANGES = split_names(
    "append appendleft extend add insert update clear pop popleft remove setdefault fill put"
)


def find_other_writer(
    machine: Tracer, entry: Payer, started: set[ast.AST]
) -> tuple[str, str] | None:
    """Return what the functions that ran read and another function writes, and that function.

    Args:
        machine: it has carried out one step.
        entry: the reward.
        started: functions that ran when the object was made.
    """
    own = {f.node: f for f in _list_functions(machine, entry) if f.node not in machine.ran}
    names = {node: f.name for node, f in own.items() if node not in started}
    others = [own[node] for node, name in names.items() if not _AT_START.fullmatch(name)]
    called = {name for f in others for name in _list_called(f.node)}
    others += [f for node, f in own.items() if node in started and f.name in called]
    written: dict[str, str] = {}
    for function in others:
        for place in _list_written(function.node):
            written.setdefault(place, function.name)
    for node in sorted(machine.ran, key=lambda item: getattr(item, "lineno", 0)):
        for place in _list_read(node):
            if place in written:
                return place, written[place]
    return None


def find_start(machine: Tracer) -> Function | None:
    """Return the function of a file that begins an episode: it is given nothing."""
    found = [f for f in machine.scope.names.values() if isinstance(f, Function)]
    resets = [f for f in found if f.name.startswith("reset") and not ast.unparse(f.node.args)]
    return resets[0] if len(resets) == 1 else None


def _list_functions(machine: Tracer, entry: Payer) -> Iterator[Function]:
    """Yield the functions of the file and the methods of the entry's class."""
    values = [*machine.scope.names.values()]
    made: Class | None = entry.type
    values += [value for _, value in made.list_names()] if made is not None else []
    yield from (value for value in values if isinstance(value, Function))


def _list_called(node: ast.AST) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.Call):
            yield ast.unparse(item.func).split(".")[-1]


def _list_written(node: ast.AST) -> Iterator[str]:
    """Yield ``self.NAME`` and names of the file that a function writes, or changes in place."""
    local = _list_local(node)
    for item in ast.walk(node):
        target: ast.AST | None = None
        if isinstance(item, ast.Attribute | ast.Subscript | ast.Name):
            is_stored = isinstance(item.ctx, ast.Store | ast.Del)
            target = item if is_stored else None
        elif isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute):
            target = item.func.value if item.func.attr.rstrip("_") in _CHANGES else None
        place = _find_place(target) if target is not None else None
        if place is not None and place not in local:
            yield place


def _list_local(node: ast.AST) -> set[str]:
    """Return the names that are a function's own."""
    given = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    shared = {name for n in ast.walk(node) if isinstance(n, ast.Global) for name in n.names}
    return (nodes.list_stored(node) | given) - shared


def _list_read(node: ast.AST) -> Iterator[str]:
    local = _list_local(node)
    for item in ast.walk(node):
        if isinstance(item, ast.Attribute | ast.Name) and isinstance(item.ctx, ast.Load):
            place = _find_place(item)
            if place is not None and place not in local:
                yield place


def _find_place(node: ast.AST) -> str | None:
    """Return ``self.NAME`` of ``self.NAME[0].x``, or the name at the root."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            return f"self.{node.attr}"
        node = node.value
    return node.id if isinstance(node, ast.Name) and node.id != "self" else None
