"""What the fake server can answer: a reply, or one of the ways to fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from reward_agent.llm.chat import StopReason


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
