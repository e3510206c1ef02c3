"""A card's fields on a device, computed by the code that computes them on a CPU, traced.

    operations = trace_fields(card)                         # once, needs no device
    runner = FieldRunner(operations, rows, device)
    fields = runner(arrays)                                 # name -> (rows,) or (rows, k) float32

``arrays`` are MuJoCo's by name, float32, shaped as ``mujoco.batch`` binds them: ``qpos``
``(rows, nq)``, ``xpos`` ``(rows, nbody, 3)``, ``xmat`` ``(rows, nbody, 9)``, ``sensordata``
``(rows, nsensordata)``, ``cvel`` ``(rows, nbody, 6)``, …; ``runner.inputs`` names those that are
needed with their shapes. The fields are all of the card's, ``observation`` among them, and
``is_outside`` ``(rows,)`` bool: a field has left its healthy range, or is not a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from types import FunctionType
from typing import Any

import mujoco
import numpy as np
import torch
import torch._numpy as tnp
from mujoco.batch import DATA_FIELDS

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.sources import Drawn, Source
from reward_agent.device.arrays import NUMPY, MixedNumpy, rebind
from reward_agent.device.operations import Runner
from reward_agent.device.tracing import TraceRefusal, drop_unused, trace
from reward_agent.errors import DataError
from reward_agent.records.operations import GivenArray, Operations
from reward_agent.simulation import measures, mujoco_batch, simulation
from reward_agent.simulation.mujoco_model import make_model
from reward_agent.simulation.simulation import Expressions, Reader, compile_field, list_needed

OUTSIDE = "is_outside"
# Divides what has no direction, in single precision.
_TINY = 1e-30


def trace_fields(card: EnvCard, fields: Collection[str] | None = None) -> Operations:
    """Return the operations from arrays of MuJoCo's to fields; all if None.

    Raises:
        DataError: a field is not of arrays of MuJoCo's, such as what the card draws.
    """
    needed = list_needed(card, fields)
    model = make_model(card, needed)
    shapes = _list_arrays(model)
    given = [GivenArray(name=name, shape=shape) for name, shape in shapes.items()]

    def read(arrays: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        batch = _TracedBatch(model, arrays)
        return _read_fields(card, needed, batch)

    try:
        return drop_unused(trace(read, given))
    except TraceRefusal as error:
        raise DataError(
            f"the fields of {card.name} cannot be computed on a device: {error}",
            "train it with --device cpu",
        ) from error


def _list_arrays(model: mujoco.MjModel) -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of data that a batch has, by name."""
    data = mujoco.MjData(model)
    arrays = {name: np.asarray(getattr(data, name)) for name in sorted(DATA_FIELDS)}
    return {
        name: values.shape
        for name, values in arrays.items()
        if values.dtype.kind == "f" and values.size
    }


class _TracedBatch:
    """What ``mujoco.batch.Batch`` has, of arrays that are traced.

    Args:
        model: of all simulations.
        arrays: of data, by name, ``(rows, …)``.
    """

    def __init__(self, model: mujoco.MjModel, arrays: Mapping[str, torch.Tensor]) -> None:
        self.model, self._arrays = model, arrays
        self.data = mujoco.MjData(model)

    def bind(self, name: str) -> Any:
        """Return an array of data."""
        if name not in self._arrays:
            raise DataError(f"MuJoCo's array {name!r} is not computed on a device", "")
        return tnp.ndarray(self._arrays[name])

    def __getattr__(self, kind: str) -> Callable[[str | int], _TracedView]:
        return lambda key: _TracedView(self, getattr(self.data, kind)(key))


class _TracedView:
    """One object's parts of arrays, as ``data.body(name)`` has them."""

    def __init__(self, batch: _TracedBatch, view: Any) -> None:
        self._batch, self._view = batch, view

    def __getattr__(self, attribute: str) -> Any:
        part = getattr(self._view, attribute)
        for name, whole in self._list_arrays():
            start = part.ctypes.data - whole.ctypes.data
            if 0 <= start < whole.nbytes:
                rows = self._batch.bind(name)
                first = start // whole.itemsize
                flat = rows.reshape(len(rows), -1)[:, first : first + part.size]
                return flat.reshape(len(rows), *part.shape)
        raise AttributeError(f"{attribute} is not of an array that is computed on a device")

    def _list_arrays(self) -> list[tuple[str, Any]]:
        names = self._batch._arrays
        return [(name, np.asarray(getattr(self._batch.data, name))) for name in names]


def _read_fields(
    card: EnvCard, needed: Collection[str], batch: _TracedBatch
) -> dict[str, torch.Tensor]:
    """Return the fields, by the functions that read them on a CPU."""
    mixed = MixedNumpy()
    geometry = rebind(measures, mixed, _TINY=_TINY, _is_any=lambda mask: True)
    own = {name: value for name, value in geometry.items() if name in vars(mujoco_batch)}
    compile_measured = rebind(mujoco_batch, mixed, **own)["compile_measured"]
    known = {"simulation": rebind(simulation, mixed), "measures": geometry}
    floors = card.model.floors

    def compile_leaf(source: Source) -> Reader:
        if isinstance(source, Drawn):
            raise DataError(
                "what an episode draws cannot be computed on a device", "train it with --device cpu"
            )
        reader: Reader = compile_measured(source, batch, floors)
        return reader

    expressions = Expressions(
        compile_leaf,
        {name: _rebound(function, known) for name, function in simulation.FUNCTIONS.items()},
    )
    fields = {}
    for name in needed:
        values: Any = compile_field(card, card.field(name), expressions)()
        fields[name] = values.tensor.to(torch.float32)
    return {**fields, OUTSIDE: _find_outside(card, fields, len(batch.bind("qpos")))}


def _rebound(function: Any, known: Mapping[str, Mapping[str, Any]]) -> Any:
    """Return a function of fields as it is of traced arrays: ours, or NumPy's."""
    if not isinstance(function, FunctionType):
        return getattr(NUMPY, function.__name__)
    return known[function.__module__.rpartition(".")[2]][function.__name__]


def _find_outside(card: EnvCard, fields: Mapping[str, torch.Tensor], rows: int) -> torch.Tensor:
    """Return ``(rows,)``: whose fields are not within the card's healthy ranges."""
    is_outside = torch.zeros(rows, dtype=torch.bool)
    for bounds in card.termination:
        values = fields[bounds.field].reshape(rows, -1)
        low = -math.inf if bounds.min is None else bounds.min
        high = math.inf if bounds.max is None else bounds.max
        is_outside = is_outside | ~((values > low) & (values < high)).all(dim=1)
    return is_outside


class FieldRunner:
    """Fields of a card for a number of rows.

    Attributes:
        inputs: shape after the rows of each array that is needed, by name.
    """

    inputs: Mapping[str, tuple[int, ...]]

    def __init__(self, operations: Operations, rows: int, device: torch.device | str) -> None:
        self._runner = Runner(operations, rows, device)
        self.inputs = {item.name: item.shape for item in operations.inputs}

    def __call__(self, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the fields."""
        return self._runner(arrays)
