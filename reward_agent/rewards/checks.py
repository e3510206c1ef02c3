"""The static rules, applied: a program's text → a ``CheckReport``. Never raises, runs nothing.

A new rule is one function ``check_…`` that yields findings, in one of the modules of ``rules``, and
one good and one bad snippet in ``tests/rewards``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType

from reward_agent.definitions.card import EnvCard
from reward_agent.rewards.rules import (
    arrays,
    attributes,
    calls,
    entry,
    names,
    purity,
    quality,
    syntax,
    training,
)
from reward_agent.rewards.rules.context import METRIC, REWARD, Context, Dialect, make_context
from reward_agent.rewards.source import parse_source
from reward_agent.text import clean_text
from reward_agent.types import CheckReport, Finding, RewardProgram

Rule = Callable[[Context], Iterator[Finding]]


def _list_rules(*modules: ModuleType) -> tuple[Rule, ...]:
    """Return the functions ``check_…`` of some modules, in the order of their text."""
    return tuple(
        function
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("check_")
    )


RULES = _list_rules(syntax, names, attributes, calls, purity, entry, arrays, training)
QUALITY_RULES = (*_list_rules(quality), arrays.warn_of_axes)

MAX_FINDINGS = 10
_SEVERITIES = ("error", "warning", "hint")


def check_program(program: RewardProgram, card: EnvCard) -> CheckReport:
    """Check a reward program against the language and the fields of a card.

    Returns:
        All findings at once, errors first, then in the order of the text; ten at most.
    """
    return _check(program, card, REWARD)


def check_metric(source: str, card: EnvCard) -> CheckReport:
    """Check a metric that a language model wrote: ``score(episode) -> Score(…)``.

    The same language as a reward; ``episode`` has the card's fields over time, ``action``,
    ``control_dt``, ``duration_s``, ``n_steps`` and ``terminated``.
    """
    return _check(RewardProgram(source), card, METRIC)


def _check(program: RewardProgram, card: EnvCard, dialect: Dialect) -> CheckReport:
    try:
        parsing = parse_source(program.source)
        findings = parsing.findings
        if parsing.source is not None:
            findings = _apply_rules(make_context(parsing.source, card, dialect))
    except Exception as error:  # no text may end a run
        message = f"the checker gave up on this: {type(error).__name__}"
        findings = (
            Finding(rule="check/gave-up", severity="error", message=message, remedy="write less"),
        )
    return CheckReport(program_sha256=program.sha256, findings=findings)


def _apply_rules(context: Context) -> tuple[Finding, ...]:
    """Return the findings of all rules, the most important ones first."""
    found = _apply(RULES, context)
    # Python's compiler takes time without bound for some of what the rules refuse.
    found = found or _apply((syntax.compile_alone,), context)
    # Remarks on style only for what is accepted: a model repairs errors first.
    found = found or _apply(QUALITY_RULES, context)
    unique = {(item.rule, item.line, item.message): item for item in found}.values()
    return tuple(sorted(unique, key=_rank)[:MAX_FINDINGS])


def _apply(rules: Iterable[Rule], context: Context) -> list[Finding]:
    return [
        finding for rule in rules for finding in itertools.islice(rule(context), 4 * MAX_FINDINGS)
    ]


def _rank(finding: Finding) -> tuple[int, int, int]:
    severity = _SEVERITIES.index(finding.severity)
    return severity, finding.line or 0, finding.column or 0


# --- findings as a person reads them ------------------------------------------------------------

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
