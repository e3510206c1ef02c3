"""Many simulations of an environment that EnvPool brings, stepped together by EnvPool.

What can be measured is what EnvPool returns: ``observation``, ``reward`` (its own, of the step that
led here; 0 after a reset), and each number of its ``info``, such as MetaWorld's ``success``.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.sources import Array, Source
from reward_agent.errors import DataError, UsageError, find_closest_name
from reward_agent.simulation.backend import INSTALL, list_ids
from reward_agent.simulation.expressions import Reader, compile_field, copy_values, make_constant
from reward_agent.simulation.healthy import HealthyRanges
from reward_agent.simulation.pool_drawing import make_drawing_options
from reward_agent.simulation.state import FloatArray, State

ENDED = "ended by EnvPool"
# EnvPool begins the next episode in the step after the last one of an episode, and returns no
# reward for the action it got. Episodes of this length never get there: we end and begin them.
_ENDLESS = 2**31 - 1
_SEEDS = 2**31 - 2**20
_INFO = "info:"


class PoolSimulation:
    """N simulations of a card by EnvPool; call ``reset`` before the first ``step``.

    Simulation i draws from a generator of its own, seeded ``seed + i``.

    Args:
        card: the environment; ``model.envpool`` names EnvPool's.
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
        names = [f.name for f in card.fields] if fields is None else list(dict.fromkeys(fields))
        needed = dict.fromkeys([*names, "observation", *(r.field for r in card.termination)])
        import_envpool()
        options = make_drawing_options(*picture) if picture else {}
        self._pool = _make_pool(card, n_sims, seed, n_threads, options)
        self._values = self._make_values()
        self._names = names
        self._readers = {
            name: compile_field(card, card.field(name), self._compile_leaf) for name in needed
        }
        self._has_ended = np.zeros(n_sims, dtype=bool)
        self._limits = HealthyRanges(card, n_sims)

    @property
    def observation(self) -> FloatArray:
        """What the policy sees, ``(N, observation_size)``, a copy."""
        return copy_values(self._readers["observation"])

    @property
    def qpos(self) -> FloatArray:
        """Nothing, ``(N, 0)``: EnvPool keeps what a picture is drawn from, and draws it."""
        return np.zeros((self.n_sims, 0))

    def draw(self) -> NDArray[np.uint8]:
        """Return a picture ``(height, width, 3)`` of simulation 0, by the card's camera."""
        model = self.card.model
        frame: NDArray[np.uint8] = self._pool.render([0], model.envpool_camera)[0]
        return frame[::-1, ::-1] if model.envpool_camera_is_upside_down else frame

    def reset(self, ids: ArrayLike | None = None) -> None:
        """Start new episodes.

        Args:
            ids: sorted numbers of the simulations, or a mask ``(N,)``; None for all.
        """
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
            action: ``(N, n_actions)``, clipped to the card's ``action_range``; rows of
                simulations that are not stepped are ignored.
            ids: sorted numbers of the simulations, or a mask ``(N,)``; None for all.

        Raises:
            ValueError: the action has another shape, or is not finite.
        """
        values = np.asarray(action, dtype=np.float64)
        shape = (self.n_sims, self.card.n_actions)
        if values.shape != shape:
            raise ValueError(f"action must have shape {shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("action must be finite: the policy returned NaN or infinity")
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
        return State({name: copy_values(self._readers[name]) for name in self._names})

    def find_terminated(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which simulations have left a healthy range, or EnvPool has ended."""
        return self._has_ended | self._limits.find_left(self._readers).any(axis=1)

    def termination_reason(self, sim: int) -> str | None:
        """Return the field whose range simulation ``sim`` has left, or that EnvPool ended it."""
        if self._has_ended[sim]:
            return ENDED
        has_left = self._limits.find_left(self._readers)[sim]
        return self._limits.fields[int(has_left.argmax())] if has_left.any() else None

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
            closest = find_closest_name(name, self._values)
            hint = f"; did you mean {closest!r}?" if closest else ""
            raise DataError(
                f"{self.card.model.envpool} of EnvPool returns no {name!r}{hint}",
                f"it returns {', '.join(sorted(self._values))}",
            )
        return make_constant(self._values[name])


def import_envpool() -> Any:
    """Return the module.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("envpool")
    except ImportError as error:
        raise UsageError(f"EnvPool cannot be imported ({error})", INSTALL) from error


def _return_freed_memory() -> None:
    """Give back what the last simulations had, hundreds of MiB that glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _make_pool(
    card: EnvCard, n_sims: int, seed: int, n_threads: int, options: dict[str, Any]
) -> Any:
    envpool = import_envpool()
    _return_freed_memory()
    name = str(card.model.envpool)
    known = envpool.list_all_envs()
    if name not in known:
        closest = find_closest_name(name, known)
        hint = f"; did you mean {closest!r}?" if closest else ""
        raise DataError(
            f"environment {card.name!r}: EnvPool has no {name!r}{hint}",
            "correct model.envpool of the card, or simulation of the task",
        )
    pool = envpool.make_gymnasium(
        name,
        num_envs=n_sims,
        seed=seed % _SEEDS,
        num_threads=n_threads,
        max_episode_steps=_ENDLESS,
        **card.model.envpool_options,
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
