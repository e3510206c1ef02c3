"""How the offline designer departs from a person's program: by weights, or by terms beside it."""

from __future__ import annotations

import ast
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec
from reward_agent.designers.brief import DesignBrief, HistoryEntry
from reward_agent.designers.offline.forms import Signal
from reward_agent.designers.offline.moves import Evidence, Move, scale_term
from reward_agent.designers.offline.plan import KeptTerms, Plan, make_plan, render_lines, render_pay
from reward_agent.rewards.language import LIBRARY_NAMES
from reward_agent.rewards.pay import STANDING, Most, Tried, find_goal_pay
from reward_agent.rewards.terms import add_terms, read_terms, scale_terms
from reward_agent.summary.faults import RANDOM, PayEvidence, find_faults
from reward_agent.text import parse_python
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


# --- terms beside it -----------------------------------------------------------------------------

# What is added, in turn: as little as there is, then the goal held up by gates, then a sum.
_ADDED = ("minimal", "product-of-goals", "weighted-sum")
_FLOODS, _TAMED, _LEAST_SIZE, _MOST_SIZE = 0.6, 0.4, 1.0, 20.0


def begin_beside(
    entry: HistoryEntry, signals: Sequence[Signal], evidence: Evidence, file: str, index: int
) -> Move | None:
    """Return a first plan beside a person's program; None where the two do not go together.

    Args:
        entry: the person's program, trained.
        signals: what the task's sentence asks for.
        evidence: what its training said of its terms.
        file: the person's.
        index: the candidate in its round: each adds something else.
    """
    is_additive = entry.probe is None or entry.probe.is_additive is not False
    if entry.program is None or not is_additive:
        return None
    kept = KeptTerms(source=entry.program.source, file=file)
    free = list_free(kept, signals)
    plan = make_plan(free, _ADDED[index % len(_ADDED)], random.Random(index))
    size = sum(abs(point.mean) for point in evidence.last.values())
    factor = min(max(size, _LEAST_SIZE), _MOST_SIZE)
    plan = Plan(terms=tuple(scale_term(term, factor) for term in plan.terms), kept=kept)
    if not plan.terms or render_beside(plan, free) is None:
        return None
    theirs = ", ".join(f"`{term.name}`" for term in read_terms(kept.source))
    paid = ", ".join(f"`{term.signal}`" for term in plan.terms)
    return Move(
        plan,
        f"- keeps {theirs} of {file} as they are\n"
        f"- adds {paid}, as large as theirs: {factor:.2g} times the usual weights",
    )


def list_free(kept: KeptTerms, signals: Sequence[Signal]) -> list[Signal]:
    """Return the signals that go beside a person's program: under names of their own, unremembered.

    None do where it gives the name of a helper another meaning.
    """
    nodes = list(ast.walk(parse_python(kept.source)))
    taken = {node.id for node in nodes if isinstance(node, ast.Name)}
    taken |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    taken |= {term.name for term in read_terms(kept.source)}
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    if defined & LIBRARY_NAMES:
        return []
    return [signal for signal in signals if signal.name not in taken and not signal.machine]


def list_kept_moves(plan: Plan, evidence: Evidence) -> list[Move]:
    """Return the changes of the person's own terms that what was measured calls for."""
    for term in read_terms(plan.kept.source) if plan.kept else ():
        point = evidence.last.get(term.name)
        if plan.kept is None or point is None or point.share_of_return < _FLOODS:
            continue
        source = scale_terms(plan.kept.source, {term.name: _TAMED})
        if source is not None:
            changed = plan.kept.model_copy(update={"source": source})
            reason = (
                f"the person's `{term.name}` made {point.share_of_return:.0%} of the return: its "
                f"weight times {_TAMED:g}; their other terms stay"
            )
            return [Move(plan.model_copy(update={"kept": changed}), reason)]
    return []


def render_beside(plan: Plan, signals: Sequence[Signal]) -> str | None:
    """Return the person's program with the terms of a plan beside its own; None where it cannot."""
    if plan.kept is None:
        return None
    return add_terms(plan.kept.source, render_lines(plan, signals), render_pay(plan))
