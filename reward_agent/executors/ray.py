"""Jobs on the nodes of a Ray cluster; without an address, on one that is started here.

Nothing but bytes goes in and out of a task, so nodes need no disk in common, and the driver
unpickles nothing that a job made. A driver that dies takes its tasks with it, and what had ended
by then is not repeated. Only the driver's own connection is ever closed, never a cluster.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from reward_agent.errors import JobError, UsageError
from reward_agent.executors.node import work
from reward_agent.executors.remote import ClusterOptions, NodeLost, make_node_environment
from reward_agent.executors.slots import count_slots
from reward_agent.records.job import RowCallback

_POLL_S = 0.5
_START_S = 120.0
# A job ends within a poll of it; a node that takes longer is not well.
_END_S = 20.0
_LOOPBACK = "127.0.0.1"
_FOR_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
_FOR_HEAD = (*_FOR_LOOPBACK, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
# Parcels of a few MiB pass through it.
_STORE_BYTES = 256 * 2**20


def make_nodes(options: ClusterOptions) -> RayNodes:
    """Connect to a cluster, or start one on this machine.

    Raises:
        UsageError: the cluster does not answer, or no node of it can run a job.
    """
    if (options.address or _LOOPBACK).partition(":")[0] in (_LOOPBACK, "localhost"):
        # Else Ray takes the name of loopback for the machine's outer address, where nobody answers.
        os.environ.update(_FOR_LOOPBACK)
    if options.address is None:  # a cluster of our own has a token of its own
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    return RayNodes(options)


class RayNodes:
    """A Ray cluster.

    Args:
        options: its address, and what is reserved for a job.
    """

    def __init__(self, options: ClusterOptions) -> None:
        import ray

        # Others of this process may use the same connection: each lets go of it once.
        _shared.open(options)
        self._connection: _Connection | None = _shared
        try:
            _check_size(options)
            cpus = int(ray.cluster_resources().get("CPU", 0))
        except BaseException:
            self.close()
            raise
        self.n_slots = options.slots or max(1, cpus // options.job_cpus)
        # A lost task is ordered again by us: then its rows are counted from the start.
        self._task = ray.remote(
            num_cpus=options.job_cpus,
            num_gpus=options.job_gpus,
            max_retries=0,
            num_returns="streaming",
        )(work_on_node)

    def work(
        self, order: bytes, on_progress: RowCallback | None, cancel: threading.Event
    ) -> bytes | None:
        """Run an order as a task.

        Raises:
            NodeLost: its node or its process died.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        stream, reply = None, None
        try:
            stream = self._task.remote(ray.put(order))
            reply = _follow(stream, on_progress, cancel)
            return reply
        except RayTaskError as error:
            raise JobError(f"a node failed: {error.cause!r}", "see Ray's logs on it") from error
        except RayError as error:
            raise NodeLost(f"{type(error).__name__}: {str(error).splitlines()[0]}") from error
        finally:
            if stream is not None and not stream.is_finished():
                _end(stream, is_cancelled=reply is None)

    def close(self) -> None:
        """Close the connection, and end the cluster if it was started here; once is enough."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _follow(stream: Any, on_progress: RowCallback | None, cancel: threading.Event) -> bytes | None:
    """Pass a task's rows on and return its reply; None when ``cancel`` is set first.

    Raises:
        NodeLost: the task ended without a reply.
    """
    import ray

    while not cancel.is_set():
        ready, _ = ray.wait([stream], timeout=_POLL_S)
        if not ready:
            continue
        item = ray.get(next(stream, None) or ray.put(b""))
        if not item.startswith(b"{"):
            if not item:
                raise NodeLost("the task ended without a reply")
            return bytes(item)
        if on_progress is not None:
            on_progress(json.loads(item))
    return None


def _end(stream: Any, *, is_cancelled: bool) -> None:
    """Wait for a task's end, after its reply or cancelled.

    A driver that leaves at once takes the message along. A task that has replied is not cancelled:
    Ray 2.60 aborts the driver when it cancels a task in the moment in which it ends.
    """
    import ray
    from ray.exceptions import RayError

    deadline = time.monotonic() + _END_S
    with contextlib.suppress(RayError):
        if is_cancelled:
            ray.cancel(stream)
        while time.monotonic() < deadline:
            ready, _ = ray.wait([stream], timeout=_POLL_S)
            if ready and next(stream, None) is None:
                return
        ray.cancel(stream, force=True)


def work_on_node(order: bytes) -> Iterator[bytes]:
    """The task: each row of progress as JSON, then the reply, which is an archive."""
    items: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
    cancel = threading.Event()

    def run() -> None:
        try:
            items.put(work(order, lambda row: items.put(json.dumps(row).encode()), cancel))
        except BaseException as error:
            items.put(error)

    thread = threading.Thread(target=run, name="job", daemon=True)
    thread.start()
    try:
        while True:
            item = _wait_for(items)
            if isinstance(item, BaseException):
                raise item
            yield item
            if not item.startswith(b"{"):
                return
    finally:
        cancel.set()
        thread.join()


def _wait_for(items: queue.SimpleQueue[bytes | BaseException]) -> bytes | BaseException:
    # Ray cancels a task by a flag that a thread sees when it wakes.
    while True:
        try:
            return items.get(timeout=_POLL_S)
        except queue.Empty:
            continue


def _check_size(options: ClusterOptions) -> None:
    """Raise a UsageError if a job would wait for ever for a node that is large enough."""
    import ray

    largest = [
        (node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"]
    ]
    if not any(cpus >= options.job_cpus and gpus >= options.job_gpus for cpus, gpus in largest):
        shown = ", ".join(f"{cpus:g} CPUs and {gpus:g} GPUs" for cpus, gpus in largest) or "none"
        raise UsageError(
            f"no node has {options.job_cpus} CPUs and {options.job_gpus:g} GPUs for a job",
            f"lower --job-cpus or --job-gpus; the nodes: {shown}",
        )


class _Connection:
    """The connection of this process to a cluster, shared by all who use it.

    A process has one: Ray keeps it in globals.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0
        self._address: str | None = None
        self._is_own = False
        self._head: subprocess.Popen[str] | None = None

    def open(self, options: ClusterOptions) -> None:
        """Use the connection, opened if need be.

        Raises:
            UsageError: the cluster does not answer, or cannot be used from here.
        """
        if options.address and options.address.startswith("ray://"):
            raise UsageError(
                f"{options.address} is the address of a Ray client, which passes no progress on",
                "run the driver on a node of the cluster, with --ray-address host:6379 or auto",
            )
        with self._lock:
            if not self._n_users:
                self._start(options)
            elif options.address not in (None, self._address):
                raise UsageError(
                    f"this process uses the Ray cluster {self._address}, not {options.address}",
                    "one cluster at a time",
                )
            self._n_users += 1

    def close(self) -> None:
        import ray

        with self._lock:
            self._n_users -= 1
            if self._n_users:
                return
            if self._is_own:
                ray.shutdown()
            self._end_head()

    def _start(self, options: ClusterOptions) -> None:
        import ray

        self._address, self._is_own = options.address, not ray.is_initialized()
        if not self._is_own:  # a notebook, or a program around this one, has connected
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if options.address is None:
            self._address = self._start_head(options)
        try:
            ray.init(
                address=self._address,
                log_to_driver=False,
                logging_level="error",
                configure_logging=False,
            )
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            self._end_head()
            raise UsageError(
                f"no Ray cluster answers at {self._address}: {error}",
                "start one (`ray start --head`) on this machine or name another that this one is a "
                "node of, as host:port",
            ) from error

    def _start_head(self, options: ClusterOptions) -> str:
        """Start a cluster of this machine, as a process that ends with this one.

        It gets an environment of its own: keys stay with the driver.
        """
        n_cpus = count_slots(options.slots) * options.job_cpus
        self._head = subprocess.Popen(
            [sys.executable, "-m", "reward_agent.executors.ray", str(n_cpus)],
            env=make_node_environment() | {name: os.environ[name] for name in _FOR_HEAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        assert self._head.stdout is not None
        address = self._head.stdout.readline().strip()
        if not address:
            self._end_head()
            raise UsageError("Ray did not start on this machine", "see /tmp/ray/session_latest")
        return address

    def _end_head(self) -> None:
        if self._head is None:
            return
        assert self._head.stdin is not None
        self._head.stdin.close()
        try:
            self._head.wait(_START_S)
        except subprocess.TimeoutExpired:
            self._head.kill()
            self._head.wait()
        assert self._head.stdout is not None
        self._head.stdout.close()
        self._head = None


_shared = _Connection()


def run_head(n_cpus: int) -> None:
    """Hold a cluster of this machine, bound to loopback, until standard input ends."""
    import ray

    ray.init(
        address="local",  # never one that happens to be there
        num_cpus=n_cpus,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address=_LOOPBACK,
    )
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    run_head(int(sys.argv[1]))
