"""Arithmetic over arrays: what an operation's expression and shape are.

A row that the person's program sees as a number is an array (N,) here, a vector (k,) is (N, k).
Where ranks differ, the smaller one gets its axes, so that a row is never paid with another's.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from reward_agent.translation import indexing, nodes
from reward_agent.translation.values import (
    Broken,
    Input,
    Items,
    Kind,
    Lanes,
    Maybe,
    Table,
    Untranslatable,
)

Number = int | float | bool
_MOST_BITS = 1000

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.MatMult: operator.matmul,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def lift(value: Any) -> Lanes:
    """Return a value as an array; lists and tuples of arrays become one more axis.

    Raises:
        Untranslatable: it is no number.
    """
    if isinstance(value, Lanes):
        return value
    if isinstance(value, bool | int | float):
        return Lanes(nodes.literal(value), kind=_find_kind(value), value=value)
    if isinstance(value, Maybe):
        return value.array
    if isinstance(value, list | tuple | Items):
        return stack([lift(item) for item in value])
    if isinstance(value, Broken):
        raise value.error
    raise Untranslatable(
        f"{name_kind(value)} where a number is computed with",
        "compute with numbers and arrays only",
    )


def name_kind(value: Any) -> str:
    """Say what a value is that is no number."""
    if isinstance(value, Input):
        return value.name
    kinds = {str: "a text", Table: "a dictionary", type(None): "None", Items: "a list"}
    return kinds.get(type(value)) or f"a {type(value).__name__.lower()}"


def _find_kind(value: Number) -> Kind:
    return "bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"


def unlift(value: Any) -> Any:
    """Return the number of a constant, anything else as it is."""
    return value.value if isinstance(value, Lanes) and value.is_constant else value


def stack(items: Sequence[Lanes]) -> Lanes:
    """Return arrays of one shape side by side in a new last axis."""
    if all(item.is_constant for item in items):
        node = ast.Call(
            nodes.name("np.array"), [ast.List([item.node for item in items], ast.Load())], []
        )
        return Lanes(
            node, (len(items), *items[0].shape) if items else (0,), value=[i.value for i in items]
        )
    shape, is_row = find_common(items)
    spread = [fit(item, shape, is_row, is_whole=True) for item in items]
    axis = nodes.literal(-1)
    if shape and is_row:
        axis = nodes.literal(1)
    listed = ast.List(list(spread), ast.Load())
    return Lanes(
        nodes.call("np.stack", listed, axis=axis),
        (len(items), *shape) if is_row else (*shape, len(items)),
        is_row,
        items=() if shape and is_row else tuple(items),
    )


def find_common(items: Sequence[Lanes]) -> tuple[tuple[int | None, ...], bool]:
    """Return the shape to which arrays are spread, and whether a program sees one row of it.

    Raises:
        Untranslatable: their shapes do not go together.
    """
    rows = {item.is_row for item in items if not item.is_constant}
    if len(rows) > 1:
        raise Untranslatable(
            "an array of all simulations and a value of one of them are computed with each other",
            "read both for all simulations, or both for one",
        )
    if rows == {False}:
        _refuse_columns([item for item in items if not item.is_constant])
    shape: list[int | None] = []
    for item in items:
        own = list(item.shape)
        longest = max(len(shape), len(own))
        own, shape = _lengthen(own, longest), _lengthen(shape, longest)
        for place, (one, two) in enumerate(zip(shape, own, strict=True)):
            if one != two and 1 not in (one, two):
                raise Untranslatable(
                    f"arrays of shapes {tuple(shape)} and {tuple(own)} are computed with each "
                    "other",
                    "give both the same number of elements",
                )
            shape[place] = two if one == 1 else one
    return tuple(shape), next(iter(rows), True)


def _refuse_columns(items: Sequence[Lanes]) -> None:
    """Refuse (N, 1) beside (N,): one row would be computed with another's number.

    Raises:
        Untranslatable: the arrays of all simulations have different numbers of axes.
    """
    flat = [item for item in items if len(item.shape) == 1]
    deep = [item for item in items if len(item.shape) > 1]
    if not flat or not deep:
        return
    text = ast.unparse(deep[0].node)
    column = re.fullmatch(r"(.+\[:, )(\d+):\d+\]", text)
    if deep[0].shape[1:] == (1,):
        remedy = f"write {column[1]}{column[2]}], which is (N,)" if column else "add [:, 0]"
        raise Untranslatable(f"{text} is (N, 1): beside (N,) it becomes (N, N)", remedy)
    raise Untranslatable(
        f"{text} is (N, {deep[0].shape[1]}), beside it is {ast.unparse(flat[0].node)}: (N,)",
        f"write {ast.unparse(flat[0].node)}[:, None]",
    )


def _lengthen(shape: list[int | None], longest: int) -> list[int | None]:
    return [*[1] * (longest - len(shape)), *shape]


def fit(
    item: Lanes, shape: tuple[int | None, ...], is_row: bool, is_whole: bool = False
) -> ast.expr:
    """Return the expression with the axes that it lacks; ``is_whole``: with every element, too."""
    if item.mask is not None:
        raise Untranslatable(
            "numbers that are chosen by the simulation", "write np.where(condition, x, 0.0)"
        )
    missing = len(shape) - len(item.shape)
    node = item.node
    if item.is_constant:
        if not is_whole:
            return node
        return nodes.call("np.full", shape_of(shape, is_row), node)
    if is_row and missing and len(shape):
        if item.shape:  # (N, k) beside (N, m, k)
            places = (
                [ast.Slice()] + [ast.Constant(None)] * missing + [ast.Slice()] * len(item.shape)
            )
        else:  # (N,) beside (N, k)
            places = [ast.Slice()] + [ast.Constant(None)] * missing
        node = nodes.index(node, *places)
    if is_whole and item.shape != shape:
        node = nodes.call("np.broadcast_to", node, shape_of(shape, is_row))
    return node


def shape_of(shape: tuple[int | None, ...], is_row: bool) -> ast.expr:
    """Return the expression of a shape, with the number of simulations."""
    axes: list[ast.expr] = [nodes.count()] if is_row else []
    axes += [nodes.count() if size is None else nodes.literal(size) for size in shape]
    return axes[0] if len(axes) == 1 else ast.Tuple(axes, ast.Load())


def spread(function: str, *given: Any, kind: Kind = "float", **keywords: ast.expr) -> Lanes:
    """Return an element-wise function of arrays."""
    items = [lift(value) for value in given]
    if kind != "bool":
        items = [as_counted(item) for item in items]
    shape, is_row = find_common(items)
    node = nodes.call(function, *(fit(item, shape, is_row) for item in items), **keywords)
    if items and all(item.is_constant for item in items):
        return _fold(node, getattr(np, function.removeprefix("np.")), items, kind)
    return Lanes(node, shape, is_row, kind)


def _fold(
    node: ast.expr, function: Callable[..., Any], items: Sequence[Lanes], kind: Kind
) -> Lanes:
    """Return a function of constants, with its numbers."""
    with np.errstate(all="ignore"):
        value = np.asarray(function(*(np.asarray(item.value) for item in items))).tolist()
    return Lanes(node, np.shape(value), True, kind, value)


def binary(operation: ast.operator, one: Any, two: Any) -> Any:
    """Return ``one <operation> two``."""
    if isinstance(operation, ast.MatMult):
        return dot(one, two)
    left, right = lift(one), lift(two)
    shape, is_row = find_common([left, right])
    node: ast.expr = ast.BinOp(fit(left, shape, is_row), operation, fit(right, shape, is_row))
    value = None
    if left.is_constant and right.is_constant:
        if shape:
            return _fold(node, BINARY[type(operation)], (left, right), "float")
        value = compute(operation, left.value, right.value)
    kind: Kind = "float"
    if isinstance(operation, ast.BitAnd | ast.BitOr | ast.BitXor):
        kind = left.kind
    elif left.kind == right.kind == "bool":  # NumPy's sum of flags is a flag, and no number
        left, right = as_counted(left), as_counted(right)
        node = ast.BinOp(fit(left, shape, is_row), operation, fit(right, shape, is_row))
    items = _pair_items(operation, left, right)
    return Lanes(node, shape, is_row, kind, value, _combine(operation, left, right), items)


def _pair_items(operation: ast.operator, left: Lanes, right: Lanes) -> tuple[Lanes, ...]:
    """Return the numbers of vectors of which both, or all but a number, are known by number."""
    one, two = left.items, right.items
    if one and right.is_constant and not right.shape:
        two = (right,) * len(one)
    if two and left.is_constant and not left.shape:
        one = (left,) * len(two)
    if len(one) != len(two):
        return ()
    return tuple(binary(operation, *pair) for pair in zip(one, two, strict=True))


def compute(operation: ast.operator, one: Number, two: Number) -> Number:
    """Return ``one <operation> two`` of constants.

    Raises:
        Untranslatable: it is too large, or has no value.
    """
    if isinstance(operation, ast.Pow) and abs(two) * math.log2(abs(one) + 2) > _MOST_BITS:
        raise Untranslatable("a power that is too large", "write a smaller number")
    try:
        found: Number = BINARY[type(operation)](one, two)
    except ArithmeticError as error:
        raise Untranslatable(f"a constant expression fails: {error}", "correct it") from error
    if isinstance(found, complex) or (isinstance(found, int) and found.bit_length() > _MOST_BITS):
        raise Untranslatable("a number that is too large", "write a smaller number")
    return found


def _combine(operation: ast.operator, left: Lanes, right: Lanes) -> dict[str, Lanes] | None:
    """Return the named parts of a sum, of a difference, or of a sum times a factor."""
    if isinstance(operation, ast.Add | ast.Sub) and (left.terms or right.terms):
        parts = dict(left.terms or {})
        if left.terms is None and left.value != 0:
            return None
        if right.terms is None and right.value != 0:
            return None
        for key, part in (right.terms or {}).items():
            signed = negate(part) if isinstance(operation, ast.Sub) else part
            parts[key] = strip(binary(ast.Add(), parts[key], signed)) if key in parts else signed
        return parts
    if isinstance(operation, ast.Mult | ast.Div):
        terms, factor = (left.terms, right) if left.terms else (right.terms, left)
        if terms and (not isinstance(operation, ast.Div) or left.terms):
            return {
                key: strip(binary(operation, *((part, factor) if left.terms else (factor, part))))
                for key, part in terms.items()
            }
    return None


def strip(array: Lanes) -> Lanes:
    """Return an array without its parts."""
    return Lanes(array.node, array.shape, array.is_row, array.kind, array.value)


def as_number(array: Lanes) -> ast.expr:
    """Return flags as numbers."""
    if array.kind == "bool" and not array.is_constant:
        return nodes.call("np.where", array.node, nodes.literal(1.0), nodes.literal(0.0))
    return array.node


def as_counted(array: Lanes) -> Lanes:
    """Return flags as an array of numbers; anything else as it is."""
    if array.kind != "bool" or array.is_constant:
        return array
    return replace(array, node=as_number(array), kind="float")


def negate(given: Any) -> Lanes:
    """Return ``-given``."""
    array = as_counted(lift(given))
    value = None
    if array.is_constant:
        value = -array.value if not array.shape else np.negative(array.value).tolist()
    terms = {key: negate(part) for key, part in array.terms.items()} if array.terms else None
    node = nodes.literal(value) if isinstance(array.node, ast.Constant) else None
    return Lanes(
        node or ast.UnaryOp(ast.USub(), array.node),
        array.shape,
        array.is_row,
        "float",
        value,
        terms,
    )


def compare(operation: ast.cmpop, one: Any, two: Any) -> Any:
    """Return whether ``one <operation> two``."""
    left, right = lift(one), lift(two)
    if left.is_constant and right.is_constant and not left.shape and not right.shape:
        return COMPARE[type(operation)](left.value, right.value)
    shape, is_row = find_common([left, right])
    node = ast.Compare(fit(left, shape, is_row), [operation], [fit(right, shape, is_row)])
    if left.is_constant and right.is_constant:
        return _fold(node, COMPARE[type(operation)], (left, right), "bool")
    return Lanes(node, shape, is_row, "bool")


def both(one: Lanes, two: Lanes) -> Lanes:
    """Return where both hold."""
    return binary(ast.BitAnd(), as_flag(one), as_flag(two))  # type: ignore[no-any-return]


def either(one: Lanes, two: Lanes) -> Lanes:
    """Return where one of them holds."""
    return binary(ast.BitOr(), as_flag(one), as_flag(two))  # type: ignore[no-any-return]


def invert(given: Lanes) -> Lanes:
    """Return where it does not hold."""
    flag = as_flag(given)
    if isinstance(flag.node, ast.UnaryOp) and isinstance(flag.node.op, ast.Invert):
        return Lanes(flag.node.operand, flag.shape, flag.is_row, "bool")
    return Lanes(ast.UnaryOp(ast.Invert(), flag.node), flag.shape, flag.is_row, "bool")


def as_flag(array: Lanes) -> Lanes:
    """Return a condition: anything but 0 holds."""
    if array.kind == "bool":
        return array
    return compare(ast.NotEq(), array, 0.0)  # type: ignore[no-any-return]


def choose(condition: Lanes, one: Any, two: Any) -> Any:
    """Return ``one`` where the condition holds and ``two`` elsewhere.

    Raises:
        Untranslatable: the two are of different kinds.
    """
    if one is two or (type(one) is type(two) and not isinstance(one, Lanes) and one == two):
        return one
    if one is None or two is None or isinstance(one, Maybe) or isinstance(two, Maybe):
        return _choose_maybe(condition, one, two)
    if isinstance(one, tuple) and isinstance(two, tuple) and len(one) == len(two):
        return tuple(choose(condition, *pair) for pair in zip(one, two, strict=True))
    left, right = lift(one), lift(two)
    shape, is_row = find_common([condition, left, right])
    flag = fit(condition, shape, is_row)
    parts = (fit(left, shape, is_row), fit(right, shape, is_row))
    kind: Kind = "bool" if left.kind == right.kind == "bool" else "float"
    return Lanes(nodes.call("np.where", flag, *parts), shape, is_row, kind)


def _choose_maybe(condition: Lanes, one: Any, two: Any) -> Maybe:
    is_none = choose(condition, _is_none(one), _is_none(two))
    if one is None or two is None:
        array = _get_array(two if one is None else one)
    else:
        array = choose(condition, _get_array(one), _get_array(two))
    return Maybe(is_none if isinstance(is_none, Lanes) else lift(is_none), array)


def _is_none(value: Any) -> Any:
    return value.is_none if isinstance(value, Maybe) else value is None


def _get_array(value: Any) -> Lanes:
    return value.array if isinstance(value, Maybe) else lift(value)


def dot(one: Any, two: Any) -> Lanes:
    """Return a product of vectors and matrices, row by row.

    Raises:
        Untranslatable: it would mix simulations.
    """
    left, right = lift(one), lift(two)
    if len(left.shape) == len(right.shape) == 1:
        return reduce("np.sum", binary(ast.Mult(), left, right))
    if not left.shape or not right.shape:
        return binary(ast.Mult(), left, right)  # type: ignore[no-any-return]
    if left.is_constant and right.is_constant:
        return _fold(
            nodes.call("np.matmul", left.node, right.node), np.matmul, (left, right), "float"
        )
    is_row = left.is_row if not left.is_constant else right.is_row
    if not is_row or max(len(left.shape), len(right.shape)) > 2:
        raise Untranslatable(
            f"a product of arrays of shapes {left.shape} and {right.shape}",
            "write it as sums of products: np.sum(a * b, axis=-1)",
        )
    if len(left.shape) == 2 and len(right.shape) == 2:
        shape: tuple[int | None, ...] = (left.shape[0], right.shape[1])
        return Lanes(nodes.call("np.matmul", left.node, right.node), shape, True)
    if len(left.shape) == 2:  # a matrix and a vector: sums of each row's products
        return reduce("np.sum", binary(ast.Mult(), left, right), -1)
    spread_out = indexing.get_item(left, (slice(None), None))
    return reduce("np.sum", binary(ast.Mult(), spread_out, right), 0)


def as_mask(array: Lanes, key: Any) -> Lanes | None:
    """Return an index of flags, one for each of an array's numbers; None if it is another."""
    if isinstance(key, Lanes) and key.kind == "bool" and key.shape == array.shape:
        return key
    return None


def reduce(
    function: str, given: Any, axis: Any = None, keep: bool = False, **keywords: ast.expr
) -> Lanes:
    """Return a sum, mean, largest … over axes that the program sees.

    Raises:
        Untranslatable: it would mix simulations.
    """
    array = lift(given)
    if array.is_constant and array.shape:
        folded = partial(getattr(np, function.removeprefix("np.").split(".")[-1], np.linalg.norm))
        value = np.asarray(folded(np.asarray(array.value), axis=axis)).tolist()
        return Lanes(nodes.literal(value), np.shape(value), True, "float", value)
    if array.mask is not None:
        return _reduce_some(function, array, array.mask)
    if function not in ("np.any", "np.all"):
        array = as_counted(array)
    rank = len(array.shape)
    axes = range(rank) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    axes = sorted(place % rank if rank else 0 for place in axes)
    if not array.shape:
        return array
    if any(array.shape[place] is None for place in axes):
        raise Untranslatable(
            f"{function} without an axis, or over axis 0, mixes the simulations",
            f"write {function}(…, axis=-1)",
        )
    places = [place - rank for place in axes]
    where: ast.expr = (
        nodes.literal(places[0])
        if len(places) == 1
        else ast.Tuple([nodes.literal(place) for place in places], ast.Load())
    )
    if keep:
        keywords["keepdims"] = nodes.literal(True)
    shape = tuple(
        1 if place in axes else size
        for place, size in enumerate(array.shape)
        if keep or place not in axes
    )
    kind: Kind = "bool" if function in ("np.any", "np.all") else "float"
    return Lanes(
        nodes.call(function, array.node, axis=where, **keywords), shape, array.is_row, kind
    )


# What a number that does not count is in a sum, a largest one, ….
_NEUTRAL = {
    "np.sum": 0.0, "np.mean": 0.0, "np.max": -math.inf, "np.min": math.inf, "np.prod": 1.0,
    "np.any": False, "np.all": True,
}  # fmt: skip


def _reduce_some(function: str, array: Lanes, mask: Lanes) -> Lanes:
    """Return a sum, mean, largest … of the numbers that a mask chooses."""
    if function not in _NEUTRAL:
        raise Untranslatable(
            f"{function} of numbers that are chosen by the simulation", "write it with np.where"
        )
    whole = choose(mask, replace(array, mask=None), _NEUTRAL[function])
    if function != "np.mean":
        return reduce(function, whole)
    return binary(ast.Div(), reduce("np.sum", whole), reduce("np.sum", mask))  # type: ignore[no-any-return]
