"""What the inputs of a person's reward are on a card: the fields that hold the same numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reward_agent.errors import hint_closest
from reward_agent.rewards.language import split_names
from reward_agent.translation import arithmetic, indexing, nodes
from reward_agent.translation.places import Places
from reward_agent.translation.values import Array, Input, Table, Untranslatable

if TYPE_CHECKING:
    from reward_agent.definitions.card import EnvCard, StateField

# Parameters by their usual names; where a program has one observation it is that after the step.
_OBSERVATIONS = split_names("obs observation ob o s state_vec observations")
_NEXT = split_names(
    "next_obs obs_next next_observation new_obs obs2 next_o s_next next_s n observation_next"
)
_ACTIONS = split_names("action actions act a u ctrl control controls torque torques")
_ENDED = split_names("terminated done terminal is_terminal dones fell")
_LOGS = split_names("metrics logs log")
_INFO = split_names("info infos information")
_DATA = split_names("data mjdata sim")
# dm_control's suite: a method of its physics -> the role of the field.
_PHYSICS = {
    "torso_height": "height",
    "torso_upright": "up",
    "upright": "up",
    "head_height": "head_height",
    "center_of_mass_position": "com_position",
    "center_of_mass_velocity": "com_velocity",
    "speed": "forward_velocity",
}
_LAST_DATA = split_names("last_data prev_data previous_data old_data data_before")


@dataclass(frozen=True)
class Inputs:
    """The card's fields, asked by what people call them.

    Args:
        card: the card.
        places: which field holds a number of the simulation, exactly.
        is_row: whether the program is written for one simulation, not for all at once.
    """

    card: EnvCard
    places: Places = field(default_factory=Places)
    is_row: bool = True

    def make(self, name: str, size: int | None) -> Array:
        """Return a field, or the action, as the program sees it."""
        shape: tuple[int | None, ...] = () if size is None else (size,)
        return Array(nodes.name(name), shape if self.is_row else (None, *shape), self.is_row)

    def get_field(self, name: str, state: str = "next_state") -> Array | None:
        """Return a field of the card; None if it has none of this name."""
        for known in self.card.fields:
            if known.name == name:
                return self.make(f"{state}.{name}", known.size)
        return None

    def require_field(self, name: str, what: str, state: str = "next_state") -> Array:
        """Return a field of the card.

        Raises:
            Untranslatable: it has none of this name.
        """
        found = self.get_field(name, state)
        if found is None:
            raise Untranslatable(f"{what} is no field of the card", self.suggest(name))
        return found

    def suggest(self, name: str) -> str:
        """Return what to read instead of a name: the fields that share its words."""
        names = [known.name for known in self.card.fields]
        parts = set(re.split(r"[^a-z0-9]+", name.lower())) - {"", "get", "self", "base", "robot"}
        near = [known for known in names if parts & set(known.split("_"))]
        if near:
            return f"read a field of the card, such as next_state.{', next_state.'.join(near[:3])}"
        return f"read a field of the card{hint_closest(name, names)}"

    # --- parameters ------------------------------------------------------------------------------

    def get_parameter(self, name: str, others: frozenset[str]) -> Any:
        """Return what a parameter of the entry is; None if its name says nothing.

        Args:
            name: the parameter.
            others: all parameters.
        """
        has_next = bool(others & _NEXT)
        meanings: tuple[tuple[frozenset[str], Callable[[], Any]], ...] = (
            (frozenset({"state", "next_state"}), lambda: self.get_state(name)),
            (_ACTIONS, lambda: self.make("action", self.card.n_actions)),
            (_NEXT, lambda: self.get_observation("next_state")),
            (_OBSERVATIONS, lambda: self.get_observation("state" if has_next else "next_state")),
            (_ENDED, self.get_terminated),
            (_INFO, lambda: Input("info", self._get_method_of_info, self.get_info)),
            (frozenset({"physics"}), self.get_physics),
            (_DATA, lambda: self.get_data("next_state")),
            (_LAST_DATA, lambda: self.get_data("state")),
            (_LOGS, lambda: Input(name, get_item=lambda key: 0.0)),
        )
        for names, get in meanings:
            if name in names:
                return get()
        if re.fullmatch(r"[xyz]_(position|velocity)", name):
            return self.get_info(name)
        return self.get_field(name)

    def get_state(self, state: str) -> Input:
        """Return ``state`` or ``next_state`` of one simulation, or its observation by index."""
        observation = self.get_observation(state)

        def get_item(key: Any) -> Any:
            if isinstance(key, str):
                return self.require_field(key, f"{state}[{key!r}]", state)
            return indexing.get_item(observation, key)

        return Input(
            state, lambda name: self.require_field(name, f"{state}.{name}", state), get_item
        )

    def get_observation(self, state: str) -> Array:
        """Return the observation of one simulation."""
        return self.make(f"{state}.observation", self.card.observation_size)

    def get_terminated(self) -> Array:
        """Return whether the episode has terminated with this step."""
        flag = self.make("next_state.terminated", None)
        return arithmetic.compare(ast.Gt(), flag, 0.5)  # type: ignore[no-any-return]

    # --- what an environment says ----------------------------------------------------------------

    def get_info(self, key: Any) -> Any:
        """Return what ``info`` says: a position or velocity along an axis, or a field."""
        word = str(key)
        found = re.fullmatch(r"([xyz])_(position|velocity)", word)
        if found:
            axis, kind = found.groups()
            position = self._find_position("xyz".index(axis))
            if position is not None:
                return position[1] if kind == "position" else self._differ(*position)
        return self.require_field(word, f"info[{word!r}]")

    def _get_method_of_info(self, name: str) -> Any:
        if name != "get":
            return Input(f"info.{name}", call=lambda *given, **named: None)
        return Input("info.get", call=lambda key, default=None: self.get_info(key))

    def _find_position(self, axis: int) -> tuple[Array, Array] | None:
        """Return where the robot is along an axis, before and after the step."""
        for role in ("position", "com_position"):
            field = self.card.find_role(role)
            if field is not None and axis == 0 and self._find_role("forward_position"):
                field = None
            if field is not None:
                one, two = (self._read(field, state) for state in ("state", "next_state"))
                return indexing.get_item(one, axis), indexing.get_item(two, axis)
        role = ("forward_position", "", "height")[axis]
        single = self._find_role(role) if role else None
        if single is None:
            return None
        return self._read(single, "state"), self._read(single, "next_state")

    def _find_role(self, role: str) -> StateField | None:
        return self.card.find_role(role)

    def _read(self, field: StateField, state: str) -> Array:
        return self.make(f"{state}.{field.name}", field.size)

    def _differ(self, before: Array, after: Array) -> Array:
        rise = arithmetic.binary(ast.Sub(), after, before)
        return arithmetic.binary(ast.Div(), rise, self.card.control_dt)  # type: ignore[no-any-return]

    def get_data(self, state: str) -> Input:
        """Return MuJoCo's data: ``qpos``, ``qvel``, ``ctrl``, or a field of the card."""

        def get_attribute(name: str) -> Any:
            if name in ("ctrl", "control"):
                return self.make("action", self.card.n_actions)
            if name in ("qpos", "qvel"):
                return self._get_whole(name, state)
            if name == "time":
                raise Untranslatable("data.time", "keep it in memory: init_memory(state)")
            return self.require_field(name, f"data.{name}", state)

        def get_item(key: Any) -> Any:
            return self.require_field(str(key), f"data[{key!r}]", state)

        return Input("data", get_attribute, get_item)

    def get_physics(self) -> Input:
        """Return dm_control's physics: its methods by the roles of the card's fields."""

        def get_attribute(name: str) -> Any:
            role = _PHYSICS.get(name)
            field = self.card.find_role(role) if role else None
            if name == "control":
                return Input(name, call=lambda: self.make("action", self.card.n_actions))
            if name == "horizontal_velocity":
                whole = self.card.find_role("com_velocity")
                if whole is not None:
                    array = indexing.get_item(self._read(whole, "next_state"), 0)
                    return Input(name, call=lambda: array)
            if field is not None:
                array = self._read(field, "next_state")
                return Input(name, call=lambda: array)
            if name == "data":
                return self.get_data("next_state")
            found = self.require_field(name, f"physics.{name}()")
            return Input(name, call=lambda: found)

        return Input("physics", get_attribute)

    def _get_whole(self, name: str, state: str) -> Input:
        """Return ``qpos`` or ``qvel``: by number, the fields that equal it."""
        size = self.places.sizes.get(name, 0)

        def get_item(key: Any) -> Any:
            if isinstance(key, slice):
                return self._join(name, range(*key.indices(size)), state)
            number = arithmetic.unlift(key)
            if not isinstance(number, int):
                raise Untranslatable(f"{name}[…] by what the simulation holds", "write its number")
            return self._get_number(name, number, state)

        return Input(name, get_item=get_item)

    def _get_number(self, name: str, number: int, state: str) -> Array:
        size = self.places.sizes.get(name, 0)
        if not -size <= number < size:
            raise Untranslatable(f"{name}[{number}]: there are {size} numbers", "correct the index")
        found = self.places.fields.get(f"{name}[{number % size}]")
        if not found:
            raise Untranslatable(
                f"{name}[{number}] is no field of the card", self._suggest_number(name, number)
            )
        field, _, place = found[0].partition("[")
        array = self.require_field(field, found[0], state)
        return indexing.get_item(array, int(place[:-1])) if place else array

    def _suggest_number(self, name: str, number: int) -> str:
        """Return the field that is nearest to what a number of the simulation usually is."""
        kind = "position" if name == "qpos" else "velocity"
        near = [*self.card.list_roles(kind), *self.card.list_roles(f"com_{kind}")]
        if near and number < 3:
            return f"read next_state.{near[0].name}[:, {number}], which is nearest to it"
        return self.suggest(kind)

    def _join(self, name: str, numbers: Sequence[int], state: str) -> Any:
        """Return several numbers as one vector: a part of a field, where one holds them all."""
        known = [self.places.fields.get(f"{name}[{number}]", ()) for number in numbers]
        for first in known[0] if known else ():
            field, _, place = first.partition("[")
            start = int(place[:-1]) if place else -1
            wanted = [f"{field}[{start + step}]" for step in range(len(numbers))]
            if place and all(want in has for want, has in zip(wanted, known, strict=True)):
                array = self.require_field(field, field, state)
                return indexing.get_item(array, slice(start, start + len(numbers)))
        return arithmetic.stack([self._get_number(name, number, state) for number in numbers])

    # --- attributes of self ----------------------------------------------------------------------

    def get_own(self, name: str, state: str = "next_state") -> Any:
        """Return what an environment's or a task's ``self.NAME`` is where the file does not say."""
        if name in ("data", "sim", "_data"):
            return self.get_data(state)
        if name in ("dt", "control_dt", "_dt", "ctrl_dt"):
            return Array(nodes.literal(self.card.control_dt), value=self.card.control_dt)
        if name in ("unwrapped", "env", "task"):
            return Input(name, lambda inner: self.get_own(inner, state))
        if name in ("actions", "action"):
            return self.make("action", self.card.n_actions)
        if name in ("episode_sums", "extras", "log", "metrics", "info"):
            return Table()
        return self.require_field(name.lstrip("_"), f"self.{name}", state)
