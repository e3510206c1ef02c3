"""How well a child process is isolated: the levels, and which of them a run accepts."""

from __future__ import annotations

from typing import Literal, get_args

Level = Literal["full", "namespaces", "process"]
"""From the strongest to the weakest:

- ``full``: Landlock's file rules and a default-deny system-call filter.
- ``namespaces``: the same filter, and in place of Landlock a private root of bind mounts.
- ``process``: a process of its own with limits, and nothing else to rely on.
"""

SandboxMode = Literal["strict", "default", "any", "off"]
"""What a run accepts: ``full``; ``namespaces`` or better; whatever is there; no sandbox at all."""

LEVELS: tuple[Level, ...] = get_args(Level)
_WEAKEST_ACCEPTED: dict[SandboxMode, Level] = {
    "strict": "full",
    "default": "namespaces",
    "any": "process",
    "off": "process",
}


def is_accepted(level: Level, mode: SandboxMode) -> bool:
    """Tell whether a run in this mode may go on at this level."""
    return LEVELS.index(level) <= LEVELS.index(_WEAKEST_ACCEPTED[mode])
