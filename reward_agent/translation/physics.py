"""MuJoCo's data and dm_control's physics, as a person's program asks them: by the card's fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.translation import arithmetic, indexing, nodes, remedies, robots
from reward_agent.translation.values import Input, Lanes, Untranslatable

if TYPE_CHECKING:
    from reward_agent.translation.inputs import Inputs

# dm_control's suite: a method of its physics -> the role of the field.
_ROLES = {
    "torso_height": "height",
    "height": "height",
    "torso_upright": "up",
    "upright": "up",
    "head_height": "head_height",
    "center_of_mass_position": "com_position",
    "center_of_mass_velocity": "com_velocity",
    "speed": "com_velocity",
    "horizontal_velocity": "com_velocity",
    "torso_velocity": "velocity",
}
# Of these the first number is meant.
_ALONG_X = frozenset({"speed", "horizontal_velocity"})
# What a body's view, or an array over bodies, is in the words of a card's sources.
_OF_BODIES = frozenset({"xpos", "xquat", "xmat", "xipos", "cvel"})


def make_data(inputs: Inputs, state: str) -> Input:
    """Return MuJoCo's data: ``qpos``, ``qvel``, ``ctrl``, bodies, or a field of the card."""

    def get_attribute(name: str) -> Any:
        if name in ("ctrl", "control") and inputs.card.action_mapping == "direct":
            return inputs.make("action", inputs.card.n_actions)
        if name in ("qpos", "qvel", "q", "qd"):
            return _make_numbers(inputs, {"q": "qpos", "qd": "qvel"}.get(name, name), state)
        if name in ("x", "xd"):
            return Input(f"data.{name}", lambda part: _make_links(inputs, part, state))
        if name == "data":  # of MuJoCo's old binding: sim.data
            return make_data(inputs, state)
        if name == "model":
            return make_model(inputs.card)
        body = _get_of_bodies(inputs, name, state)
        motion = robots.read_motion(inputs, name, state) if body is None else body
        if motion is not None:
            return motion
        return inputs.require_field(name, f"data.{name}", state)

    def get_item(key: Any) -> Any:
        return inputs.require_field(str(key), f"data[{key!r}]", state)

    return Input("data", get_attribute, get_item)


def _get_of_bodies(inputs: Inputs, name: str, state: str) -> Input | None:
    """Return what MuJoCo's data have by body; None for what they have not."""
    if name in ("body", "geom", "site"):
        return Input(name, call=lambda which=None: _make_body(inputs, name, which, state))
    if name in _OF_BODIES:
        return Input(name, get_item=lambda which: _find_body(inputs, name, which, state))
    if name.startswith("get_body_x"):
        kind = name.removeprefix("get_body_")
        return Input(name, call=lambda which: _find_body(inputs, kind, which, state))
    if name == "subtree_com":
        return Input(name, get_item=lambda which: find_centre(inputs, state))
    return None


def _make_links(inputs: Inputs, part: str, state: str) -> Input:
    """Return Brax's arrays over links, of which the first is the torso."""
    name = {"pos": "root_pos_w", "rot": "root_quat_w", "vel": "root_lin_vel_w"}.get(part)
    whole = robots.read_motion(inputs, name or "root_ang_vel_w", state)

    def get_item(key: Any) -> Any:
        link, *rest = key if isinstance(key, tuple) else (key,)
        if arithmetic.unlift(link) != 0:
            raise Untranslatable(
                f"{part}[{link}] is no field of the card", remedies.suggest(inputs.card, "position")
            )
        return indexing.get_item(whole, (Ellipsis, *rest)) if rest else whole

    return Input(part, get_item=get_item)


def make_model(card: EnvCard) -> Input:
    """Return MuJoCo's model: how long a physics step is, and what it does not say."""
    timestep = card.control_dt / card.model.frame_skip

    def get_attribute(name: str) -> Any:
        if name == "opt":
            return Input("opt", get_attribute)
        if name == "timestep":
            return Lanes(nodes.literal(timestep), value=timestep)
        remedy = "write its numbers into the file"
        centre = card.find_role("com_position")
        if "mass" in name and centre is not None:
            remedy += f"; the centre of mass is next_state.{centre.name}"
        raise Untranslatable(f"model.{name} is no field of the card", remedy)

    return Input("model", get_attribute)


def get_body_com(inputs: Inputs, state: str) -> Callable[..., Any]:
    """Return an environment's ``get_body_com(name)``."""
    return lambda which=None: _find_body(inputs, "xpos", which, state)


def _make_body(inputs: Inputs, kind: str, which: Any, state: str) -> Input:
    return Input(
        f"data.{kind}({which!r})", lambda name: _find_body(inputs, name, which, state, kind)
    )


def _find_body(inputs: Inputs, name: str, which: Any, state: str, kind: str = "body") -> Lanes:
    """Return the field that is a body's position or the like; the torso's where it has no name."""
    torso = inputs.card.roles.torso if inputs.card.roles else None
    number = arithmetic.unlift(which)
    names = [f"{kind}:{number}"] if isinstance(number, str) else [torso or "body:torso"]
    for known in inputs.card.state:
        if known.source in [f"{item}.{name}" for item in names]:
            return inputs.read_field(known, state)
    what = f"data.{kind}({number!r}).{name}" if isinstance(number, str) else f"data.{name}"
    role = "orientation" if name == "xquat" else "position"
    raise Untranslatable(f"{what} is no field of the card", remedies.suggest(inputs.card, role))


def find_centre(inputs: Inputs, state: str) -> Lanes:
    """Return the field that is the centre of mass."""
    found = inputs.card.find_role("com_position")
    if found is None:
        raise Untranslatable(
            "data.subtree_com is no field of the card", remedies.suggest(inputs.card, "position")
        )
    return inputs.read_field(found, state)


def make_physics(inputs: Inputs) -> Input:
    """Return dm_control's physics: its methods by the roles of the card's fields."""

    def get_attribute(name: str) -> Any:
        if name == "control":
            return Input(name, call=lambda: inputs.make("action", inputs.card.n_actions))
        if name in ("data", "named"):
            return Input(name, lambda inner: _get_named(inputs, inner))
        array = _read(inputs, name)
        return Input(name, call=lambda: array)

    return Input("physics", get_attribute)


def _get_named(inputs: Inputs, name: str) -> Any:
    data = make_data(inputs, "next_state")
    assert data.get_attribute is not None
    return data if name == "data" else data.get_attribute(name)


def _read(inputs: Inputs, name: str) -> Lanes:
    role = _ROLES.get(name)
    found: StateField | None = inputs.card.find_role(role) if role else None
    if found is None:
        return inputs.require_field(name, f"physics.{name}()")
    array = inputs.read_field(found, "next_state")
    return indexing.get_item(array, 0) if name in _ALONG_X else array


def _make_numbers(inputs: Inputs, name: str, state: str) -> Input:
    """Return ``qpos`` or ``qvel``: by number, the fields that equal it."""
    size = inputs.places.sizes.get(name, 0)

    def get_item(key: Any) -> Any:
        if isinstance(key, slice):
            return _join(inputs, name, range(*key.indices(size)), state)
        number = arithmetic.unlift(key)
        if not isinstance(number, int):
            raise Untranslatable(f"{name}[…] by what the simulation holds", "write its number")
        return _get_number(inputs, name, number, state)

    def get_attribute(method: str) -> Any:
        if method in ("flat", "ravel", "copy", "flatten"):
            whole = Input(name, get_attribute, get_item, call=lambda: whole)
            return whole
        if method == "size":
            return size
        raise Untranslatable(f"{name}.{method}", f"read its numbers: {name}[0]")

    return Input(name, get_attribute, get_item)


def _get_number(inputs: Inputs, name: str, number: int, state: str) -> Lanes:
    size = inputs.places.sizes.get(name, 0)
    if not -size <= number < size:
        raise Untranslatable(f"{name}[{number}]: there are {size} numbers", "correct the index")
    found = inputs.places.fields.get(f"{name}[{number % size}]")
    if not found:
        raise remedies.refuse_number(inputs.card, name, number % size)
    field, _, place = found[0].partition("[")
    array = inputs.require_field(field, found[0], state)
    return indexing.take(array, int(place[:-1])) if place else array


def _join(inputs: Inputs, name: str, numbers: Sequence[int], state: str) -> Any:
    """Return several numbers as one vector: a part of a field, where one holds them all."""
    known = [inputs.places.fields.get(f"{name}[{number}]", ()) for number in numbers]
    for first in known[0] if known else ():
        field, _, place = first.partition("[")
        start = int(place[:-1]) if place else -1
        wanted = [f"{field}[{start + step}]" for step in range(len(numbers))]
        if place and all(want in has for want, has in zip(wanted, known, strict=True)):
            array = inputs.require_field(field, field, state)
            return indexing.get_item(array, slice(start, start + len(numbers)))
    return arithmetic.stack([_get_number(inputs, name, number, state) for number in numbers])
