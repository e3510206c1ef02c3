"""Whether a program pays what the person's file pays, on steps that were recorded."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.jobs import ParityRow
from reward_agent.rewards.program import CompiledReward
from reward_agent.simulation.state import FloatArray, State, Transition
from reward_agent.translation.eager import EagerMachine, show_step
from reward_agent.translation.entry import list_entries
from reward_agent.translation.inputs import Inputs
from reward_agent.translation.oracle import CannotRun, pay_in_python
from reward_agent.translation.staging import Staged
from reward_agent.translation.values import Fault
from reward_agent.translation.writing import read_result

# Steps from the start of an episode, and from its end.
_FIRST, _LAST = 40, 20
# Statements of a person's file that are carried out with numbers in all, so that it takes seconds.
_MOST_STATEMENTS = 40_000
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


class Original:
    """What the person's file itself pays, step by step.

    Args:
        tree: the file.
        number: which of its entries.
        inputs: the card's fields.
        runs_python: whether Python itself may run it, as in the sealed child.
    """

    def __init__(
        self, tree: ast.Module, number: int, inputs: Inputs, runs_python: bool = False
    ) -> None:
        self._tree, self._number, self._inputs = tree, number, inputs
        self.is_run = runs_python
        self.why_not = ""
        self.fault: Fault | None = None
        self._n_statements = 0

    def pay_in_python(self, stretch: RecordedSteps, has_memory: bool) -> FloatArray | None:
        """Return what Python itself pays for a stretch; None where it cannot run the file."""
        if not self.is_run:
            return None
        later = () if has_memory else stretch.later
        try:
            parts = [
                pay_in_python(self._tree, self._number, self._inputs, steps)
                for steps in (stretch.steps, later)
                if steps
            ]
        except CannotRun as error:
            self.is_run, self.why_not = False, " ".join(str(error).split())[:150]
            return None
        return np.concatenate(parts)

    def pay(self, steps: Sequence[Transition]) -> Iterator[float]:
        """Yield the reward of consecutive steps from the start of an episode, one at least."""
        machine = EagerMachine(show_step(steps[0]))
        machine.run_file(self._tree)
        entry = list_entries(machine, self._inputs)[self._number]
        staged = Staged(machine, entry, self._inputs)
        for step in steps:
            machine.see(show_step(step))
            total, _ = read_result(machine, entry, staged.pay())
            paid = float(np.ravel(machine.compute(total))[0])
            if not np.isfinite(paid):
                self.fault = machine.fault
            yield paid
            self._n_statements += machine.n_steps
            if self._n_statements > _MOST_STATEMENTS:
                return


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
    """Return a row of the table, of the steps that the original was carried out on."""
    ours = ours[: len(original)]
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


def pay_original(original: Original, stretch: RecordedSteps, has_memory: bool) -> FloatArray:
    """Return what the file itself pays for a stretch, as ``pay_ours`` does."""
    python = original.pay_in_python(stretch, has_memory)
    if python is not None and np.isfinite(python).all():
        return python
    paid = list(original.pay(stretch.steps))
    if not has_memory and stretch.later and len(paid) == len(stretch.steps):
        paid += original.pay(stretch.later)
    return np.array(paid)


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
