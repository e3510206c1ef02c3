"""One question to a model, asked once more where that helps, with every call kept."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from reward_agent.designers.prompts import render
from reward_agent.designers.reply import parse_record
from reward_agent.errors import (
    BudgetError,
    ContextTooLongError,
    DataError,
    EmptyReplyError,
    RefusalError,
    ScriptEndedError,
    TruncatedReplyError,
)
from reward_agent.llm.chat import (
    ChatMessage,
    ChatModel,
    ChatRequest,
    Exchange,
    make_exchange,
    read_reply,
)
from reward_agent.types import Record

R = TypeVar("R", bound=Record)

# A reply that was cut off is asked for once more with this much more room.
_MORE_ROOM = 2
_N_JSON_REPAIRS = 1
# Begins the reason of what was not asked for want of money: a run with a higher limit asks again.
LIMIT_MARK = "limit: "


@dataclass(frozen=True)
class Answer:
    """Text of a reply, or why there is none to use.

    Args:
        text: the whole reply, or None.
        exchanges: the calls that it took.
        reason: why there is none.
        is_final: whether asking again cannot help.
    """

    text: str | None
    exchanges: tuple[Exchange, ...]
    reason: str = ""
    is_final: bool = False


@dataclass(frozen=True)
class RecordAnswer(Generic[R]):
    """A validated record, or why there is none."""

    record: R | None
    exchanges: tuple[Exchange, ...] = field(default=())
    reason: str = ""


def ask(model: ChatModel, request: ChatRequest) -> Answer:
    """Ask, and once more with more room if the reply was cut at the output limit.

    A limit of money is an answer without a text: the run goes on with what it has.

    Raises:
        ModelError: no reply arrived.
    """
    exchanges: list[Exchange] = []
    try:
        exchanges.append(make_exchange(request, model.complete(request)))
        if exchanges[-1].completion.stop_reason == "length":
            request = replace(request, max_output_tokens=request.max_output_tokens * _MORE_ROOM)
            # Where more room is more than the context holds, the cut reply is what there is.
            with suppress(ContextTooLongError):
                exchanges.append(make_exchange(request, model.complete(request)))
        return Answer(read_reply(exchanges[-1].completion), tuple(exchanges))
    except BudgetError as error:
        return Answer(None, tuple(exchanges), f"{LIMIT_MARK}{error.message}", is_final=True)
    except (RefusalError, ScriptEndedError) as error:
        return Answer(None, tuple(exchanges), error.message, is_final=True)
    except (EmptyReplyError, TruncatedReplyError) as error:
        return Answer(None, tuple(exchanges), error.message)


def ask_for_record(model: ChatModel, request: ChatRequest, kind: type[R]) -> RecordAnswer[R]:
    """Ask for a JSON object, and once more with the error if it is not valid.

    A prompt that does not fit into the model's context is an answer without a record: a run does
    not end for want of an opinion.

    Raises:
        ModelError: no reply arrived.
    """
    request = replace(request, reply_type=kind)
    exchanges: tuple[Exchange, ...] = ()
    reason = ""
    for _ in range(1 + _N_JSON_REPAIRS):
        try:
            answer = ask(model, request)
        except ContextTooLongError as error:
            return RecordAnswer(None, exchanges, error.message)
        exchanges += answer.exchanges
        if answer.text is None:
            return RecordAnswer(None, exchanges, answer.reason)
        try:
            return RecordAnswer(parse_record(answer.text, kind), exchanges)
        except DataError as error:
            reason = error.message
        prompt = render("shared/invalid_json", error=reason, fields=list(kind.model_fields))
        request = replace(request, messages=extend(request.messages, answer, prompt.text))
    return RecordAnswer(None, exchanges, reason)


def extend(
    messages: Sequence[ChatMessage], answer: Answer | str, prompt: str
) -> tuple[ChatMessage, ...]:
    """Return the conversation with the reply and the next turn of ours."""
    reply = answer if isinstance(answer, str) else answer.text or ""
    # Providers refuse an empty turn of the assistant.
    turns = [ChatMessage("assistant", reply)] if reply.strip() else []
    return (*messages, *turns, ChatMessage("user", prompt))
