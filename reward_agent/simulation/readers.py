"""Sources compiled to functions that read a batch of simulations, all of them at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, Batch

from reward_agent.errors import DataError, find_closest_name
from reward_agent.simulation.lowest import make_lowest_reader
from reward_agent.simulation.model import check_object, get_sensor_name
from reward_agent.simulation.sources import Array, Attribute, Call, Indexed, Measure, Source
from reward_agent.simulation.state import FloatArray

# Returns (N,) or (N, …): live memory of the batch or a fresh array. Copy it before keeping it.
Reader: TypeAlias = Callable[[], FloatArray]

# What the integrator itself keeps; all else is derived from it by the stages of a step.
INTEGRATED = frozenset({"qpos", "qvel", "ctrl", "act", "time", "mocap_pos", "mocap_quat"})


def is_derived(source: Source) -> bool:
    """Return whether a source needs more than what the integrator keeps."""
    if isinstance(source, Array):
        return source.name not in INTEGRATED
    if isinstance(source, Attribute):
        return source.attribute not in INTEGRATED
    if isinstance(source, Indexed):
        return is_derived(source.source)
    if isinstance(source, Call):
        return any(is_derived(part) for part in source.sources)
    return True


def compile_source(source: Source, batch: Batch, floor: str | None) -> Reader:
    """Compile a source to a reader of ``(N,)`` or ``(N, k)``.

    Raises:
        DataError: the model has no such object or array.
    """
    read = _compile(source, batch, floor)
    if read().ndim <= 2:
        return read
    return lambda: read().reshape(batch.nsim, -1)


def _compile(source: Source, batch: Batch, floor: str | None) -> Reader:
    if isinstance(source, Array):
        return _compile_array(source, batch)
    if isinstance(source, Attribute):
        return _compile_attribute(source, batch)
    if isinstance(source, Measure):
        return _compile_measure(source, batch, floor)
    if isinstance(source, Call):
        readers = [_compile(part, batch, floor) for part in source.sources]
        return _FUNCTIONS[source.function](readers, source.numbers)
    return _compile_indexed(source, batch, floor)


def _compile_array(source: Array, batch: Batch) -> Reader:
    if source.name not in DATA_FIELDS:
        closest = find_closest_name(source.name, DATA_FIELDS)
        hint = f"; did you mean {closest!r}?" if closest else ""
        raise DataError(f"MuJoCo's data has no array {source.name!r}{hint}")
    return _make_constant(batch.bind(source.name))


def _compile_attribute(source: Attribute, batch: Batch) -> Reader:
    check_object(_list_names(batch.model, source.kind), source.kind, source.name)
    view = getattr(batch, source.kind)(source.name)
    if source.attribute == "point":
        return _compile_point(view, np.array(source.numbers), batch.nsim)
    try:
        values = getattr(view, source.attribute)
    except AttributeError as error:
        raise DataError(f"{source.kind}:{source.name}.{source.attribute}: {error}") from error
    return _make_constant(values[:, 0] if values.shape[1:] == (1,) else values)


def _compile_point(view: Any, offset: FloatArray, n_sims: int) -> Reader:
    """Read ``(N, 3)``, m: a point fixed in the frame of a body, geom or site."""
    xpos, xmat = view.xpos, view.xmat
    return lambda: xpos + xmat.reshape(n_sims, 3, 3) @ offset


def _compile_measure(source: Measure, batch: Batch, floor: str | None) -> Reader:
    if source.measure == "lowest":
        check_object(_list_names(batch.model, source.kind), source.kind, source.name)
        return make_lowest_reader(batch, source.kind, source.name, floor)
    if source.measure == "com":
        check_object(_list_names(batch.model, "body"), "body", source.name)
        return _make_constant(batch.body(source.name).subtree_com)
    if source.measure == "sensor":
        return _compile_attribute(Attribute("sensor", source.name, "data"), batch)
    data = batch.sensor(get_sensor_name(source)).data
    if source.measure == "contact":
        return lambda: (data[:, 0] > 0).astype(np.float64)
    return _make_constant(data)


def _compile_indexed(source: Indexed, batch: Batch, floor: str | None) -> Reader:
    read, index = _compile(source.source, batch, floor), source.index
    width: int = read().shape[1] if read().ndim > 1 else 0
    if isinstance(index, int):
        if not -width <= index < width:
            raise DataError(f"index {index} is out of range: there are {width} entries")
    elif not range(width)[index]:
        raise DataError(f"[{index.start}:{index.stop}] is empty: there are {width} entries")
    return lambda: read()[:, index]


def _make_constant(values: FloatArray) -> Reader:
    """Read an array that MuJoCo refreshes in place."""
    return lambda: values


def _list_names(model: mujoco.MjModel, kind: str) -> list[str]:
    attribute = {"joint": "njnt", "actuator": "nu"}.get(kind, f"n{kind}")
    count: int = getattr(model, attribute)
    return [getattr(model, kind)(i).name for i in range(count)]


_Function: TypeAlias = Callable[[list[Reader], tuple[float, ...]], Reader]


def _map(function: Callable[..., FloatArray], readers: list[Reader], _: object) -> Reader:
    return lambda: function(*(read() for read in readers))


def _clip(readers: list[Reader], numbers: tuple[float, ...]) -> Reader:
    (read,), (low, high) = readers, numbers
    return lambda: np.clip(read(), low, high)


def _concatenate(*parts: FloatArray) -> FloatArray:
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _norm(vector: FloatArray) -> FloatArray:
    length: FloatArray = np.sqrt(np.sum(np.square(vector), axis=-1))
    return length


_FUNCTIONS: dict[str, _Function] = {
    "clip": _clip,
    "concat": partial(_map, _concatenate),
    "cos": partial(_map, np.cos),
    "norm": partial(_map, _norm),
    "sin": partial(_map, np.sin),
    "subtract": partial(_map, np.subtract),
}
