"""The plan of a program: which signals it pays for, how much, gated by what; and its text."""

from __future__ import annotations

import random
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from reward_agent.designers.offline.body import Machine
from reward_agent.designers.offline.signals import Role, Signal
from reward_agent.types import Finite, Record

_POTENTIAL_FACTOR = 10.0
_MAX_CHARS = 74


class TermPlan(Record):
    """Pay for one signal.

    ``factor`` multiplies the signal's characteristic scale; ``gates`` are signals in 0..1 that
    multiply the pay.
    """

    signal: str
    weight: Finite
    factor: Finite = 1.0
    gates: tuple[str, ...] = ()


class Plan(Record):
    """What a program pays for; kept beside it, so that a later one can depart from it."""

    terms: tuple[TermPlan, ...]
    potential: tuple[TermPlan, ...] = ()

    def replace_term(self, old: TermPlan, *new: TermPlan) -> Plan:
        """Return the plan with one term replaced; with none, dropped."""
        terms = tuple(t for term in self.terms for t in (new if term == old else (term,)))
        return self.model_copy(update={"terms": terms})


def read_plan(data: Mapping[str, Any] | None) -> Plan | None:
    """Return the plan that was kept with a program; None if it was not made here."""
    try:
        return None if data is None else Plan.model_validate(data)
    except ValidationError:
        return None


# --- first plans, one for each idea ---------------------------------------------------------------


def make_plan(signals: Sequence[Signal], idea: str, rng: random.Random) -> Plan:
    """Return a first plan in the manner of an idea; an unknown idea draws one."""
    manner = _MANNERS.get(idea) or _MANNERS[rng.choice(sorted(_MANNERS))]
    return manner(signals)


def _pick(signals: Sequence[Signal], *roles: Role, but: Sequence[str] = ()) -> list[Signal]:
    return [s for s in signals if s.role in roles and s.name not in but]


# Pay for a step towards the goal rather than for being there.
_ONCE = ("new_ground", "progress")
# Another measure of the same goal; a plan uses one of the two.
_ALTERNATIVES = ("new_ground", "momentum")
_GATES: tuple[Role, ...] = ("guide", "posture")


def _goals(signals: Sequence[Signal]) -> list[Signal]:
    return _pick(signals, "goal", but=_ALTERNATIVES)


def _pay(signal: Signal, share: float = 1.0, gates: Sequence[Signal] = ()) -> TermPlan:
    names = tuple(gate.name for gate in gates if gate.name != signal.name)
    return TermPlan(signal=signal.name, weight=round(signal.weight * share, 4), gates=names)


def _gating(signals: Sequence[Signal], count: int = 2) -> list[Signal]:
    """Return what gates: guides and postures that need no memory of their own."""
    return [signal for signal in _pick(signals, *_GATES) if signal.machine is None][:count]


def _make_product(signals: Sequence[Signal]) -> Plan:
    gates = _gating(signals, 3)
    guides = [signal for signal in _pick(signals, "posture") if signal.machine]
    terms = [_pay(signal, gates=gates) for signal in _goals(signals)]
    terms += [_pay(signal) for signal in [*guides, *_pick(signals, "bonus", "cost")]]
    return Plan(terms=tuple(terms))


def _make_sum(signals: Sequence[Signal]) -> Plan:
    chosen = [*_goals(signals), *_pick(signals, *_GATES, "bonus", "cost")]
    return Plan(terms=tuple(_pay(signal) for signal in chosen))


def _make_stages(signals: Sequence[Signal]) -> Plan:
    """Pay posture a little, and the goal only with it."""
    gates = _gating(signals, 1)
    guides = [signal for signal in _pick(signals, "posture") if signal.machine]
    terms = [_pay(signal, 0.5) for signal in [*gates, *guides]]
    terms += [_pay(signal, 1.5, gates) for signal in _goals(signals)]
    terms += [_pay(signal) for signal in _pick(signals, "bonus", "cost")]
    return Plan(terms=tuple(terms))


def _make_progress(signals: Sequence[Signal]) -> Plan:
    """Pay each bit of the way once, where the card has a position or a distance."""
    once = [signal for signal in _pick(signals, "goal") if signal.name in _ONCE]
    goals = once or _goals(signals)
    chosen = [*goals, *_gating(signals, 1), *_pick(signals, "bonus", "cost")]
    return Plan(terms=tuple(_pay(signal) for signal in chosen))


def _make_potential(signals: Sequence[Signal]) -> Plan:
    """Guide by a potential; pay the goal, and being alive."""
    guides = [s for s in _pick(signals, *_GATES) if s.is_static and s.machine is None][:3]
    paid = [*_goals(signals), *_pick(signals, "bonus", "cost")]
    return Plan(
        terms=tuple(_pay(signal) for signal in paid),
        potential=tuple(_pay(signal, _POTENTIAL_FACTOR) for signal in guides),
    )


def _make_momentum(signals: Sequence[Signal]) -> Plan:
    cause = [s for s in signals if s.name == "momentum"]
    goals = cause or _goals(signals)
    guides = [s for s in _pick(signals, "posture") if s.machine]
    terms = [_pay(signal) for signal in goals] + [_pay(signal, 2.0) for signal in guides]
    terms += [_pay(signal) for signal in [*_gating(signals), *_pick(signals, "bonus", "cost")]]
    return Plan(terms=tuple(terms))


def _make_minimal(signals: Sequence[Signal]) -> Plan:
    chosen = [*_goals(signals), *_pick(signals, "guide", "bonus")]
    return Plan(terms=tuple(_pay(signal) for signal in chosen))


def _make_safe(signals: Sequence[Signal]) -> Plan:
    """Gate the goal by every posture, pay posture too, charge effort more."""
    postures = _pick(signals, *_GATES)
    terms = [_pay(signal, 2.0, _gating(signals, 4)) for signal in _goals(signals)]
    terms += [_pay(signal, 0.5) for signal in postures]
    terms += [_pay(signal) for signal in _pick(signals, "bonus")]
    terms += [_pay(signal, 3.0) for signal in _pick(signals, "cost")]
    return Plan(terms=tuple(terms))


_MANNERS: dict[str, Callable[[Sequence[Signal]], Plan]] = {
    "product-of-goals": _make_product,
    "weighted-sum": _make_sum,
    "staged-gates": _make_stages,
    "one-time-progress": _make_progress,
    "potential-shaping": _make_potential,
    "momentum-first": _make_momentum,
    "minimal": _make_minimal,
    "safe-first": _make_safe,
}


# --- the text of a program ------------------------------------------------------------------------


def render_program(plan: Plan, signals: Sequence[Signal], title: str) -> str:
    """Return the program of a plan, in the reward language.

    Args:
        plan: what to pay for.
        signals: every signal that the plan names.
        title: one line about the program.
    """
    known = {signal.name: signal for signal in signals}
    terms = {term.signal: term for term in plan.terms}
    gates = [gate for term in plan.terms for gate in term.gates if gate not in terms]
    names = [*terms, *dict.fromkeys(gates)]
    needed = [name for name in known if name in names or _is_read(name, names, known)]
    machine = next((known[name].machine for name in names if known[name].machine), None)
    parts = []
    if machine:
        parts.append(_render_memory(machine))
    if plan.potential:
        parts.append(_render_potential(plan, known))
    lines = [part for line in (machine.lines if machine else ()) for part in _wrap(line)]
    for name in needed:
        factor = terms[name].factor if name in terms else 1.0
        lines += _render_line(name, known[name].render(factor), known[name].doc)
    lines += ["terms = {", *(f"    {_render_term(term)}," for term in plan.terms), "}"]
    returned = "sum(terms.values()), terms" + (", next_memory" if machine else "")
    parameters = "state, action, next_state" + (", memory" if machine else "")
    body = textwrap.indent("\n".join([f'"""{title}"""', *lines, f"return {returned}"]), "    ")
    parts.append(f"def compute_reward({parameters}):\n{body}")
    return "\n\n\n".join(parts) + "\n"


def _render_line(name: str, code: str, doc: str) -> list[str]:
    """Return an assignment with its meaning, in lines that a person can read."""
    line = f"{name} = {code}  # {doc}"
    if len(line) <= _MAX_CHARS:
        return [line]
    if len(f"{name} = {code}") <= _MAX_CHARS:
        return [f"# {doc}", f"{name} = {code}"]
    wrapped = textwrap.wrap(code, _MAX_CHARS, break_long_words=False, break_on_hyphens=False)
    return [f"{name} = (  # {doc}", *(f"    {part}" for part in wrapped), ")"]


def _wrap(line: str) -> list[str]:
    """Break a long statement after the commas of its call; its comment goes above it."""
    code, _, comment = line.partition("  # ")
    if len(line) <= _MAX_CHARS:
        return [line]
    first, *rest = textwrap.wrap(code, _MAX_CHARS, break_long_words=False, break_on_hyphens=False)
    return [*([f"# {comment}"] if comment else []), first, *(f"    {part}" for part in rest)]


def _is_read(name: str, names: Sequence[str], known: dict[str, Signal]) -> bool:
    """Return whether the expression of a signal in use reads another signal."""
    return any(re.search(rf"\b{name}\b(?! *=)(?!\w)", known[other].code.replace(f".{name}", ""))
               for other in names)  # fmt: skip


def _render_term(term: TermPlan) -> str:
    factors = [f"{term.weight:g}", term.signal, *term.gates]
    return f'"{term.signal}": {" * ".join(factors)}'


def _render_memory(machine: Machine) -> str:
    entries = "\n".join(f'        "{name}": {code},' for name, code in machine.initial)
    return f'def init_memory(state):\n    """{machine.doc}"""\n    return {{\n{entries}\n    }}'


def _render_potential(plan: Plan, known: dict[str, Signal]) -> str:
    summands = [
        f"{term.weight:g} * {known[term.signal].render(term.factor, 'state')}"
        for term in plan.potential
    ]
    code = "\n        + ".join(summands)
    return (
        f'def potential(state):\n    """Grows with posture."""\n    return (\n        {code}\n    )'
    )
