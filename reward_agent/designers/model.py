"""A language model in each of the three roles: it is sent a prompt, and its reply is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from reward_agent.definitions.card import EnvCard
from reward_agent.designers import prompts
from reward_agent.designers.brief import DesignBrief, HistoryEntry, WishBrief
from reward_agent.designers.reply import parse_code, parse_record
from reward_agent.designers.roles import (
    Examination,
    MetricOpinion,
    MetricProposal,
    MetricWords,
    Opinion,
    Proposal,
    WishProposal,
)
from reward_agent.errors import (
    BudgetError,
    ContextTooLongError,
    DataError,
    EmptyReplyError,
    RefusalError,
    ScriptEndedError,
    TruncatedReplyError,
)
from reward_agent.evaluation.wish import Wish
from reward_agent.llm.chat import MAX_REPLY_CHARS, ChatModel, ChatRequest, Completion, read_reply
from reward_agent.records.outcomes import Outcome
from reward_agent.rewards.language import METRIC_ENTRY, REWARD_ENTRY
from reward_agent.types import Analysis, Critique, Finding, Record, RewardProgram

R = TypeVar("R", bound=Record)

# A reply that was cut off is asked for once more with this much more room.
_MORE_ROOM = 2
_N_JSON_REPAIRS = 1


class LanguageModel:
    """Plays the three roles by asking a language model.

    Args:
        model: the model.
        sees_whole_card: whether its replies may be a person's.
    """

    def __init__(self, model: ChatModel, *, sees_whole_card: bool = False) -> None:
        self.name = model.name
        self.max_concurrency = model.max_concurrency
        self.sees_whole_card = sees_whole_card
        self._model = model

    def propose(self, brief: DesignBrief) -> Proposal:
        """Ask for a program."""
        # Also where the history is left out in the end: the template names the place of the call.
        template = prompts.choose_template(brief)
        return self._ask(
            brief,
            lambda told: replace(prompts.make_program_request(told), template=template),
            is_opening=True,
        )

    def repair(self, brief: DesignBrief, examination: Examination, number: int = 0) -> Proposal:
        """Ask for the same program without what was found wrong with it."""
        return self._ask(brief, lambda told: prompts.make_repair_request(told, examination, number))

    def revise(self, brief: DesignBrief, examination: Examination, critique: Critique) -> Proposal:
        """Ask for a change of the program that answers a critique."""
        return self._ask(
            brief, lambda told: prompts.make_revision_request(told, examination, critique)
        )

    def propose_metric(
        self,
        card: EnvCard,
        description: str,
        previous: MetricProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> MetricProposal:
        """Ask for a metric of a behaviour that has none."""
        request = prompts.make_metric_request(card, description, previous, findings)
        return _read_metric(ask(self._model, request))

    def measure_wish(
        self,
        brief: WishBrief,
        previous: WishProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> WishProposal:
        """Ask what a person's words are in numbers."""
        if "measurer" not in self._model.agents:
            return WishProposal(None, reason=f"{self.name} holds no reply to that")
        return _read_wish(ask(self._model, prompts.make_wish_request(brief, previous, findings)))

    def review(self, brief: DesignBrief, examination: Examination) -> Opinion[Critique]:
        """Ask for the risks of a program."""
        return ask_for_record(
            self._model, prompts.make_review_request(brief, examination), Critique
        )

    def compare_metric(
        self, card: EnvCard, description: str, words: MetricWords, table: str, trained: str = ""
    ) -> Opinion[MetricOpinion]:
        """Ask whether a proposed metric is what the sentence says, without its code."""
        request = prompts.make_comparison_request(card, description, words, table, trained)
        return ask_for_record(self._model, request, MetricOpinion)

    def analyse(self, brief: DesignBrief, entry: HistoryEntry) -> Opinion[Analysis]:
        """Ask why a policy does what it does, and what to change."""
        return ask_for_record(self._model, prompts.make_analysis_request(brief, entry), Analysis)

    def _ask(
        self,
        brief: DesignBrief,
        make_request: Callable[[DesignBrief], ChatRequest],
        *,
        is_opening: bool = False,
    ) -> Proposal:
        """Ask for a program; a history that does not fit is shortened round by round."""
        while True:
            try:
                return _read_program(ask(self._model, make_request(brief)))
            except ContextTooLongError as error:
                if brief.history:
                    brief = brief.without_oldest_round()
                elif is_opening:
                    raise  # no program of this run would fit
                else:
                    return Proposal(None, _no_program(error.message), is_final=True)


# --- one question, asked once more where that helps, with every call kept -------------------------


@dataclass(frozen=True)
class ModelReply:
    """Text of a reply, or why there is none to use.

    Args:
        text: the whole reply, or None.
        completions: the calls that it took.
        reason: why there is none.
        is_final: whether asking again cannot help.
        is_limit: whether it was not asked for want of money, so that a run with more asks again.
    """

    text: str | None
    completions: tuple[Completion, ...]
    reason: str = ""
    is_final: bool = False
    is_limit: bool = False

    @property
    def said(self) -> str:
        """What was said last, whole or not."""
        return self.completions[-1].reply[:MAX_REPLY_CHARS] if self.completions else ""


def ask(model: ChatModel, request: ChatRequest) -> ModelReply:
    """Ask, and once more with more room if the reply was cut at the output limit.

    A limit of money is an answer without a text: the run goes on with what it has.

    Raises:
        ModelError: no reply arrived.
    """
    completions: list[Completion] = []
    try:
        completions.append(model.complete(request))
        if completions[-1].stop_reason == "length":
            request = replace(request, max_output_tokens=request.max_output_tokens * _MORE_ROOM)
            # Where more room is more than the context holds, the cut reply is what there is.
            with suppress(ContextTooLongError):
                completions.append(model.complete(request))
        return ModelReply(read_reply(completions[-1]), tuple(completions))
    except BudgetError as error:
        return ModelReply(None, tuple(completions), error.message, is_final=True, is_limit=True)
    except (RefusalError, ScriptEndedError) as error:
        return ModelReply(None, tuple(completions), error.message, is_final=True)
    except (EmptyReplyError, TruncatedReplyError) as error:
        return ModelReply(None, tuple(completions), error.message)


def ask_for_record(
    model: ChatModel,
    request: ChatRequest,
    kind: type[R],
    check: Callable[[R], None] = lambda record: None,
) -> Opinion[R]:
    """Ask for a JSON object, and once more with the error if it is not valid.

    What its type cannot say, ``check`` says by a ``DataError``.

    A prompt that does not fit into the model's context is an answer without a record: a run does
    not end for want of an opinion.

    Raises:
        ModelError: no reply arrived.
    """
    request = replace(request, reply_type=kind)
    completions: tuple[Completion, ...] = ()
    reason = ""
    for _ in range(1 + _N_JSON_REPAIRS):
        try:
            reply = ask(model, request)
        except ContextTooLongError as error:
            return Opinion(None, completions, error.message)
        completions += reply.completions
        if reply.text is None:
            return Opinion(None, completions, reply.reason)
        try:
            record = parse_record(reply.text, kind)
            check(record)
            return Opinion(record, completions)
        except DataError as error:
            reason = error.message
        prompt = prompts.render("shared/invalid_json", error=reason, fields=list(kind.model_fields))
        request = replace(request, messages=prompts.extend(request.messages, reply.text, prompt))
    return Opinion(None, completions, reason)


def _read_program(reply: ModelReply) -> Proposal:
    if reply.text is None:
        outcome = Outcome(kind="limit" if reply.is_limit else "no_program", detail=reply.reason)
        return Proposal(None, outcome, reply.said, reply.completions, is_final=reply.is_final)
    parsed = parse_code(reply.text, REWARD_ENTRY)
    if parsed.source is None:
        return Proposal(None, _no_program(parsed.reason), reply.said, reply.completions)
    return Proposal(RewardProgram(parsed.source), reply=reply.said, completions=reply.completions)


def _no_program(reason: str) -> Outcome:
    return Outcome(kind="no_program", detail=reason)


def _read_metric(reply: ModelReply) -> MetricProposal:
    kept = MetricProposal(None, reply=reply.said, completions=reply.completions)
    if reply.text is None:
        return replace(kept, outcome=Outcome(kind="no_metric", detail=reply.reason))
    try:
        words = parse_record(reply.text, MetricWords)
    except DataError as error:
        return replace(kept, outcome=Outcome(kind="no_metric", detail=error.message))
    parsed = parse_code(reply.text, METRIC_ENTRY)
    if parsed.source is None:
        return replace(kept, outcome=Outcome(kind="no_metric", detail=parsed.reason))
    return replace(kept, source=parsed.source, words=words)


def _read_wish(reply: ModelReply) -> WishProposal:
    kept = WishProposal(None, reply=reply.said, completions=reply.completions)
    if reply.text is None:
        return replace(kept, reason=reply.reason)
    try:
        wish = parse_record(reply.text, Wish)
    except DataError as error:
        return replace(kept, reason=error.message)
    if not wish.points:
        return replace(kept, wish=wish)
    parsed = parse_code(reply.text, METRIC_ENTRY)
    return replace(kept, source=parsed.source, wish=wish, reason=parsed.reason)
