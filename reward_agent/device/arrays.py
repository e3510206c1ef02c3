"""NumPy as programs know it, on PyTorch's tensors, so that what they compute can be traced.

It is ``torch._numpy``, whose floats are made float32 here, and what that lacks and programs use.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch._numpy as tnp
from torch._numpy import _dtypes_impl, _ndarray

from reward_agent.rewards import language, library
from reward_agent.rewards.guards import Namespace, make_stand_in

_REDUCED = {
    "add": tnp.sum,
    "multiply": tnp.prod,
    "maximum": tnp.max,
    "minimum": tnp.min,
    "logical_and": tnp.all,
    "logical_or": tnp.any,
}
_ACCUMULATED = {"add": tnp.cumsum, "multiply": tnp.cumprod}
_NUMBERS = (bool, int, float)
_SINGLE = ("float64", "double", "float32", "single", "float16")


class _Ufunc:
    """A function of NumPy that works element by element; of Python's numbers it gives numbers."""

    def __init__(self, name: str) -> None:
        self._name, self._function = name, getattr(tnp, name)
        if name in _REDUCED:
            self.reduce = lambda a, axis=0, **options: _REDUCED[name](a, axis=axis, **options)
        if name in _ACCUMULATED:
            self.accumulate = lambda a, axis=0: _ACCUMULATED[name](a, axis=axis)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Return what NumPy's function does."""
        if not keywords and all(type(value) in _NUMBERS for value in args):
            return np.asarray(getattr(np, self._name)(*args)).item()
        out, where = keywords.pop("out", None), keywords.pop("where", None)
        values = self._function(*args, **keywords)
        kept = out[0] if isinstance(out, tuple) else out
        if where is not None and where is not True:
            values = tnp.where(where, values, values if kept is None else kept)
        if kept is None:
            return values
        kept[...] = values
        return kept

    def outer(self, first: Any, second: Any) -> Any:
        """Return it of each pair of two."""
        a, b = tnp.asarray(first), tnp.asarray(second)
        return self._function(a.reshape(*a.shape, *(1,) * b.ndim), b)


def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Return what ``np.interp`` returns, without a period."""
    x, xp, fp = (tnp.asarray(values, dtype=tnp.float32) for values in (x, xp, fp))
    if len(xp) < 2:
        return x * 0 + fp[0]
    place = tnp.clip(tnp.searchsorted(xp, x, side="right"), 1, len(xp) - 1)
    low, high = fp[place - 1], fp[place]
    width = xp[place] - xp[place - 1]
    share = (x - xp[place - 1]) / tnp.where(width > 0, width, 1.0)
    inside = low + tnp.clip(share, 0.0, 1.0) * (high - low)
    inside = inside if left is None else tnp.where(x < xp[0], left, inside)
    return inside if right is None else tnp.where(x > xp[-1], right, inside)


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Return what ``np.select`` returns."""
    chosen = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        chosen = tnp.where(condition, choice, chosen)
    return chosen


def _fill_blank(shape: Any, dtype: Any = tnp.float32) -> Any:
    """Return what the facade gives for ``np.empty``: NaN, or 0, in every call alike."""
    is_float = tnp.dtype(dtype).kind == "f"
    return tnp.full(shape, float("nan") if is_float else 0, dtype=dtype)


def _fill_blank_like(prototype: Any, dtype: Any = None) -> Any:
    given = tnp.asarray(prototype)
    return _fill_blank(given.shape, given.dtype if dtype is None else dtype)


def _copy(values: Any) -> Any:
    return tnp.asarray(values).copy()


# A fact of the language's facade: an alias, or a function that torch._numpy does not have.
_OWN: dict[str, Any] = {
    **{short: _Ufunc(f"arc{short[1:]}") for short in ("acos", "acosh", "asin", "asinh")},
    **{short: _Ufunc(f"arc{short[1:]}") for short in ("atan", "atan2", "atanh")},
    **dict.fromkeys(_SINGLE, tnp.float32),
    "bool": tnp.bool_,
    "concat": tnp.concatenate,
    "copy": _copy,
    "empty": _fill_blank,
    "empty_like": _fill_blank_like,
    "errstate": lambda **options: contextlib.nullcontext(),
    "interp": _interp,
    "newaxis": None,
    "pow": _Ufunc("power"),
    "select": _select,
}


def _join(values: Any) -> Any:
    """Return lists in which arrays lie as one tensor, others as they are."""
    if not isinstance(values, list | tuple):
        return values
    if not any(isinstance(item, tnp.ndarray | torch.Tensor) for item in _flatten(values)):
        return values
    parts = [tnp.asarray(item).tensor for item in values]
    return torch.stack(torch.broadcast_tensors(*parts))


def _flatten(values: Any) -> Iterator[Any]:
    for item in values:
        if isinstance(item, list | tuple):
            yield from _flatten(item)
        else:
            yield item


def _set_item(array: Any, index: Any, value: Any, _set: Any = tnp.ndarray.__setitem__) -> None:
    """Write into some elements; by a mask without counting what it picks."""
    if isinstance(index, tnp.ndarray) and index.dtype.kind == "b":
        mask, tensor = index.tensor, array.tensor
        put = tnp.asarray(value).tensor.to(tensor.dtype)
        if put.ndim == 0 or put.shape == tensor.shape[mask.ndim :]:
            mask = mask.reshape(*mask.shape, *(1,) * (tensor.ndim - mask.ndim))
            tensor.copy_(torch.where(mask, put, tensor))
            return
    _set(array, index, value)


@contextlib.contextmanager
def using_single_precision() -> Iterator[None]:
    """Let ``torch._numpy`` make float32 where NumPy makes float64, and arrays of lists of arrays.

    As it is, it would read the numbers out of the latter, which ends a trace.
    """
    defaults = _dtypes_impl.DefaultDTypes(torch.float32, torch.complex64, torch.int64)
    with (
        mock.patch.object(_dtypes_impl, "_default_dtypes", defaults),
        mock.patch.object(_ndarray, "_tolist", _join),
        mock.patch.object(tnp.ndarray, "__setitem__", _set_item),
        # NumPy's arrays leave an operator with one of these to it.
        mock.patch.object(tnp.ndarray, "__array_ufunc__", None, create=True),
    ):
        yield


def _make_numpy() -> Namespace:
    members: dict[str, Any] = {}
    for name in language.NUMPY_NAMES - language.NUMPY_NAMED_TYPES - _OWN.keys():
        if name in language.NUMPY_UFUNCS and hasattr(tnp, name):
            members[name] = _Ufunc(name)
        elif hasattr(tnp, name):
            members[name] = getattr(tnp, name)
    linalg = {
        name: getattr(tnp.linalg, name)
        for name in language.NUMPY_LINALG
        if hasattr(tnp.linalg, name)
    }
    members |= _OWN | {"linalg": Namespace("np.linalg", linalg)}
    members["ndarray"] = make_stand_in("np.ndarray", tnp.ndarray)
    members["generic"] = make_stand_in("np.generic")
    for name in ("number", "floating", "integer"):
        members[name] = make_stand_in(f"np.{name}")
    return _DeviceNumpy("np", members)


class _DeviceNumpy(Namespace):
    """NumPy's names on a device; of one that is not there it says so."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"np.{name} has no form for a device")


NUMPY = _make_numpy()


def rebind(module: ModuleType, numpy: object = NUMPY, **others: Any) -> dict[str, Any]:
    """Return the names of a module of ours whose functions compute with another NumPy.

    Args:
        module: whose.
        numpy: what they know as ``np``.
        others: further names that they are given.
    """
    names = {**vars(module), "np": numpy, **others}
    for name, value in vars(module).items():
        is_own = isinstance(value, FunctionType) and value.__module__ == module.__name__
        if is_own and name not in others:
            names[name] = _rebind_function(value, names)
    return names


def _rebind_function(function: FunctionType, names: dict[str, Any]) -> Callable[..., Any]:
    made = FunctionType(
        function.__code__, names, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


class MixedNumpy:
    """NumPy that computes with PyTorch what is made of traced arrays, and constants as it does."""

    def __getattr__(self, name: str) -> Any:
        """Return a function of both, or what NumPy has of that name."""
        given = getattr(np, name)
        if name == "ndarray":
            return (np.ndarray, tnp.ndarray)
        if isinstance(given, type) or not callable(given):
            return given

        def call(*args: Any, **keywords: Any) -> Any:
            values = [*args, *keywords.values()]
            is_traced = any(isinstance(item, tnp.ndarray) for item in _flatten(values))
            return getattr(NUMPY if is_traced else np, name)(*args, **keywords)

        return call


def make_library() -> Mapping[str, Any]:
    """Return the helpers that programs may call, as ``library.LIBRARY`` has them."""
    names = rebind(library)
    return {name: names[name] for name in library.LIBRARY}
