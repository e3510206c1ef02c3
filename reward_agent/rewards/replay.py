"""A program's pay for recorded episodes. Child side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from reward_agent.rewards.gates import Openings
from reward_agent.rewards.program import CompiledReward, StepReward
from reward_agent.simulation.state import State

Array = np.ndarray[Any, Any]


class Recording(Protocol):
    """What is read of recorded episodes, end to end: T states and T - 1 actions of each."""

    @property
    def starts(self) -> Array: ...  # noqa: D102

    @property
    def fields(self) -> Mapping[str, Array]: ...  # noqa: D102

    @property
    def action(self) -> Array: ...  # noqa: D102

    @property
    def terminated(self) -> Array: ...  # noqa: D102


@dataclass(frozen=True)
class EpisodePay:
    """Reward and terms of every step of one episode, each (T - 1,)."""

    reward: Array
    terms: dict[str, Array]
    memory: dict[str, Array] = field(default_factory=dict)
    openings: Openings = field(default_factory=dict)


@dataclass(frozen=True)
class NamedPay:
    """What a program pays for all episodes of one name.

    Args:
        episodes: their numbers in the recording.
        pay: what it pays in each.
    """

    name: str
    episodes: list[int]
    pay: list[EpisodePay]

    @property
    def mean(self) -> float:
        """Pay of an episode."""
        return float(np.mean([paid.reward.sum() for paid in self.pay]))

    @property
    def mean_terms(self) -> dict[str, float]:
        """Pay of each term in an episode."""
        names = {name: None for paid in self.pay for name in paid.terms}
        return {
            name: float(np.mean([p.terms[name].sum() if name in p.terms else 0 for p in self.pay]))
            for name in names
        }


def group_by_name(names: Sequence[str], paid: Sequence[EpisodePay]) -> list[NamedPay]:
    """Return the pay of episodes by their names, in the order in which these come first."""
    return [
        NamedPay(name, places, [paid[i] for i in places])
        for name in dict.fromkeys(names)
        for places in [[i for i, other in enumerate(names) if other == name]]
    ]


def replay_episodes(reward: CompiledReward, recording: Recording) -> list[EpisodePay]:
    """Return what a program pays for each episode.

    A program without memory sees all steps of an episode at once, as so many simulations; one with
    memory sees all episodes side by side, step by step.

    Raises:
        ContractError: the program fails or breaks the contract.
    """
    steps = _Steps(recording)
    if reward.has_memory:
        return _replay_side_by_side(reward, steps)
    return [_replay_at_once(reward, steps, index) for index in range(len(steps.lengths))]


class _Steps:
    """The steps of a recording, to be paid in any order.

    Args:
        recording: the episodes; in double precision afterwards, as a program sees them.
    """

    def __init__(self, recording: Recording) -> None:
        self._starts = np.asarray(recording.starts[:-1])
        self.lengths = np.diff(recording.starts) - 1
        self._terminated = recording.terminated
        self._fields = {name: v.astype(np.float64) for name, v in recording.fields.items()}
        self._action = recording.action.astype(np.float64)

    def find_first_states(self, episodes: Array) -> State:
        """Return the reset states of some episodes."""
        return self._pick(self._starts[episodes])

    def pay(self, reward: CompiledReward, episodes: Array, steps: Array) -> StepReward:
        """Pay one step of each simulation: which episode it is in, and which of its steps."""
        rows = self._starts[episodes] + steps
        ended = self._terminated[episodes] & (steps + 1 == self.lengths[episodes])
        # Each earlier episode has one action less than states.
        action = self._action[rows - episodes]
        return reward.step(self._pick(rows), action, self._pick(rows + 1), ended)

    def _pick(self, rows: Array) -> State:
        return State({name: values[rows] for name, values in self._fields.items()})


def _replay_at_once(reward: CompiledReward, recorded: _Steps, index: int) -> EpisodePay:
    if not recorded.lengths[index]:
        return _collect([], 0)
    steps = np.arange(recorded.lengths[index])
    episode = np.full_like(steps, index)
    reward.begin(recorded.find_first_states(episode))
    paid = recorded.pay(reward, episode, steps)
    return EpisodePay(paid.reward, paid.terms, openings=paid.openings)


def _replay_side_by_side(reward: CompiledReward, recorded: _Steps) -> list[EpisodePay]:
    """Pay all episodes; one that is over starts again, as it would in a training, unpaid."""
    moving = np.flatnonzero(recorded.lengths)
    lengths = recorded.lengths[moving]
    reward.begin(recorded.find_first_states(moving))
    steps = np.zeros_like(lengths)
    paid = []
    for _ in range(lengths.max(initial=0)):
        paid.append(recorded.pay(reward, moving, steps))
        steps = (steps + 1) % lengths
        over = np.flatnonzero(steps == 0)
        if len(over):
            reward.restart(over, recorded.find_first_states(moving))
    columns = np.cumsum(recorded.lengths > 0) - 1
    return [
        _collect(paid[:length], column)
        for length, column in zip(recorded.lengths, columns, strict=True)
    ]


def _collect(paid: Sequence[StepReward], column: int) -> EpisodePay:
    """Return the pay of one simulation over its steps."""
    names = paid[0].terms if paid else {}
    remembered = [name for name, v in paid[0].memory.items() if v.ndim == 1] if paid else []
    opened = paid[0].openings if paid else {}
    return EpisodePay(
        np.array([step.reward[column] for step in paid], dtype=np.float64),
        {name: np.array([step.terms[name][column] for step in paid]) for name in names},
        {name: np.array([step.memory[name][column] for step in paid]) for name in remembered},
        {
            gate: {
                text: np.array([step.openings[gate][text][column] for step in paid])
                for text in conditions
                if all(text in step.openings[gate] for step in paid)
            }
            for gate, conditions in opened.items()
        },
    )
