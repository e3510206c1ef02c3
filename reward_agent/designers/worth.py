"""Which calls of a role are worth making, and what became of what the Critic said.

A review can only change what is still to be gained, an analysis only explain what went far enough
to show something.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reward_agent.designers.brief import DesignBrief, HistoryEntry
from reward_agent.types import Risk

# Of a whole training. What was stopped before says how a program begins, not where it leads.
_LEAST_SHARE = 0.3
# Of the episodes: with as many successes no failure is looked for.
_MOSTLY = 0.5
# Risks that a term which never pays shows.
_OF_NO_PAY = ("dead term", "unreachable gate")


def explain_no_review(brief: DesignBrief) -> str:
    """Say why the Critic need not be asked about a candidate; '' if it is to be asked."""
    if brief.is_done and not brief.feedback:
        return "the best program does the task, so that no revision gains anything"
    return ""


def explain_no_analysis(brief: DesignBrief, entry: HistoryEntry) -> str:
    """Say why the Analyzer need not be asked about a training; '' if it is to be asked."""
    candidate = entry.candidate
    is_doubted = bool(brief.feedback or entry.film_conflict)
    if brief.task.is_done(candidate.evaluation) and not is_doubted:
        return "the task is done in every episode"
    if (
        candidate.outcome.kind == "stopped"
        and candidate.total_timesteps < _LEAST_SHARE * brief.steps
    ):
        return f"stopped after {candidate.total_timesteps:,} of {brief.steps:,} steps"
    return ""


@dataclass(frozen=True)
class Foreseen:
    """A risk that the Critic named before a training, and what became of it."""

    risk: Risk
    became: str
    is_seen: bool = False


def follow_risks(entry: HistoryEntry) -> tuple[Foreseen, ...]:
    """Return the Critic's risks of a candidate with what its training showed of them."""
    risks = entry.critique.risks if entry.critique else ()
    return tuple(_follow(entry, risk) for risk in risks)


def _follow(entry: HistoryEntry, risk: Risk) -> Foreseen:
    evaluation = entry.candidate.evaluation
    if evaluation is None:
        return Foreseen(risk, "not trained")
    if evaluation.success_rate is not None and evaluation.success_rate > _MOSTLY:
        return Foreseen(risk, "success all the same")
    if risk.kind.lower() in _list_failures(entry):
        return Foreseen(risk, "came true", is_seen=True)
    unpaid = [term for term in _list_unpaid(entry) if term in risk.evidence]
    if unpaid and risk.kind.lower() in _OF_NO_PAY:
        return Foreseen(risk, f"came true, {', '.join(unpaid)} never paid", is_seen=True)
    return Foreseen(risk, "not seen")


def _list_unpaid(entry: HistoryEntry) -> list[str]:
    """Return the terms that paid the trained policy nothing."""
    if entry.summary is not None:
        return [term.name for term in entry.summary.terms if term.pay_mean == 0]
    curves = entry.training.terms if entry.training else ()
    return [c.name for c in curves if c.points and c.points[-1].pay_per_episode == 0]


def _list_failures(entry: HistoryEntry) -> Iterator[str]:
    """Yield the names of the failures that rules and the Analyzer saw."""
    if entry.summary is not None:
        yield from (diagnosis.name for diagnosis in entry.summary.diagnoses)
    if entry.analysis is not None:
        yield entry.analysis.failure_mode.partition(":")[0].strip().lower()
