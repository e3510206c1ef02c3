"""Many simulations of one MJCF, stepped together on ``mujoco.batch``."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, Batch, SimulationError
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard, find_env_dir
from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Measure,
    Source,
    find_measures,
    is_derived,
    parse_source,
)
from reward_agent.definitions.start import ResetNoise
from reward_agent.errors import DataError, hint_closest
from reward_agent.simulation.measures import locate_point, make_lowest_measure
from reward_agent.simulation.mjcf import check_model
from reward_agent.simulation.simulation import (
    Reader,
    Simulation,
    blame_field,
    list_needed,
    make_constant,
)
from reward_agent.simulation.state import FloatArray

UNSTABLE = "unstable physics"
_DIVERGED = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
]
_OBJECTS = {"body": mujoco.mjtObj.mjOBJ_BODY, "geom": mujoco.mjtObj.mjOBJ_GEOM}
# Contact sensor: report how many contacts were found, of all of them, in one slot.
_FOUND_ALL_ONE = [1, 0, 1]


class BatchSimulation(Simulation):
    """MuJoCo's; a simulation whose physics diverges stays where it is put until it is reset.

    Simulation i is seeded as Gymnasium seeds an environment by ``env.reset(seed=seed + i)``: with
    the same actions it moves as that environment does.

    Args, beside those of ``Simulation``:
        n_threads: threads that step them, with the caller's.
    """

    end_reason = UNSTABLE

    def __init__(
        self,
        card: EnvCard,
        n_sims: int,
        seed: int,
        n_threads: int = 1,
        fields: Collection[str] | None = None,
    ) -> None:
        needed = list_needed(card, fields)
        self.model = make_model(card, needed)
        self._batch = Batch(self.model, n_sims, n_threads)
        super().__init__(card, n_sims, fields)
        self._stage = self._choose_stage(needed)
        self._qpos, self._qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._ctrl = self._batch.bind("ctrl")
        self._action_scale, self._action_offset = self._find_action_map()
        self._draws = ResetDraws(card.reset, self.model, n_sims, seed)
        self._has_diverged = np.zeros(n_sims, dtype=bool)

    @property
    def qpos(self) -> FloatArray:
        """MuJoCo's generalised positions, ``(N, nq)``, a copy."""
        return np.array(self._qpos)

    @property
    def qvel(self) -> FloatArray:
        """MuJoCo's generalised velocities, ``(N, nv)``, a copy."""
        return np.array(self._qvel)

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Start new episodes, at states that are drawn."""
        self._batch.reset(ids, self._draws.keyframe, stage=mujoco.mjtStage.mjSTAGE_NONE)
        for i in ids:
            self._qpos[i], self._qvel[i] = self._draws.draw(i)
        # Gymnasium runs all stages here, and the next step starts from the forces found.
        self._batch.forward(ids)
        self._has_diverged[ids] = False

    def advance(self, action: FloatArray, ids: ArrayLike | None) -> None:
        """Advance by one control step; MuJoCo clips to the actuators' control range."""
        np.multiply(action, self._action_scale, out=self._ctrl)
        self._ctrl += self._action_offset
        try:
            self._batch.step(ids, self.card.model.frame_skip, self._stage)
        except SimulationError as error:
            self._has_diverged[error.ids] = True
        self._has_diverged |= (self._batch.warning[:, _DIVERGED, 1] > 0).any(axis=1)

    def find_stuck(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: whose physics has diverged."""
        is_finite = np.isfinite(self._qpos).all(axis=1) & np.isfinite(self._qvel).all(axis=1)
        return np.asarray(self._has_diverged | ~is_finite)

    def compile_leaf(self, source: Source) -> Reader:
        """Compile what MuJoCo measures: an array, an object's part of one, or a measure."""
        if isinstance(source, Array):
            if source.name not in DATA_FIELDS:
                hint = hint_closest(source.name, DATA_FIELDS)
                raise DataError(f"MuJoCo's data has no array {source.name!r}{hint}")
            return make_constant(self._batch.bind(source.name))
        if isinstance(source, Attribute):
            return _compile_attribute(source, self._batch)
        assert isinstance(source, Measure)
        return _compile_measure(source, self._batch, next(iter(self.card.model.floors), None))

    def _choose_stage(self, needed: Collection[str]) -> int:
        """Compute derived fields at the new state, unless none is read or the card says lagged."""
        sources = [parse_source(self.card.field(name).source) for name in needed]
        is_current = self.card.model.derived_fields == "current"
        if is_current and any(is_derived(source) for source in sources):
            return int(mujoco.mjtStage.mjSTAGE_VEL)
        return int(mujoco.mjtStage.mjSTAGE_NONE)

    def _find_action_map(self) -> tuple[FloatArray, FloatArray]:
        """Return scale and offset ``(n_actions,)`` from the card's actions to MuJoCo's controls."""
        if self.model.nu != self.card.n_actions:
            raise DataError(
                f"environment {self.card.name!r} names {self.card.n_actions} actions, the model "
                f"has {self.model.nu} actuators",
                "name one action for each actuator, in their order",
            )
        if self.card.action_mapping == "direct":
            return np.ones(self.model.nu), np.zeros(self.model.nu)
        low, high = self.card.action_range
        ctrl_low, ctrl_high = self.model.actuator_ctrlrange.T
        scale = (ctrl_high - ctrl_low) / (high - low)
        return scale, ctrl_low - scale * low


class ResetDraws:
    """The initial states of N simulations, in the draws of Gymnasium's own environments.

    Simulation i draws as after ``env.reset(seed=seed + i)``.
    """

    def __init__(self, reset: ResetNoise, model: mujoco.MjModel, n_sims: int, seed: int) -> None:
        self._reset = reset
        self.keyframe = _find_keyframe(reset, model)
        has_keyframe = self.keyframe >= 0
        self._qpos = np.array(model.key_qpos[self.keyframe] if has_keyframe else model.qpos0)
        self._qvel = np.array(model.key_qvel[self.keyframe] if has_keyframe else np.zeros(model.nv))
        joints = [
            model.joint(_check_object(_list_names(model, "joint"), "joint", name))
            for name in (reset.goal.joints if reset.goal else ())
        ]
        self._goal_addresses = [int(joint.qposadr[0]) for joint in joints]
        self._goal_dofs = [int(joint.dofadr[0]) for joint in joints]
        # Source: gymnasium.utils.seeding.np_random, which is numpy's default generator.
        self._generators = [np.random.default_rng(seed + i) for i in range(n_sims)]

    def draw(self, sim: int) -> tuple[FloatArray, FloatArray]:
        """Return a new initial state for simulation ``sim``: qpos ``(nq,)`` and qvel ``(nv,)``."""
        generator, noise = self._generators[sim], self._reset
        qpos, qvel = self._qpos.copy(), self._qvel.copy()
        if noise.qpos_uniform:
            qpos += generator.uniform(-noise.qpos_uniform, noise.qpos_uniform, len(qpos))
        if noise.goal:
            qpos[self._goal_addresses] = _draw_point(generator, noise.goal.radius)
        if noise.qvel_uniform:
            qvel += generator.uniform(-noise.qvel_uniform, noise.qvel_uniform, len(qvel))
        if noise.qvel_normal:
            qvel += noise.qvel_normal * generator.standard_normal(len(qvel))
        qvel[self._goal_dofs] = 0.0
        return qpos, qvel


def _draw_point(generator: np.random.Generator, radius: float) -> FloatArray:
    """Return a point ``(2,)`` within a disc.

    Source: gymnasium.envs.mujoco.reacher_v5, whose draws are repeated here one for one.
    """
    while True:
        point = generator.uniform(-radius, radius, 2)
        if np.linalg.norm(point) < radius:
            return point


def _find_keyframe(reset: ResetNoise, model: mujoco.MjModel) -> int:
    if reset.keyframe is None:
        return -1
    names = _list_names(model, "key")
    return names.index(_check_object(names, "keyframe", str(reset.keyframe)))


def make_model(card: EnvCard, fields: Collection[str] | None = None) -> mujoco.MjModel:
    """Compile the card's MJCF with a sensor for each contact and velocity that is measured.

    Sensors only observe: the simulated motion is that of the MJCF, to the last bit. Only ``fields``
    will be read; None for all.

    Raises:
        DataError: the MJCF is missing or wrong, or the card names something it does not have.
    """
    path = find_model_path(card)
    names = [field.name for field in card.fields] if fields is None else fields
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        _add_sensors(spec, card, names)
        # A simulation that diverges must come back with finite numbers, not stay at NaN.
        spec.option.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        with warnings.catch_warnings():
            # Gymnasium's half_cheetah.xml has an attribute that MuJoCo will drop.
            warnings.filterwarnings("ignore", ".*deprecated", UserWarning)
            return spec.compile()
    except (ValueError, mujoco.FatalError) as error:
        raise DataError(f"{path}: {error}", "correct the MJCF, or the card's names") from error


def find_model_path(card: EnvCard) -> Path:
    """Return the path of the card's MJCF.

    Raises:
        DataError: the file is not there, or the card names none.
    """
    model = card.model
    if model.gymnasium is not None:
        package = importlib.util.find_spec("gymnasium")
        assert package is not None
        path = Path(package.origin or "").parent / "envs/mujoco/assets" / model.gymnasium
        remedy = "correct model.gymnasium, or install another gymnasium"
    elif model.file is not None:
        path = find_env_dir(card) / model.file
        remedy = "put the file beside env.toml, or correct model.file"
        if path.is_file():
            check_model(find_env_dir(card), model.file)
    else:
        raise DataError(
            f"environment {card.name!r} gives model.id = {model.id!r}, MuJoCo simulates an MJCF",
            "give model.file, or the model.backend that knows this id",
        )
    if not path.is_file():
        raise DataError(f"environment {card.name!r}: {path} does not exist", remedy)
    return path


def _add_sensors(spec: mujoco.MjSpec, card: EnvCard, names: Collection[str]) -> None:
    added: set[Measure] = set()
    for name in names:
        measures = find_measures(parse_source(card.field(name).source)) - added
        try:
            for measure in sorted(measures, key=_name_sensor):
                _add_sensor(spec, measure, card)
        except DataError as error:
            raise blame_field(card, name, error) from error
        added |= measures


def _add_sensor(spec: mujoco.MjSpec, measure: Measure, card: EnvCard) -> None:
    if measure.measure not in ("contact", "com_velocity"):
        return
    geoms = [geom.name for geom in spec.geoms]
    known = [body.name for body in spec.bodies] if measure.kind == "body" else geoms
    what: dict[str, Any] = {"type": mujoco.mjtSensor.mjSENS_SUBTREELINVEL}
    if measure.measure == "contact":
        if not card.model.floors:
            raise DataError(
                "contacts are measured, but the card names no floor",
                "set model.floor to the name of the floor's geom",
            )
        what = {
            "type": mujoco.mjtSensor.mjSENS_CONTACT,
            "reftype": mujoco.mjtObj.mjOBJ_GEOM,
            "refname": _check_object(geoms, "geom", card.model.floors[0]),
            "intprm": _FOUND_ALL_ONE,
        }
    spec.add_sensor(
        name=_name_sensor(measure),
        objtype=_OBJECTS[measure.kind],
        objname=_check_object(known, measure.kind, measure.name),
        **what,
    )


def _name_sensor(measure: Measure) -> str:
    return f"reward_agent.{measure.measure}.{measure.kind}.{measure.name}"


def _check_object(known: Collection[str], kind: str, name: str) -> str:
    """Return the name, or raise a DataError with the closest one that the model has."""
    if name in known:
        return name
    raise DataError(
        f"the model has no {kind} named {name!r}{hint_closest(name, known)}",
        f"its {kind} names: {', '.join(sorted(filter(None, known))) or 'none'}",
    )


def _list_names(model: mujoco.MjModel, kind: str) -> list[str]:
    attribute = {"joint": "njnt", "actuator": "nu"}.get(kind, f"n{kind}")
    count: int = getattr(model, attribute)
    return [getattr(model, kind)(i).name for i in range(count)]


def _compile_attribute(source: Attribute, batch: Batch) -> Reader:
    _check_object(_list_names(batch.model, source.kind), source.kind, source.name)
    view = getattr(batch, source.kind)(source.name)
    if source.attribute == "point":
        xpos, xmat, offset = view.xpos, view.xmat, np.array(source.numbers)
        return lambda: locate_point(xpos, xmat, offset)
    try:
        values = getattr(view, source.attribute)
    except AttributeError as error:
        raise DataError(f"{source.kind}:{source.name}.{source.attribute}: {error}") from error
    return make_constant(values[:, 0] if values.shape[1:] == (1,) else values)


def _compile_measure(source: Measure, batch: Batch, floor: str | None) -> Reader:
    if source.measure == "lowest":
        _check_object(_list_names(batch.model, source.kind), source.kind, source.name)
        return compile_lowest(batch, source.kind, source.name, floor)
    attribute = {"com": "subtree_com", "sensor": "data"}.get(source.measure)
    if attribute:
        return _compile_attribute(Attribute(source.kind, source.name, attribute), batch)
    data = batch.sensor(_name_sensor(source)).data
    if source.measure == "contact":
        return lambda: (data[:, 0] > 0).astype(np.float64)
    return make_constant(data)


def compile_lowest(batch: Batch, kind: str, name: str, floor: str | None) -> Reader:
    """Read ``(N,)``, m: the lowest point of a body or geom; see ``make_lowest_measure``.

    Raises:
        DataError: there is no geom, or one whose shape has no lowest point.
    """
    try:
        measure = make_lowest_measure(batch.model, kind, name, floor)
    except ValueError as error:
        raise DataError(str(error)) from error
    xpos, xmat = batch.bind("geom_xpos"), batch.bind("geom_xmat")
    return lambda: measure(xpos, xmat)
