"""A card's fields as Python expressions over ``env.unwrapped.data`` of Gymnasium's environment.

In them ``s`` is ``runtime.Simulation``: ``s.data`` holds what the integrator keeps, ``s.now`` what
is derived from it, at the instant that the run read it.
"""

from __future__ import annotations

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import (
    Array,
    Attribute,
    Call,
    Measure,
    Source,
    parse_source,
)
from reward_agent.errors import DataError
from reward_agent.rewards.language import split_names

# What the integrator keeps; and what a step leaves behind, the same in the run and outside.
_STEPPED = split_names(
    "qpos qvel ctrl act time mocap_pos mocap_quat qacc qfrc_actuator actuator_force force"
)
# What MuJoCo computes from positions and velocities alone. Gymnasium computes the accelerations
# and forces of bodies (cacc, cfrc_…) where a batch does not, so those are not to be had.
_DERIVED = split_names(
    "xpos xquat xmat xipos ximat xanchor xaxis geom_xpos geom_xmat site_xpos site_xmat "
    "subtree_com cinert cvel cdof ten_length ten_velocity length velocity actuator_length "
    "actuator_velocity qfrc_bias"
)
_CALLS = {
    "clip": "np.clip({})",
    "concat": "concat({})",
    "cos": "np.cos({})",
    "sin": "np.sin({})",
    "norm": "np.linalg.norm({})",
    "subtract": "np.subtract({})",
}


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
    if isinstance(source, Array):
        return f"{_choose_data(source.name)}.{source.name}"
    if isinstance(source, Attribute):
        return _write_attribute(source)
    if isinstance(source, Measure):
        return _write_measure(source, floor)
    if isinstance(source, Call):
        parts = [_write(part, floor) for part in source.sources]
        return _CALLS[source.function].format(", ".join([*parts, *map(repr, source.numbers)]))
    return f"{_write(source.source, floor)}[{_write_index(source.index)}]"


def _write_attribute(source: Attribute) -> str:
    if source.attribute == "point":
        return f"s.point({source.kind!r}, {source.name!r}, {source.numbers!r})"
    return f"{_choose_data(source.attribute)}.{source.kind}({source.name!r}).{source.attribute}"


def _write_measure(source: Measure, floor: str | None) -> str:
    kind, name = source.kind, source.name
    if source.measure == "contact":
        return f"s.touches({kind!r}, {name!r}, {floor!r})"
    if source.measure == "lowest":
        return f"s.lowest({kind!r}, {name!r}, {floor!r})"
    if source.measure == "com":
        return f"s.now.body({name!r}).subtree_com"
    if source.measure == "com_velocity":
        return f"s.velocity({name!r})"
    raise DataError(f"sensor {name!r} is read as a batch leaves it, at an instant of its own")


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
