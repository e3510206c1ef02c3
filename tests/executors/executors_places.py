"""Where the contract of executors is tried."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from reward_agent.executors.local import LocalExecutor, LocalPlace
from reward_agent.executors.remote import ClusterOptions, Nodes, RemotePlace
from reward_agent.executors.slots import SlotExecutor

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import executors_places as places
from executors_jobs import make_request
executor = places.open_named({name!r}, {address!r}, Path({folder!r}))
first = make_request(Path({folder!r}) / "job0")
executor.map([first])
print("first", flush=True)
executor.map([make_request(Path({folder!r}) / f"job{{n}}") for n in (1, 2)])
"""


def open_named(name: str, address: str | None, folder: Path) -> SlotExecutor:
    if name == "local":
        return LocalExecutor(2, "default")
    return SlotExecutor(RemotePlace(make_nodes(name, address, folder), "default"))


def make_nodes(name: str, address: str | None, folder: Path) -> Nodes:
    from importlib import import_module

    options = ClusterOptions(slots=2, address=address, folder=folder / "spool", memory_mib=1024)
    return import_module(f"reward_agent.executors.{name}").make_nodes(options)  # type: ignore[no-any-return]


class Site:
    """A place of this machine alone."""

    name = "local"
    can_lose_a_node = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, None
        self.losses: list[str] = []

    @contextlib.contextmanager
    def open_executor(self) -> Iterator[SlotExecutor]:
        executor = SlotExecutor(self.make_place())
        try:
            yield executor
        finally:
            executor.close()

    def make_place(self):  # type: ignore[no-untyped-def]
        return LocalPlace(2, "default")

    def kill_driver_after_first(self, folder: Path) -> None:
        """Run a driver of three jobs and kill it when the first has ended."""
        code = DRIVER.format(
            tests=str(Path(__file__).parent),
            name=self.name,
            address=self.address,
            folder=str(folder),
        )
        driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert driver.stdout is not None
        with driver.stdout:
            assert driver.stdout.readline().strip() == "first"
        time.sleep(1.0)
        driver.kill()
        driver.wait()

    def wait_for_quiet(self) -> bool:
        """Tell whether soon no worker runs that was started from here."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if not _list_workers(str(self.folder.parent)):
                return True
            time.sleep(0.2)
        return False

    def lose_node(self) -> None:
        raise NotImplementedError

    def close(self) -> None: ...


def _list_workers(part: str) -> list[int]:
    """Return processes that do a job; those of other tests' folders are none of ours."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode().split("\0")
            is_job = "reward_agent.worker" in words
            if is_job and (part in words[-2] or "/reward-agent-" in words[-2]):
                found.append(int(path.name))
    return found


class RemoteSite(Site):
    can_lose_a_node = True

    def make_place(self) -> RemotePlace:
        nodes = make_nodes(self.name, self.address, self.folder)
        return RemotePlace(nodes, "default", self.losses.append)


class RaySite(RemoteSite):
    """Two nodes of one slot each on loopback, beside a head that runs nothing."""

    name = "ray"

    def __init__(self, folder: Path) -> None:
        os.environ |= {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        from ray.cluster_utils import Cluster

        super().__init__(folder)
        common = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 * 2**20}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, **common},
        )
        self._common = common
        self._nodes = [self.cluster.add_node(num_cpus=1, **common) for _ in range(2)]
        self.cluster.wait_for_nodes()
        self.address = self.cluster.address

    def lose_node(self) -> None:
        self.cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def close(self) -> None:
        self.cluster.shutdown()


SITES: dict[str, type[Site]] = {"local": Site, "ray": RaySite}
