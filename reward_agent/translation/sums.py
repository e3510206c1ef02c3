"""The terms of a reward that is one sum: its parts, by the names that the person gave them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence, Set

from reward_agent.translation import nodes

_REST = "rest"


def split_sum(
    reward: ast.expr, lines: Sequence[ast.stmt], constants: Set[str], most: int
) -> dict[str, ast.expr]:
    """Return the parts of a sum by their names; none where fewer than two have one.

    A part's name is that of the only variable in it; what has none is one part, ``rest``.

    Args:
        reward: the name of the sum, or the sum.
        lines: what is computed before.
        constants: names that are numbers.
        most: how many terms a program may have.
    """
    values = {
        line.targets[0].id: line.value
        for line in lines
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
    }
    parts: dict[str, ast.expr] = {}
    for sign, part in _list_parts(reward, values, _get_stem(reward)):
        name = _name_part(part, values, constants)
        own = _as_number(part, values)
        own = own if sign > 0 else ast.UnaryOp(ast.USub(), own)
        parts[name] = ast.BinOp(parts[name], ast.Add(), own) if name in parts else own
    if len(parts.keys() - {_REST}) < 2 or len(parts) > most:
        return {}
    return {name: _spread(part, constants) for name, part in parts.items()}


def _list_parts(
    node: ast.expr, values: dict[str, ast.expr], stem: str
) -> Iterator[tuple[int, ast.expr]]:
    """Yield what is added up, with its sign; a sum that grows line by line is followed."""
    if isinstance(node, ast.Name) and _get_stem(node) == stem:
        value = values.get(node.id)
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add | ast.Sub):
            yield from _list_parts(value, values, stem)
            return
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from _list_parts(node.left, values, stem)
        turn = 1 if isinstance(node.op, ast.Add) else -1
        for sign, part in _list_parts(node.right, values, stem):
            yield turn * sign, part
        return
    yield 1, node


def _get_stem(node: ast.expr) -> str:
    """Return a variable's name without the number of its version."""
    return re.sub(r"_\d+$", "", node.id) if isinstance(node, ast.Name) else ""


def _name_part(node: ast.expr, values: dict[str, ast.expr], constants: Set[str]) -> str:
    """Return the only variable that a product of numbers has."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _name_part(node.operand, values, constants)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        if _is_number(node.right, constants):
            return _name_part(node.left, values, constants)
        if _is_number(node.left, constants) and isinstance(node.op, ast.Mult):
            return _name_part(node.right, values, constants)
    is_variable = isinstance(node, ast.Name) and (node.id in values or node.id in constants)
    return node.id if isinstance(node, ast.Name) and is_variable else _REST


def _as_number(node: ast.expr, values: dict[str, ast.expr]) -> ast.expr:
    """Return a part; what is true or false counts as 1 or 0."""
    value = values.get(node.id) if isinstance(node, ast.Name) else node
    is_inverse = isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.Invert | ast.Not)
    is_joined = isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitAnd | ast.BitOr)
    is_told = isinstance(value, ast.Call) and "logical" in ast.unparse(value.func)
    if isinstance(value, ast.Compare) or is_inverse or is_joined or is_told:
        return ast.BinOp(ast.Constant(1.0), ast.Mult(), node)
    return node


def _is_number(node: ast.expr, constants: Set[str]) -> bool:
    names = nodes.list_names(node)
    kinds = ast.Name | ast.Constant | ast.BinOp | ast.UnaryOp | ast.operator | ast.unaryop
    is_plain = all(isinstance(item, kinds | ast.expr_context) for item in ast.walk(node))
    return is_plain and names <= constants


def _spread(node: ast.expr, constants: Set[str]) -> ast.expr:
    """Return a part as one number for each simulation."""
    if _is_number(node, constants):
        return nodes.call("np.full", nodes.count(), node)
    return node
