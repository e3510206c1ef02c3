"""What a person's file imports and is not here, when Python itself runs it: torch, base classes.

torch's and JAX's functions are NumPy's by other names; a base class keeps what it is given; a
library that only says or draws something does nothing; anything else fails when it is called.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from reward_agent.rewards import library
from reward_agent.rewards.language import split_names
from reward_agent.translation import words, written
from reward_agent.translation.words import KEYWORDS, SAME

_MODULES = split_names(
    "__future__ abc collections copy dataclasses enum functools itertools math numbers numpy "
    "operator statistics typing typing_extensions"
)
_SAYS = split_names("matplotlib logging wandb tqdm warnings pprint loguru tensorboard")


class CannotRun(Exception):
    """The file needs what is not here."""


class Base:
    """A base class, or a record, of a library: it keeps what it is given."""

    joint_ids = body_ids = slice(None)

    def __init__(self, *given: Any, **named: Any) -> None:
        self.env = self.name = given[0] if given else None
        self.__dict__.update(named)

    def step(self, action: Any) -> Any:
        """Return what was recorded."""
        return self.env.step(action)  # type: ignore[union-attr]

    def reset(self, **named: Any) -> Any:
        """Return what was recorded."""
        return self.env.reset(**named)  # type: ignore[union-attr]


class Settings(dict[str, Any]):
    """A dictionary with attributes."""

    __getattr__ = dict.__getitem__


@functools.cache
def make_base(name: str) -> type[Base]:
    """Return a base class of a name."""
    return type(name, (Base,), {})


class Quiet:
    """A library that only says or draws something."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: D102
        return self


class Library:
    """A module, or a name in one, of a library that is not here.

    Args:
        path: its dotted name.
        known: what is known of it after all, by the last name.
    """

    def __init__(self, path: str, known: Mapping[str, Any]) -> None:
        self._path, self._known = path, known

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self._known:
            return self._known[name]
        if name in _SAYS or name == "SummaryWriter":
            return Quiet()
        if name.endswith("ConfigDict"):
            return Settings
        is_class = name[:1].isupper() and not name.isupper()
        return make_base(name) if is_class else Library(f"{self._path}.{name}", self._known)

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: D102
        if len(given) == 1 and callable(given[0]):  # a mark of a function or a class
            return given[0]
        if self._path.startswith("ml_collections"):
            return Settings(*given, **named)
        raise NotImplementedError(f"{self._path}(…)")


def make_import(known: Mapping[str, Any]) -> Callable[..., Any]:
    """Return ``__import__`` for a file, with what is known of libraries that are not here."""

    def load(
        name: str, given: Any = None, local: Any = None, fromlist: Any = (), *rest: Any
    ) -> Any:
        root, *inner = name.split(".")
        if root in _SAYS or "tensorboard" in inner:
            return Quiet()
        if root in ("torch", "jax"):
            whole: Any = torch if root == "torch" else jax
            return functools.reduce(getattr, inner, whole) if fromlist else whole
        if root not in _MODULES:
            return Library(name if fromlist else root, {"tolerance": library.tolerance, **known})
        module = importlib.import_module(name)
        return module if fromlist else importlib.import_module(root)

    return load


# --- torch ----------------------------------------------------------------------------------------

_NUMPYS = {
    **SAME, "as_tensor": "asarray", "tensor": "array", "from_numpy": "asarray",
}  # fmt: skip
_AS_IT_IS = split_names(
    "float double clone detach cpu cuda to contiguous requires_grad_ long int half numpy"
)
_NO_MATTER = ("device", "dtype", "requires_grad", "non_blocking", "unbiased")


class Tensor(np.ndarray):
    """An array with torch's methods."""

    def __getattribute__(self, name: str) -> Any:
        if name in _AS_IT_IS:
            return lambda *given, **named: np.multiply(self, 1.0)
        if name in _METHODS:
            return functools.partial(getattr(torch, name), self)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name.endswith("_"):  # changes it in place
            return functools.partial(_change, self, name[:-1])
        return functools.partial(getattr(torch, name), self)


def _change(whole: Tensor, name: str, *given: Any, **named: Any) -> Tensor:
    whole[...] = getattr(whole, name)(*given, **named)
    return whole


def as_tensor(value: Any) -> Any:
    """Return an array as one of torch's; anything else as it is."""
    is_array = isinstance(value, np.ndarray | np.generic)
    return np.ndarray.view(np.asarray(value), Tensor) if is_array else value


def _strip(value: Any) -> Any:
    """Return what NumPy computes with, lest it asks the array for torch's methods."""
    if isinstance(value, list | tuple):
        return type(value)(map(_strip, value))
    return np.asarray(value) if isinstance(value, np.ndarray) else value


def _translate(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of NumPy's that takes torch's words."""

    def call(*given: Any, **named: Any) -> Any:
        known = {KEYWORDS.get(k, k): v for k, v in named.items() if k not in _NO_MATTER}
        return as_tensor(np.asarray(function(*map(_strip, given), **known)))

    return call


def _extreme(name: str) -> Callable[..., Any]:
    def find(a: Any, other: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(other, np.ndarray):
            return as_tensor(getattr(np, f"{name}imum")(np.asarray(a), np.asarray(other)))
        dim = other if dim is None else dim
        if dim is None:
            return as_tensor(np.asarray(getattr(np.asarray(a), name)()))
        found = getattr(np, name)(np.asarray(a), axis=dim, keepdims=keepdim)
        return as_tensor(found), as_tensor(getattr(np, f"arg{name}")(np.asarray(a), axis=dim))

    return find


def _fill(value: float) -> Callable[..., Any]:
    def make(*shape: Any, **named: Any) -> Any:
        sizes = shape[0] if shape and isinstance(shape[0], tuple | list) else shape
        return as_tensor(np.full(tuple(int(size) for size in sizes), value))

    return make


def _norm(a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    ord = None if ord in (2, 2.0, "fro") else ord
    return np.linalg.norm(np.asarray(a), ord, axis, keepdims)


class _Torch:
    """torch, as far as rewards need it."""

    Tensor = FloatTensor = BoolTensor = Tensor
    float32 = float64 = float = int64 = long = bool = None
    pi, inf, nan = np.pi, np.inf, np.nan
    max, min = staticmethod(_extreme("max")), staticmethod(_extreme("min"))
    zeros, ones = staticmethod(_fill(0.0)), staticmethod(_fill(1.0))
    no_grad = inference_mode = staticmethod(lambda *given: given[0] if given else nullcontext())
    _own: Mapping[str, Callable[..., Any]] = {
        "clip": lambda a, min=None, max=None: np.clip(a, min, max),
        "std": functools.partial(np.std, ddof=1), "var": functools.partial(np.var, ddof=1),
        "norm": _norm, "vector_norm": _norm,
        "zeros_like": lambda a, **named: np.zeros(np.shape(a)),
        "ones_like": lambda a, **named: np.ones(np.shape(a)),
        "full_like": lambda a, value, **named: np.full(np.shape(a), value, float),
        "is_tensor": lambda a: isinstance(a, np.ndarray),
        "view": lambda a, *shape: np.reshape(a, shape), "select": np.where,
    }  # fmt: skip

    def __init__(self) -> None:
        self.jit = Library("torch.jit", {})
        self.nn = self.functional = self.linalg = self.special = self

    def __getattr__(self, name: str) -> Any:
        if name in ("Module", "device"):
            return Base
        word = _NUMPYS.get(name, name)
        function = self._own.get(word) or getattr(np, word, None)
        if function is None and word in _WRITTEN:
            return _WRITTEN[word]
        if function is None or name.startswith("__"):
            raise AttributeError(name)
        return _translate(function)

    def cond(self, test: Any, yes: Any, no: Any, *given: Any) -> Any:
        """Return what ``jax.lax.cond`` does."""
        return yes(*given) if test else no(*given)


_WRITTEN: dict[str, Any] = {"np": np, "functools": functools}
exec(written.ARRAYS, _WRITTEN)
_METHODS = split_names(
    "sum mean max min std var prod all any norm clamp clip argmax argmin unsqueeze view abs "
    "square exp cumsum"
)
torch = _Torch()


class _Jax:
    """JAX, as far as rewards need it: NumPy, and what changes how a function runs."""

    numpy = np
    nn = lax = torch
    Array = np.ndarray

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Library(f"jax.{name}", {})


jax = _Jax()
# What a name stands for that a pasted snippet does not import.
CONVENTIONS = {
    name: functools.reduce(
        getattr, word.path.split(".")[1:], make_import({})(word.path.split(".")[0])
    )
    for name, word in words.CONVENTIONS.items()
}
