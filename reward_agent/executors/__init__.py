"""Where jobs run: ``map`` them into ``n_slots``, and ``close`` in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from reward_agent.jobs import Job
    from reward_agent.sandbox.limits import Limits
    from reward_agent.sandbox.runner import JobExit

__all__ = ["Executor", "JobRequest"]


@dataclass(frozen=True)
class JobRequest:
    """A job, the folder that it lives in, and the limits that it runs under."""

    job: Job
    job_dir: Path
    limits: Limits


class Executor(Protocol):
    """Runs jobs, several at a time.

    Attributes:
        n_slots: trainings side by side.
    """

    n_slots: int

    def map(
        self,
        requests: Sequence[JobRequest],
        on_progress: Callable[[JobRequest, dict[str, float]], None] | None = None,
    ) -> list[JobExit]:
        """Run the jobs and return how each ended, in the order of the requests."""
        ...

    def close(self) -> None:
        """Stop what runs and wait for its end."""
        ...
