"""Meaning by a language model: it fills a form, the live model decides, it may answer once more."""

from __future__ import annotations

from collections.abc import Callable

from reward_agent.definitions.meaning import ClaimTest, Meaning, TriedMeaning
from reward_agent.designers.model import ask_for_record
from reward_agent.designers.prompts import make_meaning_repair_request
from reward_agent.errors import DataError, ModelError
from reward_agent.llm.chat import MAX_REPLY_CHARS, ChatModel, ChatRequest

Try = Callable[[Meaning], tuple[ClaimTest, ...]]


def describe(model: ChatModel, request: ChatRequest, try_claims: Try) -> TriedMeaning:
    """Ask what a robot's model means, try each claim, and let it answer once more.

    Args:
        model: who is asked.
        request: the question, by ``make_meaning_request``.
        try_claims: returns what came of each claim of a form.

    Returns:
        The form of which more claims hold.

    Raises:
        DataError: no form came, in one line.
        ModelError: no reply arrived.
    """
    first, reply = _ask(model, request, try_claims)
    if not first.refused:
        return first
    again = make_meaning_repair_request(request, reply, first.refused, first.n_held)
    try:
        second, _ = _ask(model, again, try_claims)
    except (DataError, ModelError):  # what holds of the first stays
        return first
    return max(second, first, key=lambda tried: tried.n_held)


def _ask(model: ChatModel, request: ChatRequest, try_claims: Try) -> tuple[TriedMeaning, str]:
    opinion = ask_for_record(model, request, Meaning)
    if opinion.record is None:
        raise DataError(
            f"{model.name} filled no form: {opinion.reason}", "try again, or use another model"
        )
    reply = opinion.completions[-1].reply[:MAX_REPLY_CHARS]
    verdicts = try_claims(opinion.record)
    return TriedMeaning(claimed=opinion.record, verdicts=verdicts), reply
