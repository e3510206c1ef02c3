"""Words of libraries that rewards use: NumPy's, torch's, JAX's, math's and Python's own."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reward_agent.rewards.language import split_names
from reward_agent.translation import arithmetic, nodes, operations, python, remedies, written
from reward_agent.translation.values import (
    Cells,
    Class,
    Function,
    Input,
    Instance,
    Items,
    Kind,
    Lanes,
    Maybe,
    MethodOf,
    Partial,
    Untranslatable,
    Word,
)

if TYPE_CHECKING:
    from reward_agent.translation.machine import Tracer

_CONSTANTS = {
    "pi": math.pi, "e": math.e, "tau": math.tau, "inf": math.inf, "Inf": math.inf,
    "infty": math.inf, "nan": math.nan, "NaN": math.nan, "newaxis": None,
}  # fmt: skip
# What is the same word in NumPy, by the words of the others.
SAME = {
    "fabs": "abs", "absolute": "abs", "acos": "arccos", "asin": "arcsin", "atan": "arctan",
    "atan2": "arctan2", "acosh": "arccosh", "asinh": "arcsinh", "atanh": "arctanh", "pow": "power",
    "mul": "multiply", "sub": "subtract", "div": "divide", "amax": "max", "amin": "min",
    "ravel": "flatten", "concat": "concatenate", "cat": "concatenate", "clamp": "clip",
    "unsqueeze": "expand_dims", "bmm": "matmul",
}  # fmt: skip
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
    detach cpu numpy clone to contiguous long half atleast_1d from_numpy stop_gradient tolist
    device_put astype int32 int64 bool_
    """
)

_LIBRARY = split_names(
    "numpy torch math jax jax.lax jax.nn torch.nn.functional torch.special numba"
)
# What changes how a function runs, and not what it computes.
_WRAPPERS = split_names(
    "jit script njit compile lru_cache cache vectorize no_grad inference_mode export"
)
# A ufunc's reduce, as a word of its own.
_FOLDS = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min",
    "logical_and": "all", "logical_or": "any",
}  # fmt: skip
# What a name stands for that a pasted snippet does not import.
CONVENTIONS = {
    **dict.fromkeys(("np", "numpy", "jnp", "jp"), Word("numpy", "")),
    **{name: Word(name, "") for name in ("math", "torch", "jax")},
    "F": Word("torch.nn.functional", ""),
    "deque": Word("collections", "deque"),
    "defaultdict": Word("collections", "defaultdict"),
    "partial": Word("functools", "partial"),
    "dataclass": Word("dataclasses", "dataclass"),
}
_RECORDS = ("Cfg", "Config", "Term", "Params")


def get_constant(word: Word) -> Any:
    """Return a library's constant, or the word itself."""
    if word.module in _LIBRARY and word.name in _CONSTANTS:
        value = _CONSTANTS[word.name]
        return None if value is None else Lanes(nodes.literal(value), value=value)
    return word


def is_known(word: Word) -> bool:
    """Whether a library has a name, of those that are known here."""
    known = _ELEMENTWISE | _FLAGS | _REDUCTIONS | _AS_IS | set(_CONSTANTS) | set(SAME)
    known |= {*operations.SPECIAL, *written.load(written.ARRAYS)}
    return word.module in _LIBRARY and word.name in known


# --- calls ---------------------------------------------------------------------------------------


def call(
    machine: Tracer, function: Word | MethodOf, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a library's function, or a method of a value, returns.

    Raises:
        Untranslatable: it has no certain meaning over arrays.
    """
    if isinstance(function, MethodOf):
        return call_method(machine, function, given, named)
    if function.module == "builtins":
        return python.call_builtin(machine, function.name, given, named)
    is_wrapper = function.name in _WRAPPERS or function.path in _WRAPPERS
    if is_wrapper and (not given or isinstance(given[0], Function | Partial)):
        return given[0] if given else function
    ufunc, _, method = function.path.removeprefix("numpy.").partition(".")
    if method == "reduce" and ufunc in _FOLDS:
        return _reduce(machine, _FOLDS[ufunc], given, named, is_torch=False)
    if function.name == "norm" or function.name == "vector_norm":
        return _norm(given, named)
    if function.module in _LIBRARY:
        return call_library(machine, function.name, given, named, function.module)
    return _call_other(machine, function, given, named)


def _call_other(
    machine: Tracer, function: Word, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a function of the standard library returns, or a configuration's record."""
    if function.path == "functools.partial":
        return Partial(given[0], tuple(given[1:]), dict(named))
    if function.path == "functools.reduce":
        return _fold(machine, given)
    if function.module in ("dataclasses", "typing", "collections", "copy", "types", "operator"):
        return python.call_helper(machine, function, given, named)
    if function.name == "tolerance":
        return _tolerance(machine, *given, **named)
    term = written.find_term(function.path)
    if term is not None:
        written.check_chosen(named)
        return machine.call_function(term, tuple(given), named)
    if function.name == "SceneEntityCfg":
        chosen = {"name": given[0] if given else "robot", "joint_ids": slice(None)}
        return Instance(
            Class(function.name, Cells()), Cells({**chosen, "body_ids": slice(None), **named})
        )
    if function.path.startswith("ml_collections"):
        return python.make_table(machine, *given, **named)
    if (
        "func" in named or "body_ids" in named or function.name.endswith(_RECORDS)
    ):  # a configuration: what it was given
        places = {f"_{place}": value for place, value in enumerate(given)}
        return Instance(Class(function.name, Cells()), Cells({**places, **named}))
    raise machine.refuse(
        f"{function.path} is not in the file", remedies.replace_word(function.path)
    )


def call_method(
    machine: Tracer, method: MethodOf, given: Sequence[Any], named: Mapping[str, Any]
) -> Any:
    """Return what a method of a value returns."""
    owner, name = method.owner, method.name
    if isinstance(owner, Lanes) and name in ("std", "var") and "torch" in machine.imported:
        raise machine.refuse(f".{name}() is not the same in torch and NumPy", f"write np.{name}(…)")
    if isinstance(owner, int | float | Lanes | Maybe):
        return call_library(machine, name, (owner, *given), named)
    if isinstance(owner, Instance):
        return machine.call(machine.get_attribute(owner, name), tuple(given), named)
    if name in operations.SPECIAL and isinstance(owner, Input):
        raise machine.refuse(f"{owner.name}.{name}(…)", f"read its numbers: {owner.name}[0]")
    return python.call_method(machine, owner, name, given, named)


def _tolerance(
    machine: Tracer,
    x: Any,
    bounds: Any = (0.0, 0.0),
    margin: Any = 0.0,
    sigmoid: Any = "gaussian",
    value_at_margin: Any = 0.1,
) -> Lanes:
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
    return Lanes(node, array.shape, array.is_row)


def _fold(machine: Tracer, given: Sequence[Any]) -> Any:
    function, items, *first = given
    listed = [*first, *machine.iterate(items)]
    found = listed[0]
    for item in listed[1:]:
        found = machine.call(function, (found, item), {})
    return found


def call_library(
    machine: Tracer, name: str, given: Sequence[Any], named: Mapping[str, Any], module: str = ""
) -> Any:
    """Return what a function of NumPy, torch, JAX or math returns."""
    options = {KEYWORDS.get(key, key): v for key, v in named.items() if key not in _NO_MATTER}
    word = SAME.get(name.rstrip("_"), name.rstrip("_"))
    special = operations.SPECIAL.get(word)
    if special is not None:
        return special(machine, *given, **options)
    function = written.find_function(word)
    if function is not None:
        return machine.call_function(function, tuple(given), options)
    if word in _REDUCTIONS:
        return _reduce(machine, word, given, options, module == "torch" or "dim" in named)
    if word in _AS_IS:
        return _take_as_is(machine, given)
    if word in _ELEMENTWISE or word in _FLAGS:
        if options and not given:
            given, options = list(options.values()), {}
        if options:
            raise machine.refuse(f"np.{word} with {', '.join(options)}", "leave it out")
        kind: Kind = "bool" if word in _FLAGS else "float"
        items = [operations.make_array(machine, item) for item in given]
        if word.startswith("logical"):
            items = [arithmetic.as_flag(item) for item in items]
        return arithmetic.spread(f"np.{word}", *items, kind=kind)
    raise machine.refuse(f"{name}(…) has no sure meaning here", remedies.replace_word(name))


_NO_MATTER = split_names("dtype device out requires_grad copy order unbiased correction")
KEYWORDS = {
    "dim": "axis", "keepdim": "keepdims", "dims": "axis", "a_min": "min", "a_max": "max",
    "input": "a", "x": "a", "arr": "a", "p": "ord",
}  # fmt: skip


def _take_as_is(machine: Tracer, given: Sequence[Any]) -> Any:
    """Return a value that is only given another type."""
    if not given:
        return 0.0
    value = given[0]
    if isinstance(value, Items | tuple):
        return operations.make_array(machine, value)
    return replace(value) if isinstance(value, Lanes) else value


def _reduce(
    machine: Tracer, word: str, given: Sequence[Any], named: Mapping[str, Any], is_torch: bool
) -> Any:
    """Return a sum, mean, largest … of an array's numbers."""
    named = dict(named)
    value, *rest = given if given else (named.pop("a"),)
    if word in ("max", "min") and rest and isinstance(rest[0], Lanes | Maybe | float):
        return arithmetic.spread(f"np.{word}imum", value, rest[0])  # of two, in torch's words
    axis = arithmetic.unlift(named.pop("axis", rest[0] if rest else None))
    if isinstance(axis, Items | tuple):
        axis = tuple(arithmetic.unlift(item) for item in machine.iterate(axis))
    is_batch = isinstance(value, Lanes) and not value.is_row
    if word == "sum" and axis == 0 and is_batch and len(value.items) == value.shape[0]:
        return python.add_up(machine, value.items)  # parts that lie in front of each other
    keep = bool(arithmetic.unlift(named.pop("keepdims", False)))
    extra = {key: arithmetic.lift(item).node for key, item in named.items()}
    array = operations.make_array(machine, value)
    if is_torch and word in ("std", "var"):
        extra.setdefault("ddof", nodes.literal(1))
    if is_torch and word in ("max", "min", "median") and axis is not None:
        place = None if word == "median" else arithmetic.reduce(f"np.arg{word}", array, axis)
        return arithmetic.reduce(f"np.{word}", array, axis, keep), place
    return arithmetic.reduce(f"np.{word}", array, axis, keep, **extra)


def _norm(given: Sequence[Any], named: Mapping[str, Any]) -> Lanes:
    named = {KEYWORDS.get(key, key): value for key, value in named.items()}
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
