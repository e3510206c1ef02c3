"""Whether a program pays what the person's file pays, on steps that were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.drafting_jobs import ParityRow
from reward_agent.rewards.program import CompiledReward
from reward_agent.simulation.state import FloatArray, State, Transition

# Steps from the start of an episode, and from its end.
_FIRST, _LAST = 40, 20
# What rounding in another order of the same sums does.
_SAME = 1e-6


@dataclass(frozen=True)
class RecordedSteps:
    """Consecutive steps of one simulation, from the start of an episode.

    Args:
        name: what the robot does in them.
        steps: the first of the episode.
        later: its last, which are not read where something is remembered.
    """

    name: str
    steps: tuple[Transition, ...]
    later: tuple[Transition, ...] = ()


def cut_stretches(recorded: Trajectories, names: Sequence[str]) -> list[RecordedSteps]:
    """Return steps of the first episode of each name."""
    found: dict[str, RecordedSteps] = {}
    for index, name in enumerate(names[: recorded.n_episodes]):
        length = int(recorded.lengths[index])
        if name in found or not length:
            continue
        first = range(min(_FIRST, length))
        last = range(max(_FIRST, length - _LAST), length)
        steps, later = (
            tuple(_cut(recorded, index, step, length) for step in chosen)
            for chosen in (first, last)
        )
        found[name] = RecordedSteps(name, steps, later)
    return list(found.values())


def _cut(recorded: Trajectories, index: int, step: int, length: int) -> Transition:
    row = int(recorded.starts[index]) + step
    before, after = (
        State({name: v[r : r + 1].astype(np.float64) for name, v in recorded.fields.items()})
        for r in (row, row + 1)
    )
    action = recorded.action[row - index : row - index + 1].astype(np.float64)
    ended = np.array([bool(recorded.terminated[index]) and step + 1 == length])
    return Transition(before, action, after, ended)


def pay_ours(reward: CompiledReward, stretch: RecordedSteps) -> FloatArray:
    """Return what a program pays for a stretch.

    Raises:
        ContractError: it fails.
    """
    if not reward.has_memory:
        step = Transition.join([*stretch.steps, *stretch.later])
        reward.begin(step.state)
        return reward.step(step.state, step.action, step.next_state, step.terminated).reward
    reward.begin(stretch.steps[0].state)
    paid = [reward.step(s.state, s.action, s.next_state, s.terminated) for s in stretch.steps]
    return np.concatenate([step.reward for step in paid])


def compare(stretch: RecordedSteps, original: FloatArray, ours: FloatArray) -> ParityRow:
    """Return a row of the table."""
    return ParityRow(
        steps=stretch.name,
        n_steps=len(ours),
        original=float(original.mean()),
        ours=float(ours.mean()),
        difference=float(np.abs(original - ours).max()),
    )


def is_same(row: ParityRow) -> bool:
    """Whether a difference is that of rounding."""
    return row.difference <= _SAME * (1.0 + abs(row.original))


def sample_stretches(steps: Sequence[Transition], n_sims: int) -> list[RecordedSteps]:
    """Return the steps of a sample, simulation by simulation, up to their first end."""
    found = []
    for sim in range(n_sims):
        kept: list[Transition] = []
        for step in steps:
            kept.append(step.take(np.array([sim])))
            if kept[-1].terminated[0]:
                break
        found.append(RecordedSteps(f"random actions {sim + 1}", tuple(kept)))
    return found
