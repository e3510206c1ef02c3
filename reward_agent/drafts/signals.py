"""What MuJoCo says of the state that it simulates: each number with its name and unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from reward_agent.drafts.columns import Array, ColumnSignal
from reward_agent.drafts.survey import ModelFacts
from reward_agent.drafts.tree import call as name_part
from reward_agent.drafts.tree import find_tree
from reward_agent.simulation.interventions import BALL, FREE, HINGE, SLIDE

N_DOFS = {FREE: 6, BALL: 3, SLIDE: 1, HINGE: 1}
Signals = tuple[Array, list[ColumnSignal]]


@dataclass
class Simulator:
    """MuJoCo behind an environment, with what reads its observation anew.

    Args:
        model: MuJoCo's.
        data: the same.
        holder: whose they are.
        signals: what MuJoCo tells, by what ``read`` returns.
    """

    model: Any
    data: Any
    holder: Any
    signals: tuple[ColumnSignal, ...]

    @property
    def objects(self) -> frozenset[str]:
        """Names of joints, bodies, sites, geoms and sensors."""
        model = self.model
        kinds = (("joint", model.njnt), ("body", model.nbody), ("site", model.nsite),
                 ("geom", model.ngeom), ("sensor", model.nsensor))  # fmt: skip
        names = {getattr(model, kind)(i).name for kind, n in kinds for i in range(n)}
        return frozenset(names - {""})

    def tell_facts(self) -> ModelFacts:
        """Return what is told of the model."""
        model, tree = self.model, find_tree(self.model)
        roots = () if tree.base == "fixed" else tree.root_joints
        scalar = [j for j in range(model.njnt) if model.jnt_type[j] in (SLIDE, HINGE)]
        limits = {
            model.joint(j).name: (float(model.jnt_range[j, 0]), float(model.jnt_range[j, 1]))
            for j in scalar
            if model.jnt_limited[j]
        }
        actuators = tuple(model.actuator(i).name or self._name_moved(i) for i in range(model.nu))
        return ModelFacts(
            self.objects, tuple(name_part(model, "joint", j) for j in roots), limits, actuators
        )

    def _name_moved(self, i: int) -> str:
        """Return the joint that an actuator without a name moves."""
        model = self.model
        is_joint = int(model.actuator_trntype[i]) == 0
        return str(model.joint(int(model.actuator_trnid[i, 0])).name) if is_joint else ""

    def read(self) -> Array:
        """Return the value of every signal."""
        return np.concatenate([values for values, _ in _list_arrays(self)])


def find_simulator(env: Any) -> Simulator | None:
    """Return the MuJoCo that simulates an environment; None where that is something else."""
    inner = env.unwrapped
    for holder in (inner, *list(getattr(inner, "__dict__", {}).values())):
        owner = getattr(holder, "physics", holder)  # dm_control's, which wraps both
        model, data = (_unwrap(getattr(owner, name, None)) for name in ("model", "data"))
        if isinstance(model, mujoco.MjModel) and isinstance(data, mujoco.MjData):
            mujoco.mj_forward(model, data)  # before its first reset no axis is known
            simulator = Simulator(model, data, holder, ())
            made = [signals for _, signals in _list_arrays(simulator)]
            simulator.signals = tuple(signal for some in made for signal in some)
            return simulator
    return None


def _unwrap(value: Any) -> Any:
    return getattr(value, "ptr", value)


def _list_arrays(simulator: Simulator) -> Iterator[Signals]:
    """Yield numbers of MuJoCo's data, flat, with what each is; the plainest first."""
    model, data = simulator.model, simulator.data
    for j in range(model.njnt):
        yield from _list_joint(model, data, j)
    bodies = range(1, model.nbody)
    yield from _list_placed(model, data, "body", bodies, data.xpos)
    yield from _list_placed(model, data, "site", range(model.nsite), data.site_xpos)
    yield from _list_placed(model, data, "geom", range(model.ngeom), data.geom_xpos)
    for i in bodies:
        names = _name(model, "body", i)
        label = f"of body {names[0]!r}"
        yield _make(data.xquat[i], "rotation", "1", names, f"orientation {label}", "wxyz")
        yield _make(data.cinert[i], "other", "1", names, f"cinert {label}")
        yield _make(data.cvel[i], "rate", "1", names, f"cvel {label}")
        yield _make(data.cfrc_ext[i], "force", "N", names, f"cfrc_ext {label}")
    for j in range(model.njnt):
        names = name_joint(model, j)
        at = slice(int(model.jnt_dofadr[j]), int(model.jnt_dofadr[j]) + N_DOFS[model.jnt_type[j]])
        for array in ("qfrc_actuator", "qfrc_constraint", "qacc"):
            values = getattr(data, array)[at]
            yield _make(values, "force", "N", names, f"{array} of joint {names[0]!r}")
    for i in range(model.nsensor):
        names = _name(model, "sensor", i)
        at = slice(int(model.sensor_adr[i]), int(model.sensor_adr[i] + model.sensor_dim[i]))
        yield _make(data.sensordata[at], "other", "1", names, f"sensor {names[0]!r}")


def _list_joint(model: Any, data: Any, j: int) -> Iterator[Signals]:
    kind, names = int(model.jnt_type[j]), name_joint(model, j)
    q, v = int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j])
    label = f"joint {names[0]!r}"
    if kind in (SLIDE, HINGE):
        unit, what = ("m", "position") if kind == SLIDE else ("rad", "angle")
        axis, sign = _find_axis(data.xaxis[j])
        angle, rate = data.qpos[q : q + 1], data.qvel[v : v + 1]
        speed = "velocity" if kind == SLIDE else "angular velocity"
        yield angle, [ColumnSignal(f"{what} of {label}", names, unit, "position", axis, sign)]
        yield rate, [ColumnSignal(f"{speed} of {label}", names, f"{unit}/s", "rate", axis, sign)]
        if kind == HINGE:
            yield np.sin(angle), [ColumnSignal(f"sine of {label}", names, "1", "sine")]
            yield np.cos(angle), [ColumnSignal(f"cosine of {label}", names, "1", "cosine")]
        return
    if kind == FREE:
        yield _make(data.qpos[q : q + 3], "position", "m", names, f"position of {label}", "xyz")
        yield _make(data.qvel[v : v + 3], "rate", "m/s", names, f"velocity of {label}", "xyz")
        q, v = q + 3, v + 3
    yield _make(data.qpos[q : q + 4], "rotation", "1", names, f"orientation of {label}", "wxyz")
    turning = f"angular velocity of {label}"
    yield _make(data.qvel[v : v + 3], "rate", "rad/s", names, turning, "xyz")


def _find_axis(vector: Array) -> tuple[str, int]:
    i = int(np.argmax(np.abs(vector)))
    return ("xyz"[i], int(np.sign(vector[i]))) if abs(vector[i]) > 0.99 else ("", 0)


def _list_placed(
    model: Any, data: Any, kind: str, numbers: Iterable[int], places: Array
) -> Iterator[Signals]:
    for i in numbers:
        names = _name(model, kind, i)
        if kind != "geom" or model.geom(i).name:
            yield _make(places[i], "place", "m", names, f"place of {kind} {names[0]!r}", "xyz")


def _make(
    values: Array, kind: str, unit: str, names: tuple[str, ...], label: str, axes: str = ""
) -> Signals:
    """Return numbers with a signal for each."""
    flat = np.array(values, dtype=np.float64).ravel()
    signals = []
    for i in range(len(flat)):
        axis = axes[i] if axes else ""
        ending = f", {axis}" if axis else f"[{i}]" if len(flat) > 1 else ""
        signals.append(ColumnSignal(label + ending, names, unit, kind, axis))
    return flat, signals


def _name(model: Any, kind: str, i: int) -> tuple[str, ...]:
    return (getattr(model, kind)(i).name or f"#{i}",)


def name_joint(model: Any, j: int) -> tuple[str, ...]:
    """Return the names of a joint and of the body that it moves."""
    own = model.joint(j).name or f"#{j}"
    return tuple(dict.fromkeys((own, model.body(int(model.jnt_bodyid[j])).name or own)))
