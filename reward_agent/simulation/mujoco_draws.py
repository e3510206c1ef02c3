"""What is drawn anew for each episode of MuJoCo simulations: places and commands.

What is placed is moved in each simulation by itself: a free body by its qpos, a mocap body by its
mocap_pos, and what is fixed to the world by a position of its own in the model.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.start import Draw
from reward_agent.errors import DataError
from reward_agent.simulation.interventions import FREE, list_names
from reward_agent.simulation.mujoco_model import check_object
from reward_agent.simulation.simulation import list_ids
from reward_agent.simulation.state import FloatArray

_MOST_TRIES = 1000


@dataclass(frozen=True)
class Moved:
    """What moves a thing to its drawn place, by names of MuJoCo's fields.

    Args:
        field: with its position, ``site_pos``.
        turned: with its quaternion, ``site_quat``.
        index: entry of both; of qpos, where the joint's numbers start.
        origin: of the frame that they are given in, m in the world.
        frame: quaternion of that frame.
        dof: of a free joint, in qvel.
    """

    field: str
    turned: str
    index: int
    origin: FloatArray
    frame: FloatArray
    dof: int = -1


def find_moved(model: mujoco.MjModel, what: str) -> Moved:
    """Return what moves a thing.

    Raises:
        DataError: the model has none such, or it hangs on what moves.
    """
    kind, _, name = what.partition(":")
    index = list_names(model, kind).index(check_object(list_names(model, kind), kind, name))
    if kind == "joint":
        if model.jnt_type[index] != FREE:
            raise DataError(f"joint {name!r} is no free joint", "draw a place for a body or a site")
        return _move_free(model, index)
    body = index if kind == "body" else int(getattr(model, f"{kind}_bodyid")[index])
    if kind == "body":
        joint = int(model.body_jntadr[body])
        if joint >= 0 and model.jnt_type[joint] == FREE:
            return _move_free(model, joint)
        if model.body_mocapid[body] >= 0:
            number = int(model.body_mocapid[body])
            return Moved("mocap_pos", "mocap_quat", number, np.zeros(3), _UPRIGHT)
        if not body:
            raise DataError("the world has no place", "draw a place for what is in it")
        body = int(model.body_parentid[body])
    if model.body_weldid[body] or model.body_mocapid[model.body_rootid[body]] >= 0:
        raise DataError(
            f"{what!r} hangs on body {model.body(body).name!r}, which moves",
            "draw a place for what hangs on the world, for a mocap body, or for one with a free "
            "joint",
        )
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    origin, frame = np.array(data.xpos[body]), np.array(data.xquat[body])
    return Moved(f"{kind}_pos", f"{kind}_quat", index, origin, frame)


_UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


def _move_free(model: mujoco.MjModel, joint: int) -> Moved:
    address, dof = int(model.jnt_qposadr[joint]), int(model.jnt_dofadr[joint])
    return Moved("qpos", "qpos", address, np.zeros(3), _UPRIGHT, dof)


class PoseLayout:
    """What of a simulation a picture shows: qpos, then what else its episodes move.

    These are the mocap bodies, where the card draws or drives any, and what is placed in the model.
    """

    def __init__(self, card: EnvCard, model: mujoco.MjModel) -> None:
        placed = [
            (find_moved(model, draw.what), draw.turn) for draw in card.draws.values() if draw.what
        ]
        has_mocap = any(moved.field == "mocap_pos" for moved, _ in placed) or card.mocap_actions
        # Fields with an entry, or, without, whole ones of MjData.
        self._parts: list[tuple[str, int | None]] = (
            [("mocap_pos", None), ("mocap_quat", None)] if has_mocap else []
        )
        for moved, turns in placed:
            if moved.field not in ("qpos", "mocap_pos"):
                fields = (moved.field, moved.turned) if turns else (moved.field,)
                self._parts += [(field, moved.index) for field in fields]

    def bind(self, batch: Batch) -> list[FloatArray]:
        """Return live arrays ``(N, …)`` whose numbers side by side are a pose."""
        return [batch.bind("qpos")] + [
            batch.bind(field) if index is None else batch.expand(field)[:, index]
            for field, index in self._parts
        ]

    def apply(self, pose: FloatArray, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Put a model and its data into a pose ``(n,)``."""
        data.qpos[:] = pose[: model.nq]
        start = model.nq
        for field, index in self._parts:
            whole = getattr(data, field) if index is None else getattr(model, field)[index]
            whole[...] = pose[start : start + whole.size].reshape(whole.shape)
            start += whole.size


def read_pose(parts: Sequence[FloatArray]) -> FloatArray:
    """Return the poses ``(N, n)`` that the arrays of a layout hold, a copy."""
    if len(parts) == 1:
        return np.array(parts[0])
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


class EpisodeDraws:
    """Places and commands of N simulations, as ``[draws]`` of a card says.

    Attributes:
        values: by name, what the source ``draw:NAME`` reads: ``(N, 3)`` m or ``(N,)``.

    Raises:
        DataError: the model does not have what is to be placed.
    """

    def __init__(
        self, card: EnvCard, batch: Batch, generators: Sequence[np.random.Generator]
    ) -> None:
        n_sims = batch.nsim
        self.values: dict[str, FloatArray] = {
            name: np.zeros(n_sims if draw.command else (n_sims, 3))
            for name, draw in card.draws.items()
        }
        self._draws, self._generators = card.draws, generators
        self._placers = {
            name: _Placer(name, draw, card, batch, self._find_drawn(name))
            for name, draw in card.draws.items()
            if draw.command is None
        }
        self._periods = {
            name: max(1, round(draw.every_s / card.control_dt))
            for name, draw in card.draws.items()
            if draw.every_s is not None
        }
        self._n_steps = np.zeros(n_sims, dtype=np.int64)

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Draw for new episodes, whose states are drawn already.

        Raises:
            DataError: no place is as far from others as it should be.
        """
        self._n_steps[ids] = 0
        for name, draw in self._draws.items():
            for sim in ids:
                if draw.command is not None:
                    self.values[name][sim] = self._generators[sim].uniform(*draw.command)
                else:
                    point = self._placers[name].place(int(sim), self._generators[sim])
                    self.values[name][sim] = point

    def advance(self, ids: ArrayLike | None) -> None:
        """Draw the commands again that have lasted as long as they should."""
        if not self._periods:
            return
        stepped = list_ids(ids, len(self._n_steps))
        self._n_steps[stepped] += 1
        for name, period in self._periods.items():
            limits = self._draws[name].command
            assert limits is not None
            for sim in stepped[self._n_steps[stepped] % period == 0]:
                self.values[name][sim] = self._generators[sim].uniform(*limits)

    def _find_drawn(self, name: str) -> dict[str, FloatArray]:
        """Return where the things lie that are placed before, by what they are."""
        before = list(self._draws)[: list(self._draws).index(name)]
        return {what: self.values[other] for other in before if (what := self._draws[other].what)}


class _Placer:
    """Puts one thing where it is drawn."""

    def __init__(
        self, name: str, draw: Draw, card: EnvCard, batch: Batch, drawn: dict[str, FloatArray]
    ) -> None:
        self._name, self._draw = name, draw
        try:
            moved = self._moved = find_moved(batch.model, draw.what) if draw.what else None
            self._others = [
                (_Locator(other, card, batch, drawn), least)
                for other, least in draw.apart_from.items()
            ]
        except DataError as error:
            raise DataError(f"draws.{name}: {error.message}", error.remedy) from error
        self._base: FloatArray | None = None
        self._velocity: FloatArray | None = None
        if moved is None:
            return
        if moved.field == "qpos":
            qpos, start = batch.bind("qpos"), moved.index
            self._position = qpos[:, start : start + 3]
            self._quaternion = qpos[:, start + 3 : start + 7]
            self._velocity = batch.bind("qvel")[:, moved.dof : moved.dof + 6]
            return
        is_fixed = moved.field != "mocap_pos"
        bind = batch.expand if is_fixed else batch.bind
        self._position = bind(moved.field)[:, moved.index]
        if draw.turn:
            self._quaternion = bind(moved.turned)[:, moved.index]
        if is_fixed:
            self._base = np.array(getattr(batch.model, moved.turned)[moved.index])

    def place(self, sim: int, generator: np.random.Generator) -> FloatArray:
        """Put it somewhere in simulation ``sim``, and return where, ``(3,)`` m in the world."""
        point = self._draw_point(sim, generator)
        moved = self._moved
        if moved is None:
            return point
        rotated = np.empty(3)
        back = np.empty(4)
        mujoco.mju_negQuat(back, moved.frame)
        mujoco.mju_rotVecQuat(rotated, point - moved.origin, back)
        self._position[sim] = rotated
        if self._draw.turn:
            yaw = generator.uniform(-math.pi, math.pi)
            base = self._quaternion[sim] if self._base is None else self._base
            self._quaternion[sim] = _turn_about_vertical(base, yaw, moved.frame)
        if self._velocity is not None:
            self._velocity[sim] = 0.0
        return point

    def _draw_point(self, sim: int, generator: np.random.Generator) -> FloatArray:
        others = [(locator.find(sim), least) for locator, least in self._others]
        others.append((np.array(self._draw.center), self._draw.inner))
        for _ in range(_MOST_TRIES):
            point = draw_point(self._draw, generator)
            if all(math.dist(point, other) >= least for other, least in others):
                return point
        apart = {"its centre": self._draw.inner} if self._draw.inner else {}
        wanted = (f"{far:g} m from {what}" for what, far in (apart | self._draw.apart_from).items())
        raise DataError(
            f"draws.{self._name}: of {_MOST_TRIES} places drawn none is {' and '.join(wanted)}",
            "make its size larger, or the distances of apart_from smaller",
        )


class _Locator:
    """Finds where something is at the start of an episode."""

    def __init__(
        self, what: str, card: EnvCard, batch: Batch, drawn: dict[str, FloatArray]
    ) -> None:
        self._drawn = drawn.get(what)
        if self._drawn is None:
            kind, _, name = what.partition(":")
            names = list_names(batch.model, kind)
            self._index = names.index(check_object(names, kind, name))
            self._field = {"joint": "xanchor", "body": "xpos"}.get(kind, f"{kind}_xpos")
            self._layout = PoseLayout(card, batch.model)
            self._parts = self._layout.bind(batch)
            self._model, self._data = copy.copy(batch.model), mujoco.MjData(batch.model)

    def find(self, sim: int) -> FloatArray:
        """Return the point ``(3,)``, m in the world."""
        if self._drawn is not None:
            return np.array(self._drawn[sim])
        pose = np.concatenate([part[sim].ravel() for part in self._parts])
        self._layout.apply(pose, self._model, self._data)
        mujoco.mj_kinematics(self._model, self._data)
        return np.array(getattr(self._data, self._field)[self._index])


def draw_point(draw: Draw, generator: np.random.Generator) -> FloatArray:
    """Return a point ``(3,)`` of a draw's shape, m, uniform in its volume or area.

    What is left out about the centre of a box is not left out here.
    """
    center, inner, outer = np.array(draw.center), draw.inner, draw.half_sizes[0]
    if draw.shape == "box":
        return np.asarray(center + generator.uniform(-1.0, 1.0, 3) * draw.half_sizes)
    if draw.shape == "sphere":
        direction = generator.standard_normal(3)
        radius = generator.uniform(inner**3, outer**3) ** (1 / 3)
        return np.asarray(center + radius * direction / np.linalg.norm(direction))
    radius = math.sqrt(generator.uniform(inner**2, outer**2))
    angle = generator.uniform(-math.pi, math.pi)
    flat = np.array([radius * math.cos(angle), radius * math.sin(angle), 0.0])
    return np.asarray(center + flat)


def _turn_about_vertical(base: FloatArray, yaw: float, frame: FloatArray) -> FloatArray:
    """Return a quaternion ``(4,)``, of something in a frame, turned about the world's vertical."""
    turned, back = np.empty(4), np.empty(4)
    mujoco.mju_mulQuat(turned, frame, base)
    mujoco.mju_mulQuat(turned, np.array([math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]), turned)
    mujoco.mju_negQuat(back, frame)
    mujoco.mju_mulQuat(turned, back, turned)
    return turned
