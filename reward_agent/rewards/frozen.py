"""Freezing what a module defines, so that no call can leave something for the next. Child side."""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType, GenericAlias, ModuleType, UnionType
from typing import Any, NoReturn

import numpy as np

from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.facade import Namespace

_MAX_DEPTH = 16
# What a program's own functions carry as the name of their file.
FILE_NAME = "reward.py"
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
        is_own = value.__code__.co_filename == FILE_NAME
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
