"""Rules on purity: inputs stay as they are, and nothing is remembered between calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.types import Finding

# What these return shares memory with the array they are called on.
_VIEWS = frozenset({"ravel", "reshape", "squeeze", "swapaxes", "transpose", "diagonal"})
_MAX_DEPTH = 12
_MAX_BINDINGS = 8


def check_writes_to_inputs(context: Context) -> Iterator[Finding]:
    """Refuse writing into the state, the action, or a name that is a part of them."""
    for node, what in _find_written(context):
        source = _find_input(context, what)
        if source:
            yield context.refuse(
                "purity/writes-input",
                node,
                context.text(what),
                f"is {source} itself, or a part of it, and is written to",
                "write `x = x * 2` instead of `x *= 2`, or take a .copy() first",
            )


def check_module_state(context: Context) -> Iterator[Finding]:
    """Refuse changing a list, dict or array of the module from a function."""
    for node, what in _find_written(context):
        root = _find_root(what)
        if not isinstance(root, ast.Name) or not _is_in_function(context, node):
            continue
        if context.scopes.find(root) is context.scopes.module:
            yield context.refuse(
                "purity/module-state",
                node,
                root.id,
                "belongs to the module and is changed in a call",
                "use init_memory for what an episode must remember, local names for the rest",
            )


def check_mutable_defaults(context: Context) -> Iterator[Finding]:
    """Refuse writing into a parameter whose default stays from call to call."""
    kept = set()
    for arguments in context.source.find(ast.arguments):
        positional = [*arguments.posonlyargs, *arguments.args]
        pairs = list(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        pairs += [
            (parameter, default)
            for parameter, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if default is not None
        ]
        kept |= {parameter for parameter, default in pairs if _is_mutable(default)}
    for node, what in _find_written(context):
        root = _find_root(what)
        scope = context.scopes.find(root) if isinstance(root, ast.Name) else None
        if scope and isinstance(root, ast.Name) and kept & set(scope.bindings[root.id]):
            yield context.refuse(
                "purity/default",
                node,
                root.id,
                "has a default that stays from call to call, and is changed",
                "take a copy first, or use init_memory",
            )


def _is_mutable(default: ast.expr) -> bool:
    return not isinstance(default, ast.Constant | ast.UnaryOp)


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
        if (
            isinstance(function, ast.Attribute)
            and function.attr in language.MUTATING_METHODS
            # np.sort and np.append return new arrays.
            and context.text(function.value) not in language.MODULE_NAMES
        ):
            yield call, function.value
        for keyword in call.keywords:
            if keyword.arg == "out":
                targets = keyword.value
                yield from (
                    (call, target)
                    for target in (targets.elts if isinstance(targets, ast.Tuple) else [targets])
                )


def _find_input(context: Context, node: ast.expr, depth: int = 0) -> str | None:
    """Return which input an expression shares memory with, if it surely does."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(node, ast.Attribute):
        if context.is_subject(node.value):
            return context.text(node)
        return _find_input(context, node.value, depth + 1) if node.attr == "T" else None
    if isinstance(node, ast.Subscript):
        is_part = _is_view_index(node.slice)
        return _find_input(context, node.value, depth + 1) if is_part else None
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in _VIEWS:
            return _find_input(context, function.value, depth + 1)
        return None
    if isinstance(node, ast.Name):
        return _find_input_of_name(context, node, depth)
    return None


def _find_input_of_name(context: Context, node: ast.Name, depth: int) -> str | None:
    """Return which input a name shares memory with, wherever it was bound."""
    scope = context.scopes.find(node)
    if scope is None:
        return None
    bindings = scope.bindings[node.id]
    found = []
    for binding in bindings[:_MAX_BINDINGS]:
        parent = context.source.parents.get(binding)
        if isinstance(parent, ast.AugAssign):
            continue
        if isinstance(binding, ast.arg):
            found.append(_find_input_of_parameter(context, binding, scope.node, depth))
        elif isinstance(parent, ast.Assign | ast.AnnAssign) and parent.value is not None:
            found.append(_find_input(context, parent.value, depth + 1))
        else:
            found.append(None)
    return found[0] if found and all(found) else None


def _find_input_of_parameter(
    context: Context, parameter: ast.arg, function: ast.AST, depth: int
) -> str | None:
    """Return which input a parameter is: the action, or what every call of a helper gives it."""
    if context.entry_of(function):
        return "action" if parameter.arg == "action" else None
    given = context.arguments_of(function, parameter.arg)
    found = [
        None if node is None else _find_input(context, node, depth + 1)
        for node in given[:_MAX_BINDINGS]
    ]
    return found[0] if found and all(found) else None


def _is_view_index(index: ast.expr) -> bool:
    """Whether an index selects a part that shares memory: slices, not lists or masks."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    has_slice = any(
        isinstance(part, ast.Slice)
        or (isinstance(part, ast.Constant) and part.value in (None, Ellipsis))
        for part in parts
    )
    return has_slice and all(
        isinstance(part, ast.Slice | ast.Constant | ast.UnaryOp) for part in parts
    )


def _find_root(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node


def _is_in_function(context: Context, node: ast.AST) -> bool:
    return any(
        isinstance(parent, ast.FunctionDef | ast.Lambda)
        for parent in context.source.ancestors(node)
    )
