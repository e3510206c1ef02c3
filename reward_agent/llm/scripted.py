r"""Replies from a file, in order: for tests, for demonstrations and for replies made elsewhere.

A text or markdown file holds replies separated by lines of the form

    --- reply ---            the next reply, of the Designer
    --- reply critic ---     the next reply, of the Critic

and a ``.jsonl`` file holds one object a line: ``{"agent": "designer", "reply": "…"}``, optionally
with ``"stop_reason"`` (``stop``, ``length``, ``refusal``, ``content_filter``).

Each agent has its own cursor. An agent that the file has no reply for does not take part: a file of
untagged replies runs without Critic and Analyzer. The Designer always takes part. An agent whose
replies have run out is told so: the candidate ends with the outcome that the script has ended.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from reward_agent.errors import DataError, ScriptEndedError, UsageError
from reward_agent.files import find_real, read_text
from reward_agent.llm.chat import AgentName, ChatRequest, Completion, StopReason
from reward_agent.llm.provider import ProviderOptions
from reward_agent.types import Record

_SEPARATOR = re.compile(r"^---[ \t]*reply(?:[ \t]+(\w+))?[ \t]*---[ \t]*$", re.MULTILINE)


class ScriptedReply(Record):
    """One reply of a script."""

    agent: AgentName = "designer"
    reply: str
    stop_reason: StopReason = "stop"


def make_model(options: ProviderOptions) -> ScriptedChatModel:
    """Return the model of ``scripted:<file>``.

    Raises:
        UsageError: no file is named, or it is not there.
        DataError: the file does not have the form above.
    """
    if not options.argument:
        raise UsageError("scripted needs a file", "give --provider scripted:replies.md")
    path = Path(options.argument)
    try:
        text = read_text(find_real(path))
    except (OSError, DataError) as error:
        raise UsageError(f"cannot read the script {path}: {error}", "check the path") from error
    return ScriptedChatModel(parse_script(text, path.name), path.name, options.answered)


def parse_script(text: str, name: str) -> tuple[ScriptedReply, ...]:
    """Split the content of a file into its replies; the name ``….jsonl`` selects that form.

    Raises:
        DataError: a line or tag that the form does not know; names the place.
    """
    replies = _parse_lines(text, name) if name.endswith(".jsonl") else _parse_sections(text, name)
    if not replies:
        raise DataError(f"the script {name} holds no reply", "separate replies by --- reply ---")
    return tuple(replies)


def _parse_lines(text: str, name: str) -> list[ScriptedReply]:
    replies = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                replies.append(ScriptedReply.model_validate_json(line))
            except ValidationError as error:
                raise DataError(
                    f"{name}, line {number}: {error.errors()[0]['msg']}",
                    'expected {"agent": "designer", "reply": "…"} on each line',
                ) from error
    return replies


def _parse_sections(text: str, name: str) -> list[ScriptedReply]:
    # re.split with one group gives: text, tag, text, tag, text …
    first, *rest = _SEPARATOR.split(text.replace("\r\n", "\n"))
    sections: list[tuple[str | None, str]] = [(None, first)] if first.strip() else []
    sections += list(zip(rest[::2], rest[1::2], strict=True))
    try:
        return [
            ScriptedReply.model_validate({"agent": tag or "designer", "reply": body.strip("\n")})
            for tag, body in sections
        ]
    except ValidationError as error:
        raise DataError(
            f"{name}: unknown agent in a separator: {error.errors()[0]['input']!r}",
            "use --- reply designer ---, --- reply critic ---, analyzer, judge or measurer",
        ) from error


class ScriptedChatModel:
    """Answers each agent with its next reply.

    Args:
        replies: the script, in order.
        name: shown as the model's name.
        answered: each agent's replies that an interrupted run has used; they are passed over.
    """

    provider = "scripted"
    # Replies are told apart by their order only, so calls must not overtake each other.
    max_concurrency = 1

    def __init__(
        self,
        replies: tuple[ScriptedReply, ...],
        name: str = "script",
        answered: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.agents = frozenset({"designer", *(reply.agent for reply in replies)})
        self._replies = replies
        self._cursors = Counter(answered)
        self._lock = threading.Lock()

    def complete(self, request: ChatRequest) -> Completion:
        """Return the agent's next reply.

        Raises:
            ScriptEndedError: the script has no further reply for the agent.
        """
        own = [reply for reply in self._replies if reply.agent == request.agent]
        with self._lock:
            cursor = self._cursors[request.agent]
            self._cursors[request.agent] += 1
        if cursor >= len(own):
            raise ScriptEndedError(
                f"the script {self.name} has ended: it holds {len(own)} replies for the "
                f"{request.agent}, and one more was asked for ({request.template})",
                "add a reply to the file, or ask for fewer candidates, iterations or repairs",
            )
        chosen = own[cursor]
        return Completion(
            reply=chosen.reply,
            stop_reason=chosen.stop_reason,
            model=self.name,
            provider=self.provider,
        )
