"""What the fake server can answer, as OpenAI's Chat Completions and as Anthropic's Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from reward_agent.llm.chat import StopReason

Json = dict[str, Any]

_OPENAI_STOPS = {
    "stop": "stop",
    "length": "length",
    "refusal": "stop",
    "content_filter": "content_filter",
}
_ANTHROPIC_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "refusal": "refusal",
    "content_filter": "refusal",
}
_PIECE_CHARS = 40


@dataclass(frozen=True)
class Say:
    """A good reply.

    Args:
        text: what the model says.
        stop_reason: why it stopped.
        detail: the category of a refusal, or its text.
        input_tokens: prompt tokens in all, cached ones included.
        cached_tokens: those read from the provider's prompt cache.
        output_tokens: tokens of the reply, reasoning included.
        reasoning_tokens: those of the reasoning.
    """

    text: str
    stop_reason: StopReason = "stop"
    detail: str = ""
    input_tokens: int = 100
    cached_tokens: int = 0
    output_tokens: int = 10
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class HttpFault:
    """A response with an error status, in the form of the provider that is asked."""

    status: int
    kind: str = "error"
    message: str = "scripted fault"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RawBody:
    """A response with success and any body: broken JSON, a web page, events of one's own."""

    body: str
    content_type: str = "application/json"
    status: int = 200


@dataclass(frozen=True)
class DropConnection:
    """The connection is closed without a response, or in the middle of one."""

    after: str = ""


@dataclass(frozen=True)
class Stall:
    """Nothing is sent for so long; with ``drip`` a blank every now and then, which is no reply."""

    seconds: float = 30.0
    drip: bool = False


@dataclass(frozen=True)
class BreakStream:
    """A stream that begins well and does not reach its end.

    Args:
        after: what the model says before.
        by: ``end``: it ends as if it were complete; ``drop``: the connection is lost; ``stall``:
            nothing more is sent; an ``HttpFault``: its kind and message, as an event.
    """

    after: str = "def compute"
    by: Literal["end", "drop", "stall"] | HttpFault = "end"


Step = Say | HttpFault | RawBody | DropConnection | Stall | BreakStream


class Wire(Protocol):
    """How one provider writes what the server says."""

    def make_whole(self, say: Say, model: str) -> Json:
        """Return a reply in one piece."""
        ...

    def make_events(self, say: Say, model: str) -> tuple[list[str], list[str]]:
        """Return a reply as events: those up to the last piece of text, and the closing ones."""
        ...

    def make_error(self, fault: HttpFault) -> Json:
        """Return the body of a response with an error status."""
        ...

    def make_error_event(self, fault: HttpFault) -> str:
        """Return an error in the middle of a stream."""
        ...


class OpenAIWire:
    """Chat Completions."""

    def make_whole(self, say: Say, model: str) -> Json:
        """Return a ``chat.completion``."""
        message: Json = {"role": "assistant"} | self._say(say, say.text)
        finish = _OPENAI_STOPS[say.stop_reason]
        return self._wrap(model, {"message": message, "finish_reason": finish}) | {
            "object": "chat.completion",
            "usage": self._count(say),
        }

    def make_events(self, say: Say, model: str) -> tuple[list[str], list[str]]:
        """Return ``chat.completion.chunk`` events."""
        role: Json = {"delta": {"role": "assistant"}, "finish_reason": None}
        pieces = [
            {"delta": self._say(say, piece), "finish_reason": None} for piece in _cut(say.text)
        ]
        if say.stop_reason == "refusal":
            pieces = [{"delta": self._say(say, ""), "finish_reason": None}]
        end: Json = {"delta": {}, "finish_reason": _OPENAI_STOPS[say.stop_reason]}
        usage = self._wrap(model, None) | {"usage": self._count(say)}
        opening = [_event(self._wrap(model, choice)) for choice in (role, *pieces)]
        closing = [_event(self._wrap(model, end)), _event(usage), "data: [DONE]\n\n"]
        return opening, closing

    def make_error(self, fault: HttpFault) -> Json:
        """Return an ``error`` object."""
        return {"error": {"message": fault.message, "type": fault.kind, "code": fault.kind}}

    def make_error_event(self, fault: HttpFault) -> str:
        """Return the same as a nameless event."""
        return _event(self.make_error(fault))

    @staticmethod
    def _say(say: Say, text: str) -> Json:
        if say.stop_reason == "refusal":
            return {"content": None, "refusal": say.detail or "I cannot help with that."}
        return {"content": text}

    @staticmethod
    def _wrap(model: str, choice: Json | None) -> Json:
        return {
            "id": "chatcmpl-fake",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": model,
            "choices": [] if choice is None else [{"index": 0, **choice}],
        }

    @staticmethod
    def _count(say: Say) -> Json:
        return {
            "prompt_tokens": say.input_tokens,
            "completion_tokens": say.output_tokens,
            "total_tokens": say.input_tokens + say.output_tokens,
            "prompt_tokens_details": {"cached_tokens": say.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": say.reasoning_tokens},
        }


class AnthropicWire:
    """Messages."""

    def make_whole(self, say: Say, model: str) -> Json:
        """Return a ``message``."""
        blocks = [{"type": "text", "text": say.text}] if say.text else []
        usage = self._count_input(say) | self._count_output(say)
        return self._wrap(model) | {"content": blocks, "usage": usage} | self._stop(say)

    def make_events(self, say: Say, model: str) -> tuple[list[str], list[str]]:
        """Return ``message_start`` … ``message_stop``."""
        usage = self._count_input(say) | {"output_tokens": 1}
        start = self._wrap(model) | {"content": [], "stop_reason": None, "usage": usage}
        opening = [_named("message_start", message=start), _named("ping")]
        closing = []
        if say.text:
            block = {"type": "text", "text": ""}
            opening.append(_named("content_block_start", index=0, content_block=block))
            for piece in _cut(say.text):
                delta = {"type": "text_delta", "text": piece}
                opening.append(_named("content_block_delta", index=0, delta=delta))
            closing.append(_named("content_block_stop", index=0))
        closing.append(
            _named("message_delta", delta=self._stop(say), usage=self._count_output(say))
        )
        return opening, [*closing, _named("message_stop")]

    def make_error(self, fault: HttpFault) -> Json:
        """Return an ``error`` object."""
        return {"type": "error", "error": {"type": fault.kind, "message": fault.message}}

    def make_error_event(self, fault: HttpFault) -> str:
        """Return the same as an event of that name."""
        return _event(self.make_error(fault), "error")

    @staticmethod
    def _wrap(model: str) -> Json:
        return {"id": "msg_fake", "type": "message", "role": "assistant", "model": model}

    @staticmethod
    def _stop(say: Say) -> Json:
        details = {"type": "refusal", "category": say.detail or None, "explanation": None}
        return {
            "stop_reason": _ANTHROPIC_STOPS[say.stop_reason],
            "stop_sequence": None,
            "stop_details": details if say.stop_reason == "refusal" else None,
        }

    @staticmethod
    def _count_input(say: Say) -> Json:
        return {
            "input_tokens": say.input_tokens - say.cached_tokens,
            "cache_read_input_tokens": say.cached_tokens,
            "cache_creation_input_tokens": 0,
        }

    @staticmethod
    def _count_output(say: Say) -> Json:
        return {
            "output_tokens": say.output_tokens,
            "output_tokens_details": {"thinking_tokens": say.reasoning_tokens},
        }


def _cut(text: str) -> Iterator[str]:
    """Yield a text in the pieces in which it is streamed."""
    for start in range(0, len(text), _PIECE_CHARS):
        yield text[start : start + _PIECE_CHARS]


def _named(kind: str, **data: Any) -> str:
    return _event({"type": kind, **data}, kind)


def _event(data: Json, name: str = "") -> str:
    """Return one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n"
