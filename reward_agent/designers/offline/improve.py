"""Improve the best plan so far by rules on the statistics that a language model is shown, too."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reward_agent.definitions.card import EnvCard
from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.offline.plan import Plan, TermPlan
from reward_agent.designers.offline.signals import Signal
from reward_agent.types import TermPoint

# Shares of the return, of the episode and of the cap from which a rule speaks.
_FLOODS, _SHORT, _SATURATED, _WHOLE = 0.6, 0.6, 0.75, 0.95
# Failure modes (evaluation/diagnostics.py) of a policy that has no need of the goal.
_IDLE = frozenset({"survival exploit", "standing still"})


@dataclass(frozen=True)
class Move:
    """A changed plan and the reason, with its numbers."""

    plan: Plan
    reason: str


@dataclass(frozen=True)
class Evidence:
    """What the last stretch of a training says of each term, and how its episodes went.

    Args:
        last: the last point of each term's curve.
        length_share: mean episode length of the best policy as a share of the longest.
        failures: names of the failure modes that were recognised.
    """

    last: dict[str, TermPoint]
    length_share: float
    failures: frozenset[str] = frozenset()


def read_evidence(entry: HistoryEntry, card: EnvCard) -> Evidence:
    """Read the statistics of a trained candidate."""
    training, evaluation = entry.training, entry.candidate.evaluation
    curves = training.terms if training else ()
    last = {curve.name: curve.points[-1] for curve in curves if curve.points}
    length = evaluation.episode_length if evaluation else card.max_episode_steps
    diagnoses = entry.summary.diagnoses if entry.summary else ()
    failures = frozenset(diagnosis.name for diagnosis in diagnoses)
    return Evidence(last, length / card.max_episode_steps, failures)


def list_moves(plan: Plan, signals: Sequence[Signal], evidence: Evidence) -> list[Move]:
    """Return the changes that the statistics call for, the most pressing first."""
    known = {signal.name: signal for signal in signals}
    rules = (_drop_dead, _tame_flood, _hold_up, _wake_up, _calm_down, _raise_cap)
    return [move for rule in rules for move in rule(plan, known, evidence)]


def _drop_dead(plan: Plan, known: dict[str, Signal], evidence: Evidence) -> list[Move]:
    """Drop a condition that never paid anything; a goal is widened instead."""
    moves = []
    for term in plan.terms:
        point = evidence.last.get(term.signal)
        if point is None or point.maximum != point.minimum or known[term.signal].role == "bonus":
            continue
        reason = f"`{term.signal}` was {point.mean:.3g} at every step: "
        if known[term.signal].role != "goal":
            moves.append(Move(plan.replace_term(term), reason + "dropped"))
        elif term.gates:
            freed = term.model_copy(update={"gates": ()})
            moves.append(Move(plan.replace_term(term, freed), reason + "its gates are lifted"))
    return moves


def _tame_flood(plan: Plan, known: dict[str, Signal], evidence: Evidence) -> list[Move]:
    """Halve what floods the return; a posture becomes a gate of the goals."""
    for term in plan.terms:
        signal, point = known[term.signal], evidence.last.get(term.signal)
        if point is None or signal.role == "goal" or point.share_of_return < _FLOODS:
            continue
        reason = f"`{term.signal}` made {point.share_of_return:.0%} of the return: "
        halved = scale_term(term, 0.4)
        moves = [Move(plan.replace_term(term, halved), reason + f"weight {halved.weight:g}")]
        if signal.role in ("guide", "posture") and signal.machine is None:
            gated = gate_goals(plan.replace_term(term), known, term.signal)
            moves.insert(0, Move(gated, reason + "now it gates the goal instead"))
        return moves
    return []


def _hold_up(plan: Plan, known: dict[str, Signal], evidence: Evidence) -> list[Move]:
    """Pay more for posture and for being alive where episodes end early."""
    if evidence.length_share >= _SHORT:
        return []
    reason = f"episodes end after {evidence.length_share:.0%} of their time: "
    moves = []
    for term in plan.terms:
        if known[term.signal].role in ("bonus", "posture"):
            more = scale_term(term, 2.5)
            text = f"{reason}`{term.signal}` is worth {more.weight:g}"
            moves.append(Move(plan.replace_term(term, more), text))
    return moves[::-1][:2]


def _wake_up(plan: Plan, known: dict[str, Signal], evidence: Evidence) -> list[Move]:
    """Raise the goal where the policy lives on its postures."""
    shares = [
        evidence.last[term.signal].share_of_return
        for term in plan.terms
        if known[term.signal].role == "goal" and term.signal in evidence.last
    ]
    lives_on_posture = sum(shares) <= 1 - _FLOODS and evidence.length_share >= _WHOLE
    if not shares or not (lives_on_posture or evidence.failures & _IDLE):
        return []
    raised = map_goals(plan, known, lambda term: scale_term(term, 3.0))
    reason = f"the goal made {sum(shares):.0%} of the return and episodes last: three times it"
    return [Move(raised, reason)]


def _calm_down(plan: Plan, known: dict[str, Signal], evidence: Evidence) -> list[Move]:
    """Charge more for effort where the policy trembles."""
    costs = [term for term in plan.terms if known[term.signal].role == "cost"]
    if not costs or "oscillation" not in evidence.failures:
        return []
    more = scale_term(costs[0], 5.0)
    reason = f"the policy oscillates: `{more.signal}` costs {more.weight:g}"
    return [Move(plan.replace_term(costs[0], more), reason)]


def _raise_cap(plan: Plan, known: dict[str, Signal], evidence: Evidence) -> list[Move]:
    """Stretch a goal that is paid in full most of the time."""
    for term in plan.terms:
        signal, point = known[term.signal], evidence.last.get(term.signal)
        if point is None or signal.role != "goal" or not term.weight or "clip" not in signal.code:
            continue
        level = point.mean / term.weight
        if level > _SATURATED:
            factor = round(term.factor * 1.6, 3)
            wider = term.model_copy(update={"factor": factor, "weight": term.weight * 1.6})
            reason = f"`{term.signal}` is at {level:.0%} of its cap: the cap is 1.6 times higher"
            return [Move(plan.replace_term(term, wider), reason)]
    return []


def make_random_move(plan: Plan, signals: Sequence[Signal], rng: random.Random) -> Move:
    """Return a small seeded change: a step of the hill-climb where no rule speaks."""
    known = {signal.name: signal for signal in signals}
    steps = [_perturb_weight, _perturb_scale, _toggle_gate, _swap_goal, _add_term, _drop_term]
    for step in rng.sample(steps, len(steps)):
        move = step(plan, known, rng)
        if move is not None:
            return move
    return _jitter(plan, rng)


def _perturb_weight(plan: Plan, known: dict[str, Signal], rng: random.Random) -> Move | None:
    # A cost is small on purpose: its weight decides little.
    telling = [term for term in plan.terms if known[term.signal].role != "cost"]
    term = rng.choice(telling or list(plan.terms))
    new = scale_term(term, rng.choice((0.4, 0.6, 1.6, 2.5)))
    reason = f"trial: weight of `{term.signal}` {term.weight:g} → {new.weight:g}"
    return Move(plan.replace_term(term, new), reason)


def _perturb_scale(plan: Plan, known: dict[str, Signal], rng: random.Random) -> Move | None:
    scaled = [term for term in plan.terms if "{scale}" in known[term.signal].code]
    if not scaled:
        return None
    term = rng.choice(scaled)
    factor = round(term.factor * rng.choice((0.5, 0.7, 1.4, 2.0)), 3)
    new = term.model_copy(update={"factor": factor})
    reason = f"trial: scale of `{term.signal}` {term.factor:g} → {factor:g} times the usual"
    return Move(plan.replace_term(term, new), reason)


def _toggle_gate(plan: Plan, known: dict[str, Signal], rng: random.Random) -> Move | None:
    goals = [term for term in plan.terms if known[term.signal].role == "goal"]
    gates = [s for s in known.values() if s.role in ("guide", "posture") and s.machine is None]
    if not goals or not gates:
        return None
    term, gate = rng.choice(goals), rng.choice(gates).name
    has_gate = gate in term.gates
    names = tuple(g for g in term.gates if g != gate) if has_gate else (*term.gates, gate)
    new = term.model_copy(update={"gates": names})
    reason = f"trial: `{gate}` {'no longer gates' if has_gate else 'gates'} `{term.signal}`"
    return Move(plan.replace_term(term, new), reason)


def _add_term(plan: Plan, known: dict[str, Signal], rng: random.Random) -> Move | None:
    used = {term.signal for term in plan.terms}
    machines = {known[name].machine for name in used if known[name].machine} | {None}
    unused = [
        signal
        for signal in known.values()
        if signal.name not in used and (len(machines) == 1 or signal.machine in machines)
    ]
    if not unused:
        return None
    signal = rng.choice(unused)
    term = TermPlan(signal=signal.name, weight=signal.weight)
    return Move(
        plan.model_copy(update={"terms": (*plan.terms, term)}), f"trial: `{signal.name}` is added"
    )


def _swap_goal(plan: Plan, known: dict[str, Signal], rng: random.Random) -> Move | None:
    """Measure the goal in another way, where the card has one."""
    used = {term.signal for term in plan.terms}
    machines = {known[name].machine for name in used if known[name].machine}
    others = [
        signal
        for signal in known.values()
        if signal.role == "goal" and signal.name not in used and not (signal.machine and machines)
    ]
    goals = [term for term in plan.terms if known[term.signal].role == "goal"]
    if not others or not goals:
        return None
    term, other = rng.choice(goals), rng.choice(others)
    new = term.model_copy(update={"signal": other.name, "factor": 1.0})
    return Move(plan.replace_term(term, new), f"trial: `{other.name}` in place of `{term.signal}`")


def _drop_term(plan: Plan, known: dict[str, Signal], rng: random.Random) -> Move | None:
    conditions = [term for term in plan.terms if known[term.signal].role != "goal"]
    if not conditions:
        return None
    term = rng.choice(conditions)
    return Move(plan.replace_term(term), f"trial: `{term.signal}` is dropped")


def _jitter(plan: Plan, rng: random.Random) -> Move:
    terms = tuple(scale_term(term, rng.uniform(0.7, 1.4)) for term in plan.terms)
    return Move(plan.model_copy(update={"terms": terms}), "trial: all weights moved a little")


def scale_term(term: TermPlan, factor: float) -> TermPlan:
    """Return the term with its weight multiplied."""
    return term.model_copy(update={"weight": float(f"{term.weight * factor:.3g}")})


def map_goals(plan: Plan, known: dict[str, Signal], change: Callable[[TermPlan], TermPlan]) -> Plan:
    """Return the plan with each term of a goal changed."""
    terms = (change(t) if known[t.signal].role == "goal" else t for t in plan.terms)
    return plan.model_copy(update={"terms": tuple(terms)})


def gate_goals(plan: Plan, known: dict[str, Signal], gate: str) -> Plan:
    """Return the plan with its goals worth nothing where a signal is 0."""

    def add(term: TermPlan) -> TermPlan:
        gates = tuple(dict.fromkeys((*term.gates, gate)))
        return term.model_copy(update={"gates": gates})

    return map_goals(plan, known, add)
