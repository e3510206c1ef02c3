"""The pose that a drafted episode starts from: the one of the model's that holds best.

Each keyframe, and the reference pose, is held for a second: it must stay finite, penetrate nothing
and drift little. What lies outside of its joints' ranges, hangs above the floor or stands in it is
tried once more, corrected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.drafts.tree import Tree, call, list_geoms, list_joints
from reward_agent.drafts.words import HOME, has_word, split_words
from reward_agent.simulation.interventions import FREE, SLIDE
from reward_agent.simulation.measures import list_subtree, make_lowest_measure
from reward_agent.simulation.mujoco_start import find_holding_controls

Array = NDArray[np.float64]
_HOLD_S = 1.0
# What a pose may be off before it is corrected: m above the floor, m within it.
_GAP, _DEPTH = 0.02, 0.01
_AFFINE = int(mujoco.mjtBias.mjBIAS_AFFINE)
_INTEGRATOR = int(mujoco.mjtDyn.mjDYN_INTEGRATOR)


@dataclass(frozen=True)
class Hold:
    """What a second of holding a pose did.

    Args:
        is_finite: whether the physics stayed so.
        depth: m, how deep anything stood in anything at the start.
        gap: m, how far the robot was from the floor, above or in it.
        outside: rad or m, how far joints were outside of their ranges.
        drift: rad or m, how far the robot's joints moved at most.
        sank: m, how far its root moved.
        qpos: where it ended.
        n_rows: rows of constraints that a step solved on average.
        n_contacts: contacts on average.
    """

    is_finite: bool
    depth: float
    gap: float
    outside: float
    drift: float
    sank: float
    qpos: Array
    n_rows: float = 0.0
    n_contacts: float = 0.0


@dataclass(frozen=True)
class Pose:
    """A start pose, as a card says it, and what it comes to.

    Args:
        keyframe: of the model, by name, or by number where it has none; None: the reference pose.
        joints: what stands elsewhere than there, by name.
        controls: 'pose' or 'keyframe', as ``HomePose`` says.
        qpos: all of it.
        ctrl: what holds it.
        held: what holding it did.
        notes: what was corrected, in words.
    """

    keyframe: str | int | None
    qpos: Array
    ctrl: Array
    controls: str = "pose"
    joints: dict[str, float | tuple[float, ...]] = field(default_factory=dict)
    held: Hold | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What a person calls it."""
        base = "reference pose" if self.keyframe is None else f"keyframe {self.keyframe!r}"
        return ", ".join([base, *self.notes])


def choose_pose(model: mujoco.MjModel, tree: Tree, keyframe: str | int | None = None) -> Pose:
    """Return the pose that holds best; of equal ones that which is named as a start.

    Of a ``keyframe`` that is named, only what is corrected in it is chosen.
    """
    poses = [
        replace(variant, held=hold_pose(model, tree, variant))
        for pose in _list_poses(model, keyframe)
        for variant in _list_variants(model, tree, pose)
    ]
    return min(poses, key=lambda pose: _rate(pose, bool(is_servo(model).any()), int(model.nkey)))


def place(model: mujoco.MjModel, pose: Pose) -> mujoco.MjData:
    """Return the data of a model in a pose, derived fields included."""
    data = mujoco.MjData(model)
    if isinstance(pose.keyframe, int) or pose.keyframe is not None:
        mujoco.mj_resetDataKeyframe(model, data, _find_key(model, pose.keyframe))
    data.qpos[:], data.qvel[:], data.ctrl[:] = pose.qpos, 0.0, pose.ctrl
    if model.na:
        _fill_activation(model, data)
    mujoco.mj_forward(model, data)
    return data


def is_servo(model: mujoco.MjModel) -> NDArray[np.bool_]:
    """Return ``(nu,)``: which actuators are told a position."""
    is_affine = model.actuator_biastype == _AFFINE
    return np.asarray(is_affine & (model.actuator_biasprm[:, 1] < 0))


def is_speed_servo(model: mujoco.MjModel) -> NDArray[np.bool_]:
    """Return ``(nu,)``: which actuators are told a velocity."""
    is_affine = model.actuator_biastype == _AFFINE
    told = is_affine & (model.actuator_biasprm[:, 1] == 0) & (model.actuator_biasprm[:, 2] < 0)
    integrates = (model.actuator_dyntype == _INTEGRATOR) & is_servo(model)
    return np.asarray(told | integrates)


def hold_pose(model: mujoco.MjModel, tree: Tree, pose: Pose) -> Hold:
    """Hold a pose for a second with its own controls."""
    data = place(model, pose)
    depth = max((-float(contact.dist) for contact in data.contact), default=0.0)
    gap, outside = abs(measure_gap(model, tree, pose) or 0.0), _measure_outside(model, pose.qpos)
    rows = [int(model.jnt_qposadr[joint]) for joint in tree.joints]
    start, root = data.qpos.copy(), data.xpos[tree.root].copy()
    drift, n_rows, n_contacts = 0.0, 0, 0
    n_steps = max(1, round(_HOLD_S / model.opt.timestep))
    for _ in range(n_steps):
        mujoco.mj_step(model, data)
        if not np.isfinite(data.qpos).all() or _has_diverged(data):
            return Hold(False, depth, gap, outside, np.inf, np.inf, start)
        if rows:
            drift = max(drift, float(np.abs(data.qpos[rows] - start[rows]).max()))
        n_rows, n_contacts = n_rows + int(data.nefc), n_contacts + int(data.ncon)
    sank = float(np.linalg.norm(data.xpos[tree.root] - root))
    return Hold(
        True,
        depth,
        gap,
        outside,
        drift,
        sank,
        data.qpos.copy(),
        n_rows / n_steps,
        n_contacts / n_steps,
    )


def _measure_outside(model: mujoco.MjModel, qpos: Array) -> float:
    """Return how far the joint that is farthest outside of its range is, rad or m."""
    rows = (model.jnt_limited == 1) & (model.jnt_type >= SLIDE)
    value, (low, high) = qpos[model.jnt_qposadr[rows]], model.jnt_range[rows].T
    return float(np.max(np.maximum(low - value, value - high), initial=0.0))


def find_lowest(model: mujoco.MjModel, data: mujoco.MjData, geoms: list[int]) -> float:
    """Return the lowest z, m, of geoms; of boxes around shapes with corners and rounded ones."""
    return min((_find_bottom(model, data, geom) for geom in geoms), default=np.inf)


def _find_bottom(model: mujoco.MjModel, data: mujoco.MjData, geom: int) -> float:
    down, height = data.geom_xmat[geom].reshape(3, 3)[2], float(data.geom_xpos[geom, 2])
    kinds = mujoco.mjtGeom
    if model.geom_type[geom] == kinds.mjGEOM_MESH:
        mesh = model.geom_dataid[geom]
        first, n = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
        return height + float(np.min(model.mesh_vert[first : first + n] @ down))
    centre, half = model.geom_aabb[geom, :3], model.geom_aabb[geom, 3:]
    if model.geom_type[geom] in (kinds.mjGEOM_SPHERE, kinds.mjGEOM_CAPSULE):
        extent = half[0] + abs(down[2]) * (half[2] - half[0])
    else:
        extent = np.abs(down) @ half
    return float(height + down @ centre - extent)


def _find_key(model: mujoco.MjModel, keyframe: str | int) -> int:
    return keyframe if isinstance(keyframe, int) else int(model.key(keyframe).id)


def _fill_activation(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Start filters of servos where their control already holds, as after a long time."""
    for actuator in range(model.nu):
        first, n = int(model.actuator_actadr[actuator]), int(model.actuator_actnum[actuator])
        if first >= 0 and model.actuator_biastype[actuator] == _AFFINE:
            data.act[first + n - 1] = data.ctrl[actuator]


def _has_diverged(data: mujoco.MjData) -> bool:
    kinds = mujoco.mjtWarning
    bad = (kinds.mjWARN_BADQPOS, kinds.mjWARN_BADQVEL, kinds.mjWARN_BADQACC)
    return any(data.warning[int(kind)].number for kind in bad)


def _list_poses(model: mujoco.MjModel, keyframe: str | int | None) -> Iterator[Pose]:
    if keyframe is not None:
        keys = [_find_key(model, keyframe)]
    else:
        keys = list(range(model.nkey))
        qpos = np.array(model.qpos0)
        yield Pose(None, qpos, find_holding_controls(model, qpos).ctrl)
    for key in keys:
        qpos, name = np.array(model.key_qpos[key]), model.key(key).name
        mujoco.mj_normalizeQuat(model, qpos)
        pose = Pose(name or key, qpos, find_holding_controls(model, qpos).ctrl)
        yield pose
        if np.any(model.key_ctrl[key]):
            yield replace(pose, ctrl=np.array(model.key_ctrl[key]), controls="keyframe")


def _list_variants(model: mujoco.MjModel, tree: Tree, pose: Pose) -> Iterator[Pose]:
    yield pose
    corrected = _settle(model, tree, _lower(model, tree, _bring_into_range(model, tree, pose)))
    if corrected is not pose:
        yield corrected


def _bring_into_range(model: mujoco.MjModel, tree: Tree, pose: Pose) -> Pose:
    """Move joints that stand outside of their range to the nearest place well within."""
    changes = dict[str, float | tuple[float, ...]]()
    qpos = pose.qpos.copy()
    for joint in range(model.njnt):
        if not model.jnt_limited[joint] or model.jnt_type[joint] < SLIDE:
            continue
        (low, high), row = model.jnt_range[joint], int(model.jnt_qposadr[joint])
        if low - 1e-3 <= qpos[row] <= high + 1e-3:
            continue
        inside = 0.1 * (high - low)
        if tree.base != "fixed":  # a knee that is all but straight, so that it stands
            inside = min(inside, 0.05)
        qpos[row] = _round(float(np.clip(qpos[row], low + inside, high - inside)))
        changes[call(model, "joint", joint)] = float(qpos[row])
    if not changes:
        return pose
    which = ", ".join(changes) if len(changes) < 4 else f"{len(changes)} joints"
    note = f"with {which} brought into their ranges"
    return _change(model, pose, qpos, changes, note)


def _lower(model: mujoco.MjModel, tree: Tree, pose: Pose) -> Pose:
    """Put a robot that hangs above the floor, or stands in it, onto it."""
    gap = measure_gap(model, tree, pose)
    joint = _find_lift(model, tree)
    is_right = gap is None or -_DEPTH <= gap <= _GAP
    if is_right or gap is None or joint is None:
        return pose
    qpos, row = pose.qpos.copy(), int(model.jnt_qposadr[joint])
    if model.jnt_type[joint] == FREE:
        qpos[row + 2] = _round(qpos[row + 2] - gap)
        value: float | tuple[float, ...] = tuple(_round(float(x)) for x in qpos[row : row + 7])
    else:
        value = qpos[row] = _round(qpos[row] - gap * np.sign(model.jnt_axis[joint, 2]))
    note = f"{'lowered onto' if gap > 0 else 'lifted out of'} the floor by {abs(gap):.3g} m"
    return _change(model, pose, qpos, {call(model, "joint", joint): value}, note)


def measure_gap(model: mujoco.MjModel, tree: Tree, pose: Pose) -> float | None:
    """Return m between a robot that stands and the floor below it; None if it does not stand."""
    if tree.base == "fixed" or tree.is_fluid or not tree.floors or model.opt.gravity[2] >= 0:
        return None
    data = place(model, pose)
    try:
        measure = make_lowest_measure(model, "body", tree.root, tree.floors[:1])
    except ValueError:
        return None
    return float(measure(data.geom_xpos[None], data.geom_xmat[None])[0])


def _find_lift(model: mujoco.MjModel, tree: Tree) -> int | None:
    """Return the root's joint that lifts the robot."""
    if tree.base == "free":
        return tree.root_joints[0]
    upward = [
        joint
        for joint in tree.root_joints
        if model.jnt_type[joint] == SLIDE and abs(model.jnt_axis[joint, 2]) > 0.99
    ]
    return upward[0] if upward else None


def _settle(model: mujoco.MjModel, tree: Tree, pose: Pose) -> Pose:
    """Put objects that stand in something onto the nearest thing that bears them."""
    data = place(model, pose)
    for body in tree.objects:
        joint = list_joints(model, body)[0]
        mine = {geom for one in list_subtree(model, body) for geom in list_geoms(model, one)}
        depths = [-c.dist for c in data.contact if set(map(int, c.geom)) & mine]
        if max(depths, default=0.0) <= _DEPTH or model.jnt_type[joint] != FREE:
            continue
        spot = _find_support(model, tree, data, sorted(mine))
        if spot is None:
            continue
        qpos, row = pose.qpos.copy(), int(model.jnt_qposadr[joint])
        low = find_lowest(model, data, sorted(mine)) - data.xpos[body, 2]
        where = (spot[0], spot[1], spot[2] - low + 0.001)
        qpos[row : row + 3] = [_round(float(x)) for x in where]
        value = tuple(_round(float(x)) for x in qpos[row : row + 7])
        note = f"with {call(model, 'body', body)} put onto something"
        pose = _change(model, pose, qpos, {call(model, "joint", joint): value}, note)
    return pose


def _find_support(
    model: mujoco.MjModel, tree: Tree, data: mujoco.MjData, mine: list[int]
) -> Array | None:
    """Return the middle of the top of the fixed box, m, that is nearest to what the robot does."""
    box = int(mujoco.mjtGeom.mjGEOM_BOX)
    tops = [
        data.geom_xpos[geom] + [0.0, 0.0, model.geom_size[geom, 2]]
        for geom in range(model.ngeom)
        if model.geom_type[geom] == box
        and model.body_weldid[model.geom_bodyid[geom]] == 0
        and model.geom_bodyid[geom] not in tree.bodies
        and min(model.geom_size[geom, :2]) > 0.1
    ]
    hands = [body for _, body in tree.led] or sorted(tree.bodies)[-1:]
    if not tops or not hands:
        return None
    reach = data.xpos[hands].mean(axis=0)
    return np.asarray(min(tops, key=lambda top: float(np.linalg.norm(top - reach))))


def _change(
    model: mujoco.MjModel,
    pose: Pose,
    qpos: Array,
    joints: dict[str, float | tuple[float, ...]],
    note: str,
) -> Pose:
    ctrl = pose.ctrl if pose.controls == "keyframe" else find_holding_controls(model, qpos).ctrl
    return replace(
        pose, qpos=qpos, ctrl=ctrl, joints={**pose.joints, **joints}, notes=(*pose.notes, note)
    )


def _rate(pose: Pose, has_servos: bool, n_keys: int) -> tuple[float, ...]:
    """Return what to order poses by, the best first."""
    held = pose.held
    assert held is not None
    words = split_words(str(pose.keyframe or ""))
    names = [HOME.index(word) for word in words if word in HOME]
    # The only keyframe, whatever its name, is most often the start; one of several is not.
    is_only = pose.keyframe is not None and n_keys == 1
    is_other = pose.keyframe is not None
    rank = names[0] if names else len(HOME) + (0 if is_only else 1 + is_other)
    # Without servos any pose falls: how far says nothing.
    drift = held.drift + min(held.sank, 1.0) if has_servos else 0.0
    is_bad = not held.is_finite, held.depth > 0.05
    badness = round(min(drift, 3.0), 1) + round(max(0.0, held.depth - _DEPTH) / 0.02)
    hovers = held.gap > _GAP and held.sank < _GAP  # what flies is not put down
    badness += 0.2 * (held.gap > _GAP and not hovers) + 0.2 * (held.outside > 0.05)
    corrections = len(pose.notes) + (pose.controls == "keyframe") * 0.5
    is_named = is_only or has_word(str(pose.keyframe or ""), HOME)
    return (*map(float, is_bad), badness - 0.3 * is_named, float(rank), corrections)


def _round(value: float) -> float:
    return float(f"{value:.5g}")
