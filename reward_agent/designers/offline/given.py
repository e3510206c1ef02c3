"""How the offline designer departs from a program that it did not write: by its terms' weights."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import DesignBrief, HistoryEntry
from reward_agent.rewards.pay import STANDING, Most, Tried, find_goal_pay
from reward_agent.rewards.terms import read_terms, scale_terms
from reward_agent.summary.faults import RANDOM, PayEvidence, find_faults
from reward_agent.types import BehaviourPay, RewardProgram

# What each fault asks of its term's weight.
_FACTORS = {
    "wrong sign": -1.0,
    "pays falling at once": 0.1,
    "pays standing still": 0.2,
    "one term drowns the rest": 0.1,
    "paid for noise": 0.3,
    "a term never moves": 0.0,
}
# Whatever is added beside such a term, the policy is better off without the task.
_DUE = frozenset({"wrong sign", "pays falling at once"})
_MORE, _LESS, _MOST_RAISED = 3.0, 0.3, 100.0
_MAX_TRIES = 12


@dataclass(frozen=True)
class Reweighting:
    """One change of the weights, and why.

    Args:
        factors: what the weight of each term is multiplied by.
        reason: what was measured.
        is_due: whether it comes before terms that are added.
    """

    factors: dict[str, float]
    reason: str
    is_due: bool = False


def reweight(brief: DesignBrief, rng: random.Random) -> tuple[RewardProgram, str] | None:
    """Return the parent's program with other weights, and the reason; None where it has no plan.

    Its terms and their names stay.
    """
    entry = brief.parent
    if entry is None or entry.program is None or entry.plan is not None:
        return None
    if entry.probe is None or not entry.probe.is_additive:
        return None
    tried = {item.program.sha256 for item in brief.history if item.program}
    changes = [*_list_changes(entry, brief.card, brief.task), *_draw_changes(entry, rng)]
    # Of the best, each candidate of a round takes another of the changes that are called for.
    is_best = brief.best is not None and brief.best.candidate.id == entry.candidate.id
    first = min(brief.index, max(len(changes) - _MAX_TRIES, 0)) if is_best else 0
    names = [term.name for term in read_terms(entry.program.source)]
    for change in changes[first:]:
        if _scales_all(change.factors, names):
            continue
        source = scale_terms(entry.program.source, change.factors)
        if source is not None and RewardProgram(source).sha256 not in tried:
            score = entry.candidate.task_score
            told = "" if score is None else f" (task score {score:.3g})"
            origin = f"- from candidate {entry.candidate.id}{told}, whose terms it keeps"
            return RewardProgram(source), f"{origin}\n- {change.reason}"
    return None


def _scales_all(factors: dict[str, float], names: Sequence[str]) -> bool:
    """Whether a change only makes the whole reward larger or smaller, which learners undo."""
    return len({factors.get(name, 1.0) for name in names}) == 1 and min(factors.values()) > 0


def _list_changes(entry: HistoryEntry, card: EnvCard, task: TaskSpec) -> Iterator[Reweighting]:
    """Yield what was measured calls for: the task's own terms first, then the gravest fault."""
    raised = _raise_goals(entry, card, task)
    if raised is not None:
        yield raised
    if entry.program is None or entry.probe is None:
        return
    if entry.training is None or entry.summary is None:
        return
    written = {term.name: term for term in read_terms(entry.program.source)}
    evidence = PayEvidence(card, task, entry.probe, entry.training, entry.summary, written=written)
    for fault in find_faults(evidence):
        for name in fault.terms:
            factor = _FACTORS.get(fault.name)
            if factor is not None:
                what = "dropped" if factor == 0 else f"its weight times {factor:g}"
                told = f"{fault.name}: {fault.evidence}: {what}"
                yield Reweighting({name: factor}, told, is_due=fault.name in _DUE)


def calls_for_weights(brief: DesignBrief) -> bool:
    """Whether the weights of the parent's terms are to be changed before others are added.

    A term that follows the task score pays too little, or what is added would not help: a term has
    the wrong sign, or pays for an early end.
    """
    entry = brief.parent
    changes = _list_changes(entry, brief.card, brief.task) if entry else ()
    return any(change.is_due for change in changes)


def _raise_goals(entry: HistoryEntry, card: EnvCard, task: TaskSpec) -> Reweighting | None:
    """Let a done task earn what the start pose does, and what motion costs beside it."""
    rows, target = entry.probe.behaviours if entry.probe else (), task.target_score or 0.0
    tried = Tried(rows, Most(0.0, 0.0), task.target_score, card.max_episode_steps)
    standing, moved, per_score = tried.find(STANDING), tried.find(RANDOM), find_goal_pay(tried)
    if standing is None or tried.is_worth(standing):
        return None
    wanted, why = standing.pay, f"an episode in the start pose earns {standing.pay:.3g}"
    lost = _pay_beside(standing, per_score) - _pay_beside(moved or standing, per_score)
    if lost * standing.length > wanted:
        wanted = lost * standing.length
        why = f"random actions earn {wanted:.3g} an episode less than the start pose"
    earned = sum(per_score.values()) * target
    if not 0 < earned < wanted:
        return None
    factor = min(float(f"{wanted / earned:.2g}"), _MOST_RAISED)
    names = ", ".join(f"`{name}`" for name in per_score)
    return Reweighting(
        dict.fromkeys(per_score, factor),
        f"{why}, and {names}, which follow{'s' if len(per_score) == 1 else ''} the task score, "
        f"{earned:.3g} at its target of {target:g} {task.unit}: weight times {factor:g}",
        is_due=True,
    )


def _pay_beside(row: BehaviourPay, goals: Collection[str]) -> float:
    """Return the pay of a step of what is not the task's own."""
    return (row.pay - sum(row.terms.get(name, 0.0) for name in goals)) / max(row.length, 1.0)


def _draw_changes(entry: HistoryEntry, rng: random.Random) -> Iterator[Reweighting]:
    """Yield random changes of one or two weights."""
    assert entry.program is not None
    names = [term.name for term in read_terms(entry.program.source)]
    for _ in range(_MAX_TRIES if names else 0):
        chosen = rng.sample(names, min(len(names), rng.choice((1, 1, 2))))
        factors = {name: rng.choice((_LESS, _MORE)) for name in chosen}
        told = ", ".join(f"{name} times {factor:g}" for name, factor in factors.items())
        yield Reweighting(factors, f"a random variation: {told}")
