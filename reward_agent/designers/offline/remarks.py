"""A person's words about a policy: keywords become wishes, wishes become changes of a plan."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.offline.improve import Move, gate_goals, map_goals, scale_term
from reward_agent.designers.offline.plan import Plan, TermPlan
from reward_agent.designers.offline.signals import Signal

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
class Answer:
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


_SPECIAL: dict[str, Callable[[Answer, Plan], Plan]] = {
    "faster": Answer.speed_up,
    "slower": Answer.slow_down,
    "steady": Answer.survive,
    "calm": Answer.save_effort,
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
        answer = Answer(known, is_bold, entry)
        changed = reduce(answer.change, wishes, plan)
        unmet = [wish for wish in wishes if answer.change(plan, wish) == plan]
        if changed != plan:
            reason = f"{manner} answer to {', '.join(w for w in wishes if w not in unmet)}"
            lacking = f"; the card has no field for {', '.join(unmet)}"
            moves.append(Move(changed, reason + (lacking if unmet else "")))
    return moves
