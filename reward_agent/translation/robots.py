"""A robot's motion by the names of Isaac Lab and legged_gym, from the card's fields by role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reward_agent.translation import arithmetic, indexing, isaac, nodes
from reward_agent.translation.machine import Tracer
from reward_agent.translation.values import Input, Lanes, Untranslatable

if TYPE_CHECKING:
    from reward_agent.translation.inputs import Inputs

# What a vector of a robot in a plane is made of, by role: along x, nothing along y, along z.
_PLANAR = {
    "position": ("forward_position", "height"),
    "velocity": ("forward_velocity", "vertical_velocity"),
}


def read_motion(inputs: Inputs, name: str, state: str) -> Any:
    """Return a robot's motion by one of the libraries' names; None for any other name."""
    function = isaac.find_motion(name)
    if function is None:
        return None
    if (name, state) not in inputs.known:
        of = Input(name, lambda part: _read_part(inputs, name, part, state))
        found = Tracer(is_inline=True).call_function(function, (of,), {})
        inputs.known[name, state] = found
    return inputs.known[name, state]


def _read_part(inputs: Inputs, name: str, part: str, state: str) -> Any:
    """Return what a motion is computed of: a field, or of a robot in a plane several.

    Raises:
        Untranslatable: the card does not say it.
    """
    if part == "orientation":
        fresh = [inputs.places.fields.get(f"qpos[{number}]") for number in range(3, 7)]
        if not inputs.card.find_role(part):
            return None
        if all(fresh):
            whole = inputs.get_data(state).get_attribute
            assert whole is not None
            return tuple(whole("qpos").get_item(number) for number in range(3, 7))
        array = _read_role(inputs, name, part, state)
        return tuple(indexing.take(array, number) for number in range(4))
    if part == "angular_velocity" and not inputs.card.find_role(part):
        return _spread(inputs, (None, _read_role(inputs, name, "pitch_rate", state), None))
    if part in _PLANAR and not inputs.card.find_role(part):
        along, up = (_read_role(inputs, name, role, state) for role in _PLANAR[part])
        return _spread(inputs, (along, None, up))
    return _read_role(inputs, name, part, state)


def _spread(inputs: Inputs, parts: tuple[Lanes | None, ...]) -> Lanes:
    zero = Lanes(nodes.literal(0.0), value=0.0)
    return arithmetic.stack([zero if part is None else part for part in parts])


def _read_role(inputs: Inputs, name: str, role: str, state: str) -> Lanes:
    found = inputs.card.find_role(role)
    if found is None:
        raise Untranslatable(
            f"{name} is no field of the card", f"the card has no {role.replace('_', ' ')}"
        )
    return inputs.read_field(found, state)
