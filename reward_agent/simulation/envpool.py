"""Many simulations of an environment that EnvPool brings, stepped together by EnvPool.

What can be measured is what EnvPool returns: ``observation``, parts of one that is a dictionary
as ``observation/KEY`` (see ``gymnasium_host``), ``reward`` (its own, of the step that led here; 0
after a reset), and each number of its ``info`` as ``info/KEY`` or ``KEY``, such as MetaWorld's
``success``.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.sources import Array, Source
from reward_agent.errors import DataError, UsageError, hint_closest
from reward_agent.simulation.backends import ENVPOOL, Footage, Frame
from reward_agent.simulation.gymnasium_batch import find_stretch
from reward_agent.simulation.gymnasium_host import INFO, ActionForm, Columns, EnvError
from reward_agent.simulation.simulation import Reader, Simulation, list_ids, make_constant
from reward_agent.simulation.state import FloatArray

ENDED = "ended by EnvPool"
# EnvPool begins the next episode in the step after the last one of an episode, and returns no
# reward for the action it got. Episodes of this length never get there: we end and begin them.
ENDLESS = 2**31 - 1
_SEEDS = 2**31 - 2**20
_INFO = "info:"
# Where a wheel has the libraries that it brings.
_LIBRARIES = "envpool.libs"


class PoolSimulation(Simulation):
    """EnvPool's; a simulation whose episode EnvPool has ended stays where it is until it is reset.

    Args, beside those of ``Simulation``:
        n_threads: threads that step them, beside the caller's.
        picture: width and height in pixels of what ``draw`` draws; None: nothing is drawn.

    Raises:
        UsageError: EnvPool is not installed.
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: EnvPool has no such environment, or the card does not fit it.
    """

    end_reason = ENDED
    ends_by_itself = True

    def __init__(
        self,
        card: EnvCard,
        n_sims: int,
        seed: int,
        n_threads: int = 1,
        fields: Collection[str] | None = None,
        picture: tuple[int, int] | None = None,
    ) -> None:
        self._pool = _make_pool(card, n_sims, seed, n_threads, picture)
        self._columns = _lay_columns(card, self._pool)
        form = ActionForm(str(card.model.id), self._pool.action_space)
        self._low, self._factor = find_stretch(card, form)
        self._observation = np.zeros((n_sims, self._columns.width))
        self._values = self._make_values(n_sims)
        self._has_ended = np.zeros(n_sims, dtype=bool)
        super().__init__(card, n_sims, fields)

    def draw(self) -> Frame:
        """Return a picture ``(height, width, 3)`` of simulation 0, by the card's camera."""
        return np.asarray(self._pool.render([0], self.card.model.camera)[0])

    def begin(self, ids: NDArray[np.int32]) -> None:
        """Start new episodes."""
        observation, info = self._pool.reset(ids)
        self._has_ended[ids] = False
        self._keep(observation, np.zeros(len(ids)), info)

    def advance(self, action: FloatArray, ids: ArrayLike | None) -> None:
        """Advance by one control step, with actions clipped to the card's ``action_range``."""
        chosen = list_ids(ids, self.n_sims)
        chosen = chosen[~self._has_ended[chosen]]
        if not len(chosen):
            return
        low, high = self.card.action_range
        controls = np.clip(action[chosen], low, high)
        if self.card.action_mapping == "rescaled":
            controls = self._low + (controls - low) * self._factor
        controls = controls.astype(self._pool.action_space.dtype)
        if self.card.choices:
            controls = controls[:, 0]
        observation, reward, terminated, truncated, info = self._pool.step(controls, chosen)
        self._has_ended[info["env_id"]] = terminated | truncated
        self._keep(observation, reward, info)

    def find_stuck(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: whose episode EnvPool has ended."""
        return self._has_ended

    def _make_values(self, n_sims: int) -> dict[str, FloatArray]:
        """Return what EnvPool returns by name, each ``(N,)`` or ``(N, k)``, to be filled."""
        values = {"reward": np.zeros(n_sims)}
        for name, form in self._pool.spec.state_array_spec.items():
            own = name.removeprefix(_INFO)
            if own == name or own.endswith("env_id"):
                continue
            # One number a simulation, or one a player; whose simulation has one player.
            shape = [size for size in form.shape if size > 0]
            values[own] = np.zeros((n_sims, int(np.prod(shape))) if shape else n_sims)
        return values

    def _keep(self, observation: Any, reward: FloatArray, info: dict[str, Any]) -> None:
        # EnvPool returns simulations in the order in which they were ready.
        ids = info["env_id"]
        rows = np.zeros((len(ids), self._columns.width))
        self._columns.write(observation, rows)
        self._observation[ids] = rows
        returned = {**info, "reward": reward}
        for name, values in self._values.items():
            values[ids] = returned[name].reshape(len(ids), *values.shape[1:])

    def compile_leaf(self, source: Source) -> Reader:
        """Read what EnvPool returns by its name."""
        name = source.name if isinstance(source, Array) else str(source)
        if name in self._columns.names:
            start, size = self._columns.names[name]
            row = self._observation
            return make_constant(row[:, start : start + size] if size else row[:, start])
        own = name.removeprefix(f"{INFO}/")
        if own not in self._values:
            known = [*self._columns.names, *self._values]
            raise DataError(
                f"{self.card.model.id} of EnvPool returns no {name!r}{hint_closest(name, known)}",
                f"it returns {', '.join(sorted(known))}",
            )
        return make_constant(self._values[own])


def _lay_columns(card: EnvCard, pool: Any) -> Columns:
    """Return what the numbers of an observation are.

    Raises:
        DataError: it is an image, or of no fixed number.
    """
    try:
        return Columns(str(card.model.id), pool.observation_space)
    except EnvError as error:
        raise DataError(f"environment {card.name!r}: {error.message}", error.remedy) from error


def import_envpool(card: EnvCard) -> Any:
    """Return the module, whose import starts processes to find its libraries.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("envpool")
    except ImportError as error:
        raise UsageError(f"EnvPool cannot be imported ({error})", ENVPOOL.way_out) from error


class PoolArtist:
    """Draws as ``backends.Artist`` says: EnvPool plays the episode once more."""

    # A picture takes a seventh of a second, for shadows that cannot be turned off.
    most_frames_per_s = 12

    def __init__(self, card: EnvCard, width: int, height: int) -> None:
        self._card, self._size = card, (width, height)
        # A first picture loads the driver, which a sealed process could not.
        self._begin(0).draw()

    def draw(self, footage: Footage, steps: Sequence[float]) -> Iterator[Frame]:
        """Yield a picture ``(height, width, 3)`` of the state before each of the steps."""
        if footage.action is None:
            raise ValueError("EnvPool draws an episode from its seed and its actions")
        simulation, at = self._begin(footage.seed), 0
        frame = simulation.draw()
        for step in map(int, steps):
            for action in footage.action[at:step]:
                simulation.step(action[None])
            if step > at:
                frame = simulation.draw()
            at = step
            yield frame

    def close(self) -> None:
        """Each pool frees its own."""

    def _begin(self, seed: int) -> PoolSimulation:
        simulation = PoolSimulation(self._card, 1, seed, fields=(), picture=self._size)
        simulation.reset()
        return simulation


def _make_pool(
    card: EnvCard, n_sims: int, seed: int, n_threads: int, picture: tuple[int, int] | None
) -> Any:
    envpool = import_envpool(card)
    options = dict[str, Any](card.model.options)
    if picture:
        # MuJoCo looks for EGL among the symbols of the whole process, but Python has loaded
        # EnvPool's libraries for EnvPool alone.
        for path in sorted(Path(envpool.__file__).parents[1].joinpath(_LIBRARIES).glob("libEGL*")):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        width, height = picture
        options |= {"render_mode": "rgb_array", "render_width": width, "render_height": height}
    # Give back what the last simulations had, hundreds of MiB that glibc would keep.
    getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
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
        max_episode_steps=ENDLESS,
        **options,
    )
    n_choices = int(getattr(pool.action_space, "n", 0))
    shapes = {
        "actions": (pool.action_space.shape, () if n_choices else (card.n_actions,)),
        "choices": ((n_choices,) if n_choices else (), card.n_choices),
    }
    for key, (found, given) in shapes.items():
        if found != given:
            raise DataError(
                f"environment {card.name!r}: {key} makes a shape of {given}, {name} has {found}",
                f"correct {key}",
            )
    return pool
