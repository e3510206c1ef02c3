"""OpenAI's models, and every server that speaks its Chat Completions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from reward_agent.errors import UsageError
from reward_agent.llm.chat import ChatRequest, ReplyText, StopReason
from reward_agent.llm.failures import (
    Endpoint,
    HttpFailure,
    explain_early_end,
    explain_malformed_reply,
    make_missing_key_error,
)
from reward_agent.llm.models import count_usage, load_models
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.sdk import Event, OptionRefusedError, SdkChatModel, WireReply
from reward_agent.llm.structure import make_reply_schema
from reward_agent.types import Usage

_COMPATIBLE_KEY = "OPENAI_COMPATIBLE_API_KEY"
_BASE_URL = "https://api.openai.com/v1"
_STOP_REASONS: dict[str, StopReason] = {"length": "length", "content_filter": "content_filter"}
# What a server may not know or not allow, and the words with which it says so. It is left out then:
# a structured reply falls back from json_schema to json_object to the words of the prompt.
_FORMAT_WORDS = re.compile(r"response_format|json_schema|json_object|grammar|structured.output")
_OPTION_WORDS = {
    "json_schema": _FORMAT_WORDS,
    "json_object": _FORMAT_WORDS,
    "stream_options": re.compile(r"stream_options|include_usage"),
    "max_tokens": re.compile(r"max_tokens|max_completion_tokens|in the completion"),
}


class _Details(BaseModel):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Part(BaseModel):
    content: ReplyText | None = None
    refusal: ReplyText | None = None


class _Choice(BaseModel):
    """A choice of a chunk has a ``delta``, one of a whole completion a ``message``."""

    delta: _Part | None = None
    message: _Part | None = None
    finish_reason: str | None = None


class _Chunk(BaseModel):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


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
    return OpenAIChatModel(endpoint, options)


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
    return OpenAIChatModel(endpoint, options, max_concurrency=2)


class OpenAIChatModel(SdkChatModel):
    """A model behind Chat Completions."""

    def __init__(
        self, endpoint: Endpoint, options: ProviderOptions, *, max_concurrency: int = 8
    ) -> None:
        super().__init__(endpoint, options, max_concurrency=max_concurrency)
        self._refused: set[str] = set()

    def _import_sdk(self) -> tuple[ModuleType, Callable[..., Any]]:
        import openai

        return openai, openai.OpenAI

    def _open(self, client: Any, body: dict[str, Any]) -> Any:
        return client.chat.completions.create(**body, stream=True)

    def _ask(self, request: ChatRequest) -> WireReply:
        """Ask; leave out, from then on, each option that the server refuses."""
        while True:
            try:
                return super()._ask(request)
            except OptionRefusedError as error:
                self._refused.add(error.option)

    def _make_body(self, request: ChatRequest) -> dict[str, Any]:
        options = self._choose_options(request)
        return {
            "model": self.name,
            "messages": [{"role": turn.role, "content": turn.content} for turn in request.messages],
            **{name: value for option in options.values() for name, value in option.items()},
        }

    def _choose_options(self, request: ChatRequest) -> dict[str, dict[str, Any]]:
        """Return the arguments of each option that is sent."""
        # The name that OpenAI has left is the one that other servers know.
        limit_name = "max_completion_tokens" if self.provider == "openai" else "max_tokens"
        options: dict[str, dict[str, Any]] = {
            "stream_options": {"stream_options": {"include_usage": True}},
            "max_tokens": {limit_name: request.max_output_tokens},
        }
        if request.reply_type is not None:
            schema = {
                "name": request.reply_type.__name__,
                "schema": make_reply_schema(request.reply_type),
                "strict": True,
            }
            form = {"type": "json_schema", "json_schema": schema}
            if "json_schema" not in self._refused:
                options["json_schema"] = {"response_format": form}
            else:
                options["json_object"] = {"response_format": {"type": "json_object"}}
        return {name: given for name, given in options.items() if name not in self._refused}

    def _find_refused_option(self, failure: HttpFailure, body: Mapping[str, Any]) -> str | None:
        if failure.status not in (400, 422, 501):
            return None
        form = body.get("response_format", {}).get("type")
        is_limited = "max_tokens" in body or "max_completion_tokens" in body
        sent = {form, "stream_options" if "stream_options" in body else None}
        sent |= {"max_tokens"} if is_limited else set()
        refused = (name for name, words in _OPTION_WORDS.items() if words.search(failure.text))
        return next((name for name in refused if name in sent), None)

    def _gather(self, events: Iterator[Event]) -> WireReply:
        chunks = [_Chunk.model_validate(event) for event in events]
        # Some servers send a chunk without choices first or last.
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        if not choices:
            what = "a completion without choices"
            raise explain_malformed_reply(self._endpoint, what, is_transient=True)
        parts = [part for choice in choices for part in (choice.delta, choice.message) if part]
        text = "".join(part.content or "" for part in parts)
        refusal = "".join(part.refusal or "" for part in parts)
        finish = next((choice.finish_reason for choice in choices if choice.finish_reason), None)
        if finish is None and not any(choice.message for choice in choices):
            raise explain_early_end(self._endpoint, len(text))
        model = next((chunk.model for chunk in chunks if chunk.model), self.name)
        usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)
        return WireReply(
            text=text,
            stop_reason="refusal" if refusal else _STOP_REASONS.get(finish or "", "stop"),
            stop_detail=refusal,
            model=model,
            usage=_read_usage(model, usage),
        )


def _read_usage(model: str, usage: _Usage | None) -> Usage:
    """Read token counts; a server that reports none counts as one call."""
    if usage is None:
        return Usage(n_calls=1)
    prompt = usage.prompt_tokens_details or _Details()
    completion = usage.completion_tokens_details or _Details()
    cached, written = prompt.cached_tokens or 0, prompt.cache_write_tokens or 0
    return count_usage(
        model,
        fresh_input_tokens=max((usage.prompt_tokens or 0) - cached - written, 0),
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=completion.reasoning_tokens or 0,
    )
