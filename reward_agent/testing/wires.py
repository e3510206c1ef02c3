"""What the fake server can answer, as OpenAI's Chat Completions and as Anthropic's Messages."""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import unquote

from reward_agent.llm.chat import StopReason

Json = dict[str, Any]

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
        input_tokens: prompt tokens in all, cached ones included; by default as many as were sent.
        cached_tokens: those read from the provider's prompt cache.
        output_tokens: tokens of the reply, reasoning included.
        reasoning_tokens: those of the reasoning.
    """

    text: str
    stop_reason: StopReason = "stop"
    detail: str = ""
    input_tokens: int | None = None
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


_LEAST_COUNTED = 100
_CHARS_A_TOKEN = 4


def count_input(say: Say, text: str) -> Say:
    """Return a reply that says how many tokens were read."""
    n_sent = max(_LEAST_COUNTED, len(text) // _CHARS_A_TOKEN)
    return say if say.input_tokens is not None else replace(say, input_tokens=n_sent)


Step = Say | HttpFault | RawBody | DropConnection | Stall | BreakStream


@dataclass(frozen=True)
class Told:
    """A reply as one provider writes it.

    Args:
        whole: in one piece.
        opening: its server-sent events up to the last piece of text.
        closing: the others.
    """

    whole: Json
    opening: list[str]
    closing: list[str]


def tell_openai(say: Say, model: str) -> Told:
    """Write a reply as Chat Completions does."""

    def tell(text: str) -> Json:
        if say.stop_reason == "refusal":
            return {"content": None, "refusal": say.detail or "I cannot help with that."}
        return {"content": text}

    def chunk(delta: Json, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _event(base | {"object": "chat.completion.chunk", "choices": [choice]})

    n_input = say.input_tokens or 0
    base = {"id": "chatcmpl-fake", "created": 0, "model": model}
    finish = {"refusal": "stop"}.get(say.stop_reason, say.stop_reason)
    usage = {
        "prompt_tokens": n_input,
        "completion_tokens": say.output_tokens,
        "total_tokens": n_input + say.output_tokens,
        "prompt_tokens_details": {"cached_tokens": say.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": say.reasoning_tokens},
    }
    message = {"role": "assistant"} | tell(say.text)
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = base | {"object": "chat.completion", "choices": [choice], "usage": usage}
    counted = base | {"object": "chat.completion.chunk", "choices": [], "usage": usage}
    pieces = _cut(say.text) if say.stop_reason != "refusal" else [""]
    opening = [chunk({"role": "assistant"}), *(chunk(tell(piece)) for piece in pieces)]
    return Told(whole, opening, [chunk({}, finish), _event(counted), "data: [DONE]\n\n"])


def tell_anthropic(say: Say, model: str) -> Told:
    """Write a reply as Messages does."""
    base = {"id": "msg_fake", "type": "message", "role": "assistant", "model": model}
    asked = {
        "input_tokens": (say.input_tokens or 0) - say.cached_tokens,
        "cache_read_input_tokens": say.cached_tokens,
        "cache_creation_input_tokens": 0,
    }
    answered = {
        "output_tokens": say.output_tokens,
        "output_tokens_details": {"thinking_tokens": say.reasoning_tokens},
    }
    details = {"type": "refusal", "category": say.detail or None, "explanation": None}
    stop = {
        "stop_reason": _ANTHROPIC_STOPS[say.stop_reason],
        "stop_sequence": None,
        "stop_details": details if say.stop_reason == "refusal" else None,
    }
    blocks = [{"type": "text", "text": say.text}] if say.text else []
    begun: Json = base | {"content": [], "stop_reason": None, "usage": asked | {"output_tokens": 1}}
    opening = [_named("message_start", message=begun), _named("ping")]
    closing = [_named("message_delta", delta=stop, usage=answered), _named("message_stop")]
    if say.text:
        empty = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in _cut(say.text)]
        opening.append(_named("content_block_start", index=0, content_block=empty))
        opening += [_named("content_block_delta", index=0, delta=delta) for delta in deltas]
        closing.insert(0, _named("content_block_stop", index=0))
    whole = base | stop | {"content": blocks, "usage": asked | answered}
    return Told(whole, opening, closing)


def tell_error(fault: HttpFault, is_anthropic: bool) -> Json:
    """Write an error as a body; as an event it is the same."""
    detail = {"type": fault.kind, "message": fault.message}
    if is_anthropic:
        return {"type": "error", "error": detail}
    return {"error": detail | {"code": fault.kind}}


def tell_error_event(fault: HttpFault, is_anthropic: bool) -> str:
    """Write an error in the middle of a stream."""
    return _event(tell_error(fault, is_anthropic), "error" if is_anthropic else "")


def _cut(text: str) -> list[str]:
    """Return a text in the pieces in which it is streamed."""
    return [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]


def _named(kind: str, **data: Any) -> str:
    return _event({"type": kind, **data}, kind)


def _event(data: Json, name: str = "") -> str:
    """Return one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n"


# --- which of them is spoken ---------------------------------------------------------------------


@dataclass(frozen=True)
class Wire:
    """How a path is answered.

    Args:
        is_anthropic: by Messages; else by Chat Completions.
        model: that the path names.
        is_streamed: whether the path asks for a stream.
        is_framed: whether events come in AWS's frames.
    """

    is_anthropic: bool = False
    model: str = ""
    is_streamed: bool = False
    is_framed: bool = False

    @property
    def tell(self) -> Callable[[Say, str], Told]:
        """What writes a reply."""
        return tell_anthropic if self.is_anthropic else tell_openai

    @property
    def content_type(self) -> str:
        """Of a stream."""
        return "application/vnd.amazon.eventstream" if self.is_framed else "text/event-stream"

    def frame(self, event: str) -> bytes:
        """Return an event as it goes out."""
        return _frame(event) if self.is_framed else event.encode()


# The SDKs' own clients put the model into the path: Bedrock's, Vertex's and Azure's.
_PATHS = (
    (r"/model/(?P<model>[^/]+)/invoke(?P<streamed>-with-response-stream)?", True, True),
    (r".*/models/(?P<model>[^/:]+):(?P<streamed>streamR|r)awPredict", True, False),
    (r"/openai/deployments/(?P<model>[^/]+)/chat/completions(?P<streamed>\b.)?", False, False),
    (r".*/messages(?P<model>(?P<streamed>))", True, False),
)


def choose_wire(path: str) -> Wire:
    """Return how a path is answered; by Chat Completions where nothing else is told."""
    for pattern, is_anthropic, is_framed in _PATHS:
        if found := re.fullmatch(pattern, path.partition("?")[0]):
            is_streamed = found["streamed"] in ("-with-response-stream", "streamR")
            return Wire(is_anthropic, unquote(found["model"]), is_streamed, is_framed)
    return Wire()


def tell_models(names: Iterable[str]) -> Json:
    """Write a list of models as OpenAI does."""
    return {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


def _frame(event: str) -> bytes:
    """Return a server-sent event as a message of AWS's event stream.

    Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html
    """
    data = event.partition("data: ")[2].strip().encode()
    payload = json.dumps({"bytes": base64.b64encode(data).decode()}).encode()
    told = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value))
        + value.encode()
        for name, value in told.items()
    )  # fmt: skip
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))
