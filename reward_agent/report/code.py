"""Programs as HTML: highlighted Python with numbered lines, and the difference to a parent."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import lru_cache

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from reward_agent.types import Finding


def highlight_program(source: str, findings: Iterable[Finding] = ()) -> Markup:
    """Return a program with line numbers, each finding under its line, the others above."""
    lines = _highlight(source)
    remarks: dict[int, list[Finding]] = {}
    for finding in findings:
        place = finding.line if finding.line and finding.line <= len(lines) else 0
        remarks.setdefault(place, []).append(finding)
    parts = [_render_remark(finding) for finding in remarks.get(0, [])]
    for number, line in enumerate(lines, start=1):
        parts.append(f'<span class="ln" data-n="{number}">{line}</span>\n')
        parts += [_render_remark(finding) for finding in remarks.get(number, [])]
    return Markup(f'<pre class="code" tabindex="0"><code>{"".join(parts)}</code></pre>')


@lru_cache
def _highlight(source: str) -> Sequence[str]:
    """Return the lines of a program; a report is written anew each round, with the same ones."""
    formatter = HtmlFormatter(nowrap=True, classprefix="py-")
    # Pygments closes its spans at the end of each line.
    text: str = highlight(source, PythonLexer(stripnl=False), formatter)
    return text.rstrip("\n").split("\n")


def _render_remark(finding: Finding) -> str:
    text = f"{finding.severity} · {finding.rule}: {finding.message}"
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return f'<span class="remark {escape(finding.severity)}">{escape(text + remedy)}</span>\n'


def render_diff(before: str, after: str) -> Markup:
    """Return what changed from a parent's program, as lines with their sign."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    names = {"+": "added", "-": "removed", "@": "place"}
    parts = []
    for line in list(lines)[2:]:
        css = names.get(line[:1], "same")
        parts.append(f'<span class="{css}">{escape(line)}</span>\n')
    if not parts:
        return Markup("")
    return Markup(f'<pre class="diff" tabindex="0">{"".join(parts)}</pre>')
