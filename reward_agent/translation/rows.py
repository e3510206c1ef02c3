"""A person's function kept as it is, called for one simulation after the other: slow, and sure.

For what has no certain meaning over arrays, such as a ``while`` that ends by what it computes. The
functions of the file stay word for word but for what only says something (print, logging),
annotations, decorators, and names of NumPy, which are written ``np.…``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from reward_agent.rewards.language import MODULE_NAMES
from reward_agent.text import parse_python
from reward_agent.translation import nodes
from reward_agent.translation.calls import is_quiet
from reward_agent.translation.entry import Payer, list_parameters
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Tracer
from reward_agent.translation.staging import Staged
from reward_agent.translation.values import Input, Lanes, Untranslatable, Word

# Steps of a loop that ends by what it computes.
_MOST_STEPS = 1000
_DRIVER = """
def compute_reward(state, action, next_state):
    paid = np.zeros(len(action))
    for i in range(len(action)):
        paid[i] = {call}{place}
    return paid, {{"reward": paid}}
"""
_OWN_NAMES = {"compute_reward": "pay_one", "state": "before", "next_state": "after"}


def write_rows(tree: ast.Module, machine: Tracer, entry: Payer, inputs: Inputs) -> str:
    """Return the program that calls the file's function for each simulation.

    Raises:
        Untranslatable: it is no plain function, or is given what has no place on the card.
    """
    if entry.type is not None or not inputs.is_row:
        raise Untranslatable(
            f"{entry.name} is no function of one step", "write it as a function of its inputs"
        )
    inputs = Staged(machine, entry, inputs).inputs
    given = [f"{key}={value}" for key, value in _list_arguments(entry, inputs)]
    cleaner = _Cleaner(machine)
    kept = [cleaner.visit(item) for item in _list_needed(tree, entry.function.name)]
    name = _OWN_NAMES.get(entry.function.name, entry.function.name)
    place = "[0]" if _returns_tuple(entry) else ""
    driver = _DRIVER.format(call=f"{name}({', '.join(given)})", place=place)
    text = ast.unparse(ast.fix_missing_locations(ast.Module(kept, [])))
    return f"import math\n\nimport numpy as np\n\n{text}\n{driver}"


def _list_needed(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return copies of the functions and constants that a function needs, in their order."""
    whole = parse_python(ast.unparse(tree))
    kinds = ast.FunctionDef | ast.Assign | ast.AnnAssign
    own = [item for item in whole.body if isinstance(item, kinds)]
    bound = {name: item for item in own for name in nodes.list_bound(item)}
    needed, waiting = set[str](), [name]
    while waiting:
        found = waiting.pop()
        if found in bound and found not in needed:
            needed.add(found)
            waiting += [n.id for n in ast.walk(bound[found]) if isinstance(n, ast.Name)]
    return [item for item in own if needed & nodes.list_bound(item)]


def _returns_tuple(entry: Payer) -> bool:
    returned = (n for n in ast.walk(entry.function.node) if isinstance(n, ast.Return))
    return any(isinstance(item.value, ast.Tuple) for item in returned)


def _list_arguments(entry: Payer, inputs: Inputs) -> Iterator[tuple[str, str]]:
    """Yield the parameters with the expression of each for simulation ``i``."""
    names = list_parameters(entry.function)
    for name in names:
        value = inputs.get_parameter(name, frozenset(names))
        if isinstance(value, Lanes):
            yield name, f"({ast.unparse(value.node)})[i]"
        elif isinstance(value, Input) and value.name == "info":
            keys = sorted(_list_keys(entry.function.node, name))
            assert value.get_item is not None
            items = [f"{key!r}: ({ast.unparse(value.get_item(key).node)})[i]" for key in keys]
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

    def __init__(self, machine: Tracer) -> None:
        self._machine = machine

    def _find(self, name: str) -> Any:
        cells = self._machine.scope.find(name)
        return cells[name] if cells is not None else None

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in _OWN_NAMES and isinstance(node.ctx, ast.Load):
            return ast.Name(_OWN_NAMES[node.id], node.ctx)
        found = self._find(node.id)
        if not isinstance(found, Word):
            return node
        module = "math" if found.module == "math" else "np"
        if not found.name:
            return ast.Name(module, node.ctx)
        if found.name in MODULE_NAMES[module]:
            return ast.Attribute(ast.Name(module, ast.Load()), found.name, node.ctx)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Call):
            root = node.value.func
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id != "self":
                found = self._find(root.id)
                if root.id == "print" or (found is not None and is_quiet(found)):
                    return ast.Pass()
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list, node.returns = [], None
        node.name = _OWN_NAMES.get(node.name, node.name)
        for item in [*node.args.args, *node.args.kwonlyargs, *node.args.posonlyargs]:
            item.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return ast.Pass()
        plain = ast.Assign([node.target], node.value, lineno=node.lineno)
        return self.generic_visit(plain)

    def visit_While(self, node: ast.While) -> ast.AST:
        """Write a loop as one of so many steps at most."""
        self.generic_visit(node)
        stop = ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Break()], [])
        steps = ast.Call(ast.Name("range", ast.Load()), [ast.Constant(_MOST_STEPS)], [])
        return ast.For(
            ast.Name("_step", ast.Store()), steps, [stop, *node.body], node.orelse, lineno=1
        )
