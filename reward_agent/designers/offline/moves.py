"""How a plan becomes another: by statistics of its training, by a person's words, at random."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

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
    """Quantity the goal in another way, where the card has one."""
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


# --- a person's words -----------------------------------------------------------------------------

# What a remark may be about, and the words that say so, as complaint or as wish.
WISHES: dict[str, str] = {
    "upright": r"upright|under (?:you|it|the|your|its)\b|on (?:its|the|your) (?:back|side|belly)|"
    r"roll(?:s|ing)?\b|lean\w*|tips?\b|tilt\w*|bent|bends?\b|slouch\w*|posture",
    "steady": r"(?<!does not )(?<!doesnt )(?<!no longer )fall\w*|fell\b|toppl\w*|stumbl\w*|"
    r"collaps\w*|crash\w*|balance\w*|surviv\w*|stay up|keep going|ends? (?:too )?early|longer\b",
    "feet": r"feet\b|foot\b|knees?\b|crawl\w*|drag\w*|slid\w*|scrap\w*|belly|on the floor",
    "faster": r"faster|quicker|speed up|more speed|f[au]rther|(?<!\bmore )slow(?:ly)?\b(?! down)|"
    r"(?:hardly|barely) moves?|stands? still|(?:does not|doesnt|not) mov\w+|stuck",
    "slower": r"slower|slow down|more slowly|too (?:fast|quick)\w*|gentl\w*",
    "higher": r"higher|taller|too low\b|more height|jumps? more|off the (?:ground|floor)|crouch\w*",
    "straight": r"straight\b(?! up)|drift\w*|veer\w*|sideways|curv\w*|swerv\w*|turns? aside",
    "calm": r"shak\w*|jerk\w*|trembl\w*|twitch\w*|jitter\w*|vibrat\w*|oscillat\w*|wobbl\w*|"
    r"flail\w*|smooth\w*|calm\w*|quiet\w*|less effort|glid\w*",
}
EXAMPLES = "keep upright, don't fall, feet on the floor, faster, slower, higher, straight, calmer"
# Conditions that hold a wish, in the order in which the card may have them.
_CONDITIONS: dict[str, tuple[str, ...]] = {
    "upright": ("upright",),
    "steady": ("upright",),
    "feet": ("clean_floor", "upright"),
    "higher": ("airborne", "tall"),
    "straight": ("straight",),
    "calm": ("calm",),
}
# Most of the time the robot is not there: a gate would close off all learning.
_NEVER_GATES = frozenset({"airborne"})
_LEAST_PAY = 0.2
_FASTER, _SLOWER, _MUCH_SLOWER = 1.6, 0.7, 0.5
_MUCH_MORE, _MORE = 2.5, 1.5


@dataclass(frozen=True)
class Answering:
    """How a wish changes a plan.

    Args:
        known: the signals by their names.
        is_bold: whether to gate the goals by what is asked for and to pay much more for it; if
            not, it is only paid somewhat more.
        entry: the candidate that the person watched.
    """

    known: dict[str, Signal]
    is_bold: bool
    entry: HistoryEntry

    @property
    def dose(self) -> float:
        """How many times as much is paid."""
        return _MUCH_MORE if self.is_bold else _MORE

    def change(self, plan: Plan, wish: str) -> Plan:
        """Return the plan with one wish worked in; the same plan where the card cannot."""
        special = _SPECIAL.get(wish)
        if special is not None:
            plan = special(self, plan)
        for name in _CONDITIONS.get(wish, ()):
            if name in self.known:
                is_gate = self.is_bold and name not in _NEVER_GATES
                # A gate alone leaves no slope where the goal pays nothing yet.
                plan = self._pay(gate_goals(plan, self.known, name) if is_gate else plan, name)
                break
        return plan

    def speed_up(self, plan: Plan) -> Plan:
        """Pay the goals more, and further up."""

        def raise_cap(term: TermPlan) -> TermPlan:
            has_cap = "clip" in self.known[term.signal].code
            factor = round(term.factor * _FASTER, 3) if has_cap else term.factor
            return scale_term(term, self.dose).model_copy(update={"factor": factor})

        return map_goals(plan, self.known, raise_cap)

    def slow_down(self, plan: Plan) -> Plan:
        """Pay a speed below the one that was watched, and less beyond it."""
        if "paced" not in self.known:
            return plan
        goals = [t for t in plan.terms if self.known[t.signal].role == "goal"]
        moving = [t for t in goals if t.signal in ("travel", "momentum", "new_ground", "paced")]
        share = _MUCH_SLOWER if self.is_bold else _SLOWER
        factor = round(self._measure_speed() * share / self.known["paced"].scale, 3)
        for number, term in enumerate(moving):
            new = term.model_copy(update={"signal": "paced", "factor": max(factor, 0.02)})
            plan = plan.replace_term(term, *([new] if number == 0 else []))
        return plan

    def survive(self, plan: Plan) -> Plan:
        """Pay more for an episode that goes on."""
        return self._pay(plan, "alive") if "alive" in self.known else plan

    def save_effort(self, plan: Plan) -> Plan:
        """Charge more for effort."""
        costs = [term for term in plan.terms if self.known[term.signal].role == "cost"]
        if not costs:
            effort = self.known["effort"]
            costs = [TermPlan(signal="effort", weight=effort.weight)]
            plan = plan.model_copy(update={"terms": (*plan.terms, *costs)})
        return plan.replace_term(costs[0], scale_term(costs[0], 2 * self.dose))

    def _pay(self, plan: Plan, name: str) -> Plan:
        """Add a term for a signal, or raise the one that is there."""
        paid = next((term for term in plan.terms if term.signal == name), None)
        if paid is not None:
            return plan.replace_term(paid, scale_term(paid, self.dose))
        new = TermPlan(signal=name, weight=max(self.known[name].weight, _LEAST_PAY) * self.dose)
        return plan.model_copy(update={"terms": (*plan.terms, new)})

    def _measure_speed(self) -> float:
        """Return the mean speed that was watched, m/s; that of the plan's scale if unknown."""
        fields = self.entry.summary.fields if self.entry.summary else ()
        speeds = [abs(field.mean) for field in fields if "forward_velocity" in field.name]
        return speeds[0] if speeds else self.known["paced"].scale


_SPECIAL: dict[str, Callable[[Answering, Plan], Plan]] = {
    "faster": Answering.speed_up,
    "slower": Answering.slow_down,
    "steady": Answering.survive,
    "calm": Answering.save_effort,
}


def read_wishes(text: str) -> tuple[str, ...]:
    """Return what a remark is about; empty if none of its words is known."""
    plain = " ".join(text.lower().replace("'", "").replace("\u2019", "").split())
    found = [wish for wish, pattern in WISHES.items() if re.search(rf"\b(?:{pattern})", plain)]
    return tuple(w for w in found if not (w == "faster" and "slower" in found))


def list_answers(
    plan: Plan, signals: Sequence[Signal], wishes: Sequence[str], entry: HistoryEntry
) -> list[Move]:
    """Return changed plans that answer the wishes: a bold one, then a cautious one."""
    known = {signal.name: signal for signal in signals}
    moves = []
    for is_bold, manner in ((True, "bold"), (False, "cautious")):
        answer = Answering(known, is_bold, entry)
        changed = reduce(answer.change, wishes, plan)
        unmet = [wish for wish in wishes if answer.change(plan, wish) == plan]
        if changed != plan:
            reason = f"{manner} answer to {', '.join(w for w in wishes if w not in unmet)}"
            lacking = f"; the card has no field for {', '.join(unmet)}"
            moves.append(Move(changed, reason + (lacking if unmet else "")))
    return moves
