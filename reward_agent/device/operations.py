"""Lists of operations verified, and run on a device without any Python of a stranger's."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from reward_agent.records.operations import Operations


class Runner:
    """Verified operations for a number of rows.

    A call starts no transfer between host and device, and allocates nothing that is kept: it can
    be captured in a CUDA graph. What comes back may be an input itself: copy it before writing
    into that.

    Args:
        operations: what a child handed back.
        rows: simulations of a call.
        device: where the constants are made; inputs must be there.

    Raises:
        DataError: they are not on the closed list, too many, too large, or not well formed.
    """

    def __init__(self, operations: Operations, rows: int, device: torch.device | str) -> None:
        raise NotImplementedError

    def __call__(self, given: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the outputs by name; inputs that are not needed may be among the given."""
        raise NotImplementedError
