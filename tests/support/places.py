"""Where the contract of executors is tried."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reward_agent.executors.remote import ClusterOptions, Nodes, RemotePlace
from reward_agent.executors.slots import LocalPlace, SlotExecutor

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import places
from support.trainings import make_request
executor = places.open_named({name!r}, {address!r}, Path({folder!r}))
first = make_request(Path({folder!r}) / "job0")
executor.map([first])
print("first", flush=True)
executor.map([make_request(Path({folder!r}) / f"job{{n}}") for n in (1, 2)])
"""


def open_named(name: str, address: str | None, folder: Path) -> SlotExecutor:
    if name == "local":
        return SlotExecutor(LocalPlace(2, "default"))
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
        self.folder, self.address, self.temporary = folder, None, str(folder)
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
            tests=str(Path(__file__).resolve().parents[1]),
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
            if not _list_workers([str(self.folder.parent), self.temporary]):
                return True
            time.sleep(0.2)
        return False

    def lose_node(self) -> None:
        raise NotImplementedError

    def close(self) -> None: ...


def _list_workers(parts: list[str]) -> list[int]:
    """Return processes that do a job; those of other tests' folders are none of ours."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_bytes().decode().split("\0")
            is_job = "reward_agent.worker" in words
            if is_job and any(part in words[-2] for part in parts):
                found.append(int(path.name))
    return found


class RemoteSite(Site):
    can_lose_a_node = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Nodes work in temporary folders; others of this machine may do the same in theirs.
        self.temporary = tempfile.mkdtemp(prefix="site-")
        os.environ["TMPDIR"] = self.temporary

    def make_place(self) -> RemotePlace:
        nodes = make_nodes(self.name, self.address, self.folder)
        return RemotePlace(nodes, "default", self.losses.append)

    def close(self) -> None:
        os.environ.pop("TMPDIR", None)
        shutil.rmtree(self.temporary, ignore_errors=True)


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
        super().close()


class SlurmSite(RemoteSite):
    """Two nodes of one slot each: daemons of this machine that speak over loopback alone."""

    name = "slurm"

    def __init__(self, folder: Path) -> None:
        missing = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]
        if missing or os.geteuid():
            pytest.skip(f"a Slurm of our own needs root and {', '.join(missing) or 'no more'}")
        super().__init__(folder)
        self.home = Path(tempfile.mkdtemp(prefix="slurm-"))  # a socket's path must be short
        self.home.chmod(0o755)
        os.environ["SLURM_CONF"] = str(self.home / "slurm.conf")
        ports = _find_ports(3)
        (self.home / "slurm.conf").write_text(
            SLURM_CONF.format(
                home=self.home, host=socket.gethostname().partition(".")[0], ports=ports
            )
        )
        (self.home / "key").write_bytes(os.urandom(128))
        (self.home / "key").chmod(0o600)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        files = [f"--{name}-file={self.home / name}" for name in ("key", "pid", "log", "seed")]
        self._start("munged", "-F", "--force", f"--socket={self.home}/munge", *files)
        self._start("slurmctld", "-D", "-c")
        for node in ("n1", "n2"):
            self._start(node, "slurmd", "-D", "-N", node)
        self._wait_for_nodes(2)

    def _start(self, name: str, *arguments: str) -> None:
        command = arguments if arguments[0] == "slurmd" else (name, *arguments)
        self._daemons[name] = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _wait_for_nodes(self, n_nodes: int) -> None:
        deadline = time.monotonic() + 90
        said = ""
        while time.monotonic() < deadline:
            done = subprocess.run(
                ["sinfo", "-h", "-N", "-o", "%T"], capture_output=True, text=True, check=False
            )
            said = done.stdout + done.stderr
            if done.stdout.split().count("idle") == n_nodes:
                return
            time.sleep(0.5)
        logs = "\n".join(path.read_text()[-800:] for path in self.home.glob("*.log"))
        raise RuntimeError(f"Slurm did not come up: {said}\n{logs}")

    def lose_node(self) -> None:
        """Kill a node's daemon and all that it started, as a power cut does."""
        self._daemons["n2"].kill()
        for pid in _list_processes_of("n2"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        for name in ("n1", "n2", "slurmctld", "munged"):
            daemon = self._daemons[name]
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        os.environ.pop("SLURM_CONF")
        shutil.rmtree(self.home, ignore_errors=True)
        super().close()


# No cgroups: containers have none that a daemon may write. CPUs are counted, not pinned.
SLURM_CONF = """\
ClusterName=own
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={home}/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool-%n
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/%n.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/%n.log
PlugStackConfig=/dev/null
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdTimeout=10
MpiDefault=none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def _find_ports(n_ports: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n_ports)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _list_processes_of(node: str) -> list[int]:
    """Return the processes of a node's jobs, and those that started them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if f"SLURMD_NODENAME={node}".encode() in (path / "environ").read_bytes().split(b"\0"):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                found += [parent, int(path.name)]
    return [pid for pid in dict.fromkeys(found) if pid > 1]


SITES: dict[str, type[Site]] = {"local": Site, "ray": RaySite, "slurm": SlurmSite}
