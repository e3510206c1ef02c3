"""Rules on names: every name is defined, modules stay what they are, imports are on the list."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.language import REMEDIES
from reward_agent.rewards.rules import foreign, statements
from reward_agent.rewards.rules.context import Context, find_numpy_name
from reward_agent.types import Finding

_PYTHON_BUILTINS = frozenset(dir(builtins))
_VALUES = frozenset({"np", "math", "True", "False", "None"})
_NUMPY_TYPING = frozenset({"ArrayLike", "NDArray"})
_NUMPY_ANNOTATIONS = language.NUMPY_TYPES | language.NUMPY_NAMED_TYPES | {"typing"}
# A type as text, or a remark such as "(N,) metres"; nothing that could be meant to be evaluated.
_TYPE_TEXT = re.compile(r"(?!.*__)[\w\[\]., |()/^-]*")


def check_names(context: Context) -> Iterator[Finding]:
    """Refuse names that are neither defined in the program nor part of the language."""
    known = (
        language.BUILTINS
        | language.LIBRARY_NAMES
        | context.dialect.names
        | context.dialect.metrics
        | {"np", "math", "True", "False", "None"}
    )
    refused: set[str] = set()
    for node in context.source.find(ast.Name):
        if node in context.annotations or not isinstance(node.ctx, ast.Load):
            continue
        if context.is_in_class(node):
            continue  # refused with it
        if node.id.startswith("__"):
            yield _refuse_dunder(context, node, node.id)
        elif node.id in known or context.scopes.find(node) is not None or node.id in refused:
            continue
        else:
            refused.add(node.id)
            yield _refuse_name(context, node, known)


def _refuse_name(context: Context, node: ast.Name, known: frozenset[str]) -> Finding:
    name = node.id
    if name in context.fields:
        remedy = f"write {max(context.dialect.subjects, key=len)}.{name}"
        return context.refuse("names/unknown", node, "is a field of the state", remedy)
    if name in _PYTHON_BUILTINS:
        remedy = REMEDIES.get(name, "leave it out; the language has no such function")
        if name == "print":
            remedy = statements.replace_print(context, node) or remedy
        return context.refuse("names/builtin", node, "is not part of the language", remedy)
    remedy = foreign.rewrite_words(context, node) or _suggest_name(context, node, known)
    return context.refuse("names/unknown", node, "is not defined", remedy)


def _suggest_name(context: Context, node: ast.Name, known: frozenset[str]) -> str:
    """Return what is meant: a function where it is called, a value or a field where it is not."""
    scopes = (context.scopes.module, context.scopes.of[node])
    bound = {name: nodes for scope in scopes for name, nodes in scope.bindings.items()}
    functions = {n for n, nodes in bound.items() if isinstance(nodes[0], ast.FunctionDef)}
    call = context.source.parents.get(node)
    other = "define it, or spell it right"
    if isinstance(call, ast.Call) and call.func is node:
        return context.suggest(node.id, known - _VALUES | functions, other=other)
    field = context.closest(node.id, context.fields)
    if field is not None and context.closest(node.id, frozenset(bound)) is None:
        return f"did you mean {max(context.dialect.subjects, key=len)}.{field}?"
    return context.suggest(node.id, frozenset(bound) - functions | _VALUES, other=other)


def check_bindings(context: Context) -> Iterator[Finding]:
    """Refuse dunder names, and a second meaning for names that rules rely on."""
    for scope in {id(scope): scope for scope in context.scopes.of.values()}.values():
        for name, nodes in scope.bindings.items():
            if context.is_in_class(nodes[0]):
                continue  # refused with it
            if name.startswith("__"):
                yield _refuse_dunder(context, nodes[0], name)
            elif name in language.FIXED_NAMES | context.dialect.names:
                for node in nodes:
                    if not isinstance(node, ast.alias):
                        yield context.refuse(
                            "names/rebound",
                            node,
                            "is given another meaning",
                            "choose another name",
                            name=name,
                        )


def check_dunder_keywords(context: Context) -> Iterator[Finding]:
    """Refuse dunder keywords; they reach into Python's machinery."""
    for keyword in context.source.find(ast.keyword):
        if keyword.arg and keyword.arg.startswith("__"):
            yield _refuse_dunder(context, keyword, keyword.arg)


def check_modules(context: Context) -> Iterator[Finding]:
    """Accept ``np`` and ``math`` only in front of a dot: a module is not a value."""
    for node in context.source.find(ast.Name):
        if node.id not in language.FIXED_NAMES or not isinstance(node.ctx, ast.Load):
            continue
        parent = context.source.parents[node]
        if isinstance(parent, ast.Attribute) and (
            node.id != "typing" or node in context.annotations
        ):
            continue
        yield context.refuse(
            "names/module", node, "is used as a value", f"write {node.id}.NAME where you need it"
        )


def check_imports(context: Context) -> Iterator[Finding]:
    """Allow numpy as np, math, typing and __future__, under their own names."""
    for node in context.source.find(ast.Import):
        for alias in node.names:
            known_as = language.IMPORTS.get(alias.name)
            if known_as is None or (alias.asname or alias.name) != known_as:
                yield _refuse_import(context, node, alias.name, known_as)
    for statement in context.source.find(ast.ImportFrom):
        allowed = {**language.IMPORTS_FROM, **context.dialect.modules}.get(statement.module or "")
        if statement.level or allowed is None:
            yield _refuse_import(context, statement, statement.module or ".", None)
            continue
        for alias in statement.names:
            if alias.name not in allowed or alias.asname not in (None, alias.name):
                name = f"{statement.module}.{alias.name}"
                yield _refuse_import(context, statement, name, None)


def _refuse_import(context: Context, node: ast.AST, name: str, known_as: str | None) -> Finding:
    if known_as:
        remedy = f"write `import {name} as {known_as}`" if known_as != name else f"import {name}"
        if name == "numpy":
            remedy = foreign.replace_import(context, node, name)
        return context.refuse(
            "names/import", node, "is imported under another name", remedy, name=name
        )
    remedy = foreign.replace_import(context, node, name)
    return context.refuse("names/import", node, "cannot be imported", remedy, name=name)


def check_annotations(context: Context) -> Iterator[Finding]:
    """Accept type names in annotations; they are never evaluated, but nothing else hides there."""
    shapes = (
        ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp, ast.BitOr, ast.Name,
        ast.Attribute,
    )  # fmt: skip
    for node in context.annotations:
        is_fine = isinstance(node, (*shapes, ast.expr_context))
        if isinstance(node, ast.Name):
            is_fine = _is_type_name(node.id)
        elif isinstance(node, ast.Attribute):
            is_fine = _is_type_attribute(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_fine = _TYPE_TEXT.fullmatch(node.value) is not None
        if not is_fine:
            yield context.refuse(
                "names/annotation",
                node,
                "is not the name of a type",
                "write np.ndarray, float, dict[str, np.ndarray], or no annotation",
            )


def _is_type_name(name: str) -> bool:
    """Whether a name looks like a type: a builtin one, one of typing's, or a capitalised one."""
    if name in _PYTHON_BUILTINS:
        return isinstance(getattr(builtins, name), type) or name in ("any", "callable")
    return name in language.FIXED_NAMES or (name[:1].isupper() and name.isidentifier())


def _is_type_attribute(node: ast.Attribute) -> bool:
    if isinstance(node.value, ast.Attribute):
        return node.attr in _NUMPY_TYPING and find_numpy_name(node.value) == "typing"
    if isinstance(node.value, ast.Name) and node.value.id == "typing":
        return node.attr in language.TYPING_NAMES
    return find_numpy_name(node) in _NUMPY_ANNOTATIONS


def _refuse_dunder(context: Context, node: ast.AST, name: str) -> Finding:
    return context.refuse(
        "names/dunder",
        node,
        "begins with two underscores: Python's own machinery",
        "choose a plain name; delete `if __name__ == …` and other test code",
        name=name,
    )
