"""What a robot handles: its tool, objects, targets and fixtures, and where the tool can be."""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.drafts.roles import Facts, Part, Robot, make_part
from reward_agent.drafts.tree import call, find_number, list_ancestors, list_geoms, list_joints
from reward_agent.drafts.words import (
    FINGER,
    FIXTURE,
    TARGET,
    TOOL,
    has_word,
    make_name,
    split_words,
)
from reward_agent.simulation.interventions import FREE, SLIDE
from reward_agent.simulation.measures import list_subtree

Array = NDArray[np.float64]
# What a name must say to be a tool on a robot that is no arm, in which hands are only hands.
_SURE = TOOL[: TOOL.index("fingertip")]
_NO_TOOL = ("imu", "camera", "cam", "touch", "force", "torque", "ft", "focus", "tch")
_ARM = ("arm", "gripper", "hand", "wrist", "manipulator", "forearm", "elbow")
_MOST_PLACES, _MOST_FINGERS = 2000, 5


@dataclass(frozen=True)
class Workspace:
    """A box or a flat ring of points that a tool can reach, m in the world.

    ``reach`` is how far from its start the tool comes, ``object_gap`` how far from the object's
    middle it stays.
    """

    shape: str
    center: tuple[float, float, float]
    size: tuple[float, float, float] | float
    inner: float = 0.0
    reach: float = 0.0
    object_gap: float = 0.0


@dataclass(frozen=True)
class Handling:
    """The roles of what is reached for.

    Args:
        tool: what reaches.
        fingers: parts that touch an object.
        grippers: joints that open and close the tool.
        objects: the one that counts first.
        target: where tool or object is to be; None: nothing is named so.
        target_joints: slides that move it, where it is on such.
        can_draw: whether the target can be put elsewhere.
        fixtures: joints of the surroundings, the one that counts first.
        handle: where the first one is touched.
        workspace: where the tool can be, seen by moving its joints as actions may.
    """

    tool: Part | None = None
    fingers: tuple[Part, ...] = ()
    grippers: tuple[int, ...] = ()
    objects: tuple[Part, ...] = ()
    target: Part | None = None
    target_joints: tuple[int, ...] = ()
    can_draw: bool = False
    fixtures: tuple[Part, ...] = ()
    handle: Part | None = None
    guesses: dict[str, str] = field(default_factory=dict)


def find_handling(facts: Facts, robot: Robot) -> Handling:
    """Find tool, objects, targets and fixtures."""
    guesses = dict[str, str]()
    objects = _list_objects(facts)
    tool = _find_tool(facts, robot, objects)
    here = _locate(facts, tool) if tool else facts.data.xpos[facts.tree.root]
    objects.sort(key=lambda part: float(np.linalg.norm(facts.data.xpos[part.body] - here)))
    target = _find_target(facts, objects, guesses)
    if tool is None and robot.torso is not None and (target is not None or objects):
        tool = Part(robot.torso.place, "torso", robot.torso.body, robot.torso.bodies)
    fixtures = _list_fixtures(facts, here) if tool else []
    if fixtures and target is not None and not objects:
        words = {*FIXTURE, *split_words(fixtures[0].name)}
        target = None if words & set(split_words(target.own_name)) else target
    is_hand = tool is not None and tool.name != "torso"
    fingers, grippers = _find_fingers(facts, tool) if tool and is_hand else ([], [])
    if target is None:
        guesses.pop("target", None)
    if tool:
        guesses["tool"] = f"the tool, which reaches, is {tool.place}"
    if len(objects) > 1:
        guesses["object"] = f"of {len(objects)} objects, the one to move is {objects[0].place}"
    if len(fixtures) > 1:
        guesses["fixture"] = f"of {len(fixtures)} joints around, the first is {fixtures[0].place}"
    return Handling(
        tool=tool,
        fingers=tuple(fingers),
        grippers=tuple(grippers),
        objects=tuple(objects[:4]),
        target=target,
        target_joints=_find_target_joints(facts, target),
        can_draw=target is not None and _can_move(facts, target),
        fixtures=tuple(fixtures[:6]),
        handle=_find_handle(facts, fixtures[0]) if fixtures else None,
        guesses=guesses,
    )


def _locate(facts: Facts, part: Part) -> Array:
    """Return where a part is at the start, m."""
    number = find_number(facts.model, part.kind, part.own_name)
    data = facts.data
    where = {"body": data.xpos, "geom": data.geom_xpos, "site": data.site_xpos}[part.kind][number]
    if part.offset is None:
        return np.array(where)
    return np.asarray(where + data.xmat[number].reshape(3, 3) @ np.array(part.offset))


def _list_objects(facts: Facts) -> list[Part]:
    return [make_part(facts, body, "object") for body in facts.tree.objects]


# --- the tool ------------------------------------------------------------------------------------


def _find_tool(facts: Facts, robot: Robot, objects: list[Part]) -> Part | None:
    """Return what reaches: a site that is named so, else a body, else the end of the arm."""
    taken = {
        body
        for part in (*robot.feet, *robot.hands)
        for one in part.bodies
        for body in (one, *list_subtree(facts.model, one))
    }
    arms = {
        body
        for body in facts.tree.bodies - taken
        if _count_steady(facts, body) >= (2 if facts.tree.base == "fixed" else 3)
    }
    words: tuple[str, ...] = TOOL
    if facts.tree.base != "fixed":
        words = ("mouth",) if facts.tree.is_fluid else () if robot.hands else _SURE
        arms |= facts.tree.bodies if facts.tree.is_fluid else set()
    found = [item for kind in ("site", "body", "geom") for item in _list_named(facts, kind, words)]
    found = [item for item in found if item[2].body in arms]
    if not found:
        has_arm = facts.tree.base == "fixed" or (robot.feet and not robot.hands)
        return _find_arm_end(facts, arms) if has_arm else None
    rank = min(rank for rank, *_ in found)
    best = [(depth, part) for found_rank, depth, part in found if found_rank == rank]
    kinds = [kind for kind in ("site", "body", "geom") if any(p.kind == kind for _, p in best)]
    best = [(depth, part) for depth, part in best if part.kind == kinds[0]]
    deepest = max(depth for depth, _ in best)
    parts = [part for depth, part in best if depth == deepest]
    goal = facts.data.xpos[objects[0].body] if objects else None
    if goal is not None:
        parts.sort(key=lambda part: float(np.linalg.norm(_locate(facts, part) - goal)))
    return _aim_between_fingers(facts, parts[0])


def _count_steady(facts: Facts, body: int) -> int:
    """Return how many driven joints lead to a body; 0 where one swings without a motor."""
    chain = [j for one in list_ancestors(facts.model, body) for j in list_joints(facts.model, one)]
    chain = [j for j in chain if j in facts.tree.joints]
    return 0 if set(chain) - facts.tree.driven else len(chain)


def _list_named(facts: Facts, kind: str, words: tuple[str, ...]) -> list[tuple[int, int, Part]]:
    """Return the parts that a word names as a tool: rank of the word, depth, part."""
    model, found = facts.model, []
    felt = _list_felt_sites(model) if kind == "site" else frozenset()
    bodies = {"site": model.site_bodyid, "geom": model.geom_bodyid, "body": range(model.nbody)}
    for number, body in enumerate(bodies[kind]):
        name, own = facts.name(kind, number), int(body)
        is_other = number in felt or has_word(name, _NO_TOOL)
        if not name or own not in facts.tree.bodies or is_other:
            continue
        said = [_single(word) for word in split_words(name)]
        ranks = [words.index(word) for word in said if word in words]
        if not ranks:
            continue
        # Of a word's bearers the one that is named by it alone: gripper_link, not gripper_bar_link.
        part = Part(f"{kind}:{name}", "tool", own, (own,))
        plain = len([w for w in said if w not in words and w not in ("link", "site", "body")])
        found.append((min(ranks), 100 * facts.count_driven(own) - plain, part))
    return found


def _list_felt_sites(model: mujoco.MjModel) -> frozenset[int]:
    """Return the sites at which touch is felt: they lie on skins, not where a tool acts."""
    kinds = (int(mujoco.mjtSensor.mjSENS_TOUCH), int(mujoco.mjtSensor.mjSENS_ACCELEROMETER))
    rows = np.isin(model.sensor_type, kinds)
    return frozenset(int(site) for site in model.sensor_objid[rows])


def _single(word: str) -> str:
    return word.removesuffix("s") if word.removesuffix("s") in TOOL else word


def _find_arm_end(facts: Facts, arms: set[int]) -> Part | None:
    """Return the last body of the longest arm."""
    ends = [body for body in facts.leaves if body in arms]
    if facts.tree.base != "fixed":  # a tail is no arm
        ends = [
            body
            for body in ends
            if any(
                has_word(facts.name("body", one), _ARM) for one in list_ancestors(facts.model, body)
            )
        ]
    ends = [body for body in ends if not has_word(facts.name("body", body), _NO_TOOL)]
    if not ends:
        return None
    most = max(facts.count_driven(body) for body in ends)
    if most < (2 if facts.tree.base == "fixed" else 4):
        return None
    ends = [body for body in ends if facts.count_driven(body) == most]
    return Part(facts.find_place(ends[0]), "tool", ends[0], (ends[0],))


def _aim_between_fingers(facts: Facts, tool: Part) -> Part:
    """Return the tool with the point between its fingers, where a body is all that is named."""
    if tool.kind != "body":
        return tool
    model, data = facts.model, facts.data
    fingers = [b for b in list_subtree(model, tool.body) if b in facts.leaves and b != tool.body]
    if len(fingers) < 2:
        return tool
    middles = [
        data.geom_xpos[g] + data.geom_xmat[g].reshape(3, 3) @ model.geom_aabb[g, :3]
        for body in fingers
        for g in list_geoms(model, body)
    ]
    rotation = data.xmat[tool.body].reshape(3, 3)
    offset = rotation.T @ (np.mean(middles, axis=0) - data.xpos[tool.body])
    x, y, z = (float(f"{value:.3f}") for value in offset)
    return Part(tool.place, tool.name, tool.body, tool.bodies, (x, y, z))


def _find_fingers(facts: Facts, tool: Part) -> tuple[list[Part], list[int]]:
    """Return the parts that touch what the tool handles, and the joints that close it."""
    model = facts.model
    hand = tool.body
    # A site sits on the hand, or on what is fixed to it.
    while not list_joints(model, hand) and model.body_parentid[hand] in facts.tree.bodies:
        hand = int(model.body_parentid[hand])
    bodies = [body for body in list_subtree(model, hand) if body in facts.tree.bodies]
    tips = [body for body in bodies if body in facts.leaves]
    named = [b for b in tips if any(has_word(n, FINGER) for n in facts.list_names(b))]
    chosen = (named if len(named) > 1 else tips) or [tool.body]
    parts = [make_part(facts, body, "finger") for body in chosen[:_MOST_FINGERS]]
    below = [
        j for b in bodies if b != hand for j in list_joints(model, b) if j in facts.tree.driven
    ]
    grippers = below if 0 < len(below) <= 4 else []
    return parts, grippers


# --- targets and fixtures ------------------------------------------------------------------------


def _find_target(facts: Facts, objects: list[Part], guesses: dict[str, str]) -> Part | None:
    """Return what is named as a target; of several, the one that shares the object's name."""
    model, found = facts.model, list[Part]()
    for body in facts.tree.targets:
        part = make_part(facts, body, "target")
        found.append(Part(part.place, "target", body, (body,)))
    for kind, count in (("site", model.nsite), ("body", model.nbody), ("geom", model.ngeom)):
        for number in range(count):
            name = facts.name(kind, number)
            owner = number if kind == "body" else int(getattr(model, f"{kind}_bodyid")[number])
            if owner not in facts.tree.bodies and has_word(name, TARGET):
                found.append(Part(f"{kind}:{name}", "target", owner, (owner,)))
    if not found:
        return None
    words = set(split_words(objects[0].own_name)) if objects else set()

    def rank(part: Part) -> tuple[int, bool, int]:
        said = set(split_words(part.own_name))
        # A target of another object's, or a part of a target, says more words.
        return -len(said & words), not _can_move(facts, part), len(said - words)

    target = min(found, key=rank)
    if len({part.own_name for part in found}) > 1:
        guesses["target"] = f"of several that are named so, the target is {target.place}"
    return target


def _find_target_joints(facts: Facts, target: Part | None) -> tuple[int, ...]:
    if target is None:
        return ()
    joints = list_joints(facts.model, target.body)
    return tuple(j for j in joints if facts.model.jnt_type[j] == SLIDE)


def _can_move(facts: Facts, part: Part) -> bool:
    """Return whether an episode may put a part elsewhere: it hangs on the world, or is free."""
    model, body = facts.model, part.body
    if body in facts.tree.bodies:
        return False
    is_free = any(model.jnt_type[j] == FREE for j in list_joints(model, body))
    return bool(is_free or model.body_mocapid[body] >= 0 or model.body_weldid[body] == 0)


def _list_fixtures(facts: Facts, here: Array) -> list[Part]:
    """Return the joints around, by their names and by how near they are to the tool."""
    model, parts = facts.model, list[tuple[tuple[int, float], Part]]()
    for joint in facts.tree.fixtures:
        name, body = call(model, "joint", joint), int(model.jnt_bodyid[joint])
        words = [facts.name("body", body), name]
        ranks = [i for i, word in enumerate(FIXTURE) if any(has_word(w, [word]) for w in words)]
        distance = float(np.linalg.norm(facts.data.xipos[body] - here))
        part = Part(f"joint:{name}", make_name(split_words(name), "joint"), body, (body,))
        parts.append(((min(ranks, default=len(FIXTURE)), distance), part))
    return [part for _, part in sorted(parts, key=lambda item: item[0])]


def _find_handle(facts: Facts, fixture: Part) -> Part:
    """Return where a fixture is touched: a site or body called so, else the body itself."""
    model, below = facts.model, set(list_subtree(facts.model, fixture.body))
    for kind, owners in (
        ("site", model.site_bodyid),
        ("geom", model.geom_bodyid),
        ("body", range(model.nbody)),
    ):
        for number, owner in enumerate(owners):
            name = facts.name(kind, number)
            if int(owner) in below and has_word(name, ("handle", "knob", "button", "lever")):
                return Part(f"{kind}:{name}", "handle", int(owner), (int(owner),))
    geoms = [g for g in list_geoms(model, fixture.body) if facts.name("geom", g)]
    if geoms:  # a door's own frame is at its hinge
        return Part(f"geom:{facts.name('geom', geoms[0])}", "handle", fixture.body)
    return Part(facts.find_place(fixture.body), "handle", fixture.body, (fixture.body,))


# --- where the tool can be -----------------------------------------------------------------------


def find_workspace(facts: Facts, handling: Handling, scale: dict[int, float]) -> Workspace | None:
    """Return a box of points that the tool reaches; None where there are too few.

    Args:
        facts: the model.
        handling: with the tool.
        scale: how far from the start actions may move a joint, rad or m, by joint.
    """
    tool = handling.tool
    assert tool is not None
    points = _sample(facts, tool, scale)
    points = (
        points[points[:, 2] > facts.floor_z + 0.02 * facts.size] if facts.tree.floors else points
    )
    if len(points) < 50:
        return None
    start = _locate(facts, tool)
    reach = float(np.percentile(np.linalg.norm(points - start, axis=1), 90))
    spread = points.std(axis=0)
    center = np.median(points, axis=0)
    half = 1.2 * spread
    half[spread < 0.02 * spread.max()] = 0.0
    for _ in range(12):
        if _share_reached(points, center, half) > 0.85:
            break
        half *= 0.85
    rounded = [float(f"{value:.3g}") for value in (*center, *half)]
    if not max(rounded[3:]):
        return None
    gap = 0.0
    if handling.objects:
        here = facts.data.xpos[handling.objects[0].body]
        gap = float(np.linalg.norm(points - here, axis=1).min())
    center_x, center_y, center_z, *size = rounded
    middle = (center_x, center_y, center_z)
    return Workspace("box", middle, (size[0], size[1], size[2]), 0.0, reach, gap)


def _sample(facts: Facts, tool: Part, scale: dict[int, float]) -> Array:
    """Return places of the tool, ``(N, 3)`` m, at random angles of the joints that lead to it."""
    model, generator = facts.model, np.random.default_rng(0)
    chain = {j for one in list_ancestors(model, tool.body) for j in list_joints(model, one)}
    joints = sorted(chain & facts.tree.driven)
    data, points = mujoco.MjData(model), []
    number = find_number(model, tool.kind, tool.own_name)
    for _ in range(_MOST_PLACES):
        data.qpos[:] = facts.pose.qpos
        for joint in joints:
            row, width = int(model.jnt_qposadr[joint]), scale.get(joint, 0.5)
            value = data.qpos[row] + generator.uniform(-width, width)
            limits = model.jnt_range[joint]
            data.qpos[row] = np.clip(value, *limits) if model.jnt_limited[joint] else value
        mujoco.mj_kinematics(model, data)
        where = {"body": data.xpos, "geom": data.geom_xpos, "site": data.site_xpos}[tool.kind]
        point = np.array(where[number])
        if tool.offset is not None:
            point += data.xmat[number].reshape(3, 3) @ np.array(tool.offset)
        points.append(point)
    return np.array(points)


def _share_reached(points: Array, center: Array, half: Array) -> float:
    """Return which share of a box lies next to a point that was reached."""
    generator = np.random.default_rng(1)
    inside = center + half * generator.uniform(-1, 1, (200, 3))
    distance = np.linalg.norm(inside[:, None] - points[None], axis=2).min(axis=1)
    return float(np.mean(distance < 0.25 * max(float(half.max()), 1e-6)))
