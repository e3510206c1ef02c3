"""What the inputs of a person's reward are on a card: the fields that hold the same numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reward_agent.rewards.language import split_names
from reward_agent.translation import arithmetic, indexing, nodes, physics, remedies, robots
from reward_agent.translation.places import Places
from reward_agent.translation.values import Broken, Function, Input, Lanes, Table, Untranslatable

if TYPE_CHECKING:
    from reward_agent.definitions.card import EnvCard, StateField
    from reward_agent.translation.environment import Environment

# Parameters by their usual names; where a program has one observation it is that after the step.
_OBSERVATIONS = split_names("obs observation ob o s state_vec observations")
_NEXT = split_names(
    "next_obs obs_next next_observation new_obs obs2 next_o s_next next_s n observation_next"
)
_ACTIONS = split_names("action actions act a u ctrl control controls")
_ENDED = split_names(
    "terminated done terminal is_terminal dones fell reset_buf reset_terminated terminations"
)
_LOGS = split_names("metrics logs log episode_sums extras info_dict")
_INFO = split_names("info infos information")
_DATA = split_names("data _data mjdata mj_data sim")
_SELF = split_names("self env environment task robot unwrapped action_manager termination_manager")
_INNER = split_names("reward rew r env_reward original_reward base_reward")
_CONSTANTS = {
    "dt": "dt", "control_dt": "dt", "_dt": "dt", "ctrl_dt": "dt", "step_dt": "dt",
    "frame_skip": "skip", "n_substeps": "skip", "_n_frames": "skip", "n_frames": "skip",
}  # fmt: skip
# The usual orders of parameters.
_ORDERS = (
    ("obs", "action", "next_obs", "info", "done"),
    ("obs", "action", "next_obs", "done", "info"),
    ("obs", "action", "info"),
    ("obs", "action", "done", "info"),
)
_BY_PLACE = {
    "obs": _OBSERVATIONS,
    "action": _ACTIONS,
    "next_obs": _NEXT,
    "info": _INFO,
    "done": _ENDED,
}
_SPACES = split_names("action_space observation_space single_action_space single_observation_space")
_SAYS_OTHERWISE = "root|dof|target|weight|scale|goal|torque|force|command|coef|gain|speed|config"
# A goal environment's words.
_GOALS = {"achieved_goal": "tool_position", "desired_goal": "target_position"}
# A number that is tuned, by its name.
_TUNED = "weight|scale|coef|gain|speed|config|temp|cost|thresh|max_|min_"
_LAST_DATA = split_names("last_data prev_data previous_data old_data data_before")


@dataclass(frozen=True)
class Inputs:
    """The card's fields, asked by what people call them.

    Args:
        card: the card.
        places: which field holds a number of the simulation, exactly.
        is_row: whether the program is written for one simulation, not for all at once.
        environment: whom a step asks for what no field holds.
        known: what was asked of a robot's motion before.
    """

    card: EnvCard
    places: Places = field(default_factory=Places)
    is_row: bool = True
    environment: Environment | None = field(default=None, compare=False)
    known: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False)

    @property
    def _around(self) -> Environment:
        if self.environment is None:
            raise Untranslatable("what an environment says", "call it of a step")
        return self.environment

    def make(self, name: str, size: int | None) -> Lanes:
        """Return a field, or the action, as the program sees it."""
        shape: tuple[int | None, ...] = () if size is None else (size,)
        return Lanes(nodes.name(name), shape if self.is_row else (None, *shape), self.is_row)

    def get_field(self, name: str, state: str = "next_state") -> Lanes | None:
        """Return a field of the card; None if it has none of this name."""
        for known in self.card.fields:
            if known.name == name:
                return self.make(f"{state}.{name}", known.size)
        return None

    def require_field(self, name: str, what: str, state: str = "next_state") -> Lanes:
        """Return a field of the card.

        Raises:
            Untranslatable: it has none of this name.
        """
        found = self.get_field(name, state)
        if found is None:
            raise Untranslatable(
                f"{what} is no field of the card", remedies.suggest(self.card, name)
            )
        return found

    # --- parameters ------------------------------------------------------------------------------

    def find_parameter(self, name: str, others: frozenset[str]) -> Any:
        """Return what a parameter of the entry is; None if its name says nothing, or nothing sure.

        Args:
            name: the parameter.
            others: all parameters.
        """
        try:
            return self.get_parameter(name, others)
        except Untranslatable as error:
            return Broken(error)

    def name_places(self, names: Sequence[str], missing: set[str]) -> dict[str, str]:
        """Return what parameters are by their place in the usual order; {} where names disagree.

        Args:
            names: all of them, in their order.
            missing: those whose names say nothing.
        """
        for order in _ORDERS:
            pairs = [*zip(names, order, strict=False)]
            said = [(name, place) for name, place in pairs if name not in missing]
            agree = all(name in _BY_PLACE[place] for name, place in said)
            is_named = any(re.search(_SAYS_OTHERWISE, name) for name in missing)
            if (
                agree
                and not is_named
                and len(said) >= len(missing) > 0
                and len(names) <= len(order)
            ):
                return {name: place for name, place in pairs if name in missing}
        return {}

    def refuse_parameters(self, function: Function, names: Sequence[str]) -> Untranslatable:
        """Return why parameters cannot be given anything, with what to write for each."""
        card = self.card
        numbers = [n for n in names if re.search(_TUNED, n) or not remedies.is_measured(card, n)]
        said = [
            f"{name}: {remedies.suggest(self.card, name)}" for name in names if name not in numbers
        ]
        if numbers:
            said.append(f"give defaults: {', '.join(f'{name}=1.0' for name in numbers)}")
        return Untranslatable(
            f"{function.name} is given {', '.join(names)}, which says nothing about the card",
            "; ".join(said),
            getattr(function.node, "lineno", None),
        )

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
            (_INFO, lambda: self._around.get_info()),
            (frozenset({"physics"}), lambda: physics.make_physics(self)),
            (_INNER, lambda: self._around.get_reward()),
            (_DATA, lambda: self.get_data("next_state")),
            (_LAST_DATA, lambda: self.get_data("state")),
            (_SELF, lambda: Input(name, self._around.get_attribute)),
            (_LOGS, lambda: Input(name, get_item=lambda key: 0.0)),
        )
        for names, get in meanings:
            if name in names:
                return get()
        goal = self.card.find_role(_GOALS[name]) if name in _GOALS else None
        if goal is not None:
            return self.read_field(goal, "next_state")
        if re.fullmatch(r"[xyz]_(position|velocity)", name):
            return self.get_info(name)
        found = self.get_field(name)
        return found if found is not None else robots.read_motion(self, name, "next_state")

    def get_state(self, state: str) -> Input:
        """Return ``state`` or ``next_state`` of one simulation, or its observation by index."""
        observation = self.get_observation(state)

        def get_item(key: Any) -> Any:
            if isinstance(key, str):
                return self.require_field(key, f"{state}[{key!r}]", state)
            return indexing.get_item(observation, key)

        def get_attribute(name: str) -> Any:
            parts: dict[str, Callable[[], Any]] = {  # of Brax's and Playground's states
                "pipeline_state": lambda: self.get_data(state),
                "data": lambda: self.get_data(state),
                "obs": lambda: observation,
                "metrics": Table,
                "replace": lambda: Input(name, call=lambda **named: named.get("reward")),
            }
            found = self.get_field(name, state)
            if found is None and name in parts:
                return parts[name]()
            return found or self.require_field(name, f"{state}.{name}", state)

        return Input(state, get_attribute, get_item)

    def get_observation(self, state: str) -> Lanes:
        """Return the observation of one simulation."""
        return self.make(f"{state}.observation", self.card.observation_size)

    def get_terminated(self) -> Lanes:
        """Return whether the episode has terminated with this step."""
        flag = self.make("next_state.terminated", None)
        ended: Lanes = arithmetic.compare(ast.Gt(), flag, 0.5)
        return replace(ended, is_end=True)

    # --- what an environment says ----------------------------------------------------------------

    def get_info(self, key: Any) -> Any:
        """Return what ``info`` says: a position or velocity along an axis, a reward, a field."""
        word = str(key)
        found = re.fullmatch(r"([xyz])_(position|velocity)", word)
        if found:
            axis, kind = found.groups()
            position = self._find_position("xyz".index(axis))
            if position is not None:
                return position[1] if kind == "position" else self._differ(*position)
        if word in ("is_healthy", "healthy"):
            return arithmetic.invert(self.get_terminated())
        return self.require_field(word, f"info[{word!r}]")

    def _find_position(self, axis: int) -> tuple[Lanes, Lanes] | None:
        """Return where the robot is along an axis, before and after the step."""
        for role in ("position", "com_position"):
            field = self.card.find_role(role)
            if field is not None and axis == 0 and self.card.find_role("forward_position"):
                field = None
            if field is not None:
                one, two = (self.read_field(field, state) for state in ("state", "next_state"))
                return indexing.get_item(one, axis), indexing.get_item(two, axis)
        role = ("forward_position", "", "height")[axis]
        single = self.card.find_role(role) if role else None
        if single is None:
            return None
        return self.read_field(single, "state"), self.read_field(single, "next_state")

    def read_field(self, field: StateField, state: str) -> Lanes:
        """Return a field of the card before or after the step."""
        return self.make(f"{state}.{field.name}", field.size)

    def _differ(self, before: Lanes, after: Lanes) -> Lanes:
        rise = arithmetic.binary(ast.Sub(), after, before)
        return arithmetic.binary(ast.Div(), rise, self.card.control_dt)  # type: ignore[no-any-return]

    def get_data(self, state: str) -> Input:
        """Return MuJoCo's data before or after the step."""
        return physics.make_data(self, state)

    # --- attributes of self ----------------------------------------------------------------------

    def get_own(self, name: str, state: str = "next_state") -> Any:
        """Return what an environment's or a task's ``self.NAME`` is where the file does not say."""
        own = self.get_field(name, state)
        if own is not None:
            return own
        motion = robots.read_motion(self, name, state)
        if motion is not None:
            return motion
        if name in _SPACES:
            size = self.card.n_actions if "action" in name else self.card.observation_size
            return self._make_space(name, size)
        if name in _CONSTANTS:
            constants = {"dt": self.card.control_dt, "skip": self.card.model.frame_skip}
            value = constants[_CONSTANTS[name]]
            return Lanes(nodes.literal(value), value=value)
        meanings: tuple[tuple[frozenset[str], Callable[[], Any]], ...] = (
            (_DATA, lambda: self.get_data(state)),
            (frozenset({"model"}), lambda: physics.make_model(self.card)),
            (_SELF, lambda: Input(name, lambda inner: self.get_own(inner, state))),
            (_ACTIONS, lambda: self.make("action", self.card.n_actions)),
            (_ENDED, self.get_terminated),
            (_LOGS, Table),
            (frozenset({"scene"}), lambda: self._make_scene(state)),
            (frozenset({"num_envs"}), indexing.count),
            (frozenset({"device"}), lambda: None),
        )
        for names, get in meanings:
            if name in names or name.lstrip("_") in names:
                return get()
        return self.require_field(name.lstrip("_"), f"self.{name}", state)

    def _make_space(self, name: str, size: int) -> Input:
        """Return the space of actions or observations."""
        low, high = self.card.action_range if "action" in name else self.card.observation_range
        bounds = {"low": [low] * size, "high": [high] * size}

        def get_attribute(inner: str) -> Any:
            if inner == "shape":
                return (size,)
            if inner in bounds:
                return arithmetic.lift(bounds[inner])
            raise Untranslatable(f"{name}.{inner}", f"write its number: {size} numbers a step")

        return Input(name, get_attribute)

    def _make_scene(self, state: str) -> Input:
        """Return Isaac Lab's scene: its robot is the card's, by whatever name."""
        robot = Input("robot", lambda inner: self.get_own(inner, state))

        def get_item(key: Any) -> Any:
            if re.search("contact|sensor|scan|terrain|camera", str(key)):
                raise Untranslatable(
                    f"scene[{key!r}] is no field of the card", remedies.suggest(self.card, str(key))
                )
            return robot

        def get_attribute(name: str) -> Any:
            groups = ("articulations", "rigid_objects", "sensors")
            return Input(name, get_item=get_item) if name in groups else get_item(name)

        return Input("scene", get_attribute, get_item)
