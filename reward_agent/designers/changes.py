"""What an earlier candidate did: how its program differs from the one that it departed from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from reward_agent.designers.brief import HistoryEntry

# Enough to see what was tried; the whole programs of four rounds would fill the prompt.
_MAX_LINES = 8
_MAX_CHARS = 110


def describe_changes(entries: Iterable[HistoryEntry]) -> dict[str, list[str]]:
    """Return, by candidate, the lines by which its program differs from its parent's.

    A line begins with ``+`` or ``-``. A candidate without a program, or whose parent is not among
    the entries, has none.
    """
    known = {entry.candidate.id: entry for entry in entries}
    return {name: list_changes(entry, known) for name, entry in known.items()}


def list_changes(entry: HistoryEntry, known: Mapping[str, HistoryEntry]) -> list[str]:
    """Return the changed lines of one candidate, the longest changes cut."""
    parent = known.get(entry.candidate.parent or "")
    if entry.program is None or parent is None or parent.program is None:
        return []
    lines = difflib.unified_diff(
        _list_code(parent.program.source), _list_code(entry.program.source), lineterm="", n=0
    )
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    shown = [line[:_MAX_CHARS] for line in changed[:_MAX_LINES]]
    n_more = len(changed) - len(shown)
    return shown + ([f"({n_more} more changed lines)"] if n_more else [])


def _list_code(source: str) -> Sequence[str]:
    """Return the lines that are code: what comments say of a change is not the change."""
    lines = (line.strip() for line in source.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]
