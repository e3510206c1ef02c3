"""What one job may use: the ``Limits`` and their enforcement by the kernel."""

from __future__ import annotations

from pydantic import Field

from reward_agent.types import Record

_MIB = 1024 * 1024


class Limits(Record):
    """Ceilings of one job. The parent enforces those that the kernel cannot."""

    wall_s: float = Field(3600.0, gt=0, description="the parent kills the process group")
    cpu_s: int | None = Field(None, ge=1, description="None: four times the wall clock")
    memory_mib: int = Field(4096, ge=64, description="private memory; the parent polls as well")
    file_mib: int = Field(512, ge=1, description="any one file")
    disk_mib: int = Field(1024, ge=1, description="what the job's folder may grow by")
    n_open_files: int = Field(256, ge=32)
    n_threads: int = Field(256, ge=16, description="the parent counts them")
    output_kib: int = Field(1024, ge=1, description="standard output and error: output.txt")
    result_mib: int = Field(16, ge=1, description="size of result.json that the parent reads")


def apply_limits(limits: Limits) -> None:
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
