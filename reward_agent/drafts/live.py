"""A model to try claims on: its start pose, its places and sources by name, and what moves them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np

from reward_agent.drafts.tree import find_tree, list_ancestors
from reward_agent.errors import hint_closest
from reward_agent.simulation.interventions import FREE, HINGE, SLIDE, Root, draw_poses, nudge, pose
from reward_agent.simulation.measures import list_subtree, make_lowest_measure
from reward_agent.simulation.mujoco_start import find_holding_controls
from reward_agent.simulation.state import FloatArray

N_POSES = 48
_HOLD_S, _MOST_STEPS = 1.0, 4000
_SOURCE = re.compile(r"(sensor|tendon):(.+)|distance\(\s*(.+?)\s*,\s*(.+?)\s*\)")
# From its centre, where a shape has no lowest point that is known.
_NO_SHAPE = float("inf")
# What a length becomes when a model is built twice as large.
_LENGTHS = ("body_pos", "body_ipos", "geom_pos", "geom_size", "site_pos", "site_size", "jnt_pos")


class ClaimError(Exception):
    """What was measured speaks against a claim; the message says what, in one line."""


class UntestedError(Exception):
    """Nothing on this model can tell; the message says why."""


class LiveModel:
    """A copy of a model that is moved by hand.

    Args:
        model: as it is simulated.
        qpos: the start pose; None: the reference pose.
    """

    def __init__(self, model: mujoco.MjModel, qpos: FloatArray | None = None) -> None:
        self.model = copy.copy(model)  # its frames are moved, too
        self.home = np.array(model.qpos0 if qpos is None else qpos)
        tree = find_tree(model)
        self.driven, self.floors = tree.driven, tree.floors

    def pose(self, qpos: FloatArray | None = None, qvel: FloatArray | None = None) -> Any:
        """Return the data of a pose; by default of the start."""
        return pose(self.model, self.home if qpos is None else qpos, qvel)

    # --- names -----------------------------------------------------------------------------------

    def find(self, kind: str, name: str | int) -> int:
        """Return the id of something by its name or number, or refuse it with the closest one."""
        known = self.list_names(kind)
        if isinstance(name, int) and name < len(known):
            return name
        if isinstance(name, int) or name not in known:
            hint = hint_closest(str(name), known)
            raise ClaimError(f"the model has no {kind} {name!r}{hint}")
        return known.index(name)

    def list_names(self, kind: str) -> list[str]:
        """Return the names of a kind of object, in order."""
        attribute = {"joint": "njnt", "actuator": "nu", "keyframe": "nkey"}.get(kind, f"n{kind}")
        read = getattr(self.model, {"keyframe": "key"}.get(kind, kind))
        return [read(i).name for i in range(getattr(self.model, attribute))]

    def find_place(self, place: str) -> tuple[str, int]:
        """Return the kind and the id of ``body:trunk``."""
        kind, _, name = place.partition(":")
        return kind, self.find(kind, name)

    def find_body(self, place: str) -> int:
        """Return the body that a place is on."""
        kind, number = self.find_place(place)
        owner = {"geom": "geom_bodyid", "site": "site_bodyid", "joint": "jnt_bodyid"}.get(kind)
        return number if owner is None else int(getattr(self.model, owner)[number])

    def find_keyframe(self, keyframe: str | int) -> FloatArray:
        """Return the pose of a keyframe by its name or number."""
        return np.array(self.model.key_qpos[self.find("keyframe", keyframe)])

    # --- where things are --------------------------------------------------------------------

    def locate(self, data: Any, place: str) -> FloatArray:
        """Return the origin of a place's frame, ``(3,)`` m."""
        kind, number = self.find_place(place)
        return np.array({"body": data.xpos, "geom": data.geom_xpos, "site": data.site_xpos,
                         "joint": data.xanchor}[kind][number])  # fmt: skip

    def point(self, data: Any, place: str, axis: str) -> FloatArray:
        """Return where an axis of a place's own frame, such as ``+z``, points in the world."""
        kind, number = self.find_place(place)
        frames = {"body": data.xmat, "geom": data.geom_xmat, "site": data.site_xmat}
        if kind not in frames:
            raise ClaimError(f"{place} has no frame; name a body")
        column = frames[kind][number].reshape(3, 3)[:, "xyz".index(axis[1])]
        return np.array(-column if axis[0] == "-" else column)

    def measure_low(self, data: Any, geoms: Sequence[int]) -> float:
        """Return the height of the lowest point of some geoms, m; infinite if it is not known."""
        heights = [_NO_SHAPE]
        for geom in geoms:
            try:
                measure = make_lowest_measure(self.model, "geom", geom, ())
            except ValueError:
                continue
            heights.append(float(measure(data.geom_xpos[None], data.geom_xmat[None])[0]))
        return min(heights)

    def list_geoms(self, place: str) -> list[int]:
        """Return the geoms of a place: its own, or those of a body with all that hangs on it."""
        kind, number = self.find_place(place)
        if kind == "geom":
            return [number]
        bodies = self.list_below(self.find_body(place))
        return [i for i in range(self.model.ngeom) if int(self.model.geom_bodyid[i]) in bodies]

    def list_below(self, body: int) -> set[int]:
        """Return a body with all that hangs on it."""
        return set(list_subtree(self.model, body))

    # --- what belongs together ---------------------------------------------------------------

    @cached_property
    def robot(self) -> frozenset[int]:
        """Outermost bodies of what actuators move."""
        roots = self.model.body_rootid
        return frozenset(int(roots[self.model.jnt_bodyid[joint]]) for joint in self.driven)

    def is_of_robot(self, body: int) -> bool:
        """Whether a body hangs together with what actuators move."""
        return int(self.model.body_rootid[body]) in self.robot

    def list_robot_geoms(self) -> list[int]:
        """Return the geoms of the robot; those that collide, if any does."""
        owners = self.model.geom_bodyid
        geoms = [i for i in range(self.model.ngeom) if self.is_of_robot(int(owners[i]))]
        return [
            i for i in geoms if self.model.geom_contype[i] or self.model.geom_conaffinity[i]
        ] or geoms

    def list_joints(self, body: int | None = None, *, of_robot: bool = False) -> list[int]:
        """Return the joints that a body hangs on, or those of the robot but for its root's."""
        bodies = self.model.jnt_bodyid
        if of_robot:
            carried = {joint for root in self.robot for joint in Root(self.model, root).joints}
            return [
                i for i in range(self.model.njnt)
                if self.is_of_robot(int(bodies[i])) and i not in carried
            ]  # fmt: skip
        chain = list_ancestors(self.model, body or 0)
        return [i for i in range(self.model.njnt) if int(bodies[i]) in chain]

    def name_joint(self, joint: int) -> str:
        """Return a joint's name, or what it is."""
        kind = {FREE: "free joint", SLIDE: "slide", HINGE: "hinge"}
        return self.model.joint(joint).name or kind.get(int(self.model.jnt_type[joint]), "ball")

    # --- moving it -----------------------------------------------------------------------------

    def draw(self, joints: Sequence[int]) -> list[FloatArray]:
        """Return poses with these joints anywhere in their ranges."""
        return draw_poses(self.model, self.home, joints, N_POSES)

    def nudge(self, joint: int, by: float) -> FloatArray:
        """Return the start pose with a joint moved, m or rad."""
        return nudge(self.model, self.home, joint, by)

    @contextmanager
    def carried(self, place: str, by: FloatArray) -> Iterator[Any]:
        """Give the data of the start pose with a place, and what it hangs on, carried along."""
        body, (kind, number) = self.find_body(place), self.find_place(place)
        root = Root(self.model, body)
        if root.is_free:
            yield self.pose(root.shift(self.home, by))
            return
        mocap = int(self.model.body_mocapid[root.body]) if body else -1
        if mocap >= 0:
            data = self.pose()
            data.mocap_pos[mocap] += by
            mujoco.mj_forward(self.model, data)
            yield data
            return
        array, row = (self.model.body_pos, root.body) if body else (
            getattr(self.model, f"{kind}_pos"), number)  # fmt: skip
        was = array[row].copy()
        array[row] += by
        try:
            yield self.pose()
        finally:
            array[row] = was

    def simulate(
        self, qpos: FloatArray, controls: Mapping[int, float] = MappingProxyType({})
    ) -> Any:
        """Return the data after a second in which servos hold a pose.

        Args:
            qpos: the pose; actuators that are no servos are told 0.
            controls: of actuators that are told otherwise, by their number.
        """
        data = self.pose(qpos)
        data.ctrl[:], act = find_holding_controls(self.model, qpos)
        for place, target in act.items():
            data.act[place] = target
        for actuator, value in controls.items():
            data.ctrl[self.model.actuator_ctrladr[actuator]] = value
        n_steps = min(_MOST_STEPS, round(_HOLD_S / self.model.opt.timestep))
        for _ in range(n_steps):
            mujoco.mj_step(self.model, data)
        return data

    # --- what it measures ------------------------------------------------------------------------

    def read(self, data: Any, source: str) -> FloatArray:
        """Return what ``sensor:NAME``, ``tendon:NAME`` or ``distance(A, B)`` measures, ``(k,)``."""
        found = _SOURCE.fullmatch(source)
        if not found:
            raise ClaimError(
                f"{source!r} is not of the form sensor:NAME, tendon:NAME or distance(PLACE, PLACE)"
            )
        kind, name, first, second = found.groups()
        if first:
            gap = self.locate(data, first) - self.locate(data, second)
            return np.array([np.linalg.norm(gap)])
        number = self.find(kind, name)
        if kind == "tendon":
            return np.array([data.ten_length[number]])
        start = self.model.sensor_adr[number]
        return np.array(data.sensordata[start : start + self.model.sensor_dim[number]])

    def draw_states(self) -> list[Any]:
        """Return data of states in which all moves that can, with velocities and controls."""
        generator = np.random.default_rng(1)
        states = []
        for drawn in self.draw(range(self.model.njnt)):
            for root in {int(body) for body in self.model.body_rootid[1:]}:
                carrier = Root(self.model, root)
                if carrier.is_free:
                    drawn = carrier.float_to(drawn, generator)
            data = mujoco.MjData(self.model)
            data.qpos[:], data.qvel[:] = drawn, generator.standard_normal(self.model.nv)
            data.mocap_pos += generator.uniform(-0.5, 0.5, data.mocap_pos.shape)
            low, high = self.model.actuator_ctrlrange.T
            data.ctrl[:] = generator.uniform(low, np.where(high > low, high, low + 1.0))
            mujoco.mj_forward(self.model, data)
            states.append(data)
        return states

    def measure_dimension(self, source: str, states: Sequence[Any]) -> tuple[float, float] | None:
        """Return by which powers of length and of speed a source grows; None if by none.

        The same poses are taken by a model that is built twice as large, and then at twice the
        speed: metres double with the first, angles do not; what is per second doubles with the
        second.
        """
        large = self._build_twice_as_large()
        lengths, speeds = [], []
        for data in states[: N_POSES // 4]:
            plain = self.read(data, source)
            grown = self.read(large._copy_state(data, 2.0, 1.0), source)
            faster = self.read(self._copy_state(data, 1.0, 2.0), source)
            usable = np.abs(plain) > 1e-6
            lengths += list(np.abs(grown[usable] / plain[usable]))
            speeds += list(np.abs(faster[usable] / plain[usable]))
        if not lengths or np.ptp(lengths) > 0.05 or np.ptp(speeds) > 0.05:
            return None
        found = np.log2([np.median(lengths), np.median(speeds)])
        return float(found[0]), float(found[1])

    def _build_twice_as_large(self) -> LiveModel:
        large = LiveModel(self.model, self.home)
        for name in _LENGTHS:
            getattr(large.model, name)[:] *= 2.0
        for joint in range(self.model.njnt):
            start = self.model.jnt_qposadr[joint]
            n_lengths = {FREE: 3, SLIDE: 1}.get(int(self.model.jnt_type[joint]), 0)
            large.model.qpos0[start : start + n_lengths] *= 2.0
        return large

    def _copy_state(self, data: Any, length: float, speed: float) -> Any:
        copied = mujoco.MjData(self.model)
        copied.qpos[:], copied.qvel[:], copied.ctrl[:] = data.qpos, data.qvel * speed, data.ctrl
        copied.mocap_pos[:], copied.mocap_quat[:] = data.mocap_pos * length, data.mocap_quat
        for joint in range(self.model.njnt):
            n_lengths = {FREE: 3, SLIDE: 1}.get(int(self.model.jnt_type[joint]), 0)
            start, dof = self.model.jnt_qposadr[joint], self.model.jnt_dofadr[joint]
            copied.qpos[start : start + n_lengths] *= length
            copied.qvel[dof : dof + n_lengths] *= length
        mujoco.mj_forward(self.model, copied)
        return copied
