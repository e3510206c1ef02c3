"""A program's pay for recorded episodes. Child side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reward_agent.rewards.program import CompiledReward
from reward_agent.simulation.state import State

Array = np.ndarray[Any, Any]


class RecordedEpisode(Protocol):
    """What is read of an episode: T states, T - 1 actions."""

    @property
    def action(self) -> Array: ...  # noqa: D102

    @property
    def terminated(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class EpisodePay:
    """Reward and terms of every step of one episode, each (T - 1,)."""

    reward: Array
    terms: dict[str, Array]


def replay_episode(reward: CompiledReward, states: State, episode: RecordedEpisode) -> EpisodePay:
    """Return what a program pays for an episode.

    A program without memory sees all steps at once, as so many simulations; one with memory sees
    them one after the other.

    Args:
        reward: the program.
        states: the T states of the episode, the reset state first.
        episode: its actions (T - 1, n_actions) and whether it ended in a true terminal.

    Raises:
        ContractError: the program fails or breaks the contract.
    """
    action = np.asarray(episode.action, dtype=np.float64)
    n_steps = len(action)
    terminated = np.zeros(n_steps, dtype=bool)
    terminated[-1:] = episode.terminated
    reward.begin(_rows(states, 0, 1))
    width = 1 if reward.has_memory else n_steps
    paid = [
        reward.step(
            _rows(states, at, at + width),
            action[at : at + width],
            _rows(states, at + 1, at + 1 + width),
            terminated[at : at + width],
        )
        for at in range(0, n_steps, max(width, 1))
    ]
    return EpisodePay(
        np.concatenate([step.reward for step in paid]) if paid else np.zeros(0),
        {
            name: np.concatenate([step.terms[name] for step in paid])
            for name in (paid[0].terms if paid else {})
        },
    )


def _rows(states: State, start: int, stop: int) -> State:
    """Return some instants as simulations side by side, in double precision."""
    return State(
        {name: values[start:stop].astype(np.float64) for name, values in states.fields.items()}
    )
