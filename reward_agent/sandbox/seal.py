"""The child's side of the sandbox: what it gives up, and in which order.

Each step must precede the next, and each wrong order was seen to fail. Landlock binds one thread
and what it starts, so it comes before any import that starts threads; torch and glfw start a
process at import, so the system-call filter comes after them; generated code comes last.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reward_agent.errors import SandboxError
from reward_agent.records.job import Limits
from reward_agent.sandbox.filter import (
    call_c,
    find_architecture,
    install_program,
    make_guards,
    make_offline_program,
    make_program,
)
from reward_agent.sandbox.isolation import (
    REPORT_DESCRIPTOR,
    Isolation,
    Level,
    SealReport,
    is_accepted,
)
from reward_agent.sandbox.landlock import (
    CHANGE,
    WRITE_FILE,
    WRITES,
    FileRule,
    find_file_rules,
    read_abi,
    restrict_files,
)
from reward_agent.sandbox.namespaces import enter_private_root

_MIB = 2**20
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522
# CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root may run in a folder of another user.
_KEPT_CAPABILITIES = 0b110
# No library of ours does any of these once the process is sealed.
_SUSPECT = frozenset(
    {
        *("socket.__new__", "socket.bind", "socket.connect"),
        *("subprocess.Popen", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.system"),
        *("os.kill", "os.killpg", "signal.pthread_kill"),
        *("os.symlink", "os.link", "os.chmod", "os.chown", "os.setxattr", "os.truncate"),
        *("resource.setrlimit", "resource.prlimit"),
    }
)
_STANDARD_OUTPUT, _STANDARD_ERROR = 1, 2


class Seal:
    """The isolation of this process, put on in two steps.

    Args:
        isolation: what the parent asks for.
        job_dir: the only folder that it may change.
        env_dir: the folder of the env card, to be read but for its tasks.
        also: single files that may be read.
        code: folders of another interpreter and its packages, to be read and run.
        has_devices: whether it may use a graphics device: to render, without generated code.
        report_to: descriptor of the pipe to the parent.
    """

    def __init__(
        self,
        isolation: Isolation,
        job_dir: Path,
        env_dir: Path | None = None,
        *,
        also: Sequence[Path] = (),
        code: Sequence[Path] = (),
        has_devices: bool = False,
        report_to: int = REPORT_DESCRIPTOR,
    ) -> None:
        self._isolation, self._job_dir = isolation, job_dir
        self._env_dir, self._also, self._code = env_dir, also, code
        self._has_devices, self._report_to = has_devices, report_to
        self._layers: list[str] = []
        self._gaps: list[str] = []

    def confine(self) -> None:
        """Tie this process to its parent, limit it, and close the file system."""
        if sys.platform == "linux":
            # A parent that has died already reads no report: to send it then fails.
            call_c("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _apply_limits(self._isolation.limits)
        self._layers.append("limits")
        if self._isolation.mode == "off":
            self._gaps.append("switched off")
            return
        if sys.platform != "linux":
            self._gaps.append(f"{sys.platform} has no walls that are known here")
            return
        self._confine_files()
        try:
            call_c("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            _drop_capabilities()
            self._layers.append("no privileges")
        except OSError as error:
            self._gaps.append(str(error))

    def _confine_files(self) -> None:
        """Close the file system with Landlock, or where there is none by a private root."""
        abi, arch = read_abi(), find_architecture()
        try:
            rules = find_file_rules(
                self._job_dir,
                self._env_dir,
                has_devices=self._has_devices,
                also=self._also,
                code=self._code,
            )
            if abi:
                call_c("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                restrict_files(rules, abi)
                self._layers.append("files")
            elif arch:
                self._gaps.append("this kernel has no Landlock")
                enter_private_root(rules)
                self._layers.append("namespaces")
        except OSError as error:
            self._gaps.append(str(error))

    def close(self) -> None:
        """Deny system calls, try the walls, report; generated code may be loaded from here on.

        Raises:
            SandboxError: the level is below what the mode accepts, or a wall has a hole.
        """
        if "no privileges" in self._layers:
            self._deny_calls()
        level = self._find_level()
        holes = [] if level == "process" else find_holes(self._job_dir, os.getppid())
        self._gaps += holes
        is_good_enough = not holes and is_accepted(level, self._isolation.mode)
        report = SealReport(
            level=level,
            is_accepted=is_good_enough,
            detail="; ".join(self._gaps),
            layers=tuple(self._layers),
        )
        self._send(report)
        if not is_good_enough:
            raise SandboxError(f"level {level!r}, mode {self._isolation.mode!r}: {report.detail}")
        if self._isolation.mode != "off":
            report_attempts()

    def _find_level(self) -> Level:
        if "calls" not in self._layers:
            return "process"
        if "files" in self._layers:
            return "full"
        return "namespaces" if "namespaces" in self._layers else "process"

    def _deny_calls(self) -> None:
        arch = find_architecture()
        if arch is None:
            self._gaps.append("no system-call table for this processor")
            return
        guards = make_guards(os.getpid(), has_devices=self._has_devices)
        try:
            install_program(arch, make_program(arch, guards))
        except OSError as error:
            self._gaps.append(str(error))
            return
        self._layers.append("calls")

    def _send(self, report: SealReport) -> None:
        """Tell the parent through the pipe, then close that last descriptor from outside."""
        text = report.model_dump_json()
        try:
            os.write(self._report_to, text.encode())
        except BrokenPipeError:  # the parent is gone
            raise
        except OSError:  # run by hand: it is there to be read from
            print(f"sandbox: {text}", file=sys.stderr)
        os.close(self._report_to)


def confine_device(folders: Sequence[Path]) -> list[str]:
    """Take the network, and all writing but in some folders, from a process that has a GPU.

    What it has opened already stays open, as the driver is; files can be read. It loads no
    generated code.

    Returns:
        What could not be taken here; nothing if all was.
    """
    abi, arch = read_abi(), find_architecture()
    if not abi or arch is None:
        return ["this machine has no Landlock, or no table of system calls"]
    rules = [FileRule(folder, CHANGE) for folder in folders]
    rules += [FileRule(Path(name), WRITE_FILE) for name in ("/dev", "/proc/self")]
    try:
        call_c("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        restrict_files(rules, abi, WRITES)
        install_program(arch, make_offline_program(arch))
    except OSError as error:
        return [str(error)]
    return []


def _apply_limits(limits: Limits) -> None:
    """Set the kernel's limits on this process; a no-op where the platform has none."""
    try:
        import resource
    except ImportError:  # Windows
        return
    cpu_s = limits.cpu_s or int(4 * limits.wall_s) + 1
    wanted = {
        "RLIMIT_CPU": cpu_s,
        # RLIMIT_AS would count CUDA's and the allocators' reservations, which cost nothing.
        "RLIMIT_DATA": limits.memory_mib * _MIB,
        "RLIMIT_FSIZE": limits.file_mib * _MIB,
        "RLIMIT_NOFILE": limits.n_open_files,
        "RLIMIT_CORE": 0,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
    }
    for name, value in wanted.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        ceiling = float("inf") if hard == resource.RLIM_INFINITY else hard
        # At the soft limit of the CPU comes a signal with a name, a second later an end.
        spare = 1 if name == "RLIMIT_CPU" else 0
        resource.setrlimit(kind, (int(min(value, ceiling)), int(min(value + spare, ceiling))))


def _drop_capabilities() -> None:
    """Give up every capability but two that read and write files of other users.

    Raises:
        OSError: the kernel refuses.
    """
    header = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0)
    kept = _read_capabilities() & _KEPT_CAPABILITIES
    # Effective, permitted and inheritable, for each half of the 64 bits.
    data = struct.pack("<6I", kept, kept, 0, 0, 0, 0)
    call_c("capset", header, data)


def _read_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def find_holes(job_dir: Path, parent_pid: int) -> list[str]:
    """Try the walls from within; return the names of attempts that succeeded, none if all hold."""
    attempts: dict[str, Callable[[], None]] = {
        "reads /etc/passwd": lambda: _open("/etc/passwd", os.O_RDONLY),
        "reads the parent's environment": lambda: _open(f"/proc/{parent_pid}/environ", os.O_RDONLY),
        "writes beside its folder": lambda: _write_outside(job_dir.parent),
        "opens an internet socket": lambda: socket.socket(socket.AF_INET).close(),
        "opens a local socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "starts a process": _fork,
        "signals its parent": lambda: os.kill(parent_pid, 0),
    }
    return [name for name, attempt in attempts.items() if _succeeds(attempt)]


def _succeeds(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _open(path: str, flags: int) -> None:
    os.close(os.open(path, flags))


def _write_outside(folder: Path) -> None:
    path = folder / f".reward-agent-probe-{os.getpid()}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    path.unlink(missing_ok=True)


def _fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def report_attempts() -> None:
    """Write a line to standard error at the first attempt of each kind, for good.

    The walls hold without this: it is a Python audit hook, which native code can pass by.
    """
    told: set[str] = set()

    def tell(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _SUSPECT and event not in told:
            told.add(event)
            os.write(_STANDARD_ERROR, f"sandbox: attempt: {event}\n".encode())

    sys.addaudithook(tell)


def _try_alone(folder: Path) -> None:
    """Seal with the least demand; the report goes to standard output."""
    seal = Seal(Isolation(mode="any"), folder, report_to=_STANDARD_OUTPUT)
    try:
        seal.confine()
        seal.close()
    except SandboxError as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    _try_alone(Path(sys.argv[1]))
