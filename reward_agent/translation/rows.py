"""A person's function kept as it is, called for one simulation after the other: slow, and sure.

For what has no certain meaning over arrays. The functions of the file stay word for word but for
what only says something (print, logging), annotations and decorators.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from reward_agent.translation.entry import Entry
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Machine, is_quiet
from reward_agent.translation.values import Array, Input, Untranslatable

_DRIVER = """
def compute_reward(state, action, next_state):
    reward = np.zeros(len(action))
    for i in range(len(action)):
        reward[i] = {call}{place}
    return reward, {{"reward": reward}}
"""


def write_rows(tree: ast.Module, machine: Machine, entry: Entry, inputs: Inputs) -> str:
    """Return the program that calls the file's function for each simulation.

    Raises:
        Untranslatable: it is no plain function, or is given what has no place on the card.
    """
    if entry.type is not None:
        raise Untranslatable(
            f"{entry.name} is a method of a class", "write it as a function of its inputs"
        )
    kept = _Cleaner(machine).visit(ast.parse(ast.unparse(tree)))
    name = entry.function.name
    if name == "compute_reward":
        name = "pay_one"
        for item in ast.walk(kept):
            if isinstance(item, ast.FunctionDef | ast.Name):
                key = "name" if isinstance(item, ast.FunctionDef) else "id"
                if getattr(item, key) == "compute_reward":
                    setattr(item, key, name)
    given = [f"{key}={value}" for key, value in _list_arguments(entry, inputs)]
    place = "[0]" if _returns_tuple(entry) else ""
    driver = _DRIVER.format(call=f"{name}({', '.join(given)})", place=place)
    text = ast.unparse(ast.fix_missing_locations(kept))
    return f"import math\n\nimport numpy as np\n\n{text}\n{driver}"


def _returns_tuple(entry: Entry) -> bool:
    returns = [item.value for item in ast.walk(entry.function.node) if isinstance(item, ast.Return)]
    return any(isinstance(value, ast.Tuple) for value in returns)


def _list_arguments(entry: Entry, inputs: Inputs) -> Iterator[tuple[str, str]]:
    """Yield the parameters with the expression of each for simulation ``i``."""
    spec = entry.function.node.args
    names = [item.arg for item in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]]
    for name in names:
        value = inputs.get_parameter(name, frozenset(names))
        if isinstance(value, Array):
            yield name, f"({ast.unparse(value.node)})[i]"
        elif isinstance(value, Input) and value.name == "info":
            keys = sorted(_list_keys(entry.function.node, name))
            items = [f"{key!r}: ({ast.unparse(inputs.get_info(key).node)})[i]" for key in keys]
            yield name, f"{{{', '.join(items)}}}"
        elif name not in entry.function.defaults:
            raise Untranslatable(
                f"{entry.name} is given {name}, which is not numbers of one step",
                "give it obs, action, next_obs and info",
            )


def _list_keys(node: ast.AST, name: str) -> set[str]:
    """Return the keys by which a function reads a dictionary."""
    found: set[str] = set()
    for item in ast.walk(node):
        key: Any = None
        if isinstance(item, ast.Subscript) and ast.unparse(item.value) == name:
            key = item.slice
        elif isinstance(item, ast.Call) and ast.unparse(item.func) == f"{name}.get":
            key = item.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found.add(key.value)
    return found


class _Cleaner(ast.NodeTransformer):
    """Leaves out what the reward language does not have and what computes nothing."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return node if node.module == "math" else None

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if "__name__" in ast.unparse(node.test):
            return None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Call):
            root = node.value.func
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name):
                cells = self._machine.scope.find(root.id)
                value = cells[root.id] if cells is not None else None
                if root.id == "print" or (cells is not None and is_quiet(value)):
                    return ast.Pass()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list, node.returns = [], None
        for item in [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]:
            item.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return ast.Assign([node.target], node.value, lineno=node.lineno)
