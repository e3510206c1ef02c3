"""Rough values of an expression over the range of the fields in it, without running anything."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable

from reward_agent.rewards.rules.context import Context, read_number

# Samples of each field, evenly from one end of its range to the other.
SAMPLES = 41
_MAX_DEPTH = 12
_LARGE = 1e12
_EXPONENTS = (1, 2, 3, 4, 6)

Values = list[float]

_UNARY: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "absolute": abs,
    "square": lambda x: x * x,
    "sqrt": lambda x: math.sqrt(abs(x)),
    "negative": lambda x: -x,
    "tanh": math.tanh,
    "sin": math.sin,
    "cos": math.cos,
}
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b if b else math.copysign(_LARGE, a),
}


class Sampling:
    """Values of expressions when every field goes through its range at once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ranges = {item.name: item.range for item in context.card.state}
        self._known: dict[ast.AST, Values | None] = {}
        self._depth = 0

    def evaluate(self, node: ast.AST) -> Values | None:
        """Return values of an expression, or None where it is out of reach."""
        if node in self._known:
            return self._known[node]
        if self._depth > _MAX_DEPTH:
            return None
        self._known[node] = None  # for names that are bound to each other
        self._depth += 1
        try:
            values = self._evaluate(node)
        finally:
            self._depth -= 1
        if values is not None and all(abs(value) < _LARGE for value in values):
            self._known[node] = values
        return self._known[node]

    def _evaluate(self, node: ast.AST) -> Values | None:
        if isinstance(node, ast.Constant):
            number = read_number(node)
            return None if number is None else [number] * SAMPLES
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return _map(lambda x: -x, self.evaluate(node.operand))
        if isinstance(node, ast.BinOp):
            return self._evaluate_operation(node)
        if isinstance(node, ast.Attribute):
            return self._evaluate_field(node)
        if isinstance(node, ast.Call):
            return self._evaluate_call(node)
        if isinstance(node, ast.Name):
            value = self._context.find_value(node)
            return None if value is None else self.evaluate(value)
        return None

    def _evaluate_operation(self, node: ast.BinOp) -> Values | None:
        left = self.evaluate(node.left)
        if isinstance(node.op, ast.Pow):
            exponent = read_number(node.right)
            if exponent is None or exponent not in _EXPONENTS:
                return None
            power = int(exponent)
            return _map(lambda x: float(x**power), left)
        operation = _BINARY.get(type(node.op))
        if operation is None or left is None:
            return None
        right = self.evaluate(node.right)
        return (
            None if right is None else [operation(a, b) for a, b in zip(left, right, strict=True)]
        )

    def _evaluate_field(self, node: ast.Attribute) -> Values | None:
        """Return samples of a scalar or vector field; of a vector, any one component."""
        bounds = self._ranges.get(node.attr) if self._context.is_subject(node.value) else None
        if bounds is None or not all(math.isfinite(bound) for bound in bounds):
            return None
        low, high = bounds
        return [low + (high - low) * index / (SAMPLES - 1) for index in range(SAMPLES)]

    def _evaluate_call(self, node: ast.Call) -> Values | None:
        function = node.func
        is_numpy = (
            isinstance(function, ast.Attribute)
            and isinstance(function.value, ast.Name)
            and function.value.id == "np"
        )
        if not is_numpy or len(node.args) != 1 or node.keywords:
            return None
        assert isinstance(function, ast.Attribute)
        operation = _UNARY.get(function.attr)
        return None if operation is None else _map(operation, self.evaluate(node.args[0]))


def _map(operation: Callable[[float], float], values: Values | None) -> Values | None:
    return None if values is None else [operation(value) for value in values]
