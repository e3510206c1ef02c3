"""One file from a program: its helpers, what calls it, and its fields in Gymnasium's words.

Fields are Python expressions over ``env.unwrapped.data`` of Gymnasium's environment. In them ``s``
is ``runtime.Physics``: ``s.data`` holds what the integrator keeps, ``s.now`` what is derived from
it, at the instant that the run read it.
"""

from __future__ import annotations

import ast
import builtins
import pprint
import textwrap
from collections.abc import Iterable
from typing import Any

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import (
    INTEGRATED,
    Array,
    Attribute,
    Call,
    Indexed,
    Measure,
    Source,
    parse_source,
)
from reward_agent.errors import DataError
from reward_agent.export.pieces import (
    Pieces,
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
from reward_agent.simulation.backends import find_backend

_OF_WRAPPER = ("FieldRewardWrapper", "concat")
# Those of Gymnasium's environments whose own termination can be turned off.
_CAN_GO_ON = ("Ant", "Hopper", "Humanoid", "Walker2d")
_RULE = "# --- {} " + "-" * 80
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
    "contact": "s.touches({kind!r}, {name!r}, {floor!r})",
    "lowest": "s.lowest({kind!r}, {name!r}, {floor!r})",
    "com": "s.now.body({name!r}).subtree_com",
    "com_velocity": "s.velocity({name!r})",
}
_CALLS = {
    "clip": "np.clip({})",
    "concat": "concat({})",
    "cos": "np.cos({})",
    "sin": "np.sin({})",
    "norm": "np.linalg.norm({})",
    "subtract": "np.subtract({})",
}


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
        DataError: a field that the program reads cannot be had outside.
    """
    program = drop_future_imports(source)
    tree = ast.parse(program)
    # Fields can be read from an environment of Gymnasium's.
    is_wrapped = card.gymnasium_id is not None and find_backend(card).is_mujoco
    own = find_bound_names(tree.body)
    used = find_used_names(tree) & LIBRARY_NAMES - own
    library = take_pieces("rewards.library", used)
    roots = ["make_state", "RewardFunction"]
    runtime = take_pieces("export.runtime", [*roots, *(_OF_WRAPPER if is_wrapped else ())])
    tail = _write_tail(card, tree, has_own_termination, is_wrapped)
    framework = "\n\n\n".join(part for part in (library.text, runtime.text, tail) if part)
    taken = find_bound_names(ast.parse(framework).body) | set(dir(builtins)) | {"METADATA"}
    return _join(metadata, library, runtime, rename_globals(program, taken), tail)


def has_memory(source: str) -> bool:
    """Return whether a program remembers something within an episode."""
    return _remembers(ast.parse(source))


def _remembers(tree: ast.Module) -> bool:
    return MEMORY_PARAMETER in (_find_parameters(tree, REWARD_ENTRY) or ())


def _join(
    metadata: dict[str, Any], library: Pieces, runtime: Pieces, program: str, tail: str
) -> str:
    """Put the parts in order, each under a line that says what it is."""
    modules = {"import math", "import numpy as np"} | library.imports | runtime.imports
    imports = "\n".join(sorted(modules, key=str.split))
    title = textwrap.fill(" ".join(metadata["task"].split()), 96).replace("\\", "/")
    title = title.replace('"""', "'''").rstrip('"')
    parts = [
        f'"""{title}\n\n{_HOW_TO}"""\n\nfrom __future__ import annotations\n\n{imports}',
        f"METADATA = {pprint.pformat(metadata, width=96, sort_dicts=False)}",
        *_head("the reward", program.strip("\n")),
        *_head("helpers of the reward language", library.text),
        *_head("memory, shaping, fields", runtime.text),
        *_head("in this environment", tail),
    ]
    return "\n\n".join(parts) + "\n"


_HOW_TO = """\
Made by reward-agent; needs NumPy, and Gymnasium with MuJoCo for the environment.

    env = make_env()           # Gymnasium's own environment under this reward: an ordinary Env
    env = RewardWrapper(env)   # or around one that you made
    reward = make_reward()     # or without Gymnasium, N simulations at a time:
    reward.begin(state); paid, terms = reward.step(state, action, next_state, terminated)
"""


def _head(title: str, text: str) -> Iterable[str]:
    return [f"{_RULE.format(title)[:96]}\n\n{text}"] if text else []


def _write_tail(
    card: EnvCard, tree: ast.Module, has_own_termination: bool, is_wrapped: bool
) -> str:
    parts = [_write_maker(card, tree)]
    if is_wrapped:
        fields = _write_fields(card, tree, has_own_termination)
        parts += [fields, _write_wrapper(card, fields, has_own_termination)]
        parts += [_write_env(card, has_own_termination)]
    return "\n\n".join(parts)


def _write_maker(card: EnvCard, tree: ast.Module) -> str:
    memory = MEMORY_ENTRY if _remembers(tree) else None
    potential = POTENTIAL_ENTRY if _find_parameters(tree, POTENTIAL_ENTRY) == ("state",) else None
    return (
        "def make_reward() -> RewardFunction:\n"
        '    """Return the reward of N simulations side by side, as it was in the run."""\n'
        f"    return RewardFunction({REWARD_ENTRY}, {memory}, {potential}, "
        f"gamma={card.learner.gamma!r})\n"
    )


def _find_parameters(tree: ast.Module, name: str) -> tuple[str, ...] | None:
    """Return the parameters of a function of the module; None if it has none of that name."""
    for node in reversed(tree.body):
        if name in find_bound_names([node]):
            function = node.value if isinstance(node, ast.Assign) else node
            if isinstance(function, ast.FunctionDef | ast.Lambda):
                return tuple(item.arg for item in function.args.args)
            return None
    return None


def _write_fields(card: EnvCard, tree: ast.Module, has_own_termination: bool) -> str:
    names = find_read_fields(ast.unparse(tree), card)
    names += [bound.field for bound in card.termination] if has_own_termination else []
    # A reward of actions alone still needs to know how many simulations there are.
    names = list(dict.fromkeys(names)) or [card.fields[0].name]
    lines = [
        "# What the reward reads: shape and reader. s.data is MuJoCo's, s.now derived from it.",
        "FIELDS = {",
    ]
    for name in names:
        field = card.field(name)
        shape = "()" if field.size is None else f"({field.size},)"
        lines.append(f"    # {field.unit}: {' '.join(field.doc.split())}")
        lines.append(f"    {name!r}: ({shape}, lambda s: {write_expression(card, field)}),")
    return "\n".join([*lines, "}\n"])


def _write_wrapper(card: EnvCard, fields: str, has_own_termination: bool) -> str:
    healthy = [(b.field, b.min, b.max) for b in card.termination] if has_own_termination else None
    is_current = card.model.derived_fields == "current"
    is_sensed = not is_current and ("s.touches(" in fields or "s.velocity(" in fields)
    action_range = card.action_range if card.action_mapping == "rescaled" else None
    return (
        "class RewardWrapper(FieldRewardWrapper):\n"
        f'    """Gymnasium\'s {card.gymnasium_id} under this reward."""\n\n'
        "    def __init__(self, env: Any) -> None:\n"
        "        super().__init__(\n"
        "            env,\n            make_reward(),\n            FIELDS,\n"
        f"            is_current={is_current},\n"
        f"            frame_skip={card.model.frame_skip if is_sensed else 0},\n"
        f"            healthy={healthy!r},\n"
        f"            action_range={action_range!r},\n"
        "        )\n"
    )


def _write_env(card: EnvCard, has_own_termination: bool) -> str:
    options: dict[str, Any] = dict(card.gymnasium_kwargs)
    if has_own_termination and (card.gymnasium_id or "").startswith(_CAN_GO_ON):
        options["terminate_when_unhealthy"] = False
    options["max_episode_steps"] = card.max_episode_steps
    return (
        "def make_env(**options: Any) -> Any:\n"
        '    """Return the environment with the run\'s episodes, under this reward."""\n'
        f"    options = {options!r} | options\n"
        f"    return RewardWrapper(gymnasium.make({card.gymnasium_id!r}, **options))\n"
    )


def write_expression(card: EnvCard, field: StateField) -> str:
    """Return the expression that reads a field.

    Raises:
        DataError: it cannot be had in Gymnasium's own environment; the message names the field.
    """
    try:
        return _write(parse_source(field.source), card.model.floor)
    except DataError as error:
        raise DataError(
            f"field {field.name!r} of {card.name} cannot be had outside of reward-agent: "
            f"{error.message}",
            "export a program that does not read it, or add the field to the environment's card "
            "from another source",
        ) from error


def _write(source: Source, floor: str | None) -> str:
    match source:
        case Array(name):
            return f"{_choose_data(name)}.{name}"
        case Attribute(kind, name, "point", numbers):
            return f"s.point({kind!r}, {name!r}, {numbers!r})"
        case Attribute(kind, name, attribute):
            return f"{_choose_data(attribute)}.{kind}({name!r}).{attribute}"
        case Measure("sensor", _, name):
            raise DataError(
                f"sensor {name!r} is read as a batch leaves it, at an instant of its own"
            )
        case Measure(measure, kind, name):
            return _MEASURES[measure].format(kind=kind, name=name, floor=floor)
        case Call(function, sources, numbers):
            parts = [_write(part, floor) for part in sources]
            return _CALLS[function].format(", ".join([*parts, *map(repr, numbers)]))
        case Indexed(whole, index):
            return f"{_write(whole, floor)}[{_write_index(index)}]"


def _choose_data(name: str) -> str:
    if name in _STEPPED:
        return "s.data"
    if name in _DERIVED:
        return "s.now"
    raise DataError(f"{name} is not the same in a single environment as in a batch")


def _write_index(index: int | slice) -> str:
    if isinstance(index, int):
        return str(index)
    start = "" if index.start is None else index.start
    stop = "" if index.stop is None else index.stop
    return f"{start}:{stop}"
