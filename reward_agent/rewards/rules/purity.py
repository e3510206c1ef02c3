"""Rules on purity: what is written to is no input, as far as its name tells.

Inputs and what a module holds are read-only at run time; these rules have the earlier message.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.rewards.rules.statements import replace_write
from reward_agent.types import Finding


def check_writes_to_inputs(context: Context) -> Iterator[Finding]:
    """Refuse writing into a field, the action, or a name that stands for one of them."""
    for node, what in _find_written(context):
        while isinstance(what, ast.Subscript):
            what = what.value
        value = context.find_value(what) if isinstance(what, ast.Name) else what
        is_field = isinstance(value, ast.Attribute) and context.is_subject(value.value)
        if is_field or _is_action(context, what):
            source = context.text(value) if value is not None else "action"
            yield context.refuse(
                "purity/writes-input",
                node,
                f"is {source} itself, or a part of it, and is written to",
                replace_write(node, what, source),
                name=context.text(what),
            )


def _is_action(context: Context, node: ast.expr) -> bool:
    """Whether a name is the action that an entry was called with."""
    scope = context.scopes.find(node) if isinstance(node, ast.Name) else None
    if scope is None or not isinstance(node, ast.Name) or node.id != "action":
        return False
    is_rebound = any(
        isinstance(binding, ast.Name)
        and not isinstance(context.source.parents[binding], ast.AugAssign)
        for binding in scope.bindings[node.id]
    )
    return context.entry_of(scope.node) is not None and not is_rebound


def _find_written(context: Context) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Yield every place that changes an object, and the expression for that object."""
    for node in context.source.find(ast.Subscript):
        if not isinstance(node.ctx, ast.Load):
            yield node, node.value
    for statement in context.source.find(ast.AugAssign):
        if isinstance(statement.target, ast.Name):
            yield statement, statement.target
    for call in context.source.find(ast.Call):
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr in language.MUTATING_METHODS:
            yield call, function.value
        yield from ((call, keyword.value) for keyword in call.keywords if keyword.arg == "out")
