"""What is decided about a program's values at run time, by their type, whatever road they took.

Arrays hold numbers, text shows values and no addresses, sets keep an order, types are no way to a
list's methods, and what a module keeps from call to call cannot change. Child side.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import BuiltinFunctionType, FunctionType, GenericAlias, ModuleType, UnionType
from typing import Any, NoReturn

import numpy as np

from reward_agent.errors import hint_closest
from reward_agent.rewards import language
from reward_agent.rewards.contract import ContractError

# --- values ---------------------------------------------------------------------------------------

NUMBER_KINDS = "fbiuc"
PLAIN_TYPES = (str, int, float, bool, type(None))
_MAX_DEPTH = 16
_SHOWN_SEQUENCES = (list, tuple)
# What else functions of NumPy give.
_GIVEN_TYPES = (int, float, complex, type(None), slice, np.dtype, np.finfo, np.iinfo)


def is_number(value: object) -> bool:
    """Whether a value is an array or scalar of NumPy that holds numbers or flags."""
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in NUMBER_KINDS


def check_value(title: str, value: Any) -> Any:
    """Return what a function of NumPy gave, if no array in it holds anything but numbers.

    Raises:
        ContractError: text, objects, dates or records: they remember, or show addresses.
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in NUMBER_KINDS:
            raise _refuse_given(title, str(value.dtype))
    elif isinstance(value, _SHOWN_SEQUENCES):
        for item in value:
            check_value(title, item)
    elif not isinstance(value, _GIVEN_TYPES):  # text of np.mod("%s", …), an object of its loops
        raise _refuse_given(title, type(value).__name__)
    return value


def _refuse_given(title: str, kind: str) -> ContractError:
    return ContractError(
        "contract/dtype",
        f"{title} gave {kind}; arrays hold numbers or flags",
        "use float, int, bool, np.float64 or x.dtype; keep text in lists and dicts",
    )


def show(value: Any) -> Any:
    """Return a value that is about to be written as text: itself, if its text is always the same.

    The text of functions, iterators and objects is an address, another in each process; they, and
    what holds one, are shown as the name of their type.
    """
    return value if _is_shown(value, 0) else f"<{type(value).__name__}>"


def _show_operand(value: Any) -> Any:
    """Return the right side of a ``%`` likewise, the items of a tuple or a dict each by itself."""
    if isinstance(value, tuple):
        return tuple(map(show, value))
    if isinstance(value, dict):
        return {show(key): show(item) for key, item in value.items()}
    return show(value)


def _is_shown(value: Any, depth: int) -> bool:
    if type(value) in PLAIN_TYPES or is_number(value):
        return True
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict):
        value = [*value, *value.values()]
    is_container = isinstance(value, (*_SHOWN_SEQUENCES, OrderedSet))
    return is_container and all(_is_shown(item, depth + 1) for item in value)


class OrderedSet(AbstractSet[Any]):
    """What programs get for a set: its order is that in which things were put in."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return self._hash()

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}"

    def issubset(self, other: Iterable[Any]) -> bool:
        """Whether each of its items is in the other."""
        return self <= OrderedSet(other)

    def issuperset(self, other: Iterable[Any]) -> bool:
        """Whether each item of the other is in it."""
        return self >= OrderedSet(other)


# --- functions and types --------------------------------------------------------------------------

_REDUCTIONS = frozenset(
    {"all", "any", "max", "mean", "min", "prod", "std", "sum", "var", "amax", "amin", "reduce"}
)


class Guarded:
    """A function of NumPy, with the keywords of the language, that gives numbers only."""

    __slots__ = ("_function", "_title")

    def __init__(self, title: str, function: Callable[..., Any]) -> None:
        self._title, self._function = title, function

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the function."""
        if keywords:
            self._check_keywords(keywords)
        return check_value(self._title, self._function(*args, **keywords))

    def __getattr__(self, name: str) -> Guarded:
        if name in language.UFUNC_METHODS and isinstance(self._function, np.ufunc):
            return Guarded(f"{self._title}.{name}", getattr(self._function, name))
        raise AttributeError(f"{self._title} has no {name!r}")

    def __repr__(self) -> str:
        return f"<{self._title}>"

    @property
    def owner(self) -> object:
        """What the function is a method of."""
        return getattr(self._function, "__self__", None)

    def _check_keywords(self, keywords: Mapping[str, Any]) -> None:
        for name in keywords.keys() - language.KEYWORDS:
            hint = hint_closest(name, language.KEYWORDS)
            raise TypeError(f"{self._title} takes no keyword {name!r}{hint}")
        is_reduction = self._title.rpartition(".")[2] in _REDUCTIONS
        outputs = keywords.get("out")
        is_whole = all(o is not None for o in (outputs if type(outputs) is tuple else [outputs]))
        if "where" in keywords and not is_whole and not is_reduction:
            raise ContractError(
                "contract/where",
                f"{self._title}(where=…) leaves the other elements as whatever was in memory",
                "use np.where(mask, a, b), or give out=np.zeros_like(x) too",
            )


class StandIn(type):
    """A type that can be asked for, written in annotations and, some, called: nothing more.

    The types themselves would reach into any list or dict: ``list.append(FROZEN, 1)``.
    """

    _kinds: tuple[type, ...]
    _make: Callable[..., Any] | None

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls._kinds)

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        """Make a value of the type behind it."""
        if cls._make is None:
            raise TypeError(f"{cls.__name__} cannot be called; make arrays with np.zeros, np.array")
        return cls._make(*args, **keywords)

    def __getitem__(cls, item: object) -> StandIn:
        return cls

    def __repr__(cls) -> str:
        return f"<{cls.__name__}>"


def make_stand_in(
    name: str, *kinds: type, make: Callable[..., Any] | None = None, **members: Any
) -> StandIn:
    """Return a stand-in for some types; ``make`` is what calling it does, members what it has."""
    made = staticmethod(make) if make else None
    return StandIn(name, (), {"_kinds": kinds, "_make": made, **members})


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


# --- syntax that would go past the facade ---------------------------------------------------------

# Methods of arrays that take a dtype or a mask.
_GUARDED_METHODS = language.split_names("astype clip cumprod cumsum mean prod std sum trace var")
_READ_MEMBERS = _GUARDED_METHODS | {"items", "keys"}


def _read_member(value: Any, name: str) -> Any:
    """Return an attribute whose name is that of a guarded method, or of a view of a dict.

    Views would make sets of Python's own, whose order is that of addresses.
    """
    if isinstance(value, Mapping) and name in ("keys", "items"):
        return lambda: OrderedSet(value) if name == "keys" else list(value.items())
    member = getattr(value, name)
    is_method = isinstance(value, np.ndarray | np.generic)
    return Guarded(f".{name}", member) if is_method else member


# What rewritten syntax calls; no program may have such names.
REWRITTEN = {
    "__show__": show,
    "__show_operand__": _show_operand,
    "__show_each__": lambda items: [show(item) for item in items],
    "__set__": OrderedSet,
    "__member__": _read_member,
}


class _Rewriting(ast.NodeTransformer):
    """Has Python's own syntax go by the guards: formatted text, sets, methods with a dtype."""

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        node.value = _call("__show__", node.value)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Mod):
            node.right = _call("__show_operand__", node.right)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Mod):
            node.value = _call("__show_operand__", node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
            node.args = [_show_argument(argument) for argument in node.args]
            for keyword in node.keywords:
                keyword.value = _call("__show__", keyword.value)
        return node

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        return _call("__set__", ast.copy_location(ast.List(node.elts, ast.Load()), node))

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        self.generic_visit(node)
        return _call("__set__", ast.copy_location(ast.ListComp(node.elt, node.generators), node))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr not in _READ_MEMBERS or not isinstance(node.ctx, ast.Load):
            return node
        return _call("__member__", node.value, ast.copy_location(ast.Constant(node.attr), node))


def _show_argument(node: ast.expr) -> ast.expr:
    if not isinstance(node, ast.Starred):
        return _call("__show__", node)
    node.value = _call("__show_each__", node.value)
    return node


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    function = ast.copy_location(ast.Name(name, ast.Load()), arguments[0])
    return ast.copy_location(ast.Call(function, list(arguments), []), arguments[0])


def guard_syntax(tree: ast.Module) -> None:
    """Rewrite a program's tree in place, so that Python's own syntax goes by the guards."""
    _Rewriting().visit(tree)


# --- what a module keeps: frozen, so that no call can leave something for the next ----------------


class Kept:
    """A function of ours that holds no state: a module keeps it as it is."""

    __slots__ = ()

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Return what it makes of its arguments."""
        raise NotImplementedError


_KEPT_TYPES = (
    *PLAIN_TYPES, type(...), range, type, Kept, Namespace, GenericAlias, UnionType,
)  # fmt: skip


def _refuse_change(self: object, *_: object, **__: object) -> NoReturn:
    raise ContractError(
        "contract/module-state",
        "a list or dict of the module is changed in a call",
        "use init_memory for what an episode must remember, local names for the rest",
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
        ContractError: it is something else than numbers, text, number arrays, containers of them,
            types and functions: an iterator, a record, a closure, a bound method.
    """
    if depth > _MAX_DEPTH:
        raise ContractError("contract/module", f"{name} is nested more than {_MAX_DEPTH} deep")
    if type(value) is np.ndarray and is_number(value):
        value.flags.writeable = False
        return value
    if type(value) is list:
        return FrozenList(freeze(name, item, depth + 1) for item in value)
    if type(value) is dict:
        keys = [freeze(name, key, depth + 1) for key in value]
        values = [freeze(name, item, depth + 1) for item in value.values()]
        return FrozenDict(zip(keys, values, strict=True))
    if type(value) in (tuple, OrderedSet):
        return type(value)(freeze(name, item, depth + 1) for item in value)
    if type(value) is slice:
        return slice(
            *(freeze(name, end, depth + 1) for end in (value.start, value.stop, value.step))
        )
    if isinstance(value, FunctionType):
        return _freeze_function(name, value)
    is_scalar = isinstance(value, np.generic) and is_number(value)
    if is_scalar or isinstance(value, _KEPT_TYPES) or _is_of_module(value):
        return value
    raise ContractError(
        "contract/module",
        f"{name} is a {type(value).__name__}, which could remember something between calls",
        "keep numbers, text, tuples, lists, dicts, number arrays and functions at module level",
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


def _is_of_module(value: object) -> bool:
    """Whether a C function belongs to a module or a ufunc, not to a list or array that it keeps."""
    if isinstance(value, Guarded):
        return not isinstance(value.owner, np.ndarray)
    owner = getattr(value, "__self__", value)
    return isinstance(value, BuiltinFunctionType) and isinstance(owner, ModuleType | None)
