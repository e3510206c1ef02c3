"""Rules on what a program is made of: statements, constants, exceptions, text formatting."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from reward_agent.records.job import PROGRAM_FILE
from reward_agent.rewards import language
from reward_agent.rewards.rules import statements
from reward_agent.rewards.rules.context import Context, find_numpy_name
from reward_agent.rewards.source import compile_tree
from reward_agent.types import Finding

# How a kind of syntax is written, and what to write instead.
_PLAIN = "use plain functions, expressions, if and for"
_KINDS: dict[str, tuple[str, str]] = {
    "While": ("while", "use `for i in range(…)` with a bound, or np.where on whole arrays"),
    "ClassDef": ("class", "use functions and dicts"),
    "AsyncFunctionDef": ("async def", "write a plain function"),
    "Await": ("await", "delete the word, and call a plain function"),
    "AsyncFor": ("async for", _PLAIN),
    "AsyncWith": ("async with", _PLAIN),
    "Yield": ("yield", "return an array, or build a list in a comprehension"),
    "YieldFrom": ("yield from", "return an array, or build a list in a comprehension"),
    "Global": (
        "global",
        "pass values as arguments; use init_memory for what an episode must remember",
    ),
    "Nonlocal": ("nonlocal", "pass values as arguments and return them"),
    "Match": ("match", "use if / elif on Python scalars, np.where on arrays"),
    "TryStar": ("except*", "use a plain try with named exceptions, or none"),
}
# ``{}``, ``{0}``, ``{name!r}``, ``{name:.2f}``.
_PLAIN_TEMPLATE = re.compile(r"(?:[^{}]|\{\{|\}\}|\{\w*(?:![rs])?(?::[^{}]*)?\})*")
_MAX_TEXT_CHARS = 1_000
_MOST_OF_A_KIND = 3


def check_nodes(context: Context) -> Iterator[Finding]:
    """Refuse every kind of syntax that is not on the list."""
    for generator in context.source.find(ast.comprehension):
        if generator.is_async:
            yield context.refuse(
                "syntax/not-allowed",
                generator.iter,
                "is not part of the language",
                "use a plain for",
                name="async for",
            )
    for kind, nodes in context.source.nodes.items():
        if kind in language.NODES:
            continue
        word, remedy = _KINDS.get(kind.__name__, (kind.__name__, _PLAIN))
        told: set[str] = set()
        for node in nodes[:_MOST_OF_A_KIND]:
            exact = statements.replace_statement(node) or remedy
            if exact in told:
                continue
            told.add(exact)
            # Parts of match and the like have no place of their own.
            around = (node, *context.source.ancestors(node))
            place = next((item for item in around if hasattr(item, "lineno")), node)
            yield context.refuse(
                "syntax/not-allowed", place, "is not part of the language", exact, name=word
            )


def compile_alone(context: Context) -> Iterator[Finding]:
    """Refuse what Python's parser lets through and its compiler does not; nothing is run."""
    try:
        compile_tree(context.source.tree, PROGRAM_FILE)
    except SyntaxError as error:
        place = ast.Pass(lineno=error.lineno or 1, col_offset=max((error.offset or 1) - 1, 0))
        problem = "is not valid Python"
        yield context.refuse(
            "text/syntax", place, problem, "write valid Python", name=str(error.msg)
        )
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        name = type(error).__name__
        problem = "in Python's compiler"
        yield context.refuse("text/syntax", context.source.tree, problem, "write less", name=name)


def check_functions(context: Context) -> Iterator[Finding]:
    """Refuse decorators, type parameters, and more functions than anyone reads."""
    functions: list[ast.AST] = [*context.source.find(ast.FunctionDef)]
    functions += context.source.find(ast.Lambda)
    if len(functions) > language.MAX_FUNCTIONS:
        yield context.refuse(
            "syntax/functions",
            functions[-1],
            f"is function number {len(functions)}; at most {language.MAX_FUNCTIONS} are allowed",
            "write fewer helpers",
            name=context.text(functions[-1]),
        )
    for function in context.source.find(ast.FunctionDef):
        if function.decorator_list or getattr(function, "type_params", None):
            yield context.refuse(
                "syntax/decorator",
                function,
                "has a decorator or type parameters, which run when it is defined",
                "delete them",
            )


def check_constants(context: Context) -> Iterator[Finding]:
    """Refuse constants that are not numbers or short text, and integers without bound."""
    for node in context.source.find(ast.Constant):
        value = node.value
        if isinstance(value, bytes | complex):
            problem, remedy = f"is a {type(value).__name__} constant", "use floats and text"
        elif isinstance(value, int) and abs(value) > language.MAX_INTEGER:
            problem, remedy = f"is larger than {language.MAX_INTEGER:.0e}", "write it as a float"
        elif (
            isinstance(value, str)
            and len(value) > _MAX_TEXT_CHARS
            and not isinstance(context.source.parents[node], ast.Expr)  # a docstring
        ):
            problem, remedy = f"is a text of {len(value)} characters", "shorten it"
        else:
            continue
        yield context.refuse("syntax/constant", node, problem, remedy)


def check_exceptions(context: Context) -> Iterator[Finding]:
    """Allow named exceptions of the list only: no bare except, no `as`, no finally."""
    for handler in context.source.find(ast.ExceptHandler):
        kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
        bad = [kind for kind in kinds if kind is None or not _is_exception(context, kind)]
        if bad or handler.name:
            name = "except" if bad[:1] == [None] else context.text(handler)
            yield context.refuse(
                "syntax/except",
                handler,
                "catches more than named errors, or keeps the error object",
                statements.replace_handler(handler),
                name=name,
            )
    for attempt in context.source.find(ast.Try):
        if attempt.finalbody:
            yield context.refuse(
                "syntax/finally",
                attempt.finalbody[0],
                "is not part of the language",
                "write the statements after the try",
                name="finally",
            )
    for error in context.source.find(ast.Raise):
        made = error.exc.func if isinstance(error.exc, ast.Call) else error.exc
        has_cause = error.cause is not None and not (
            isinstance(error.cause, ast.Constant) and error.cause.value is None
        )
        if made is None or not _is_exception(context, made) or has_cause:
            yield context.refuse(
                "syntax/raise",
                error,
                "raises something else than an error of the list",
                "raise ValueError('…')",
            )


def check_with(context: Context) -> Iterator[Finding]:
    """Allow `with np.errstate(kind="ignore")` only."""
    for item in context.source.find(ast.withitem):
        call = item.context_expr
        if item.optional_vars is None and _is_errstate(call):
            continue
        yield context.refuse(
            "syntax/with", call, "is not allowed in with", statements.replace_with(item)
        )


def check_format_calls(context: Context) -> Iterator[Finding]:
    """Allow ``"leg_{}".format(i)`` on a text that is written out, with plain fields."""
    for node in context.source.find(ast.Attribute):
        if node.attr != "format":
            continue
        call = context.source.parents[node]
        text = node.value.value if isinstance(node.value, ast.Constant) else None
        is_call = isinstance(call, ast.Call) and call.func is node
        if not is_call or not isinstance(text, str) or not _PLAIN_TEMPLATE.fullmatch(text):
            yield context.refuse(
                "syntax/format",
                node,
                "is a format whose fields could reach into objects",
                "use an f-string such as f'leg_{i}'",
            )


def _is_exception(context: Context, node: ast.expr) -> bool:
    is_linear_algebra = isinstance(node, ast.Attribute) and node.attr == "LinAlgError"
    return is_linear_algebra or context.is_builtin(node, language.EXCEPTIONS)


def _is_errstate(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and find_numpy_name(node.func) == "errstate"
        and not node.args
        and all(
            keyword.arg in language.ERRSTATE_KEYWORDS
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value in language.ERRSTATE_VALUES
            for keyword in node.keywords
        )
    )
