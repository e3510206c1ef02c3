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

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch

from reward_agent.device.operations import Runner
from reward_agent.errors import DataError
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
        self._reward = Runner(program.reward, rows, device)
        self._init = Runner(program.init, rows, device) if program.init else None
        given = [item.name for item in program.reward.inputs]
        self.terms = program.terms
        self.fields = tuple(_strip(given, "state."))
        self._types = {
            item.name: getattr(torch, item.dtype)
            for item in program.reward.inputs
            if item.name.startswith("memory.")
        }
        _check_shapes(program, self._reward.shapes, rows, self._types)
        if self._init is not None:
            _check_memory(self._init.shapes, program)

    def init(self, state: Tensors) -> dict[str, torch.Tensor]:
        """Return the memory of episodes that begin in ``state``; {} of a program without."""
        if self._init is None:
            return {}
        return self._take_memory(self._init(_prefix("state.", state)))

    def reward(
        self,
        state: Tensors,
        action: torch.Tensor,
        next_state: Tensors,
        terminated: torch.Tensor,
        memory: Tensors,
    ) -> Paid:
        """Return what one step pays."""
        paid = self._reward(
            {
                **_prefix("state.", state),
                **_prefix("next_state.", next_state),
                **_prefix("memory.", memory),
                "action": action,
                "terminated": terminated.to(torch.bool),
            }
        )
        terms = [paid[f"term.{name}"] for name in self.terms]
        columns = torch.stack(terms, dim=1) if terms else paid["reward"].new_zeros(len(action), 0)
        return Paid(paid["reward"], columns, self._take_memory(paid))

    def _take_memory(self, outputs: Tensors) -> dict[str, torch.Tensor]:
        return {
            name.removeprefix("memory."): outputs[name].to(dtype)
            for name, dtype in self._types.items()
        }


def _prefix(prefix: str, tensors: Tensors) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _strip(names: Iterable[str], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _check_shapes(
    program: TracedProgram, shapes: Tensors, rows: int, memory: Mapping[str, torch.dtype]
) -> None:
    """Refuse operations that do not give what a program gives."""
    expected: dict[str, tuple[int, ...]] = {
        "reward": (),
        **{f"term.{name}": () for name in program.terms},
    }
    expected |= {item.name: item.shape for item in program.reward.inputs if item.name in memory}
    found = {name: tuple(tensor.shape) for name, tensor in shapes.items()}
    wanted = {name: (rows, *shape) for name, shape in expected.items()}
    if found != wanted or any(
        tensor.dtype != torch.float32 for name, tensor in shapes.items() if name not in memory
    ):
        raise DataError(f"a program's operations give {found}, expected {wanted} of float32")
    known = ("state.", "next_state.", "memory.")
    others = [item.name for item in program.reward.inputs if not item.name.startswith(known)]
    if set(others) - {"action", "terminated"}:
        raise DataError(f"a program's operations ask for {', '.join(others)}")


def _check_memory(shapes: Tensors, program: TracedProgram) -> None:
    """Refuse memory that begins as something else than it goes on."""
    found = {name: tuple(tensor.shape[1:]) for name, tensor in shapes.items()}
    wanted = {i.name: i.shape for i in program.reward.inputs if i.name.startswith("memory.")}
    if found != wanted:
        raise DataError(f"a program's memory begins as {found} and goes on as {wanted}")
