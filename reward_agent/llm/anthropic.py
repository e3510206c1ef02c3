"""Anthropic's models, through the Messages API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from reward_agent.llm.chat import ChatMessage, ChatRequest, ReplyText, StopReason
from reward_agent.llm.failures import (
    Endpoint,
    explain_early_end,
    explain_malformed_reply,
    make_missing_key_error,
)
from reward_agent.llm.models import count_usage, load_models
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.sdk import Event, SdkChatModel, WireReply
from reward_agent.types import Usage

_BASE_URL = "https://api.anthropic.com"
_STOP_REASONS: dict[str, StopReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


# Where the prompt cache is cut; what is shorter than 1024 tokens is not cached.
# https://platform.claude.com/docs/en/build-with-claude/prompt-caching
_CUT = {"type": "ephemeral"}
_MIN_CACHED_CHARS = 4 * 1024


class _OutputDetails(BaseModel):
    thinking_tokens: int | None = None


class _Usage(BaseModel):
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Text(BaseModel):
    """A block, or a piece of one; thoughts have other keys than ``text``."""

    type: str = ""
    text: ReplyText | None = None


class _Details(BaseModel):
    category: str | None = None


class _Stop(BaseModel):
    stop_reason: str | None = None
    stop_details: _Details | None = None


class _Message(_Stop):
    model: str | None = None
    content: list[_Text] | None = None
    usage: _Usage | None = None


class _Delta(_Text, _Stop):
    """Of a block, or of the message."""


class _Event(_Message):
    """An event of a stream; a whole message is read as one too."""

    type: str = ""
    message: _Message | None = None
    content_block: _Text | None = None
    delta: _Delta | None = None


def make_model(options: ProviderOptions) -> AnthropicChatModel:
    """Return a model of Anthropic's.

    Raises:
        MissingKeyError: before the SDK is imported.
    """
    api_key = options.environ.get("ANTHROPIC_API_KEY", "").strip()
    if not api_key:
        raise make_missing_key_error("anthropic", "ANTHROPIC_API_KEY")
    endpoint = Endpoint(
        provider="anthropic",
        model=options.model or load_models().default["anthropic"],
        base_url=options.base_url or options.environ.get("ANTHROPIC_BASE_URL") or _BASE_URL,
        key_variable="ANTHROPIC_API_KEY",
        api_key=api_key,
    )
    return AnthropicChatModel(endpoint, options)


class AnthropicChatModel(SdkChatModel):
    """A model behind the Messages API.

    No temperature is sent: the API has none. Several samples differ by their prompts.
    """

    def _import_sdk(self) -> tuple[ModuleType, Callable[..., Any]]:
        import anthropic

        return anthropic, anthropic.Anthropic

    def _open(self, client: Any, body: dict[str, Any]) -> Any:
        return client.messages.create(**body, stream=True)

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

    def _gather(self, events: Iterator[Event]) -> WireReply:
        parsed = [_Event.model_validate(event) for event in events]
        message = next((event.message for event in parsed if event.message), None)
        whole = next((event for event in parsed if event.content is not None), None)
        start = message or whole
        if start is None:
            what = "a message without content"
            raise explain_malformed_reply(self._endpoint, what, is_transient=True)
        texts = [block.text or "" for block in (whole.content if whole else None) or []]
        for event in parsed:
            texts += [part.text or "" for part in (event.content_block, event.delta) if part]
        text = "".join(texts)
        stops = [stop for event in parsed for stop in (event.delta, event) if stop]
        stop = next((item for item in reversed(stops) if item.stop_reason), None)
        if stop is None and whole is None:
            raise explain_early_end(self._endpoint, len(text))
        details = stop.stop_details if stop else None
        model = start.model or self.name
        usages = [item.usage for item in (start, *parsed) if item.usage]
        return WireReply(
            text=text,
            stop_reason=_STOP_REASONS.get((stop and stop.stop_reason) or "", "stop"),
            stop_detail=(details and details.category) or "",
            model=model,
            usage=_read_usage(model, usages),
        )


def _cut(turn: ChatMessage) -> str | list[dict[str, Any]]:
    """Return the content of a turn, cut behind what the other calls of a round send too."""
    if turn.n_shared < _MIN_CACHED_CHARS:
        return turn.content
    shared, own = turn.content[: turn.n_shared], turn.content[turn.n_shared :]
    return [
        {"type": "text", "text": shared, "cache_control": _CUT},
        {"type": "text", "text": own},
    ]


def _read_usage(model: str, usages: list[_Usage]) -> Usage:
    """Read token counts, of which each later one is the sum so far.

    ``input_tokens`` does not hold the cached ones.
    """
    if not usages:
        return Usage(n_calls=1)
    known: dict[str, Any] = {}
    for item in usages:
        known |= item.model_dump(exclude_none=True)
    usage = _Usage.model_validate(known)
    details = usage.output_tokens_details or _OutputDetails()
    return count_usage(
        model,
        fresh_input_tokens=usage.input_tokens or 0,
        cached_input_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=usage.cache_creation_input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        reasoning_tokens=details.thinking_tokens or 0,
    )
