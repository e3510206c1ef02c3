"""What a round changed, in words and as a diff."""

from __future__ import annotations

import difflib

from reward_agent.designers.history import read_entry
from reward_agent.designers.reply import find_fences
from reward_agent.feedback.records import Shown
from reward_agent.records.store import Candidate, RunStore

_MAX_CHARS = 2000


def read_rationale(store: RunStore, candidate: Candidate) -> str:
    """Return what the Designer said beside its program; empty if nothing was said."""
    path = store.candidate_dir(candidate.iteration, candidate.id) / "reply.md"
    if not path.is_file():
        return ""
    text = path.read_text("utf-8")
    for fence in find_fences(text):
        if fence.body.strip():
            text = text.replace(fence.body, "")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("```", "~~~"))]
    return "\n".join(lines).strip()[:_MAX_CHARS]


def render_change(store: RunStore, before: Shown, after: Candidate) -> str:
    """Return the unified diff from a program to another."""
    earlier = store.read_candidate(before.iteration, before.candidate)
    old, new = _list_lines(store, earlier), _list_lines(store, after)
    lines = difflib.unified_diff(old, new, before.candidate, after.id, lineterm="", n=1)
    return "\n".join(lines)


def _list_lines(store: RunStore, candidate: Candidate) -> list[str]:
    program = read_entry(store, candidate).program
    return program.source.splitlines() if program else []
