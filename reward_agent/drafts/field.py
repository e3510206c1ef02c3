"""A field of a drafted card, and how its source names things of the model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from reward_agent.definitions.roles import ROLES, find_usual_role
from reward_agent.definitions.sources import quote_name
from reward_agent.drafts.roles import Facts, Part
from reward_agent.drafts.tree import call


@dataclass(frozen=True)
class DraftField:
    """A field on its way into a card, before its range is measured.

    Args:
        name: of the field.
        source: where it comes from.
        unit: its own.
        doc: what it is, and its sign.
        group: heading on the card.
        size: of a vector.
        role: one of ROLES.
        limb: whose it is.
        bounds: what its range is to hold; None: what is measured.
        is_needed: whether it stays, though nothing random moves it.
        guess: what of it was guessed.
    """

    name: str
    source: str
    unit: str
    doc: str
    group: str = ""
    size: int | None = None
    role: str | None = None
    limb: str = ""
    bounds: tuple[float, float] | None = None
    is_needed: bool = False
    guess: str = ""

    @property
    def is_for_people(self) -> bool:
        """Whether a designer is not to read it: verdicts, and what the environment pays."""
        return self.group == "verdict"

    def to_row(self) -> dict[str, Any]:
        """Return it as a card says it."""
        row: dict[str, Any] = {"name": self.name, "group": self.group, "source": self.source}
        if self.size is not None:
            row["size"] = self.size
        row["unit"] = self.unit
        if self.role is not None:
            row["role"] = self.role
        elif find_usual_role(self.name, self.unit, self.size):
            row["role"] = ""
        if self.limb and self.role:
            row["limb"] = self.limb
        row["range"] = list(self.bounds) if self.bounds else [-1e6, 1e6]
        if self.is_for_people:
            row["people_only"] = True
        return row | {"doc": self.doc}


def play(role: str, source: str, doc: str, name: str = "", **more: Any) -> DraftField:
    """Return a field that plays a role: of its unit and size, and, without another, of its name."""
    row = ROLES[role]
    facts = {"unit": row.unit, "size": row.size, "role": role, **more}
    return DraftField(name=name or role, source=source, doc=doc, **facts)


# --- sources -------------------------------------------------------------------------------------


def quote(place: str) -> str:
    """Return ``kind:name`` as sources write it: odd names in single quotes."""
    kind, _, name = place.partition(":")
    return f"{kind}:{quote_name(name)}"


def refer(facts: Facts, kind: str, number: int) -> str:
    """Return how sources name something: by its number where it has no name."""
    return quote(f"{kind}:{call(facts.model, kind, number)}")


def refer_tree(facts: Facts, body: int) -> str:
    """Return how sources name a body with all that hangs on it."""
    return refer(facts, "body", body).replace("body:", "subtree:", 1)


def bare(place: str) -> str:
    """Return the name of ``kind:name``."""
    return place.partition(":")[2]


def read_place(part: Part) -> str:
    """Return the source of where a part is."""
    if part.offset is None:
        return f"{quote(part.place)}.xpos"
    return f"{quote(part.place)}.point({', '.join(f'{x:g}' for x in part.offset)})"


def read_height_of_axis(frame: str, axis: str) -> str:
    """Return the source of the z of an axis of a frame: 1 where it points up."""
    source = f"{frame}.xmat[{6 + 'xyz'.index(axis[1])}]"
    return source if axis[0] == "+" else f"scale({source}, -1)"


def read_joints(facts: Facts, joints: Iterable[int], array: str) -> str:
    """Return the source of entries of qpos or qvel: slices, as few as there can be."""
    addresses = facts.model.jnt_qposadr if array == "qpos" else facts.model.jnt_dofadr
    runs: list[list[int]] = []
    for row in (int(addresses[joint]) for joint in joints):
        if runs and row == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([row, row + 1])
    parts = [f"{array}[{start}:{stop}]" for start, stop in runs]
    return parts[0] if len(parts) == 1 else f"concat({', '.join(parts)})"
