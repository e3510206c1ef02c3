"""Many simulations of one environment, stepped together on ``mujoco.batch``."""

from __future__ import annotations

from collections.abc import Collection

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError
from numpy.typing import ArrayLike, NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.sources import Source, parse_source
from reward_agent.errors import DataError
from reward_agent.simulation.backend import list_ids
from reward_agent.simulation.expressions import Reader, compile_field, copy_values
from reward_agent.simulation.healthy import HealthyRanges
from reward_agent.simulation.model import make_model
from reward_agent.simulation.readers import compile_measurement, is_derived
from reward_agent.simulation.reset import ResetDraws
from reward_agent.simulation.state import FloatArray, State

UNSTABLE = "unstable physics"
_DIVERGED = [
    int(mujoco.mjtWarning.mjWARN_BADQPOS),
    int(mujoco.mjtWarning.mjWARN_BADQVEL),
    int(mujoco.mjtWarning.mjWARN_BADQACC),
]


class BatchSimulation:
    """N simulations of a card; call ``reset`` before the first ``step``.

    Simulation i draws from a generator of its own, seeded as Gymnasium seeds an environment by
    ``env.reset(seed=seed + i)``: with the same actions it moves as that environment does.

    Args:
        card: the environment.
        n_sims: number of simulations N.
        seed: of simulation 0; simulation i has ``seed + i``.
        n_threads: threads that step them, with the caller's.
        fields: names of the fields that ``read_state`` returns; None for all of the card. Fewer
            are faster.

    Raises:
        UnknownNameError: ``fields`` names one that the card has not.
        DataError: the card does not fit its model.
    """

    def __init__(
        self,
        card: EnvCard,
        n_sims: int,
        seed: int,
        n_threads: int = 1,
        fields: Collection[str] | None = None,
    ) -> None:
        self.card = card
        self.n_sims = n_sims
        names = [f.name for f in card.fields] if fields is None else list(dict.fromkeys(fields))
        needed = dict.fromkeys([*names, "observation", *(r.field for r in card.termination)])
        self.model = make_model(card, needed)
        self._batch = Batch(self.model, n_sims, n_threads)
        self._names = names
        self._readers = {
            name: compile_field(card, card.field(name), self._compile_leaf) for name in needed
        }
        self._stage = self._choose_stage(needed)
        self._qpos, self._qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._ctrl = self._batch.bind("ctrl")
        self._action_scale, self._action_offset = self._find_action_map()
        self._draws = ResetDraws(card.reset, self.model, n_sims, seed)
        self._has_diverged = np.zeros(n_sims, dtype=bool)
        self._limits = HealthyRanges(card, n_sims)

    @property
    def observation(self) -> FloatArray:
        """What the policy sees, ``(N, observation_size)``, a copy."""
        return copy_values(self._readers["observation"])

    @property
    def qpos(self) -> FloatArray:
        """MuJoCo's generalised positions, ``(N, nq)``, a copy."""
        return np.array(self._qpos)

    @property
    def qvel(self) -> FloatArray:
        """MuJoCo's generalised velocities, ``(N, nv)``, a copy."""
        return np.array(self._qvel)

    def reset(self, ids: ArrayLike | None = None) -> None:
        """Start new episodes.

        Args:
            ids: sorted numbers of the simulations, or a mask ``(N,)``; None for all.
        """
        chosen = list_ids(ids, self.n_sims)
        if not len(chosen):
            return
        self._batch.reset(chosen, self._draws.keyframe, stage=mujoco.mjtStage.mjSTAGE_NONE)
        for i in chosen:
            self._qpos[i], self._qvel[i] = self._draws.draw(i)
        # Gymnasium runs all stages here, and the next step starts from the forces found.
        self._batch.forward(chosen)
        self._has_diverged[chosen] = False

    def step(self, action: ArrayLike, ids: ArrayLike | None = None) -> None:
        """Advance by one control step.

        MuJoCo clips an action to the actuators' control range. A simulation whose physics
        diverges stays where it is put, and counts as terminated until it is reset.

        Args:
            action: ``(N, n_actions)`` in the card's ``action_range``; rows of simulations that
                are not stepped are ignored.
            ids: sorted numbers of the simulations, or a mask ``(N,)``; None for all.

        Raises:
            ValueError: the action has another shape, or is not finite.
        """
        values = np.asarray(action, dtype=np.float64)
        if values.shape != self._ctrl.shape:
            raise ValueError(f"action must have shape {self._ctrl.shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("action must be finite: the policy returned NaN or infinity")
        np.multiply(values, self._action_scale, out=self._ctrl)
        self._ctrl += self._action_offset
        try:
            self._batch.step(ids, self.card.model.frame_skip, self._stage)
        except SimulationError as error:
            self._has_diverged[error.ids] = True
        self._has_diverged |= (self._batch.warning[:, _DIVERGED, 1] > 0).any(axis=1)

    def read_state(self) -> State:
        """Return the fields of all simulations, in fresh arrays that are safe to keep."""
        return State({name: copy_values(self._readers[name]) for name in self._names})

    def find_terminated(self) -> NDArray[np.bool_]:
        """Return ``(N,)``: which simulations have left a healthy range, or diverged."""
        return self._find_unstable() | self._limits.find_left(self._readers).any(axis=1)

    def termination_reason(self, sim: int) -> str | None:
        """Return the field whose range simulation ``sim`` has left, or ``unstable physics``."""
        if self._find_unstable()[sim]:
            return UNSTABLE
        has_left = self._limits.find_left(self._readers)[sim]
        fields = self._limits.fields
        return fields[int(has_left.argmax())] if has_left.any() else None

    def _find_unstable(self) -> NDArray[np.bool_]:
        is_finite = np.isfinite(self._qpos).all(axis=1) & np.isfinite(self._qvel).all(axis=1)
        unstable: NDArray[np.bool_] = self._has_diverged | ~is_finite
        return unstable

    def _compile_leaf(self, source: Source) -> Reader:
        return compile_measurement(source, self._batch, self.card.model.floor)

    def _choose_stage(self, needed: Collection[str]) -> int:
        """Compute derived fields at the new state, unless none is read or the card says lagged."""
        sources = [parse_source(self.card.field(name).source) for name in needed]
        is_current = self.card.model.derived_fields == "current"
        if is_current and any(is_derived(source) for source in sources):
            return int(mujoco.mjtStage.mjSTAGE_VEL)
        return int(mujoco.mjtStage.mjSTAGE_NONE)

    def _find_action_map(self) -> tuple[FloatArray, FloatArray]:
        """Return scale and offset ``(n_actions,)`` from the card's actions to MuJoCo's controls."""
        if self.model.nu != self.card.n_actions:
            raise DataError(
                f"environment {self.card.name!r} names {self.card.n_actions} actions, the model "
                f"has {self.model.nu} actuators",
                "name one action for each actuator, in their order",
            )
        if self.card.action_mapping == "direct":
            return np.ones(self.model.nu), np.zeros(self.model.nu)
        low, high = self.card.action_range
        ctrl_low, ctrl_high = self.model.actuator_ctrlrange.T
        scale = (ctrl_high - ctrl_low) / (high - low)
        return scale, ctrl_low - scale * low
