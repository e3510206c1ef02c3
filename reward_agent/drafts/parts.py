"""What a model lacks and a card can add: servos and a floor; and what is said of the rest.

A servo's gains follow from the inertia that it moves: stiff enough to hold the joint under its
load, damped, and no stiffer than the physics step bears. They are tried for a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import ADDED_FLOOR, EnvCard, Servo
from reward_agent.definitions.start import Keyframe
from reward_agent.drafts.handover import compare
from reward_agent.drafts.pose import choose_pose, find_lowest
from reward_agent.drafts.tree import Tree, collides, find_tree
from reward_agent.errors import DataError
from reward_agent.simulation.interventions import FREE, HINGE, SLIDE
from reward_agent.simulation.measures import list_subtree
from reward_agent.simulation.mujoco_model import find_model_path, make_model
from reward_agent.simulation.mujoco_start import find_keyframe
from reward_agent.text import count

Array = NDArray[np.float64]
# Of a servo with its inertia, rad/s; it gives way by so much, rad or m, under its load.
_FREQUENCY, _GIVES = 2 * math.pi * 4, {HINGE: 0.05, SLIDE: 0.005}
# What an explicit step bears, as shares of inertia / dt and inertia / dt**2.
_MOST_DAMPING, _MOST_STIFFNESS = 0.4, 0.1
# A joint that goes as far with twice the stiffness is not held by more.
_HELPS = 0.8
_HOLD_S, _MOST_DRIFT, _N_TRIES = 1.0, {HINGE: 0.1, SLIDE: 0.02}, 6
# A motor gives its full force at this error, and with its rotor answers at this frequency, rad/s.
_FULL_FORCE, _ROTOR_FREQUENCY = {HINGE: 0.5, SLIDE: 0.05}, 2 * math.pi * 20
# Of the robot's mass, m^2 or 1: a joint that carries a finger turns a rotor, too.
_LEAST_ROTOR = {HINGE: 1e-4, SLIDE: 1e-2}
# What reaches so near to the lowest body, of the height of the centre of mass, is a leg.
_OF_LEG = 0.1
_RANGE = {HINGE: math.pi, SLIDE: 1.0}
_REPORT = "name the model's own file; if it is, this is a fault of reward-agent: report it"
# Another tree than the largest is a robot's, too, if it has this share of its joints.
_SHARE = 0.5


@dataclass(frozen=True)
class Completed:
    """A model with what it lacked.

    Args:
        model: with servos and floor.
        card: that makes it.
        said: what was missing, and what was done.
    """

    model: mujoco.MjModel
    card: EnvCard
    said: tuple[str, ...] = field(default=())


def add_parts(card: EnvCard, home: Keyframe | None, lacks_servos: bool | None) -> Completed:
    """Return the model of a card with the servos and the floor that it lacks.

    Raises:
        DataError: MuJoCo refuses the model, or nothing in it can be driven.
    """
    model, said = make_model(card, fields=()), list[str]()
    qpos, tree = find_start(model, home), find_tree(model)
    if _needs_floor(model, tree):
        height = _find_ground(model, qpos)
        card = _change(card, add_floor=height)
        said.append(f"it has no floor: a plane at z = {height:g} m is added (model.add_floor)")
    wants = model.nu == 0 and not tree.led if lacks_servos is None else lacks_servos
    if wants and (joints := _choose_joints(model)):
        card, words = _add_servos(card, model, home, joints)
        what = "it has no actuators" if model.nu == 0 else f"{len(joints)} joints have no actuators"
        said.append(f"{what}: {words}")
    said += _note_free_bodies(model)
    model = make_model(card, fields=())
    if model.nu == 0 and not tree.led:
        raise DataError(
            f"nothing in it can be driven: {model.njnt} joints, no actuator, none that a servo "
            "could be put on; it is a part of a scene or an object: name the scene with the robot"
        )
    return Completed(model, card, tuple(said))


def _change(card: EnvCard, **parts: object) -> EnvCard:
    return card.model_copy(update={"model": card.model.model_copy(update=parts)})


def find_start(model: mujoco.MjModel, keyframe: Keyframe | None = None) -> Array:
    """Return the qpos ``(nq,)`` of a keyframe; by default the one called home, the first, qpos0.

    Raises:
        DataError: the model has no such keyframe.
    """
    if keyframe is None and model.nkey:
        names = [model.key(i).name.lower() for i in range(model.nkey)]
        keyframe = next((i for i, name in enumerate(names) if "home" in name), 0)
    if keyframe is None:
        return np.array(model.qpos0)
    return np.array(model.key_qpos[find_keyframe(model, keyframe)])


def compare_with_original(card: EnvCard, path: Path) -> None:
    """See that the copy is the model that lies at another place, to the last bit.

    Raises:
        DataError: it is not: files are missing, or other ones were found.
    """
    try:
        original = mujoco.MjSpec.from_file(str(path)).compile()
        copy = mujoco.MjSpec.from_file(str(find_model_path(card))).compile()
        worst, where = compare(original, copy)
    except (ValueError, mujoco.FatalError) as error:
        raise DataError(f"{path} and its copy: {error}", _REPORT) from error
    if worst:
        raise DataError(f"the copy of {path} differs from it in {where}", _REPORT)


def describe_model(model: mujoco.MjModel) -> dict[str, str]:
    """Return what a person may like to know of a model."""
    parts = (
        count(model.nbody - 1, "body", "bodies"),
        count(model.njnt, "joint"),
        count(model.nu, "actuator"),
        f"{float(np.sum(model.body_mass)):.3g} kg",
    )
    return {
        "model": ", ".join(parts),
        "physics step": f"{model.opt.timestep:g} s",
    }


# --- floor ---------------------------------------------------------------------------------------


def _needs_floor(model: mujoco.MjModel, tree: Tree) -> bool:
    """Whether things would fall without end, as they do neither in a fluid nor without weight."""
    names = [model.geom(geom).name for geom in range(model.ngeom)]
    is_taken = ADDED_FLOOR in names
    return not (tree.floors or tree.is_fluid or is_taken) and model.opt.gravity[2] < 0


def _find_ground(model: mujoco.MjModel, qpos: Array) -> float:
    """Return the lowest z, m, of what can be touched in a pose."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_kinematics(model, data)
    endless = (mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_HFIELD)
    geoms = [geom for geom in range(model.ngeom) if model.geom_type[geom] not in endless]
    solid = [geom for geom in geoms if collides(model, geom)] or geoms
    return round(find_lowest(model, data, solid), 4) + 0.0 if solid else 0.0  # no -0


# --- servos --------------------------------------------------------------------------------------


def _choose_joints(model: mujoco.MjModel) -> list[int]:
    """Return the joints of the robot that an actuator could move and none does."""
    driven = {
        int(model.actuator_trnid[i, 0])
        for i in range(model.nu)
        if model.actuator_trntype[i] == mujoco.mjtTrn.mjTRN_JOINT
    }
    joint_equality = int(mujoco.mjtEq.mjEQ_JOINT)
    driven |= {
        int(model.eq_obj1id[row])
        for row in range(model.neq)
        if model.eq_type[row] == joint_equality
    }
    trees: dict[int, list[int]] = {}
    for joint in range(model.njnt):
        is_single = model.jnt_type[joint] in (HINGE, SLIDE) and not _is_of_base(model, joint)
        if is_single and model.joint(joint).name and joint not in driven:
            trees.setdefault(int(model.body_rootid[model.jnt_bodyid[joint]]), []).append(joint)
    most = max(map(len, trees.values()), default=0)
    return [joint for joints in trees.values() if len(joints) >= _SHARE * most for joint in joints]


def _is_of_base(model: mujoco.MjModel, joint: int) -> bool:
    """Whether a joint lets a robot move as a whole, in a plane say: no motor does that."""
    body = int(model.jnt_bodyid[joint])
    first, n = int(model.body_jntadr[body]), int(model.body_jntnum[body])
    kinds = [int(model.jnt_type[j]) for j in range(first, first + n)]
    return model.body_parentid[body] == 0 and n > 1 and SLIDE in kinds


def _add_servos(
    card: EnvCard, model: mujoco.MjModel, home: Keyframe | None, joints: list[int]
) -> tuple[EnvCard, str]:
    """Return the card with servos on some joints, and what is said of them."""
    qpos = find_start(model, home)
    guessed = {model.joint(j).name: _guess_servo(model, qpos, j) for j in joints}
    model = make_model(_change(card, add_servos=guessed), fields=())
    pose = choose_pose(model, find_tree(model), home)
    servos, weak = _tune(model, pose.qpos, guessed)
    gains = sorted(servo.kp for servo in servos.values())
    kp = f"{gains[0]:g}" if gains[0] == gains[-1] else f"{gains[0]:g}..{gains[-1]:g}"
    words = (
        f"position servos are proposed (model.add_servos), {count(len(gains), 'joint')}, kp {kp}"
    )
    if weak:
        names = ", ".join(weak[:3]) + (" and others" if len(weak) > 3 else "")
        words += f"; held at home for a second, {names} {'gives' if len(weak) == 1 else 'give'} way"
    return _change(card, add_servos=servos), words


def _guess_servo(model: mujoco.MjModel, qpos: Array, joint: int) -> Servo:
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    dof, kind = int(model.jnt_dofadr[joint]), int(model.jnt_type[joint])
    force = float(np.abs(model.jnt_actfrcrange[joint]).max())
    is_limited = bool(model.jnt_actfrclimited[joint]) and force > 0
    own, bare = _find_inertias(model, data, dof)
    alone = bare
    load = _find_load(model, data, joint)
    load = min(load, force) if is_limited else load
    step = float(model.opt.timestep)
    robot = float(model.body_subtreemass[model.body_rootid[model.jnt_bodyid[joint]]])
    least = _LEAST_ROTOR[kind] * robot
    own, alone = own + max(0.0, least - alone), max(alone, least)
    kp = min(max(own * _FREQUENCY**2, load / _GIVES[kind]), _MOST_STIFFNESS * alone / step**2)
    if is_limited:  # who chose the motor knew what it has to carry
        kp = force / _FULL_FORCE[kind]
    kp = max(kp, _find_lean(model, data, joint))
    more = max(0.0, kp / _ROTOR_FREQUENCY**2 - alone)
    own, alone = own + more, alone + more
    kv = max(0.0, 2 * math.sqrt(kp * own) - float(model.dof_damping[dof]))
    low, high = model.jnt_range[joint]
    reference = float(model.qpos0[model.jnt_qposadr[joint]])
    has_range = bool(model.jnt_limited[joint]) and high > low
    return Servo(
        kp=_round(kp),
        kv=_round(min(kv, _find_most_damping(model, alone))),
        range=None if has_range else (reference - _RANGE[kind], reference + _RANGE[kind]),
        force=_round(force) if is_limited else None,
        armature=_round(max(0.0, alone - bare)),
    )


def _find_inertias(model: mujoco.MjModel, data: mujoco.MjData, dof: int) -> tuple[float, float]:
    """Return what a joint moves with all others held, and with all others loose."""
    unit, found = np.zeros((1, model.nv)), np.zeros((1, model.nv))
    unit[0, dof] = 1.0
    product = np.zeros(model.nv)
    mujoco.mj_mulM(model, data, product, unit[0])
    mujoco.mj_solveM(model, data, found, unit)
    return float(product[dof]), 1 / float(found[0, dof])


def _find_most_damping(model: mujoco.MjModel, inertia: float) -> float:
    implicit = (mujoco.mjtIntegrator.mjINT_IMPLICIT, mujoco.mjtIntegrator.mjINT_IMPLICITFAST)
    if model.opt.integrator in implicit:
        return math.inf
    return _MOST_DAMPING * inertia / float(model.opt.timestep)


def _find_load(model: mujoco.MjModel, data: mujoco.MjData, joint: int) -> float:
    """Return the weight on a joint, N m or N, of what hangs on it, held out level."""
    body, gravity = int(model.jnt_bodyid[joint]), float(np.linalg.norm(model.opt.gravity))
    weight = float(model.body_subtreemass[body]) * gravity
    if model.jnt_type[joint] == SLIDE:
        return weight
    arm = data.subtree_com[body] - data.xanchor[joint]
    return weight * float(np.linalg.norm(np.cross(arm, data.xaxis[joint])))


def _find_lean(model: mujoco.MjModel, data: mujoco.MjData, joint: int) -> float:
    """Return the stiffness, N m/rad, that keeps a robot from toppling about a joint of a leg.

    That is of an upside-down pendulum: its weight times the height of what stands on the joint.
    """
    body = int(model.jnt_bodyid[joint])
    root = int(model.body_rootid[body])
    if model.jnt_type[joint] != HINGE or model.jnt_type[model.body_jntadr[root]] != FREE:
        return 0.0
    hanging = list_subtree(model, body)
    lowest = float(np.min(data.xpos[1:, 2]))
    reach = _OF_LEG * float(data.subtree_com[root][2] - lowest)
    if min(float(data.xpos[b, 2]) for b in hanging) > lowest + reach:
        return 0.0
    axis = data.xaxis[joint]
    is_level = float(np.hypot(axis[0], axis[1]))
    height = max(0.0, float(data.subtree_com[root][2] - data.xanchor[joint][2]))
    gravity = float(np.linalg.norm(model.opt.gravity))
    return float(model.body_subtreemass[root]) * gravity * height * is_level


def _tune(
    model: mujoco.MjModel, qpos: Array, servos: dict[str, Servo]
) -> tuple[dict[str, Servo], list[str]]:
    """Hold the pose for a second: what gives way is made stiffer, as long as that helps.

    Returns:
        The servos, and the joints that give way all the same; all where the physics diverges.
    """
    drifts, hopeless = _find_drifts(model, qpos, servos), set[str]()
    for _ in range(_N_TRIES):
        if max(drifts.values()) == math.inf:
            servos = {name: _scale(model, servo, name, 0.5) for name, servo in servos.items()}
            drifts = _find_drifts(model, qpos, servos)
            continue
        weak = {name for name in servos if drifts[name] > 1} - hopeless
        if not weak:
            break
        stiffer = {name: _scale(model, servos[name], name, 2.0) for name in weak}
        after = _find_drifts(model, qpos, servos | stiffer)
        hopeless |= {name for name in weak if after[name] > _HELPS * drifts[name]}
        servos |= {name: servo for name, servo in stiffer.items() if name not in hopeless}
        drifts = _find_drifts(model, qpos, servos) if weak & hopeless else after
    return servos, [name for name in servos if drifts[name] > 1]


def _scale(model: mujoco.MjModel, servo: Servo, joint: str, scale: float) -> Servo:
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    # The model has the rotors already.
    _, alone = _find_inertias(model, data, int(model.joint(joint).dofadr[0]))
    most = _MOST_STIFFNESS * alone / float(model.opt.timestep) ** 2
    kp = min(servo.kp * scale, max(most, servo.kp))
    kv = min(servo.kv * math.sqrt(kp / servo.kp), _find_most_damping(model, alone))
    return servo.model_copy(update={"kp": _round(kp), "kv": _round(kv)})


def _find_drifts(model: mujoco.MjModel, qpos: Array, servos: dict[str, Servo]) -> dict[str, float]:
    """Return how far each joint goes in a second, as a share of what it may; inf: diverges."""
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    for name, servo in servos.items():
        actuator = model.actuator(name)
        actuator.gainprm[0], actuator.biasprm[1] = servo.kp, -servo.kp
        actuator.biasprm[2] = -servo.kv
        data.ctrl[actuator.id] = qpos[int(model.joint(name).qposadr[0])]
    rows = [int(model.joint(name).qposadr[0]) for name in servos]
    worst = np.zeros(len(rows))
    for _ in range(round(_HOLD_S / model.opt.timestep)):
        mujoco.mj_step(model, data)
        if any(data.warning[i].number for i in _DIVERGED) or not np.isfinite(data.qpos).all():
            return dict.fromkeys(servos, math.inf)
        worst = np.maximum(worst, np.abs(data.qpos[rows] - qpos[rows]))
    most = [_MOST_DRIFT[int(model.joint(name).type[0])] for name in servos]
    return dict(zip(servos, (worst / most).tolist(), strict=True))


_DIVERGED = (
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
)


def _note_free_bodies(model: mujoco.MjModel) -> list[str]:
    """Say which of several free bodies is the robot: what the actuators move."""
    free = [int(model.jnt_bodyid[j]) for j in range(model.njnt) if model.jnt_type[j] == FREE]
    if len(free) < 2:
        return []
    tree = find_tree(model)
    robots = [_name_body(model, body) for body in free if body in tree.bodies]
    others = [_name_body(model, body) for body in free if body not in tree.bodies]
    what = f"; {', '.join(robots)} is the robot: it has the motors" if robots else ""
    objects = f"; {', '.join(others)}: objects" if others else ""
    return [f"{len(free)} bodies move freely{what}{objects}"]


def _name_body(model: mujoco.MjModel, body: int) -> str:
    return model.body(body).name or f"body {body}"


def _round(value: float) -> float:
    return float(f"{value:.3g}")
