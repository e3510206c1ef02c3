"""Lists of operations verified, and run on a device without any Python of a stranger's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from reward_agent.errors import DataError
from reward_agent.records.operations import (
    Argument,
    Constant,
    Earlier,
    OfType,
    Operations,
    Rows,
    Step,
    Unbounded,
)
from reward_agent.rewards.language import split_names

# All that programs have been seen to need, and what is of their kind: pure, of sizes that follow
# from those of the inputs. Nothing that makes a view by hand, draws, reads a file or waits.
ALLOWED = split_names(
    """
    _to_copy _unsafe_view abs acos acosh add.Scalar add.Tensor alias_copy all all.dim amax amin any
    any.dim arange arange.start arange.start_step argmax argmin asin asinh atan atan2 atanh
    bitwise_and.Scalar bitwise_and.Tensor bitwise_not bitwise_or.Scalar bitwise_or.Tensor
    bitwise_xor.Tensor bmm cat ceil clamp.Tensor clone constant_pad_nd copy copysign.Tensor cos
    cosh cumprod cumsum detach_copy diagonal_copy diagonal_scatter div.Scalar div.Tensor
    div.Tensor_mode dot eq.Scalar eq.Tensor erf exp exp2 expand expand_copy expm1 fill.Scalar flip
    floor floor_divide fmax fmin fmod.Tensor full full_like gather ge.Scalar ge.Tensor gt.Scalar
    gt.Tensor heaviside hypot index.Tensor index_put isfinite isinf isnan le.Scalar le.Tensor
    lerp.Tensor lift lift_fresh_copy linalg_vector_norm log log10 log1p log2 logaddexp logical_and
    logical_not logical_or logical_xor lt.Scalar lt.Tensor masked_fill.Scalar maximum mean mean.dim
    minimum mm mul.Scalar mul.Tensor mv nan_to_num ne.Scalar ne.Tensor neg ones ones_like permute
    permute_copy pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor prod.dim_int reciprocal
    remainder.Scalar remainder.Tensor repeat roll round rsqrt scalar_tensor searchsorted.Tensor
    select.int select_copy.int select_scatter sgn sign sin sinc sinh slice.Tensor slice_copy.Tensor
    slice_scatter sort sort.stable split_with_sizes_copy sqrt square squeeze squeeze.dim
    squeeze_copy.dim stack std.correction sub.Scalar sub.Tensor sum sum.dim_IntList t t_copy tan
    tanh transpose.int transpose_copy.int trunc unbind_copy.int unsqueeze unsqueeze_copy
    var.correction view view_copy where.self zeros zeros_like
    """
)
_FACTORIES = split_names("full zeros ones scalar_tensor arange arange.start arange.start_step")
# Of one result, and of all together: 8 MB and 400 MB of float32.
MOST_NUMBERS, MOST_NUMBERS_IN_ALL = 2_000_000, 100_000_000
_MOST_PARTS = 100


class Runner:
    """Verified operations for a number of rows.

    A call starts no transfer between host and device, and allocates nothing that is kept: it can
    be captured in a CUDA graph. What comes back may be an input itself: copy it before writing
    into that.

    Args:
        operations: what a child handed back.
        rows: simulations of a call.
        device: where the constants are made; inputs must be there.

    Attributes:
        shapes: of the outputs, by name: tensors without numbers.

    Raises:
        DataError: they are not on the closed list, too many, too large, or not well formed.
    """

    def __init__(self, operations: Operations, rows: int, device: torch.device | str) -> None:
        self._operations = operations
        self.shapes = _try_sizes(operations, rows)
        self._constants = [_make_constant(constant, device) for constant in operations.constants]
        self._calls = [_Call(step, rows, device) for step in operations.steps]

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name; inputs that are not needed may be among the given."""
        results: list[Any] = [given[item.name] for item in self._operations.inputs]
        results += self._constants
        for call in self._calls:
            results.append(call(results))
        return {item.name: _find(results, item.value) for item in self._operations.outputs}


class _Call:
    """One step, its literals made what PyTorch takes."""

    def __init__(self, step: Step, rows: int, device: torch.device | str) -> None:
        if step.op not in ALLOWED:
            raise _refuse(f"{step.op!r} is not on the list of operations")
        self._function = _CLAMPED.get(step.op) or _find_overload(step.op)
        self._args = [_prepare(argument, rows) for argument in step.args]
        self._keywords = {name: _prepare(value, rows) for name, value in step.keywords.items()}
        if step.op in _FACTORIES:
            self._keywords["device"] = device

    def __call__(self, results: Sequence[Any]) -> Any:
        args = [_fill(argument, results) for argument in self._args]
        keywords = {name: _fill(value, results) for name, value in self._keywords.items()}
        return self._function(*args, **keywords)


def _find_overload(name: str) -> Callable[..., Any]:
    packet, _, overload = name.partition(".")
    function: Callable[..., Any] = getattr(getattr(torch.ops.aten, packet), overload or "default")
    return function


def _prepare(argument: Argument, rows: int) -> Any:
    """Return a literal as it is called with; what is an earlier result stays so."""
    if isinstance(argument, tuple):
        return [_prepare(item, rows) for item in argument]
    if isinstance(argument, OfType):
        return getattr(torch, argument.dtype)
    if isinstance(argument, Unbounded):
        return float(argument.number)
    if isinstance(argument, Rows):
        value = argument.rows * rows + argument.plus
        return float(value) if argument.is_float else value
    return argument


def _fill(argument: Any, results: Sequence[Any]) -> Any:
    if isinstance(argument, Earlier):
        return _find(results, argument)
    if isinstance(argument, list):
        return [_fill(item, results) for item in argument]
    return argument


def _find(results: Sequence[Any], earlier: Earlier) -> Any:
    result = results[earlier.of]
    return result if earlier.part is None else result[earlier.part]


def _make_constant(constant: Constant, device: torch.device | str) -> Tensor:
    values = [_prepare(value, 0) for value in constant.values]
    dtype = getattr(torch, constant.dtype)
    return torch.tensor(values, dtype=dtype, device=device).reshape(constant.shape)


# --- what could stop the device: an index that points outside of its array ----------------------


def _clamp(index: Tensor, size: int, lowest: int) -> Tensor:
    if index.dtype not in (torch.int32, torch.int64):
        raise TypeError(f"an index is of {index.dtype}, expected whole numbers")
    return index.clamp(lowest, max(size - 1, 0))


def _gather(values: Tensor, dim: int, index: Tensor, **options: Any) -> Tensor:
    return torch.gather(values, dim, _clamp(index, values.shape[dim], 0))


def _index_select(values: Tensor, dim: int, index: Tensor) -> Tensor:
    return torch.index_select(values, dim, _clamp(index, values.shape[dim], 0))


def _clamp_all(values: Tensor, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    return [
        None if index is None else _clamp(index, values.shape[axis], -values.shape[axis])
        for axis, index in enumerate(indices)
    ]


def _index(values: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    return torch.ops.aten.index.Tensor(values, _clamp_all(values, indices))


def _index_put(values: Tensor, indices: Sequence[Tensor | None], put: Tensor) -> Tensor:
    return torch.ops.aten.index_put.default(values, _clamp_all(values, indices), put)


_CLAMPED: dict[str, Callable[..., Any]] = {
    "gather": _gather,
    "index.Tensor": _index,
    "index_put": _index_put,
    "index_select": _index_select,
}


# --- verification ---------------------------------------------------------------------------------


def _try_sizes(operations: Operations, rows: int) -> dict[str, Tensor]:
    """Return the outputs, run without numbers.

    Raises:
        DataError: they cannot be run so, or take too much memory.
    """
    results: list[Any] = [
        torch.empty((rows, *item.shape), dtype=getattr(torch, item.dtype), device="meta")
        for item in operations.inputs
    ]
    _check_inputs(operations)
    total = 0
    for constant in operations.constants:
        if math.prod(constant.shape) != len(constant.values):
            raise _refuse(f"a constant of shape {constant.shape} has {len(constant.values)} values")
        results.append(_make_meta(constant))
    for number, step in enumerate(operations.steps):
        results.append(_try_step(step, results, rows))
        total += _count(results[-1], step.op)
        if total > MOST_NUMBERS_IN_ALL:
            raise _refuse(f"after {number + 1} steps there are {total:,} numbers")
    try:
        return {item.name: _check_tensor(_find(results, item.value)) for item in operations.outputs}
    except (IndexError, TypeError) as error:
        raise _refuse(f"an output is no result: {error}") from error


def _check_inputs(operations: Operations) -> None:
    for what in (operations.inputs, operations.outputs):
        names = [item.name for item in what]
        if len(set(names)) < len(names):
            raise _refuse("two inputs or two outputs have one name")


def _make_meta(constant: Constant) -> Tensor:
    dtype = getattr(torch, constant.dtype)
    return torch.empty(constant.shape, dtype=dtype, device="meta")


def _try_step(step: Step, results: Sequence[Any], rows: int) -> Any:
    call = _Call(step, rows, "meta")
    try:
        return call(results)
    except Exception as error:  # of whatever kind: a stranger chose the arguments
        raise _refuse(f"{step.op} cannot be called so: {error}") from error


def _count(result: Any, op: str) -> int:
    parts = result if isinstance(result, list | tuple) else [result]
    if len(parts) > _MOST_PARTS:
        raise _refuse(f"{op} gives {len(parts)} parts")
    sizes = [_check_tensor(part).numel() for part in parts]
    if max(sizes, default=0) > MOST_NUMBERS:
        raise _refuse(f"{op} gives {max(sizes):,} numbers, at most {MOST_NUMBERS:,} are taken")
    return sum(sizes)


def _check_tensor(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise _refuse(f"a result is a {type(value).__name__}")
    return value


def _refuse(why: str) -> DataError:
    return DataError(
        f"the program's operations cannot be run: {why[:500]}", "train it with --device cpu"
    )
