"""The one seam to language models: ``ChatModel.complete(request) -> Completion``.

A reply that arrived is a ``Completion``, also when the model refused or was cut off: it cost money
and belongs into the record. What kept a reply from arriving is one ``ModelError`` with a remedy.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BeforeValidator

from reward_agent.errors import EmptyReplyError, RefusalError, TruncatedReplyError
from reward_agent.records.settings import DEFAULT_REPLY_TOKENS
from reward_agent.text import read_docstring
from reward_agent.types import Record, Usage

Role = Literal["system", "user", "assistant"]
# "measurer": the Designer, where it turns a person's words into measures.
AgentName = Literal["designer", "critic", "analyzer", "judge", "measurer"]
StopReason = Literal["stop", "length", "refusal", "content_filter"]


def _replace_surrogates(text: Any) -> Any:
    return text.encode("utf-8", "replace").decode("utf-8") if isinstance(text, str) else text


# JSON may carry half a surrogate pair, which no file can hold.
ReplyText = Annotated[str, BeforeValidator(_replace_surrogates)]

# What is read of a reply, and kept of it in a conversation: a program is a page of it.
MAX_REPLY_CHARS = 400_000

# Filled in by the record itself; asking a model for it wastes tokens.
_NOT_ASKED = frozenset({"schema_version"})
_NOT_SENT = frozenset({"title", "default"})

ALL_AGENTS: frozenset[str] = frozenset({"designer", "critic", "analyzer", "judge", "measurer"})


@dataclass(frozen=True)
class ChatMessage:
    """One turn of a conversation.

    Args:
        role: who speaks.
        content: the text.
        n_shared: how many characters at its start other calls of the round send too; a provider
            that is told where to cut its prompt cache cuts there.
        picture: a PNG that goes with it; a server that takes none is asked without, unless the
            question is about it.
    """

    role: Role
    content: str
    n_shared: int = 0
    picture: bytes = field(default=b"", repr=False)

    @property
    def words(self) -> tuple[str, ...]:
        """What it says, for a digest: role and text, and what names the picture if there is one."""
        digest = self._digest_picture()
        return (self.role, self.content, digest) if digest else (self.role, self.content)

    def name_picture(self) -> str:
        """Return what stands for the picture in a record, which never holds the picture itself."""
        digest = self._digest_picture()[:16]
        size = f"{len(self.picture):,} bytes"
        return f"\n\n(A picture of {size}, sha256 {digest}….)" if digest else ""

    def _digest_picture(self) -> str:
        return hashlib.sha256(self.picture).hexdigest() if self.picture else ""


@dataclass(frozen=True)
class ChatRequest:
    """What is asked of a language model.

    Args:
        agent: who asks.
        template: name of the prompt template of the last turn, such as ``designer/first``.
        messages: the conversation; the part that stays the same from call to call comes first,
            so that a provider's prompt cache can serve it.
        max_output_tokens: upper bound of the reply, reasoning included.
        sample_index: tells requests with the same messages apart (in the cache's key): the
            candidate's number in its round.
        iteration: the round that asks, for the record of what it cost; never sent.
        reply_type: the record that the reply must hold as JSON, for providers that can enforce
            its schema; the prompt asks for it in words all the same.
        must_see: whether it is about its picture, so that nobody is asked without.
    """

    agent: AgentName
    template: str
    messages: tuple[ChatMessage, ...]
    max_output_tokens: int = DEFAULT_REPLY_TOKENS
    sample_index: int = 0
    iteration: int | None = None
    reply_type: type[Record] | None = None
    must_see: bool = False

    @property
    def prompt(self) -> str:
        """The whole conversation as one markdown text, for records and for people."""
        return "\n\n".join(
            f"## {turn.role}\n\n{turn.content.strip()}" + turn.name_picture()
            for turn in self.messages
        )

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of the conversation: the identity of the prompt."""
        turns = [turn.words for turn in self.messages]
        return hashlib.sha256(json.dumps(turns).encode()).hexdigest()


class Completion(Record):
    """A language model's answer to one request."""

    reply: ReplyText
    stop_reason: StopReason
    stop_detail: ReplyText = ""
    model: ReplyText
    provider: str
    usage: Usage = Usage(n_calls=1)
    wall_s: float = 0.0
    is_cached: bool = False
    retries: tuple[str, ...] = ()


class ChatModel(Protocol):
    """A language model, or a wrapper around one.

    Attributes:
        provider: the provider's name, such as ``anthropic``.
        name: the model's id, such as ``claude-opus-5``.
        agents: the agents that it can play; the loop leaves out the others.
        max_concurrency: how many calls may run at the same time.
    """

    @property
    def provider(self) -> str: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def agents(self) -> frozenset[str]: ...  # noqa: D102

    @property
    def max_concurrency(self) -> int: ...  # noqa: D102

    def complete(self, request: ChatRequest) -> Completion:
        """Answer one request.

        Raises:
            ModelError: one of its kinds, with a remedy; never an SDK's exception.
        """
        ...


def read_reply(completion: Completion) -> str:
    """Return the text of a whole reply.

    Raises:
        RefusalError: the model or a filter declined.
        TruncatedReplyError: the reply was cut at the output limit.
        EmptyReplyError: there is no text.
    """
    detail = f" ({completion.stop_detail})" if completion.stop_detail else ""
    if completion.stop_reason == "refusal":
        raise RefusalError(f"the model refused{detail}", "reword the task, or use another model")
    if completion.stop_reason == "content_filter":
        raise RefusalError(
            f"the provider's content filter stopped the reply{detail}",
            "reword the task, or use another provider",
        )
    if completion.stop_reason == "length":
        raise TruncatedReplyError(
            f"the reply was cut at the output limit, after {completion.usage.output_tokens} tokens",
            "raise --reply-tokens, or use a model that reasons less",
        )
    if not completion.reply.strip():
        raise EmptyReplyError("the model answered with nothing", "try again, or use another model")
    return completion.reply


def make_reply_schema(kind: type[Record]) -> dict[str, Any]:
    """Return the schema of a record: every key is required, no other is allowed.

    Source: https://platform.openai.com/docs/guides/structured-outputs (supported schemas)
    """
    schema = kind.model_json_schema()
    if sys.flags.optimize > 1:  # a request is known by its text, however Python runs
        schema["description"] = read_docstring(kind)
        for name, part in schema.get("$defs", {}).items():
            part["description"] = read_docstring(getattr(sys.modules[kind.__module__], name))
    for name in _NOT_ASKED:
        schema.get("properties", {}).pop(name, None)
    tightened: dict[str, Any] = _tighten(schema)
    return tightened


def _tighten(node: Any) -> Any:
    if isinstance(node, list):
        return [_tighten(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _tighten(value) for key, value in node.items() if key not in _NOT_SENT}
    if "properties" in node:
        # Its keys are names of fields, which may be any word.
        kept["properties"] = {name: _tighten(item) for name, item in node["properties"].items()}
        kept |= {"required": list(node["properties"]), "additionalProperties": False}
    return kept
