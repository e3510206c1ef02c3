"""The offline designer as a chat model: it reads the typed inputs of a request, not its text.

It is the baseline that a language model must beat: keywords of the sentence become goals, goals
become terms over the card's fields, and rules on the statistics of earlier trainings change them.
It plays neither Critic nor Analyzer.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reward_agent.designers.brief import DesignBrief, MetricBrief, RepairBrief, RevisionBrief
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.improve import list_moves, make_random_move, read_evidence
from reward_agent.designers.offline.metric import reply_with_metric
from reward_agent.designers.offline.plan import Plan, make_plan, read_plan, render_program
from reward_agent.designers.offline.remarks import EXAMPLES, list_answers, read_wishes
from reward_agent.designers.offline.signals import Signal, list_conditions, list_signals
from reward_agent.designers.offline.words import HANDLING, KEYWORDS, read_goals
from reward_agent.errors import RefusalError
from reward_agent.llm.chat import ChatRequest, Completion
from reward_agent.llm.provider import ProviderOptions
from reward_agent.types import RewardProgram, Usage

NAME = "keyword goals, seeded search"
_INTRODUCTION = "No language model: keyword goals and seeded search over reward terms."
_MAX_TRIES = 20


@dataclass(frozen=True)
class Draft:
    """A plan and what is said about it."""

    plan: Plan
    rationale: str


def make_model(options: ProviderOptions) -> OfflineChatModel:
    """Return the model of ``--provider offline``."""
    return OfflineChatModel()


class OfflineChatModel:
    """Answers the Designer's requests; the same request gets the same reply."""

    provider = "offline"
    name = NAME
    agents = frozenset({"designer"})
    max_concurrency = 1

    def complete(self, request: ChatRequest) -> Completion:
        """Reply to a request of the Designer.

        Raises:
            RefusalError: no word of the sentence is known, or the card cannot measure it.
        """
        return Completion(
            reply=_reply(request.inputs),
            stop_reason="stop",
            model=self.name,
            provider=self.provider,
            # No call of a language model was made.
            usage=Usage(),
        )


def _reply(inputs: object) -> str:
    if isinstance(inputs, MetricBrief):
        if inputs.previous is not None:
            raise RefusalError(
                "the offline designer knows no other metric", "give --metric FILE of your own"
            )
        return reply_with_metric(inputs.card, inputs.description)
    if isinstance(inputs, RepairBrief | RevisionBrief):
        # Its programs are one of a kind: what is left to try is the smallest one.
        brief = replace(inputs.brief, idea=replace(inputs.brief.idea, name="minimal", parent=None))
        return _reply_with_program(replace(brief, best=None))
    if isinstance(inputs, DesignBrief):
        return _reply_with_program(inputs)
    raise RefusalError(
        "the offline designer plays the Designer only", "use a language model for other agents"
    )


def _reply_with_program(brief: DesignBrief) -> str:
    signals = _list_signals(brief)
    rng = _make_generator(brief)
    tried = {entry.program.sha256 for entry in brief.history if entry.program}
    draft = _improve(brief, signals, rng) or _begin(brief, signals, rng)
    if brief.feedback.remarks:
        draft = _answer(brief, signals, draft)
    source = _render(brief, draft, signals)
    for _ in range(_MAX_TRIES):
        if RewardProgram(source).sha256 not in tried:
            break
        move = make_random_move(draft.plan, signals, rng)
        draft = Draft(move.plan, f"{draft.rationale}\n- {move.reason} (the plan was tried before)")
        source = _render(brief, draft, signals)
    return f"{_INTRODUCTION}\n\n{draft.rationale}\n\n```python\n{source}```\n"


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
    plan = read_plan(parent.program.source) if parent and parent.program else None
    has_more = plan is not None and any(term.signal not in names for term in plan.terms)
    return bool(brief.feedback.remarks) or has_more


def _make_generator(brief: DesignBrief) -> random.Random:
    text = f"{brief.seed} {brief.iteration} {brief.index} {brief.card.name} {brief.task.name}"
    return random.Random(zlib.crc32(text.encode()))


def _begin(brief: DesignBrief, signals: Sequence[Signal], rng: random.Random) -> Draft:
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
    return Draft(plan, "\n".join(lines))


def _improve(brief: DesignBrief, signals: Sequence[Signal], rng: random.Random) -> Draft | None:
    """Depart from the idea's parent; None where there is none that was written here."""
    entry = brief.parent
    plan = read_plan(entry.program.source) if entry and entry.program else None
    known = {signal.name for signal in signals}
    if entry is None or plan is None or not {t.signal for t in plan.terms} <= known:
        return None
    if brief.feedback.remarks:
        return Draft(plan, f"- from candidate {entry.candidate.id}, which the person watched")
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
    return Draft(move.plan, "\n".join(lines))


def _answer(brief: DesignBrief, signals: Sequence[Signal], draft: Draft) -> Draft:
    """Work the words of a person into a plan, by known keywords; say so where none is known."""
    remark, entry = brief.feedback.remarks[-1], brief.parent
    wishes = read_wishes(remark.text)
    if not wishes or entry is None:
        reason = f"no word of the remark is known here, only such as: {EXAMPLES}"
        return Draft(draft.plan, f"{draft.rationale}\n- {reason}; a random variation follows")
    moves = list_answers(draft.plan, signals, wishes, entry)
    lines = [draft.rationale, f"- read from the remark: {', '.join(wishes)}"]
    if not moves:
        lines.append(f"- {brief.card.name} has no field for that; a random variation follows")
        return Draft(draft.plan, "\n".join(lines))
    move = moves[brief.index % len(moves)]
    return Draft(move.plan, "\n".join([*lines, f"- {move.reason}"]))


def _render(brief: DesignBrief, draft: Draft, signals: Sequence[Signal]) -> str:
    title = brief.task.description.replace("\\", "/").replace('"', "'")
    return render_program(draft.plan, signals, " ".join(title.split())[:200])
