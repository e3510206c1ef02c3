"""Rules on work: what never ends by itself, and sizes that are written out and no reward needs.

Most of it is left to the clocks at run time: the probe's, and the one that each call of a program
runs under (``program.MAX_CALL_S``). What is refused here has a better message than a clock has.
"""

from __future__ import annotations

import ast
import math
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context, read_number
from reward_agent.types import Finding

_GROWING = frozenset({"append", "extend", "insert", "update", "setdefault"})
# Position of the size, or of the first of several.
_SIZE_POSITION = {
    "arange": 0, "broadcast_to": 1, "empty": 0, "eye": 0, "full": 0, "identity": 0, "linspace": 2,
    "logspace": 2, "ones": 0, "repeat": 1, "tile": 1, "tri": 0, "vander": 1, "zeros": 0,
}  # fmt: skip
_SIZE_KEYWORDS = frozenset({"num", "repeats", "reps", "shape", "stop"})
_MAX_DEPTH = 24
_PASS_THROUGH = frozenset({"int", "abs", "round", "float"})


# --- loops ----------------------------------------------------------------------------------------


def check_growing_loops(context: Context) -> Iterator[Finding]:
    """Refuse a loop over a list that its own body makes longer."""
    for loop in context.source.find(ast.For):
        names = {node.id for node in ast.walk(loop.iter) if isinstance(node, ast.Name)}
        for statement in loop.body:
            for node in ast.walk(statement):
                if (
                    isinstance(node, ast.Attribute)
                    and node.attr in _GROWING
                    and isinstance(node.value, ast.Name)
                    and node.value.id in names
                ):
                    yield context.refuse(
                        "loops/growing",
                        loop,
                        "grows while the loop runs over it",
                        "build a new list in the loop",
                        name=node.value.id,
                    )
                    return


def check_recursion(context: Context) -> Iterator[Finding]:
    """Refuse functions that call themselves, directly or through others."""
    try:
        TopologicalSorter(_find_references(context)).prepare()
    except CycleError as error:
        function = min(error.args[1], key=lambda function: function.lineno)
        yield context.refuse(
            "loops/recursion",
            function,
            "calls itself, directly or through another function",
            "write a loop over a short range",
        )


def check_iterators(context: Context) -> Iterator[Finding]:
    """Refuse ``iter(function, end)``, which never has to end, and iter or next as values."""
    for name in context.source.find(ast.Name):
        if not context.is_builtin(name, frozenset({"iter", "next"})):
            continue
        call = context.source.parents[name]
        is_call = isinstance(call, ast.Call) and call.func is name
        if not is_call or (name.id == "iter" and len(call.args) != 1):  # type: ignore[attr-defined]
            yield context.refuse(
                "loops/unbounded",
                name,
                "is used as a value, or with an end that need not come",
                "loop over the list, tuple or range itself",
            )


def check_ranges(context: Context) -> Iterator[Finding]:
    """Refuse a range that is long as it is written; ``sum(range(10**9))`` is a loop, too."""
    for call in context.source.find(ast.Call):
        if not context.is_builtin(call.func, frozenset({"range"})):
            continue
        known = [_find_bound(context, argument) for argument in call.args[:2]]
        if max((bound for bound in known if bound is not None), default=0) > language.MAX_RANGE:
            yield context.refuse(
                "loops/unbounded",
                call,
                f"is longer than {language.MAX_RANGE:.0e}",
                "compute with whole arrays, or loop over range(3), range(N_LEGS)",
            )


def _find_references(context: Context) -> dict[ast.AST, list[ast.AST]]:
    """Return the functions that each function refers to, nested ones included."""
    found: dict[ast.AST, list[ast.AST]] = defaultdict(list)
    for function in context.source.find(ast.FunctionDef):
        for use in context.uses_of(function):
            for parent in context.source.ancestors(use):
                if isinstance(parent, ast.FunctionDef):
                    found[parent].append(function)
    return found


# --- sizes ----------------------------------------------------------------------------------------


def check_sizes(context: Context) -> Iterator[Finding]:
    """Refuse new arrays of a size, written in the text, that no reward needs."""
    for call in context.source.find(ast.Call):
        function = call.func
        if not isinstance(function, ast.Attribute) or function.attr not in _SIZE_POSITION:
            continue
        start = _SIZE_POSITION[function.attr]
        is_method = not (isinstance(function.value, ast.Name) and function.value.id == "np")
        # The array itself is the first argument of the function, and none of the method.
        given = call.args[max(start - is_method, 0) :][: 1 if start or is_method else None]
        given += [item.value for item in call.keywords if item.arg in _SIZE_KEYWORDS]
        size = _multiply(context, given)
        if size > language.MAX_ARRAY_SIZE:
            yield context.refuse(
                "calls/size",
                call,
                f"makes {size:.0e} elements; at most {language.MAX_ARRAY_SIZE:.0e} are allowed",
                "make arrays of one row a simulation: np.zeros(action.shape[0])",
            )


def _multiply(context: Context, nodes: list[ast.expr]) -> float:
    """Return the product of the sizes that are known."""
    size = 1.0
    for node in nodes:
        for item in node.elts if isinstance(node, ast.Tuple | ast.List) else [node]:
            size *= max(_find_bound(context, item) or 1.0, 1.0)
    return size


def check_arithmetic(context: Context) -> Iterator[Finding]:
    """Refuse powers, shifts and repetitions that are enormous as they are written."""
    for node in context.source.find(ast.BinOp):
        problem = None
        if isinstance(node.op, ast.Pow):
            problem = _judge_power(context, node.left, node.right)
        elif isinstance(node.op, ast.LShift):
            shift = _find_bound(context, node.right)
            if shift is not None and shift > language.MAX_SHIFT:
                problem = f"shifts by more than {language.MAX_SHIFT}"
        elif isinstance(node.op, ast.Mult):
            length = _find_length(context, node)
            if length is not None and length > language.MAX_REPEAT:
                problem = f"repeats a text or list to more than {language.MAX_REPEAT} items"
        if problem:
            text = context.text(node)
            yield context.refuse(
                "syntax/arithmetic",
                node,
                problem,
                "use floats or arrays of the size needed",
                name=text,
            )


def check_power_calls(context: Context) -> Iterator[Finding]:
    """Refuse ``pow`` with an enormous exponent; ``**`` has a rule of its own."""
    for call in context.source.find(ast.Call):
        if not context.is_builtin(call.func, frozenset({"pow"})):
            continue
        has_both = len(call.args) > 1
        problem = _judge_power(context, *call.args[:2]) if has_both else "needs two arguments"
        if problem:
            yield context.refuse("syntax/arithmetic", call, problem, "write x ** 2")


def _judge_power(context: Context, base: ast.expr, exponent: ast.expr) -> str | None:
    power = _find_bound(context, exponent)
    if power is not None and power > language.MAX_POWER:
        return f"has an exponent above {language.MAX_POWER}"
    value = _find_bound(context, base)
    if value is not None and power is not None and value > 1:
        digits = power * len(f"{int(min(value, 10.0**300)):d}")
        if digits > 300:
            return "has more than 300 digits"
    return None


# --- numbers that are written out -----------------------------------------------------------------


def _find_bound(context: Context, node: ast.AST | None, depth: int = 0) -> float | None:
    """Return a bound on the absolute value of an expression of numbers that are written out."""
    if node is None or depth > _MAX_DEPTH:
        return None
    if node not in context.bounds:
        context.bounds[node] = None  # for names that are bound to each other
        context.bounds[node] = _compute_bound(context, node, depth + 1)
    return context.bounds[node]


def _compute_bound(context: Context, node: ast.AST, depth: int) -> float | None:
    if isinstance(node, ast.Constant):
        number = read_number(node)
        return None if number is None else abs(number)
    if isinstance(node, ast.UnaryOp):
        return _find_bound(context, node.operand, depth)
    if isinstance(node, ast.Name):
        return _find_bound(context, context.find_value(node), depth)
    if isinstance(node, ast.Call) and context.is_builtin(node.func, _PASS_THROUGH) and node.args:
        return _find_bound(context, node.args[0], depth)
    if not isinstance(node, ast.BinOp):
        return None
    left = _find_bound(context, node.left, depth)
    right = _find_bound(context, node.right, depth)
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Add | ast.Sub):
        return left + right
    if isinstance(node.op, ast.Mult):
        return left * right
    if isinstance(node.op, ast.Pow):
        return _power(left, right)
    return left if isinstance(node.op, ast.FloorDiv | ast.RShift) else None


def _find_length(context: Context, node: ast.AST) -> float | None:
    """Return a bound on the length of a text, list or tuple that is written out."""
    if isinstance(node, ast.List | ast.Tuple):
        return float(len(node.elts))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return float(len(node.value))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for sequence, times in ((node.left, node.right), (node.right, node.left)):
            length = _find_length(context, sequence)
            factor = None if length is None else _find_bound(context, times)
            if length is not None and factor is not None:
                return length * factor
    return None


def _power(base: float, exponent: float) -> float:
    if base <= 1:
        return 1.0
    return math.inf if exponent * math.log10(base) > 300 else base**exponent
