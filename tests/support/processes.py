"""What runs on this machine, as /proc has it."""

from __future__ import annotations

from pathlib import Path


def list_descendants(pid: int) -> list[int]:
    """Return what a process has started, and what that has."""
    listed: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed += [int(child) for child in path.read_text().split()]
        except OSError:  # it has just ended
            continue
    return [other for child in listed for other in (child, *list_descendants(child))]
