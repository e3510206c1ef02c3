"""Many simulations of one MJCF, stepped together on ``mujoco.batch``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import mujoco
import numpy as np
from mujoco.batch import DATA_FIELDS, Batch, SimulationError
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Drawn,
    Measure,
    Source,
    is_derived,
    parse_source,
)
from reward_agent.definitions.start import HomePose
from reward_agent.errors import DataError, hint_closest
from reward_agent.simulation.interventions import FREE, draw_poses, find_robot, list_names
from reward_agent.simulation.measures import locate_point, make_lowest_measure, measure_velocity
from reward_agent.simulation.mujoco_behaviours import hold_lengths, tip_over
from reward_agent.simulation.mujoco_draws import EpisodeDraws, PoseLayout, read_pose
from reward_agent.simulation.mujoco_model import (
    CONTACTS,
    OF_TREES,
    check_object,
    find_joint_limits,
    find_state_part,
    make_model,
    measure_links,
    name_sensor,
)
from reward_agent.simulation.mujoco_randomise import ChangedPhysics
from reward_agent.simulation.mujoco_start import MocapDrive, ResetDraws, find_action_map, find_home
from reward_agent.simulation.simulation import Reader, Simulation, list_needed, make_constant
from reward_agent.simulation.state import FloatArray

UNSTABLE = "unstable physics"
_RUNGE_KUTTA = int(mujoco.mjtIntegrator.mjINT_RK4)
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
        self._stage = choose_stage(card, needed)
        # A step then goes on from what was computed after the last one, but for Runge-Kutta's.
        is_continued = bool(self._stage) and self.model.opt.integrator != _RUNGE_KUTTA
        self._batch = Batch(self.model, n_sims, n_threads, persistent=is_continued)
        # Source: gymnasium.utils.seeding.np_random, which is numpy's default generator.
        generators = [np.random.default_rng(seed + i) for i in range(n_sims)]
        self._home = find_home(card, self.model)
        # Others begin at 0, as Gymnasium's.
        self._is_held = card.action_mapping == "around_home" or card.home != HomePose()
        self._starts = ResetDraws(card, self.model, self._home, generators)
        self._draws = EpisodeDraws(card, self._batch, generators) if card.draws else None
        changed = card.randomise
        self._physics = ChangedPhysics(card, changed, self._batch, seed) if changed else None
        super().__init__(card, n_sims, fields)
        self._qpos, self._qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._ctrl, self._act = self._batch.bind("ctrl"), self._batch.bind("act")
        self._pose = PoseLayout(card, self.model).bind(self._batch)
        self._action_scale, self._action_offset = find_action_map(card, self.model, self._home)
        self._mocap = MocapDrive(card, self._batch, self._home) if card.mocap_actions else None
        self._has_diverged = np.zeros(n_sims, dtype=bool)

    @property
    def qpos(self) -> FloatArray:
        """MuJoCo's generalised positions, ``(N, nq)``, a copy."""
        return np.array(self._qpos)

    @property
    def qvel(self) -> FloatArray:
        """MuJoCo's generalised velocities, ``(N, nv)``, a copy."""
        return np.array(self._qvel)

    @property
    def draws(self) -> dict[str, FloatArray]:
        """What the card's ``[draws]`` have drawn by name, live: ``(N, 3)`` m or ``(N,)``."""
        return self._draws.values if self._draws is not None else {}

    @property
    def pose(self) -> FloatArray:
        """What a picture is drawn from, ``(N, n)``: qpos, and what else ``PoseLayout`` says."""
        return read_pose(self._pose)

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Start new episodes, at states that are drawn."""
        starts = [self._starts.draw(int(i)) for i in ids]
        keyframes = [start.keyframe for start in starts]
        same = keyframes[0] if len(set(keyframes)) == 1 else keyframes
        self._batch.reset(ids, same, stage=mujoco.mjtStage.mjSTAGE_NONE)
        for i, start in zip(ids, starts, strict=True):
            self._qpos[i], self._qvel[i] = start.qpos, start.qvel
        if self._is_held:
            self._ctrl[ids] = self._home.ctrl
            for place, target in self._home.act.items():
                self._act[ids, place] = target
        if self._mocap is not None:
            self._mocap.begin(ids)
        if self._draws is not None:
            self._draws.begin(ids)
        if self._physics is not None:
            self._physics.begin(ids)
        # Gymnasium runs all stages here, and the next step starts from the forces found.
        self._batch.forward(ids)
        self._has_diverged[ids] = False

    def put(self, qpos: ArrayLike, qvel: ArrayLike = 0.0) -> None:
        """Put every simulation into a state, to read its fields: ``(nq,)`` or ``(N, nq)``."""
        self._qpos[:], self._qvel[:] = qpos, qvel
        self._batch.forward(None)
        self._has_diverged[:] = False
        self._expressions.values.clear()

    def put_fields(self, ids: NDArray[np.int32], values: Mapping[str, FloatArray]) -> None:
        """Put simulations into states by positions and velocities of joints, and nothing else."""
        arrays = {"qpos": self._qpos, "qvel": self._qvel}
        sources = {field.name: field.source for field in self.card.state}
        for name, rows in values.items():
            array, columns = find_state_part(self.model, parse_source(sources.get(name, name)))
            arrays[array][ids[:, None], columns] = rows
        self._batch.forward(ids)
        self._expressions.values.clear()

    @property
    def physics(self) -> dict[str, FloatArray]:
        """Positions and velocities, copies."""
        return {"qpos": self.qpos, "qvel": self.qvel}

    def list_keyframes(self) -> list[str]:
        """Return the names of the model's keyframes; one without a name is called by its number."""
        names = list_names(self.model, "key")
        return [name or str(number) for number, name in enumerate(names)]

    def find_keyframe(self, name: str) -> dict[str, FloatArray]:
        """Return positions and velocities of a keyframe of the model."""
        known = self.list_keyframes()
        number = known.index(check_object(known, "keyframe", name))
        return {"qpos": self.model.key_qpos[number], "qvel": self.model.key_qvel[number]}

    def show(self, fields: Collection[str] | None) -> None:
        """Have ``read_state`` return some fields only; a step then computes no more than these."""
        super().show(fields)
        self._stage = choose_stage(self.card, list_needed(self.card, self._field_readers))

    def scatter(self) -> bool:
        """Put every joint anywhere in its range, what floats within 1 m, all in motion."""
        generator, model = np.random.default_rng(0), self.model
        qpos = np.stack(draw_poses(model, self.qpos[0], range(model.njnt), self.n_sims))
        for start in model.jnt_qposadr[model.jnt_type == FREE]:
            turned = generator.standard_normal((self.n_sims, 4))
            qpos[:, start : start + 3] += generator.uniform(-1, 1, (self.n_sims, 3))
            qpos[:, start + 3 : start + 7] = turned / np.linalg.norm(turned, axis=1)[:, None]
        self.put(qpos, generator.standard_normal((self.n_sims, model.nv)))
        return True

    def hold_pose(self) -> Reader:
        """Return what gives actions ``(N, n_actions)`` that hold the pose the robots have now."""
        find_controls = hold_lengths(self._batch, self._home.ctrl, self.card.control_dt)
        n_mocap = self.card.n_actions - self.model.nu
        low, high = self.card.action_range
        scale = np.where(self._action_scale == 0, 1.0, self._action_scale)

        def hold() -> FloatArray:
            action = (find_controls() - self._action_offset) / scale
            return np.clip(np.pad(action, ((0, 0), (0, n_mocap))), low, high)

        return hold

    def go_limp(self, ids: NDArray[np.int32]) -> bool:
        """Take the force from all actuators until the end; a driven mocap body still carries."""
        if not self.model.nu or self._mocap is not None:
            return False
        flags = self._batch.expand("opt.disableflags")
        flags[ids] |= int(mujoco.mjtDisableBit.mjDSBL_ACTUATION)
        return True

    def tip_over(self, ids: NDArray[np.int32]) -> bool:
        """Tip the robots over, each in the next direction; False if their root does not turn."""
        root = find_robot(self.model, self.card)
        ways = list(tip_over(self.model, root, self.qpos[ids[0]])) if root and len(ids) else []
        for number, sim in enumerate(ids if ways else ()):
            for tipped in ways[number % len(ways)]:
                self._qpos[sim] = tipped
                self._batch.forward(ids[number : number + 1])
                if not self.find_terminated()[sim]:
                    break
        return bool(ways)

    def measure_links(self) -> dict[str, float]:
        """Return the length of each of the robot's links, m, by the name of its body."""
        return measure_links(self.model)

    def find_limits(self, field: StateField) -> tuple[float, float] | None:
        """Return the limits of the joints that a field is the position of."""
        return find_joint_limits(self.model, parse_source(field.source))

    def advance(self, action: FloatArray, ids: ArrayLike | None) -> None:
        """Advance by one control step; MuJoCo clips to the actuators' control range."""
        np.multiply(action[:, : self.model.nu], self._action_scale, out=self._ctrl)
        self._ctrl += self._action_offset
        if self._mocap is not None:
            self._mocap.move(action[:, self.model.nu :], ids)
        if self._physics is not None:
            self._physics.push(ids)
        try:
            self._batch.step(ids, self.card.model.frame_skip, self._stage)
        except SimulationError as error:
            self._has_diverged[error.ids] = True
        if self._draws is not None:
            self._draws.advance(ids)
        self._has_diverged |= (self._batch.warning[:, _DIVERGED, 1] > 0).any(axis=1)

    def find_stuck(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: whose physics has diverged."""
        is_finite = np.isfinite(self._qpos).all(axis=1) & np.isfinite(self._qvel).all(axis=1)
        return np.asarray(self._has_diverged | ~is_finite)

    def compile_leaf(self, source: Source) -> Reader:
        """Compile what MuJoCo measures: an array, an object's part of one, or a measure."""
        if isinstance(source, Drawn):
            return make_constant(self.draws[source.name])
        return compile_measured(source, self._batch, self.card.model.floors)


def choose_stage(card: EnvCard, needed: Collection[str]) -> int:
    """Compute derived fields at the new state, unless none is read or the card says lagged."""
    sources = [parse_source(card.field(name).source) for name in needed]
    is_current = card.model.derived_fields == "current"
    if is_current and any(is_derived(source) for source in sources):
        return int(mujoco.mjtStage.mjSTAGE_VEL)
    return int(mujoco.mjtStage.mjSTAGE_NONE)


def compile_measured(source: Source, batch: Batch, floors: Sequence[str]) -> Reader:
    """Compile what MuJoCo measures of simulations, or of what has their arrays as a batch has.

    Raises:
        DataError: there is nothing of that name.
    """
    if isinstance(source, Array):
        if source.name not in DATA_FIELDS:
            hint = hint_closest(source.name, DATA_FIELDS)
            raise DataError(f"MuJoCo's data has no array {source.name!r}{hint}")
        return make_constant(batch.bind(source.name))
    if isinstance(source, Attribute):
        return _compile_attribute(source, batch)
    assert isinstance(source, Measure)
    return _compile_measure(source, batch, floors)


def _compile_attribute(source: Attribute, batch: Batch) -> Reader:
    check_object(list_names(batch.model, source.kind), source.kind, source.name)
    view = getattr(batch, source.kind)(source.name)
    if source.attribute == "point":
        xpos, xmat, offset = view.xpos, view.xmat, np.array(source.numbers)
        return lambda: locate_point(xpos, xmat, offset)
    try:
        values = getattr(view, source.attribute)
    except AttributeError as error:
        raise DataError(f"{source}: {error}") from error
    if not isinstance(values, np.ndarray):
        raise DataError(f"{source}: {source.attribute} is not a field of a {source.kind}")
    return make_constant(values[:, 0] if values.shape[1:] == (1,) else values)


def _compile_measure(source: Measure, batch: Batch, floors: Sequence[str]) -> Reader:
    if source.measure in CONTACTS:
        return _compile_contact(source, batch, len(source.list_others(floors)))
    if source.measure in OF_TREES:
        return make_constant(batch.sensor(name_sensor(source)).data)
    if source.measure == "sensor":
        return _compile_attribute(Attribute("sensor", source.name, "data"), batch)
    check_object(list_names(batch.model, source.kind), source.kind, source.name)
    if source.measure == "lowest":
        return compile_lowest(batch, source.kind, source.name, floors)
    if source.measure == "com":
        return make_constant(batch.body(source.name).subtree_com)
    return _compile_velocity(source, batch)


def _compile_contact(source: Measure, batch: Batch, n_others: int) -> Reader:
    """Read ``(N,)``: 1 while the sides touch, else 0; or the norm of the force between them, N."""
    sensors = [batch.model.sensor(name_sensor(source, i)) for i in range(n_others)]
    rows = np.concatenate([np.arange(s.adr[0], s.adr[0] + s.dim[0]) for s in sensors])
    data = batch.bind("sensordata")
    if source.measure == "contact":
        return lambda: (data[:, rows] > 0).any(axis=1).astype(float)
    return lambda: np.sqrt(
        np.square(data[:, rows].reshape(-1, n_others, 3).sum(axis=1)).sum(axis=1)
    )


def _compile_velocity(source: Measure, batch: Batch) -> Reader:
    """Read ``(N, 3)``: velocity of the origin of a frame, m/s, or of its turning, rad/s."""
    item = getattr(batch.model, source.kind)(source.name)
    body = item.id if source.kind == "body" else int(item.bodyid[0])
    cvel = batch.bind("cvel")[:, body]
    if source.measure == "angular_velocity":
        return make_constant(cvel[:, :3])
    centre = batch.bind("subtree_com")[:, batch.model.body_rootid[body]]
    xpos = getattr(batch, source.kind)(source.name).xpos
    return lambda: measure_velocity(cvel, centre, xpos)


def compile_lowest(batch: Batch, kind: str, name: str, floors: Sequence[str]) -> Reader:
    """Read ``(N,)``, m: the lowest point of a body or geom; see ``make_lowest_measure``.

    Raises:
        DataError: there is no geom, or one whose shape has no lowest point, or the floor moves.
    """
    try:
        measure = make_lowest_measure(batch.model, kind, name, floors)
    except ValueError as error:
        raise DataError(str(error)) from error
    xpos, xmat = batch.bind("geom_xpos"), batch.bind("geom_xmat")
    return lambda: measure(xpos, xmat)
