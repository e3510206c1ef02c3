"""How a plan becomes another: by statistics of its training, by a person's words, at random."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from reward_agent.definitions.card import EnvCard
from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.offline.forms import Role, Signal
from reward_agent.designers.offline.plan import Plan, TermPlan
from reward_agent.designers.offline.route import Route
from reward_agent.records.exploration import Lack
from reward_agent.summary.summary import TrajectorySummary
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


class OpenPlan:
    """A plan that may be changed: beside it the signals that it may use."""

    def __init__(self, plan: Plan, signals: Sequence[Signal]) -> None:
        self.plan = plan
        self.known = {signal.name: signal for signal in signals}

    def find(self, *roles: Role) -> list[TermPlan]:
        """Return the terms of these roles, in the order of the plan."""
        return [term for term in self.plan.terms if self.known[term.signal].role in roles]

    def add(self, name: str, weight: float) -> Plan:
        """Return the plan with one more term."""
        new = TermPlan(signal=name, weight=weight)
        return self.plan.model_copy(update={"terms": (*self.plan.terms, new)})

    def map_goals(self, change: Callable[[TermPlan], TermPlan]) -> Plan:
        """Return the plan with each term of a goal changed."""
        goals = self.find("goal")
        terms = tuple(change(term) if term in goals else term for term in self.plan.terms)
        return self.plan.model_copy(update={"terms": terms})

    def gate_goals(self, gate: str) -> Plan:
        """Return the plan with its goals worth nothing where a signal is 0."""
        return self.map_goals(
            lambda term: term.model_copy(
                update={"gates": tuple(dict.fromkeys((*term.gates, gate)))}
            )
        )


def scale_term(term: TermPlan, factor: float) -> TermPlan:
    """Return the term with its weight multiplied."""
    return term.model_copy(update={"weight": float(f"{term.weight * factor:.3g}")})


# --- by the statistics of a training --------------------------------------------------------------


def list_moves(plan: Plan, signals: Sequence[Signal], evidence: Evidence) -> list[Move]:
    """Return the changes that the statistics call for, the most pressing first."""
    draft = OpenPlan(plan, signals)
    rules = (_drop_dead, _tame_flood, _hold_up, _wake_up, _calm_down, _raise_cap)
    return [move for rule in rules for move in rule(draft, evidence)]


def _drop_dead(draft: OpenPlan, evidence: Evidence) -> list[Move]:
    """Drop a condition that never paid anything; a goal is widened instead."""
    moves = []
    for term in draft.find("goal", "guide", "posture", "cost"):
        point = evidence.last.get(term.signal)
        if point is None or point.maximum != point.minimum:
            continue
        reason = f"`{term.signal}` was {point.mean:.3g} at every step: "
        if term not in draft.find("goal"):
            moves.append(Move(draft.plan.replace_term(term), reason + "dropped"))
        elif term.gates:
            freed = draft.plan.replace_term(term, term.model_copy(update={"gates": ()}))
            moves.append(Move(freed, reason + "its gates are lifted"))
    return moves


def _tame_flood(draft: OpenPlan, evidence: Evidence) -> list[Move]:
    """Halve what floods the return; a posture becomes a gate of the goals."""
    for term in draft.find("guide", "posture", "bonus", "cost"):
        signal, point = draft.known[term.signal], evidence.last.get(term.signal)
        if point is None or point.share_of_return < _FLOODS:
            continue
        reason = f"`{term.signal}` made {point.share_of_return:.0%} of the return: "
        halved = scale_term(term, 0.4)
        moves = [Move(draft.plan.replace_term(term, halved), f"{reason}weight {halved.weight:g}")]
        if signal.can_gate:
            rest = OpenPlan(draft.plan.replace_term(term), tuple(draft.known.values()))
            gated = rest.gate_goals(term.signal)
            moves.insert(0, Move(gated, f"{reason}now it gates the goal instead"))
        return moves
    return []


def _hold_up(draft: OpenPlan, evidence: Evidence) -> list[Move]:
    """Pay more for posture and for being alive where episodes end early."""
    if evidence.length_share >= _SHORT:
        return []
    reason = f"episodes end after {evidence.length_share:.0%} of their time: "
    moves = []
    for term in reversed(draft.find("bonus", "posture")):
        more = scale_term(term, 2.5)
        text = f"{reason}`{term.signal}` is worth {more.weight:g}"
        moves.append(Move(draft.plan.replace_term(term, more), text))
    return moves[:2]


def _wake_up(draft: OpenPlan, evidence: Evidence) -> list[Move]:
    """Raise the goal where the policy lives on its postures."""
    points = [evidence.last.get(term.signal) for term in draft.find("goal")]
    shares = [point.share_of_return for point in points if point is not None]
    lives_on_posture = sum(shares) <= 1 - _FLOODS and evidence.length_share >= _WHOLE
    if not shares or not (lives_on_posture or evidence.failures & _IDLE):
        return []
    raised = draft.map_goals(lambda term: scale_term(term, 3.0))
    reason = f"the goal made {sum(shares):.0%} of the return and episodes last: three times it"
    return [Move(raised, reason)]


def _calm_down(draft: OpenPlan, evidence: Evidence) -> list[Move]:
    """Charge more for effort where the policy trembles."""
    costs = draft.find("cost")
    if not costs or "oscillation" not in evidence.failures:
        return []
    more = scale_term(costs[0], 5.0)
    reason = f"the policy oscillates: `{more.signal}` costs {more.weight:g}"
    return [Move(draft.plan.replace_term(costs[0], more), reason)]


def _raise_cap(draft: OpenPlan, evidence: Evidence) -> list[Move]:
    """Stretch a goal that is paid in full most of the time."""
    for term in draft.find("goal"):
        point, has_cap = evidence.last.get(term.signal), draft.known[term.signal].has_cap
        if point is None or not term.weight or not has_cap:
            continue
        level = point.mean / term.weight
        if level > _SATURATED:
            factor = round(term.factor * 1.6, 3)
            wider = term.model_copy(update={"factor": factor, "weight": term.weight * 1.6})
            reason = f"`{term.signal}` is at {level:.0%} of its cap: the cap is 1.6 times higher"
            return [Move(draft.plan.replace_term(term, wider), reason)]
    return []


# --- how it is learned ----------------------------------------------------------------------------

# What to choose, the first that a plan has not: more noise before a longer horizon.
_LEARNED: dict[Lack, tuple[dict[str, float], ...]] = {
    "never seen": ({"noise_correlation": 0.7, "std_hold_share": 0.3}, {"gamma": 0.998}),
    "unsteady": ({"final_learning_rate_share": 0.1},),
}


def learn_otherwise(plan: Plan, summary: TrajectorySummary | None, route: Route) -> Move | None:
    """Change how it is learned: where what is missing was never met, or what was found is lost.

    What was never met is begun at first, and practised stage by stage, where the way is known. What
    was met and is not kept is a matter of pay.
    """
    lack = summary.lack if summary else None
    met = f" ({summary.met})" if summary and summary.met else ""
    if lack == "never seen" and not (plan.starts or plan.stages) and (route.starts or route.stages):
        told = [f"episodes begin at {start}" for start in route.starts]
        told += ["stages " + ", ".join(route.stages)] if route.stages else []
        steps = {"stage_steps": route.stage_steps} if route.stages else {}
        changes = {
            "starts": route.starts,
            "stages": {**route.stages},
            "training": plan.training | steps,
        }
        return Move(plan.model_copy(update=changes), f"{lack}{met}: {'; '.join(told)}")
    for values in _LEARNED.get(lack, ()) if lack else ():
        if not values.items() <= plan.training.items():
            told = [f"{name} {value:g}" for name, value in values.items()]
            changed = plan.model_copy(update={"training": {**plan.training, **values}})
            return Move(changed, f"{lack}{met}: {', '.join(told)}")
    return None


# --- at random ------------------------------------------------------------------------------------


def make_random_move(plan: Plan, signals: Sequence[Signal], rng: random.Random) -> Move:
    """Return a small seeded change: a step of the hill-climb where no rule speaks."""
    draft = OpenPlan(plan, signals)
    steps = [_perturb_weight, _perturb_scale, _toggle_gate, _swap_goal, _add_term, _drop_term]
    for step in rng.sample(steps, len(steps)):
        move = step(draft, rng)
        if move is not None:
            return move
    terms = tuple(scale_term(term, rng.uniform(0.7, 1.4)) for term in plan.terms)
    return Move(plan.model_copy(update={"terms": terms}), "trial: all weights moved a little")


def _perturb_weight(draft: OpenPlan, rng: random.Random) -> Move | None:
    # A cost is small on purpose: its weight decides little.
    telling = draft.find("goal", "guide", "posture", "bonus")
    term = rng.choice(telling or list(draft.plan.terms))
    new = scale_term(term, rng.choice((0.4, 0.6, 1.6, 2.5)))
    reason = f"trial: weight of `{term.signal}` {term.weight:g} → {new.weight:g}"
    return Move(draft.plan.replace_term(term, new), reason)


def _perturb_scale(draft: OpenPlan, rng: random.Random) -> Move | None:
    scaled = [term for term in draft.plan.terms if "{scale}" in draft.known[term.signal].code]
    if not scaled:
        return None
    term = rng.choice(scaled)
    factor = round(term.factor * rng.choice((0.5, 0.7, 1.4, 2.0)), 3)
    new = term.model_copy(update={"factor": factor})
    reason = f"trial: scale of `{term.signal}` {term.factor:g} → {factor:g} times the usual"
    return Move(draft.plan.replace_term(term, new), reason)


def _toggle_gate(draft: OpenPlan, rng: random.Random) -> Move | None:
    goals = draft.find("goal")
    gates = [signal.name for signal in draft.known.values() if signal.can_gate]
    if not goals or not gates:
        return None
    term, gate = rng.choice(goals), rng.choice(gates)
    has_gate = gate in term.gates
    names = tuple(g for g in term.gates if g != gate) if has_gate else (*term.gates, gate)
    new = term.model_copy(update={"gates": names})
    reason = f"trial: `{gate}` {'no longer gates' if has_gate else 'gates'} `{term.signal}`"
    return Move(draft.plan.replace_term(term, new), reason)


def _list_unused(draft: OpenPlan) -> list[Signal]:
    """Return signals that no term pays for, and whose memory the program has room for."""
    used = {term.signal for term in draft.plan.terms}
    machines = {draft.known[name].machine for name in used} - {None}
    return [
        signal
        for signal in draft.known.values()
        if signal.name not in used and (not machines or signal.machine in {None, *machines})
    ]


def _add_term(draft: OpenPlan, rng: random.Random) -> Move | None:
    unused = _list_unused(draft)
    if not unused:
        return None
    signal = rng.choice(unused)
    return Move(draft.add(signal.name, signal.weight), f"trial: `{signal.name}` is added")


def _swap_goal(draft: OpenPlan, rng: random.Random) -> Move | None:
    """Measure the goal in another way, where the card has one."""
    has_machine = any(draft.known[term.signal].machine for term in draft.plan.terms)
    others = [
        signal.name
        for signal in _list_unused(draft)
        if signal.role == "goal" and not (signal.machine and has_machine)
    ]
    goals = draft.find("goal")
    if not others or not goals:
        return None
    term, other = rng.choice(goals), rng.choice(others)
    new = term.model_copy(update={"signal": other, "factor": 1.0})
    reason = f"trial: `{other}` in place of `{term.signal}`"
    return Move(draft.plan.replace_term(term, new), reason)


def _drop_term(draft: OpenPlan, rng: random.Random) -> Move | None:
    conditions = draft.find("guide", "posture", "bonus", "cost")
    if not conditions:
        return None
    term = rng.choice(conditions)
    return Move(draft.plan.replace_term(term), f"trial: `{term.signal}` is dropped")


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


def read_wishes(text: str) -> tuple[str, ...]:
    """Return what a remark is about; empty if none of its words is known."""
    plain = " ".join(text.lower().replace("'", "").replace("\u2019", "").split())
    found = [wish for wish, pattern in WISHES.items() if re.search(rf"\b(?:{pattern})", plain)]
    return tuple(w for w in found if not (w == "faster" and "slower" in found))


def list_answers(
    plan: Plan, signals: Sequence[Signal], wishes: Sequence[str], entry: HistoryEntry
) -> list[Move]:
    """Return changed plans that answer the wishes: a bold one, then a cautious one."""
    moves = []
    for is_bold, manner in ((True, "bold"), (False, "cautious")):

        def change(plan: Plan, wish: str, is_bold: bool = is_bold) -> Plan:
            return _grant(OpenPlan(plan, signals), wish, entry, is_bold)

        changed = reduce(change, wishes, plan)
        unmet = [wish for wish in wishes if change(plan, wish) == plan]
        if changed != plan:
            reason = f"{manner} answer to {', '.join(w for w in wishes if w not in unmet)}"
            lacking = f"; the card has no field for {', '.join(unmet)}"
            moves.append(Move(changed, reason + (lacking if unmet else "")))
    return moves


def _grant(draft: OpenPlan, wish: str, entry: HistoryEntry, is_bold: bool) -> Plan:
    """Return the plan with one wish worked in; the same plan where the card cannot.

    Boldly, the goals are gated by what is asked for, which is paid much more; else it is only paid
    somewhat more.
    """
    signals, dose = tuple(draft.known.values()), _MUCH_MORE if is_bold else _MORE
    plan = draft.plan
    match wish:
        case "faster":
            plan = draft.map_goals(lambda term: _speed_up(term, draft.known[term.signal], dose))
        case "slower":
            plan = _slow_down(draft, entry, _MUCH_SLOWER if is_bold else _SLOWER)
        case "steady" if "alive" in draft.known:
            plan = _pay(draft, "alive", dose)
        case "calm":
            plan = _save_effort(draft, 2 * dose)
    name = next((name for name in _CONDITIONS.get(wish, ()) if name in draft.known), None)
    if name is None:
        return plan
    if is_bold and name not in _NEVER_GATES:
        plan = OpenPlan(plan, signals).gate_goals(name)
    # A gate alone leaves no slope where the goal pays nothing yet.
    return _pay(OpenPlan(plan, signals), name, dose)


def _pay(draft: OpenPlan, name: str, dose: float) -> Plan:
    """Add a term for a signal, or raise the one that is there."""
    paid = next((term for term in draft.plan.terms if term.signal == name), None)
    if paid is None:
        return draft.add(name, max(draft.known[name].weight, _LEAST_PAY) * dose)
    return draft.plan.replace_term(paid, scale_term(paid, dose))


def _speed_up(term: TermPlan, signal: Signal, dose: float) -> TermPlan:
    """Pay a goal more, and further up."""
    factor = round(term.factor * _FASTER, 3) if signal.has_cap else term.factor
    return scale_term(term, dose).model_copy(update={"factor": factor})


def _slow_down(draft: OpenPlan, entry: HistoryEntry, share: float) -> Plan:
    """Pay a speed below the one that was watched (m/s), and less beyond it."""
    plan, paced = draft.plan, draft.known.get("paced")
    if paced is None:
        return plan
    fields = entry.summary.fields if entry.summary else ()
    speeds = [abs(field.mean) for field in fields if field.name == paced.field]
    factor = round((speeds[0] if speeds else paced.scale) * share / paced.scale, 3)
    names = ("travel", "momentum", "new_ground", "paced")
    for number, term in enumerate(t for t in draft.find("goal") if t.signal in names):
        new = term.model_copy(update={"signal": "paced", "factor": max(factor, 0.02)})
        plan = plan.replace_term(term, *([new] if number == 0 else []))
    return plan


def _save_effort(draft: OpenPlan, dose: float) -> Plan:
    """Charge more for effort."""
    costs = draft.find("cost")
    if costs:
        return draft.plan.replace_term(costs[0], scale_term(costs[0], dose))
    effort = TermPlan(signal="effort", weight=draft.known["effort"].weight)
    terms = (*draft.plan.terms, scale_term(effort, dose))
    return draft.plan.model_copy(update={"terms": terms})
