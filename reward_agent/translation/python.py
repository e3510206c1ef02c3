"""Python's own functions, and the methods of its texts, lists and dictionaries."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reward_agent.rewards.language import split_names
from reward_agent.translation import arithmetic, indexing, operations, remedies, written
from reward_agent.translation.indexing import get_item
from reward_agent.translation.journal import ABSENT, mark_entry
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    DefaultTable,
    Deque,
    Function,
    Instance,
    Items,
    Lanes,
    Maybe,
    Partial,
    Table,
    Word,
)

if TYPE_CHECKING:
    from reward_agent.translation.machine import Tracer

BUILTINS = split_names(
    """
    abs all any bool callable dict dir divmod enumerate filter float getattr globals hasattr int
    isinstance len list map max min pow print range reversed round set setattr sorted str sum tuple
    vars zip super property staticmethod classmethod Exception ValueError TypeError
    NotImplementedError RuntimeError ZeroDivisionError KeyError IndexError object type
    """
)
_TEXT_METHODS = split_names(
    "startswith endswith removeprefix removesuffix lower upper title strip lstrip rstrip split "
    "replace join isidentifier"
)


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def call_builtin(machine: Tracer, name: str, given: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Return what a function of Python's own returns."""
    if name in _BUILTIN_CALLS:
        return _BUILTIN_CALLS[name](machine, *given, **named)
    function = written.find_function(name, "builtins")
    if function is None:
        raise machine.refuse(f"{name}(…)", remedies.replace_word(name))
    return machine.call_function(function, tuple(given), named)


def _to_float(machine: Tracer, value: Any = 0.0) -> Any:
    plain = arithmetic.unlift(value)
    if isinstance(plain, int | float | str):
        return float(plain)
    array = arithmetic.lift(value)
    if array.shape == (1,):
        array = get_item(array, 0)
    if array.shape and array.is_row:
        raise machine.refuse("float(…) of a vector", "take one of its numbers, or its sum")
    return Lanes(
        arithmetic.as_number(array), array.shape, array.is_row, "float", array.value, array.terms
    )


def _to_int(machine: Tracer, value: Any = 0) -> Any:
    plain = arithmetic.unlift(value)
    if isinstance(plain, int | float | str):
        return int(plain)
    number = _to_float(machine, value)
    return number if value.kind == "bool" else arithmetic.spread("np.trunc", number)


def _smallest(function: str) -> Callable[..., Any]:
    plain = min if function == "np.minimum" else max

    def find(machine: Tracer, *given: Any, key: Any = None, default: Any = None) -> Any:
        if key is not None:
            raise machine.refuse("min or max with a key", "choose with np.where")
        if len(given) == 1 and isinstance(given[0], Lanes):
            return arithmetic.reduce(function[:6], given[0])
        items = machine.iterate(given[0]) if len(given) == 1 else list(given)
        if all(_is_plain(item) for item in items):
            return plain(items)
        found = items[0]
        for item in items[1:]:
            found = arithmetic.spread(function, found, item)
        return found

    return find


def add_up(machine: Tracer, items: Any, start: Any = 0) -> Any:
    """Return what ``sum`` does."""
    if isinstance(items, Lanes) and len(items.shape) == 1 and items.shape[0] is not None:
        found = arithmetic.reduce("np.sum", items)
        return machine.combine(ast.Add(), start, found) if start != 0 else found
    total = start
    for item in machine.iterate(items):
        total = item if _is_plain(total) and total == 0 else machine.combine(ast.Add(), total, item)
    return total


def _abs(machine: Tracer, value: Any) -> Any:
    plain = arithmetic.unlift(value)
    return abs(plain) if _is_plain(plain) else arithmetic.spread("np.abs", value)


def _length(machine: Tracer, value: Any) -> Any:
    if isinstance(value, Lanes):
        size = value.shape[0] if value.shape else 1
        if size is None:
            return indexing.count()
        return size
    return len(machine.iterate(value)) if not isinstance(value, str) else len(value)


def _range(machine: Tracer, *ends: Any) -> range:
    numbers = [arithmetic.unlift(end) for end in ends]
    if any(not isinstance(number, int) for number in numbers):
        raise machine.refuse("a range whose end depends on the simulation", "use a fixed range")
    return range(*numbers)


def make_table(machine: Tracer, given: Any = (), **named: Any) -> Table:
    """Return what ``dict`` does."""
    table = (
        Table(given)
        if isinstance(given, Table)
        else Table({arithmetic.unlift(key): value for key, value in machine.iterate(given)})
    )
    table.update(named)
    return table


def _get_attribute(machine: Tracer, owner: Any, name: Any, default: Any = None) -> Any:
    if isinstance(owner, Instance) and name in machine.asked:
        value = owner.names.get(name)
        if isinstance(value, Maybe):
            return arithmetic.choose(value.is_none, default, value.array)
        return default if value is None else value
    found = machine.attempt(lambda: machine.get_attribute(owner, str(name)))
    return default if isinstance(found, Broken) and default is not None else machine.read(found)


def _has_attribute(machine: Tracer, owner: Any, name: Any) -> Any:
    if isinstance(owner, Instance) and name in machine.asked and name in owner.names:
        value = owner.names[name]
        return arithmetic.invert(value.is_none) if isinstance(value, Maybe) else value is not None
    return not isinstance(machine.attempt(lambda: machine.get_attribute(owner, name)), Broken)


def _set_attribute(machine: Tracer, owner: Any, name: Any, value: Any) -> None:
    machine.write(owner.names, str(name), machine.name_value(str(name), value))


def _list_attributes(machine: Tracer, owner: Any) -> Items:
    of_class = owner.type if isinstance(owner, Instance) else owner
    own = [*owner.names] if isinstance(owner, Instance) else []
    names = {*own, *(name for name, _ in of_class.list_names())}
    return Items(enumerate(sorted(map(str, names))))


def _isinstance_of(machine: Tracer, value: Any, kinds: Any) -> bool:
    listed = kinds if isinstance(kinds, tuple) else (kinds,)
    if isinstance(value, Instance):
        return value.type in listed
    names = {kind.name for kind in listed if isinstance(kind, Word)}
    plain = arithmetic.unlift(value)
    if isinstance(plain, str | bool | dict | Items | tuple | None):
        kind = {Items: "list", Table: "dict", type(None): "NoneType"}.get(type(plain))
        return (kind or type(plain).__name__) in names
    return not names <= {"str", "dict", "list", "tuple", "bool"}


def _round(machine: Tracer, value: Any, ndigits: Any = 0) -> Any:
    plain = arithmetic.unlift(value)
    if _is_plain(plain):
        return round(plain, arithmetic.unlift(ndigits) or None)
    return arithmetic.spread("np.round", value, arithmetic.unlift(ndigits))


def _sorted(machine: Tracer, items: Any, key: Any = None, reverse: Any = False) -> Any:
    if key is not None:
        raise machine.refuse("sorted with a key", "choose with np.where")
    plain = [arithmetic.unlift(item) for item in machine.iterate(items)]
    if not any(isinstance(item, Lanes) for item in plain):
        return Items(enumerate(sorted(plain, reverse=bool(reverse))))
    array = operations.SPECIAL["sort"](machine, items)
    return get_item(array, slice(None, None, -1)) if reverse else array


_BUILTIN_CALLS: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "bool": lambda machine, value=False: machine.test(value),
    "dict": make_table,
    "enumerate": lambda machine, items, start=0: Items(
        enumerate([*enumerate(machine.iterate(items), arithmetic.unlift(start))])
    ),
    "float": _to_float,
    "getattr": _get_attribute,
    "hasattr": _has_attribute,
    "setattr": _set_attribute,
    "dir": _list_attributes,
    "callable": lambda machine, value: isinstance(value, Function | Partial | Class),
    "globals": lambda machine: Table(machine.scope.names),
    "set": lambda machine, items=(): Items(enumerate(dict.fromkeys(machine.iterate(items)))),
    "type": lambda machine, value: (
        value.type if isinstance(value, Instance) else Word("builtins", "type")
    ),
    "int": _to_int,
    "isinstance": _isinstance_of,
    "len": _length,
    "list": lambda machine, items=(): Items(enumerate(machine.iterate(items))),
    "tuple": lambda machine, items=(): tuple(machine.iterate(items)),
    "max": _smallest("np.maximum"),
    "min": _smallest("np.minimum"),
    "range": _range,
    "reversed": lambda machine, items: Items(enumerate(machine.iterate(items)[::-1])),
    "round": _round,
    "str": lambda machine, value="": str(arithmetic.unlift(value)),
    "sorted": _sorted,
    "sum": add_up,
    "super": lambda machine, *given: machine.get_super(),
    "vars": lambda machine, owner: Table(owner.names),
    "zip": lambda machine, *lists, **named: Items(
        enumerate([*zip(*map(machine.iterate, lists), strict=False)])
    ),
}


# --- methods, and types of the standard library ---------------------------------------------------


def call_method(
    machine: Tracer, owner: Any, name: str, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a method of a text, a list or a dictionary returns."""
    if isinstance(owner, str):
        return _call_text(machine, owner, name, given)
    if isinstance(owner, Table):
        return _call_table(machine, owner, name, given, named)
    if isinstance(owner, Items):
        return _call_items(machine, owner, name, given)
    if isinstance(owner, tuple) and name in ("index", "count"):
        return getattr(tuple(map(arithmetic.unlift, owner)), name)(*given)
    raise machine.refuse(
        f".{name}(…) of {arithmetic.name_kind(owner)}", "write it with arithmetic and NumPy"
    )


def _call_text(machine: Tracer, text: str, name: str, given: Sequence[Any]) -> Any:
    if name in _TEXT_METHODS:
        values = [arithmetic.unlift(item) for item in given]
        if name == "join":
            values = [machine.iterate(values[0])]
        found = getattr(text, name)(*values)
        return Items(enumerate(found)) if isinstance(found, list) else found
    if name == "format":
        return text
    raise machine.refuse(f".{name}(…) of a text", "leave it out")


def _call_table(
    machine: Tracer, table: Table, name: str, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    if name == "items":
        return Items(enumerate([*table.items()]))
    if name in ("keys", "values"):
        return Items(enumerate([*getattr(table, name)()]))
    if name in ("get", "pop", "setdefault"):
        return _get_or_make(machine, table, name, *given)
    if name == "update":
        for source in (*given[:1], Table(named)):
            for key, value in source.items() if isinstance(source, Table) else ():
                machine.write(table, key, mark_entry(key, value))
        return None
    if name == "copy":
        return Table(table)
    raise machine.refuse(f".{name}(…) of a dictionary", "write it out")


def _get_or_make(machine: Tracer, table: Table, name: str, key: Any, default: Any = None) -> Any:
    key = arithmetic.unlift(key)
    if key in table:
        found = machine.read(table[key])
        if name == "pop":
            machine.write(table, key, ABSENT)
        return found
    if name == "setdefault":
        machine.write(table, key, default)
    return default


def _call_items(machine: Tracer, items: Items, name: str, given: Sequence[Any]) -> Any:
    if name in ("append", "extend", "add"):
        for value in machine.iterate(given[0]) if name == "extend" else given:
            _append(machine, items, value)
        return None
    if name in ("pop", "popleft"):
        place = arithmetic.unlift(given[0]) if given else -1
        return _remove(machine, items, 0 if name == "popleft" else place)
    if name in ("clear", "copy"):
        if name == "copy":
            return Items(items)
        for place in [*items]:
            machine.write(items, place, ABSENT)
        return None
    if name == "index":
        return [arithmetic.unlift(item) for item in items].index(arithmetic.unlift(given[0]))
    raise machine.refuse(f".{name}(…) of a list", "make it an array: np.array([...])")


def _append(machine: Tracer, items: Items, value: Any) -> None:
    """Add an item; a full deque loses its first."""
    if isinstance(items, Deque) and len(items) == items.most:
        for place in range(len(items) - 1):
            machine.write(items, place, items[place + 1])
        machine.write(items, len(items) - 1, machine.name_value("newest", value))
    else:
        machine.write(items, len(items), machine.name_value("item", value))


def _remove(machine: Tracer, items: Items, place: int) -> Any:
    listed = [*items]
    removed = listed.pop(place)
    for number, value in enumerate(listed):
        machine.write(items, number, value)
    machine.write(items, len(listed), ABSENT)
    return removed


_OPERATORS: dict[str, ast.operator] = {
    "add": ast.Add(), "iadd": ast.Add(), "sub": ast.Sub(), "mul": ast.Mult(), "imul": ast.Mult(),
    "truediv": ast.Div(), "floordiv": ast.FloorDiv(), "mod": ast.Mod(), "pow": ast.Pow(),
}  # fmt: skip


def call_helper(
    machine: Tracer, function: Word, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a type or a function of the standard library returns."""
    name = function.name
    if function.module == "operator" and name.rstrip("_") in _OPERATORS:
        return machine.combine(_OPERATORS[name.rstrip("_")], *given)
    if function.path == "dataclasses.field":
        factory = named.get("default_factory")
        return named.get("default") if factory is None else machine.call(factory, (), {})
    if name == "deque":
        most = arithmetic.unlift(named.get("maxlen", given[1] if len(given) > 1 else None))
        made = Deque(enumerate(machine.iterate(given[0]) if given else []))
        made.most = most if isinstance(most, int) else -1
        return made
    if name in ("defaultdict", "OrderedDict", "SimpleNamespace"):
        made_table = DefaultTable(named)
        if name == "defaultdict" and given:
            made_table.make = given[0]
        return made_table
    if name == "namedtuple":
        fields = given[1].replace(",", " ").split() if isinstance(given[1], str) else given[1]
        names = [str(item) for item in machine.iterate(tuple(fields))]
        return Class(str(given[0]), Cells(dict.fromkeys(names)))
    if name in ("asdict", "astuple"):
        of_class = given[0].type.list_names()
        plain = {key: value for key, value in of_class if not isinstance(value, Function)}
        table = Table({**plain, **given[0].names})
        return table if name == "asdict" else tuple(table.values())
    if name in ("cast", "NewType", "TypeVar"):
        return given[1] if name == "cast" else function
    if name in ("dataclass", "final", "overload", "runtime_checkable", "copy", "deepcopy"):
        return given[0] if given else function
    raise machine.refuse(f"{function.path} is not read here", remedies.replace_word(function.path))
