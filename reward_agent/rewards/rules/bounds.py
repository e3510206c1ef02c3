"""Upper bounds on Python integers and lengths, as far as they can be told from the text."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable

from reward_agent.rewards.rules.context import Context, read_number
from reward_agent.rewards.rules.scopes import Scope

_MAX_DEPTH = 24
_MAX_BINDINGS = 8
_ARRAY_SIZE_PER_ROW = 32
_MAX_DIMENSIONS = 4.0
_SAME_LENGTH = frozenset({"reversed", "sorted", "list", "tuple", "enumerate", "iter"})
_DICT_VIEWS = frozenset({"keys", "values", "items", "tolist", "copy", "split"})
_ITERATING = frozenset({"range", "enumerate", "zip", "reversed", "sorted", "list", "tuple"})
_ROUNDINGS = frozenset({"floor", "ceil", "trunc", "rint"})
_PASS_THROUGH = frozenset({"int", "abs", "round", "float"})


class Bounds:
    """Upper bounds of expressions of one program; None where there is none."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[ast.AST, float | None] = {}
        self._names: dict[tuple[Scope, str], float | None] = {}
        self._steps: dict[ast.AST, float | None] = {}
        self._depth = 0

    def upper(self, node: ast.AST | None) -> float | None:
        """Return a bound on the absolute value of an integer expression."""
        if node is None:
            return None
        if node in self._known:
            return self._known[node]
        if self._depth > _MAX_DEPTH:
            return None
        self._known[node] = None
        self._depth += 1
        try:
            self._known[node] = self._bound(node)
        finally:
            self._depth -= 1
        return self._known[node]

    def steps(self, node: ast.AST) -> float | None:
        """Return a bound on how many items iterating an expression gives."""
        if node not in self._steps:
            self._steps[node] = None  # for names that are bound to each other
            self._depth += 1
            try:
                self._steps[node] = self._count_steps(node)
            finally:
                self._depth -= 1
        return self._steps[node]

    def _count_steps(self, node: ast.AST) -> float | None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self._steps_of_call(node, node.func.id)
        length = self.length(node)
        if length is not None:
            return length
        if isinstance(node, ast.Name) and self._depth < _MAX_DEPTH:
            value = self._context.find_value(node)
            if value is not None and value is not node:
                return self.steps(value)
        # Arrays, dicts and lists of the program are as long as there are rows, at most.
        return float(self._context.dialect.rows)

    def length(self, node: ast.AST) -> float | None:
        """Return a bound on the length of a text, list or tuple that is written out."""
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            return float(len(node.elts))
        if isinstance(node, ast.Dict):
            return float(len(node.keys))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return float(len(node.value))
        if isinstance(node, ast.JoinedStr):
            return 100.0
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return self._length_of_repeat(node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.length(node.left), self.length(node.right)
            return None if left is None or right is None else left + right
        return None

    def _length_of_repeat(self, node: ast.BinOp) -> float | None:
        for sequence, times in ((node.left, node.right), (node.right, node.left)):
            length = self.length(sequence)
            if length is not None:
                factor = self.upper(times)
                return length * (self._context.dialect.rows if factor is None else factor)
        return None

    def _steps_of_call(self, node: ast.Call, name: str) -> float | None:
        if not self._context.is_builtin(node.func, frozenset({name})):
            return float(self._context.dialect.rows)
        if name == "range":
            bounds = [self.upper(argument) for argument in node.args]
            if not bounds or node.keywords or any(bound is None for bound in bounds):
                return None
            # Whatever the step is, it only makes the range shorter.
            return sum(bound for bound in bounds[:2] if bound is not None)
        if name in ("zip", "map", "filter"):
            found = [self.steps(item) for item in node.args[1 if name != "zip" else 0 :]]
            known = [steps for steps in found if steps is not None]
            return min(known) if known else None
        if name in _SAME_LENGTH and node.args:
            return self.steps(node.args[0])
        return float(self._context.dialect.rows)

    def _bound(self, node: ast.AST) -> float | None:
        if isinstance(node, ast.Constant):
            number = read_number(node)
            return None if number is None else abs(number)
        if isinstance(node, ast.UnaryOp):
            return self.upper(node.operand)
        if isinstance(node, ast.BinOp):
            return self._bound_of_operation(node)
        if isinstance(node, ast.Name):
            return self._bound_of_name(node)
        if isinstance(node, ast.Call):
            return self._bound_of_call(node)
        if isinstance(node, ast.IfExp):
            return _both(self.upper(node.body), self.upper(node.orelse), max)
        return self._bound_of_shape(node)

    def _bound_of_operation(self, node: ast.BinOp) -> float | None:
        left, right = self.upper(node.left), self.upper(node.right)
        if isinstance(node.op, ast.Add | ast.Sub):
            return _both(left, right, lambda a, b: a + b)
        if isinstance(node.op, ast.Mult):
            return _both(left, right, lambda a, b: a * b)
        if isinstance(node.op, ast.Pow):
            return _both(left, right, _power)
        if isinstance(node.op, ast.FloorDiv | ast.RShift):
            return left
        if isinstance(node.op, ast.Div):
            divisor = read_number(node.right)
            return None if left is None or not divisor else left / abs(divisor)
        if isinstance(node.op, ast.Mod):
            return _both(right, right, min)
        return None

    def _bound_of_call(self, node: ast.Call) -> float | None:
        rows = float(self._context.dialect.rows)
        if isinstance(node.func, ast.Attribute):
            is_rounding = node.func.attr in _ROUNDINGS and len(node.args) == 1
            return self.upper(node.args[0]) if is_rounding else None
        if not isinstance(node.func, ast.Name):
            return None
        name = node.func.id
        if not self._context.is_builtin(node.func, frozenset({name})):
            return None
        if name == "len":
            return (self.length(node.args[0]) if node.args else None) or rows
        if name in _PASS_THROUGH and node.args:
            return self.upper(node.args[0])
        if name == "max" and len(node.args) > 1:
            return _all(self.upper(argument) for argument in node.args)
        if name == "min" and len(node.args) > 1:
            known = [self.upper(argument) for argument in node.args]
            return min((bound for bound in known if bound is not None), default=None)
        return None

    def _bound_of_shape(self, node: ast.AST) -> float | None:
        """Return a bound on ``x.shape[i]``, ``x.ndim``, ``x.size`` and the like."""
        rows = float(self._context.dialect.rows)
        if isinstance(node, ast.Subscript):
            value: ast.AST | None = node.value
            if isinstance(value, ast.Name):
                value = self._context.find_value(value)
            if isinstance(value, ast.Attribute):
                return rows if value.attr == "shape" else None
            return self._bound_of_items(value)
        if isinstance(node, ast.Attribute):
            sizes = {"ndim": _MAX_DIMENSIONS, "size": rows * _ARRAY_SIZE_PER_ROW, "n_steps": rows}
            return sizes.get(node.attr)
        return None

    def _bound_of_name(self, node: ast.Name) -> float | None:
        scope = self._context.scopes.find(node)
        if scope is None:
            return None
        key = (scope, node.id)
        if key not in self._names:
            self._names[key] = None
            bindings = scope.bindings[node.id]
            if len(bindings) <= _MAX_BINDINGS:
                self._names[key] = _all(self._bound_of_binding(item) for item in bindings)
        return self._names[key]

    def _bound_of_binding(self, binding: ast.AST) -> float | None:
        """Return a bound on what a name gets at one place that binds it."""
        parents = self._context.source.parents
        parent = parents.get(binding)
        if isinstance(binding, ast.arg):
            return self._bound_of_parameter(binding)
        if isinstance(parent, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            return self.upper(parent.value)
        if isinstance(parent, ast.For | ast.comprehension) and binding is parent.target:
            return self._bound_of_items(parent.iter)
        if isinstance(parent, ast.Tuple | ast.List):
            return self._bound_of_unpacked(binding, parent)
        return None

    def _bound_of_items(self, node: ast.AST | None, position: int | None = None) -> float | None:
        """Return a bound on the items of ``range(…)``, or of numbers that are written out.

        Args:
            node: what is iterated over, or indexed.
            position: place in each item, where items are tuples.
        """
        if isinstance(node, ast.Name):
            return self._bound_of_items(self._context.find_value(node), position)
        if isinstance(node, ast.List | ast.Tuple):
            return _all(self.upper(_pick(item, position)) for item in node.elts)
        if isinstance(node, ast.Dict):
            return _all(self.upper(item) for item in node.values)
        if not isinstance(node, ast.Call):
            return None
        if isinstance(node.func, ast.Attribute):
            is_view = node.func.attr in ("values", "items")
            return self._bound_of_items(node.func.value) if is_view and position != 0 else None
        return self._bound_of_built_items(node, position)

    def _bound_of_built_items(self, node: ast.Call, position: int | None) -> float | None:
        """Return a bound on the items that a builtin function gives."""
        if not self._context.is_builtin(node.func, _ITERATING) or not isinstance(
            node.func, ast.Name
        ):
            return None
        name = node.func.id
        if name == "range":
            return self.steps(node)
        if name == "enumerate" and position == 0:
            return self.steps(node)
        if name == "zip":
            is_there = position is not None and position < len(node.args)
            return self._bound_of_items(node.args[position or 0]) if is_there else None
        if name == "enumerate":
            position = None
        return self._bound_of_items(node.args[0], position) if node.args else None

    def _bound_of_unpacked(self, binding: ast.AST, target: ast.Tuple | ast.List) -> float | None:
        """Return a bound on a name in ``n, k = x.shape`` or ``for i, x in enumerate(…)``."""
        parent = self._context.source.parents.get(target)
        position = next(index for index, item in enumerate(target.elts) if item is binding)
        if isinstance(parent, ast.For | ast.comprehension):
            return self._bound_of_items(parent.iter, position)
        if not isinstance(parent, ast.Assign):
            return None
        if isinstance(parent.value, ast.Attribute) and parent.value.attr == "shape":
            return float(self._context.dialect.rows)
        is_pair = isinstance(parent.value, ast.Tuple) and len(parent.value.elts) == len(target.elts)
        return self.upper(_pick(parent.value, position)) if is_pair else None

    def _bound_of_parameter(self, parameter: ast.arg) -> float | None:
        """Return a bound over every call of the helper whose parameter this is."""
        function = self._context.scope_of(parameter).node
        given = self._context.arguments_of(function, parameter.arg)
        return _all(self.upper(node) for node in given)


def _pick(node: ast.expr, position: int | None) -> ast.expr | None:
    """Return one part of a tuple that is written out; the node itself without a position."""
    if position is None:
        return node
    is_there = isinstance(node, ast.Tuple) and position < len(node.elts)
    return node.elts[position] if is_there and isinstance(node, ast.Tuple) else None


def _all(bounds: Iterable[float | None]) -> float | None:
    """Return the largest bound; None if one is missing, or there is none."""
    found = list(bounds)
    known = [bound for bound in found if bound is not None]
    return max(known) if found and len(known) == len(found) else None


def _both(
    left: float | None, right: float | None, combine: Callable[[float, float], float]
) -> float | None:
    return None if left is None or right is None else combine(left, right)


def _power(base: float, exponent: float) -> float:
    if base <= 1:
        return 1.0
    return math.inf if exponent * math.log10(base) > 300 else base**exponent
