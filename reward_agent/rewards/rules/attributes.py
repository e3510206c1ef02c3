"""Rules on attributes: fields of the card, members of np and math, a few methods of values."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from reward_agent.rewards import language
from reward_agent.rewards.rules import foreign as foreign_words
from reward_agent.rewards.rules.context import Context, find_numpy_name
from reward_agent.types import Finding

# Types whose methods, called by way of the type, can change nothing.
_IMMUTABLE = frozenset({"bool", "float", "int", "str", "tuple"})
_PROPERTIES = frozenset({"T", "dtype", "ndim", "shape", "size"})
_TEXT_METHODS = language.split_names(
    "capitalize endswith find isalpha isdigit islower isupper join lower lstrip removeprefix "
    "removesuffix replace rstrip split splitlines startswith strip title upper"
)
_CALLED = language.METHODS - _PROPERTIES - _TEXT_METHODS
_NOT_PART = "is not part of the language"


def check_attributes(context: Context) -> Iterator[Finding]:
    """Refuse every attribute that is not on a list for what it is read from."""
    fields = _shareable_fields(context)
    foreign = foreign_words.list_foreign(context)
    for node in context.source.find(ast.Attribute):
        # What stands in a class is refused with it; what is read of a library, with its import.
        if node in context.annotations or context.is_in_class(node):
            continue
        if foreign_words.find_root(context, node, foreign) is not None:
            yield from _replace_foreign(context, node)
            continue
        refusal = _check_attribute(context, node, fields)
        if refusal is not None:
            rule, problem, remedy = refusal
            yield context.refuse(f"attributes/{rule}", node, problem, remedy, name=_name(node))


def _replace_foreign(context: Context, node: ast.Attribute) -> Iterator[Finding]:
    """Refuse what is read of another library, with the line in the language's own words."""
    root: ast.AST = node
    while isinstance(root, ast.Attribute):
        root = root.value
    is_end = not isinstance(context.source.parents.get(node), ast.Attribute)
    if not is_end or not isinstance(root, ast.Name):
        return  # the name that it begins with, or the call, has the finding
    line = foreign_words.rewrite_words(context, node)
    if line is not None:  # else its import, or its name, has a finding that says what there is
        yield context.refuse("attributes/library", node, _NOT_PART, line, name=_name(node))


class _Refusal(NamedTuple):
    rule: str
    problem: str
    remedy: str


def _check_attribute(
    context: Context, node: ast.Attribute, fields: frozenset[str]
) -> _Refusal | None:
    if node.attr.startswith("_"):
        problem = "begins with an underscore: Python's own machinery"
        return _Refusal("private", problem, "use fields, np and plain functions")
    if not isinstance(node.ctx, ast.Load):
        problem = "is set or deleted; objects cannot be changed"
        return _Refusal("assignment", problem, "keep the value in a local name")
    base = node.value
    if isinstance(base, ast.Name) and base.id in language.FIXED_NAMES:
        allowed = language.MODULE_NAMES.get(base.id, frozenset())
        other = "write it with the functions of the list"
        return _check_member_of(context, node, allowed, f"{base.id}.", other)
    of_numpy = find_numpy_name(base)
    if of_numpy in language.NUMPY_SUBMODULES:
        allowed = language.NUMPY_SUBMODULES[of_numpy]
        return _check_member_of(context, node, allowed, f"np.{of_numpy}.", "use np.linalg.norm")
    if of_numpy in language.NUMPY_UFUNCS:
        if node.attr in language.UFUNC_METHODS:
            return None
        remedy = f"of a function there are {', '.join(sorted(language.UFUNC_METHODS))}"
        return _Refusal("module", _NOT_PART, remedy)
    if _is_refused_member(base):
        return None  # what it is read from has a finding of its own
    if context.is_subject(base):
        return _check_field(context, node)
    if context.is_generator(base):
        known = ", ".join(f"rng.{name}" for name in sorted(language.RANDOM_NAMES))
        return _check_member_of(context, node, language.RANDOM_NAMES, "rng.", f"draw with {known}")
    return _check_member(context, node, fields)


def _check_member_of(
    context: Context, node: ast.Attribute, allowed: frozenset[str], prefix: str, other: str
) -> _Refusal | None:
    if node.attr in allowed:
        return None
    if prefix == "math." and node.attr in language.NUMPY_NAMES:
        return _Refusal("module", _NOT_PART, f"write np.{node.attr}")
    return _Refusal("module", _NOT_PART, context.suggest(node.attr, allowed, prefix, other))


def _check_field(context: Context, node: ast.Attribute) -> _Refusal | None:
    known = context.fields | context.dialect.members
    if node.attr in known:
        return None
    subject = node.value.id if isinstance(node.value, ast.Name) else "state"
    if node.attr in language.METHODS:
        problem = f"is no field: {subject} is not an array but holds named arrays"
        remedy = f"write {subject}.observation.{node.attr}, or name a field of the card"
    else:
        problem = f"is not a field of {context.card.name}"
        near = [name for name in known if name.endswith(f"_{node.attr}")]
        listed = ", ".join(sorted(near or known)[:12])
        remedy = context.suggest(node.attr, known, f"{subject}.", f"fields: {listed}")
    return _Refusal("field", problem, remedy)


def _check_member(context: Context, node: ast.Attribute, fields: frozenset[str]) -> _Refusal | None:
    """Check an attribute of any other value: its type is not known, so the name must be safe."""
    base = node.value
    if isinstance(base, ast.Name) and context.is_builtin(base, language.BUILTINS):
        is_pure = base.id in _IMMUTABLE and node.attr in language.METHODS
        if is_pure or (base.id, node.attr) == ("dict", "fromkeys"):
            return None
        return _Refusal(
            "unknown", "is a method of a type; call it on a value", "write value.method(…)"
        )
    known = language.METHODS | fields
    # A format has a rule of its own, which sees the text.
    if node.attr in known or node.attr == "format":
        return None
    problem = "is neither a field of the card nor a method of the language"
    return _Refusal("unknown", problem, _suggest_member(context, node, fields))


def _suggest_member(context: Context, node: ast.Attribute, fields: frozenset[str]) -> str:
    """Return what is meant: a method where it is called, a field or a property where it is not."""
    line = foreign_words.rewrite_words(context, node)
    if line is not None:
        return line
    call = context.source.parents.get(node)
    if isinstance(call, ast.Call) and call.func is node:
        return context.suggest(
            node.attr, _CALLED, ".", "use the methods of arrays and np functions"
        )
    other = "use the fields of the card and np functions"
    return context.suggest(node.attr, fields | _PROPERTIES, ".", other)


def _shareable_fields(context: Context) -> frozenset[str]:
    """Return the fields that may be read from any name, such as the parameter of a helper."""
    dialect = context.dialect
    return (context.fields - language.RESERVED_ATTRIBUTES) | dialect.members | dialect.values


def _is_refused_member(node: ast.expr) -> bool:
    """Whether something is read through a member of np or math that is not allowed."""
    while isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
        node = node.value
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in language.MODULE_NAMES
        and node.attr not in language.MODULE_NAMES[node.value.id]
    )


def _name(node: ast.Attribute) -> str:
    parts = [node.attr]
    base = node.value
    while isinstance(base, ast.Attribute) and len(parts) < 4:
        parts.append(base.attr)
        base = base.value
    parts.append(base.id if isinstance(base, ast.Name) else "…")
    return ".".join(reversed(parts))
