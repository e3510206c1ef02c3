"""Rules on calls: keywords of the list, and dtypes that are plain numbers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context, find_numpy_name
from reward_agent.types import Finding

# Position of the dtype argument where NumPy takes it without a keyword.
_DTYPE_POSITION = {
    "array": 1, "asarray": 1, "ascontiguousarray": 1, "empty": 1, "empty_like": 1, "full": 2,
    "full_like": 2, "identity": 1, "ones": 1, "ones_like": 1, "zeros": 1, "zeros_like": 1,
    "arange": 3, "eye": 3, "sum": 2, "prod": 2, "mean": 2, "std": 2, "var": 2, "cumsum": 2,
    "cumprod": 2, "linspace": 5,
}  # fmt: skip
_REDUCTIONS = frozenset(
    {"all", "any", "max", "mean", "min", "prod", "std", "sum", "var", "amax", "amin", "reduce"}
)
_MUTABLE_TYPES = frozenset({"dict", "list", "set", "slice"})
# Builtins that call a type, or ask for it, and never give it away.
_APPLYING = frozenset({"isinstance", "map"})
_NEW_ARRAYS = language.split_names(
    """
    array asarray astype copy empty empty_like full full_like ones ones_like zeros zeros_like
    """
)
_ITERATORS = frozenset({"enumerate", "filter", "iter", "map", "reversed", "zip"})
_OPEN_KEYWORDS = frozenset({"dict", "Score"})


def check_keywords(context: Context) -> Iterator[Finding]:
    """Refuse keywords that are not on the list; helpers of the program name their own."""
    own = frozenset(arg.arg for arg in context.source.find(ast.arg))
    for call in context.source.find(ast.Call):
        if context.find_definition(call.func) or _takes_any_keyword(context, call.func):
            continue
        for keyword in call.keywords:
            if keyword.arg is None:
                yield context.refuse(
                    "calls/keyword",
                    keyword.value,
                    "hands unknown keywords to a function of the language",
                    "write the keywords out",
                    name="**",
                )
            elif keyword.arg not in _allowed_keywords(context, call, own):
                yield context.refuse(
                    "calls/keyword",
                    keyword.value,
                    f"is not a keyword of the language in {context.text(call.func)}(…)",
                    context.suggest(keyword.arg, language.KEYWORDS, other="leave it out"),
                    name=f"{keyword.arg}=",
                )


def _takes_any_keyword(context: Context, function: ast.expr) -> bool:
    if isinstance(function, ast.Name) and context.scopes.find(function) is None:
        return function.id in _OPEN_KEYWORDS | language.LIBRARY_NAMES
    if isinstance(function, ast.Name):
        return function.id in context.dialect.names
    return isinstance(function, ast.Attribute) and function.attr in ("errstate", "format", "update")


def _allowed_keywords(context: Context, call: ast.Call, own: frozenset[str]) -> frozenset[str]:
    """Return the keywords for a call; what may hold a helper may take a helper's."""
    is_member = isinstance(call.func, ast.Attribute) or context.is_builtin(
        call.func, language.BUILTINS
    )
    return language.KEYWORDS | (frozenset() if is_member else own - _DANGEROUS)


# What NumPy understands under these names is not for programs, whoever calls it.
_DANGEROUS = language.split_names(
    """
    allow_pickle buffer call callback casting extobj file formatter like offset override_repr
    overwrite_a overwrite_input overwrite_x refcheck sig signature strides subok
    """
)


def check_where(context: Context) -> Iterator[Finding]:
    """Refuse ``where=`` without ``out=``: what is not written is whatever was in memory."""
    for call in context.source.find(ast.Call):
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        function = call.func
        is_reduction = isinstance(function, ast.Attribute) and function.attr in _REDUCTIONS
        if (
            "where" in given
            and not is_reduction
            and not context.find_definition(function)
            and not _is_new_array(context, given.get("out"))
        ):
            yield context.refuse(
                "calls/where",
                call,
                "leaves the other elements as whatever was in memory",
                "use np.where(mask, a, b), or give out=np.zeros_like(x) too",
                name="where=",
            )


def _is_new_array(context: Context, node: ast.expr | None) -> bool:
    """Whether an expression is surely an array, and not None: one that was just made."""
    if isinstance(node, ast.Name):
        value = context.find_value(node)
        return isinstance(value, ast.Call) and _is_new_array(context, value)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _NEW_ARRAYS
    )


def check_pad_modes(context: Context) -> Iterator[Finding]:
    """Refuse ``np.pad`` with a mode that is not written out: one of them shows old memory."""
    for call in context.source.find(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "pad":
            continue
        modes = [*call.args[2:3], *(item.value for item in call.keywords if item.arg == "mode")]
        for mode in modes:
            if not isinstance(mode, ast.Constant) or mode.value not in language.PAD_MODES:
                yield context.refuse(
                    "calls/pad-mode",
                    mode,
                    "is not a mode of np.pad in the language",
                    f"write one of: {', '.join(sorted(language.PAD_MODES))}",
                )


def check_addresses(context: Context) -> Iterator[Finding]:
    """Refuse a function or iterator as text: the text is an address, another in each process."""
    shown: list[ast.expr] = [item.value for item in context.source.find(ast.FormattedValue)]
    for call in context.source.find(ast.Call):
        is_format = isinstance(call.func, ast.Attribute) and call.func.attr == "format"
        if is_format or context.is_builtin(call.func, frozenset({"str"})):
            shown += [*call.args, *(item.value for item in call.keywords)]
    for operation in context.source.find(ast.BinOp):
        if isinstance(operation.op, ast.Mod):
            right = operation.right
            shown += right.elts if isinstance(right, ast.Tuple) else [right]
    for node in shown:
        if _has_address(context, node):
            yield context.refuse(
                "calls/address",
                node,
                "is written as text, which holds its address in memory",
                "write the text itself",
            )


def _has_address(context: Context, node: ast.AST | None) -> bool:
    if isinstance(node, ast.Name):
        value = context.find_value(node)
        return not isinstance(value, ast.Name) and _has_address(context, value)
    if isinstance(node, ast.Attribute):
        return find_numpy_name(node) in language.NUMPY_FUNCTIONS
    return isinstance(node, ast.FunctionDef | ast.Lambda | ast.GeneratorExp) or (
        isinstance(node, ast.Call) and context.is_builtin(node.func, _ITERATORS)
    )


def check_types_as_values(context: Context) -> Iterator[Finding]:
    """Refuse a type handed around: its methods reach into any list or dict."""
    for name in context.source.find(ast.Name):
        if name in context.annotations or not context.is_builtin(name, language.BUILTIN_TYPES):
            continue
        if not _is_type_use(context, name):
            yield context.refuse(
                "calls/type-as-value",
                name,
                "is a type used as a value",
                f"call it, {name.id}(x), or leave it out",
            )


def _is_type_use(context: Context, name: ast.Name) -> bool:
    """Whether a builtin type stands where it cannot become a value of the program."""
    parent = context.source.parents[name]
    is_own_call = isinstance(parent, ast.Call) and parent.func is name
    if is_own_call or isinstance(parent, ast.Attribute):
        return True  # what is read from a type is up to the rule on attributes
    if name.id in _MUTABLE_TYPES and isinstance(parent, ast.Call):
        # Who got hold of the type itself could change a frozen list by way of it.
        return context.is_builtin(parent.func, _APPLYING) and len(parent.args) > 1
    if isinstance(parent, ast.keyword):
        return parent.arg in ("dtype", "key", "default") and name.id not in _MUTABLE_TYPES
    if isinstance(parent, ast.Compare):
        return True
    if isinstance(parent, ast.arguments):
        return name.id in ("bool", "float", "int", "str")
    if isinstance(parent, ast.Call):
        return not context.find_definition(parent.func) and not isinstance(parent.func, ast.Lambda)
    return _is_type_expression(context, name, parent)


def check_typing_names(context: Context) -> Iterator[Finding]:
    """Refuse names of typing outside of annotations: they lead to the types themselves."""
    for name in context.source.find(ast.Name):
        if name in context.annotations or not isinstance(name.ctx, ast.Load):
            continue
        if _is_from_typing(context, name) and not context.is_type_alias(name):
            yield context.refuse(
                "calls/type-as-value",
                name,
                "is a type used as a value",
                "use it in annotations only",
            )


def _is_from_typing(context: Context, name: ast.Name) -> bool:
    scope = context.scopes.find(name)
    bindings = scope.bindings[name.id] if scope else []
    statements = [context.source.parents.get(item) for item in bindings]
    return any(isinstance(item, ast.ImportFrom) and item.module == "typing" for item in statements)


def _is_type_expression(context: Context, name: ast.Name, parent: ast.AST) -> bool:
    """Whether a type stands in isinstance(x, (int, float)) or in an alias for annotations."""
    if isinstance(parent, ast.Tuple):
        call = context.source.parents[parent]
        if isinstance(call, ast.Call):
            return context.is_builtin(call.func, frozenset({"isinstance"}))
    return context.is_type_alias(name)


def check_dtypes(context: Context) -> Iterator[Finding]:
    """Refuse dtypes that are not plain numbers: objects, text, dates, records."""
    for call in context.source.find(ast.Call):
        for node in _find_dtypes(context, call):
            if not _is_plain(context, node):
                yield context.refuse(
                    "calls/dtype",
                    node,
                    "is not a plain number type",
                    "use float, int, bool, np.float64 or x.dtype",
                )


def _find_dtypes(context: Context, call: ast.Call) -> Iterator[ast.expr]:
    for keyword in call.keywords:
        if keyword.arg == "dtype" and not context.find_definition(call.func):
            yield keyword.value
    function = call.func
    if not isinstance(function, ast.Attribute):
        return
    if function.attr == "astype":
        yield from call.args[:1]
    elif find_numpy_name(function):
        position = _DTYPE_POSITION.get(function.attr, len(call.args))
        yield from call.args[position : position + 1]


def _is_plain(context: Context, node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return node.value is None or node.value in language.DTYPE_STRINGS
    if isinstance(node, ast.Attribute):
        of_numpy = find_numpy_name(node)
        return of_numpy in language.NUMPY_TYPES if of_numpy else node.attr == "dtype"
    if context.is_builtin(node, frozenset({"float", "int", "bool"})):
        return True
    value = context.find_value(node) if isinstance(node, ast.Name) else None
    return isinstance(value, ast.Attribute | ast.Constant) and _is_plain(context, value)
