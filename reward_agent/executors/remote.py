"""Jobs on the nodes of a cluster: parcels go out and come back, and a lost one goes out again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reward_agent.errors import DataError, Interrupted, JobError, SandboxError
from reward_agent.executors import JobRequest
from reward_agent.executors.parcel import accept_reply, pack_order
from reward_agent.records.job import RowCallback
from reward_agent.sandbox.environment import find_import_roots, select_allowed
from reward_agent.sandbox.runner import JobExit

if TYPE_CHECKING:
    from reward_agent.sandbox.isolation import SandboxMode


# A job that meets so many bad ends of its nodes is more likely to be their cause.
N_ATTEMPTS = 5
# What a node's own processes need beside what a child may see; neither keys nor tokens.
_FOR_NODES = ("HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "SLURM_CONF", "VIRTUAL_ENV")


class NodeLost(Exception):
    """A job did not come back, and that was not its own doing: it may be run again."""


@dataclass(frozen=True)
class ClusterOptions:
    """What a user says of a cluster.

    Args:
        slots: jobs side by side; 0 leaves it to the cluster.
        job_cpus: processors reserved for a job.
        job_gpus: accelerators reserved for a job.
        memory_mib: what a job may take.
        folder: a folder of the run, for places that need files of their own.
        address: where the cluster is found.
        tell: is told what a user should know.
    """

    slots: int = 0
    job_cpus: int = 1
    job_gpus: float = 0.0
    memory_mib: int = 4096
    folder: Path = Path()
    address: str | None = None
    tell: Callable[[str], None] = lambda _: None


class Nodes(Protocol):
    """The machines of a cluster; ``work`` is called by ``n_slots`` threads side by side.

    Attributes:
        n_slots: jobs that they run side by side.
    """

    n_slots: int

    def work(
        self, order: bytes, on_progress: RowCallback | None, cancel: threading.Event
    ) -> bytes | None:
        """Have ``executors.node.work`` done with an order on some node; return its reply.

        None when ``cancel`` ended it; then nothing of it runs any more.

        Raises:
            NodeLost: it was lost; it is ordered again.
        """
        ...

    def close(self) -> None:
        """Let go of the cluster."""
        ...


class RemotePlace:
    """The place of jobs on a cluster.

    Args:
        nodes: its machines.
        mode: how strictly they isolate generated code.
        tell: is told of what was lost.
    """

    is_remote = True

    def __init__(
        self, nodes: Nodes, mode: SandboxMode, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.n_slots = nodes.n_slots
        self._nodes, self._mode, self._tell = nodes, mode, tell

    def run(
        self, request: JobRequest, on_progress: RowCallback | None, cancel: threading.Event
    ) -> JobExit:
        """Run a job on a node, and again on another when it is lost.

        A training goes on from the checkpoint in its folder: at most a slice of it is repeated.

        Raises:
            JobError: it was lost or spoilt each time, or the nodes cannot run it.
            Interrupted: ``cancel`` ended it.
        """
        order = pack_order(request, self._mode)
        for attempt in range(1, N_ATTEMPTS + 1):
            if cancel.is_set():
                break
            try:
                reply = self._nodes.work(order, on_progress, cancel)
                if reply is None:
                    break
                return accept_reply(reply, request)
            except SandboxError:  # of no use elsewhere: a run has one level
                raise
            except (NodeLost, JobError, DataError) as error:  # a parcel may be spoilt on its way
                what = f"the {request.job.kind} job in {request.job_dir}"
                if attempt == N_ATTEMPTS:
                    raise JobError(
                        f"{what} was lost {N_ATTEMPTS} times, the last time: {error}",
                        getattr(error, "remedy", "") or "look after the nodes, then resume the run",
                    ) from error
                self._tell(f"{what} is run again: {error}")
        raise Interrupted("the run was stopped")

    def close(self) -> None:
        """Let go of the cluster."""
        self._nodes.close()


def make_node_environment() -> dict[str, str]:
    """Return the environment that processes of a cluster are started with: no keys, no tokens."""
    environment = select_allowed(os.environ)
    environment |= {name: os.environ[name] for name in _FOR_NODES if name in os.environ}
    roots = find_import_roots()
    if roots:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, roots))
    return environment
