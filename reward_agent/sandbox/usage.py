"""What a running child takes, as the parent sees it from outside."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
# An empty file takes an inode: a million of them fills a disk as well.
_LEAST_PER_ENTRY = 4096


@dataclass(frozen=True)
class ProcessUse:
    """Resident memory in MiB and threads of a process; zero where the platform does not tell."""

    memory_mib: float = 0.0
    peak_memory_mib: float = 0.0
    n_threads: int = 0


def read_process(pid: int) -> ProcessUse:
    """Read what a process uses from ``/proc``."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ProcessUse()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    memory, peak, n_threads = (
        int(facts.get(name, "0").split()[0]) for name in ("VmRSS", "VmHWM", "Threads")
    )
    return ProcessUse(memory / 1024, peak / 1024, n_threads)


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
