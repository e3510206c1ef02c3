"""What a card measures of a robot, by the roles that its fields play.

And what a program may remember of them, so that each bit of progress is paid once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.roles import COMMANDS

_GRAVITY = 9.81  # m/s²
_ALONG_X = 0.3  # rad
# What stands in where no field plays a role; in a plane every turn is of the pitch.
_STAND_INS = {"height": "com_height", "com_height": "height", "yaw_rate": "pitch_rate"}
_LIMB_KINDS = {
    "foot_contact": "foot",
    "foot_height": "foot",
    "foot_position": "foot",
    "hand_height": "hand",
    "hand_position": "hand",
}
# Different words for one side of a robot.
_SAME_SIDE = {"hind": "back", "rear": "back"}


@dataclass(frozen=True)
class Quantity:
    """A scalar (N,) of the simulations, as source text of the reward language.

    Args:
        code: with ``{s}`` in place of ``state`` or ``next_state``.
        range: what the card says of it.
        rest: its value in the start pose, None where the card says none.
        name: of the field.
    """

    code: str
    range: tuple[float, float]
    rest: float | None = None
    name: str = ""

    @property
    def top(self) -> float:
        """About the most that a distance is: twice what it is at the start, else of its range."""
        return min(2 * self.rest, self.range[1]) if self.rest else self.range[1]

    def read(self, state: str = "next_state") -> str:
        """Return the code that reads it from a state."""
        return self.code.replace("{s}", state)


@dataclass(frozen=True)
class Limb:
    """A limb with a name such as ``front_left_foot``; measures that the card lacks are None."""

    name: str
    kind: str
    height: Quantity | None
    contact: Quantity | None
    angles: tuple[Quantity, ...]
    place: str | None

    @property
    def words(self) -> set[str]:
        """The words of its name, and what it is."""
        return {*normalise(self.name.split("_")), self.kind}


class Body:
    """What a card measures, by role."""

    def __init__(self, card: EnvCard) -> None:
        self.card = card
        # Contacts with the floor, 0 or 1 each: of the feet; of what may not touch it. What does in
        # the start pose may, and where no foot is known nothing is forbidden.
        self.foot_contacts = self.list_all("foot_contact")
        others = [part for part in self.list_all("body_contact") if not (part.rest or 0.0) > 0.5]
        self.body_contacts = tuple(others) if self.foot_contacts else ()
        plays = [field.plays for field in card.state if field.plays[0] in _LIMB_KINDS]
        kinds = {limb: _LIMB_KINDS[role] for role, limb in plays}
        self.limbs = tuple(self._make_limb(limb, kind) for limb, kind in kinds.items())

    def find(self, role: str, limb: str = "") -> Quantity | None:
        """Return what measures a scalar role, or what stands in for it."""
        found = self.card.find_quantity(role, limb)
        if found is None and role in _STAND_INS:
            found = self.card.find_quantity(_STAND_INS[role], limb)
        return _measure(*found) if found else None

    def list_all(self, role: str) -> tuple[Quantity, ...]:
        """Return every field that plays a scalar role."""
        return tuple(_measure(field) for field in self.card.list_roles(role))

    def list_named(self, role: str, words: Collection[str]) -> list[Quantity]:
        """Return what measures a scalar role of the limbs that the words name best."""
        fields = self.card.list_roles(role)
        shared = [len(normalise(words) & normalise(f.plays[1].split("_"))) for f in fields]
        pairs = zip(fields, shared, strict=True)
        return [_measure(field) for field, n_words in pairs if n_words == max(shared)]

    def find_nearest(self, role: str, words: Collection[str] = ()) -> Quantity | None:
        """Return a distance: of the limb that the words name best, the least of equals."""
        measures = self.list_named(role, words)
        if len(measures) < 2:
            return next(iter(measures), None)
        code = f"np.min(np.stack([{', '.join(measure.code for measure in measures)}]), axis=0)"
        rests = [measure.rest for measure in measures if measure.rest is not None]
        return Quantity(code, max(measure.range for measure in measures), max(rests, default=None))

    def find_command(self, role: str) -> Quantity | None:
        """Return what says how large a measure is to be; None without such a field."""
        return self.find(COMMANDS[role]) if role in COMMANDS and self.find(role) else None

    @property
    def faces_x(self) -> bool:
        """Whether forward is along the world's x at the start, as far as is known."""
        heading = self.find("heading")
        return heading is None or abs(heading.rest or 0.0) < _ALONG_X

    @property
    def com_forward_velocity(self) -> Quantity | None:
        """Velocity of the centre of mass along x, if that is forward."""
        field = self.card.find_role("com_velocity")
        return _measure(field, 0) if field and self.faces_x else None

    @property
    def standing_height(self) -> float:
        """Height of the torso when it stands, m: as the card says, else by its range."""
        height = self.find("height")
        if height is None:
            return 0.0
        return 0.6 * height.range[1] if height.rest is None else height.rest

    def measure_speed_at(self, froude: float, otherwise: float) -> float:
        """Return the speed of a gait of that Froude number, m/s; otherwise without a known height.

        Source: Alexander, "The gaits of bipedal and quadrupedal animals", 1984: animals of any size
        walk and run alike at like Fr = v² / (g h), h their hip's height.
        """
        height = self.find("height")
        if height is None or height.rest is None or height.rest <= 0:
            return otherwise
        return float(f"{math.sqrt(froude * _GRAVITY * height.rest):.2g}")

    @property
    def speed(self) -> Quantity | None:
        """Speed of the torso, or the centre of mass, in any direction."""
        for role in ("velocity", "com_velocity"):
            field = self.card.find_role(role)
            if field:
                return Quantity(f"np.linalg.norm({{s}}.{field.name}, axis=-1)", field.range)
        forward = self.find("forward_velocity")
        return forward and Quantity(f"np.abs({forward.code})", forward.range)

    @property
    def joint_speed(self) -> Quantity | None:
        """Root mean square of the joints' velocities."""
        vectors = self.card.list_roles("joint_velocities")
        if vectors:
            squares = [f"np.mean(np.square({{s}}.{field.name}), axis=-1)" for field in vectors]
        else:
            squares = [f"np.square({joint.code})" for joint in self.list_all("joint_velocity")]
        if not squares:
            return None
        mean = f"({' + '.join(squares)}) / {len(squares)}"
        return Quantity(f"np.sqrt({squares[0] if len(vectors) == 1 else mean})", (0.0, 1.0))

    def _make_limb(self, name: str, kind: str) -> Limb:
        angles = [field for field in self.card.list_roles("joint_angle") if field.plays[1] == name]
        contact = self.find(f"{'foot' if kind == 'foot' else 'body'}_contact", name)
        place = self.card.find_role(f"{kind}_position", name)
        return Limb(
            name,
            kind,
            self.find(f"{kind}_height", name),
            contact,
            tuple(_measure(field) for field in angles),
            place.name if place else None,
        )


def normalise(words: Collection[str]) -> set[str]:
    """Return words with one for each side."""
    return {_SAME_SIDE.get(word, word) for word in words}


def _measure(field: StateField, index: int | None = None) -> Quantity:
    entry = "" if index is None else f"[:, {index}]"
    rest = field.rest if index is None else None
    return Quantity(f"{{s}}.{field.name}{entry}", field.range, rest, field.name)


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
    """Return the memory of new ground (``gained``, m/s); None without a position that way."""
    position = body.find("forward_position")
    if position is None or not body.faces_x:
        return None
    before, now = position.read("state"), position.read()
    lines = (
        f'farthest = np.maximum(memory["farthest"], {sign}{now})  # (N,) m',
        f'gained = (farthest - memory["farthest"]) / {body.card.control_dt:g}  # (N,) m/s',
        'next_memory = {"farthest": farthest}',
    )
    return Machine(
        "new_ground", (("farthest", f"{sign}{before}"),), lines, "The farthest point, m."
    )


_WHOLE_TURN = 6.2  # rad; an angle of less range starts again after half a turn
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
    pitch, height = body.find("pitch"), body.find("com_height")
    if pitch is None or height is None or not body.foot_contacts or pitch.range[1] < _WHOLE_TURN:
        return None
    before = pitch.read("state")
    lines = (
        _TURN_LINES.replace("{angle}", f"{sign}{pitch.read()}")
        .replace("{foot}", write_largest(body.foot_contacts))
        .replace("{other}", write_largest(body.body_contacts))
        .replace("{height}", height.read())
    )
    initial = {
        "start": f"2 * np.pi * np.round({sign}{before} / (2 * np.pi))",
        "clean": f"np.ones_like({before})",
        "best": f"np.zeros_like({before})",
        "done": f"np.zeros_like({before})",
        "peak": height.read("state"),
    }
    doc = "Angle of the last stance, clean since then, turn paid, flip done, height paid."
    return Machine("turn", tuple(initial.items()), tuple(lines.splitlines()), doc)


def make_pose_machine(body: Body) -> Machine | None:
    """Return the memory of the start pose (``strayed``, rad); None without the joints' angles."""
    fields = body.card.list_roles("joint_angles")
    if not fields:
        return None
    squares = [
        f'np.mean(np.square(next_state.{f.name} - memory["{f.name}"]), axis=-1)' for f in fields
    ]
    mean = squares[0] if len(squares) == 1 else f"({' + '.join(squares)}) / {len(squares)}"
    kept = ", ".join(f'"{f.name}": memory["{f.name}"]' for f in fields)
    lines = (f"strayed = np.sqrt({mean})  # (N,) rad", f"next_memory = {{{kept}}}")
    initial = tuple((f.name, f"state.{f.name}") for f in fields)
    return Machine("start_pose", initial, lines, "The start pose, rad.")


def make_way_machine(measure: Quantity, sign: str) -> Machine:
    """Return the memory of where something was at the start (``way``: how far it is from it)."""
    lines = (
        f'way = {sign}({measure.read()} - memory["begun"])  # (N,)',
        'next_memory = {"begun": memory["begun"]}',
    )
    initial = (("begun", measure.read("state")),)
    return Machine("way", initial, lines, "Where it was at the start.")


def write_largest(measures: Sequence[Quantity]) -> str:
    """Return the code of the largest of measures read from ``next_state``; 0 without any."""
    if not measures:
        return "np.zeros(len(action))"
    if len(measures) == 1:
        return measures[0].read()
    return f"np.max(np.stack([{', '.join(measure.read() for measure in measures)}]), axis=0)"
