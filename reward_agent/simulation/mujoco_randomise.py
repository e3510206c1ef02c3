"""Physics that differ from episode to episode, as ``[randomise]`` of a card says, and pushes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.start import Randomise
from reward_agent.errors import DataError
from reward_agent.simulation.interventions import FREE, SLIDE, list_names
from reward_agent.simulation.mujoco_model import check_object
from reward_agent.simulation.simulation import list_ids
from reward_agent.simulation.state import FloatArray

# Sets these draws apart from those of where an episode starts, which they leave as they are.
_STREAM = 1


class ChangedPhysics:
    """Draws the physics of each episode of N simulations, and pushes them.

    A mass differs by body, a gain by actuator and a damping by joint; the friction of all geoms is
    changed by one factor, since of two that touch the larger counts.

    Raises:
        DataError: the card wants pushes, and the robot's root cannot move.
    """

    def __init__(self, card: EnvCard, settings: Randomise, batch: Batch, seed: int) -> None:
        self._settings, self._batch = settings, batch
        self._generators = [np.random.default_rng([seed + i, _STREAM]) for i in range(batch.nsim)]
        self._factors = list(_list_factors(settings, batch))
        self._qvel = batch.bind("qvel")
        self._directions = find_push_directions(card, batch.model) if settings.push_m_per_s else {}
        self._period = max(1, round(settings.push_every_s / card.control_dt))
        self._until_push = np.zeros(batch.nsim, dtype=np.int64)

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Draw the physics of new episodes."""
        for sim in ids:
            generator = self._generators[sim]
            for factors in self._factors:
                factors.scale(int(sim), generator)
            self._until_push[sim] = generator.integers(1, self._period + 1)
        if self._settings.mass is not None:
            self._batch.set_const(ids)

    def push(self, ids: ArrayLike | None) -> None:
        """Change the velocity of those roots whose time has come, before a step."""
        if not self._directions:
            return
        stepped = list_ids(ids, self._batch.nsim)
        self._until_push[stepped] -= 1
        for sim in stepped[self._until_push[stepped] == 0]:
            self._until_push[sim] = self._period
            generator = self._generators[sim]
            angle = generator.uniform(-math.pi, math.pi)
            speed = generator.uniform(0.0, self._settings.push_m_per_s)
            velocity = speed * np.array([math.cos(angle), math.sin(angle), 0.0])
            for dof, direction in self._directions.items():
                self._qvel[sim, dof] += direction @ velocity


class _Factors:
    """Scales fields of the model in one simulation, by factors that are drawn.

    Args:
        limits: least and greatest factor.
        batch: of the simulations.
        fields: for each field, whose factor each of its rows has, ``(n,)``; -1 for none.
        columns: for a field, which entries are scaled, in the field's shape; all if it is not in.
    """

    def __init__(
        self,
        limits: tuple[float, float],
        batch: Batch,
        fields: dict[str, NDArray[np.int_]],
        columns: dict[str, NDArray[np.bool_]] | None = None,
    ) -> None:
        self._limits = limits
        self._n_factors = max(int(owners.max(initial=-1)) for owners in fields.values()) + 1
        self._rows = []
        for field, owners in fields.items():
            live, own = batch.expand(field), np.array(getattr(batch.model, field))
            is_scaled = np.broadcast_to((owners >= 0).reshape(-1, *[1] * (own.ndim - 1)), own.shape)
            if columns is not None:
                is_scaled = is_scaled & columns[field]
            self._rows.append((live, own, owners, is_scaled))

    def scale(self, sim: int, generator: np.random.Generator) -> None:
        """Draw the factors of simulation ``sim``."""
        factors = generator.uniform(*self._limits, self._n_factors)
        for live, own, owners, is_scaled in self._rows:
            scaled = own * factors[owners].reshape(-1, *[1] * (own.ndim - 1))
            live[sim] = np.where(is_scaled, scaled, own)


def _list_factors(settings: Randomise, batch: Batch) -> Iterator[_Factors]:
    """Yield what draws each kind of change, in a fixed order."""
    model = batch.model
    if settings.mass is not None:
        moves = model.body_weldid > 0
        owners = np.where(moves, np.cumsum(moves) - 1, -1)
        yield _Factors(settings.mass, batch, {"body_mass": owners, "body_inertia": owners})
    if settings.friction is not None:
        fields = {"geom_friction": np.zeros(model.ngeom, int)}
        if model.npair:
            fields["pair_friction"] = np.zeros(model.npair, int)
        yield _Factors(settings.friction, batch, fields)
    if settings.gain is not None:
        owners = np.arange(model.nactuator)
        fields = {"actuator_gainprm": owners, "actuator_biasprm": owners}
        yield _Factors(settings.gain, batch, fields, _find_strengths(model))
    if settings.damping is not None:
        yield _Factors(settings.damping, batch, {"dof_damping": np.array(model.dof_jntid)})


def _find_strengths(model: mujoco.MjModel) -> dict[str, NDArray[np.bool_]]:
    """Return which parameters of actuators their force is proportional to.

    With its bias scaled alike, a servo is weaker and goes to the same place.

    Source: mjtGain and mjtBias, and ``gainprm`` of the muscle, in MuJoCo's XML reference.
    """
    gain, bias = (
        np.zeros(values.shape, bool) for values in (model.actuator_gainprm, model.actuator_biasprm)
    )
    for i in range(model.nactuator):
        kind = int(model.actuator_gaintype[i])
        if kind == int(mujoco.mjtGain.mjGAIN_MUSCLE):
            # Its peak force; where that is negative it is made of the scale.
            column = 2 if model.actuator_gainprm[i, 2] >= 0 else 3
            gain[i, column] = bias[i, column] = True
        elif kind in _LINEAR:
            gain[i, :3] = True
        if int(model.actuator_biastype[i]) == int(mujoco.mjtBias.mjBIAS_AFFINE):
            bias[i, :3] = True
    return {"actuator_gainprm": gain, "actuator_biasprm": bias}


_LINEAR = {int(mujoco.mjtGain.mjGAIN_FIXED), int(mujoco.mjtGain.mjGAIN_AFFINE)}


def find_push_directions(card: EnvCard, model: mujoco.MjModel) -> dict[int, FloatArray]:
    """Return along which way of the world, ``(3,)``, each dof moves the robot's root.

    The root is that of the card's torso, else the first body that can move about on the ground.

    Raises:
        DataError: it cannot move.
    """
    torso = card.roles.torso if card.roles else None
    roots = [int(model.body_rootid[_find_body(model, torso)])] if torso else range(1, model.nbody)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    for body in roots:
        if model.body_rootid[body] != body:
            continue
        start = int(model.body_jntadr[body])
        joints = range(start, start + int(model.body_jntnum[body]))
        directions: dict[int, FloatArray] = {}
        for joint in joints:
            dof = int(model.jnt_dofadr[joint])
            if model.jnt_type[joint] == FREE:
                return {dof + axis: np.eye(3)[axis] for axis in (0, 1)}
            axis = np.array(data.xaxis[joint])
            if model.jnt_type[joint] == SLIDE and np.hypot(*axis[:2]) > 0.1:
                directions[dof] = axis
        if directions:
            return directions
    raise DataError(
        "randomise.push_m_per_s: the robot's root has no joint that lets it be pushed aside",
        "take push_m_per_s out, or name the torso of a robot that moves about in [roles]",
    )


def _find_body(model: mujoco.MjModel, place: str) -> int:
    kind, _, name = place.partition(":")
    index = list_names(model, kind).index(check_object(list_names(model, kind), kind, name))
    owners = {"geom": model.geom_bodyid, "site": model.site_bodyid, "joint": model.jnt_bodyid}
    return index if kind == "body" else int(owners[kind][index])
