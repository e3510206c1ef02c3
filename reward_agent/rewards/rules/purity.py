"""Rules on purity: inputs stay as they are, and nothing is remembered between calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.rewards.source import Scope
from reward_agent.types import Finding

# What these return shares memory with the array they are called on.
_VIEWS = frozenset({"ravel", "reshape", "squeeze", "swapaxes", "transpose", "diagonal"})
_MAX_DEPTH = 12
_MAX_BINDINGS = 8


def check_writes_to_inputs(context: Context) -> Iterator[Finding]:
    """Refuse writing into the state, the action, or a name that is a part of them."""
    inputs = _Inputs(context)
    for node, what in _find_written(context):
        source = inputs.find(what)
        if source:
            yield context.refuse(
                "purity/writes-input",
                node,
                f"is {source} itself, or a part of it, and is written to",
                "write `x = x * 2` instead of `x *= 2`, or take a .copy() first",
                name=context.text(what),
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
                "belongs to the module and is changed in a call",
                "use init_memory for what an episode must remember, local names for the rest",
                name=root.id,
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
        kept |= {
            parameter
            for parameter, default in pairs
            if not isinstance(default, ast.Constant | ast.UnaryOp)
        }
    for node, what in _find_written(context):
        root = _find_root(what)
        scope = context.scopes.find(root) if isinstance(root, ast.Name) else None
        if scope and isinstance(root, ast.Name) and kept & set(scope.bindings[root.id]):
            yield context.refuse(
                "purity/default",
                node,
                "has a default that stays from call to call, and is changed",
                "take a copy first, or use init_memory",
                name=root.id,
            )


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


class _Inputs:
    """Which expressions share memory with an input of the program, each found once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[tuple[Scope, str], str | None] = {}
        self._depth = 0

    def find(self, node: ast.expr | None) -> str | None:
        """Return which input an expression shares memory with, if it surely does."""
        if node is None or self._depth > _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            return self._find(node)
        finally:
            self._depth -= 1

    def _find(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Attribute):
            if self._context.is_subject(node.value):
                return self._context.text(node)
            return self.find(node.value) if node.attr == "T" else None
        if isinstance(node, ast.Subscript):
            return self.find(node.value) if _is_view_index(node.slice) else None
        if isinstance(node, ast.Call):
            is_view = isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS
            return self.find(node.func.value) if is_view else None  # type: ignore[attr-defined]
        return self._find_name(node) if isinstance(node, ast.Name) else None

    def _find_name(self, node: ast.Name) -> str | None:
        """Return which input a name shares memory with, wherever it was bound."""
        scope = self._context.scopes.find(node)
        if scope is None:
            return None
        key = (scope, node.id)
        if key not in self._known:
            self._known[key] = None  # for names that are bound to each other
            self._known[key] = self._find_bindings(scope, scope.bindings[node.id])
        return self._known[key]

    def _find_bindings(self, scope: Scope, bindings: list[ast.AST]) -> str | None:
        found: list[str | None] = []
        for binding in bindings[:_MAX_BINDINGS]:
            parent = self._context.source.parents.get(binding)
            if isinstance(parent, ast.AugAssign):
                continue
            if isinstance(binding, ast.arg):
                found.append(self._find_parameter(binding, scope.node))
            elif isinstance(parent, ast.Assign | ast.AnnAssign):
                found.append(self.find(parent.value))
            else:
                found.append(None)
        return found[0] if found and all(found) else None

    def _find_parameter(self, parameter: ast.arg, function: ast.AST) -> str | None:
        """Return which input a parameter is: the action, or what every call of a helper gives."""
        if self._context.entry_of(function):
            return "action" if parameter.arg == "action" else None
        given = self._context.arguments_of(function, parameter.arg)
        found = [self.find(node) for node in given[:_MAX_BINDINGS]]
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
