"""Fresh episodes of many policies at once, on one batch of simulations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.metrics import Decision, Episode
from reward_agent.evaluation.trajectories import (
    DECIDED,
    TRUNCATED,
    Trajectories,
    make_trajectories,
)
from reward_agent.simulation.backends import find_backend, make_simulation
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray, State

NOT_FINITE = "action not finite"


class Actor(Protocol):
    """Anything that turns observations into actions, deterministically."""

    def act(self, observation: FloatArray) -> NDArray[Any]:
        """Return ``(N, n_actions)`` for observations ``(N, observation_size)``."""


@dataclass(frozen=True)
class Rollout:
    """The episodes of one policy.

    Args:
        trajectories: what was recorded, as it is stored.
        qpos: of each episode ``(T, nq)``, to draw it.
    """

    trajectories: Trajectories
    qpos: tuple[FloatArray, ...]


class KeptSimulations:
    """Simulations of a card that later rollouts go on with, where they are dear to make.

    An episode on a kept simulation is the next that its generator draws; ``seed`` says no more
    than where the first of them began.

    Args:
        card: the environment, with the task applied.
    """

    def __init__(self, card: EnvCard) -> None:
        self._card = card
        self._kept: Simulation | None = None

    def take(self, n_sims: int, seed: int) -> Simulation:
        """Return at least ``n_sims`` simulations, to be reset."""
        if find_backend(self._card).most_simulations is None:
            return make_simulation(self._card, n_sims, seed)
        if self._kept is None or self._kept.n_sims < n_sims:
            self._kept = make_simulation(self._card, n_sims, seed)
        return self._kept


def roll_out(
    card: EnvCard,
    policies: Sequence[Actor],
    n_episodes: int,
    seed: int,
    kept: KeptSimulations | None = None,
    is_decided: Decision | None = None,
) -> list[Rollout]:
    """Run each policy for some episodes side by side, and record every field.

    Episode e of policy p is simulation ``p * n_episodes + e``, which has the seed ``seed + p *
    n_episodes + e``, unless simulations are kept. An episode that has ended is not stepped any
    more. A policy whose action is not finite ends its episode there, terminated.

    Args:
        card: the environment, with the task applied.
        policies: at least one.
        n_episodes: of each policy.
        seed: of the first simulation.
        kept: where the simulations come from; None makes fresh ones.
        is_decided: ends an episode early, ``DECIDED``; None lets all run to their end.
    """
    owners = np.repeat(np.arange(len(policies)), n_episodes)
    size = find_backend(card).most_simulations or len(owners)
    played: list[_Played] = []
    for start in range(0, len(owners), size):
        part = owners[start : start + size]
        take = kept.take if kept else partial(make_simulation, card)
        recorder = _Recorder(card, take(len(part), seed + start), len(part), is_decided)
        played += _play(recorder, policies, part)
    return [
        _collect(played[index * n_episodes : (index + 1) * n_episodes])
        for index in range(len(policies))
    ]


class _Played(NamedTuple):
    """One episode, why it ended, and ``(T, nq)`` to draw it."""

    episode: Episode
    end: str
    qpos: FloatArray


def _collect(played: Sequence[_Played]) -> Rollout:
    episodes, ends, qpos = zip(*played, strict=True)
    return Rollout(make_trajectories(episodes, ends), qpos)


def _play(
    recorder: _Recorder, policies: Sequence[Actor], owners: NDArray[np.int_]
) -> list[_Played]:
    """Return one episode of policy ``owners[i]`` in each simulation i, all side by side."""
    simulation, card = recorder.simulation, recorder.simulation.card
    for _ in range(card.max_episode_steps):
        observation = simulation.observation
        action = np.zeros((simulation.n_sims, card.n_actions))
        active = recorder.active[: len(owners)]
        for index in np.unique(owners[active]):
            rows = np.flatnonzero((owners == index) & active)
            action[rows] = policies[index].act(observation[rows])
        recorder.step(action)
        if not recorder.active.any():
            break
    return recorder.finish(len(owners))


class _Recorder:
    """The first ``n_used`` of the simulations, and what was seen of all at each step."""

    def __init__(
        self, card: EnvCard, simulation: Simulation, n_used: int, is_decided: Decision | None
    ) -> None:
        n_sims = simulation.n_sims
        self.simulation = simulation
        self.active = np.arange(n_sims) < n_used
        self._card, self._is_decided = card, is_decided
        self._n_steps = np.zeros(n_sims, dtype=int)
        self._ends = [TRUNCATED] * n_sims
        self._states: dict[str, list[NDArray[np.float32]]] = {f.name: [] for f in card.fields}
        self._qpos: list[FloatArray] = []
        self._actions: list[NDArray[np.float32]] = []
        self.simulation.reset(self.active)
        self._read()

    def step(self, action: FloatArray) -> None:
        """Step the running episodes and note which of them have ended, and why."""
        is_finite = np.isfinite(action.min(axis=1) + action.max(axis=1))
        self._end(self.active & ~is_finite, NOT_FINITE)
        self.simulation.step(np.where(is_finite[:, None], action, 0.0), self.active)
        self._n_steps[self.active] += 1
        self._actions.append(action.astype(np.float32))
        state = self._read()
        self._end(self.active & self.simulation.find_terminated())
        if self._is_decided is not None:
            self._end(self.active & self._is_decided(state), DECIDED)

    def finish(self, n_used: int) -> list[_Played]:
        """Return the episodes; a simulation's rows after its own end mean nothing."""
        fields = {name: np.stack(rows) for name, rows in self._states.items()}
        action, qpos = np.stack(self._actions), np.stack(self._qpos)
        played = []
        for sim, (n_steps, end) in enumerate(zip(self._n_steps[:n_used], self._ends, strict=False)):
            episode = Episode(
                {name: values[: n_steps + 1, sim] for name, values in fields.items()},
                action[:n_steps, sim],
                self._card.control_dt,
                terminated=end not in (TRUNCATED, DECIDED),
            )
            played.append(_Played(episode, end, qpos[: n_steps + 1, sim]))
        return played

    def _read(self) -> State:
        """Keep the state in single precision: what is scored is what will be stored."""
        state = self.simulation.read_state()
        for name, values in state.fields.items():
            self._states[name].append(values.astype(np.float32))
        self._qpos.append(self.simulation.qpos)
        return state

    def _end(self, mask: NDArray[np.bool_], reason: str | None = None) -> None:
        for sim in np.flatnonzero(mask):
            self._ends[sim] = reason or self.simulation.termination_reason(int(sim)) or TRUNCATED
            self.active[sim] = False
