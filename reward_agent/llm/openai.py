"""OpenAI's models, and every server that speaks its Chat Completions."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from reward_agent.errors import UsageError
from reward_agent.llm.chat import ChatMessage, ChatRequest, Completion, ReplyText, make_reply_schema
from reward_agent.llm.failures import (
    BLIND_WORDS,
    Endpoint,
    HttpFailure,
    explain_blind,
    explain_cut_prompt,
)
from reward_agent.llm.keys import find_key
from reward_agent.llm.provider import ProviderOptions
from reward_agent.llm.sdk import (
    Count,
    SdkChatModel,
    WireEvent,
    WireReply,
    find_in,
    make_endpoint,
    place,
    read_event,
)

# What a server may not know or not allow, and the words with which it says so. It is left out then:
# a structured reply falls back from json_schema to json_object to the words of the prompt.
_FORMAT_WORDS = re.compile(r"response_format|json_schema|json_object|grammar|structured.output")
_OPTION_WORDS = {
    "json_schema": _FORMAT_WORDS,
    "json_object": _FORMAT_WORDS,
    "stream_options": re.compile(r"stream_options|include_usage"),
    "max_tokens": re.compile(r"max_tokens|max_completion_tokens|in the completion"),
    "prompt_cache_key": re.compile("prompt_cache_key"),
    "picture": BLIND_WORDS,
    "system": re.compile(
        r"(system|developer)\W{1,3}(role|instruction|message|prompt)s?.{0,60}(not|n't|un)\W?"
        r"(support|allow|enabl|accept)|does not support '?system|alternate user/assistant"
    ),
}
# What is shorter than a window's least is not cut.
_LEAST_CUT_CHARS = 6_000
# Windows that servers come with, in tokens: a count right there is one, if more was sent. Of our
# prompts a token has 3.0 to 4.2 characters in the tokenisers of OpenAI, Anthropic and DeepSeek,
# runs of spaces and of signs aside: these may be any length in one.
_WINDOWS = (2_048, 4_096, 8_192, 16_384)
_NEAR, _MOST_CHARS_A_TOKEN = 8, 4.4
_RUN = re.compile(r"\s+|([^\w\s])\1+")
# Each is a token or more, in every one of them.
_WORD = re.compile(r"\w+")


class _Chunk(BaseModel):
    """What is read of a chunk, which has a ``delta``, or of a whole completion, a ``message``.

    The SDK's own accumulation (``ChatCompletionStreamState``) is not used: it loses a usage that
    does not come last, and stops at what compatible servers send, such as choices without an
    index, a ``delta`` of null, or lists of reasoning.
    """

    model: str | None = None
    choices: list[Any] | None = None
    text: ReplyText | None = find_in("choices.0.delta.content", "choices.0.message.content")
    refusal: ReplyText | None = find_in("choices.0.delta.refusal", "choices.0.message.refusal")
    finish_reason: str | None = find_in("choices.0.finish_reason")
    input_tokens: Count = find_in("usage.prompt_tokens")
    cached_tokens: Count = find_in("usage.prompt_tokens_details.cached_tokens")
    written_tokens: Count = find_in("usage.prompt_tokens_details.cache_write_tokens")
    output_tokens: Count = find_in("usage.completion_tokens")
    reasoning_tokens: Count = find_in("usage.completion_tokens_details.reasoning_tokens")


def make_model(options: ProviderOptions) -> OpenAIChatModel:
    """Return a model of OpenAI's, or of another provider by name.

    Raises:
        MissingKeyError: before the SDK is imported.
        UsageError: no model is named, and its server has none or several.
    """
    return OpenAIChatModel(make_endpoint("openai", options), options)


def make_compatible_model(options: ProviderOptions) -> OpenAIChatModel:
    """Return a model on another server: llama.cpp, a gateway.

    The key is optional: ``OPENAI_COMPATIBLE_API_KEY``, or ``OPENAI_API_KEY`` if the address is
    ``OPENAI_BASE_URL``. An OpenAI key is not sent to an address that only the command line names.

    Raises:
        UsageError: no address, or no model.
    """
    given_url = options.base_url or options.argument
    endpoint = make_endpoint("openai-compatible", options, given_url)
    if not endpoint.api_key and not given_url:
        own_key = find_key("OPENAI_API_KEY", options.environ)[0]
        endpoint = replace(endpoint, api_key=own_key)
    return OpenAIChatModel(endpoint, options)


# What is copied with an address of Azure's: the path of a deployment, which the SDK adds.
_AZURE_PATH = re.compile(r"/openai(?:/deployments/(?P<deployment>[^/?]+))?/*(?=$|\?)")


def make_azure_model(options: ProviderOptions) -> OpenAIChatModel:
    """Return a deployment on Azure; ``--model`` names it, or the path of the address.

    An address that ends in ``/openai/v1`` speaks as OpenAI's own does, without versions.

    Raises:
        UsageError: no address, no version of the API, or no deployment.
    """
    endpoint = make_endpoint("azure", options)
    if found := _AZURE_PATH.search(endpoint.base_url):
        bare = endpoint.base_url[: found.start()] + endpoint.base_url[found.end() :]
        named = endpoint.model or found["deployment"] or ""
        endpoint = replace(endpoint, base_url=bare, model=named)
    if not endpoint.model:
        raise UsageError("azure needs the name of a deployment", "give it as --model")
    is_plain = endpoint.plain_url.rstrip("/").endswith("/openai/v1")
    return (OpenAIChatModel if is_plain else AzureChatModel)(endpoint, options)


class OpenAIChatModel(SdkChatModel):
    """A model behind Chat Completions."""

    package, client_class = "openai", "OpenAI"

    def __init__(self, endpoint: Endpoint, options: ProviderOptions) -> None:
        super().__init__(endpoint, options)
        self._refused: set[str] = set()

    @property
    def takes_schema(self) -> bool | None:
        """Whether a schema that was sent was taken so far."""
        return "json_schema" not in self._refused

    def _open(self, client: Any, body: dict[str, Any]) -> Any:
        effort = self._options.effort
        extra = place(self._row.effort_field, effort) if effort else {}
        extra |= self._options.body
        return client.chat.completions.create(**body, stream=True, extra_body=extra or None)

    def _make_body(self, request: ChatRequest) -> dict[str, Any]:
        if request.must_see and "picture" in self._refused:
            raise explain_blind(self._endpoint, "it refused a picture before")
        options = self._choose_options(request)
        if self._row.takes_cache_key and "prompt_cache_key" not in self._refused:
            # Calls with the same key come to the machine that holds their beginning.
            key = _name_beginning(request)
            options["prompt_cache_key"] = {"prompt_cache_key": key}
        if self._options.temperature is not None:
            options["temperature"] = {"temperature": self._options.temperature}
        return {
            "model": self.name,
            "messages": [
                {"role": turn.role, "content": self._write_content(turn)}
                for turn in self._list_turns(request)
            ],
            **{name: value for option in options.values() for name, value in option.items()},
        }

    def _list_turns(self, request: ChatRequest) -> list[ChatMessage]:
        """Return the turns, the first of which holds the system's words for who takes none."""
        turns = list(request.messages)
        if "system" not in self._refused or turns[0].role != "system" or not turns[1:]:
            return turns
        content = f"{turns[0].content}\n\n{turns[1].content}"
        return [replace(turns[1], content=content), *turns[2:]]

    def _see_that_all_was_read(self, request: ChatRequest, completion: Completion) -> Completion:
        n_read = completion.usage.input_tokens
        text = "\n".join(turn.content for turn in request.messages)
        if self.provider == "openai" or not n_read or len(text) < _LEAST_CUT_CHARS:
            return completion
        n_sent = max(len(_RUN.sub(" ", text)) / _MOST_CHARS_A_TOKEN, len(_WORD.findall(text)))
        is_window = any(abs(n_read - window) <= _NEAR for window in _WINDOWS)
        if n_sent > n_read if is_window else len(_WORD.findall(text)) > n_read:
            raise explain_cut_prompt(self._endpoint, n_read, round(n_sent))
        return completion

    def _write_content(self, turn: ChatMessage) -> str | list[dict[str, Any]]:
        if not turn.picture or "picture" in self._refused:
            return turn.content
        url = f"data:image/png;base64,{base64.b64encode(turn.picture).decode('ascii')}"
        text = {"type": "text", "text": turn.content}
        return [text, {"type": "image_url", "image_url": {"url": url}}]

    def _choose_options(self, request: ChatRequest) -> dict[str, dict[str, Any]]:
        """Return the arguments of each option that is sent."""
        options: dict[str, dict[str, Any]] = {
            "stream_options": {"stream_options": {"include_usage": True}},
            "max_tokens": {self._row.limit_field: request.max_output_tokens},
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

    def _leave_out(self, failure: HttpFailure, body: Mapping[str, Any]) -> bool:
        has_picture = any(isinstance(turn["content"], list) for turn in body["messages"])
        # A gateway finds nobody who sees; llama.cpp calls that a fault of its own.
        has_system = body["messages"][0]["role"] == "system" and len(body["messages"]) > 1
        statuses = {400, 422, 501}
        statuses |= {404, 415, 500} if has_picture else set()
        statuses |= {500} if has_system else set()
        if failure.status not in statuses:
            return False
        sent = {body.get("response_format", {}).get("type")}
        sent |= {"stream_options", "prompt_cache_key"} & body.keys()
        sent |= {"max_tokens"} if {"max_tokens", "max_completion_tokens"} & body.keys() else set()
        sent |= {"picture"} if has_picture else set()
        sent |= {"system"} if has_system else set()
        words = ((name, words) for name, words in _OPTION_WORDS.items() if name in sent)
        refused = next((name for name, said in words if said.search(failure.text)), None)
        if refused == "system" and "system" not in self._refused:
            self._options.warn(
                f"{self.name} takes no system role: what belongs there is sent as the first words "
                "of the user"
            )
        self._refused |= {refused} if refused else set()
        return refused is not None

    def _gather(self, stream: Any) -> WireReply | None:
        return self._join(_Chunk.model_validate(read_event(it)) for it in self._watch(stream))

    def _read(self, body: WireEvent) -> WireReply | None:
        return self._join([_Chunk.model_validate(body)])

    def _join(self, chunks: Iterable[_Chunk]) -> WireReply | None:
        texts, refusals = io.StringIO(), io.StringIO()
        finish, model, counted, has_choices = None, "", _Chunk(), False
        for chunk in chunks:
            # Some servers send a chunk without choices first or last.
            has_choices = has_choices or bool(chunk.choices)
            texts.write(chunk.text or "")
            refusals.write(chunk.refusal or "")
            finish, model = finish or chunk.finish_reason, model or chunk.model or ""
            counted = counted if chunk.input_tokens is None else chunk
        if not has_choices:
            return None
        cached, written = counted.cached_tokens or 0, counted.written_tokens or 0
        tokens = {
            "fresh_input_tokens": max((counted.input_tokens or 0) - cached - written, 0),
            "cached_input_tokens": cached,
            "cache_write_tokens": written,
            "output_tokens": counted.output_tokens or 0,
            "reasoning_tokens": counted.reasoning_tokens or 0,
        }
        return WireReply(texts.getvalue(), finish, refusals.getvalue(), model, tokens)


class AzureChatModel(OpenAIChatModel):
    """A deployment on Azure, whose addresses the SDK knows.

    Raises:
        UsageError: the version of its API is not said.
    """

    client_class = "AzureOpenAI"

    def __init__(self, endpoint: Endpoint, options: ProviderOptions) -> None:
        version = endpoint.query.get("api-version") or options.environ.get("OPENAI_API_VERSION")
        if not version:
            raise UsageError(
                "azure needs the version of its API: OPENAI_API_VERSION is not set",
                "export OPENAI_API_VERSION=2024-10-21, or the one that the portal shows",
            )
        self._version = version
        super().__init__(endpoint, options)

    def _introduce(self) -> dict[str, Any]:
        is_token = self._endpoint.key_variable == "AZURE_OPENAI_AD_TOKEN"
        return {
            "azure_ad_token" if is_token else "api_key": self._endpoint.api_key,
            "azure_endpoint": self._endpoint.plain_url,
            "api_version": self._version,
        }


def _name_beginning(request: ChatRequest) -> str:
    """Return a key of what a call has in common with the others of its agent: its system text."""
    return hashlib.sha256(request.messages[0].content.encode()).hexdigest()[:32]
