"""What ``self`` of an environment, a wrapper or a task has beside what the person's file says."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from reward_agent.definitions.card import EnvCard
from reward_agent.translation import arithmetic, indexing, nodes, remedies
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.machine import Tracer
from reward_agent.translation.physics import find_centre, get_body_com
from reward_agent.translation.values import (
    Broken,
    Cells,
    Class,
    Input,
    Instance,
    Lanes,
    Locals,
    Partial,
    Stepped,
    Untranslatable,
    Word,
)


class Environment:
    """The environment of a step. Before ``do_simulation`` its data are those before the step.

    Args:
        machine: it carries out Gymnasium's own methods.
        inputs: the card's fields.
        steps_inside: whether the reward makes the simulation's step itself.
    """

    def __init__(self, machine: Tracer, inputs: Inputs, steps_inside: bool) -> None:
        self.machine, self.inputs, self._steps_inside = machine, inputs, steps_inside
        self._stepped: tuple[Any, Mapping[str, Any]] | None = None
        self.begin()

    def begin(self) -> None:
        """Be as before the step, if the reward makes it."""
        self.state = "state" if self._steps_inside else "next_state"

    def get_attribute(self, name: str) -> Any:
        """Return ``self.NAME``."""
        calls: dict[str, Callable[..., Any]] = {
            "get_body_com": get_body_com(self.inputs, self.state),
            "reset": lambda *given, **named: (self._observe("state"), self.get_info()),
        }
        calls |= dict.fromkeys(("do_simulation", "_step_mujoco_simulation"), self._step)
        calls |= dict.fromkeys(("step", "physics_step", "simulate"), self._step_inner)
        calls |= dict.fromkeys(("_get_obs", "get_obs", "_get_observation"), self._observe)
        calls |= dict.fromkeys(("state_vector", "_get_state"), self._join_state)
        calls["pipeline_step"] = self._step_pipeline
        calls |= dict.fromkeys(("render", "close", "seed"), lambda *given, **named: None)
        if name in calls:
            return Input(name, call=calls[name])
        if name in ("env", "unwrapped", "envs", "gym_env", "_env", "venv"):
            return Input(name, self.get_attribute)
        if name in ("data", "sim", "_data"):
            return Input("data", self._get_of_data)
        if name in ("render_mode", "viewer", "spec", "np_random", "renderer"):
            return None
        own = self.own
        if own is not None and (name in own.names or own.type.find(name) is not None):
            return self.machine.name_constant(name, self.machine.get_attribute(own, name))
        if name == "is_healthy":
            return arithmetic.invert(self.inputs.get_terminated())
        return self.inputs.get_own(name, self.state)

    @cached_property
    def own(self) -> Instance | None:
        """Gymnasium's environment of the card; None where the card is of none."""
        aside = Tracer(is_inline=True)  # what it writes is not undone with a branch
        made = _load_class(aside, self.inputs.card)
        if made is None:
            return None
        self.adopt(made)
        instance = Instance(made, Cells())
        aside.call_function(made.find("__init__"), (instance,), {})
        return instance

    def adopt(self, made: Class) -> None:
        """Let a class's objects have what this environment has."""
        made.names["__inputs__"] = Input("self", self.get_attribute)
        scope = made.names["__init__"].scope.names
        if "mass_center" in scope:
            scope["mass_center"] = Input("mass_center", call=self._find_centre)
        made.names["_get_obs"] = Input("_get_obs", call=self._observe)
        if self.inputs.card.termination:
            made.names["is_healthy"] = arithmetic.invert(self.inputs.get_terminated())

    def inherit(self, made: Class) -> None:
        """Give a class that is made of Gymnasium's own, by its name, what that one has."""
        own = self.own.type if self.own is not None else None
        for base in made.bases:
            if isinstance(base, Class):
                self.inherit(base)
        if own is not None and made is not own:
            made.bases = tuple(
                own if isinstance(base, Word) and base.path.split(".")[-1] == own.name else base
                for base in made.bases
            )

    def _find_centre(self, *given: Any) -> Any:
        return indexing.get_item(find_centre(self.inputs, self.state), slice(0, 2))

    # --- what Gymnasium's own step pays and says --------------------------------------------------

    def get_reward(self) -> Any:
        """Return what the environment itself pays.

        Raises:
            Untranslatable: that is not known of this card's environment.
        """
        if self.own is None:
            raise remedies.refuse_inner(self.inputs.card)
        return self._run_own_step()[0]

    def get_info(self) -> Input:
        """Return what an environment's step says beside its reward."""
        return Input("info", self._get_method_of_info, self._get_of_info)

    def _get_of_info(self, key: Any) -> Any:
        word = _EARLIER.get(key, key)
        said = self._run_own_step()[1]
        return _open(said[word]) if word in said else self.inputs.get_info(key)

    def _get_method_of_info(self, name: str) -> Any:
        if name != "get":
            return Input(f"info.{name}", call=lambda *given, **named: None)

        def get(key: Any, *default: Any) -> Any:
            found = self.machine.attempt(lambda: self._get_of_info(key))
            if not isinstance(found, Broken) or not default:
                return self.machine.read(found)
            self.machine.note(f"info has no {key!r} here: its default is taken")
            return default[0]

        return Input("info.get", call=get)

    def _run_own_step(self) -> tuple[Any, Mapping[str, Any]]:
        """Return the reward and the ``info`` of Gymnasium's own step, as expressions."""
        if self._stepped is None:
            inside = Environment(Tracer(is_inline=True), self.inputs, steps_inside=True)
            if inside.own is None:
                return None, {}
            step = Partial(inside.own.type.find("step"), (inside.own,))
            action = self.inputs.make("action", self.inputs.card.n_actions)
            _, reward, _, _, said = inside.machine.call(step, (action,), {})
            self._stepped = _open(reward), said
        return self._stepped

    # --- the step itself --------------------------------------------------------------------------

    def _observe(self, state: str = "", *given: Any) -> Lanes:
        return self.inputs.get_observation(state if state == "state" else self.state)

    def _get_of_data(self, name: str) -> Any:
        """Return ``self.data.NAME`` as it is at this point of the step."""
        found = self.inputs.get_data(self.state).get_attribute
        assert found is not None
        return found(name)

    def _step(self, *given: Any, **named: Any) -> None:
        self.state = "next_state"

    def _step_pipeline(self, *given: Any) -> Input:
        self.state = "next_state"
        return self.inputs.get_data(self.state)

    def _step_inner(self, *given: Any, **named: Any) -> tuple[Any, ...]:
        self.state = "next_state"
        observation = self.inputs.get_observation("next_state")
        own = self.machine.attempt(self.get_reward)
        return Stepped((observation, own, self.inputs.get_terminated(), False, self.get_info()))

    def _join_state(self) -> Lanes:
        """Return qpos and qvel, one after the other."""
        parts = [self._get_of_data(name).get_item(slice(None)) for name in ("qpos", "qvel")]
        items = [indexing.get_item(part, i) for part in parts for i in range(part.shape[0])]
        return arithmetic.stack(items)


def _open(value: Any) -> Any:
    """Return a value that Gymnasium's own code has computed, or say why it could not."""
    if isinstance(value, Broken):
        raise Untranslatable(value.error.message, value.error.remedy)
    return value


# Names in ``info`` of earlier versions of the environments.
_EARLIER = {
    "reward_run": "reward_forward",
    "forward_reward": "reward_forward",
    "reward_linvel": "reward_forward",
    "healthy_reward": "reward_survive",
    "reward_alive": "reward_survive",
    "reward_quadctrl": "reward_ctrl",
}


# --- Gymnasium's own environment of a card --------------------------------------------------------
# Its class is carried out like a person's: ``step`` for the reward and ``info``, methods and
# properties for whoever calls them, the constructor's defaults for the weights.
# Source: ``gymnasium/envs/mujoco/*.py``, as installed.


def _load_class(machine: Tracer, card: EnvCard) -> Class | None:
    """Return the class of a card's environment as the machine reads it; None without one."""
    tree = read_tree(card)
    if tree is None:
        return None
    scope = Locals(Cells())
    for statement in tree.body:
        machine.try_statement(statement, scope)
    made = scope.names[tree.body[-1].name]  # type: ignore[attr-defined]
    return made if isinstance(made, Class) else None


def read_tree(card: EnvCard) -> ast.Module | None:
    """Return the source of a card's environment, whose class is the last statement."""
    return _read_tree(card.gymnasium_id or "", json.dumps(dict(card.gymnasium_kwargs)))


@functools.cache
def _read_tree(gymnasium_id: str, given: str) -> ast.Module | None:
    text = _read_source(gymnasium_id)
    if text is None:
        return None
    body = [item for item in nodes.parse(text) if not isinstance(item, ast.Expr)]
    defined = body[-1]
    assert isinstance(defined, ast.ClassDef)
    for item in defined.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            _keep_weights(item, json.loads(given))
    return ast.Module(body, [])


def _read_source(gymnasium_id: str) -> str | None:
    found = re.fullmatch(r"(\w+)-v(\d+)", gymnasium_id)
    spec = importlib.util.find_spec("gymnasium") if found else None
    if found is None or spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "envs" / "mujoco"
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", found[1])
    for name in (spelled, found[1]):
        path = folder / f"{name.lower()}_v{found[2]}.py"
        if path.is_file():
            return path.read_text("utf-8")
    return None


def _keep_weights(start: ast.FunctionDef, given: Mapping[str, Any]) -> None:
    """Leave of a constructor what it keeps of its arguments, with the card's for their defaults."""
    spec = start.args
    names = [item.arg for item in spec.args[len(spec.args) - len(spec.defaults) :]]
    pairs = zip(names, spec.defaults, strict=True)
    spec.defaults = [nodes.literal(given[n]) if n in given else value for n, value in pairs]
    start.body = [
        item
        for item in start.body
        if isinstance(item, ast.Assign)
        and isinstance(item.targets[0], ast.Attribute)
        and isinstance(item.value, ast.Name)
    ] or [ast.Pass()]
