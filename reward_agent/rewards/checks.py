"""The static rules, applied: a program's text → a ``CheckReport``. Never raises, runs nothing."""

from __future__ import annotations

from reward_agent.rewards.source import parse_source
from reward_agent.simulation.card import EnvCard
from reward_agent.types import CheckReport, RewardProgram


def check_program(program: RewardProgram, card: EnvCard) -> CheckReport:
    """Check a reward program against the language and the fields of a card."""
    parsing = parse_source(program.source)
    return CheckReport(program_sha256=program.sha256, findings=parsing.findings)
