"""What of a model is the robot and what surrounds it, by what its actuators can move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import mujoco

from reward_agent.drafts.words import FLOOR, TARGET, has_word
from reward_agent.simulation.interventions import FREE, HINGE, SLIDE, find_driven
from reward_agent.simulation.measures import list_subtree

PLANE, HFIELD = int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD)
# N m s/rad or kg m2: beyond, a joint of a model in SI units does not move in an episode.
_LOCKED = 1e4
# kg/m3 and Pa s: air has less, water more.
_THICK, _VISCOUS = 20.0, 0.005


@dataclass(frozen=True)
class Tree:
    """Bodies and joints by what they belong to; all are numbers of the model's.

    Args:
        base: how the robot stands in the world: it moves freely, in a plane, or is fixed.
        root: the body that carries the robot; of a fixed one, its first that moves.
        root_joints: what moves the root, without motors.
        bodies: of the robot, all that hangs on its roots.
        joints: hinges and slides of the robot, without the root's.
        driven: those of them that an actuator, or a body that is led, moves.
        objects: bodies that move freely or in a plane and belong to no robot.
        targets: the same, named as something to reach; of what may also be still.
        fixtures: hinges and slides of the surroundings.
        floors: geoms that are flat, fixed, and touched; the lowest or so named first.
        led: pairs of a mocap body and the robot's body that is welded to it.
        is_fluid: whether it swims.
    """

    base: Literal["free", "planar", "fixed"]
    root: int
    root_joints: tuple[int, ...]
    bodies: frozenset[int]
    joints: tuple[int, ...]
    driven: frozenset[int]
    objects: tuple[int, ...]
    targets: tuple[int, ...]
    fixtures: tuple[int, ...]
    floors: tuple[int, ...]
    led: tuple[tuple[int, int], ...]
    is_fluid: bool


def find_tree(model: mujoco.MjModel) -> Tree:
    """Find the robot: what its actuators move, with all that hangs on it."""
    led = tuple(_find_led(model))
    driven = _find_driven(model, led)
    tops = sorted({_find_top(model, int(model.jnt_bodyid[joint])) for joint in driven})
    bodies = frozenset(body for top in tops for body in list_subtree(model, top))
    roots = [(_find_root(model, top, driven), top) for top in tops] or [(("fixed", 0, ()), 0)]

    def weigh(item: tuple[tuple[str, int, tuple[int, ...]], int]) -> tuple[bool, int]:
        below = set(list_subtree(model, item[1]))
        return item[0][0] != "fixed", sum(int(model.jnt_bodyid[joint]) in below for joint in driven)

    (base, root, root_joints), _ = max(roots, key=weigh)
    other_roots = {joint for (_, _, joints), _ in roots for joint in joints}
    scalar = [j for j in range(model.njnt) if model.jnt_type[j] in (SLIDE, HINGE)]
    own = [j for j in scalar if model.jnt_bodyid[j] in bodies and j not in other_roots]
    objects, targets = _find_objects(model, bodies)
    moving = {one for body in (*objects, *targets) for one in list_subtree(model, body)}
    # A head on the base of an arm is no fixture, though no motor moves it.
    moving |= {one for top in tops for one in _list_carried(model, top)}
    around = [j for j in scalar if model.jnt_bodyid[j] not in bodies | moving]
    return Tree(
        base=base,  # type: ignore[arg-type]
        root=root,
        root_joints=root_joints,
        bodies=bodies,
        joints=tuple(j for j in own if not is_locked(model, j)),
        driven=driven,
        objects=tuple(objects),
        targets=tuple(targets),
        fixtures=tuple(j for j in around if not is_locked(model, j)),
        floors=tuple(find_floors(model)),
        led=led,
        is_fluid=bool(model.opt.density > _THICK or model.opt.viscosity > _VISCOUS),
    )


def call(model: mujoco.MjModel, kind: str, number: int) -> str:
    """Return how a card names something: its number, ``#3``, where the model gives no name."""
    return str(getattr(model, kind)(number).name) or f"#{number}"


def find_number(model: mujoco.MjModel, kind: str, name: str) -> int:
    """Return the number of what ``call`` named so."""
    if name[:1] == "#" and name[1:].isdecimal():
        return int(name[1:])
    return int(getattr(model, kind)(name).id)


def list_ancestors(model: mujoco.MjModel, body: int) -> list[int]:
    """Return a body and what it hangs on, without the world."""
    found = []
    while body:
        found.append(body)
        body = int(model.body_parentid[body])
    return found


def list_joints(model: mujoco.MjModel, body: int) -> list[int]:
    """Return the joints of a body itself."""
    first = int(model.body_jntadr[body])
    return list(range(first, first + int(model.body_jntnum[body]))) if first >= 0 else []


def list_geoms(model: mujoco.MjModel, body: int) -> list[int]:
    """Return the geoms of a body itself; only those that collide, if any does."""
    first = int(model.body_geomadr[body])
    geoms = list(range(first, first + int(model.body_geomnum[body]))) if first >= 0 else []
    return [geom for geom in geoms if collides(model, geom)] or geoms


def collides(model: mujoco.MjModel, geom: int) -> bool:
    """Return whether a geom touches anything."""
    return bool(model.geom_contype[geom] or model.geom_conaffinity[geom])


def can_touch(model: mujoco.MjModel, bodies: list[int], others: list[int]) -> bool:
    """Return whether a geom of some bodies may touch one of others, by their bits."""
    mine = [geom for body in bodies for geom in list_geoms(model, body)]
    theirs = [geom for body in others for geom in list_geoms(model, body)]
    kind, accepts = model.geom_contype, model.geom_conaffinity
    return any(kind[a] & accepts[b] or kind[b] & accepts[a] for a in mine for b in theirs)


def is_locked(model: mujoco.MjModel, joint: int) -> bool:
    """Return whether a joint cannot move: held by friction without end, or by its range."""
    if model.jnt_type[joint] == FREE:
        return False
    dof, (low, high) = int(model.jnt_dofadr[joint]), model.jnt_range[joint]
    is_stiff = max(model.dof_damping[dof], model.dof_armature[dof]) > _LOCKED
    return bool(is_stiff or (model.jnt_limited[joint] and high - low < 1e-6))


def find_floors(model: mujoco.MjModel) -> list[int]:
    """Return the flat, fixed geoms that things may lie on; what is named a floor comes first."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    found = [
        geom
        for geom in range(model.ngeom)
        if model.geom_type[geom] in (PLANE, HFIELD)
        and model.body_weldid[model.geom_bodyid[geom]] == 0
        and collides(model, geom)
        and data.geom_xmat[geom, 8] > 0.99
    ]

    def order(geom: int) -> tuple[bool, bool, float]:
        is_named = has_word(model.geom(geom).name, FLOOR)
        is_plane = model.geom_type[geom] == PLANE
        return not is_plane, not is_named, float(data.geom_xpos[geom, 2])

    return sorted(found, key=order)


def _find_led(model: mujoco.MjModel) -> Iterator[tuple[int, int]]:
    """Yield each mocap body that something with joints is welded to."""
    body_kind = int(mujoco.mjtObj.mjOBJ_BODY)
    kinds = (int(mujoco.mjtEq.mjEQ_WELD), int(mujoco.mjtEq.mjEQ_CONNECT))
    for equality in range(model.neq):
        if model.eq_type[equality] not in kinds or model.eq_objtype[equality] != body_kind:
            continue
        pair = int(model.eq_obj1id[equality]), int(model.eq_obj2id[equality])
        for one, other in (pair, pair[::-1]):
            if model.body_mocapid[one] >= 0 and model.body_mocapid[other] < 0:
                yield one, other


def _find_driven(model: mujoco.MjModel, led: tuple[tuple[int, int], ...]) -> frozenset[int]:
    """Return the joints that an actuator's force acts on, or that lead to what is led."""
    joints = set(find_driven(model))
    for _, body in led:
        chain = [j for one in list_ancestors(model, body) for j in list_joints(model, one)]
        joints |= {j for j in chain if model.jnt_type[j] != FREE and not is_locked(model, j)}
    return frozenset(joints)


def _find_top(model: mujoco.MjModel, body: int) -> int:
    """Return the topmost body with a joint that moves, above a body."""
    movable = [
        one
        for one in list_ancestors(model, body)
        if any(
            model.jnt_type[j] < SLIDE or not is_locked(model, j) for j in list_joints(model, one)
        )
    ]
    return movable[-1] if movable else body


def _find_root(
    model: mujoco.MjModel, top: int, driven: frozenset[int]
) -> tuple[str, int, tuple[int, ...]]:
    """Return how the part of a robot below ``top`` stands, its root, and what moves that."""
    if any(model.jnt_type[joint] == FREE for joint in list_joints(model, top)):
        return "free", top, tuple(list_joints(model, top)[:1])
    joints, body = list[int](), top
    while True:
        joints += [joint for joint in list_joints(model, body) if joint not in driven]
        children = [c for c in range(body + 1, model.nbody) if model.body_parentid[c] == body]
        if list_geoms(model, body) or len(children) != 1:
            break
        body = children[0]
    if any(model.jnt_type[joint] == SLIDE for joint in joints):
        return "planar", body, tuple(joints)
    return "fixed", top, ()


def _list_carried(model: mujoco.MjModel, top: int) -> list[int]:
    """Return all that hangs on what carries a part of a robot, if that has a shape of its own."""
    carriers = [b for b in list_ancestors(model, top)[1:] if list_geoms(model, b)]
    return list_subtree(model, carriers[-1]) if carriers else []


def _find_objects(model: mujoco.MjModel, robot: frozenset[int]) -> tuple[list[int], list[int]]:
    """Return bodies that move by themselves, and those of them that are named as targets."""
    objects, targets = list[int](), list[int]()
    for body in range(1, model.nbody):
        joints = [j for j in list_joints(model, body) if not is_locked(model, j)]
        kinds = [int(model.jnt_type[j]) for j in joints]
        if body in robot or not (FREE in kinds or kinds.count(SLIDE) >= 2):
            continue
        names = [model.body(body).name, *(model.joint(j).name for j in list_joints(model, body))]
        (targets if any(has_word(name, TARGET) for name in names) else objects).append(body)
    return objects, targets
