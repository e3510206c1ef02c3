"""Many simulations of an environment that EnvPool brings, stepped together by EnvPool.

What can be measured is what EnvPool returns: ``observation``, ``reward`` (its own, of the step that
led here; 0 after a reset), and each number of its ``info``, such as MetaWorld's ``success``.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.sources import Array, Source
from reward_agent.errors import DataError, hint_closest
from reward_agent.simulation.backends import (
    Frame,
    Shown,
    check_action,
    list_ids,
    prepare_simulation,
)
from reward_agent.simulation.fields import Fields, Reader, make_constant
from reward_agent.simulation.state import FloatArray, State

ENDED = "ended by EnvPool"
# EnvPool begins the next episode in the step after the last one of an episode, and returns no
# reward for the action it got. Episodes of this length never get there: we end and begin them.
_ENDLESS = 2**31 - 1
_SEEDS = 2**31 - 2**20
_INFO = "info:"
# Where a wheel has the libraries that it brings.
_LIBRARIES = "envpool.libs"


class PoolSimulation:
    """N simulations of a card by EnvPool, as ``backends.Simulation`` says.

    Args:
        card: the environment; ``model.id`` names EnvPool's.
        n_sims: number of simulations N.
        seed: of simulation 0.
        n_threads: threads that step them, beside the caller's.
        fields: names of the fields that ``read_state`` returns; None for all of the card.
        picture: width and height in pixels of what ``draw`` draws; None: nothing is drawn.

    Raises:
        UsageError: EnvPool is not installed.
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: EnvPool has no such environment, or the card does not fit it.
    """

    def __init__(
        self,
        card: EnvCard,
        n_sims: int,
        seed: int,
        n_threads: int = 1,
        fields: Collection[str] | None = None,
        picture: tuple[int, int] | None = None,
    ) -> None:
        self.card = card
        self.n_sims = n_sims
        prepare_simulation(card)
        options = _make_drawing_options(*picture) if picture else {}
        self._pool = _make_pool(card, n_sims, seed, n_threads, options)
        self._values = self._make_values()
        self._fields = Fields(card, n_sims, fields, self._compile_leaf)
        self._has_ended = np.zeros(n_sims, dtype=bool)

    @property
    def observation(self) -> FloatArray:
        """What the policy sees, ``(N, observation_size)``, a copy."""
        return self._fields.observation

    @property
    def qpos(self) -> FloatArray:
        """Nothing, ``(N, 0)``: EnvPool keeps what a picture is drawn from, and draws it."""
        return np.zeros((self.n_sims, 0))

    def draw(self) -> Frame:
        """Return a picture ``(height, width, 3)`` of simulation 0, by the card's camera."""
        frame: Frame = self._pool.render([0], self.card.model.camera)[0]
        return frame

    def reset(self, ids: ArrayLike | None = None) -> None:
        """Start new episodes."""
        chosen = list_ids(ids, self.n_sims)
        if not len(chosen):
            return
        observation, info = self._pool.reset(chosen)
        self._has_ended[chosen] = False
        self._keep(observation, np.zeros(len(chosen)), info)

    def step(self, action: ArrayLike, ids: ArrayLike | None = None) -> None:
        """Advance by one control step.

        A simulation whose episode EnvPool has ended stays where it is until it is reset.

        Args:
            action: ``(N, n_actions)``, clipped to the card's ``action_range``.
            ids: which; as for ``reset``.

        Raises:
            ValueError: the action has another shape, or is not finite.
        """
        values = check_action(action, (self.n_sims, self.card.n_actions))
        chosen = list_ids(ids, self.n_sims)
        chosen = chosen[~self._has_ended[chosen]]
        if not len(chosen):
            return
        low, high = self.card.action_range
        controls = np.clip(values[chosen], low, high).astype(self._pool.action_space.dtype)
        observation, reward, terminated, truncated, info = self._pool.step(controls, chosen)
        self._has_ended[info["env_id"]] = terminated | truncated
        self._keep(observation, reward, info)

    def read_state(self) -> State:
        """Return the fields of all simulations, in fresh arrays that are safe to keep."""
        return self._fields.read_state()

    def find_terminated(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which simulations have left a healthy range, or EnvPool has ended."""
        return self._has_ended | self._fields.find_left()

    def termination_reason(self, sim: int) -> str | None:
        """Return the field whose range simulation ``sim`` has left, or that EnvPool ended it."""
        return ENDED if self._has_ended[sim] else self._fields.name_left(sim)

    def _make_values(self) -> dict[str, FloatArray]:
        """Return what EnvPool returns by name, each ``(N,)`` or ``(N, k)``, to be filled."""
        # One number a simulation, or one a player; whose simulation has one player.
        numbers = [
            name.removeprefix(_INFO)
            for name, form in self._pool.spec.state_array_spec.items()
            if name.startswith(_INFO) and np.issubdtype(form.dtype, np.floating)
        ]
        values = {name: np.zeros(self.n_sims) for name in [*numbers, "reward"]}
        size = self._pool.observation_space.shape[0]
        return values | {"observation": np.zeros((self.n_sims, size))}

    def _keep(self, observation: FloatArray, reward: FloatArray, info: dict[str, Any]) -> None:
        # EnvPool returns simulations in the order in which they were ready.
        ids = info["env_id"]
        returned = {**info, "observation": observation, "reward": reward}
        for name, values in self._values.items():
            values[ids] = returned[name]

    def _compile_leaf(self, source: Source) -> Reader:
        name = source.name if isinstance(source, Array) else str(source)
        if name not in self._values:
            raise DataError(
                f"{self.card.model.id} of EnvPool returns no {name!r}"
                f"{hint_closest(name, self._values)}",
                f"it returns {', '.join(sorted(self._values))}",
            )
        return make_constant(self._values[name])


class PoolArtist:
    """Draws as ``backends.Artist`` says: EnvPool plays the episode once more."""

    # A picture takes a seventh of a second, for shadows that cannot be turned off.
    most_frames_per_s = 12

    def __init__(self, card: EnvCard, width: int, height: int) -> None:
        self._card, self._size = card, (width, height)
        # A first picture loads the driver, which a sealed process could not.
        self._begin(0).draw()

    def draw(self, shown: Shown, steps: Sequence[int]) -> list[Frame]:
        """Return a picture ``(height, width, 3)`` of each of the steps, which rise."""
        if shown.action is None:
            raise ValueError("EnvPool draws an episode from its seed and its actions")
        simulation, frames, at = self._begin(shown.seed), [], 0
        for step in steps:
            for action in shown.action[at:step]:
                simulation.step(action[None])
            frames.append(simulation.draw())
            at = step
        return frames

    def close(self) -> None:
        """Each pool frees its own."""

    def _begin(self, seed: int) -> PoolSimulation:
        simulation = PoolSimulation(self._card, 1, seed, fields=(), picture=self._size)
        simulation.reset()
        return simulation


def _make_drawing_options(width: int, height: int) -> dict[str, Any]:
    """Return the options of EnvPool's make, and let its MuJoCo find the EGL that came with it.

    MuJoCo looks for EGL among the symbols of the whole process, but Python has loaded EnvPool's
    libraries for EnvPool alone.
    """
    package = Path(str(sys.modules["envpool"].__file__)).parent
    for path in sorted((package.parent / _LIBRARIES).glob("libEGL*")):
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    return {"render_mode": "rgb_array", "render_width": width, "render_height": height}


def _return_freed_memory() -> None:
    """Give back what the last simulations had, hundreds of MiB that glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _make_pool(
    card: EnvCard, n_sims: int, seed: int, n_threads: int, options: dict[str, Any]
) -> Any:
    envpool = importlib.import_module("envpool")
    _return_freed_memory()
    name = str(card.model.id)
    known = envpool.list_all_envs()
    if name not in known:
        raise DataError(
            f"environment {card.name!r}: EnvPool has no {name!r}{hint_closest(name, known)}",
            "correct model.id of the card, or simulation of the task",
        )
    pool = envpool.make_gymnasium(
        name,
        num_envs=n_sims,
        seed=seed % _SEEDS,
        num_threads=n_threads,
        max_episode_steps=_ENDLESS,
        **card.model.options,
        **options,
    )
    shapes = {
        "observation_size": (pool.observation_space.shape, (card.observation_size,)),
        "actions": (pool.action_space.shape, (card.n_actions,)),
    }
    for key, (found, given) in shapes.items():
        if found != given:
            raise DataError(
                f"environment {card.name!r}: {key} makes a shape of {given}, {name} has {found}",
                f"correct {key}",
            )
    return pool
