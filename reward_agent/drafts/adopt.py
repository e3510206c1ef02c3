"""What a tried meaning changes in a draft: parts, axes, words, numbers, each with its test.

Only what was not refused comes here. What was tried stands in the card as ``# tested``, what
nothing on the model can tell stays a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from reward_agent.definitions.meaning import Held, MeasureClaim, TriedMeaning
from reward_agent.drafts.field import DraftField, quote
from reward_agent.drafts.roles import Facts, Part, Robot, find_axis
from reward_agent.drafts.toml import TESTED
from reward_agent.drafts.tools import Handling
from reward_agent.drafts.words import make_name, split_words
from reward_agent.simulation.measures import list_subtree
from reward_agent.text import clean_text

_MOST_MARK_CHARS, _MOST_NOTE_CHARS = 160, 900


def adopt_robot(facts: Facts, robot: Robot, tried: TriedMeaning) -> Robot:
    """Return a robot with the torso's axes, the feet and the hands that hold."""
    if robot.torso is None:
        return robot
    guesses = dict(robot.guesses)
    changes: dict[str, object] = {"guesses": guesses}
    for key in ("up", "forward"):
        for held, torso in zip(tried.list_held(key), tried.list_held("torso"), strict=False):
            changes[key] = _turn_axis(facts, str(torso.value), str(held.value))
            guesses[key] = _mark(held, f"{key} is the torso's {held.value}")
    for key, word in (("feet", "foot"), ("hands", "hand")):
        found = tried.list_held(key)
        if found:
            changes[key] = tuple(_make_parts(facts, found, tried, word))
            guesses[key] = _mark(found[0], "", len(found))
    return replace(robot, **changes)  # type: ignore[arg-type]


def adopt_handling(facts: Facts, handling: Handling, tried: TriedMeaning) -> Handling:
    """Return the handling with the tool, object, target and fixture that hold."""
    guesses, changes = dict(handling.guesses), dict[str, object]()
    for key in ("tool", "object", "target", "fixture"):
        for held in tried.list_held(key):
            part = _make_part(facts, str(held.value), key)
            guesses[key] = _mark(held, f"the {key} is {held.value}")
            if key in ("tool", "target"):
                drafted = getattr(handling, key)
                # A drafted tool may know the point between its fingers.
                is_same = drafted is not None and drafted.place == part.place
                changes[key] = drafted if is_same else part
                continue
            plural = f"{key}s"
            others = [item for item in getattr(handling, plural) if item.body != part.body]
            changes[plural] = (part, *others)
    return replace(handling, guesses=guesses, **changes)  # type: ignore[arg-type]


def list_meant_fields(
    facts: Facts, tried: TriedMeaning, drafted: Iterable[DraftField]
) -> Iterator[DraftField]:
    """Yield a field for each sensor, tendon and distance that was tried, with its words."""
    known = {field.source for field in drafted}
    pairs = {_read_pair(field.source) for field in drafted} - {frozenset()}
    taken = {field.name for field in drafted}
    for held in tried.list_held("measures"):
        claim: MeasureClaim = held.value
        source, size = _write_source(facts, claim.source)
        words = split_words(claim.source.partition(":")[2]) if ":" in claim.source else []
        name = make_name(words, claim.quantity)
        if claim.source.startswith("distance"):
            places = re.findall(r"\w+:([^,)]+)", claim.source)
            name = make_name([w for place in places for w in split_words(place)], "distance")
            name = f"{name}_distance"
        if source in known or name in taken or _read_pair(source) in pairs:
            continue
        taken.add(name)
        yield DraftField(
            name, source, claim.unit, claim.doc, "measured", size, guess=_mark(held, claim.doc)
        )


def list_meant_notes(tried: TriedMeaning) -> Iterator[str]:
    """Yield what a positive number of each joint does, as far as it was tried."""
    parts = [
        f"{held.value.joint} moves {held.value.moves.partition(':')[2]} {held.value.positive}"
        for held in tried.list_held("joints")
        if held.said
    ]
    text = "; ".join(parts)
    if text:
        cut = text if len(text) <= _MOST_NOTE_CHARS else text[:_MOST_NOTE_CHARS].rpartition(";")[0]
        yield f"What a rising number of a joint does at the start (tested): {cut}."


def mark_start(tried: TriedMeaning, guess: str) -> str:
    """Return what a card's comment says of the start pose: its test, or that it is a guess."""
    return next((_mark(held, guess) for held in tried.list_held("start")), guess)


def describe_meant(tried: TriedMeaning) -> str:
    """Return the sentence about the robot; '' without one."""
    return "".join(str(held.value) for held in tried.list_held("description"))


def _turn_axis(facts: Facts, torso: str, axis: str) -> str:
    """Return an axis of a place's own frame as that of the root's, at the start."""
    kind, _, name = torso.partition(":")
    number = int(getattr(facts.model, kind)(name).id)
    frames = {"body": facts.data.xmat, "geom": facts.data.geom_xmat, "site": facts.data.site_xmat}
    column = frames[kind][number].reshape(3, 3)[:, "xyz".index(axis[1])]
    world = -column if axis[0] == "-" else column
    return find_axis(facts.data.xmat[facts.tree.root].reshape(3, 3).T @ world)


def _make_parts(
    facts: Facts, found: Iterable[Held], tried: TriedMeaning, word: str
) -> Iterator[Part]:
    """Yield parts by their limbs' names, each once."""
    limbs = {held.value.place: held.value.limb for held in tried.list_held("limbs")}
    taken = set[str]()
    for number, held in enumerate(found):
        name = limbs.get(held.value, f"{word}_{number + 1}")
        name = name if word in name.split("_") else f"{name}_{word}"
        name = name if name not in taken else f"{name}_{number + 1}"
        taken.add(name)
        yield replace(_make_part(facts, held.value, name), name=name)


def _make_part(facts: Facts, place: str, name: str) -> Part:
    kind, _, own = place.partition(":")
    number = int(getattr(facts.model, kind)(own).id)
    model = facts.model
    owners = {"geom": model.geom_bodyid, "site": model.site_bodyid, "joint": model.jnt_bodyid}
    body = int(owners[kind][number]) if kind in owners else number
    bodies = list_subtree(model, body) if kind == "body" else [body]
    return Part(place, name, body, tuple(bodies))


def _write_source(facts: Facts, source: str) -> tuple[str, int | None]:
    """Return a measure as the card's language says it, and how many numbers it has."""
    kind, _, name = source.partition(":")
    if kind == "sensor":
        dim = int(facts.model.sensor(name).dim[0])
        return quote(source), dim if dim > 1 else None
    if kind == "tendon":
        return f"{quote(source)}.length", None
    places = [place.strip() for place in source[len("distance(") : -1].split(",")]
    return f"distance({', '.join(map(quote, places))})", None


def _read_pair(source: str) -> frozenset[str]:
    """Return the two places whose distance a source is; none for another."""
    found = re.fullmatch(r"(?:norm\(subtract|distance)\((.+?), (.+?)\)+", source)
    return (
        frozenset(part.removesuffix(".xpos") for part in found.groups()) if found else frozenset()
    )


def _mark(held: Held, guess: str, count: int = 1) -> str:
    """Return what a card's comment says of a claim: its test, or that it is a guess."""
    if not held.said:
        return guess
    many = f"each of {count}; the first: " if count > 1 else ""
    return TESTED + clean_text(many + held.said, _MOST_MARK_CHARS)
