"""Programs that differ in words only: one text for all of them.

Names, comments, docstrings, annotations and the way in which a constant is written do not change
what a program pays, so they are taken out before two programs are compared.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from functools import lru_cache

ENTRIES = ("compute_reward", "init_memory", "potential")
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
# Beyond it a power takes long to compute and is no constant of a reward.
_LARGEST_FOLDED = 1e6


@lru_cache(maxsize=1024)
def normalize_program(source: str) -> str | None:
    """Return a text that programs share which differ in words only; None for what does not parse.

    Args:
        source: text of a program.
    """
    try:
        tree = _Folder().visit(ast.parse(source))
        constants = _take_constants(tree.body)
        tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        helpers = [node for node in tree.body if node.name not in ENTRIES]
        names = {node.name: f"function_{number}" for number, node in enumerate(helpers)}
        parameters = {node.name: _name_locals(node) for node in helpers}
        keys: dict[str, str] = {}
        for node in tree.body:
            local = _take_constants(node.body)
            hidden = dict.fromkeys(_name_locals(node))
            known: dict[str, float | None] = {**constants, **hidden, **local}
            _Renamer(names, parameters, known, _name_locals(node), keys).visit(node)
        tree = _Folder().visit(tree)
        # A helper's place in the file does not matter, nor does that of an entry.
        return "\n".join(sorted(ast.unparse(ast.fix_missing_locations(node)) for node in tree.body))
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=1024)
def list_ingredients(source: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the attributes that a program reads and its numbers, each once, in order.

    Raises:
        SyntaxError: the program does not parse.
    """
    nodes = list(ast.walk(_Folder().visit(ast.parse(source))))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    numbers = {number for node in nodes if (number := _get_number(node)) is not None}
    return tuple(sorted(attributes)), tuple(sorted(numbers))


class _Folder(ast.NodeTransformer):
    """Computes constant arithmetic, writes numbers in one way, drops docstrings and annotations."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        number = _get_number(node)
        return node if number is None else ast.Constant(number)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        number = _get_number(node.operand)
        if number is None or not isinstance(node.op, ast.USub | ast.UAdd):
            return node
        return ast.Constant(-number if isinstance(node.op, ast.USub) else number)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        compute = _OPERATIONS.get(type(node.op))
        left, right = _get_number(node.left), _get_number(node.right)
        if compute is None or left is None or right is None:
            return node
        if max(abs(left), abs(right)) > _LARGEST_FOLDED:
            return node
        try:
            value = compute(left, right)
        except ArithmeticError:
            return node
        return ast.Constant(value) if isinstance(value, float) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        self.generic_visit(node)
        return ast.Assign([node.target], node.value, lineno=0) if node.value else None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        self.generic_visit(node)
        node.body = [item for item in node.body if not _is_text(item)] or [ast.Pass()]
        node.returns = None
        for argument in ast.walk(node.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        return node


class _Renamer(ast.NodeTransformer):
    """Gives own names, and the names of terms and memories, by their order; puts constants in.

    Args:
        names: new names of the program's own helpers.
        parameters: new names of the parameters of each helper.
        constants: value of each name that stands for a number, None where a local name hides it.
        local: new names of the function's own variables.
        keys: new names of terms and memories; filled on the way.
    """

    def __init__(
        self,
        names: dict[str, str],
        parameters: dict[str, dict[str, str]],
        constants: dict[str, float | None],
        local: dict[str, str],
        keys: dict[str, str],
    ) -> None:
        self._names, self._parameters, self._constants = names, parameters, constants
        self._local, self._keys = local, keys

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = self._constants.get(node.id)
        if value is not None and isinstance(node.ctx, ast.Load):
            return ast.Constant(value)
        return ast.Name(self._local.get(node.id) or self._names.get(node.id, node.id), node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._local[node.arg])

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        self.generic_visit(node)
        node.name = self._names.get(node.name) or self._local.get(node.name, node.name)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        new = self._parameters.get(node.func.id, {}) if isinstance(node.func, ast.Name) else {}
        self.generic_visit(node)
        for keyword in node.keywords:
            keyword.arg = new.get(keyword.arg or "", keyword.arg)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        node.keys = [self._rename_key(key) if key else None for key in node.keys]
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        node.slice = self._rename_key(node.slice)
        return self.generic_visit(node)  # type: ignore[return-value]

    def _rename_key(self, key: ast.expr) -> ast.expr:
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str)):
            return key
        return ast.Constant(self._keys.setdefault(key.value, f"key_{len(self._keys)}"))


def _get_number(node: ast.AST) -> float | None:
    """Return the number that a node is, or None."""
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return None
    return float(node.value) if isinstance(node.value, int | float) else None


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a docstring or the like."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _take_constants(body: list[ast.stmt]) -> dict[str, float]:
    """Remove the assignments of a number to a name that is bound only there; return them."""
    bound = [name for node in body for name in _list_bound(node)]
    found = {}
    for node in list(body):
        number = _get_number(node.value) if isinstance(node, ast.Assign) else None
        if number is None or not isinstance(node, ast.Assign) or len(node.targets) > 1:
            continue
        [target] = node.targets
        if isinstance(target, ast.Name) and bound.count(target.id) == 1:
            found[target.id] = number
            body.remove(node)
    return found


def _name_locals(function: ast.FunctionDef) -> dict[str, str]:
    """Return new names for parameters and variables, by the order in which they appear."""
    return {name: f"name_{k}" for k, name in enumerate(dict.fromkeys(_list_bound(function, True)))}


def _list_bound(node: ast.AST, is_outermost: bool = False) -> Iterator[str]:
    """Yield the names that a statement binds, in order, those of inner functions too."""
    if isinstance(node, ast.FunctionDef) and not is_outermost:
        yield node.name
    if isinstance(node, ast.arg):
        yield node.arg
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _list_bound(child)
