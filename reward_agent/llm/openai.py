"""OpenAI's models, and every server that speaks its Chat Completions."""

from __future__ import annotations

import time
from typing import Any

from reward_agent.errors import UsageError
from reward_agent.llm.chat import ChatRequest, Completion, StopReason
from reward_agent.llm.failures import (
    Endpoint,
    explain_malformed_reply,
    make_missing_key_error,
)
from reward_agent.llm.models import count_usage, load_models
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.sdk import ContentFilteredError, SdkChatModel, call_sdk
from reward_agent.types import Usage

_COMPATIBLE_KEY = "OPENAI_COMPATIBLE_API_KEY"
_BASE_URL = "https://api.openai.com/v1"
# Servers of one's own refuse a limit that exceeds their context, which is often small.
_COMPATIBLE_MAX_TOKENS = 8_192
_STOP_REASONS: dict[str, StopReason] = {"length": "length", "content_filter": "content_filter"}


def make_model(options: ProviderOptions) -> OpenAIChatModel:
    """Return a model of OpenAI's.

    Raises:
        MissingKeyError: before the SDK is imported.
    """
    api_key = options.environ.get("OPENAI_API_KEY", "").strip()
    if not api_key:
        raise make_missing_key_error("openai", "OPENAI_API_KEY")
    endpoint = Endpoint(
        provider="openai",
        model=options.model or load_models().default["openai"],
        base_url=options.base_url or options.environ.get("OPENAI_BASE_URL") or _BASE_URL,
        key_variable="OPENAI_API_KEY",
        api_key=api_key,
    )
    return OpenAIChatModel(endpoint, timeout_s=options.timeout_s)


def make_compatible_model(options: ProviderOptions) -> OpenAIChatModel:
    """Return a model on another server: Ollama, vLLM, LM Studio, llama.cpp, a gateway.

    The key is optional: ``OPENAI_COMPATIBLE_API_KEY``, or ``OPENAI_API_KEY`` if the address is
    ``OPENAI_BASE_URL``. An OpenAI key is not sent to an address that only the command line names.

    Raises:
        UsageError: no address, or no model.
    """
    given_url = options.base_url or options.argument
    base_url = given_url or options.environ.get("OPENAI_BASE_URL")
    if not base_url:
        raise UsageError(
            "openai-compatible needs the address of the server",
            "give --base-url, such as http://localhost:11434/v1, or set OPENAI_BASE_URL",
        )
    if not options.model:
        raise UsageError("openai-compatible needs the name of a model", "give --model")
    api_key = options.environ.get(_COMPATIBLE_KEY, "").strip()
    if not api_key and not given_url:
        api_key = options.environ.get("OPENAI_API_KEY", "").strip()
    endpoint = Endpoint("openai-compatible", options.model, base_url, _COMPATIBLE_KEY, api_key)
    return OpenAIChatModel(endpoint, timeout_s=options.timeout_s, max_concurrency=2)


class OpenAIChatModel(SdkChatModel):
    """A model behind Chat Completions."""

    def complete(self, request: ChatRequest) -> Completion:
        """Send the request as one Chat Completions call."""
        import openai

        client = self._connect(openai.OpenAI, openai.Timeout)
        body = self._make_body(request)
        started = time.monotonic()
        try:
            response = call_sdk(
                openai,
                lambda: client.chat.completions.create(**body),
                endpoint=self._endpoint,
                timeout_s=self._timeout_s,
            )
        except ContentFilteredError as error:
            return Completion(
                reply="",
                stop_reason="content_filter",
                stop_detail=str(error),
                model=self.name,
                provider=self.provider,
                wall_s=time.monotonic() - started,
            )
        return self._read_response(response, time.monotonic() - started)

    def _make_body(self, request: ChatRequest) -> dict[str, Any]:
        messages = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        body: dict[str, Any] = {"model": self.name, "messages": messages}
        if self.provider == "openai":
            body["max_completion_tokens"] = request.max_output_tokens
        else:
            body["max_tokens"] = min(request.max_output_tokens, _COMPATIBLE_MAX_TOKENS)
        return body

    def _read_response(self, response: Any, wall_s: float) -> Completion:
        if isinstance(response, str):
            is_page = "<html" in response.lower() or "<!doctype" in response.lower()
            what = "a web page instead of JSON" if is_page else "text instead of JSON"
            raise explain_malformed_reply(self._endpoint, what, is_transient=False)
        choices: list[Any] = getattr(response, "choices", None) or []
        message = getattr(choices[0], "message", None) if choices else None
        if message is None:
            failure = getattr(response, "error", None)
            what = f"an error: {failure}" if failure else "a completion without choices"
            raise explain_malformed_reply(self._endpoint, what, is_transient=True)
        refusal = getattr(message, "refusal", None)
        stop_reason = _STOP_REASONS.get(choices[0].finish_reason, "stop")
        model = getattr(response, "model", None) or self.name
        return Completion(
            reply=message.content or "",
            stop_reason="refusal" if refusal else stop_reason,
            stop_detail=self._endpoint.scrub(str(refusal)) if refusal else "",
            model=model,
            provider=self.provider,
            usage=_read_usage(model, getattr(response, "usage", None)),
            wall_s=wall_s,
        )


def _read_usage(model: str, usage: Any) -> Usage:
    """Read token counts; a server that reports none counts as one call."""
    if usage is None:
        return Usage(n_calls=1)
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    cached = getattr(prompt, "cached_tokens", None) or 0
    written = getattr(prompt, "cache_write_tokens", None) or 0
    return count_usage(
        model,
        fresh_input_tokens=max((usage.prompt_tokens or 0) - cached - written, 0),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=getattr(completion, "reasoning_tokens", None) or 0,
    )
