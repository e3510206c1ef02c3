"""Anthropic's models, through the Messages API."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import BaseModel

from reward_agent.llm.chat import ChatMessage, ChatRequest, ReplyText
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.sdk import (
    Count,
    SdkChatModel,
    WireEvent,
    WireReply,
    find_in,
    make_endpoint,
    read_event,
)

# Where the prompt cache is cut; what is shorter than 1024 tokens is not cached.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching
_CUT = {"type": "ephemeral"}
_MIN_CACHED_CHARS = 4 * 1024


class _Block(BaseModel):
    """A part of the content; thoughts have other keys than ``text``."""

    type: str = ""
    text: ReplyText | None = None


class _Message(BaseModel):
    """What is read of a message; ``input_tokens`` does not hold the cached ones."""

    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    refusal: ReplyText | None = find_in("stop_details.category")
    input_tokens: Count = find_in("usage.input_tokens")
    cached_tokens: Count = find_in("usage.cache_read_input_tokens")
    written_tokens: Count = find_in("usage.cache_creation_input_tokens")
    output_tokens: Count = find_in("usage.output_tokens")
    thinking_tokens: Count = find_in("usage.output_tokens_details.thinking_tokens")


def make_model(options: ProviderOptions) -> AnthropicChatModel:
    """Return a model of Anthropic's.

    Raises:
        MissingKeyError: before the SDK is imported.
    """
    return AnthropicChatModel(make_endpoint("anthropic", options), options)


class AnthropicChatModel(SdkChatModel):
    """A model behind the Messages API.

    No temperature is sent: the API has none. Several samples differ by their prompts.
    """

    package, client_class = "anthropic", "Anthropic"

    def _open(self, client: Any, body: dict[str, Any]) -> Any:
        return client.messages.stream(**body)

    def _make_body(self, request: ChatRequest) -> dict[str, Any]:
        system = "\n\n".join(turn.content for turn in request.messages if turn.role == "system")
        turns = [
            {"role": turn.role, "content": _cut(turn)}
            for turn in request.messages
            if turn.role != "system"
        ]
        body: dict[str, Any] = {
            "model": self.name,
            "max_tokens": request.max_output_tokens,
            "messages": turns,
        }
        if system:
            # The system text is the same in every call of a run: its end is where the cache is cut.
            body["system"] = [{"type": "text", "text": system, "cache_control": _CUT}]
        return body

    def _gather(self, stream: Any) -> WireReply | None:
        """Let the SDK put the message together, as far as it comes."""
        has_begun = False
        for event in self._watch(stream):
            has_begun = has_begun or event.type == "message_start"
        return self._read(read_event(stream.current_message_snapshot)) if has_begun else None

    def _read(self, body: WireEvent) -> WireReply | None:
        message = _Message.model_validate(body)
        if message.content is None:
            return None
        return WireReply(
            text="".join(block.text or "" for block in message.content),
            finish=message.stop_reason,
            refusal=message.refusal or "",
            model=message.model,
            tokens={
                "fresh_input_tokens": message.input_tokens or 0,
                "cached_input_tokens": message.cached_tokens or 0,
                "cache_write_tokens": message.written_tokens or 0,
                "output_tokens": message.output_tokens or 0,
                "reasoning_tokens": message.thinking_tokens or 0,
            },
        )


def _cut(turn: ChatMessage) -> str | list[dict[str, Any]]:
    """Return the content of a turn, cut behind what the other calls of a round send too."""
    if turn.picture:
        data = base64.b64encode(turn.picture).decode("ascii")
        source = {"type": "base64", "media_type": "image/png", "data": data}
        return [{"type": "image", "source": source}, {"type": "text", "text": turn.content}]
    if turn.n_shared < _MIN_CACHED_CHARS:
        return turn.content
    shared, own = turn.content[: turn.n_shared], turn.content[turn.n_shared :]
    return [
        {"type": "text", "text": shared, "cache_control": _CUT},
        {"type": "text", "text": own},
    ]
