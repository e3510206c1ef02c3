"""One file from a program: its helpers, what calls it, and its fields in Gymnasium's words.

Fields are Python expressions over ``env.unwrapped.data`` of Gymnasium's environment. In them ``s``
is ``runtime.Physics``: ``s.data`` holds what the integrator keeps, ``s.now`` what is derived from
it, at the instant that the run read it.
"""

from __future__ import annotations

import ast
import builtins
import pprint
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import (
    INTEGRATED,
    Array,
    Attribute,
    Call,
    Drawn,
    Indexed,
    Measure,
    Source,
    parse_source,
)
from reward_agent.errors import DataError
from reward_agent.export.pieces import (
    drop_future_imports,
    find_bound_names,
    find_used_names,
    rename_globals,
    take_pieces,
)
from reward_agent.rewards.language import (
    LIBRARY_NAMES,
    MEMORY_ENTRY,
    MEMORY_PARAMETER,
    POTENTIAL_ENTRY,
    REWARD_ENTRY,
    split_names,
)
from reward_agent.rewards.source import find_read_fields
from reward_agent.simulation.backends import find_backend, find_infos
from reward_agent.text import parse_python

_OF_WRAPPER = ("FieldRewardWrapper", "concat")
_OF_PLAIN_WRAPPER = ("PlainRewardWrapper", "concat")
# Those of Gymnasium's environments whose own termination can be turned off.
_CAN_GO_ON = ("Ant", "Hopper", "Humanoid", "Walker2d")
# What comes of an environment's info; see ``simulation.gymnasium_host``.
_INFO = "info/"
_MOST_LITERAL_CHARS = 200_000
_TEMPLATE = Path(__file__).with_name("reward.py.j2")
# What the integrator keeps; and what a step leaves behind, the same in the run and outside.
_STEPPED = INTEGRATED | split_names("qacc qfrc_actuator actuator_force force")
# What MuJoCo computes from positions and velocities alone. Gymnasium computes the accelerations
# and forces of bodies (cacc, cfrc_…) where a batch does not, so those are not to be had.
_DERIVED = split_names(
    "xpos xquat xmat xipos ximat xanchor xaxis geom_xpos geom_xmat site_xpos site_xmat "
    "subtree_com cinert cvel cdof ten_length ten_velocity length velocity actuator_length "
    "actuator_velocity qfrc_bias"
)
_MEASURES = {
    "angular_momentum": "s.angular_momentum({name})",
    "angular_velocity": "s.angular_velocity({kind!r}, {name})",
    "com": "s.now.body({name}).subtree_com",
    "com_velocity": "s.com_velocity({name})",
    "contact": "s.touches({side}, {others})",
    "contact_force": "s.force({side}, {others})",
    "lowest": "s.lowest({kind!r}, {name}, {floors})",
    "velocity": "s.velocity({kind!r}, {name})",
}
_SENSED = ("s.touches(", "s.com_velocity(", "s.angular_momentum(")
_CALLS = {
    "add": "np.add({})",
    "clip": "np.clip({})",
    "concat": "concat({})",
    "cos": "np.cos({})",
    "level": "turn_level({})",
    "local": "turn_local({})",
    "norm": "np.linalg.norm({})",
    "pitch": "measure_pitch({})",
    "relative": "measure_rotation({})",
    "roll": "measure_roll({})",
    "scale": "np.multiply({})",
    "sin": "np.sin({})",
    "subtract": "np.subtract({})",
    "yaw": "measure_yaw({})",
}


class _Code(str):
    """Text that is Python: of this project's own, or of a program that passed the static rules."""

    __slots__ = ()


def compose_reward(
    card: EnvCard, source: str, metadata: dict[str, Any], has_own_termination: bool
) -> str:
    """Return the text of ``reward.py``.

    Args:
        card: the environment, with the task's changes.
        source: the program, which passed the static rules.
        metadata: what it is and where it came from, for a reader.
        has_own_termination: whether the task's healthy ranges replace the environment's.

    Raises:
        DataError: a field that the program reads cannot be had outside, or a value has no literal.
    """
    program = drop_future_imports(source)
    parts = {
        "title": metadata["task"],
        "metadata": _Code(_write_literal(metadata)),
        "gamma": card.learner.gamma,
        **_list_code(card, parse_python(program), has_memory(source), has_own_termination),
    }
    return _place_program(program, parts)


def _list_code(
    card: EnvCard, tree: ast.Module, remembers: bool, has_own_termination: bool
) -> dict[str, Any]:
    """Return what stands around a program: what it and its wrapper use."""
    # Fields can be read from an environment of Gymnasium's.
    is_wrapped = not find_hindrance(card)
    memory = MEMORY_ENTRY if remembers else None
    has_potential = _find_parameters(tree, POTENTIAL_ENTRY) == ("state",)
    potential = POTENTIAL_ENTRY if has_potential else None
    needed = find_used_names(tree) & LIBRARY_NAMES - find_bound_names(tree.body)
    library = take_pieces("rewards.library", frozenset(needed))
    of_wrapper = _OF_PLAIN_WRAPPER if find_plain_id(card) else _OF_WRAPPER
    roots = ["make_state", "RewardFunction", *(of_wrapper if is_wrapped else ())]
    runtime = take_pieces("export.runtime", frozenset(roots))
    environment = (
        _describe_environment(card, tree, has_own_termination) if is_wrapped else {"fields": None}
    )
    expressions = parse_python("\n".join(f["expression"] for f in environment["fields"] or ()))
    frames = take_pieces("simulation.measures", frozenset(find_used_names(expressions)))
    modules = {"import math", "import numpy as np"}
    if (environment.get("plain") or {}).get("function"):
        modules.add("import importlib")
    modules |= library.imports | frames.imports | runtime.imports
    return {
        "imports": _Code("\n".join(sorted(modules, key=str.split))),
        "library": _Code(library.text),
        "runtime": _Code("\n\n\n".join(filter(None, [frames.text, runtime.text]))),
        "entries": _Code(f"{REWARD_ENTRY}, {memory}, {potential}"),
        **environment,
    }


def _place_program(program: str, parts: dict[str, Any]) -> str:
    """Return the text of the file, in which the program says what it says alone.

    Raises:
        DataError: it would say something else.
    """
    template = _make_writer().from_string(_TEMPLATE.read_text("utf-8"))
    frame = parse_python(template.render(parts, program=_Code("pass")))
    taken = find_bound_names(frame.body) | set(dir(builtins))
    placed = _Code(rename_globals(program, taken).strip("\n"))
    text = template.render(parts, program=placed)
    place = next(i for i, node in enumerate(frame.body) if isinstance(node, ast.Pass))
    frame.body[place : place + 1] = parse_python(placed).body
    if ast.dump(parse_python(text)) != ast.dump(frame):
        raise DataError("the program says something else in a file with others", "export another")
    return text


def find_hindrance(card: EnvCard) -> str:
    """Say why Gymnasium's own environment is not the one of the card; '' where it is.

    What the physics of a training were changed by is no hindrance: episodes are scored without.
    """
    if find_plain_id(card):
        return "its options are EnvPool's own" if card.model.twin and card.model.options else ""
    if not find_backend(card).is_mujoco:
        label = find_backend(card).label
        return (
            f"{label} simulates it, and the card says no model.twin of Gymnasium's that is the same"
        )
    if card.gymnasium_id is None:
        return "the card names no gymnasium_id"
    added = ", ".join(card.additions)
    return f"{card.gymnasium_id} has not what the card adds: {added}" if added else ""


def find_plain_id(card: EnvCard) -> str | None:
    """Return the id of the environment whose observation and info the fields are, if it has one."""
    return card.model.id if find_backend(card).is_gymnasium else card.model.twin


def describe_control(card: EnvCard) -> dict[str, Any]:
    """Return what takes an action to the controls of MuJoCo, as the card says it."""
    names = {"action_range", "action_mapping", "action_scale", "mocap_actions", "home"}
    said = card.model_dump(mode="json", include=names)
    if card.action_mapping != "around_home":
        del said["action_scale"], said["home"]
    return {name: value for name, value in said.items() if value}


def _make_writer() -> jinja2.Environment:
    """Return what fills the template: all that is not code of ours becomes a literal."""
    writer = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, _Code) else _write_literal(value),
    )
    writer.filters["prose"] = lambda text: _Code(_write_prose(text))
    writer.filters["rule"] = lambda title: _Code(f"# --- {title} {'-' * 90}"[:96])
    return writer


def _write_prose(text: str) -> str:
    """Return words for a comment or a docstring, in one line that nothing in them can end."""
    return ascii(" ".join(text.split()))[1:-1].replace('"', '\\"')


def _write_literal(value: Any) -> str:
    """Return a value as Python's own literal in ASCII, which is no more than the value.

    Raises:
        DataError: there is none, as for NaN, or a very long one.
    """
    text = pprint.pformat(value, width=96, sort_dicts=False)
    text = text.encode("ascii", "backslashreplace").decode()
    with suppress(ValueError, SyntaxError):
        if len(text) <= _MOST_LITERAL_CHARS and ast.literal_eval(text) == value:
            return text
    raise DataError(f"{text[:80]} cannot stand in the exported file", "export another run")


def has_memory(source: str) -> bool:
    """Return whether a program remembers something within an episode."""
    return MEMORY_PARAMETER in _find_parameters(parse_python(source), REWARD_ENTRY)


def is_markov(source: str) -> bool:
    """Return whether a program pays by a step alone: without memory, without a potential."""
    return not has_memory(source) and POTENTIAL_ENTRY not in find_bound_names(
        parse_python(source).body
    )


def _find_parameters(tree: ast.Module, name: str) -> tuple[str, ...]:
    """Return the parameters of a function of the module; none if it has none of that name."""
    for node in reversed(tree.body):
        if name in find_bound_names([node]):
            function = node.value if isinstance(node, ast.Assign) else node
            if isinstance(function, ast.FunctionDef | ast.Lambda):
                return tuple(item.arg for item in function.args.args)
            break
    return ()


def _describe_environment(
    card: EnvCard, tree: ast.Module, has_own_termination: bool
) -> dict[str, Any]:
    """Return what the template says of Gymnasium's environment and the fields read there."""
    if find_plain_id(card):
        return _describe_plain(card, tree)
    ranges = card.termination if has_own_termination else ()
    names = [*find_read_fields(ast.unparse(tree), card), *(bound.field for bound in ranges)]
    # A reward of actions alone still needs to know how many simulations there are.
    fields = [card.field(name) for name in dict.fromkeys(names)] or [card.fields[0]]
    expressions = [write_expression(card, field) for field in fields]
    is_current = card.model.derived_fields == "current"
    is_sensed = any(call in text for text in expressions for call in _SENSED)
    has_forces = any("s.force(" in text for text in expressions)
    options: dict[str, Any] = dict(card.gymnasium_kwargs)
    if has_own_termination and (card.gymnasium_id or "").startswith(_CAN_GO_ON):
        options["terminate_when_unhealthy"] = False
    return {
        "fields": _list_fields(card, fields),
        "plain": None,
        "is_current": is_current,
        "frame_skip": card.model.frame_skip if has_forces or (is_sensed and not is_current) else 0,
        "healthy": [(b.field, b.min, b.max) for b in ranges] if has_own_termination else None,
        "action_range": card.action_range if card.action_mapping == "rescaled" else None,
        "options": options | {"max_episode_steps": card.max_episode_steps},
        "gymnasium_id": card.gymnasium_id,
    }


def _list_fields(card: EnvCard, fields: Sequence[StateField]) -> list[dict[str, Any]]:
    return [
        {
            "name": field.name,
            "unit": field.unit,
            "doc": field.doc,
            "shape": () if field.size is None else (field.size,),
            "expression": _Code(write_expression(card, field)),
        }
        for field in fields
    ]


def _describe_plain(card: EnvCard, tree: ast.Module) -> dict[str, Any]:
    """Return what the template says of an environment whose fields are what it returns.

    The observation is read, too: a policy takes it.
    """
    ranges = card.termination
    names = [*find_read_fields(ast.unparse(tree), card), *(bound.field for bound in ranges)]
    fields = [card.field(name) for name in dict.fromkeys([*names, "observation"])]
    is_rescaled = card.action_mapping == "rescaled"
    options: dict[str, Any] = dict(card.model.options)
    if card.model.function is None:
        options["max_episode_steps"] = card.max_episode_steps
    return {
        "fields": _list_fields(card, fields),
        "plain": {"infos": find_infos(fields), "function": card.model.function},
        "healthy": [(b.field, b.min, b.max) for b in ranges],
        "action_range": card.action_range if is_rescaled else None,
        "options": options,
        "gymnasium_id": find_plain_id(card),
        "max_episode_steps": card.max_episode_steps,
    }


def write_expression(card: EnvCard, field: StateField) -> str:
    """Return the expression that reads a field.

    Raises:
        DataError: it cannot be had in Gymnasium's own environment; the message names the field.
    """
    try:
        if find_plain_id(card):
            return _write(parse_source(field.source), (), lambda name: f"s[{name!a}]")
        return _write(parse_source(field.source), card.model.floors)
    except DataError as error:
        raise DataError(
            f"field {field.name!r} of {card.name} cannot be had outside of reward-agent: "
            f"{error.message}",
            "export a program that does not read it, or add the field to the environment's card "
            "from another source",
        ) from error


def _write(
    source: Source,
    floors: tuple[str, ...],
    write_array: Callable[[str], str] = lambda name: f"{_choose_data(name)}.{name}",
) -> str:
    match source:
        case Array(name):
            return write_array(name)
        case Attribute(kind, name, "point", numbers):
            return f"s.point({kind!r}, {_write_name(name)}, {numbers!r})"
        case Attribute(kind, name, attribute):
            return f"{_choose_data(attribute)}.{kind}({_write_name(name)}).{attribute}"
        case Measure("sensor", _, name):
            raise DataError(
                f"sensor {name!r} is read as a batch leaves it, at an instant of its own"
            )
        case Measure():
            return _write_measure(source, floors)
        case Drawn():
            raise DataError(f"{source} is drawn by reward-agent, for its own episodes")
        case Call(function, sources, numbers):
            parts = [_write(part, floors, write_array) for part in sources]
            return _CALLS[function].format(", ".join([*parts, *map(repr, numbers)]))
        case Indexed(whole, index):
            return f"{_write(whole, floors, write_array)}[{_write_index(index)}]"


def _write_measure(source: Measure, floors: tuple[str, ...]) -> str:
    is_contact = source.measure.startswith("contact")
    others = source.list_others(floors) if is_contact else []
    parts = [f"({kind!r}, {_write_name(name)})" for kind, name in others]
    return _MEASURES[source.measure].format(
        kind=source.kind,
        name=_write_name(source.name),
        side=f"({source.kind!r}, {_write_name(source.name)})",
        others=f"[{', '.join(parts)}]",
        floors=f"[{', '.join(map(_write_name, floors))}]",
    )


def _write_name(name: str) -> str:
    """Write the name of an object, or the number that it has in place of one: ``#12``."""
    return str(int(name[1:])) if re.fullmatch(r"#[0-9]+", name) else ascii(name)


def _choose_data(name: str) -> str:
    if name in _STEPPED:
        return "s.data"
    if name in _DERIVED:
        return "s.now"
    raise DataError(f"{name} is not the same in a single environment as in a batch")


def _write_index(index: int | slice) -> str:
    ends = (index.start, index.stop) if isinstance(index, slice) else (index,)
    return ":".join("" if end is None else str(end) for end in ends)
