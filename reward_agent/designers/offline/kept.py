"""A person's program that a plan departs from: its terms keep their names, others stand beside."""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.offline.forms import Signal
from reward_agent.designers.offline.moves import Evidence, Move, scale_term
from reward_agent.designers.offline.plan import KeptTerms, Plan, make_plan, render_lines, render_pay
from reward_agent.rewards.language import LIBRARY_NAMES
from reward_agent.rewards.terms import add_terms, read_terms, scale_terms

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
    nodes = list(ast.walk(ast.parse(kept.source)))
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
