"""The offline designer: no language model, keyword goals and seeded search over reward terms.

It is the baseline that a language model must beat: keywords of the sentence become goals, goals
become terms over the card's fields, and rules on the statistics of earlier trainings change them.
Of a person's program it keeps the terms, and changes their weights.
It plays neither Critic nor Analyzer.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from textwrap import shorten
from typing import Any

from reward_agent.definitions.card import CARD_FILE, EnvCard
from reward_agent.designers.brief import DesignBrief, WishBrief
from reward_agent.designers.ideas import LEARNING
from reward_agent.designers.offline.body import Body
from reward_agent.designers.offline.forms import Signal
from reward_agent.designers.offline.given import (
    begin_beside,
    calls_for_weights,
    list_free,
    list_kept_moves,
    render_beside,
    reweight,
)
from reward_agent.designers.offline.metric import compose_metric
from reward_agent.designers.offline.moves import (
    EXAMPLES,
    Move,
    learn_otherwise,
    list_answers,
    list_moves,
    make_random_move,
    read_evidence,
    read_wishes,
)
from reward_agent.designers.offline.plan import Plan, make_plan, read_plan, render_program
from reward_agent.designers.offline.route import Route, find_route
from reward_agent.designers.offline.signals import (
    list_conditions,
    list_missing_roles,
    list_signals,
    read_scene,
)
from reward_agent.designers.offline.wish import compose_wish
from reward_agent.designers.offline.words import Goal, read_goals
from reward_agent.designers.roles import Examination, MetricProposal, Proposal, WishProposal
from reward_agent.errors import RefusalError
from reward_agent.llm.provider import ProviderOptions
from reward_agent.records.outcomes import Outcome
from reward_agent.types import Critique, Finding, RewardProgram

_INTRODUCTION = "No language model: keyword goals and seeded search over reward terms."
_MAX_TRIES = 21


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
            outcome = Outcome(kind="no_program", detail=f"{error.message}; {error.remedy}")
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
        """Compose a metric of generic ones; on a send-back, of one part of the sentence."""
        try:
            proposal = compose_metric(card, description, previous.source if previous else None)
        except RefusalError as error:
            return MetricProposal(None, Outcome(kind="no_metric", detail=error.message))
        if proposal is None:
            detail = f"the offline designer knows no other metric for {description!r}"
            return MetricProposal(None, Outcome(kind="no_metric", detail=detail))
        return proposal

    def measure_wish(
        self,
        brief: WishBrief,
        previous: WishProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> WishProposal:
        """Compose measures by keywords and the roles of the card's fields."""
        return compose_wish(Body(brief.card), brief.remark.description, brief.remark.wish)


def _write(brief: DesignBrief) -> Proposal:
    rng = _make_generator(brief)
    is_turn = not brief.feedback.remarks and _weighs_anew(brief)
    if is_turn and (own := reweight(brief, rng)) is not None:
        return Proposal(own[0], reply=f"{_INTRODUCTION}\n\n{own[1]}\n")
    signals = _list_signals(brief)
    tried = {entry.program.sha256 for entry in brief.history if entry.program}
    move = _improve(brief, signals, rng) or _begin(brief, signals, rng)
    if words := _find_words(brief):
        move = _answer(brief, signals, move, words)
    title = " ".join(brief.task.description.replace("\\", "/").replace('"', "'").split())[:200]
    for number in range(_MAX_TRIES):
        program = RewardProgram(_render(move.plan, signals, title))
        if program.sha256 not in tried or number == _MAX_TRIES - 1:
            break
        move = _follow(
            move, make_random_move(move.plan, signals, rng), " (the plan was tried before)"
        )
    plan: Mapping[str, Any] = move.plan.model_dump(mode="json", exclude_defaults=True)
    return Proposal(program, reply=f"{_INTRODUCTION}\n\n{move.reason}\n", plan=plan)


def _weighs_anew(brief: DesignBrief) -> bool:
    """Whether this departure weighs the terms anew: else it adds what the sentence asks for.

    Every second one of a person's program does, from the first where what was measured asks for
    it; else weights alone can do little.
    """
    if not brief.origin or not _adds_beside(brief):
        return True
    return brief.index % 4 == 3 or (brief.index % 4 == 1 and calls_for_weights(brief))


def _adds_beside(brief: DesignBrief) -> bool:
    """Whether what the sentence asks for can stand beside the terms of the person's program."""
    try:
        return _improve(brief, _list_signals(brief), _make_generator(brief)) is not None
    except RefusalError:
        return False


def _render(plan: Plan, signals: Sequence[Signal], title: str) -> str:
    if (beside := render_beside(plan, signals)) is not None:
        return beside
    return render_program(plan, signals, title)


def _follow(move: Move, then: Move, remark: str = "") -> Move:
    """Return a move after another, with both reasons."""
    return Move(then.plan, f"{move.reason}\n- {then.reason}{remark}")


def _list_signals(brief: DesignBrief) -> tuple[Signal, ...]:
    """Return the signals for the task's sentence, and for what people ask for beside it.

    Raises:
        RefusalError: there are none.
    """
    body = Body(brief.card)
    goals = read_goals(brief.task.description, read_scene(body))
    signals = list_signals(body, goals)
    if signals:
        names = {signal.name for signal in signals}
        asked = list_conditions(body, goals) if _has_conditions(brief, names) else ()
        return (*signals, *(signal for signal in asked if signal.name not in names))
    what = (
        _describe_lack(body, goals)
        if goals
        else "it reads English keywords (walk, jump, stand, reach, push, …), no more"
    )
    task = shorten(brief.task.description, width=80, placeholder=" …")
    raise RefusalError(
        f"the offline designer cannot write a reward for {task!r}: {what}",
        "use a language model (--provider), or start from a reward of yours (--from FILE)",
    )


def _describe_lack(body: Body, goals: Sequence[Goal]) -> str:
    """Say which roles no field plays, and how a field comes to play one."""
    kinds = ", ".join(goal.kind for goal in goals)
    lacking = [role for goal in goals for role in list_missing_roles(body, goal)]
    roles = "; ".join(dict.fromkeys(lacking)) or "what it asks, as it is"
    return (
        f"{body.card.name} has no field to measure {kinds}: none plays {roles}; give one a key "
        f'role = "…" in {CARD_FILE} (envs/README.md lists the roles)'
    )


def _has_conditions(brief: DesignBrief, names: set[str]) -> bool:
    """Return whether a person asks for more than the sentence, or did so for the parent."""
    parent = brief.parent
    plan = read_plan(parent.plan) if parent else None
    has_more = plan is not None and any(term.signal not in names for term in plan.terms)
    return bool(_find_words(brief)) or has_more


def _make_generator(brief: DesignBrief) -> random.Random:
    text = f"{brief.seed} {brief.iteration} {brief.index} {brief.card.name} {brief.task.name}"
    return random.Random(zlib.crc32(text.encode()))


def _begin(brief: DesignBrief, signals: Sequence[Signal], rng: random.Random) -> Move:
    """Start afresh in the manner of the idea."""
    plan = make_plan(signals, brief.idea.name, rng)
    paid = ", ".join(f"`{term.signal}`" for term in plan.terms)
    scene = read_scene(Body(brief.card))
    goals = ", ".join(map(str, read_goals(brief.task.description, scene)))
    return Move(
        plan,
        f"- idea: {brief.idea.name}, from scratch\n"
        f"- read from the sentence: {goals}\n"
        f"- pays for {paid}",
    )


def _improve(brief: DesignBrief, signals: Sequence[Signal], rng: random.Random) -> Move | None:
    """Depart from the idea's parent; None where there is none that was written here."""
    entry = brief.parent
    if entry is not None and entry.plan is None and brief.origin:
        evidence = read_evidence(entry, brief.card)
        return begin_beside(entry, signals, evidence, brief.origin, (brief.index + 1) // 2)
    plan = read_plan(entry.plan) if entry else None
    known = {signal.name for signal in signals}
    if entry is None or plan is None or not {t.signal for t in plan.terms} <= known:
        return None
    origin = f"- from candidate {entry.candidate.id}"
    if brief.feedback.remarks:
        return Move(plan, f"{origin}, which the person watched")
    evidence = read_evidence(entry, brief.card)
    if plan.kept is not None:
        signals = list_free(plan.kept, signals)
    moves = [*list_kept_moves(plan, evidence), *list_moves(plan, signals, evidence)]
    may_choose = brief.choices and plan.kept is None
    other = learn_otherwise(plan, entry.summary, _find_route(brief)) if may_choose else None
    if other is not None and brief.idea.name == LEARNING:
        move = other
    else:
        # Each candidate of a round takes another rule, what is said of the pay first; beyond the
        # rules the search is random.
        moves += [other] if other is not None else []
        is_ruled = brief.index < len(moves)
        move = moves[brief.index] if is_ruled else make_random_move(plan, signals, rng)
    score = entry.candidate.task_score
    return _follow(
        Move(plan, origin + (f" (task score {score:.3g})" if score is not None else "")), move
    )


def _find_route(brief: DesignBrief) -> Route:
    """Return what a program may say of the way to the goal, with what the parent has earned."""
    body, parent = Body(brief.card), brief.parent
    goal = read_goals(brief.task.description, read_scene(body))[0]
    points = parent.training.points if parent and parent.training else ()
    earned = max((p.generated_return for p in points if p.generated_return is not None), default=0)
    return find_route(body, goal, brief.events, float(f"{earned:.3g}") if earned > 0 else None)


def _find_words(brief: DesignBrief) -> str:
    """Return what a person says that is to be answered now; '' for nothing."""
    said = brief.feedback
    return said.remarks[-1].text if said.remarks else " ".join(said.words)


def _answer(brief: DesignBrief, signals: Sequence[Signal], move: Move, words: str) -> Move:
    """Work the words of a person into a plan, by known keywords; say so where none is known."""
    wishes, entry = read_wishes(words), brief.parent
    if not wishes or entry is None:
        why = f"no word of the remark is known here, only such as: {EXAMPLES}"
        return Move(move.plan, f"{move.reason}\n- {why}; a random variation follows")
    move = Move(move.plan, f"{move.reason}\n- read from the remark: {', '.join(wishes)}")
    answers = list_answers(move.plan, signals, wishes, entry)
    if not answers:
        why = f"{brief.card.name} has no field for that; a random variation follows"
        return Move(move.plan, f"{move.reason}\n- {why}")
    return _follow(move, answers[brief.index % len(answers)])
