"""Rules on attributes: fields of the card, members of np and math, a few methods of values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.types import Finding

# Types whose methods, called by way of the type, can change nothing.
_IMMUTABLE = frozenset({"bool", "float", "int", "str", "tuple"})


def check_attributes(context: Context) -> Iterator[Finding]:
    """Refuse every attribute that is not on a list for what it is read from."""
    fields = _shareable_fields(context)
    for node in context.source.find(ast.Attribute):
        if node in context.annotations:
            continue
        finding = _check_attribute(context, node, fields)
        if finding is not None:
            yield finding


def _check_attribute(
    context: Context, node: ast.Attribute, fields: frozenset[str]
) -> Finding | None:
    if node.attr.startswith("_"):
        problem = "begins with an underscore: Python's own machinery"
        return context.refuse(
            "attributes/private", node, _name(node), problem, "use fields, np and plain functions"
        )
    if not isinstance(node.ctx, ast.Load):
        problem = "is set or deleted; objects cannot be changed"
        return context.refuse(
            "attributes/assignment", node, _name(node), problem, "keep the value in a local name"
        )
    base = node.value
    if isinstance(base, ast.Name) and base.id in (*language.MODULE_NAMES, "typing"):
        return _check_module_member(context, node, base.id)
    submodule = _find_submodule(base)
    if submodule:
        return _check_submodule_member(context, node, submodule)
    if _is_ufunc(base):
        return _check_ufunc_method(context, node)
    if _is_refused_member(base):
        return None  # what it is read from has a finding of its own
    if context.is_subject(base):
        return _check_field(context, node)
    return _check_member(context, node, fields)


def _check_member(context: Context, node: ast.Attribute, fields: frozenset[str]) -> Finding | None:
    """Check an attribute of any other value: its type is not known, so the name must be safe."""
    base = node.value
    if isinstance(base, ast.Name) and context.is_builtin(base, language.BUILTINS):
        is_pure = base.id in _IMMUTABLE and node.attr in language.METHODS
        if is_pure or (base.id, node.attr) == ("dict", "fromkeys"):
            return None
        problem = "is a method of a type; call it on a value"
        return context.refuse(
            "attributes/unknown", node, _name(node), problem, "write value.method(…)"
        )
    # A format has a rule of its own, which sees the text.
    if node.attr in language.METHODS or node.attr in fields or node.attr == "format":
        return None
    return _refuse_unknown(context, node, fields)


def _check_module_member(context: Context, node: ast.Attribute, module: str) -> Finding | None:
    allowed = language.MODULE_NAMES.get(module, frozenset())
    if node.attr not in allowed:
        remedy = context.suggest(
            node.attr, allowed, f"{module}.", "write it with the functions of the list"
        )
        problem = "is not part of the language"
        return context.refuse("attributes/module", node, _name(node), problem, remedy)
    if module != "np":
        return None
    if node.attr in language.NUMPY_SUBMODULES:
        if not isinstance(context.source.parents[node], ast.Attribute):
            return context.refuse(
                "attributes/module", node, _name(node), "is used as a value", "write np.linalg.norm"
            )
    elif (
        node.attr in language.NUMPY_NAMED_TYPES
        and not _is_type_test(context, node)
        and not context.is_type_alias(node)
    ):
        problem = "is a type that cannot be called or passed on"
        return context.refuse(
            "attributes/module", node, _name(node), problem, "make arrays with np.zeros or np.array"
        )
    elif node.attr == "errstate" and not _is_with_item(context, node):
        problem = "is used outside of with"
        return context.refuse(
            "attributes/module",
            node,
            _name(node),
            problem,
            'write `with np.errstate(all="ignore"):`',
        )
    return None


def _check_submodule_member(
    context: Context, node: ast.Attribute, submodule: str
) -> Finding | None:
    allowed = language.NUMPY_SUBMODULES[submodule]
    if node.attr in allowed:
        return None
    remedy = context.suggest(node.attr, allowed, f"np.{submodule}.", "use np.linalg.norm")
    return context.refuse(
        "attributes/module", node, _name(node), "is not part of the language", remedy
    )


def _check_ufunc_method(context: Context, node: ast.Attribute) -> Finding | None:
    if node.attr in language.UFUNC_METHODS:
        return None
    return context.refuse(
        "attributes/module",
        node,
        _name(node),
        "is not part of the language",
        f"of a function there are {', '.join(sorted(language.UFUNC_METHODS))}",
    )


def _check_field(context: Context, node: ast.Attribute) -> Finding | None:
    known = context.fields | context.dialect.members
    if node.attr in known:
        return None
    subject = node.value.id if isinstance(node.value, ast.Name) else "state"
    if node.attr in language.METHODS:
        problem = f"is no field: {subject} is not an array but holds named arrays"
        remedy = f"write {subject}.observation.{node.attr}, or name a field of the card"
    else:
        problem = f"is not a field of {context.card.name}"
        listed = ", ".join(sorted(known)[:12])
        remedy = context.suggest(node.attr, known, f"{subject}.", f"fields: {listed}")
    return context.refuse("attributes/field", node, _name(node), problem, remedy)


def _refuse_unknown(context: Context, node: ast.Attribute, fields: frozenset[str]) -> Finding:
    known = language.METHODS | fields
    problem = "is neither a field of the card nor a method of the language"
    remedy = context.suggest(node.attr, known, ".", "use the fields of the card and np functions")
    return context.refuse("attributes/unknown", node, _name(node), problem, remedy)


def _shareable_fields(context: Context) -> frozenset[str]:
    """Return the fields that may be read from any name, such as the parameter of a helper."""
    return (context.fields | context.dialect.members) - language.RESERVED_ATTRIBUTES


def _find_submodule(node: ast.expr) -> str | None:
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "np"
        and node.attr in language.NUMPY_SUBMODULES
    ):
        return node.attr
    return None


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


def _is_ufunc(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "np"
        and node.attr in language.NUMPY_UFUNCS
    )


def _is_type_test(context: Context, node: ast.Attribute) -> bool:
    """Whether a type is named as the second argument of isinstance."""
    child: ast.AST = node
    parent = context.source.parents[node]
    if isinstance(parent, ast.Tuple):
        child, parent = parent, context.source.parents[parent]
    return (
        isinstance(parent, ast.Call)
        and context.is_builtin(parent.func, frozenset({"isinstance"}))
        and len(parent.args) == 2
        and parent.args[1] is child
    )


def _is_with_item(context: Context, node: ast.Attribute) -> bool:
    call = context.source.parents[node]
    return isinstance(call, ast.Call) and isinstance(context.source.parents.get(call), ast.withitem)


def _name(node: ast.Attribute) -> str:
    """Return a dotted name for a message."""
    parts = [node.attr]
    base = node.value
    while isinstance(base, ast.Attribute) and len(parts) < 4:
        parts.append(base.attr)
        base = base.value
    parts.append(base.id if isinstance(base, ast.Name) else "…")
    return ".".join(reversed(parts))
