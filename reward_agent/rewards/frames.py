"""Findings as a person reads them: each under its line of the program, in plain text."""

from __future__ import annotations

from collections.abc import Iterable

from reward_agent.text import clean_text
from reward_agent.types import Finding

_CONTEXT_LINES = 1
_MAX_LINE_CHARS = 120


def render_findings(source: str, findings: Iterable[Finding]) -> str:
    """Return every finding with the line it is about.

    ::

        error attributes/field: next_state.torso_hight is not a field of hopper
          2 |     # Keep the torso up.
          3 |     up = next_state.torso_hight
            |          ^
          remedy: did you mean next_state.torso_height?
    """
    lines = source.split("\n")
    return "\n\n".join(_render_finding(lines, finding) for finding in findings)


def _render_finding(lines: list[str], finding: Finding) -> str:
    parts = [f"{finding.severity} {finding.rule}: {clean_text(finding.message)}"]
    if finding.line is not None and 1 <= finding.line <= len(lines):
        parts += _render_frame(lines, finding.line, finding.column)
    if finding.remedy:
        parts.append(f"  remedy: {clean_text(finding.remedy)}")
    return "\n".join(parts)


def _render_frame(lines: list[str], line: int, column: int | None) -> list[str]:
    """Return the line with the one before it, and a caret under the column."""
    first = max(1, line - _CONTEXT_LINES)
    width = len(str(line))
    rows = [
        f"  {number:>{width}} | {_clean_line(lines[number - 1])}".rstrip()
        for number in range(first, line + 1)
    ]
    if column is not None and 1 <= column <= _MAX_LINE_CHARS:
        # A tab before the caret was shown as four spaces.
        before = lines[line - 1][: column - 1]
        rows.append(f"  {' ' * width} | {' ' * len(before.expandtabs(4))}^")
    return rows


def _clean_line(text: str) -> str:
    return clean_text(text.expandtabs(4), _MAX_LINE_CHARS)
