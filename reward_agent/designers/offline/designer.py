"""The offline designer: no language model, keyword goals and seeded search over reward terms.

It is the baseline that a language model must beat: keywords of the sentence become goals, goals
become terms over the card's fields, and rules on the statistics of earlier trainings change them.
It plays neither Critic nor Analyzer.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.task import TaskSpec, list_tasks, load_task, read_task_metric
from reward_agent.designers.brief import DesignBrief
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.moves import (
    EXAMPLES,
    list_answers,
    list_moves,
    make_random_move,
    read_evidence,
    read_wishes,
)
from reward_agent.designers.offline.plan import Plan, make_plan, read_plan, render_program
from reward_agent.designers.offline.signals import Signal, list_conditions, list_signals
from reward_agent.designers.offline.words import HANDLING, KEYWORDS, read_goals
from reward_agent.designers.roles import Examination, MetricProposal, Proposal
from reward_agent.errors import RefusalError
from reward_agent.llm.provider import ProviderOptions
from reward_agent.records.outcomes import Outcome
from reward_agent.rewards.checks import check_metric
from reward_agent.types import Critique, Finding, RewardProgram

_INTRODUCTION = "No language model: keyword goals and seeded search over reward terms."
_MAX_TRIES = 20
_IMPORT = re.compile(r"^(?:import|from) .*\n", re.MULTILINE)


@dataclass(frozen=True)
class Sketch:
    """A plan and what is said about it."""

    plan: Plan
    rationale: str


def make_designer(options: ProviderOptions) -> OfflineDesigner:
    """Return the designer of ``--provider offline``."""
    return OfflineDesigner()


class OfflineDesigner:
    """Writes programs by rules; the same brief gets the same program."""

    name = "keyword goals, seeded search"
    max_concurrency = 1
    sees_whole_card = False

    def propose(self, brief: DesignBrief) -> Proposal:
        """Write a program; none where no word of the sentence is known, or can be measured."""
        try:
            return _write(brief)
        except RefusalError as error:
            outcome = Outcome(kind="no_program", detail=error.message)
            return Proposal(None, outcome, is_final=True)

    def repair(self, brief: DesignBrief, examination: Examination, number: int = 0) -> Proposal:
        """Write the smallest program: these are of a kind, and nothing else is left to try."""
        minimal = replace(brief.idea, name="minimal", parent=None)
        return self.propose(replace(brief, idea=minimal, best=None))

    def revise(self, brief: DesignBrief, examination: Examination, critique: Critique) -> Proposal:
        """Write the smallest program."""
        return self.repair(brief, examination)

    def propose_metric(
        self,
        card: EnvCard,
        description: str,
        previous: MetricProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> MetricProposal:
        """Take over the metric of the nearest task of the environment."""
        if previous is not None:
            detail = "the offline designer knows no other metric"
            return MetricProposal(None, Outcome(kind="no_metric", detail=detail))
        try:
            return adapt_metric(card, description)
        except RefusalError as error:
            return MetricProposal(None, Outcome(kind="no_metric", detail=error.message))


def _write(brief: DesignBrief) -> Proposal:
    signals = _list_signals(brief)
    rng = _make_generator(brief)
    tried = {entry.program.sha256 for entry in brief.history if entry.program}
    sketch = _improve(brief, signals, rng) or _begin(brief, signals, rng)
    if brief.feedback.remarks:
        sketch = _answer(brief, signals, sketch)
    program = _render(brief, sketch, signals)
    for _ in range(_MAX_TRIES):
        if program.sha256 not in tried:
            break
        move = make_random_move(sketch.plan, signals, rng)
        reason = f"{move.reason} (the plan was tried before)"
        sketch = Sketch(move.plan, f"{sketch.rationale}\n- {reason}")
        program = _render(brief, sketch, signals)
    plan: Mapping[str, Any] = sketch.plan.model_dump(mode="json", exclude_defaults=True)
    return Proposal(program, reply=f"{_INTRODUCTION}\n\n{sketch.rationale}\n", plan=plan)


def _list_signals(brief: DesignBrief) -> tuple[Signal, ...]:
    """Return the signals for the task's sentence, and for what people ask for beside it.

    Raises:
        RefusalError: there are none.
    """
    body = Body(brief.card)
    goals = read_goals(brief.task.description, body.object_distance is not None)
    signals = list_signals(body, goals)
    if signals:
        names = {signal.name for signal in signals}
        asked = list_conditions(body, goals) if _has_conditions(brief, names) else ()
        return (*signals, *(signal for signal in asked if signal.name not in names))
    kinds = ", ".join(goal.kind for goal in goals)
    what = f"{brief.card.name} has no field to measure {kinds}" if goals else "no word is known"
    raise RefusalError(
        f"the offline designer cannot read {brief.task.description!r}: {what}; it knows "
        f"{', '.join(KEYWORDS)}; on an arm with an object {', '.join(HANDLING.split())}",
        "reword the task with one of these, or use a language model",
    )


def _has_conditions(brief: DesignBrief, names: set[str]) -> bool:
    """Return whether a person asks for more than the sentence, or did so for the parent."""
    parent = brief.parent
    plan = read_plan(parent.plan) if parent else None
    has_more = plan is not None and any(term.signal not in names for term in plan.terms)
    return bool(brief.feedback.remarks) or has_more


def _make_generator(brief: DesignBrief) -> random.Random:
    text = f"{brief.seed} {brief.iteration} {brief.index} {brief.card.name} {brief.task.name}"
    return random.Random(zlib.crc32(text.encode()))


def _begin(brief: DesignBrief, signals: Sequence[Signal], rng: random.Random) -> Sketch:
    """Start afresh in the manner of the idea."""
    plan = make_plan(signals, brief.idea.name, rng)
    paid = ", ".join(f"`{term.signal}`" for term in plan.terms)
    has_object = Body(brief.card).object_distance is not None
    goals = ", ".join(map(str, read_goals(brief.task.description, has_object)))
    lines = [
        f"- idea: {brief.idea.name}, from scratch",
        f"- read from the sentence: {goals}",
        f"- pays for {paid}",
    ]
    return Sketch(plan, "\n".join(lines))


def _improve(brief: DesignBrief, signals: Sequence[Signal], rng: random.Random) -> Sketch | None:
    """Depart from the idea's parent; None where there is none that was written here."""
    entry = brief.parent
    plan = read_plan(entry.plan) if entry else None
    known = {signal.name for signal in signals}
    if entry is None or plan is None or not {t.signal for t in plan.terms} <= known:
        return None
    if brief.feedback.remarks:
        return Sketch(plan, f"- from candidate {entry.candidate.id}, which the person watched")
    moves = list_moves(plan, signals, read_evidence(entry, brief.card))
    # Each candidate of a round takes another rule; beyond the rules the search is random.
    is_ruled = brief.index < len(moves)
    move = moves[brief.index] if is_ruled else make_random_move(plan, signals, rng)
    score = entry.candidate.task_score
    lines = [
        f"- from candidate {entry.candidate.id}"
        + (f" (task score {score:.3g})" if score is not None else ""),
        f"- {move.reason}",
    ]
    return Sketch(move.plan, "\n".join(lines))


def _answer(brief: DesignBrief, signals: Sequence[Signal], sketch: Sketch) -> Sketch:
    """Work the words of a person into a plan, by known keywords; say so where none is known."""
    remark, entry = brief.feedback.remarks[-1], brief.parent
    wishes = read_wishes(remark.text)
    if not wishes or entry is None:
        reason = f"no word of the remark is known here, only such as: {EXAMPLES}"
        return Sketch(sketch.plan, f"{sketch.rationale}\n- {reason}; a random variation follows")
    moves = list_answers(sketch.plan, signals, wishes, entry)
    lines = [sketch.rationale, f"- read from the remark: {', '.join(wishes)}"]
    if not moves:
        lines.append(f"- {brief.card.name} has no field for that; a random variation follows")
        return Sketch(sketch.plan, "\n".join(lines))
    move = moves[brief.index % len(moves)]
    return Sketch(move.plan, "\n".join([*lines, f"- {move.reason}"]))


def _render(brief: DesignBrief, sketch: Sketch, signals: Sequence[Signal]) -> RewardProgram:
    title = brief.task.description.replace("\\", "/").replace('"', "'")
    return RewardProgram(render_program(sketch.plan, signals, " ".join(title.split())[:200]))


# --- a metric: that of the nearest task -----------------------------------------------------------


def adapt_metric(card: EnvCard, description: str) -> MetricProposal:
    """Return the metric of the task whose goals and words are nearest.

    Raises:
        RefusalError: no task of the environment is about the same, and the message lists them; or
            the nearest one has a metric beyond the language of proposed ones.
    """
    tasks = [load_task(card, name) for name in list_tasks(card)]
    ranked = sorted(tasks, key=lambda task: -measure_likeness(description, task))
    if not ranked or measure_likeness(description, ranked[0]) < 1.0:
        known = "; ".join(f"{task.name}: {task.description}" for task in tasks) or "no task"
        raise RefusalError(
            f"the offline designer has no metric for {description!r}; of {card.name} it knows: "
            f"{known}",
            "give --metric FILE with a score(episode) of your own, or use a language model",
        )
    task = ranked[0]
    source = _IMPORT.sub("", read_task_metric(card, task) or "").strip() + "\n"
    # A metric that a person wrote may use all of Python; a proposed one is generated code.
    if not check_metric(source, card).is_accepted:
        raise RefusalError(
            f"the nearest task of {card.name} is {task.name!r}, whose metric says more than "
            f"a proposed one may: ask for --task {task.name}",
            "or give --metric FILE with a score(episode) of your own",
        )
    return _describe(card, task, source)


def measure_likeness(description: str, task: TaskSpec) -> float:
    """Return 1 for the same main goal in the same direction, plus the share of common words."""
    asked, known = read_goals(description), read_goals(task.description)
    if not asked or not known:
        return 0.0
    first, other = asked[0], known[0]
    is_same = first.kind == other.kind and first.direction == other.direction
    words, theirs = _split(description), _split(f"{task.name} {task.description}")
    return float(is_same and first.axis == other.axis) + len(words & theirs) / max(1, len(words))


def _split(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower().replace("_", " ")))


def _describe(card: EnvCard, task: TaskSpec, source: str) -> MetricProposal:
    return MetricProposal(
        source,
        meaning=f"The metric of the task {task.name!r} ({task.description}), which a person "
        "wrote; nearest to the sentence by its keywords. No language model has read the sentence.",
        unit=task.unit or "1",
        criterion=task.criterion or task.description,
        lift_termination=task.termination == (),
        max_episode_steps=task.max_episode_steps,
        reply=f"No language model: the nearest task of {card.name} by its words is "
        f"`{task.name}`; this is its metric.\n",
    )
