"""What an expression holds, as far as it is sure: an array over all simulations, or none known."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Literal

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context, find_numpy_name

# (N,), (N, 1), (N, k), and an array whose axes beside the first are not known.
Kind = Literal["row", "column", "vector", "array"]

REDUCTIONS = language.split_names(
    "all any argmax argmin count_nonzero max mean median min prod ptp std sum var amax amin"
)
_ALIKE = language.NUMPY_UFUNCS | language.split_names(
    "around clip copy full_like nan_to_num ones_like round where zeros_like"
)
_ALIKE_METHODS = language.split_names("astype clip copy round")
_FLAG_FUNCTIONS = language.split_names(
    "equal greater greater_equal isclose isfinite isinf isnan less less_equal logical_and "
    "logical_not logical_or logical_xor not_equal signbit"
)
_ALIKE_HELPERS = frozenset({"tolerance", "wrap_angle", "angle_difference"})
_ROW_HELPERS = frozenset({"quat_angle", "quat_to_pitch", "quat_to_roll", "quat_to_yaw"})
# How far a value is followed back, and how many meanings of one name are looked at.
_MAX_DEPTH = 60
_MAX_BINDINGS = 40
# Parameters of a function that is paid one step at a time, as people write it.
_STEP_INPUTS = language.split_names("obs observation next_obs next_observation action actions")


class Kinds:
    """Tells the kind of each expression of one program."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[ast.AST, Kind | None] = {}
        self._open: set[ast.AST] = set()
        self._places: dict[ast.AST, dict[ast.AST, int]] = {}
        self._calls: dict[str, list[ast.Call]] = {}
        for call in context.source.find(ast.Call):
            if isinstance(call.func, ast.Name):
                self._calls.setdefault(call.func.id, []).append(call)
        # Without an entry its functions are read as those of one step.
        self.is_of_step = context.find_function(language.REWARD_ENTRY) is None

    def of(self, node: ast.AST) -> Kind | None:
        """Return the kind of an expression; None where it is plain, or not known."""
        if node in self._known:
            return self._known[node]
        if node in self._open or len(self._open) > _MAX_DEPTH:
            return None
        self._open.add(node)
        found = self._known[node] = self._find(node)
        self._open.discard(node)
        return found

    def is_flag(self, node: ast.AST) -> bool:
        """Whether an expression holds true or false."""
        if isinstance(node, ast.Compare):
            return True
        if isinstance(node, ast.BoolOp):
            return all(map(self.is_flag, node.values))
        if isinstance(node, ast.UnaryOp):
            is_not = isinstance(node.op, ast.Not)
            return is_not or (isinstance(node.op, ast.Invert) and self.is_flag(node.operand))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr | ast.BitXor):
            return self.is_flag(node.left)
        if isinstance(node, ast.Constant):
            return isinstance(node.value, bool)
        if isinstance(node, ast.Call):
            return self._gives_flag(node)
        value = self._context.find_value(node) if isinstance(node, ast.Name) else None
        if value is None or value in self._open or len(self._open) > _MAX_DEPTH:
            return False
        self._open.add(value)
        found = self.is_flag(value)
        self._open.discard(value)
        return found

    def _gives_flag(self, node: ast.Call) -> bool:
        if find_numpy_name(node.func) in _FLAG_FUNCTIONS:
            return True
        if not isinstance(node.func, ast.Name):
            return False
        own = self._context.find_function(node.func.id)
        if own is None or own in self._open:
            return self._context.is_builtin(node.func, frozenset({"bool"}))
        self._open.add(own)
        returned = [item.value for item in ast.walk(own) if isinstance(item, ast.Return)]
        found = bool(returned) and all(item is not None and self.is_flag(item) for item in returned)
        self._open.discard(own)
        return found

    def is_state(self, node: ast.AST) -> bool:
        """Whether an expression is the state itself, in an entry or in what an entry calls."""
        if self._context.is_subject(node):
            return True
        given = self._list_arguments(node) if isinstance(node, ast.Name) else []
        return any(self._context.is_subject(item) for item in given)

    def find_column(self, node: ast.expr) -> ast.Subscript | None:
        """Return the slice of one column, ``v[:, 8:9]``, that a name stands for."""
        value = self._context.find_value(node) if isinstance(node, ast.Name) else None
        is_slice = isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Tuple)
        if is_slice and find_width(value.slice.elts[-1]) == 1:  # type: ignore[union-attr]
            return value  # type: ignore[return-value]
        return None

    def _find(self, node: ast.AST) -> Kind | None:
        method = getattr(self, f"_find_{type(node).__name__.lower()}", None)
        found: Kind | None = method(node) if method else None
        return found

    def _join(self, *nodes: ast.AST) -> Kind | None:
        found = {self.of(node) for node in nodes} - {None}
        if len(found) > 1:
            return "vector" if "vector" in found and "array" not in found else "array"
        return next(iter(found), None)

    def _find_attribute(self, node: ast.Attribute) -> Kind | None:
        if not self.is_state(node.value):
            return None
        if node.attr == "observation":
            return "vector"
        field = next((item for item in self._context.card.fields if item.name == node.attr), None)
        return None if field is None else "row" if field.size is None else "vector"

    def _find_binop(self, node: ast.BinOp) -> Kind | None:
        if isinstance(node.op, ast.MatMult):
            return "row" if self.of(node.left) == "vector" and self.is_of_step else None
        return self._join(node.left, node.right)

    def _find_unaryop(self, node: ast.UnaryOp) -> Kind | None:
        return self.of(node.operand)

    def _find_compare(self, node: ast.Compare) -> Kind | None:
        if isinstance(node.ops[0], ast.Is | ast.IsNot | ast.In | ast.NotIn):
            return None
        return self._join(node.left, *node.comparators)

    def _find_boolop(self, node: ast.BoolOp) -> Kind | None:
        return self._join(*node.values)

    def _find_ifexp(self, node: ast.IfExp) -> Kind | None:
        return self._join(node.test, node.body, node.orelse)

    def _find_namedexpr(self, node: ast.NamedExpr) -> Kind | None:
        return self.of(node.value)

    def _find_subscript(self, node: ast.Subscript) -> Kind | None:
        base, place = self.of(node.value), node.slice
        if isinstance(node.value, ast.Name) and node.value.id == language.MEMORY_PARAMETER:
            return "array" if self._is_given(node.value) else None
        if isinstance(place, ast.Tuple) and len(place.elts) == 2:
            first, second = place.elts
            if not is_whole(first):
                return None
            is_new = isinstance(second, ast.Constant) and second.value is None
            if base == "row":
                return "column" if is_new else None
            if base == "vector" and not is_new:
                return self._find_part(second)
        # As it is after v[0] is rewritten to v[:, 0].
        is_part = base == "vector" and not isinstance(place, ast.Tuple)
        return self._find_part(place) if is_part else None

    def _find_part(self, place: ast.expr) -> Kind | None:
        if self.is_integer(place):
            return "row"
        if isinstance(place, ast.Slice):
            return "column" if find_width(place) == 1 else "vector"
        return None

    def is_integer(self, place: ast.expr) -> bool:
        """Whether an index is one number: written out, or counted by `for i in range(…)`."""
        if isinstance(place, ast.BinOp):
            return self.is_integer(place.left) and self.is_integer(place.right)
        if not isinstance(place, ast.Name):
            return _read_integer(place) is not None
        scope = self._context.scopes.find(place)
        bindings = scope.bindings[place.id] if scope else []
        loops = [self._context.source.parents.get(binding) for binding in bindings]
        return bool(loops) and all(
            isinstance(loop, ast.For | ast.comprehension)
            and isinstance(loop.iter, ast.Call)
            and isinstance(loop.iter.func, ast.Name)
            and loop.iter.func.id == "range"
            for loop in loops
        )

    def _find_call(self, node: ast.Call) -> Kind | None:
        function, name = node.func, find_numpy_name(node.func)
        if name in REDUCTIONS or _is_norm(function):
            return self._reduce(node, node.args[0]) if node.args else None
        if name in ("dot", "inner", "vdot"):
            is_dot = self.is_of_step and node.args and self.of(node.args[0]) == "vector"
            return "row" if is_dot else None
        if name in _ALIKE:
            return self._join(*node.args)
        if name in ("array", "asarray", "stack", "column_stack") and node.args:
            return self._stack(node, name)
        if isinstance(function, ast.Name):
            return self._find_result(function, node)
        if isinstance(function, ast.Attribute):
            if isinstance(function.value, ast.Name) and function.value.id == "math":
                return self._join(*node.args)
            if function.attr in _ALIKE_METHODS:
                return self.of(function.value)
            if function.attr in REDUCTIONS and name is None:
                return self._reduce(node, function.value)
        return None

    def _stack(self, node: ast.Call, name: str) -> Kind | None:
        listed = node.args[0]
        if isinstance(listed, ast.List | ast.Tuple) and self.is_of_step:
            return "vector" if any(self.of(item) == "row" for item in listed.elts) else None
        is_joined = name == "column_stack" or (name == "stack" and find_axis(node) in (-1, 1))
        return "vector" if is_joined else self.of(listed) if name == "asarray" else None

    def _reduce(self, node: ast.Call, value: ast.expr) -> Kind | None:
        if self.of(value) not in ("vector", "column"):
            return None
        keeps = any(keyword.arg == "keepdims" for keyword in node.keywords)
        if find_axis(node) in (-1, 1):
            return "column" if keeps else "row"
        return "row" if self.is_of_step else None

    def _find_result(self, function: ast.Name, node: ast.Call) -> Kind | None:
        """Return what a function of Python, a helper, or one of the program's own gives."""
        context = self._context
        if context.is_builtin(function, frozenset({"abs", "float", "int", "bool", "pow", "round"})):
            return self._join(*node.args)
        if context.is_builtin(function, frozenset({"max", "min"})) and len(node.args) > 1:
            return self._join(*node.args)
        if context.is_builtin(function, _ALIKE_HELPERS):
            return self._join(*node.args[:2])
        if context.is_builtin(function, _ROW_HELPERS):
            return "row" if node.args and self.of(node.args[0]) == "vector" else None
        own = context.find_function(function.id)
        if own is None:
            return None
        returned = [
            item.value for item in ast.walk(own) if isinstance(item, ast.Return) and item.value
        ]
        return self._join(*returned)

    def _find_name(self, node: ast.Name) -> Kind | None:
        bindings = self._reach(node)
        found = [self._find_bound(binding) for binding in bindings]
        if not found or None in found:
            return None
        return found[0] if len(set(found)) == 1 else "array"

    def _reach(self, node: ast.Name) -> list[ast.AST]:
        """Return the bindings that a name may have where it is read."""
        scope = self._context.scopes.find(node)
        bindings = scope.bindings[node.id] if scope else []
        if scope is None or len(bindings) > _MAX_BINDINGS:
            return []
        if not isinstance(scope.node, ast.FunctionDef):
            return bindings
        here = self._place(node, scope.node)
        before = [b for b in bindings if self._place(b, scope.node) < here]
        sure = [b for b in before if self._is_direct(b, scope.node)]
        if sure:
            first = self._place(sure[-1], scope.node)
            return [b for b in before if self._place(b, scope.node) >= first]
        return before or bindings

    def _place(self, node: ast.AST, function: ast.FunctionDef) -> int:
        """Return the number of the statement of a function that a node stands in."""
        if function not in self._places:
            top = [function.args, *function.body]
            self._places[function] = {item: number for number, item in enumerate(top)}
        places = self._places[function]
        around = (node, *self._context.source.ancestors(node))
        return next((places[item] for item in around if item in places), -1)

    def _is_direct(self, binding: ast.AST, function: ast.FunctionDef) -> bool:
        """Whether a binding happens each time that the function runs."""
        parents = self._context.source.parents
        statement = parents.get(binding)
        while isinstance(statement, ast.Tuple | ast.List | ast.Starred):
            statement = parents.get(statement)
        if isinstance(statement, ast.arguments):
            return True
        is_set = isinstance(statement, ast.Assign | ast.AnnAssign)
        return is_set and parents.get(statement) is function  # type: ignore[arg-type]

    def _find_bound(self, binding: ast.AST) -> Kind | None:
        if isinstance(binding, ast.arg):
            return self._find_parameter(binding)
        statement = self._context.source.parents.get(binding)
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            return self.of(statement.value) if statement.value is not None else None
        if isinstance(statement, ast.AugAssign):
            assert isinstance(binding, ast.Name)
            before = [b for b in self._bindings(binding) if b is not binding]
            kinds = {self._find_bound(b) for b in before if b not in self._open} | {
                self.of(statement.value)
            }
            kinds.discard(None)
            return next(iter(kinds)) if len(kinds) == 1 else "array" if kinds else None
        is_part = isinstance(statement, ast.Tuple) and isinstance(
            self._context.source.parents.get(statement), ast.Assign
        )
        if is_part:
            whole = self._context.source.parents[statement]  # type: ignore[index]
            return "row" if self.of(whole.value) == "vector" else None  # type: ignore[attr-defined]
        return None

    def _bindings(self, name: ast.Name) -> list[ast.AST]:
        scope = self._context.scopes.of[name]
        return [b for b in scope.bindings[name.id] if b.lineno < name.lineno]  # type: ignore[attr-defined]

    def _find_parameter(self, parameter: ast.arg) -> Kind | None:
        function = self._function_of(parameter)
        if function is None:
            return None
        if self._context.entry_of(function):
            return "vector" if parameter.arg == "action" else None
        if self.is_of_step and parameter.arg in _STEP_INPUTS:
            return "vector"
        return self._join(*self._list_given(function, parameter.arg))

    def _is_given(self, node: ast.Name) -> bool:
        scope = self._context.scopes.find(node)
        return scope is not None and self._context.entry_of(scope.node) is not None

    def _function_of(self, parameter: ast.arg) -> ast.FunctionDef | None:
        parents = self._context.source.parents
        function = parents.get(parents.get(parameter))  # type: ignore[arg-type]
        return function if isinstance(function, ast.FunctionDef) else None

    def _list_arguments(self, node: ast.Name) -> list[ast.expr]:
        """Return what the calls in the program give for the parameter that a name is."""
        scope = self._context.scopes.find(node)
        bindings = scope.bindings[node.id] if scope else []
        if len(bindings) != 1 or not isinstance(bindings[0], ast.arg):
            return []
        function = self._function_of(bindings[0])
        return list(self._list_given(function, node.id)) if function else []

    def _list_given(self, function: ast.FunctionDef, name: str) -> Iterator[ast.expr]:
        names = [item.arg for item in [*function.args.posonlyargs, *function.args.args]]
        for call in self._calls.get(function.name, []):
            place = names.index(name) if name in names else len(call.args)
            if place < len(call.args):
                yield call.args[place]
            yield from (keyword.value for keyword in call.keywords if keyword.arg == name)


def find_axis(call: ast.Call) -> int | None:
    """Return the axis that is written out in a call of a reduction or of a join."""
    for keyword in call.keywords:
        if keyword.arg == "axis":
            return _read_integer(keyword.value)
    is_method = isinstance(call.func, ast.Attribute) and find_numpy_name(call.func) is None
    place = 0 if is_method else 1
    return _read_integer(call.args[place]) if len(call.args) > place else None


def has_axis(call: ast.Call) -> bool:
    """Whether a call of a reduction says along which axis."""
    is_method = (
        isinstance(call.func, ast.Attribute)
        and find_numpy_name(call.func) is None
        and not _is_norm(call.func)
    )
    most = 0 if is_method else 2 if _is_norm(call.func) else 1
    return len(call.args) > most or any(k.arg in ("axis", None) for k in call.keywords)


def is_whole(place: ast.expr) -> bool:
    """Whether an index takes everything along its axis."""
    if isinstance(place, ast.Slice):
        return place.lower is place.upper is place.step is None
    return isinstance(place, ast.Constant) and place.value is ...


def find_width(place: ast.expr) -> int | None:
    """Return how many places a slice between two written numbers takes."""
    if not isinstance(place, ast.Slice) or place.step is not None or place.upper is None:
        return None
    low = 0 if place.lower is None else _read_integer(place.lower)
    high = _read_integer(place.upper)
    return None if low is None or high is None or low * high < 0 else high - low


def _read_integer(node: ast.expr) -> int | None:
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node, sign = node.operand, -1
    is_number = isinstance(node, ast.Constant) and type(node.value) is int
    return sign * node.value if is_number else None  # type: ignore[attr-defined]


def _is_norm(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "norm"
        and find_numpy_name(function.value) == "linalg"
    )
