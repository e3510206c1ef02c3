"""A line written for one number -> the same line over all simulations: what a remedy shows."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import find_numpy_name
from reward_agent.rewards.rules.kinds import (
    REDUCTIONS,
    Kinds,
    find_axis,
    find_width,
    has_axis,
    is_whole,
)

# Functions of math whose name in NumPy is another.
_MATH_WORDS = {
    "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan",
    "atan2": "arctan2", "atanh": "arctanh", "fabs": "abs", "pow": "power",
}  # fmt: skip
_FOLDS = {"max": "maximum", "min": "minimum"}
_REDUCED = {"max": "max", "min": "min", "sum": "sum", "any": "any", "all": "all"}
_FLAG_WORDS = {"any": "logical_or", "all": "logical_and"}


@dataclass(frozen=True)
class Problem:
    """Why a line was rewritten; ``fails`` where Python itself, or the contract, refuses it."""

    rule: str
    node: ast.AST
    says: str
    fails: bool = True


class Rewriter:
    """Rewrites the expressions of one statement, and notes why.

    Args:
        kinds: what is known of the program's expressions.
        read: the name or place of an assignment -> what it holds here; for branches.
    """

    def __init__(self, kinds: Kinds, read: dict[str, ast.expr] | None = None) -> None:
        self._kinds = kinds
        self.read = read or {}
        self.problems: list[Problem] = []

    def rewrite(self, node: Any) -> Any:
        """Return an expression over all simulations; others as they are."""
        if isinstance(node, list):
            return [self.rewrite(item) for item in node]
        if not isinstance(node, ast.AST):
            return node
        if isinstance(node, ast.Name | ast.Subscript) and isinstance(node.ctx, ast.Load):
            held = self.read.get(ast.unparse(node)) if self.read else None
            if held is not None:
                return held
        method = getattr(self, f"_rewrite_{type(node).__name__.lower()}", None)
        found = method(node) if method else None
        if found is not None:
            return found
        return type(node)(**{key: self.rewrite(value) for key, value in ast.iter_fields(node)})

    def as_flag(self, node: ast.expr) -> ast.expr:
        """Return a condition over all simulations: true or false for each."""
        flag = self.rewrite(node)
        if self._kinds.is_flag(node):
            return flag  # type: ignore[no-any-return]
        return ast.Compare(flag, [ast.NotEq()], [ast.Constant(0)])

    def note(self, rule: str, node: ast.AST, says: str, fails: bool = True) -> None:
        """Note why the line cannot stay as it is."""
        self.problems.append(Problem(f"arrays/{rule}", node, says, fails))

    def is_array(self, node: ast.AST) -> bool:
        """Whether an expression surely is an array over the simulations."""
        return self._kinds.of(node) is not None

    # --- choices ----------------------------------------------------------------------------------

    def _rewrite_ifexp(self, node: ast.IfExp) -> ast.expr | None:
        if not self.is_array(node.test):
            return None
        self.note("choice", node.test, "is an array: `if` cannot choose for all simulations")
        test, kinds = self.as_flag(node.test), map(self._kinds.of, (node.body, node.orelse))
        if self._kinds.of(node.test) == "row" and "vector" in kinds:
            test = spread(test)
        return call("np.where", test, self.rewrite(node.body), self.rewrite(node.orelse))

    def _rewrite_boolop(self, node: ast.BoolOp) -> ast.expr | None:
        if not any(map(self.is_array, node.values)):
            return None
        word = "and" if isinstance(node.op, ast.And) else "or"
        sign: ast.operator = ast.BitAnd() if word == "and" else ast.BitOr()
        sign_word = "&" if word == "and" else "|"
        self.note("choice", node, f"asks `{word}` of whole arrays; {sign_word} answers row by row")
        return join(sign, [self.as_flag(value) for value in node.values])

    def _rewrite_unaryop(self, node: ast.UnaryOp) -> ast.expr | None:
        if not isinstance(node.op, ast.Not) or not self.is_array(node.operand):
            return None
        self.note("choice", node, "asks `not` of a whole array; ~ answers row by row")
        if self._kinds.is_flag(node.operand):
            return ast.UnaryOp(ast.Invert(), self.rewrite(node.operand))
        return ast.Compare(self.rewrite(node.operand), [ast.Eq()], [ast.Constant(0)])

    def _rewrite_compare(self, node: ast.Compare) -> ast.expr | None:
        if len(node.ops) < 2 or not self.is_array(node):
            return None
        self.note("choice", node, "is a chain of comparisons, which Python joins with `and`")
        ends = [node.left, *node.comparators]
        pairs = zip(ends, node.ops, ends[1:], strict=False)
        parts: list[ast.expr] = [
            ast.Compare(self.rewrite(a), [sign], [self.rewrite(b)]) for a, sign, b in pairs
        ]
        return join(ast.BitAnd(), parts)

    # --- functions for one number -----------------------------------------------------------------

    def _rewrite_call(self, node: ast.Call) -> ast.expr | None:
        function = node.func
        if isinstance(function, ast.Name):
            return self._rewrite_builtin(node, function.id)
        if not isinstance(function, ast.Attribute):
            return None
        if isinstance(function.value, ast.Name) and function.value.id == "math":
            return self._rewrite_math(node, function.attr)
        name = find_numpy_name(function)
        if name in ("dot", "inner", "vdot") and len(node.args) == 2:
            return self._rewrite_dot(node, *node.args)
        if name in ("array", "asarray", "stack", "concatenate") and node.args:
            return self._rewrite_join(node, name)
        if function.attr == "item" and not node.args and self.is_array(function.value):
            self.note("one-number", node, "takes one number of an array")
            return self.rewrite(function.value)  # type: ignore[no-any-return]
        is_norm = function.attr == "norm" and find_numpy_name(function.value) == "linalg"
        if is_norm or name in REDUCTIONS or (name is None and function.attr in REDUCTIONS):
            return self._rewrite_reduction(node, is_method=name is None and not is_norm)
        return None

    def _rewrite_builtin(self, node: ast.Call, name: str) -> ast.expr | None:
        arrays = [item for item in node.args if self.is_array(item)]
        if name in _FOLDS and arrays and len(node.args) > 1 and not node.keywords:
            self.note(
                "one-number",
                node,
                f"asks which array is larger; np.{_FOLDS[name]} compares row by row",
            )
            return fold(f"np.{_FOLDS[name]}", self.rewrite(node.args))
        if name in _REDUCED and len(node.args) == 1:
            return self._rewrite_whole(node, name, node.args[0])
        if not arrays or node.args[0] is not arrays[0]:
            return None
        return self._rewrite_conversion(node, name)

    def _rewrite_conversion(self, node: ast.Call, name: str) -> ast.expr | None:
        """Rewrite ``float(x)`` and its like."""
        value = node.args[0]
        if name == "float":
            self.note("one-number", node, "takes one number, and this is an array")
            if self._kinds.is_flag(value):
                return method(self.rewrite(value), "astype", name_("np.float64"))
            return self.rewrite(value)  # type: ignore[no-any-return]
        words = {"int": "np.trunc", "round": "np.round"}
        if name in words:
            self.note("one-number", node, "takes one number, and this is an array")
            return call(words[name], *self.rewrite(node.args))
        if name == "bool":
            self.note("one-number", node, "takes one number, and this is an array")
            return self.as_flag(value)
        if name == "len" and self._kinds.is_of_step and self._kinds.of(value) == "vector":
            self.note("index", node, "counts the simulations", fails=False)
            shape = ast.Attribute(self.rewrite(value), "shape", ast.Load())
            return ast.Subscript(shape, ast.Constant(-1), ast.Load())
        return None

    def _rewrite_math(self, node: ast.Call, name: str) -> ast.expr | None:
        if not any(map(self.is_array, node.args)):
            return None
        if name == "dist" and len(node.args) == 2:
            self.note("one-number", node, "takes one number, and this is an array")
            a, b = self.rewrite(node.args)
            return call("np.linalg.norm", ast.BinOp(a, ast.Sub(), b), axis=number(-1))
        word = _MATH_WORDS.get(name, name)
        if word not in language.NUMPY_NAMES:
            return None
        self.note(
            "one-number", node, f"takes one number, and this is an array; np.{word} takes arrays"
        )
        return call(f"np.{word}", *self.rewrite(node.args))

    def _rewrite_whole(self, node: ast.Call, name: str, value: ast.expr) -> ast.expr | None:
        """Rewrite ``sum(x)``, ``max(x)``, ``any(x > 0 for x in v)`` of one vector."""
        if isinstance(value, ast.List | ast.Tuple) and name in (*_FOLDS, *_FLAG_WORDS):
            if not any(map(self.is_array, value.elts)) or len(value.elts) < 2:
                return None
            word = _FOLDS.get(name) or _FLAG_WORDS[name]
            self.note(
                "one-number",
                node,
                f"asks one question of whole arrays; np.{word} answers row by row",
            )
            return fold(f"np.{word}", self.rewrite(value.elts))
        if isinstance(value, ast.GeneratorExp | ast.ListComp):
            mapped = self._map_comprehension(value)
        else:
            mapped = self.rewrite(value) if self._kinds.of(value) == "vector" else None
        if mapped is None:
            return None
        self.note("axis", node, "goes through the simulations, not along the vector", fails=False)
        return call(f"np.{name}", mapped, axis=number(-1))

    def _rewrite_listcomp(self, node: ast.ListComp) -> ast.expr | None:
        mapped = self._map_comprehension(node)
        if mapped is not None:
            self.note("axis", node, "goes through the simulations", fails=False)
        return mapped

    def _map_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> ast.expr | None:
        """Return ``v ** 2`` for ``x ** 2 for x in v``, where v is a vector."""
        [first, *others] = node.generators
        is_plain = isinstance(first.target, ast.Name) and not first.ifs and not others
        if not is_plain or self._kinds.of(first.iter) != "vector":
            return None
        inner = Rewriter(self._kinds, {**self.read, first.target.id: self.rewrite(first.iter)})  # type: ignore[attr-defined]
        found: ast.expr = inner.rewrite(node.elt)
        return found

    # --- axes -------------------------------------------------------------------------------------

    def _rewrite_reduction(self, node: ast.Call, is_method: bool) -> ast.expr | None:
        function = node.func
        assert isinstance(function, ast.Attribute)
        if not is_method and not node.args:
            return None
        value = function.value if is_method else node.args[0]
        kind = self._kinds.of(value)
        if kind == "row" and self._kinds.is_of_step and not has_axis(node):
            return self.rewrite(value)  # type: ignore[no-any-return]
        if kind != "vector" or (has_axis(node) and find_axis(node) != 0):
            return None
        self.note("axis", node, "mixes the simulations: it goes along all of them", fails=False)
        n_kept = 0 if is_method else 1
        keywords = [ast.keyword(k.arg, self.rewrite(k.value)) for k in node.keywords]
        keywords = [keyword for keyword in keywords if keyword.arg != "axis"]
        if len(node.args) > n_kept and has_axis(node) and function.attr != "norm":
            given = node.args[:n_kept]
        else:
            given = node.args
        made = ast.Call(self.rewrite(function), self.rewrite(given), keywords)
        made.keywords.insert(0, ast.keyword("axis", number(-1)))
        return made

    def _rewrite_dot(self, node: ast.AST, a: ast.expr, b: ast.expr) -> ast.expr | None:
        if "vector" not in (self._kinds.of(a), self._kinds.of(b)):
            return None
        if {self._kinds.of(a), self._kinds.of(b)} != {"vector"} and not self._kinds.is_of_step:
            return None
        self.note("axis", node, "is no product row by row", fails=False)
        product = ast.BinOp(self.rewrite(a), ast.Mult(), self.rewrite(b))
        return call("np.sum", product, axis=number(-1))

    def _rewrite_binop(self, node: ast.BinOp) -> ast.expr | None:
        if isinstance(node.op, ast.MatMult):
            return self._rewrite_dot(node, node.left, node.right)
        left, right = self._kinds.of(node.left), self._kinds.of(node.right)
        if {left, right} != {"row", "column"}:
            return None
        column = node.left if left == "column" else node.right
        says = "is (N, 1), which makes (N, N) of an array (N,); every value must be (N,)"
        value = self._kinds.find_column(column)
        if value is not None:
            self.note("column", value, says)
            return None
        self.note("column", column, says)
        parts = [self._drop_column(item) for item in (node.left, node.right)]
        return ast.BinOp(parts[0], node.op, parts[1])

    def _drop_column(self, node: ast.expr) -> ast.expr:
        if self._kinds.of(node) != "column":
            return self.rewrite(node)  # type: ignore[no-any-return]
        is_slice = isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple)
        if is_slice and find_width(node.slice.elts[-1]) == 1:  # type: ignore[attr-defined]
            return take_column(node)  # type: ignore[arg-type]
        first = ast.Tuple([ast.Slice(), ast.Constant(0)], ast.Load())
        return ast.Subscript(self.rewrite(node), first, ast.Load())

    def _rewrite_join(self, node: ast.Call, name: str) -> ast.expr | None:
        listed = node.args[0]
        if not isinstance(listed, ast.List | ast.Tuple) or has_axis(node):
            return None
        kinds = {self._kinds.of(item) for item in listed.elts}
        parts = self.rewrite(listed.elts)
        if name == "concatenate" and kinds == {"vector"}:
            self.note("axis", node, "puts the simulations one after the other", fails=False)
            return call("np.concatenate", ast.List(parts, ast.Load()), axis=number(-1))
        if name == "concatenate" or "row" not in kinds or not kinds <= {"row", None}:
            return None
        if not self._kinds.is_of_step:  # (k, N) may be what is meant, to reduce with axis=0
            return None
        self.note("axis", node, "is (k, N), where (N, k) is meant", fails=False)
        if None in kinds:
            return call("np.stack", call("np.broadcast_arrays", *parts), axis=number(-1))
        return call("np.stack", ast.List(parts, ast.Load()), axis=number(-1))

    def _rewrite_subscript(self, node: ast.Subscript) -> ast.expr | None:
        place = node.slice
        if self._kinds.of(node.value) != "vector" or not isinstance(node.ctx, ast.Load):
            return None
        is_part = isinstance(place, ast.Slice) and not is_whole(place)
        if not is_part and not self._kinds.is_integer(place):
            return None
        what = "some simulations" if is_part else "one simulation"
        self.note("index", node, f"takes {what} of all, not a column", fails=False)
        if isinstance(place, ast.Slice) and find_width(place) == 1 and self._kinds.is_of_step:
            place = place.lower or number(0)
        whole = ast.Tuple([ast.Slice(), self.rewrite(place)], ast.Load())
        return ast.Subscript(self.rewrite(node.value), whole, ast.Load())


# --- making expressions ---------------------------------------------------------------------------


def name_(dotted: str) -> ast.expr:
    """Return a dotted name."""
    first, *rest = dotted.split(".")
    node: ast.expr = ast.Name(first, ast.Load())
    for part in rest:
        node = ast.Attribute(node, part, ast.Load())
    return node


def number(value: float) -> ast.expr:
    """Return a number as it is written."""
    return ast.Constant(value) if value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def call(function: str, *arguments: ast.expr, **keywords: ast.expr) -> ast.Call:
    """Return a call of a dotted name."""
    named = [ast.keyword(key, value) for key, value in keywords.items()]
    return ast.Call(name_(function), list(arguments), named)


def method(value: ast.expr, name: str, *arguments: ast.expr) -> ast.Call:
    """Return a call of a method."""
    return ast.Call(ast.Attribute(value, name, ast.Load()), list(arguments), [])


def take_column(node: ast.Subscript) -> ast.expr:
    """Return ``v[:, 8]`` for ``v[:, 8:9]``."""
    assert isinstance(node.slice, ast.Tuple)
    *before, part = node.slice.elts
    low = part.lower if isinstance(part, ast.Slice) and part.lower else ast.Constant(0)
    return ast.Subscript(node.value, ast.Tuple([*before, low], ast.Load()), ast.Load())


def spread(test: ast.expr) -> ast.expr:
    """Return a condition (N,) as (N, 1), to choose whole vectors with."""
    place = ast.Tuple([ast.Slice(), ast.Constant(None)], ast.Load())
    return ast.Subscript(test, place, ast.Load())


def fold(function: str, parts: list[ast.expr]) -> ast.expr:
    """Return ``f(f(a, b), c)``."""
    as_floats = [
        ast.Constant(float(part.value))
        if isinstance(part, ast.Constant) and type(part.value) is int
        else part
        for part in parts
    ]
    whole = as_floats[0]
    for part in as_floats[1:]:
        whole = call(function, whole, part)
    return whole


def join(sign: ast.operator, parts: list[ast.expr]) -> ast.expr:
    """Return ``a & b & c``."""
    whole = parts[0]
    for part in parts[1:]:
        whole = ast.BinOp(whole, sign, part)
    return whole


def write(node: ast.AST) -> str:
    """Return the text of an expression or a statement that was made here."""
    return ast.unparse(ast.fix_missing_locations(node))
