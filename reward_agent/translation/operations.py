"""Functions of NumPy, torch and JAX that are more than one of NumPy's element by element."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from reward_agent.translation import arithmetic, indexing, nodes
from reward_agent.translation.values import Items, Lanes

if TYPE_CHECKING:
    from reward_agent.translation.machine import Tracer

_MOST_NUMBERS = 10_000


def make_array(machine: Tracer, value: Any) -> Lanes:
    """Return a value as an array; a list becomes one."""
    if isinstance(value, Items | tuple | list):
        return arithmetic.stack([make_array(machine, item) for item in machine.iterate(value)])
    return arithmetic.lift(machine.read(value))


def _clip(machine: Tracer, a: Any, min: Any = None, max: Any = None) -> Lanes:
    low, high = arithmetic.unlift(min), arithmetic.unlift(max)
    if low is None and high is None:
        return arithmetic.lift(a)
    if high is None:
        return arithmetic.spread("np.maximum", a, min)
    if low is None:
        return arithmetic.spread("np.minimum", a, max)
    return arithmetic.spread("np.clip", make_array(machine, a), min, max)


def _where(machine: Tracer, condition: Any, a: Any = None, y: Any = None, **named: Any) -> Any:
    test = arithmetic.unlift(condition)
    if isinstance(test, bool):
        return a if test else y
    return arithmetic.choose(arithmetic.as_flag(arithmetic.lift(condition)), a, y)


def _concatenate(machine: Tracer, arrays: Any, axis: Any = 0, **named: Any) -> Lanes:
    items: list[Lanes] = []
    for item in machine.iterate(arrays):
        array = make_array(machine, item)
        items.append(array if array.shape else arithmetic.stack([array]))
    are_vectors = all(len(item.shape) == 1 and item.shape[0] is not None for item in items)
    if not are_vectors and (axis not in (-1, 1) or any(len(item.shape) != 2 for item in items)):
        raise machine.refuse("joining arrays of several axes", "join vectors, axis=-1")
    shape, is_row = items[0].shape[:-1], next((i.is_row for i in items if not i.is_constant), True)
    size = sum(item.shape[-1] or 0 for item in items)
    whole = [
        nodes.call("np.broadcast_to", item.node, arithmetic.shape_of(item.shape, is_row=True))
        if item.is_constant
        else arithmetic.fit(item, (*shape, item.shape[-1]), is_row)
        for item in items
    ]
    joined = nodes.call("np.concatenate", ast.List(whole, ast.Load()), axis=nodes.literal(-1))
    return Lanes(joined, (*shape, size), is_row)


def _stack(machine: Tracer, arrays: Any, axis: Any = 0, **named: Any) -> Lanes:
    items = [make_array(machine, item) for item in machine.iterate(arrays)]
    last = arithmetic.stack(items)
    if last.is_row or last.is_constant or arithmetic.unlift(axis) != 0:
        return last
    [first, *rest] = last.shape[-1:] + last.shape[:-1]  # in front, of all simulations
    node = nodes.call("np.moveaxis", last.node, nodes.literal(-1), nodes.literal(0))
    return Lanes(node, (first, *rest), False, items=tuple(items))


def _read_sizes(machine: Tracer, given: Iterable[Any]) -> list[Any]:
    """Return the sizes of an array, which are given one by one or as one tuple."""
    first, *more = map(arithmetic.unlift, given)
    if more or isinstance(first, int | Lanes):
        return [first, *more]
    return [arithmetic.unlift(size) for size in machine.iterate(first)]


def _zeros(value: float) -> Callable[..., Lanes]:
    def make(machine: Tracer, *shape: Any, **named: Any) -> Lanes:
        sizes = _read_sizes(machine, shape or named.values())
        sizes = [size for size in sizes if isinstance(size, int)]  # without that of simulations
        if math.prod(sizes) > _MOST_NUMBERS:
            raise machine.refuse(f"an array of {math.prod(sizes)} numbers", "a smaller one")
        content: Any = value
        for size in reversed(sizes):
            content = [content] * size
        return arithmetic.lift(content) if sizes else Lanes(nodes.literal(value), value=value)

    return make


def _like(value: float) -> Callable[..., Lanes]:
    def make(machine: Tracer, a: Any, **named: Any) -> Lanes:
        array = make_array(machine, a)
        if array.is_constant:
            return arithmetic.spread("np.full_like", array, value)
        word = "np.zeros_like" if value == 0 else "np.ones_like"
        node = nodes.call(word, array.node, dtype=nodes.name("np.float64"))
        return Lanes(node, array.shape, array.is_row)

    return make


def _dot(machine: Tracer, a: Any, b: Any, **named: Any) -> Lanes:
    return arithmetic.dot(make_array(machine, a), make_array(machine, b))


def _cross(machine: Tracer, a: Any, b: Any, **named: Any) -> Lanes:
    one, two = make_array(machine, a), make_array(machine, b)
    shape, is_row = arithmetic.find_common([one, two])
    node = nodes.call(
        "np.cross", arithmetic.fit(one, shape, is_row), arithmetic.fit(two, shape, is_row)
    )
    return Lanes(node, shape, is_row)


def _reshape(machine: Tracer, a: Any, *shape: Any) -> Lanes:
    array = arithmetic.lift(a)
    sizes = _read_sizes(machine, shape)
    total = math.prod(size or 1 for size in array.shape)
    if not array.is_row or any(not isinstance(size, int) for size in sizes):
        raise machine.refuse("a reshape over simulations", "read the columns that are meant")
    if -1 in sizes:
        known = -math.prod(sizes)
        sizes[sizes.index(-1)] = total // known
    if math.prod(sizes) != total:
        raise machine.refuse(f"{total} numbers reshaped to {tuple(sizes)}", "correct the sizes")
    axes = [nodes.literal(-1), *map(nodes.literal, sizes)]
    node = nodes.call("np.reshape", array.node, ast.Tuple(axes, ast.Load()))
    return Lanes(node, tuple(sizes), True, array.kind)


def _interp(machine: Tracer, a: Any, xp: Any, fp: Any, **named: Any) -> Lanes:
    array, known, values = (make_array(machine, item) for item in (a, xp, fp))
    if not known.is_constant or not values.is_constant:
        raise machine.refuse("interp between what depends on the simulation", "choose by np.where")
    node = nodes.call("np.interp", array.node, known.node, values.node)
    return Lanes(node, array.shape, array.is_row)


def _unsqueeze(machine: Tracer, a: Any, axis: Any = 0, **named: Any) -> Lanes:
    array = make_array(machine, a)
    rank = len(array.shape) + 1
    place = arithmetic.unlift(axis) % rank
    return indexing.get_item(array, (*[slice(None)] * place, None))


def _squeeze(machine: Tracer, a: Any, axis: Any = None, **named: Any) -> Lanes:
    array = make_array(machine, a)
    wanted = arithmetic.unlift(axis)
    places = tuple(
        0 if size == 1 and wanted in (None, place, place - len(array.shape)) else slice(None)
        for place, size in enumerate(array.shape)
    )
    return indexing.get_item(array, places) if 0 in places else array


def _item(machine: Tracer, a: Any, **named: Any) -> Lanes:
    array = make_array(machine, a)
    if any(size != 1 for size in array.shape):
        raise machine.refuse("item() of several numbers", "take one of them: x[0]")
    return indexing.get_item(array, (0,) * len(array.shape)) if array.shape else array


def _log(machine: Tracer, a: Any, base: Any = None) -> Any:
    whole = arithmetic.spread("np.log", a)
    if base is None:
        return whole
    return arithmetic.binary(ast.Div(), whole, arithmetic.spread("np.log", base))


def _running(word: str) -> Callable[..., Lanes]:
    def make(machine: Tracer, a: Any, axis: Any = None, **named: Any) -> Lanes:
        array = make_array(machine, a)
        node = nodes.call(word, array.node, axis=nodes.literal(-1))
        return Lanes(node, array.shape, array.is_row)

    return make


SPECIAL: dict[str, Callable[..., Any]] = {
    "clip": _clip,
    "where": _where,
    "concatenate": _concatenate,
    "hstack": _concatenate,
    "stack": _stack,
    "zeros": _zeros(0.0),
    "ones": _zeros(1.0),
    "zeros_like": _like(0.0),
    "ones_like": _like(1.0),
    "dot": _dot,
    "matmul": _dot,
    "inner": _dot,
    "vdot": _dot,
    "cross": _cross,
    "reshape": _reshape,
    "sort": _running("np.sort"),
    "interp": _interp,
    "expand_dims": _unsqueeze,
    "squeeze": _squeeze,
    "item": _item,
    "log": _log,
    "cumsum": _running("np.cumsum"),
    "cumprod": _running("np.cumprod"),
    "mv": _dot,
    "is_tensor": lambda machine, a: isinstance(a, Lanes),
    "view": _reshape,
}
