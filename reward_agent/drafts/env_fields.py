"""The fields of a card that is drafted from an environment: its observation's entries, its info."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reward_agent.definitions.roles import ROLES
from reward_agent.definitions.sources import quote_name
from reward_agent.definitions.tables import make_plain
from reward_agent.drafts.docstring import Docstring
from reward_agent.drafts.entries import EnvEntry, Leaf, find_axis
from reward_agent.drafts.env_info import MOST_DOC_CHARS, NOT_KNOWN, read_info
from reward_agent.drafts.field import DraftField
from reward_agent.drafts.survey import Survey
from reward_agent.drafts.words import TARGET, Names, has_word, make_name, split_words

_MOST_NAME_CHARS = 40
_MOST_WIDER = 30.0  # times what was seen: a space that is wider says nothing
_AXES = {"position": "xyz", "place": "xyz", "difference": "xyz", "rate": "xyz", "rotation": "wxyz"}
_KEPT_WORDS = re.compile(
    r"\(.*?\)|\b(the|a|an|of|in|on|at|to|its|that|which|is|from|for|with|by|be|direction|"
    r"coordinates?|value|simulation|mujoco)\b",
    re.IGNORECASE,
)
_TOOL_WORDS = ("fingertip", "gripper", "palm", "tool", "effector", "tcp", "grasp", "hand", "tips")
_OBJECT_WORDS = ("object", "puck", "cube", "block", "box", "ball")


@dataclass(frozen=True)
class EnvFields:
    """What a card of an environment has.

    Args:
        fields: all, in groups.
        success: field of the environment's own verdict; '' if it has none.
        said: what a person should know.
        goal: what is wanted of goals: 'reach' or 'place'; '' where there are none.
    """

    fields: tuple[DraftField, ...]
    success: str = ""
    said: tuple[str, ...] = ()

    def find(self, role: str) -> DraftField | None:
        """Return the first field that plays a role."""
        return next((field for field in self.fields if field.role == role), None)


def make_fields(
    survey: Survey, entries: Sequence[EnvEntry], leaves: Sequence[Leaf], doc: Docstring
) -> EnvFields:
    """Return the fields of an environment."""
    names = Names(["observation"])
    fields = list[DraftField]()
    for leaf in leaves:
        ours = [entry for entry in entries if entry.leaf == leaf]
        if f"{leaf.source}/number" in survey.names:
            fields.append(_make_number(leaf, survey, names))
            continue
        parts = [part.name for part in doc.parts for _ in range(part.size)]
        parts = parts if len(parts) == len(ours) else [""] * len(ours)
        for run in _list_runs(ours, parts):
            field = _make_field(run, survey, names, parts[run[0].index])
            if field is not None:
                fields.append(_play_root(field, run, survey))
    fields = [_play_by_name(field) for field in fields]
    fields += _derive(fields, leaves, entries, names)
    verdict, success, said = read_info(survey, names, doc.info)
    fields += verdict
    reward = DraftField(
        names.take("own_reward"), "reward", "1", "the environment's own reward of the step that "
        "led here", "verdict", is_needed=True, bounds=_find_paid(survey),
    )  # fmt: skip
    all_fields = [*_keep_first(fields), reward]
    groups = list(dict.fromkeys(field.group for field in all_fields))
    all_fields.sort(key=lambda field: groups.index(field.group))
    return EnvFields(tuple(all_fields), success, tuple(said))


# --- entries -------------------------------------------------------------------------------------


def _list_runs(entries: Sequence[EnvEntry], parts: Sequence[str]) -> Iterator[list[EnvEntry]]:
    """Yield entries that make a field together: x, y, z of one thing, or what nobody names.

    Args:
        entries: of an array.
        parts: for each, the part of the array that it is said to be in; '' where nobody says.
    """
    i = 0
    while i < len(entries):
        n = 0 if parts[i] and not entries[i].text else _count_axes(entries, i)
        n = n or _count_part(entries, parts, i) or _count_alike(entries, i) or 1
        yield list(entries[i : i + n])
        i += n


def _count_axes(entries: Sequence[EnvEntry], start: int) -> int:
    """Return how many entries are the axes of one thing, in their order; 0 if none."""
    first = entries[start].signal
    if first is None or not first.axis or first.kind not in _AXES:
        return 0
    axes = _AXES[first.kind]
    base = first.label.removesuffix(f", {first.axis}")
    for n in (len(axes), 2) if first.kind != "rotation" else (4,):
        others = [entry.signal for entry in entries[start : start + n]]
        labels = [signal.label if signal else "" for signal in others]
        if labels == [f"{base}, {axis}" for axis in axes[:n]]:
            return n
        # What does not move, such as the height of a thing on a table, is not recognised.
        is_still = n == 3 and len(others) == 3 and entries[start + 2].fact.is_constant
        text = entries[start + 2].text if is_still else ""
        if text and find_axis(text) == "z" and labels[:2] == [f"{base}, x", f"{base}, y"]:
            return 3
    return 0


def _count_part(entries: Sequence[EnvEntry], parts: Sequence[str], start: int) -> int:
    """Return how many entries without a name follow each other in one part; 0 if in none."""
    if not parts[start] or entries[start].text:
        return 0
    n = 1
    while start + n < len(entries) and parts[start + n] == parts[start]:
        if entries[start + n].text:
            break
        n += 1
    return n


def _count_alike(entries: Sequence[EnvEntry], start: int) -> int:
    """Return how many entries that nobody names follow each other, of one kind; 0 if one does."""
    family = _find_family(entries[start])
    if family is None:
        return 0
    n = 1
    while start + n < len(entries) and _find_family(entries[start + n]) in (family, "still"):
        n += 1
    return n


def _find_family(entry: EnvEntry) -> str | None:
    """Return what an entry without a name is one of; None where it has one."""
    if entry.text or entry.fact.trig or (entry.signal and entry.signal.kind in _AXES):
        return None
    if entry.signal is not None:
        return entry.signal.label.split(" of ")[0]
    return "still" if entry.fact.is_constant else "unknown"


def _make_field(
    run: Sequence[EnvEntry], survey: Survey, names: Names, part: str
) -> DraftField | None:
    """Return the field of entries that belong together; None where none of them ever moved."""
    first = run[0]
    if all(entry.fact.is_constant for entry in run):
        return None
    size = len(run) if len(run) > 1 else None
    is_part = bool(part) and not first.text and size is not None
    end = first.index + len(run)
    place = f"[{first.index}:{end}]" if size else f"[{first.index}]"
    is_all = size == first.leaf.size or first.leaf.is_single
    signal = first.signal
    ends = _find_ends(run, survey)
    if signal and signal.kind in ("sine", "cosine", "rotation"):
        ends = (-1.0, 1.0)
    return DraftField(
        name=names.take(make_name(split_words(part), "part") if is_part else _name_run(run)),
        source=first.leaf.written + ("" if is_all else place),
        unit=NOT_KNOWN if is_part else first.unit or NOT_KNOWN,
        doc=_describe_part(run, part) if is_part else _describe(run),
        group=_name_group(first.leaf),
        size=size,
        bounds=ends if ends[0] < ends[1] else None,
    )


def _name_group(leaf: Leaf) -> str:
    """Return the heading of an array's fields; a key may be called as one of our own headings."""
    return leaf.source if leaf.key in ("info", "verdict", "made", "") else leaf.key


def _find_ends(run: Sequence[EnvEntry], survey: Survey) -> tuple[float, float]:
    """Return what was seen, or what the space allows, where that is not much wider."""
    low, high = min(e.fact.low for e in run), max(e.fact.high for e in run)
    rows = [entry.place for entry in run]
    least, most = float(survey.low[rows].min()), float(survey.high[rows].max())
    is_near = np.isfinite((least, most)).all() and most - least < _MOST_WIDER * (high - low)
    if is_near:
        return min(low, least), max(high, most)
    own = _find_joint_limits(run[0], survey)
    return min(low, own[0]), max(high, own[1])


def _find_joint_limits(entry: EnvEntry, survey: Survey) -> tuple[float, float]:
    """Return the limits of the joint whose position an entry is; else what was seen."""
    own, signal = (entry.fact.low, entry.fact.high), entry.signal
    if signal is None or survey.model is None or signal.kind != "position":
        return own
    return survey.model.limits.get(signal.names[0], own)


def _name_run(run: Sequence[EnvEntry]) -> str:
    entry = run[0]
    is_apart = entry.signal is not None and entry.signal.kind == "difference"
    if entry.text and not (is_apart and len(run) > 1):
        text = entry.text
        if len(run) > 1:
            text = re.sub(r"\b[wxyz][- ](?=\w)|(?:in|along) the [wxyz]\b[- ]?\w*", "", text)
            kind = entry.signal.kind if entry.signal else ""
            text += {"place": " position", "rotation": ""}.get(kind, "")
        return shorten(text)
    if entry.signal and (len(run) == 1 or entry.signal.axis):
        return _name_signal(entry, len(run))
    if entry.signal:
        return make_name(split_words(entry.signal.label.split(" of ")[0]), "entries")
    if entry.fact.trig:
        return make_name([entry.fact.trig, str(entry.index)], "entry")
    if entry.leaf.key and len(run) == entry.leaf.size:
        return make_name(split_words(entry.leaf.key), "part")
    if len(run) == 1:
        return make_name([*split_words(entry.leaf.key or "observation"), str(entry.index)], "entry")
    return make_name([*split_words(entry.leaf.key or "observation"), "entries"], "entries")


def _name_signal(entry: EnvEntry, size: int) -> str:
    assert entry.signal is not None
    what, _, rest = entry.signal.label.partition(" of ")
    words = split_words(entry.signal.names[0])
    if "seen from" in rest:
        words += ["from", *split_words(entry.signal.names[-1])]
    what = {"place": "" if "seen from" in rest else "position"}.get(what, what)
    axis = [entry.signal.axis] if entry.signal.axis and size == 1 else []
    return make_name([*words, *split_words(what), *axis], "entry")


def shorten(text: str) -> str:
    """Return a field's name for what a docstring calls it: 'angle of the torso' → torso_angle."""
    text = re.sub(r"\s+", " ", text.partition(" = ")[2] or text)
    axis = find_axis(text)
    text = re.sub(rf"\b{axis}[- ](?=coordinate|position|value)", "", text) if axis else text
    bare = re.sub(r"\([^)]*\)", "", text)
    parts = [part for part in re.split(r"\bof\b", bare) if part.strip()]
    words = list[str]()
    for part in reversed(parts):
        words += [word for word in split_words(_KEPT_WORDS.sub(" ", part)) if word not in words]
    is_turning = "angular" in words and "velocity" in words
    words = [word for word in words if not (is_turning and word == "angle")]
    if axis and axis not in words:
        words.append(axis)
    while len("_".join(words)) > _MOST_NAME_CHARS and len(words) > 1:
        words.pop(0)
    return make_name(words, "entry")


def _describe(run: Sequence[EnvEntry]) -> str:
    """Say what a field is, and whether that was tried."""
    first, words = run[0], _say(run)
    is_rate = not first.text and not first.fact.trig and len(run) == 1
    if is_rate and first.fact.rate_of is not None:
        trig = first.fact.rate_of_trig
        whose = f"the angle whose {trig} is " if trig else ""
        words += f"; it is the rate of {whose}{first.name_other(first.fact.rate_of)}"
    n_still = sum(entry.fact.is_constant for entry in run)
    if n_still and len(run) > 1:
        words += f"; {n_still} of them were always the same"
    if not first.unit:
        words += "; its unit is not known"
    return make_plain(words, MOST_DOC_CHARS)


def _say(run: Sequence[EnvEntry]) -> str:
    """Return what entries are called: by the docstring, by MuJoCo, by what was found; or where."""
    first, last, label = run[0], run[-1], _label(run)
    if first.text and first.status == "checked":
        words = f"{first.text}{f' to {last.text}' if len(run) > 1 else ''}"
        if first.report:  # of the unit, which may stand in the text, too
            words = re.sub(r"\s*\([^)]*\)", "", words)
        return f"{words}: {label}" if label else words
    if first.text:
        return f"{first.text} (says the docstring; that could not be tried)"
    if label:
        return label
    if first.fact.trig and first.fact.turn is not None:
        other = "sine" if first.fact.trig == "cosine" else "cosine"
        beside = first.name_other(first.fact.turn)
        return f"{first.fact.trig} of an angle whose {other} is {beside}"
    if first.leaf.key and len(run) == first.leaf.size:
        return f"{first.leaf.key} of the observation: nothing tells more than its name"
    place = f"entries {first.index} to {last.index}" if len(run) > 1 else f"entry {first.index}"
    return f"{place} of {first.leaf.source}: nothing tells what"


def _label(run: Sequence[EnvEntry]) -> str:
    """Return what the simulator calls entries; '' where it does not."""
    signal = run[0].signal
    if signal is None or len(run) == 1:
        return signal.label if signal else ""
    if signal.axis:
        axes = ", ".join(_AXES[signal.kind][: len(run)])
        return f"{signal.label.rpartition(',')[0]}: {axes}"
    return f"from {signal.label} on"


def _describe_part(run: Sequence[EnvEntry], part: str) -> str:
    """Say of which part of the observation entries are, and whether MuJoCo says so, too."""
    told = [entry.signal for entry in run if entry.signal is not None]
    n_same = sum(part in signal.label for signal in told)
    by = f"{n_same} of them are, says MuJoCo" if n_same else "says the docstring; not tried"
    n_still = sum(entry.fact.is_constant for entry in run)
    still = f"; {n_still} of them were always the same" if n_still else ""
    return f"{part}: {len(run)} numbers ({by}){still}; units are not known"


def _make_number(leaf: Leaf, survey: Survey, names: Names) -> DraftField:
    source = f"{leaf.source}/number"
    size = survey.names[source][1] or None
    words = split_words(leaf.key) or ["state"]
    return DraftField(
        names.take(make_name([*words, "number"], "part")),
        quote_name(source),
        NOT_KNOWN,
        f"which of {leaf.size} it is, from 0; a policy sees {leaf.size} numbers, one of them 1",
        _name_group(leaf),
        size,
        bounds=(0.0, float(leaf.size - 1)) if size is None else None,
    )


# --- roles ---------------------------------------------------------------------------------------


def _play_root(field: DraftField, run: Sequence[EnvEntry], survey: Survey) -> DraftField:
    """Return the field with its role, if it is of the root of a robot that MuJoCo simulates."""
    entry, signal = run[0], run[0].signal
    if survey.model is None or signal is None:
        return field
    is_root = bool(set(survey.model.root_joints) & set(signal.names))
    if not is_root or signal.kind not in ("position", "rate", "rotation"):
        return field
    axes = signal.axis if len(run) == 1 else _AXES[signal.kind][: len(run)]
    is_height = any("place of body" in s.label and s.axis == "z" for s in entry.fact.signals)
    role, name, sign = {
        ("position", "m", "z"): ("height" if is_height else "", "torso_height", 1),
        ("position", "m", "x"): ("forward_position", "x_position", 1),
        ("rate", "m/s", "x"): ("forward_velocity", "forward_velocity", 1),
        ("rate", "m/s", "y"): ("sideways_velocity", "sideways_velocity", 1),
        ("rate", "m/s", "z"): ("vertical_velocity", "vertical_velocity", 1),
        ("rate", "m/s", "xyz"): ("velocity", "torso_velocity", 1),
        ("rate", "rad/s", "xyz"): ("angular_velocity", "torso_angular_velocity", 1),
        ("rotation", "1", "wxyz"): ("orientation", "torso_orientation", 1),
        ("position", "rad", "y"): ("pitch", "torso_pitch", signal.sign),
        ("rate", "rad/s", "y"): ("pitch_rate", "torso_pitch_velocity", signal.sign),
    }.get((signal.kind, field.unit, axes), ("", "", 1))
    if not role:
        return field
    source = f"scale({field.source}, -1)" if sign < 0 else field.source
    turned = "; turned round, so that positive tips forward" if sign < 0 else ""
    return replace(field, name=name, source=source, role=role, doc=field.doc + turned)


def _play_by_name(field: DraftField) -> DraftField:
    """Return the field with the role that its words and its unit allow."""
    if field.role:
        return field
    words, unit, size = split_words(field.name), field.unit, field.size
    role = ""
    is_rate = unit in ("m/s", "rad/s")
    if "cart" in words and size is None:
        role = {"m": "forward_position", "m/s": "forward_velocity"}.get(unit, "")
    elif "pole" in words and size is None and unit == "rad":
        role = "pole_angle"
    elif "pole" in words and size is None and unit == "rad/s":
        role = "joint_velocity"
    elif size == 3 and unit == "m" and not is_rate and "from" not in words:
        role = next(
            (
                role
                for role, kinds in (
                    ("target_position", tuple(TARGET)),
                    ("tool_position", _TOOL_WORDS),
                    ("object_position", _OBJECT_WORDS),
                )
                if has_word(field.name, kinds)
            ),
            "",
        )
    name = role if role.endswith("_position") and size == 3 else field.name
    return replace(field, role=role, name=name) if role else field


def _keep_first(fields: Sequence[DraftField]) -> Iterator[DraftField]:
    """Yield the fields; of several with one role, but for limbs, the first alone plays it."""
    taken, names = set[str](), Names(["observation", "own_reward"])
    for field in fields:
        again = field.role in taken
        is_odd = field.role and ROLES[field.role].size not in (field.size, 0)
        if field.role and not again:
            taken.add(field.role)
        field = replace(field, role=None) if again or is_odd else field
        yield replace(field, name=names.take(field.name))


def _derive(
    fields: Sequence[DraftField],
    leaves: Sequence[Leaf],
    entries: Sequence[EnvEntry],
    names: Names,
) -> Iterator[DraftField]:
    """Yield what is made of other fields: distances, and how upright a pole is."""
    by_role = {field.role: field for field in fields if field.role}
    pole = by_role.get("pole_angle")
    if pole is not None:
        doc = "1 where the pole is upright, -1 where it hangs"
        yield DraftField(
            names.take("pole_up"), f"cos({pole.source})", "1", doc, "made", role="up",
            bounds=(-1.0, 1.0),
        )  # fmt: skip
    by_key = {leaf.key: leaf for leaf in leaves}
    goals = [by_key.get("achieved_goal"), by_key.get("desired_goal")]
    if goals[0] and goals[1] and goals[0].size == goals[1].size:
        is_object = _is_of_object(goals[0], entries)
        first, second = (goal.source for goal in goals if goal)
        units = {e.unit for e in entries if e.leaf in goals}
        is_metric = units == {"m"} or (units == {""} and goals[0].size <= 3)
        guess = "" if units == {"m"} else "that goals are places, in m"
        role = "object_target_distance" if is_object else "target_distance"
        yield DraftField(
            names.take("goal_distance"),
            f"norm(subtract({first}, {second}))",
            "m" if is_metric else "1",
            "how far what is reached (achieved_goal) is from what is wanted (desired_goal)",
            "made",
            role=role if is_metric else None,
            guess=guess if is_metric else "",
            is_needed=True,
        )
        if is_metric:
            return
    yield from _derive_distances(fields, entries, by_role, names)


def _is_of_object(leaf: Leaf, entries: Sequence[EnvEntry]) -> bool:
    """Whether what is to be at the goal is a thing that does not move by itself."""
    ours = [entry for entry in entries if entry.leaf == leaf]
    words = " ".join(f"{e.text} {' '.join(e.signal.names) if e.signal else ''}" for e in ours)
    return has_word(words, ("object", "block", "puck", "cube", "box"))


def _derive_distances(
    fields: Sequence[DraftField],
    entries: Sequence[EnvEntry],
    by_role: dict[str, DraftField],
    names: Names,
) -> Iterator[DraftField]:
    pairs = (
        ("tool_position", "target_position", "target_distance"),
        ("tool_position", "object_position", "object_distance"),
        ("object_position", "target_position", "object_target_distance"),
    )
    made = set[str]()
    for one, other, role in pairs:
        if one in by_role and other in by_role:
            a, b = by_role[one], by_role[other]
            what = role.removesuffix("_distance").replace("_", "_to_")
            yield DraftField(
                names.take(f"{what}_distance"), f"norm(subtract({a.source}, {b.source}))", "m",
                f"from {a.name} to {b.name}", "made", role=role, is_needed=True,
            )  # fmt: skip
            made.add(role)
    for field in fields:
        first = next((e for e in entries if e.signal and _is_at(field, e)), None)
        if field.size in (2, 3) and first and first.signal and first.signal.kind == "difference":
            is_goal = any(has_word(name, TARGET) for name in first.signal.names)
            role = "target_distance" if is_goal and "target_distance" not in made else ""
            made.add(role)
            yield DraftField(
                names.take(f"{field.name}_distance"), f"norm({field.source})", "m",
                f"length of {field.name}", "made", role=role or None, is_needed=True,
            )  # fmt: skip


def _is_at(field: DraftField, entry: EnvEntry) -> bool:
    return field.source.startswith(f"{entry.leaf.written}[{entry.index}:")


def _find_paid(survey: Survey) -> tuple[float, float] | None:
    low, high = min(survey.watched.rewards), max(survey.watched.rewards)
    # What an end pays may be much more, and was perhaps not seen.
    return (5 * min(low, 0.0), 5 * max(high, 0.0)) if low < high else None


def find_ranges(survey: Survey) -> tuple[float, float]:
    """Return a range that holds every observation that was seen."""
    seen = np.concatenate(survey.watched.episodes)
    finite = seen[np.isfinite(seen)]
    widest = float(np.abs(finite).max()) if finite.size else 1.0
    width = max(1.0, float(f"{1.5 * widest:.1g}"))
    return (-width, width)
