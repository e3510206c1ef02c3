"""Which parts of a robot are what: by structure first, by the words of their names second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import mujoco
import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.roles import Axis
from reward_agent.drafts.pose import Pose, find_lowest, place
from reward_agent.drafts.tree import Tree, list_ancestors, list_geoms, list_joints
from reward_agent.drafts.words import (
    FOOT,
    HAND,
    HEAD,
    WHEEL,
    find_side,
    has_word,
    make_name,
    name_side,
    split_words,
)
from reward_agent.simulation.interventions import SLIDE
from reward_agent.simulation.measures import list_subtree

Array = NDArray[np.float64]
_AXES: tuple[Axis, ...] = ("+x", "-x", "+y", "-y", "+z", "-z")
# Of the torso's height: what is no higher at the start stands on the floor.
_LOW = 0.06
_MOST_FEET = 12
_OPPOSITE = {"left": "right", "right": "left", "front": "back", "back": "front"}


@dataclass(frozen=True)
class Part:
    """A part of the model that plays a role.

    Args:
        place: it, as a card says it.
        name: an identifier for fields.
        body: its number.
        bodies: all that belong to it: a foot with its toes.
        offset: m in its own frame, where the point that counts lies.
    """

    place: str
    name: str
    body: int
    bodies: tuple[int, ...] = ()
    offset: tuple[float, float, float] | None = None

    @property
    def kind(self) -> str:
        """Kind of object: body, geom, site, joint."""
        return self.place.partition(":")[0]

    @property
    def own_name(self) -> str:
        """Its name in the model."""
        return self.place.partition(":")[2]


@dataclass(frozen=True)
class Facts:
    """A model in its start pose, and how its robot stands: what roles are read from."""

    model: mujoco.MjModel
    tree: Tree
    pose: Pose

    @cached_property
    def data(self) -> mujoco.MjData:
        """MuJoCo's data in the start pose."""
        return place(self.model, self.pose)

    @cached_property
    def floor_z(self) -> float:
        """Height of the floor, m; 0 without one."""
        floors = self.tree.floors
        return float(self.data.geom_xpos[floors[0], 2]) if floors else 0.0

    @property
    def stands(self) -> bool:
        """Whether the robot stands on a floor."""
        is_held = self.tree.base == "fixed" or self.tree.is_fluid
        return not is_held and bool(self.tree.floors) and self.model.opt.gravity[2] < 0

    @cached_property
    def size(self) -> float:
        """Length of the robot, m: from its middle to its farthest part, twice."""
        bodies = sorted(self.tree.bodies) or [0]
        places = self.data.xipos[bodies]
        reach = np.linalg.norm(places - self.data.xpos[self.tree.root], axis=1)
        geoms = [g for body in bodies for g in list_geoms(self.model, body)]
        widths = self.model.geom_rbound[geoms] if geoms else np.zeros(1)
        return float(2 * max(reach.max(), widths[widths < 1e3].max(initial=0.0), 0.02))

    @property
    def length(self) -> float:
        """Length of the robot, m, along the axis of the world that it is longest along."""
        geoms = [g for body in sorted(self.tree.bodies) for g in list_geoms(self.model, body)]
        if not geoms:
            return self.size
        radii = self.model.geom_rbound[geoms][:, None]
        places = self.data.geom_xpos[geoms]
        return float(np.max((places + radii).max(axis=0) - (places - radii).min(axis=0)))

    @cached_property
    def height(self) -> float:
        """Height of the root above the floor, m, of a robot that stands; else its size."""
        above = float(self.data.xpos[self.tree.root, 2]) - self.floor_z
        return above if self.stands and above > 0.02 else self.size

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """What hangs on each body of the robot."""
        bodies = sorted(self.tree.bodies)
        parents = self.model.body_parentid
        return {body: [child for child in bodies if parents[child] == body] for body in bodies}

    @cached_property
    def leaves(self) -> list[int]:
        """The last bodies of the robot's limbs that have a shape."""
        shaped = {b for b in self.tree.bodies if list_geoms(self.model, b)}
        below = {b: shaped & set(list_subtree(self.model, b)) - {b} for b in shaped}
        return sorted(body for body in shaped if not below[body])

    def lowest(self, body: int) -> float:
        """Return the lowest z of a body, m above the floor."""
        return find_lowest(self.model, self.data, list_geoms(self.model, body)) - self.floor_z

    def name(self, kind: str, number: int) -> str:
        """Return the model's own name of something."""
        return str(getattr(self.model, kind)(number).name)

    def count_driven(self, body: int) -> int:
        """Return how many driven joints lead to a body."""
        chain = [
            j for one in list_ancestors(self.model, body) for j in list_joints(self.model, one)
        ]
        return len(self.tree.driven & set(chain))

    def find_place(self, body: int) -> str:
        """Return a name for a body: its own, else that of its lowest geom; its number if none."""
        if self.name("body", body):
            return f"body:{self.name('body', body)}"
        geoms = [g for g in list_geoms(self.model, body) if self.name("geom", g)]
        if not geoms:
            return f"body:#{body}"
        low = min(geoms, key=lambda geom: find_lowest(self.model, self.data, [geom]))
        return f"geom:{self.name('geom', low)}"

    def list_names(self, body: int) -> list[str]:
        """Return the names of a body, its geoms, sites and joints."""
        model, names = self.model, [self.name("body", body)]
        geoms = range(model.ngeom)
        names += [self.name("geom", g) for g in geoms if model.geom_bodyid[g] == body]
        names += [self.name("site", s) for s in range(model.nsite) if model.site_bodyid[s] == body]
        return [name for name in names if name]

    def locate(self, body: int) -> Array:
        """Return where the middle of a body is, seen in the root's frame, m."""
        rotation = self.data.xmat[self.tree.root].reshape(3, 3)
        return np.asarray(rotation.T @ (self.data.xipos[body] - self.data.xpos[self.tree.root]))


@dataclass(frozen=True)
class Robot:
    """The roles of a robot's own parts.

    Args:
        torso: the root's body; None for a robot that is fixed.
        up: axis of the torso that points up at the start.
        forward: axis of the torso that points where it goes.
        feet: parts that it stands on.
        hands: ends of its arms, where it has a pair.
        has_wheels: whether the feet are wheels.
    """

    torso: Part | None
    up: Axis = "+z"
    forward: Axis = "+x"
    feet: tuple[Part, ...] = ()
    hands: tuple[Part, ...] = ()
    has_wheels: bool = False
    guesses: dict[str, str] = field(default_factory=dict)


def find_robot(facts: Facts) -> Robot:
    """Find torso, its axes, feet and hands."""
    guesses, root = dict[str, str](), facts.tree.root
    if facts.tree.base == "fixed":
        return Robot(None)
    torso = Part(facts.find_place(root), "torso", root, (root,))
    up = _find_up(facts, guesses)
    forward, why = _find_forward(facts, up)
    guesses["forward"] = f"forward is the torso's {forward}: {why}"
    left = np.cross(read_axis(up), read_axis(forward))
    ends = _Ends(facts, read_axis(forward), left)
    feet = _find_feet(facts) if facts.stands else []
    hands = _find_hands(facts, feet)
    wheels = [foot for foot in feet if _is_wheel(facts, foot)]
    has_wheels = bool(wheels) and len(wheels) * 2 >= len(feet)
    word = "wheel" if has_wheels else "foot"
    if feet:
        named = ", ".join(facts.find_place(group[0]) for group in feet)
        guesses["feet"] = f"feet are what is lowest at the start: {named}"
    if hands:
        named = ", ".join(facts.find_place(group[0]) for group in hands)
        guesses["hands"] = f"hands are {named}"
    return Robot(
        torso=torso,
        up=up,
        forward=forward,
        feet=tuple(ends.name(feet, word)),
        hands=tuple(ends.name(hands, "hand")),
        has_wheels=has_wheels,
        guesses=guesses,
    )


def read_axis(axis: Axis) -> Array:
    """Return the unit vector ``(3,)`` of an axis."""
    vector = np.zeros(3)
    vector["xyz".index(axis[1])] = -1.0 if axis[0] == "-" else 1.0
    return vector


def find_axis(vector: Array) -> Axis:
    """Return the axis that a vector is nearest to."""
    return max(_AXES, key=lambda axis: float(read_axis(axis) @ vector))


def make_part(facts: Facts, body: int, fallback: str) -> Part:
    """Return a body as a part that is named by its own words."""
    where = facts.find_place(body)
    words = split_words(where.partition(":")[2])
    kept = [word for word in words if word not in ("link", "body", "geom", "site", "joint")]
    return Part(where, make_name(kept, fallback), body, (body,))


def _find_up(facts: Facts, guesses: dict[str, str]) -> Axis:
    """Return the torso's axis that is along the world's z at the start."""
    row = facts.data.xmat[facts.tree.root].reshape(3, 3)[2]
    up = find_axis(row)
    if abs(float(row @ read_axis(up))) < 0.95:
        guesses["up"] = f"up is the torso's {up}, though it is tilted at the start"
    return up


def _find_forward(facts: Facts, up: Axis) -> tuple[Axis, str]:
    """Return the torso's axis that points ahead, by what the model shows."""
    votes = dict[Axis, float]()
    reasons = dict[Axis, list[str]]()
    for vector, weight, reason in _list_evidence(facts, read_axis(up)):
        flat = vector - (vector @ read_axis(up)) * read_axis(up)
        length = float(np.linalg.norm(flat))
        if length < 0.03 * min(facts.size, 1.0):
            continue
        axis = find_axis(flat / length)
        if abs(float(read_axis(axis) @ flat)) < 0.8 * length:
            weight *= 0.5  # between two axes
        votes[axis] = votes.get(axis, 0.0) + weight
        reasons.setdefault(axis, []).append(reason)
    axis = max(votes, key=lambda axis: (votes[axis], -_AXES.index(axis)))
    return axis, "; ".join(dict.fromkeys(reasons[axis]))


def _list_evidence(facts: Facts, up: Array) -> Iterator[tuple[Array, float, str]]:
    """Yield directions in the torso's frame, how much they count, and why."""
    model, tree = facts.model, facts.tree
    rotation = facts.data.xmat[tree.root].reshape(3, 3)
    for joint in tree.root_joints[:1] if tree.base == "planar" else ():
        axis = model.jnt_axis[joint]
        if model.jnt_type[joint] == SLIDE and abs(axis[2]) < 0.5:
            is_x = has_word(facts.name("joint", joint), ("x", "rootx"))
            yield rotation.T @ axis, 1.0 + is_x, "the first slide of the root is along it"
    sides = _average_sides(facts)
    if {"front", "back"} <= sides.keys():
        yield sides["front"] - sides["back"], 4.0, "parts named front and back"
    if {"left", "right"} <= sides.keys():
        left = sides["left"] - sides["right"]
        yield np.cross(left, up), 3.0, "parts named left and right"
    head = _average_heads(facts)
    if head is not None:
        yield head, 2.0, "the head, eyes or nose lie there"
    reach = _look_at_feet(facts, up)
    if reach is not None:
        yield reach, 1.5, "feet reach ahead of their ankles"
    axes = [axis for axis in np.eye(3) if abs(axis @ up) < 0.5]
    yield axes[0], 0.5, f"the torso's own {'xyz'[int(np.argmax(axes[0]))]}, as is usual"


def _average_sides(facts: Facts) -> dict[str, Array]:
    """Return where parts of a side lie on average, by side, in the torso's frame.

    Only those count that have a sister on the other side: L_1 may be a bone of the back.
    """
    sides: dict[str, dict[tuple[str, ...], Array]] = {}
    for body in sorted(facts.tree.bodies - {facts.tree.root}):
        for name in facts.list_names(body):
            words = tuple(word for word in split_words(name) if not any(find_side(word)))
            end, side = find_side(name)
            for one, other in ((end, side), (side, end)):
                if one:
                    sides.setdefault(one, {})[(*words, other)] = facts.locate(body)
    found = dict[str, Array]()
    for one, other in (("left", "right"), ("front", "back")):
        paired = sorted(sides.get(one, {}).keys() & sides.get(other, {}).keys())
        for side in (one, other) if paired else ():
            found[side] = np.mean([sides[side][key] for key in paired], axis=0)
    return found


def _average_heads(facts: Facts) -> Array | None:
    """Return where heads, eyes and noses lie on average, in the torso's frame; None if none."""
    model, data, root = facts.model, facts.data, facts.tree.root
    rotation = data.xmat[root].reshape(3, 3)
    bodies = [b for b in facts.tree.bodies - {root} if has_word(facts.name("body", b), HEAD)]
    geoms = [
        geom
        for geom in range(model.ngeom)
        if model.geom_bodyid[geom] in facts.tree.bodies and has_word(facts.name("geom", geom), HEAD)
    ]
    places = [facts.locate(body) for body in sorted(bodies)]
    places += [rotation.T @ (data.geom_xpos[geom] - data.xpos[root]) for geom in geoms]
    return np.mean(places, axis=0) if places else None


def _look_at_feet(facts: Facts, up: Array) -> Array | None:
    """Return where feet reach, seen from their ankles, in the torso's frame; None if nowhere."""
    rotation = facts.data.xmat[facts.tree.root].reshape(3, 3)
    reaches = []
    for body in facts.leaves:
        if not any(has_word(name, ("foot", "feet")) for name in facts.list_names(body)):
            continue
        geoms = list_geoms(facts.model, body)
        reach = rotation.T @ (facts.data.geom_xpos[geoms].mean(axis=0) - facts.data.xpos[body])
        reaches.append(reach - (reach @ up) * up)
    if not reaches or np.linalg.norm(np.mean(reaches, axis=0)) < 0.01 * facts.size:
        return None
    return np.asarray(np.mean(reaches, axis=0))


def _find_feet(facts: Facts) -> list[list[int]]:
    """Return groups of bodies that a standing robot stands on, the lowest of each group first."""
    limbs = sorted(facts.tree.bodies - {facts.tree.root} - _find_arms(facts))
    limbs = [b for b in limbs if list_geoms(facts.model, b)]
    low = {body: facts.lowest(body) for body in limbs}
    bottom = min(low.values(), default=0.0)
    named = {b for b in limbs if any(has_word(name, FOOT) for name in facts.list_names(b))}
    # A wheel may also steer, or spin aloft; a foot is one wherever it is.
    wheels = {b for b in named if any(has_word(name, WHEEL) for name in facts.list_names(b))}
    named -= {b for b in wheels if low[b] > bottom + _LOW * facts.height}
    standing = {body for body in limbs if low[body] < bottom + _LOW * facts.height}
    groups = _join_neighbours(facts, named | standing)
    if named:
        groups = [g for g in groups if named & set(g) or not _reaches_named(facts, g, named)]
    deep = {body: len(list_ancestors(facts.model, body)) for body in limbs}
    feet = [
        sorted(named & set(group) or group, key=lambda b: (round(low[b], 2), -deep[b]))
        for group in groups
    ]
    feet = [foot if named & set(foot) else foot[:1] for foot in feet]
    unnamed = [group for group in groups if not named & set(group)]
    is_crawler = any(len(group) > 0.5 * len(limbs) > 1.5 for group in unnamed)
    return [] if is_crawler or len(feet) > _MOST_FEET else feet


def _reaches_named(facts: Facts, group: list[int], named: set[int]) -> bool:
    """Return whether a group's limb has a named foot elsewhere."""
    top = list_ancestors(facts.model, group[0])
    limb = next((b for b in reversed(top) if b != facts.tree.root), group[0])
    return bool(set(list_subtree(facts.model, limb)) & named)


def _find_arms(facts: Facts) -> set[int]:
    """Return bodies of limbs that a name calls an arm or a hand, and that stand on nothing."""
    arms = set[int]()
    for body in facts.tree.bodies - {facts.tree.root}:
        if has_word(facts.name("body", body), (*HAND, "arm", "forearm", "thumb", "gripper")):
            limb = set(list_subtree(facts.model, body))
            is_low = min(map(facts.lowest, limb)) < _LOW * facts.height
            arms |= set() if is_low else limb
    return arms


def _join_neighbours(facts: Facts, bodies: set[int]) -> list[list[int]]:
    """Group bodies that hang on one another."""
    groups: list[list[int]] = []
    for body in sorted(bodies):
        parent = int(facts.model.body_parentid[body])
        home = next((group for group in groups if parent in group), None)
        if home is None:
            groups.append([body])
        else:
            home.append(body)
    return groups


def _find_hands(facts: Facts, feet: list[list[int]]) -> list[list[int]]:
    """Return the ends of arms that come in a pair, by name."""
    taken = {b for foot in feet for one in foot for b in list_ancestors(facts.model, one)}
    taken |= {b for foot in feet for one in foot for b in list_subtree(facts.model, one)}
    found = dict[str, tuple[float, int]]()
    for body in sorted(facts.tree.bodies - taken):
        names = facts.list_names(body)
        words = [w for w in ("hand", "palm", "wrist") if any(has_word(n, [w]) for n in names)]
        side = find_side(names[0])[1] if names else ""
        if not words or not side:
            continue
        rank = ("hand", "palm", "wrist").index(words[0]) * 100 - facts.count_driven(body)
        found[side] = min(found.get(side, (np.inf, body)), (rank, body))
    return [[body] for _, body in found.values()] if len(found) == 2 else []


def _is_wheel(facts: Facts, foot: Part | list[int]) -> bool:
    bodies = foot.bodies if isinstance(foot, Part) else foot
    model = facts.model
    for body in bodies:
        joints = list_joints(model, body)
        turns = any(j in facts.tree.driven and not model.jnt_limited[j] for j in joints)
        round_kinds = {int(mujoco.mjtGeom.mjGEOM_CYLINDER), int(mujoco.mjtGeom.mjGEOM_SPHERE)}
        is_round = {int(model.geom_type[g]) for g in list_geoms(model, body)} <= round_kinds
        if turns and (is_round or any(has_word(n, WHEEL) for n in facts.list_names(body))):
            return True
    return False


class _Ends:
    """Names for ends of limbs: by the sides that the model names, else by where they are."""

    def __init__(self, facts: Facts, forward: Array, left: Array) -> None:
        self._facts, self._forward, self._left = facts, forward, left

    def name(self, groups: list[list[int]], word: str) -> Iterator[Part]:
        """Yield the parts, each with a name of its own."""
        for choose in (self._read_side, self._see_side):
            sides = [choose(group, groups) for group in groups]
            if len(sides) == 2 and "" in sides:  # of a pair that names but one
                sides = [side or _OPPOSITE.get(max(sides), "") for side in sides]
            if len(set(sides)) == len(groups) and (len(groups) == 1 or all(sides)):
                break
        else:
            sides = [str(i + 1) for i in range(len(groups))]
        for group, side in zip(groups, sides, strict=True):
            where = self._facts.find_place(group[0])
            name = f"{word}_{side}" if side.isdigit() else "_".join(filter(None, (side, word)))
            yield Part(where, name, group[0], tuple(group))

    def _read_side(self, group: list[int], groups: list[list[int]]) -> str:
        for body in list_ancestors(self._facts.model, group[0]):
            for name in self._facts.list_names(body):
                if name_side(name):
                    return name_side(name)
        return ""

    def _see_side(self, group: list[int], groups: list[list[int]]) -> str:
        places = [self._locate(one[0]) for one in groups]
        middle, size = np.mean(places, axis=0), self._facts.size
        here = self._locate(group[0]) - middle
        ahead, left = float(here @ self._forward), float(here @ self._left)
        end = "" if abs(ahead) < 0.05 * size else "front" if ahead > 0 else "back"
        side = "" if abs(left) < 0.02 * size else "left" if left > 0 else "right"
        return "_".join(filter(None, (end, side)))

    def _locate(self, body: int) -> Array:
        """Return the middle of a body's geoms in the root's frame, m."""
        facts, root = self._facts, self._facts.tree.root
        geoms = list_geoms(facts.model, body)
        rotation = facts.data.xmat[root].reshape(3, 3)
        middle = facts.data.geom_xpos[geoms].mean(axis=0) if geoms else facts.data.xpos[body]
        return np.asarray(rotation.T @ (middle - facts.data.xpos[root]))
