"""What MuJoCo measures, compiled to functions that read a batch of simulations at once."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, Batch

from reward_agent.definitions.sources import Array, Attribute, Call, Indexed, Measure, Source
from reward_agent.errors import DataError, find_closest_name
from reward_agent.simulation.expressions import Reader, make_constant
from reward_agent.simulation.lowest import make_lowest_reader
from reward_agent.simulation.model import check_object, get_sensor_name
from reward_agent.simulation.state import FloatArray

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


def compile_measurement(source: Source, batch: Batch, floor: str | None) -> Reader:
    """Compile what MuJoCo measures itself: an array, an object's part of one, or a measure.

    Raises:
        DataError: the model has no such object or array.
    """
    if isinstance(source, Array):
        return _compile_array(source, batch)
    if isinstance(source, Attribute):
        return _compile_attribute(source, batch)
    assert isinstance(source, Measure)
    return _compile_measure(source, batch, floor)


def _compile_array(source: Array, batch: Batch) -> Reader:
    if source.name not in DATA_FIELDS:
        closest = find_closest_name(source.name, DATA_FIELDS)
        hint = f"; did you mean {closest!r}?" if closest else ""
        raise DataError(f"MuJoCo's data has no array {source.name!r}{hint}")
    return make_constant(batch.bind(source.name))


def _compile_attribute(source: Attribute, batch: Batch) -> Reader:
    check_object(_list_names(batch.model, source.kind), source.kind, source.name)
    view = getattr(batch, source.kind)(source.name)
    if source.attribute == "point":
        return _compile_point(view, np.array(source.numbers), batch.nsim)
    try:
        values = getattr(view, source.attribute)
    except AttributeError as error:
        raise DataError(f"{source.kind}:{source.name}.{source.attribute}: {error}") from error
    return make_constant(values[:, 0] if values.shape[1:] == (1,) else values)


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
        return make_constant(batch.body(source.name).subtree_com)
    if source.measure == "sensor":
        return _compile_attribute(Attribute("sensor", source.name, "data"), batch)
    data = batch.sensor(get_sensor_name(source)).data
    if source.measure == "contact":
        return lambda: (data[:, 0] > 0).astype(np.float64)
    return make_constant(data)


def _list_names(model: mujoco.MjModel, kind: str) -> list[str]:
    attribute = {"joint": "njnt", "actuator": "nu"}.get(kind, f"n{kind}")
    count: int = getattr(model, attribute)
    return [getattr(model, kind)(i).name for i in range(count)]
