"""What a running child takes, as the parent sees it from outside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
# An empty file takes an inode: a million of them fills a disk as well.
_LEAST_PER_ENTRY = 4096


@dataclass(frozen=True)
class MemoryUse:
    """Resident memory of one process, in MiB; zero where the platform does not tell."""

    now_mib: float = 0.0
    peak_mib: float = 0.0


def read_memory(pid: int) -> MemoryUse:
    """Read the memory of a process from ``/proc``."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return MemoryUse()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    kib = [float(facts.get(name, "0").split()[0]) for name in ("VmRSS", "VmHWM")]
    return MemoryUse(now_mib=kib[0] / 1024, peak_mib=kib[1] / 1024)


def measure_folder(folder: Path, stop_at: float = float("inf")) -> int:
    """Return the bytes that a folder takes on disk, links not followed, up to about a bound."""
    total = 0
    pending = [folder]
    while pending and total <= stop_at:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    total += _measure(entry.stat(follow_symlinks=False))
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
                    if total > stop_at:
                        break
        except OSError:
            # The child removes files while they are counted.
            continue
    return total


def measure_nameless_files(pid: int) -> int:
    """Return the bytes of files that a process holds open after removing their names."""
    total = 0
    try:
        entries = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return 0
    for entry in entries:
        path = f"/proc/{pid}/fd/{entry}"
        try:
            if os.readlink(path).endswith(" (deleted)"):
                total += _measure(os.stat(path))
        except OSError:
            continue
    return total


def _measure(status: os.stat_result) -> int:
    # Windows has no st_blocks.
    return max(getattr(status, "st_blocks", status.st_size // _BLOCK) * _BLOCK, _LEAST_PER_ENTRY)
