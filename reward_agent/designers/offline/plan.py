"""The plan of a program: which signals it pays for, how much, gated by what; and its text."""

from __future__ import annotations

import json
import random
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from reward_agent.definitions.start import TrainingStart
from reward_agent.designers.offline.body import Machine
from reward_agent.designers.offline.forms import Role, Signal
from reward_agent.designers.offline.route import remember_stage
from reward_agent.rewards.choices import STAGES_NAME, STARTS_NAME, TRAINING_NAME, write_start
from reward_agent.types import Finite, OneLine, Record

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


class KeptTerms(Record):
    """A person's program, whose terms and names stay in what is written beside them."""

    source: str = Field(max_length=40_000)
    file: OneLine


class Plan(Record):
    """What a program pays for; kept beside it, so that a later one can depart from it."""

    terms: tuple[TermPlan, ...]
    potential: tuple[TermPlan, ...] = ()
    kept: KeptTerms | None = None
    training: dict[str, Finite | tuple[int, ...]] = Field({}, description="of TRAINING")
    starts: tuple[TrainingStart, ...] = Field((), description="of STARTS")
    stages: dict[str, str] = Field({}, description="of STAGES, each with what ends it")

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


# Pay for a step towards the goal rather than for being there.
_ONCE = ("new_ground", "progress")
# Another measure of the same goal; a plan uses one of the two.
_ALTERNATIVES = ("new_ground", "momentum")
# The fresh ideas of ``prompts/designer/ideas.toml``.
_MANNERS = (
    "minimal", "momentum-first", "one-time-progress", "potential-shaping", "product-of-goals",
    "safe-first", "staged-gates", "weighted-sum",
)  # fmt: skip


def make_plan(signals: Sequence[Signal], idea: str, rng: random.Random) -> Plan:
    """Return a first plan in the manner of an idea; an unknown idea draws one."""

    def pick(*roles: Role) -> list[Signal]:
        return [s for s in signals if s.role in roles]

    goals = [s for s in pick("goal") if s.name not in _ALTERNATIVES]
    postures, rest = pick("guide", "posture"), pick("bonus", "cost")
    gates = [s for s in postures if s.can_gate]
    # Postures with a memory of their own cannot gate.
    recalled = [s for s in pick("posture") if s.machine]

    def choose(*names: str) -> list[Signal]:
        """Return the goals of these names, else the usual ones."""
        return [s for s in pick("goal") if s.name in names] or goals

    match idea if idea in _MANNERS else rng.choice(_MANNERS):
        case "product-of-goals":
            terms = _pay(goals, 1.0, gates[:3]) + _pay(recalled + rest)
        case "weighted-sum":
            terms = _pay(goals + pick("guide", "posture", "bonus", "cost"))
        case "staged-gates":  # posture is paid a little, and the goal only with it
            terms = _pay(gates[:1] + recalled, 0.5) + _pay(goals, 1.5, gates[:1]) + _pay(rest)
        case "one-time-progress":  # each bit of the way once, where there is a position or distance
            terms = _pay(choose(*_ONCE) + gates[:1] + rest)
        case "potential-shaping":
            static = [s for s in gates if s.is_static][:3]
            return Plan(terms=_pay(goals + rest), potential=_pay(static, _POTENTIAL_FACTOR))
        case "momentum-first":
            terms = _pay(choose("momentum")) + _pay(recalled, 2.0) + _pay(gates[:2] + rest)
        case "minimal":
            terms = _pay(goals + pick("guide", "bonus"))
        case _:  # safe-first: every posture gates the goal and is paid, effort costs more
            held = _pay(goals, 2.0, gates[:4]) + _pay(postures, 0.5)
            terms = held + _pay(pick("bonus")) + _pay(pick("cost"), 3.0)
    return Plan(terms=terms)


def _pay(
    signals: Sequence[Signal], share: float = 1.0, gates: Sequence[Signal] = ()
) -> tuple[TermPlan, ...]:
    return tuple(
        TermPlan(
            signal=signal.name,
            weight=round(signal.weight * share, 4),
            gates=tuple(gate.name for gate in gates if gate.name != signal.name),
        )
        for signal in signals
    )


# --- the text of a program ------------------------------------------------------------------------


def render_program(plan: Plan, signals: Sequence[Signal], title: str) -> str:
    """Return the program of a plan, in the reward language, with one line about it."""
    known = {signal.name: signal for signal in signals}
    names = _list_names(plan)
    machine = next((known[name].machine for name in names if known[name].machine), None)
    machine = remember_stage(machine, plan.stages)
    parts = [*_render_choices(plan)]
    if machine:
        parts.append(_render_memory(machine))
    if plan.potential:
        parts.append(_render_potential(plan, known))
    lines = [part for line in (machine.lines if machine else ()) for part in _wrap(line)]
    lines += render_lines(plan, signals)
    paid = render_pay(plan).items()
    lines += ["terms = {", *(f'    "{name}": {pay},' for name, pay in paid), "}"]
    returned = "sum(terms.values()), terms" + (", next_memory" if machine else "")
    parameters = "state, action, next_state" + (", memory" if machine else "")
    body = textwrap.indent("\n".join([f'"""{title}"""', *lines, f"return {returned}"]), "    ")
    parts.append(f"def compute_reward({parameters}):\n{body}")
    return "\n\n\n".join(parts) + "\n"


def _render_choices(plan: Plan) -> list[str]:
    """Return what a program says of how its policy learns, and where; nothing by default."""
    starts = [f"    {write_start(start)}," for start in plan.starts]
    told = [f"{TRAINING_NAME} = {json.dumps(plan.training)}"] if plan.training else []
    told += ["\n".join([f"{STARTS_NAME} = [", *starts, "]"])] if starts else []
    told += [f"{STAGES_NAME} = {json.dumps([*plan.stages])}"] if plan.stages else []
    return ["\n".join(told)] if told else []


def _list_names(plan: Plan) -> list[str]:
    """Return the signals that a plan pays for, and those that gate them."""
    gates = [gate for term in plan.terms for gate in term.gates]
    return list(dict.fromkeys([*(term.signal for term in plan.terms), *gates]))


def render_lines(plan: Plan, signals: Sequence[Signal]) -> list[str]:
    """Return the assignments of all signals that a plan needs."""
    known, names = {signal.name: signal for signal in signals}, _list_names(plan)
    factors = {term.signal: term.factor for term in plan.terms}
    needed = [name for name in known if name in names or _is_read(name, names, known)]
    return [
        line
        for name in needed
        for line in _render_line(name, known[name].render(factors.get(name, 1.0)), known[name].doc)
    ]


def render_pay(plan: Plan) -> dict[str, str]:
    """Return what is paid for each term, as text."""
    return {
        term.signal: " * ".join([f"{term.weight:g}", term.signal, *term.gates])
        for term in plan.terms
    }


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
