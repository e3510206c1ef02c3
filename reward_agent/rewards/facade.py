"""What generated code can reach at run time: facades of numpy, math and typing, few builtins.

The second layer behind the static rules: a name that is not on the lists of ``language.py`` does
not exist here, whatever road a program takes to it. Child side.
"""

from __future__ import annotations

import builtins
import math
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType, GenericAlias, ModuleType, UnionType
from typing import Any, NoReturn

import numpy as np

from reward_agent.records.jobs import PROGRAM_FILE
from reward_agent.rewards import language, library
from reward_agent.rewards.contract import ContractError


class Namespace:
    """A read-only bag of names that stands in for a module."""

    _title: str

    def __init__(self, title: str, members: Mapping[str, Any]) -> None:
        self.__dict__.update(members)
        self.__dict__["_title"] = title

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{self._title}.{name} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self._title}.{name} cannot be deleted")

    def __repr__(self) -> str:
        return f"<{self._title}>"


class _NamedType(type):
    """Lets a stand-in answer isinstance for the type behind it; it can make nothing."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, getattr(np, cls.__name__))

    def __call__(cls, *_: object, **__: object) -> NoReturn:
        raise TypeError(f"np.{cls.__name__} cannot be called; make arrays with np.zeros, np.array")


def _fill_blank(shape: Any, dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Return what ``np.empty`` returns, but NaN or 0 where it leaves whatever was in memory.

    A program that reads an element before it wrote it is then found out, in every call alike.
    """
    kind = np.dtype(dtype)
    return np.full(shape, np.nan if kind.kind == "f" else 0, dtype=kind)


def _fill_blank_like(prototype: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """Return what ``np.empty_like`` returns, with NaN or 0 in it."""
    given = np.asarray(prototype)
    return _fill_blank(given.shape, given.dtype if dtype is None else dtype)


def _pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    """Return what ``np.pad`` returns, for the modes that neither call back nor show old memory."""
    if type(mode) is not str or mode not in language.PAD_MODES:
        raise ValueError(f"np.pad: mode is one of {', '.join(sorted(language.PAD_MODES))}")
    return np.pad(array, pad_width, mode, **options)  # type: ignore[call-overload]


def _pick(module: ModuleType, names: frozenset[str]) -> dict[str, Any]:
    """Return the named members that this version of the module has."""
    return {name: getattr(module, name) for name in sorted(names) if hasattr(module, name)}


def _make_numpy() -> Namespace:
    members = _pick(np, language.NUMPY_NAMES)
    for name, allowed in language.NUMPY_SUBMODULES.items():
        members[name] = Namespace(f"np.{name}", _pick(getattr(np, name), allowed))
    members |= {"empty": _fill_blank, "empty_like": _fill_blank_like, "pad": _pad}
    members |= {name: _NamedType(name, (), {}) for name in language.NUMPY_NAMED_TYPES}
    return Namespace("np", members)


NUMPY = _make_numpy()
MATH = Namespace("math", _pick(math, language.MATH_NAMES))
TYPING = Namespace("typing", _pick(typing, language.TYPING_NAMES))


def make_globals(extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return fresh global names for one program.

    Args:
        extra: further names, such as ``Score`` for a metric; they can be imported from
            ``reward_agent.types`` too.
    """
    additions = dict(extra or {})
    names: dict[str, Any] = {
        "np": NUMPY,
        "math": MATH,
        **library.LIBRARY,
        **additions,
        "__name__": "reward",
    }
    allowed = {name: getattr(builtins, name) for name in sorted(language.BUILTINS)}
    modules = {
        "numpy": NUMPY,
        "math": MATH,
        "typing": TYPING,
        "__future__": Namespace("__future__", {"annotations": None}),
        "reward_agent.types": Namespace("reward_agent.types", additions),
    }
    names["__builtins__"] = {**allowed, "__import__": _make_import(modules)}
    return names


def _make_import(modules: Mapping[str, Namespace]) -> Callable[..., Any]:
    """Return an ``__import__`` that knows the facades only.

    NumPy's C code imports parts of NumPy through the caller's builtins, with a list where an
    import statement has a tuple or nothing; ``import numpy`` has imported those parts.
    """

    def import_facade(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        if isinstance(fromlist, list) and name.startswith("numpy.") and name in sys.modules:
            return sys.modules[name]
        if level == 0 and name in modules:
            return modules[name]
        raise ImportError(f"{name!r} cannot be imported by a reward program")

    return import_facade


# --- freezing what a module defines, so that no call can leave something for the next -------------

_MAX_DEPTH = 16
_PLAIN = (
    int, float, str, bool, type(None), type(...), slice, range, np.generic, np.dtype, np.finfo,
    np.iinfo, np.ufunc, type(np.sum), type, Namespace, GenericAlias, UnionType,
)  # fmt: skip


def _refuse_change(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(
        "a list or dict of the module cannot be changed: nothing is remembered between calls; "
        "use init_memory for what an episode must remember"
    )


class FrozenList(list[Any]):
    """A list that can be read, indexed with and copied, but not changed."""

    append = extend = insert = pop = remove = clear = sort = reverse = _refuse_change
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse_change


class FrozenDict(dict[Any, Any]):
    """A dict that can be read and copied, but not changed."""

    update = setdefault = pop = popitem = clear = _refuse_change
    __setitem__ = __delitem__ = __ior__ = _refuse_change


def freeze(name: str, value: Any, depth: int = 0) -> Any:
    """Return the value in a form that cannot be changed; functions must hold no state.

    Args:
        name: what the module calls it, for the message.
        value: what the module defined.
        depth: how deep in a container it lies.

    Raises:
        ContractError: it is something that remembers: an iterator, a closure, a bound method.
    """
    if depth > _MAX_DEPTH:
        raise ContractError("contract/module", f"{name} is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, np.ndarray) and value.dtype.kind not in "OV":
        value.flags.writeable = False
        return value
    if type(value) is list:
        return FrozenList(freeze(name, item, depth + 1) for item in value)
    if type(value) is dict:
        return FrozenDict({key: freeze(name, item, depth + 1) for key, item in value.items()})
    if type(value) in (set, frozenset):
        return frozenset(value)
    if type(value) is tuple:
        return tuple(freeze(name, item, depth + 1) for item in value)
    if isinstance(value, FunctionType):
        is_own = value.__code__.co_filename == PROGRAM_FILE
        return _freeze_function(name, value) if is_own else value
    if isinstance(value, _PLAIN) or _is_plain_builtin(value):
        return value
    raise ContractError(
        "contract/module",
        f"{name} is a {type(value).__name__}, which remembers where it stands",
        "keep numbers, text, tuples, lists, dicts, arrays and functions at module level",
    )


def _freeze_function(name: str, function: FunctionType) -> FunctionType:
    """Freeze the defaults of a function; a closure is refused, for its cells can change."""
    if function.__closure__:
        raise ContractError(
            "contract/module",
            f"{name} is a function made by another, which can remember between calls",
            "define it with def at module level",
        )
    if function.__defaults__:
        function.__defaults__ = tuple(freeze(name, item, 1) for item in function.__defaults__)
    if function.__kwdefaults__:
        function.__kwdefaults__ = {
            key: freeze(name, item, 1) for key, item in function.__kwdefaults__.items()
        }
    return function


def _is_plain_builtin(value: object) -> bool:
    """Whether a C function belongs to a module, not to a list or dict that it would change."""
    if not isinstance(value, BuiltinFunctionType):
        # What annotations are made of.
        return type(value).__module__ == "typing"
    owner = getattr(value, "__self__", None)
    return owner is None or isinstance(owner, ModuleType)
