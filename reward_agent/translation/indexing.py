"""Indices and attributes of arrays."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reward_agent.translation import arithmetic, nodes
from reward_agent.translation.values import Items, Lanes, Untranslatable


def get_attribute(array: Lanes, name: str) -> Any:
    """Return ``array.shape`` and the like."""
    if name == "shape":
        return tuple(count() if size is None else size for size in array.shape)
    if name == "ndim":
        return len(array.shape)
    if name == "size":
        return math.prod(size or 1 for size in array.shape)
    if name in ("T", "mT") and len(array.shape) < 2:
        return array
    if name in ("T", "mT") and len(array.shape) == 2 and array.shape[0] is not None:
        ends = (nodes.literal(-1), nodes.literal(-2))
        value = np.asarray(array.value).T.tolist() if array.is_constant else None
        turned = nodes.call("np.swapaxes", array.node, *ends)
        return Lanes(turned, array.shape[::-1], array.is_row, array.kind, value)
    if name in ("device", "dtype"):
        return None
    raise Untranslatable(f".{name} of an array", "write it with axis=-1")


def count() -> Lanes:
    """Return how many simulations there are."""
    return Lanes(nodes.count(), kind="int")


def get_item(array: Lanes, key: Any) -> Lanes:
    """Return ``array[key]``.

    Raises:
        Untranslatable: the index is not known, or not there.
    """
    if isinstance(key, Lanes) and key.kind == "bool" and key.shape == array.shape:
        return replace(array, mask=key, items=(), terms=None)
    if isinstance(key, Lanes) and not key.is_constant:
        return _take(array, key)
    part = _find_part(array, key)
    if part is not None:
        return part
    keys = _spell_out(array, key)
    shape: list[int | None] = []
    places: list[ast.expr] = [ast.Slice()] if array.is_row and not array.is_constant else []
    sizes = list(array.shape)
    for item in keys:
        if item is None:
            shape.append(1)
            places.append(ast.Constant(None))
            continue
        if not sizes:
            raise Untranslatable(
                f"an index of a single number ({ast.unparse(array.node)})", "leave the index out"
            )
        place_node, new = _find_place(array, item, sizes.pop(0))
        places.append(place_node)
        shape += new
    value = _pick(array.value, keys) if array.is_constant else None
    found = Lanes(_index(array, places), (*shape, *sizes), array.is_row, array.kind, value)
    if array.is_row and len(array.shape) == 1 and isinstance(key, slice) and value is None:
        size = array.shape[0]
        assert size is not None
        items = tuple(get_item(array, place) for place in range(*key.indices(size)))
        found = replace(found, items=items)
    return found


def take(array: Lanes, number: int) -> Lanes:
    """Return one number of a vector, of one simulation or of all."""
    return get_item(array, (Ellipsis, number))


def _find_part(array: Lanes, key: Any) -> Lanes | None:
    """Return what an array was put together of at a place, if it was."""
    place = arithmetic.unlift(key)
    is_last = isinstance(key, tuple) and len(key) == 2 and key[0] in (Ellipsis, slice(None))
    if is_last and (len(array.shape) == 2) != array.is_row:  # of the last axis of all simulations
        place = arithmetic.unlift(key[1])
    elif not array.is_row:
        return None
    if not array.items:
        return None
    if isinstance(place, int) and -len(array.items) <= place < len(array.items):
        return array.items[place]
    if isinstance(place, slice) and isinstance(array.node, ast.Call):
        return arithmetic.stack(array.items[place])
    return None


def _spell_out(array: Lanes, key: Any) -> list[Any]:
    """Return an index axis by axis, without ``...``."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        place = keys.index(Ellipsis)
        missing = len(array.shape) - sum(item is not None for item in keys) + 1
        keys[place : place + 1] = [slice(None)] * missing
    return keys


def _index(array: Lanes, places: list[ast.expr]) -> ast.expr:
    while len(places) > 1 and _is_whole(places[-1]):
        places.pop()
    if not places or (_is_whole(places[0]) and len(places) == 1):
        return array.node
    return nodes.index(array.node, *places)


def _take(array: Lanes, key: Lanes) -> Lanes:
    """Return the number at an index that differs between simulations."""
    whole = nodes.call("np.asarray", key.node, dtype=nodes.name("np.int64"))
    if array.is_constant and len(array.shape) == 1 and not key.shape:
        return Lanes(nodes.call("np.take", array.node, whole), (), key.is_row)
    if not array.is_row or len(array.shape) != 1 or key.shape or array.is_constant:
        raise Untranslatable("an index that depends on the simulation", "choose with np.where")
    index = nodes.call("np.asarray", key.node, dtype=nodes.name("np.int64"))
    column = nodes.index(index, ast.Slice(), ast.Constant(None))
    taken = nodes.call("np.take_along_axis", array.node, column, axis=nodes.literal(1))
    return Lanes(nodes.index(taken, ast.Slice(), nodes.literal(0)), (), True, array.kind)


def _is_whole(place: ast.expr) -> bool:
    return isinstance(place, ast.Slice) and place.lower is place.upper is place.step is None


def _pick(value: Any, keys: Sequence[Any]) -> Any:
    plain = tuple([*key] if isinstance(key, Items) else arithmetic.unlift(key) for key in keys)
    return np.asarray(value)[plain].tolist()


def _find_place(array: Lanes, item: Any, size: int | None) -> tuple[ast.expr, list[int | None]]:
    """Return the expression of an index along one axis, and which axes it leaves."""
    item = arithmetic.unlift(item)
    if isinstance(item, slice):
        if size is None:
            if item != slice(None):
                raise Untranslatable("a choice of simulations", "compute for all of them")
            return ast.Slice(), [None]
        ends = [
            None if end is None else nodes.literal(end)
            for end in (item.start, item.stop, item.step)
        ]
        return ast.Slice(*ends), [len(range(*item.indices(size)))]
    if isinstance(item, bool) or not isinstance(item, int):
        listed = [arithmetic.unlift(part) for part in item] if isinstance(item, Items) else None
        if listed and all(isinstance(part, int) for part in listed):
            _check_places(array, listed, size)
            return nodes.literal(listed), [len(listed)]
        raise Untranslatable("an index that depends on the simulation", "choose with np.where")
    if size is None:
        raise Untranslatable(
            f"[{item}] takes one simulation of all", f"write [:, {item}] for all of them"
        )
    _check_places(array, [item], size)
    return nodes.literal(item), []


def _check_places(array: Lanes, places: Sequence[int], size: int | None) -> None:
    for place in places:
        if size is None or not -size <= place < size:
            raise Untranslatable(
                f"{ast.unparse(array.node)}[{place}]: there are {size} numbers",
                "read a field of the card that holds it",
            )
