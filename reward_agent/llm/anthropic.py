"""Anthropic's models, through the Messages API."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from reward_agent.errors import MissingKeyError, ModelError, UsageError
from reward_agent.llm.chat import ChatMessage, ChatRequest, ReplyText
from reward_agent.llm.failures import Endpoint, HttpFailure
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


def make_bedrock_model(options: ProviderOptions) -> BedrockChatModel:
    """Return a model on Amazon Bedrock, by its key or AWS's own credentials.

    Raises:
        UsageError: no region, or no model.
    """
    region = options.environ.get("AWS_REGION") or options.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise UsageError("bedrock needs a region: AWS_REGION is not set", "export AWS_REGION=…")
    return BedrockChatModel(make_endpoint("bedrock", options), options, region)


def make_vertex_model(options: ProviderOptions) -> VertexChatModel:
    """Return a model on Google's Vertex AI, by a token or Google's default credentials.

    Raises:
        UsageError: no project, no region, or no model.
    """
    environ = options.environ
    project = environ.get("ANTHROPIC_VERTEX_PROJECT_ID") or environ.get("GOOGLE_CLOUD_PROJECT")
    region = environ.get("CLOUD_ML_REGION")
    if not project or not region:
        variable = "CLOUD_ML_REGION" if project else "ANTHROPIC_VERTEX_PROJECT_ID"
        what = "a region" if project else "a project"
        raise UsageError(f"vertex needs {what}: {variable} is not set", f"export {variable}=…")
    return VertexChatModel(make_endpoint("vertex", options), options, project, region)


class AnthropicChatModel(SdkChatModel):
    """A model behind the Messages API.

    No temperature is sent: the API has none. Several samples differ by their prompts.
    """

    package, client_class = "anthropic", "Anthropic"
    _is_always_thinking = False

    def _open(self, client: Any, body: dict[str, Any]) -> Any:
        return client.messages.stream(**body, extra_body=dict(self._options.body) or None)

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
        return body | self._write_effort()

    def _write_effort(self) -> dict[str, Any]:
        """Return what says how much is to be thought.

        Source: https://platform.claude.com/docs/en/build-with-claude/effort
        """
        effort = self._options.effort
        if effort is None:
            return {}
        if effort == "none":
            return {"thinking": {"type": "disabled"}}
        thinking = {} if self._is_always_thinking else {"thinking": {"type": "adaptive"}}
        return place(self._row.effort_field, effort) | thinking

    def _leave_out(self, failure: HttpFailure, body: Mapping[str, Any]) -> bool:
        """Leave the kind of thinking out where a model has only one of its own."""
        is_refused = failure.status == 400 and "thinking" in failure.text
        if not (is_refused and body.get("thinking", {}).get("type") == "adaptive"):
            return False
        self._is_always_thinking = True
        return True

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


class BedrockChatModel(AnthropicChatModel):
    """A model on Amazon Bedrock."""

    client_class = "AnthropicBedrock"

    def __init__(self, endpoint: Endpoint, options: ProviderOptions, region: str) -> None:
        super().__init__(endpoint, options)
        self._region = region

    def _introduce(self) -> dict[str, Any]:
        environ = self._options.environ
        who: dict[str, Any] = {"aws_profile": environ.get("AWS_PROFILE")}
        if environ.get("AWS_ACCESS_KEY_ID"):
            who = {
                "aws_access_key": environ["AWS_ACCESS_KEY_ID"],
                "aws_secret_key": environ.get("AWS_SECRET_ACCESS_KEY"),
                "aws_session_token": environ.get("AWS_SESSION_TOKEN"),
            }
        if self._endpoint.api_key:
            who = {"api_key": self._endpoint.api_key}
        return {**who, "aws_region": self._region, "base_url": self._endpoint.plain_url}

    def _explain_no_credentials(self, failure: Exception) -> ModelError | None:
        from botocore.exceptions import BotoCoreError

        is_ours = isinstance(failure, RuntimeError) and "credentials" in str(failure)
        if not (is_ours or isinstance(failure, BotoCoreError)):
            return None
        return MissingKeyError(
            f"no credentials for bedrock: {self._endpoint.scrub(str(failure))}",
            "export AWS_BEARER_TOKEN_BEDROCK=…, or AWS_PROFILE=… of those that "
            "`aws configure list-profiles` shows",
        )


class VertexChatModel(AnthropicChatModel):
    """A model on Google's Vertex AI."""

    client_class = "AnthropicVertex"

    def __init__(
        self, endpoint: Endpoint, options: ProviderOptions, project: str, region: str
    ) -> None:
        super().__init__(endpoint, options)
        self._project, self._region = project, region

    def _introduce(self) -> dict[str, Any]:
        # The address of a region is the SDK's to know.
        is_usual = self._endpoint.base_url == self._row.base_url
        return {
            "project_id": self._project,
            "region": self._region,
            "access_token": self._endpoint.api_key or None,
            "base_url": None if is_usual else self._endpoint.plain_url,
        }

    def _explain_no_credentials(self, failure: Exception) -> ModelError | None:
        from google.auth.exceptions import GoogleAuthError

        if not isinstance(failure, GoogleAuthError):
            return None
        return MissingKeyError(
            f"no credentials for vertex: {self._endpoint.scrub(str(failure))}",
            "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS=FILE of a "
            "service account",
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
    return [{"type": "text", "text": shared, "cache_control": _CUT}, {"type": "text", "text": own}]
