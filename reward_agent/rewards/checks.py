"""The static rules, applied: a program's text → a ``CheckReport``. Never raises, runs nothing."""

from __future__ import annotations

from reward_agent.definitions.card import EnvCard
from reward_agent.rewards.rules import QUALITY_RULES, RULES
from reward_agent.rewards.rules.context import METRIC, REWARD, Context, Dialect, make_context
from reward_agent.rewards.rules.syntax import check_compiles
from reward_agent.rewards.source import parse_source
from reward_agent.types import CheckReport, Finding, RewardProgram

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
    parsing = parse_source(program.source)
    findings = parsing.findings
    if parsing.source is not None:
        findings = _apply_rules(make_context(parsing.source, card, dialect))
    return CheckReport(program_sha256=program.sha256, findings=findings)


def _apply_rules(context: Context) -> tuple[Finding, ...]:
    """Return the findings of all rules, the most important ones first."""
    found: list[Finding] = []
    for rule in RULES:
        for finding in rule(context):
            found.append(finding)
            if len(found) >= 4 * MAX_FINDINGS:
                break
    if not found:
        # Python's compiler takes time without bound for some of what the rules refuse.
        found = list(check_compiles(context))
    if not found:
        # Remarks on style only for what is accepted: a model repairs errors first.
        found = [finding for rule in QUALITY_RULES for finding in rule(context)]
    unique = {(item.rule, item.line, item.message): item for item in found}.values()
    return tuple(sorted(unique, key=_rank)[:MAX_FINDINGS])


def _rank(finding: Finding) -> tuple[int, int, int]:
    severity = _SEVERITIES.index(finding.severity)
    return severity, finding.line or 0, finding.column or 0
