"""Words of libraries that rewards use: NumPy's, torch's, JAX's, math's and Python's own."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reward_agent.rewards.language import split_names
from reward_agent.translation import arithmetic, indexing, nodes
from reward_agent.translation.values import (
    Array,
    Instance,
    Items,
    Kind,
    Maybe,
    Method,
    Partial,
    Table,
    Untranslatable,
    Word,
)

if TYPE_CHECKING:
    from reward_agent.translation.machine import Machine

BUILTINS = split_names(
    """
    abs all any bool dict enumerate float getattr hasattr int isinstance len list map max min pow
    print range reversed round sorted str sum tuple vars zip super property staticmethod classmethod
    Exception ValueError TypeError object type
    """
)

_CONSTANTS = {
    "pi": math.pi,
    "e": math.e,
    "inf": math.inf,
    "Inf": math.inf,
    "infty": math.inf,
    "nan": math.nan,
    "NaN": math.nan,
    "tau": math.tau,
    "newaxis": None,
}
# What is the same word in NumPy, by the words of the others.
_SAME = {
    "fabs": "abs",
    "absolute": "abs",
    "arccos": "arccos",
    "acos": "arccos",
    "asin": "arcsin",
    "atan": "arctan",
    "atan2": "arctan2",
    "acosh": "arccosh",
    "asinh": "arcsinh",
    "atanh": "arctanh",
    "pow": "power",
    "mul": "multiply",
    "sub": "subtract",
    "add": "add",
    "div": "divide",
    "amax": "max",
    "amin": "min",
    "round_": "round",
    "sigmoid": "sigmoid",
    "relu": "relu",
}
_ELEMENTWISE = split_names(
    """
    abs add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil copysign cos cosh deg2rad
    degrees divide exp exp2 expm1 float_power floor floor_divide fmax fmin fmod heaviside hypot log
    log10 log1p log2 logaddexp maximum minimum mod multiply negative power rad2deg radians
    reciprocal remainder rint sign sin sinc sinh sqrt square subtract tan tanh true_divide trunc
    nan_to_num round
    """
)
_FLAGS = split_names(
    """
    equal greater greater_equal isclose isfinite isinf isnan less less_equal logical_and logical_not
    logical_or logical_xor not_equal signbit
    """
)
_REDUCTIONS = split_names(
    """
    sum mean max min prod std var any all median ptp argmax argmin
    """
)
_AS_IS = split_names(
    """
    float float32 float64 double float_ asarray array ascontiguousarray copy tensor as_tensor
    detach cpu numpy clone item squeeze to contiguous atleast_1d from_numpy stop_gradient tolist
    device_put astype int32 int64 bool_
    """
)

_LIBRARY = ("numpy", "torch", "math", "jax", "jax.lax", "torch.nn.functional")


def get_constant(word: Word) -> Any:
    """Return a library's constant, or the word itself."""
    if word.module in _LIBRARY and word.name in _CONSTANTS:
        value = _CONSTANTS[word.name]
        return None if value is None else Array(nodes.literal(value), value=value)
    return word


# --- calls ---------------------------------------------------------------------------------------


def call(
    machine: Machine, function: Word | Method, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a library's function, or a method of a value, returns.

    Raises:
        Untranslatable: it has no certain meaning over arrays.
    """
    if isinstance(function, Method):
        return _call_method(machine, function, given, named)
    if function.module == "builtins":
        return _call_builtin(machine, function.name, given, named)
    if function.path == "functools.partial":
        return Partial(given[0], tuple(given[1:]), dict(named))
    if function.path == "functools.reduce":
        return _fold(machine, given)
    if function.module in ("dataclasses", "typing", "collections"):
        return _call_helper(function, given, named)
    if function.module in _LIBRARY:
        return call_library(machine, function.name, given, named)
    if function.path == "numpy.linalg.norm" or function.path in ("torch.norm", "torch.linalg.norm"):
        return _norm(given, named)
    if function.module in ("numpy.linalg", "torch.linalg"):
        return _call_linalg(function.name, given)
    if function.path.endswith("rewards.tolerance"):
        return _tolerance(machine, *given, **named)
    raise machine.refuse(
        f"{function.path} is not in the file",
        f"write what {function.name or function.path} computes, with NumPy: np.…",
    )


def _tolerance(
    machine: Machine,
    x: Any,
    bounds: Any = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: Any = 0.1,
) -> Array:
    """Return dm_control's ``tolerance``, which the reward language has as its own helper."""
    array = arithmetic.lift(x)
    low, high = (arithmetic.lift(end).node for end in machine.iterate(bounds))
    node = nodes.call(
        "tolerance",
        array.node,
        bounds=ast.Tuple([low, high], ast.Load()),
        margin=arithmetic.lift(margin).node,
        sigmoid=nodes.literal(sigmoid),
        value_at_margin=arithmetic.lift(value_at_margin).node,
    )
    return Array(node, array.shape, array.is_row)


def _fold(machine: Machine, given: Sequence[Any]) -> Any:
    function, items, *first = given
    listed = [*first, *machine.iterate(items)]
    found = listed[0]
    for item in listed[1:]:
        found = machine.call(function, (found, item), {})
    return found


def _call_helper(function: Word, given: Sequence[Any], named: Mapping[str, Any]) -> Any:
    if function.path == "dataclasses.field":
        return named.get("default", None)
    if function.name == "defaultdict" or function.name == "OrderedDict":
        return Table()
    return given[0] if given else None


def call_library(
    machine: Machine, name: str, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a function of NumPy, torch, JAX or math returns."""
    named = {_KEYWORDS.get(key, key): value for key, value in named.items()}
    named.pop("dtype", None), named.pop("device", None), named.pop("out", None)
    word = _SAME.get(name.rstrip("_"), name.rstrip("_"))
    special = _SPECIAL.get(word)
    if special is not None:
        return special(machine, *given, **named)
    if word in _REDUCTIONS:
        return _reduce(machine, f"np.{word}", given, named)
    if word in _AS_IS:
        return _take_as_is(machine, given, named)
    if word in _ELEMENTWISE or word in _FLAGS:
        if named:
            raise machine.refuse(f"np.{word} with {', '.join(named)}", "leave it out")
        if all(_is_plain(item) for item in given) and hasattr(math, word):
            return getattr(math, word)(*given)
        kind: Kind = "bool" if word in _FLAGS else "float"
        items = [arithmetic.lift(item) for item in given]
        if word.startswith("logical"):
            items = [arithmetic.as_flag(item) for item in items]
        return arithmetic.spread(f"np.{word}", *items, kind=kind)
    raise machine.refuse(
        f"{name}(…) has no sure meaning here", f"write what {name} computes with NumPy"
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KEYWORDS = {
    "dim": "axis",
    "keepdim": "keepdims",
    "a_min": "min",
    "a_max": "max",
    "input": "a",
    "x": "a",
    "p": "ord",
}


def _take_as_is(machine: Machine, given: Sequence[Any], named: Mapping[str, Any]) -> Any:
    if not given:
        return 0.0
    value = given[0]
    if isinstance(value, Items | tuple):
        return _make_array(machine, value)
    return value


def _make_array(machine: Machine, value: Any) -> Array:
    if isinstance(value, Items | tuple | list):
        return arithmetic.stack([_make_array(machine, item) for item in machine.iterate(value)])
    return arithmetic.lift(value)


def _listed(machine: Machine, value: Any) -> Array:
    """Return an argument as an array; a list becomes one."""
    return _make_array(machine, value)


def _reduce(
    machine: Machine, function: str, given: Sequence[Any], named: Mapping[str, Any]
) -> Array:
    value, *rest = given
    options = dict(named)
    axis = arithmetic.unlift(options.pop("axis", rest[0] if rest else None))
    keep = bool(options.pop("keepdims", False))
    extra = {key: arithmetic.lift(item).node for key, item in options.items()}
    return arithmetic.reduce(function, _listed(machine, value), axis, keep, **extra)


def _norm(given: Sequence[Any], named: Mapping[str, Any]) -> Array:
    named = {_KEYWORDS.get(key, key): value for key, value in named.items()}
    value = arithmetic.lift(list(given[0]) if isinstance(given[0], Items) else given[0])
    order = arithmetic.unlift(named.get("ord", given[1] if len(given) > 1 else None))
    axis = arithmetic.unlift(named.get("axis", given[2] if len(given) > 2 else None))
    if order in (1, 1.0):
        return arithmetic.reduce("np.sum", arithmetic.spread("np.abs", value), axis)
    if order == math.inf:
        return arithmetic.reduce("np.max", arithmetic.spread("np.abs", value), axis)
    if order not in (None, 2, 2.0):
        raise Untranslatable(f"a norm of order {order}", "write it with np.sum and **")
    if not value.shape:
        return arithmetic.spread("np.abs", value)
    return arithmetic.reduce("np.linalg.norm", value, axis, bool(named.get("keepdims", False)))


def _call_linalg(name: str, given: Sequence[Any]) -> Any:
    if name in ("vector_norm",):
        return _norm(given, {})
    raise Untranslatable(f"linalg.{name}", "write it with sums of products, axis=-1")


def _clip(machine: Machine, a: Any, min: Any = None, max: Any = None) -> Array:
    low, high = arithmetic.unlift(min), arithmetic.unlift(max)
    if low is None and high is None:
        return arithmetic.lift(a)
    if high is None:
        return arithmetic.spread("np.maximum", a, min)
    if low is None:
        return arithmetic.spread("np.minimum", a, max)
    return arithmetic.spread("np.clip", _listed(machine, a), min, max)


def _where(machine: Machine, condition: Any, a: Any = None, y: Any = None, **named: Any) -> Any:
    test = arithmetic.unlift(condition)
    if isinstance(test, bool):
        return a if test else y
    return arithmetic.choose(arithmetic.as_flag(arithmetic.lift(condition)), a, y)


def _select(machine: Machine, condlist: Any, choicelist: Any, default: Any = 0.0) -> Any:
    found = default
    pairs = zip(machine.iterate(condlist), machine.iterate(choicelist), strict=True)
    for condition, value in reversed(list(pairs)):
        found = arithmetic.choose(arithmetic.lift(condition), value, found)
    return found


def _concatenate(machine: Machine, arrays: Any, axis: Any = 0, **named: Any) -> Array:
    items: list[Array] = []
    for item in machine.iterate(arrays):
        array = _listed(machine, item)
        items.append(array if array.shape else arithmetic.stack([array]))
    are_vectors = all(len(item.shape) == 1 and item.shape[0] is not None for item in items)
    if not are_vectors and (axis not in (-1, 1) or any(len(item.shape) != 2 for item in items)):
        raise machine.refuse("joining arrays of several axes", "join vectors, axis=-1")
    shape, is_row = items[0].shape[:-1], next((i.is_row for i in items if not i.is_constant), True)
    size = sum(item.shape[-1] or 0 for item in items)
    whole = [
        arithmetic.fit(item, (*shape, item.shape[-1]), is_row, is_whole=item.is_constant)
        if not item.is_constant
        else nodes.call(
            "np.broadcast_to",
            item.node,
            ast.Tuple(
                [nodes.call("len", nodes.name("action")), nodes.literal(item.shape[-1])],
                ast.Load(),
            ),
        )
        for item in items
    ]
    joined = nodes.call("np.concatenate", ast.List(whole, ast.Load()), axis=nodes.literal(-1))
    return Array(joined, (*shape, size), is_row)


def _stack(machine: Machine, arrays: Any, axis: Any = 0, **named: Any) -> Array:
    return arithmetic.stack([_listed(machine, item) for item in machine.iterate(arrays)])


def _zeros(value: float) -> Callable[..., Array]:
    def make(machine: Machine, shape: Any = (), **named: Any) -> Array:
        sizes = arithmetic.unlift(shape)
        sizes = (
            [sizes]
            if isinstance(sizes, int)
            else [arithmetic.unlift(s) for s in machine.iterate(sizes)]
        )
        if any(not isinstance(size, int) for size in sizes):
            return Array(nodes.literal(value), value=value)
        content: Any = value
        for size in reversed(sizes):
            content = [content] * size
        return arithmetic.lift(content) if sizes else Array(nodes.literal(value), value=value)

    return make


def _like(value: float) -> Callable[..., Array]:
    def make(machine: Machine, a: Any, **named: Any) -> Array:
        array = arithmetic.lift(a)
        word = "np.zeros_like" if value == 0 else "np.ones_like"
        return Array(
            nodes.call(word, array.node, dtype=nodes.name("np.float64")), array.shape, array.is_row
        )

    return make


def _full_like(machine: Machine, a: Any, fill_value: Any, **named: Any) -> Any:
    return arithmetic.binary(ast.Add(), arithmetic.binary(ast.Mult(), a, 0.0), fill_value)


def _dot(machine: Machine, a: Any, b: Any, **named: Any) -> Array:
    return arithmetic.dot(_listed(machine, a), _listed(machine, b))


def _cross(machine: Machine, a: Any, b: Any, **named: Any) -> Array:
    one, two = _listed(machine, a), _listed(machine, b)
    shape, is_row = arithmetic.find_common([one, two])
    node = nodes.call(
        "np.cross", arithmetic.fit(one, shape, is_row), arithmetic.fit(two, shape, is_row)
    )
    return Array(node, shape, is_row)


def _sigmoid(machine: Machine, a: Any) -> Any:
    grown = arithmetic.binary(ast.Add(), 1.0, arithmetic.spread("np.exp", arithmetic.negate(a)))
    return arithmetic.binary(ast.Div(), 1.0, grown)


def _relu(machine: Machine, a: Any) -> Array:
    return arithmetic.spread("np.maximum", a, 0.0)


def _reshape(machine: Machine, a: Any, *shape: Any) -> Array:
    array = arithmetic.lift(a)
    sizes = [
        arithmetic.unlift(s)
        for s in (
            machine.iterate(shape[0])
            if len(shape) == 1 and not isinstance(arithmetic.unlift(shape[0]), int)
            else shape
        )
    ]
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
    return Array(node, tuple(sizes), True, array.kind)


def _flatten(machine: Machine, a: Any, **named: Any) -> Array:
    array = arithmetic.lift(a)
    return array if len(array.shape) < 2 else _reshape(machine, array, -1)


def _diff(machine: Machine, a: Any, **named: Any) -> Array:
    array = _listed(machine, a)
    size = array.shape[-1]
    assert isinstance(size, int)
    node = nodes.call("np.diff", array.node, axis=nodes.literal(-1))
    return Array(node, (*array.shape[:-1], size - 1), array.is_row)


def _sort(machine: Machine, a: Any, **named: Any) -> Array:
    array = _listed(machine, a)
    node = nodes.call("np.sort", array.node, axis=nodes.literal(-1))
    return Array(node, array.shape, array.is_row)


def _sorted(machine: Machine, items: Any, key: Any = None, reverse: Any = False) -> Any:
    if key is not None:
        raise machine.refuse("sorted with a key", "choose with np.where")
    plain = [arithmetic.unlift(item) for item in machine.iterate(items)]
    if not any(isinstance(item, Array) for item in plain):
        return Items(enumerate(sorted(plain, reverse=bool(reverse))))
    array = _sort(machine, items)
    return indexing.get_item(array, slice(None, None, -1)) if reverse else array


def _average(machine: Machine, a: Any, weights: Any = None, **named: Any) -> Any:
    if weights is None:
        return arithmetic.reduce("np.mean", _listed(machine, a))
    heavy = _listed(machine, weights)
    total = arithmetic.reduce("np.sum", heavy)
    return arithmetic.binary(ast.Div(), _dot(machine, a, heavy), total)


def _count(machine: Machine, a: Any, **named: Any) -> Array:
    flag = arithmetic.as_flag(_listed(machine, a))
    return arithmetic.reduce("np.sum", flag)


def _linspace(machine: Machine, start: Any, stop: Any, num: Any = 50, **named: Any) -> Any:
    low, high, count = (arithmetic.unlift(item) for item in (start, stop, num))
    return arithmetic.lift([low + (high - low) * i / max(count - 1, 1) for i in range(count)])


_SPECIAL: dict[str, Callable[..., Any]] = {
    "clip": _clip,
    "clamp": _clip,
    "where": _where,
    "select": _select,
    "concatenate": _concatenate,
    "concat": _concatenate,
    "hstack": _concatenate,
    "append": lambda machine, a, b, **named: _concatenate(machine, (a, b)),
    "cat": _concatenate,
    "stack": _stack,
    "zeros": _zeros(0.0),
    "ones": _zeros(1.0),
    "zeros_like": _like(0.0),
    "ones_like": _like(1.0),
    "full_like": _full_like,
    "dot": _dot,
    "matmul": _dot,
    "inner": _dot,
    "vdot": _dot,
    "cross": _cross,
    "sigmoid": _sigmoid,
    "relu": _relu,
    "reshape": _reshape,
    "ravel": _flatten,
    "flatten": _flatten,
    "diff": _diff,
    "sort": _sort,
    "average": _average,
    "count_nonzero": _count,
    "linspace": _linspace,
    "norm": lambda machine, *given, **named: _norm(given, named),
}


# --- Python's own ---------------------------------------------------------------------------------


def _call_builtin(
    machine: Machine, name: str, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    function = _BUILTIN_CALLS.get(name)
    if function is None:
        raise machine.refuse(f"{name}(…)", f"write it without {name}")
    return function(machine, *given, **named)


def _to_float(machine: Machine, value: Any = 0.0) -> Any:
    plain = arithmetic.unlift(value)
    if isinstance(plain, int | float):
        return float(plain)
    if isinstance(plain, str):
        return float(plain)
    array = arithmetic.lift(value)
    if array.shape == (1,):
        array = indexing.get_item(array, 0)
    if array.shape and array.is_row:
        raise machine.refuse("float(…) of a vector", "take one of its numbers, or its sum")
    return Array(
        arithmetic.as_number(array), array.shape, array.is_row, "float", array.value, array.terms
    )


def _to_int(machine: Machine, value: Any = 0) -> Any:
    plain = arithmetic.unlift(value)
    if isinstance(plain, int | float | str):
        return int(plain)
    number = _to_float(machine, value)
    return number if value.kind == "bool" else arithmetic.spread("np.trunc", number)


def _to_bool(machine: Machine, value: Any = False) -> Any:
    return machine.test(value)


def _smallest(function: str) -> Callable[..., Any]:
    plain = min if function == "np.minimum" else max

    def find(machine: Machine, *given: Any, key: Any = None, default: Any = None) -> Any:
        if key is not None:
            raise machine.refuse("min or max with a key", "choose with np.where")
        if len(given) == 1 and isinstance(given[0], Array):
            return arithmetic.reduce(function[:6], given[0])
        items = machine.iterate(given[0]) if len(given) == 1 else list(given)
        if all(_is_plain(item) for item in items):
            return plain(items)
        found = items[0]
        for item in items[1:]:
            found = arithmetic.spread(function, found, item)
        return found

    return find


def _sum(machine: Machine, items: Any, start: Any = 0) -> Any:
    if isinstance(items, Array) and len(items.shape) == 1 and items.shape[0] is not None:
        return (
            machine.combine(ast.Add(), start, arithmetic.reduce("np.sum", items))
            if start != 0
            else arithmetic.reduce("np.sum", items)
        )
    total = start
    for item in machine.iterate(items):
        total = item if _is_plain(total) and total == 0 else machine.combine(ast.Add(), total, item)
    return total


def _fold_flags(is_all: bool) -> Callable[..., Any]:
    def fold(machine: Machine, items: Any) -> Any:
        if isinstance(items, Array):
            return arithmetic.reduce("np.all" if is_all else "np.any", items)
        found: Any = is_all
        for item in machine.iterate(items):
            test = machine.test(item)
            if isinstance(test, bool):
                if test != is_all:
                    return test
            elif isinstance(found, bool):
                found = test
            else:
                found = arithmetic.both(found, test) if is_all else arithmetic.either(found, test)
        return found

    return fold


def _abs(machine: Machine, value: Any) -> Any:
    plain = arithmetic.unlift(value)
    return abs(plain) if _is_plain(plain) else arithmetic.spread("np.abs", value)


def _length(machine: Machine, value: Any) -> Any:
    if isinstance(value, Array):
        size = value.shape[0] if value.shape else 1
        if size is None:
            return Array(nodes.call("len", nodes.name("action")), kind="int")
        return size
    return len(machine.iterate(value)) if not isinstance(value, str) else len(value)


def _range(machine: Machine, *ends: Any) -> range:
    numbers = [arithmetic.unlift(end) for end in ends]
    if any(not isinstance(number, int) for number in numbers):
        raise machine.refuse("a range whose end depends on the simulation", "use a fixed range")
    return range(*numbers)


def _enumerate(machine: Machine, items: Any, start: Any = 0) -> Items:
    return Items(enumerate([*enumerate(machine.iterate(items), arithmetic.unlift(start))]))


def _zip(machine: Machine, *lists: Any, **named: Any) -> Items:
    return Items(enumerate([*zip(*(machine.iterate(item) for item in lists), strict=False)]))


def _map(machine: Machine, function: Any, *lists: Any) -> Items:
    rows = zip(*(machine.iterate(item) for item in lists), strict=False)
    return Items(enumerate([machine.call(function, row, {}) for row in rows]))


def _dict(machine: Machine, given: Any = (), **named: Any) -> Table:
    table = (
        Table(given)
        if isinstance(given, Table)
        else Table({arithmetic.unlift(key): value for key, value in machine.iterate(given)})
    )
    table.update(named)
    return table


def _get_attribute(machine: Machine, owner: Any, name: Any, default: Any = None) -> Any:
    try:
        return machine.get_attribute(owner, str(name))
    except Untranslatable:
        if default is None:
            raise
        return default


def _vars(machine: Machine, owner: Any) -> Table:
    return Table(owner.names)


def _isinstance(machine: Machine, value: Any, kinds: Any) -> bool:
    if isinstance(value, Array):
        return True
    return not isinstance(value, str) and value is not None


def _super(machine: Machine, *given: Any) -> Any:
    return machine.get_super()


def _round(machine: Machine, value: Any, ndigits: Any = 0) -> Any:
    plain = arithmetic.unlift(value)
    if _is_plain(plain):
        return round(plain, arithmetic.unlift(ndigits) or None)
    return arithmetic.spread("np.round", value, arithmetic.unlift(ndigits))


def _pow(machine: Machine, one: Any, two: Any) -> Any:
    return machine.combine(ast.Pow(), one, two)


_BUILTIN_CALLS: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "all": _fold_flags(True),
    "any": _fold_flags(False),
    "bool": _to_bool,
    "dict": _dict,
    "enumerate": _enumerate,
    "float": _to_float,
    "getattr": _get_attribute,
    "hasattr": lambda machine, owner, name: True,
    "int": _to_int,
    "isinstance": _isinstance,
    "len": _length,
    "list": lambda machine, items=(): Items(enumerate(machine.iterate(items))),
    "tuple": lambda machine, items=(): tuple(machine.iterate(items)),
    "map": _map,
    "max": _smallest("np.maximum"),
    "min": _smallest("np.minimum"),
    "pow": _pow,
    "range": _range,
    "reversed": lambda machine, items: Items(enumerate(machine.iterate(items)[::-1])),
    "round": _round,
    "str": lambda machine, value="": str(arithmetic.unlift(value)),
    "sorted": _sorted,
    "sum": _sum,
    "super": _super,
    "vars": _vars,
    "zip": _zip,
}


# --- methods -------------------------------------------------------------------------------------


def _call_method(
    machine: Machine, method: Method, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    owner, name = method.owner, method.name
    if isinstance(owner, str):
        return _call_text(machine, owner, name, given)
    if isinstance(owner, Table):
        return _call_table(machine, owner, name, given)
    if isinstance(owner, Items):
        return _call_items(machine, owner, name, given)
    if isinstance(owner, int | float | Array | Maybe):
        return call_library(machine, name, (owner, *given), named)
    if isinstance(owner, Instance):
        return machine.call(machine.get_attribute(owner, name), tuple(given), named)
    raise machine.refuse(
        f".{name}(…) of a {type(owner).__name__}", "write it with arithmetic and NumPy"
    )


def _call_text(machine: Machine, text: str, name: str, given: Sequence[Any]) -> Any:
    if name in (
        "startswith",
        "endswith",
        "removeprefix",
        "removesuffix",
        "lower",
        "upper",
        "strip",
    ):
        return getattr(text, name)(*(arithmetic.unlift(item) for item in given))
    if name == "format":
        return text
    raise machine.refuse(f".{name}(…) of a text", "leave it out")


def _call_table(machine: Machine, table: Table, name: str, given: Sequence[Any]) -> Any:
    if name == "items":
        return Items(enumerate([*table.items()]))
    if name in ("keys", "values"):
        return Items(enumerate([*getattr(table, name)()]))
    if name in ("get", "pop", "setdefault"):
        key = arithmetic.unlift(given[0])
        return table[key] if key in table else given[1] if len(given) > 1 else None
    if name == "update":
        for key in machine.iterate(given[0]):
            machine.write(table, key, given[0][key])
        return None
    if name == "copy":
        return Table(table)
    raise machine.refuse(f".{name}(…) of a dictionary", "write it out")


def _call_items(machine: Machine, items: Items, name: str, given: Sequence[Any]) -> Any:
    if name == "append":
        machine.write(items, len(items), given[0])
        return None
    if name == "extend":
        for item in machine.iterate(given[0]):
            machine.write(items, len(items), item)
        return None
    raise machine.refuse(f".{name}(…) of a list", "make it an array: np.array([...])")
