"""A card's fields on a device, computed by the code that computes them on a CPU, traced.

    operations = trace_fields(card)                         # once, needs no device
    runner = FieldRunner(operations, rows, device)
    fields = runner(arrays)                                 # name -> (rows,) or (rows, k) float32

``arrays`` are MuJoCo's by name, float32, shaped as ``mujoco.batch`` binds them: ``qpos``
``(rows, nq)``, ``xpos`` ``(rows, nbody, 3)``, ``xmat`` ``(rows, nbody, 9)``, ``sensordata``
``(rows, nsensordata)``, ``cvel`` ``(rows, nbody, 6)``, …; ``runner.inputs`` names those that are
needed with their shapes. The fields are all of the card's, ``observation`` among them, and
``is_outside`` ``(rows,)`` bool: a field has left its healthy range, or is not a number.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch

from reward_agent.definitions.card import EnvCard
from reward_agent.records.operations import Operations

OUTSIDE = "is_outside"


def trace_fields(card: EnvCard, fields: Collection[str] | None = None) -> Operations:
    """Return the operations from arrays of MuJoCo's to fields; all if None.

    Raises:
        DataError: a field is not of arrays of MuJoCo's, such as what the card draws.
    """
    raise NotImplementedError


class FieldRunner:
    """Fields of a card for a number of rows.

    Attributes:
        inputs: shape after the rows of each array that is needed, by name.
    """

    inputs: Mapping[str, tuple[int, ...]]

    def __init__(self, operations: Operations, rows: int, device: torch.device | str) -> None:
        raise NotImplementedError

    def __call__(self, arrays: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the fields."""
        raise NotImplementedError
