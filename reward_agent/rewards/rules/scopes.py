"""Which function a name belongs to: Python's lexical scopes, of a bounded tree."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from reward_agent.rewards.source import ParsedSource

_SCOPE_NODES = (ast.Module, ast.FunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False)
class Scope:
    """A module, function, lambda or comprehension, with the nodes that bind each name in it."""

    node: ast.AST
    parent: Scope | None
    bindings: dict[str, list[ast.AST]] = field(default_factory=lambda: defaultdict(list))


def _is_evaluated_outside(source: ParsedSource, node: ast.AST) -> bool:
    """Whether a node is a default, or the first iterable of a comprehension: names are outside."""
    parent = source.parents.get(node)
    if isinstance(parent, ast.arguments):
        return not isinstance(node, ast.arg)
    if isinstance(parent, ast.comprehension) and node is parent.iter:
        comprehension = source.parents[parent]
        return isinstance(comprehension, _COMPREHENSIONS) and comprehension.generators[0] is parent
    return False


class Scopes:
    """The scopes of a program; ``of`` tells in which a node stands."""

    def __init__(self, source: ParsedSource) -> None:
        self.module = Scope(source.tree, None)
        self.of: dict[ast.AST, Scope] = {}
        opened: dict[ast.AST, Scope] = {source.tree: self.module}
        for node in source.order:
            parent = source.parents.get(node)
            outer = self.module if parent is None else opened.get(parent, self.of.get(parent))
            outer = outer or self.module
            if outer.parent and _is_evaluated_outside(source, node):
                outer = outer.parent
            self.of[node] = outer
            if isinstance(node, _SCOPE_NODES[1:] + _COMPREHENSIONS):
                opened[node] = Scope(node, outer)
        for node in source.order:
            for name, scope in self._bind(node):
                scope.bindings[name].append(node)

    def find(self, name: ast.Name) -> Scope | None:
        """Return the scope that binds a name; None for a name of the language."""
        return self.find_by_name(name.id, self.of[name])

    def find_by_name(self, name: str, scope: Scope | None) -> Scope | None:
        """Return the nearest scope outwards that binds a name."""
        while scope is not None:
            if name in scope.bindings:
                return scope
            scope = scope.parent
        return None

    def _bind(self, node: ast.AST) -> Iterator[tuple[str, Scope]]:
        """Yield the names that a node binds, and where."""
        scope = self.of[node]
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, scope
        elif isinstance(node, ast.NamedExpr) and isinstance(node.target, ast.Name):
            # An assignment expression in a comprehension binds in the function around it.
            while isinstance(scope.node, _COMPREHENSIONS) and scope.parent:
                scope = scope.parent
            yield node.target.id, scope
        elif isinstance(node, ast.arg):
            yield node.arg, scope
        elif isinstance(node, ast.FunctionDef):
            yield node.name, scope
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[0], scope
