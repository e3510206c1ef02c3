"""What a reviewer would raise: warnings and hints, none of which refuses a program."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context, find_numpy_name, read_number
from reward_agent.types import Finding

# e^14 is above the largest reward that the contract accepts; e^-14 is below any other term.
_EXPONENT_LIMIT = math.log(language.MAX_REWARD)
_PLAIN_NUMBERS = frozenset({None, 0, 1, 2, 3, 4, 10, 0.5, 0.1, 0.01, 0.001, 100, 1000})
_MIN_UNNAMED = 4


def check_ignored_next_state(context: Context) -> Iterator[Finding]:
    """Warn of a reward that never looks at what the action led to."""
    function = context.find_function(language.REWARD_ENTRY)
    if context.dialect.kind != "reward" or function is None:
        return
    uses = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    if "next_state" not in uses:
        yield context.note(
            "warning",
            "quality/ignores-next-state",
            function,
            "is never read: the reward cannot tell what the action led to",
            "read the fields from next_state, state only for differences",
            name="next_state",
        )


def check_unused_terms(context: Context) -> Iterator[Finding]:
    """Warn of a value that is computed and then not used: a forgotten term, as a rule."""
    for function in context.source.find(ast.FunctionDef):
        scope = context.scopes.of[function.body[0]]
        loaded = {
            node.id
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        for name, bindings in scope.bindings.items():
            parent = context.source.parents.get(bindings[0])
            if name in loaded or name.startswith("_") or not isinstance(parent, ast.Assign):
                continue
            if bindings[0] not in parent.targets:
                continue
            yield context.note(
                "warning",
                "quality/unused",
                bindings[0],
                "is computed and never used",
                "add it to the reward and to the terms, or delete it",
                name=name,
            )


def check_exponents(context: Context) -> Iterator[Finding]:
    """Warn of an exponential that is flat or enormous over most of its field's range."""
    sampling = Sampling(context)
    for call in context.source.find(ast.Call):
        if context.text(call.func) not in ("np.exp", "math.exp") or len(call.args) != 1:
            continue
        values = sampling.evaluate(call.args[0])
        if values is None or min(values) == max(values):
            continue
        n_alive = sum(value > -_EXPONENT_LIMIT for value in values)
        if max(values) > _EXPONENT_LIMIT:
            problem = f"grows to e^{max(values):.0f} within the range of its field"
        elif n_alive <= max(1, SAMPLES // 20):
            problem = f"is below e^-{_EXPONENT_LIMIT:.0f} over nearly all of its field's range"
        else:
            continue
        yield context.note(
            "warning",
            "quality/exponent",
            call,
            problem,
            "divide by a scale like the field's own: np.exp(-np.abs(x) / scale), or use tolerance",
        )


def check_potential_calls(context: Context) -> Iterator[Finding]:
    """Warn of shaping that is counted twice, or not at all."""
    function = context.find_function(language.POTENTIAL_ENTRY)
    if context.dialect.kind != "reward" or function is None:
        return
    is_entry, is_used = context.entry_of(function) is not None, bool(context.uses_of(function))
    if is_entry and is_used:
        problem = "is added by the framework, and is called here too"
        remedy = "delete your own γΦ(s') - Φ(s), or give the helper another name"
    elif not is_entry and not is_used:
        problem = "is never used: the framework calls potential(state) only"
        remedy = "write def potential(state):"
    else:
        return
    yield context.note("warning", "quality/potential", function, problem, remedy)


def check_slow_loops(context: Context) -> Iterator[Finding]:
    """Warn of a Python loop over the simulations."""
    for loop in context.loops():
        if context.dialect.kind == "reward" and _is_over_rows(context, loop.iter):
            yield context.note(
                "warning",
                "quality/slow-loop",
                loop.iter,
                "loops over the simulations in Python",
                "compute with whole arrays: np.where, axis=-1",
            )
            return


def _is_over_rows(context: Context, node: ast.expr) -> bool:
    """Whether something is ``range(x.shape[0])`` or ``range(len(x))``, perhaps by way of a name."""
    if not (isinstance(node, ast.Call) and context.is_builtin(node.func, frozenset({"range"}))):
        return False
    last = node.args[min(1, len(node.args) - 1)] if node.args else None
    if isinstance(last, ast.Name):
        value = context.find_value(last)
        last = value if isinstance(value, ast.expr) else None
    if isinstance(last, ast.Subscript):
        is_shape = isinstance(last.value, ast.Attribute) and last.value.attr == "shape"
        return is_shape and isinstance(last.slice, ast.Constant) and last.slice.value == 0
    if isinstance(last, ast.Call) and context.is_builtin(last.func, frozenset({"len"})):
        counted = last.args[0] if last.args else None
        return isinstance(counted, ast.Attribute) or context.text(last) == "len(action)"
    return False


def check_broad_excepts(context: Context) -> Iterator[Finding]:
    """Hint at a handler that hides every fault."""
    for handler in context.source.find(ast.ExceptHandler):
        if isinstance(handler.type, ast.Name) and handler.type.id == "Exception":
            yield context.note(
                "hint",
                "quality/broad-except",
                handler,
                "hides faults of the program itself",
                "guard the value: np.maximum(x, 1e-6), np.clip, np.where",
                name="except Exception",
            )


def check_portability(context: Context) -> Iterator[Finding]:
    """Hint at writing into arrays, which programs on jax.numpy cannot do."""
    for node in context.source.find(ast.Subscript):
        if isinstance(node.ctx, ast.Store) and _is_array_write(context, node):
            yield context.note(
                "hint",
                "quality/not-portable",
                node,
                "is written in place; such a program does not run on jax.numpy",
                "use np.where(mask, a, b) or np.stack",
            )
            return


def _is_array_write(context: Context, node: ast.Subscript) -> bool:
    """Whether an item of an array is written, as far as one can tell: not one of a dict or list."""
    if isinstance(node.slice, ast.Slice | ast.Tuple | ast.Compare | ast.UnaryOp):
        return True
    value = context.find_value(node.value) if isinstance(node.value, ast.Name) else None
    return isinstance(value, ast.Call) and context.text(value).startswith("np.")


def check_magic_numbers(context: Context) -> Iterator[Finding]:
    """Hint at numbers in the reward that have no name."""
    function = context.find_function(language.REWARD_ENTRY)
    if context.dialect.kind != "reward" or function is None:
        return
    unnamed = [
        node
        for node in context.source.find(ast.Constant)
        if read_number(node) not in _PLAIN_NUMBERS and _is_bare(context, node, function)
    ]
    numbers = list(dict.fromkeys(context.text(node) for node in unnamed))
    if len(numbers) >= _MIN_UNNAMED:
        shown = ", ".join(numbers[:6])
        yield context.note(
            "hint",
            "quality/magic-number",
            unnamed[0],
            "have no name",
            "name them at the top, with their unit: TARGET_SPEED = 2.0  # m/s",
            name=shown,
        )


def _is_bare(context: Context, node: ast.Constant, function: ast.FunctionDef) -> bool:
    """Whether a number stands in an expression of the function, not in an assignment of its own."""
    parent = context.source.parents[node]
    while isinstance(parent, ast.UnaryOp | ast.Tuple | ast.List):
        parent = context.source.parents[parent]
    named = isinstance(parent, ast.Assign | ast.AnnAssign | ast.keyword | ast.Slice | ast.Subscript)
    return not named and function in context.source.ancestors(node)


# --- rough values of an expression over the ranges of its fields, without running anything --------

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
        operation = _UNARY.get(find_numpy_name(node.func) or "")
        if operation is None or len(node.args) != 1 or node.keywords:
            return None
        return _map(operation, self.evaluate(node.args[0]))


def _map(operation: Callable[[float], float], values: Values | None) -> Values | None:
    return None if values is None else [operation(value) for value in values]
