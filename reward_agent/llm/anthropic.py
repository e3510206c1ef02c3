"""Anthropic's models, through the Messages API."""

from __future__ import annotations

import time
from typing import Any

from reward_agent.llm.chat import ChatRequest, Completion, StopReason
from reward_agent.llm.failures import (
    Endpoint,
    explain_malformed_reply,
    make_missing_key_error,
)
from reward_agent.llm.models import count_usage, load_models
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.sdk import SdkChatModel, call_sdk
from reward_agent.types import Usage

_BASE_URL = "https://api.anthropic.com"
_STOP_REASONS: dict[str, StopReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


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
    return AnthropicChatModel(endpoint, timeout_s=options.timeout_s)


class AnthropicChatModel(SdkChatModel):
    """A model behind the Messages API.

    No temperature is sent: the API has none. Several samples differ by their prompts.
    """

    def complete(self, request: ChatRequest) -> Completion:
        """Send the request as one Messages call."""
        import anthropic

        client = self._connect(anthropic.Anthropic, anthropic.Timeout)
        body = self._make_body(request)
        started = time.monotonic()
        response = call_sdk(
            anthropic,
            lambda: client.messages.create(**body),
            endpoint=self._endpoint,
            timeout_s=self._timeout_s,
        )
        return self._read_response(response, time.monotonic() - started)

    def _make_body(self, request: ChatRequest) -> dict[str, Any]:
        system = "\n\n".join(turn.content for turn in request.messages if turn.role == "system")
        turns = [
            {"role": turn.role, "content": turn.content}
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
            cut = {"type": "ephemeral"}
            body["system"] = [{"type": "text", "text": system, "cache_control": cut}]
        return body

    def _read_response(self, response: Any, wall_s: float) -> Completion:
        content = getattr(response, "content", None)
        if isinstance(response, str) or not isinstance(content, list):
            what = (
                "text instead of JSON" if isinstance(response, str) else "a message without content"
            )
            is_transient = not isinstance(response, str)
            raise explain_malformed_reply(self._endpoint, what, is_transient=is_transient)
        texts = [block.text for block in content if getattr(block, "type", "") == "text"]
        details = getattr(response, "stop_details", None)
        model = getattr(response, "model", None) or self.name
        return Completion(
            reply="".join(texts),
            stop_reason=_STOP_REASONS.get(response.stop_reason or "", "stop"),
            stop_detail=str(getattr(details, "category", None) or ""),
            model=model,
            provider=self.provider,
            usage=_read_usage(model, getattr(response, "usage", None)),
            wall_s=wall_s,
        )


def _read_usage(model: str, usage: Any) -> Usage:
    """Read token counts; ``input_tokens`` does not hold the cached ones."""
    if usage is None:
        return Usage(n_calls=1)
    details = getattr(usage, "output_tokens_details", None)
    reasoning = getattr(details, "thinking_tokens", None)
    return count_usage(
        model,
        fresh_input_tokens=usage.input_tokens or 0,
        cached_input_tokens=getattr(usage, "cache_read_input_tokens", None) or 0,
        cache_write_tokens=getattr(usage, "cache_creation_input_tokens", None) or 0,
        output_tokens=usage.output_tokens or 0,
        reasoning_tokens=reasoning or 0,
    )
