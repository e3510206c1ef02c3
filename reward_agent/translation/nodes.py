"""Expressions of the translated program, as syntax trees."""

from __future__ import annotations

import ast
from typing import Any

from reward_agent.rewards.rules import rewrites
from reward_agent.text import parse_python

name, call = rewrites.name_, rewrites.call


def parse(text: str) -> list[ast.stmt]:
    """Return statements that stand in nobody's file: whoever is stopped in one is where it was."""
    body = parse_python(text).body
    for node in [node for statement in body for node in ast.walk(statement)]:
        for name in node._attributes:
            if hasattr(node, name):
                delattr(node, name)
    return body


def put_at(node: ast.expr, line: int | None) -> None:
    """Let an expression stand at a line of the person's file, if that is known."""
    if line is None:
        return
    for item in ast.walk(node):
        if isinstance(item, ast.expr | ast.keyword):
            item.lineno = item.end_lineno = line
            item.col_offset = item.end_col_offset = 0


def literal(value: Any) -> ast.expr:
    """Return a number, a text, or nested lists of them."""
    if isinstance(value, list | tuple):
        return ast.List([literal(item) for item in value], ast.Load())
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != value or value in (float("inf"), float("-inf")):
            word = "nan" if value != value else "inf"
            node = name(f"np.{word}")
            return ast.UnaryOp(ast.USub(), node) if value < 0 else node
        if value < 0:
            return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


def count() -> ast.expr:
    """Return how many simulations there are."""
    return call("len", name("action"))


def index(node: ast.expr, *places: ast.expr) -> ast.expr:
    """Return ``node[places]``."""
    place = places[0] if len(places) == 1 else ast.Tuple(list(places), ast.Load())
    return ast.Subscript(node, place, ast.Load())


def assign(target: str, value: ast.expr) -> ast.stmt:
    """Return ``target = value``."""
    return ast.Assign([ast.Name(target, ast.Store())], value, lineno=0)


def is_simple(node: ast.expr) -> bool:
    """Whether an expression is cheap and short enough to stand in several places."""
    if isinstance(node, ast.UnaryOp):
        return is_simple(node.operand)
    if isinstance(node, ast.Subscript):
        return is_simple(node.value)
    if isinstance(node, ast.Attribute):
        return is_simple(node.value)
    return isinstance(node, ast.Name | ast.Constant)


def list_names(node: ast.AST) -> set[str]:
    """Return the names that an expression reads."""
    return {
        item.id
        for item in ast.walk(node)
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)
    }


def is_larger(node: ast.expr, size: int) -> bool:
    """Whether an expression has more than so many nodes."""
    return any(number > size for number, _ in enumerate(ast.walk(node)))


def list_stored(node: ast.AST) -> set[str]:
    """Return the names that are given a value in a part of a file."""
    names = (item for item in ast.walk(node) if isinstance(item, ast.Name))
    return {item.id for item in names if isinstance(item.ctx, ast.Store)}


def list_bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement gives a value."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    aliases = [n for n in ast.walk(statement) if isinstance(n, ast.alias)]
    return list_stored(statement) | {item.asname or item.name.split(".")[0] for item in aliases}
