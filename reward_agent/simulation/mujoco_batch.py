"""Many simulations of one MJCF, stepped together on ``mujoco.batch``."""

from __future__ import annotations

from collections.abc import Collection

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, Batch, SimulationError
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Measure,
    Source,
    is_derived,
    parse_source,
)
from reward_agent.errors import DataError, hint_closest
from reward_agent.simulation.measures import locate_point, make_lowest_measure
from reward_agent.simulation.mujoco_model import (
    check_object,
    list_names,
    make_model,
    name_sensor,
)
from reward_agent.simulation.mujoco_start import ResetDraws
from reward_agent.simulation.simulation import (
    Reader,
    Simulation,
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


def _compile_attribute(source: Attribute, batch: Batch) -> Reader:
    check_object(list_names(batch.model, source.kind), source.kind, source.name)
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
        check_object(list_names(batch.model, source.kind), source.kind, source.name)
        return compile_lowest(batch, source.kind, source.name, floor)
    attribute = {"com": "subtree_com", "sensor": "data"}.get(source.measure)
    if attribute:
        return _compile_attribute(Attribute(source.kind, source.name, attribute), batch)
    data = batch.sensor(name_sensor(source)).data
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
