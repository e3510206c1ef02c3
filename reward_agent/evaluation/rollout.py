"""Fresh episodes of many policies at once, on one batch of simulations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Decision, Episode
from reward_agent.evaluation.trajectories import DECIDED, TRUNCATED, Trajectories, make_trajectories
from reward_agent.simulation.backends import find_backend, make_simulation
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray, State

NOT_FINITE = "action not finite"


class Actor(Protocol):
    """Anything that turns observations into actions, deterministically."""

    @property
    def repeat(self) -> int:
        """Control steps that each action is held for."""

    def act(self, observation: FloatArray) -> NDArray[Any]:
        """Return ``(N, n_actions)`` for observations ``(N, observation_size)``."""


@dataclass(frozen=True)
class Rollout:
    """The episodes of one policy as they are stored, and more of each that is not.

    Args:
        trajectories: the episodes.
        pose: of each ``(T, n)``, to draw it.
        physics: of each what ``Simulation.physics`` is at its T states, ``(T, k)``.
    """

    trajectories: Trajectories
    pose: tuple[FloatArray, ...]
    physics: tuple[Mapping[str, FloatArray], ...] = ()


class KeptSimulations:
    """Simulations of a card that later rollouts go on with, where they are dear to make.

    They read ``fields`` alone, None for all; fewer are faster and move the same, to the last bit.
    An episode on a kept simulation is the next that its generator draws; ``seed`` says no more
    than where the first of them began. Their physics are the model's own, unless they are
    randomised as the card says; episodes start alike in both.
    """

    def __init__(
        self, card: EnvCard, fields: Collection[str] | None = None, is_randomised: bool = False
    ) -> None:
        self._card, self._fields, self._is_randomised = card, fields, is_randomised
        self._kept: Simulation | None = None

    def take(self, n_sims: int, seed: int) -> Simulation:
        """Return at least ``n_sims`` simulations, to be reset."""
        if find_backend(self._card).most_simulations is None:
            return self._make(n_sims, seed)
        if self._kept is None or self._kept.n_sims < n_sims:
            self._kept = self._make(n_sims, seed)
        return self._kept

    def _make(self, n_sims: int, seed: int) -> Simulation:
        return make_simulation(self._card, n_sims, seed, self._fields, self._is_randomised)


def roll_out(
    card: EnvCard,
    policies: Sequence[Actor],
    n_episodes: int,
    seed: int,
    kept: KeptSimulations | None = None,
    is_decided: Decision | None = None,
) -> list[Rollout]:
    """Run each policy for some episodes side by side, and record the fields.

    Episode e of policy p is simulation ``p * n_episodes + e``, which has the seed ``seed + p *
    n_episodes + e``, unless simulations are kept. An episode that has ended is not stepped any
    more. A policy whose action is not finite ends its episode there, terminated.

    Args:
        card: the environment, with the task applied.
        policies: at least one.
        n_episodes: of each policy.
        seed: of the first simulation.
        kept: where the simulations come from, and which fields they read; None makes fresh ones,
            which read every field.
        is_decided: ends an episode early, ``DECIDED``; None lets all run to their end.
    """
    owners = np.repeat(np.arange(len(policies)), n_episodes)
    size = find_backend(card).most_simulations or len(owners)
    episodes: list[Episode] = []
    ends: list[str] = []
    poses: list[FloatArray] = []
    physics: list[Mapping[str, FloatArray]] = []
    for start in range(0, len(owners), size):
        part = owners[start : start + size]
        take = kept.take if kept else partial(make_simulation, card)
        simulation = take(len(part), seed + start)
        recorder = Recorder(card, simulation, len(part), is_decided=is_decided)
        _play(recorder, policies, part)
        episodes += recorder.cut_episodes()
        ends += recorder.ends
        poses += recorder.cut_poses()
        physics += recorder.cut_physics()
    parts = [slice(i * n_episodes, (i + 1) * n_episodes) for i in range(len(policies))]
    return [
        Rollout(
            make_trajectories(episodes[part], ends[part]), tuple(poses[part]), tuple(physics[part])
        )
        for part in parts
    ]


def _play(recorder: Recorder, policies: Sequence[Actor], owners: NDArray[np.int_]) -> None:
    """Let policy ``owners[i]`` act in each simulation i, all side by side."""
    simulation, card = recorder.simulation, recorder.simulation.card
    action = np.zeros((simulation.n_sims, card.n_actions))
    for step in range(card.max_episode_steps):
        observation = simulation.observation
        active = recorder.active[: len(owners)]
        action[: len(owners)][~active] = 0.0
        for index in np.unique(owners[active]):
            rows = np.flatnonzero((owners == index) & active)
            if step % policies[index].repeat == 0:
                action[rows] = policies[index].act(observation[rows])
        recorder.step(action)
        if not recorder.active.any():
            break


class Recorder:
    """Episodes that run side by side, and what was seen of all at each step.

    Args:
        card: the environment.
        simulation: made, to be reset.
        n_used: simulations with an episode, the first ones; None: all.
        prepare: called at the start of the episodes, before anything is read.
        is_decided: ends an episode early.
    """

    def __init__(
        self,
        card: EnvCard,
        simulation: Simulation,
        n_used: int | None = None,
        prepare: Callable[[], None] = lambda: None,
        is_decided: Decision | None = None,
    ) -> None:
        n_sims = simulation.n_sims
        n_used = n_sims if n_used is None else n_used
        self.simulation = simulation
        self.active = np.arange(n_sims) < n_used
        self._card, self._is_decided = card, is_decided
        self._n_steps = np.zeros(n_sims, dtype=int)
        self.ends = [TRUNCATED] * n_used
        self._states: dict[str, list[NDArray[np.float32]]] = {}
        self._poses: list[FloatArray] = []
        self._physics: dict[str, list[FloatArray]] = {}
        self._actions: list[NDArray[np.float32]] = []
        self.simulation.reset(self.active)
        prepare()
        self._read()

    def step(self, action: FloatArray) -> None:
        """Step the running episodes and note which of them have ended, and why."""
        is_finite = np.isfinite(action.min(axis=1) + action.max(axis=1))
        self._end(self.active & ~is_finite, NOT_FINITE)
        self.simulation.step(np.where(is_finite[:, None], action, 0.0), self.active)
        self._n_steps[self.active] += 1
        self._actions.append(action.astype(np.float32))
        state = self._read()
        is_over = self.simulation.find_terminated() | self.simulation.find_truncated()
        self._end(self.active & is_over)
        if self._is_decided is not None:
            self._end(self.active & self._is_decided(state), DECIDED)

    def cut_episodes(self) -> Iterator[Episode]:
        """Yield the episodes; a simulation's rows after its own end mean nothing."""
        fields = {name: np.stack(rows) for name, rows in self._states.items()}
        action = np.stack(self._actions)
        for sim, end in enumerate(self.ends):
            n_steps = self._n_steps[sim]
            yield Episode(
                {name: values[: n_steps + 1, sim] for name, values in fields.items()},
                action[:n_steps, sim],
                self._card.control_dt,
                terminated=end not in (TRUNCATED, DECIDED),
            )

    def cut_poses(self) -> Iterator[FloatArray]:
        """Yield ``(T, n)`` of each episode, to draw it."""
        poses = np.stack(self._poses)
        for sim in range(len(self.ends)):
            yield poses[: self._n_steps[sim] + 1, sim]

    def cut_physics(self) -> Iterator[dict[str, FloatArray]]:
        """Yield by what each episode could be put back into its states, ``(T, k)``."""
        physics = {name: np.stack(rows) for name, rows in self._physics.items()}
        for sim in range(len(self.ends)):
            n_states = self._n_steps[sim] + 1
            yield {name: values[:n_states, sim] for name, values in physics.items()}

    def _read(self) -> State:
        """Keep the state in single precision: what is scored is what will be stored."""
        state = self.simulation.read_state()
        for name, values in state.fields.items():
            self._states.setdefault(name, []).append(values.astype(np.float32))
        self._poses.append(self.simulation.pose)
        for name, values in self.simulation.physics.items():
            self._physics.setdefault(name, []).append(values)
        return state

    def _end(self, mask: NDArray[np.bool_], reason: str | None = None) -> None:
        for sim in np.flatnonzero(mask):
            self.ends[sim] = reason or self.simulation.termination_reason(int(sim)) or TRUNCATED
            self.active[sim] = False
