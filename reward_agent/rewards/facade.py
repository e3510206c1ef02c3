"""What generated code can reach at run time: facades of numpy, math and typing, few builtins.

A name that is not on the lists of ``language.py`` does not exist here, whatever road a program
takes to it. Child side.
"""

from __future__ import annotations

import builtins
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from reward_agent.rewards import language, library
from reward_agent.rewards.guards import (
    REWRITTEN,
    Guarded,
    Namespace,
    OrderedSet,
    make_stand_in,
    show,
)


def _iterate(items: Iterable[Any]) -> Iterator[Any]:
    """Return ``iter(items)``; with an end that need not come there is none."""
    return iter(items)


def _make_text(value: Any = "") -> str:
    return str(show(value))


_STAND_INS: dict[str, Any] = {
    "list": make_stand_in("list", list, make=list),
    "dict": make_stand_in("dict", dict, make=dict, fromkeys=staticmethod(dict.fromkeys)),
    "set": make_stand_in("set", set, OrderedSet, make=OrderedSet),
    "frozenset": make_stand_in("frozenset", frozenset, OrderedSet, make=OrderedSet),
    "str": make_stand_in(
        "str",
        str,
        make=_make_text,
        **{name: getattr(str, name) for name in language.METHODS if hasattr(str, name)},
    ),
    "iter": _iterate,
}


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


def _pick(title: str, module: ModuleType, names: frozenset[str]) -> dict[str, Any]:
    """Return the named members that this version of the module has, its functions guarded."""
    members = {name: getattr(module, name) for name in sorted(names) if hasattr(module, name)}
    return {
        name: member
        if isinstance(member, type) or not callable(member)
        else Guarded(f"{title}.{name}", member)
        for name, member in members.items()
    }


def _make_numpy() -> Namespace:
    members = _pick("np", np, language.NUMPY_NAMES)
    for name, allowed in language.NUMPY_SUBMODULES.items():
        title = f"np.{name}"
        members[name] = Namespace(title, _pick(title, getattr(np, name), allowed))
    own: dict[str, Callable[..., Any]] = {
        "empty": _fill_blank,
        "empty_like": _fill_blank_like,
        "pad": _pad,
    }
    members |= {name: Guarded(f"np.{name}", function) for name, function in own.items()}
    members |= {
        name: make_stand_in(f"np.{name}", getattr(np, name)) for name in language.NUMPY_NAMED_TYPES
    }
    return Namespace("np", members)


NUMPY = _make_numpy()
MATH = Namespace("math", {name: getattr(math, name) for name in sorted(language.MATH_NAMES)})
TYPING = Namespace("typing", {name: make_stand_in(name) for name in sorted(language.TYPING_NAMES)})


def make_globals(
    extra: Mapping[str, Any] | None = None,
    numpy: Namespace = NUMPY,
    helpers: Mapping[str, Any] = library.LIBRARY,
) -> dict[str, Any]:
    """Return fresh global names for one program.

    Args:
        extra: further names, such as ``Score`` for a metric; they can be imported from
            ``reward_agent.types`` too.
        numpy: what it knows as ``np``.
        helpers: functions of ours that it may call.
    """
    additions = dict(extra or {})
    names: dict[str, Any] = {
        "np": numpy,
        "math": MATH,
        **helpers,
        **additions,
        **REWRITTEN,
        "__name__": "reward",
    }
    allowed = {name: getattr(builtins, name) for name in sorted(language.BUILTINS)} | _STAND_INS
    modules = {
        "numpy": numpy,
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
