"""What the fields of a card are good for: roles found by their names, units and one-line docs.

And what a program may remember of them, so that each bit of progress is paid once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard, StateField

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_STANDING = re.compile(rf"{_NUMBER} (?:m )?standing|standing(?: at)? {_NUMBER}")
_START = re.compile(rf"{_NUMBER} (?:m )?at the start")
# Parts of a robot whose own height, speed or angle is not that of the whole.
_LIMB_WORDS = ("foot", "hand", "leg", "thigh", "shin", "head", "arm", "joint", "knee", "hip")
_LIMB = re.compile(r"(?:(.*)_)?(foot|hand)_(?:height|position)$")
_ALONG = re.compile(r"along (x|the track|the rail)")


@dataclass(frozen=True)
class Quantity:
    """A scalar (N,) of the simulations, as source text of the reward language.

    ``code`` has ``{s}`` in place of ``state`` or ``next_state``.
    """

    code: str
    range: tuple[float, float]
    doc: str

    def read(self, state: str = "next_state") -> str:
        """Return the code that reads it from a state."""
        return self.code.replace("{s}", state)


@dataclass(frozen=True)
class Limb:
    """A limb with a name such as ``front_left``; measures that the card lacks are None."""

    name: str
    height: Quantity | None
    contact: Quantity | None
    angles: tuple[Quantity, ...]


class Body:
    """The roles of a card's fields; a role is None where no field plays it."""

    def __init__(self, card: EnvCard) -> None:
        self.card = card
        self._find_speeds()
        self._find_posture()
        # Distances, m: to a target; from the hand to an object that it may handle; from that
        # object to where it is to be.
        self.distance = self._find("m", lambda f: "distance" in f.name and "object" not in f.name)
        self.object_distance = self._find("m", lambda f: f.name.endswith("to_object_distance"))
        self.object_goal_distance = self._find("m", lambda f: f.name.startswith("object_to"))
        # Contacts with the floor, 0 or 1 each: of the feet; of everything else.
        contacts = [f for f in card.state if f.unit == "0/1" and "contact" in f.name]
        self.foot_contacts = tuple(_scalar(f) for f in contacts if "foot" in f.name)
        self.body_contacts = tuple(_scalar(f) for f in contacts if "foot" not in f.name)
        # Limbs that end in a foot or a hand, in the order of the card.
        matches = [_LIMB.match(f.name) for f in card.state]
        names = ["_".join(filter(None, match.groups())) for match in matches if match]
        self.limbs = tuple(self._make_limb(name) for name in dict.fromkeys(names))

    def _find_speeds(self) -> None:
        """Find what moves: places in m, speeds in m/s, turns in rad/s."""
        self.x_position = self._find("m", lambda f: f.name == "x_position") or self._find_entry(
            "m", lambda f: f.name.endswith("torso_position") and f.size == 3, 0
        )
        self.forward_velocity = self._find("m/s", lambda f: "forward" in f.name) or self._find(
            "m/s", lambda f: _ALONG.search(f.doc) is not None, is_anywhere=True
        )
        self.com_forward_velocity = self._find_entry(
            "m/s", lambda f: "com" in f.name and f.size is not None, 0
        )
        self.sideways_velocity = self._find(
            "m/s", lambda f: "sideways" in f.name or "lateral" in f.name
        )
        self.vertical_velocity = self._find("m/s", lambda f: "vertical" in f.name)
        self.speed = self._measure_speed()
        self.joint_speed = self._measure_joints()
        pitching = self._find("rad/s", lambda f: "pitch" in f.name)
        self.pitch_rate = pitching or self._find_turning(1)
        # To the left; of the pitch where the robot is planar.
        self.yaw_rate = self._find_turning(2) or pitching

    def _find_posture(self) -> None:
        """Find how it holds itself: heights in m, angles in rad."""
        # Of the torso, else of the centre of mass; and the other way round.
        self.height = self._find("m", lambda f: f.name == "torso_height") or self._find(
            "m", lambda f: f.name.endswith("height")
        )
        self.com_height = self._find("m", lambda f: f.name == "com_height") or self.height
        self.lowest_point = self._find("m", lambda f: f.name == "lowest_point")
        # Cosine of the tilt: 1 upright, -1 upside down.
        self.up = self._find("1", lambda f: f.name.endswith("_up") or "1 upright" in f.doc)
        # Unwrapped, positive tips forward.
        self.pitch = self._find("rad", lambda f: f.name.endswith("pitch"))

    @property
    def standing_height(self) -> float:
        """Height of the torso when it stands, m: by the field's words, else by its range."""
        if self.height is None:
            return 0.0
        match = _STANDING.search(self.height.doc) or _START.search(self.height.doc)
        if match:
            return float(next(group for group in match.groups() if group))
        return 0.6 * self.height.range[1]

    def _measure_speed(self) -> Quantity | None:
        """Return the speed of the torso or the centre of mass in any direction."""
        vectors = [f for f in self.card.state if f.unit == "m/s" and f.size is not None]
        for word in ("torso", "com", ""):
            for field in vectors:
                if word in field.name:
                    code = f"np.linalg.norm({{s}}.{field.name}, axis=-1)"
                    return Quantity(code, (0.0, field.range[1]), field.doc)
        forward = self.forward_velocity
        if forward is None:
            return None
        return Quantity(f"np.abs({forward.code})", (0.0, forward.range[1]), forward.doc)

    def _measure_joints(self) -> Quantity | None:
        """Return the root mean square of the joints' velocities."""
        rates = [f for f in self.card.state if f.unit == "rad/s"]
        vector = next((f for f in rates if "joint" in f.name and f.size is not None), None)
        if vector:
            code = f"np.sqrt(np.mean(np.square({{s}}.{vector.name}), axis=-1))"
            return Quantity(code, (0.0, vector.range[1]), "root mean square of the joints")
        scalars = [f for f in rates if f.size is None]
        if not scalars:
            return None
        squares = " + ".join(f"np.square({{s}}.{f.name})" for f in scalars)
        top = max(f.range[1] for f in scalars)
        return Quantity(f"np.sqrt(({squares}) / {len(scalars)})", (0.0, top), "of all joints")

    def _make_limb(self, name: str) -> Limb:
        side = name.rpartition("_")[0]
        known = {f.name: f for f in self.card.state}
        height = known.get(f"{name}_height")
        position = known.get(f"{name}_position")
        contact = known.get(f"{name}_floor_contact")
        angles = [
            f
            for f in self.card.state
            if f.unit == "rad" and f.size is None and f.name.startswith(side)
        ]
        return Limb(
            name,
            _scalar(height) if height else _entry(position, 2) if position else None,
            _scalar(contact) if contact else None,
            tuple(_scalar(f) for f in angles if "torso" not in f.name),
        )

    def _find(
        self, unit: str, accepts: Callable[[StateField], bool], is_anywhere: bool = False
    ) -> Quantity | None:
        """Return the first scalar field that fits, one of the whole body before a limb's."""
        fields = [f for f in self.card.state if f.unit == unit and f.size is None and accepts(f)]
        whole = [f for f in fields if not any(word in f.name for word in _LIMB_WORDS)]
        chosen = whole or (fields if is_anywhere else [])
        return _scalar(chosen[0]) if chosen else None

    def _find_turning(self, axis: int) -> Quantity | None:
        return self._find_entry(
            "rad/s", lambda f: "angular_velocity" in f.name and f.size == 3, axis
        )

    def _find_entry(
        self, unit: str, accepts: Callable[[StateField], bool], index: int
    ) -> Quantity | None:
        """Return one entry of the first vector field that fits."""
        field = next((f for f in self.card.state if f.unit == unit and accepts(f)), None)
        return _entry(field, index) if field else None


def _scalar(field: StateField) -> Quantity:
    return Quantity(f"{{s}}.{field.name}", field.range, field.doc)


def _entry(field: StateField, index: int) -> Quantity:
    return Quantity(f"{{s}}.{field.name}[:, {index}]", field.range, field.doc)


# --- memory of a program --------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """Memory, and the lines that read and renew it.

    Args:
        name: which one; a program has at most one.
        initial: each entry with its expression (N,) of ``state``.
        lines: statements at the top of ``compute_reward``; they define ``next_memory``.
        doc: what is remembered.
    """

    name: str
    initial: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    doc: str


def make_distance_machine(body: Body, sign: str) -> Machine | None:
    """Return the memory of new ground (``gained``, m/s); None without a position along x."""
    if body.x_position is None:
        return None
    before, now = body.x_position.read("state"), body.x_position.read()
    lines = (
        f'farthest = np.maximum(memory["farthest"], {sign}{now})  # (N,) m',
        f'gained = (farthest - memory["farthest"]) / {body.card.control_dt:g}  # (N,) m/s',
        'next_memory = {"farthest": farthest}',
    )
    return Machine(
        "new_ground", (("farthest", f"{sign}{before}"),), lines, "The farthest point, m."
    )


# A turn begins at the last stance and is lost with the first wrong touch of the floor: what is
# rolled on the ground pays nothing.
_TURN_LINES = """\
angle = {angle}  # (N,) rad, growing the way of the flip
foot = {foot}
other = {other}
airborne = (1.0 - foot) * (1.0 - other)
standing = foot * (1.0 - other) * (np.cos(angle) > 0.85)
turn = angle - memory["start"]
is_landed = standing * memory["clean"] * (np.abs(turn - 2 * np.pi) < 0.6)
done = np.maximum(memory["done"], is_landed)
is_new = standing * (1.0 - done) > 0.5
upright_angle = 2 * np.pi * np.round(angle / (2 * np.pi))
start = np.where(is_new, upright_angle, memory["start"])
touched = np.maximum(other, foot * (np.cos(angle) < 0.0))
clean = np.where(is_new, 1.0, memory["clean"] * (1.0 - touched))
flown = np.clip(angle - start, 0.0, 2 * np.pi) * clean * airborne
best = np.maximum(memory["best"], flown)
turned = best - memory["best"]  # (N,) rad of new turn, paid once
peak = np.maximum(memory["peak"], {height} * clean * airborne)
next_memory = {"start": start, "clean": clean, "best": best, "done": done, "peak": peak}
"""


def make_turn_machine(body: Body, sign: str) -> Machine | None:
    """Return the memory of a flip: ``turned``, ``peak``, ``done``, ``standing`` and others.

    None if the card has no unwrapped pitch, no height or no contact of a foot.
    """
    if body.pitch is None or body.com_height is None or not body.foot_contacts:
        return None
    before = body.pitch.read("state")
    lines = (
        _TURN_LINES.replace("{angle}", f"{sign}{body.pitch.read()}")
        .replace("{foot}", write_largest(body.foot_contacts))
        .replace("{other}", write_largest(body.body_contacts))
        .replace("{height}", body.com_height.read())
    )
    initial = {
        "start": f"2 * np.pi * np.round({sign}{before} / (2 * np.pi))",
        "clean": f"np.ones_like({before})",
        "best": f"np.zeros_like({before})",
        "done": f"np.zeros_like({before})",
        "peak": body.com_height.read("state"),
    }
    doc = "Angle of the last stance, clean since then, turn paid, flip done, height paid."
    return Machine("turn", tuple(initial.items()), tuple(lines.splitlines()), doc)


def write_largest(measures: tuple[Quantity, ...]) -> str:
    """Return the code of the largest of measures read from ``next_state``; 0 without any."""
    if not measures:
        return "np.zeros(len(action))"
    if len(measures) == 1:
        return measures[0].read()
    return f"np.max(np.stack([{', '.join(measure.read() for measure in measures)}]), axis=0)"
