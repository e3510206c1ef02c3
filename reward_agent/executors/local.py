"""Jobs in child processes of this machine, a fixed number at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from reward_agent.executors import JobRequest
from reward_agent.executors.slots import SlotExecutor
from reward_agent.records.timing import TimeLedger
from reward_agent.sandbox.runner import run_job
from reward_agent.sandbox.warm import make_warm_server

if TYPE_CHECKING:
    from reward_agent.sandbox.level import SandboxMode
    from reward_agent.sandbox.runner import JobExit


def count_slots(n_slots: int) -> int:
    """Return how many trainings run side by side; 0 stands for the number of cores minus one."""
    return n_slots or max(1, (os.cpu_count() or 2) - 1)


class LocalPlace:
    """Child processes of this machine.

    Args:
        n_slots: jobs side by side; 0 stands for the number of cores minus one.
        mode: how strictly generated code is isolated.
        is_warm: whether many jobs are to come, so that a process with everything imported pays.
            The thread that makes the place must then outlive it.
    """

    is_remote = False

    def __init__(self, n_slots: int, mode: SandboxMode, *, is_warm: bool = False) -> None:
        self.n_slots = count_slots(n_slots)
        self._mode = mode
        self._warm = make_warm_server() if is_warm else None

    def run(
        self,
        request: JobRequest,
        on_progress: Callable[[dict[str, float]], None] | None,
        cancel: threading.Event,
    ) -> JobExit:
        """Run a job in a child of its own."""
        return run_job(
            request.job,
            request.job_dir,
            limits=request.limits,
            mode=self._mode,
            on_progress=on_progress,
            cancel=cancel,
            warm=self._warm,
        )

    def close(self) -> None:
        """End the process that starts the children."""
        if self._warm is not None:
            self._warm.close()


class LocalExecutor(SlotExecutor):
    """Jobs of this machine in slots; the arguments are those of ``LocalPlace``.

    Args:
        n_slots: jobs side by side; 0 stands for the number of cores minus one.
        mode: how strictly generated code is isolated.
        ledger: notes what the slots did.
        is_warm: whether a process with everything imported starts the children.
    """

    def __init__(
        self,
        n_slots: int,
        mode: SandboxMode,
        ledger: TimeLedger | None = None,
        *,
        is_warm: bool = False,
    ) -> None:
        super().__init__(LocalPlace(n_slots, mode, is_warm=is_warm), ledger)
