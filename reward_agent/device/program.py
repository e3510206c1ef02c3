"""A reward program on a device: traced in its child, run from its operations.

    runner = ProgramRunner(program, rows, device)          # program: records.operations
    memory = runner.init(state)                            # {} without memory
    paid = runner.reward(state, action, next_state, terminated, memory)
    paid.reward (rows,), paid.terms (rows, len(runner.terms)), paid.memory

``state`` and ``next_state`` are the fields by name, as ``fields.FieldRunner`` gives them: float32,
``(rows,)`` or ``(rows, k)``; they must have ``runner.fields``, more do no harm. ``action`` is
``(rows, n_actions)`` float32, ``terminated`` ``(rows,)`` bool or float32: true terminals, no
truncations. The shaping of a ``potential`` is in the reward, and a term of its own, as
``rewards.program.StepReward`` has it. Memory has a dict's shape ``(rows, …)``; at a reset keep
``torch.where(mask, fresh, memory)`` of each, the mask unsqueezed, with ``fresh = init(state)``.
Nothing is checked for NaN: the caller looks at ``paid.reward`` once in a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from reward_agent.records.operations import TracedProgram

Tensors = Mapping[str, torch.Tensor]


class Paid(NamedTuple):
    """Reward ``(rows,)``, terms ``(rows, n_terms)``, both float32, and the next memory by name."""

    reward: torch.Tensor
    terms: torch.Tensor
    memory: dict[str, torch.Tensor]


class ProgramRunner:
    """A program that was traced, for a number of rows.

    Args:
        program: what a child handed back; verified here.
        rows: simulations of a call.
        device: where they are.

    Attributes:
        terms: names of the columns of ``Paid.terms``.
        fields: those that ``state`` and ``next_state`` must have.

    Raises:
        DataError: it cannot be run, or gives something else than a reward.
    """

    terms: tuple[str, ...]
    fields: tuple[str, ...]

    def __init__(self, program: TracedProgram, rows: int, device: torch.device | str) -> None:
        raise NotImplementedError

    def init(self, state: Tensors) -> dict[str, torch.Tensor]:
        """Return the memory of episodes that begin in ``state``; {} of a program without."""
        raise NotImplementedError

    def reward(
        self,
        state: Tensors,
        action: torch.Tensor,
        next_state: Tensors,
        terminated: torch.Tensor,
        memory: Tensors,
    ) -> Paid:
        """Return what one step pays."""
        raise NotImplementedError
