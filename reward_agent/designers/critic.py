"""The Critic: a program that may be trained → its risks. It never scores."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.designers.ask import ask_for_record
from reward_agent.designers.brief import ReviewBrief
from reward_agent.designers.context import describe_environment
from reward_agent.designers.prompts import render
from reward_agent.llm.chat import ChatMessage, ChatModel, ChatRequest, Exchange
from reward_agent.types import Critique


@dataclass(frozen=True)
class Review:
    """A critique, or the reason why there is none; then the program goes on unreviewed."""

    critique: Critique | None
    outcome: str
    exchanges: tuple[Exchange, ...] = ()


class Critic:
    """Asks a language model to review programs.

    Args:
        model: the model that plays the role.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def review(self, brief: ReviewBrief) -> Review:
        """Ask for the risks of one program.

        Raises:
            ModelError: no reply arrived.
        """
        design = brief.brief
        system = render(
            "critic/system",
            environment=describe_environment(design.card),
            task=design.task,
            card=design.card,
        )
        user = render(
            "critic/review",
            numbered_source=number_lines(brief.program.source),
            idea=design.idea,
            findings=brief.findings,
        )
        request = ChatRequest(
            "critic",
            "critic/review",
            (ChatMessage("system", system.text), ChatMessage("user", user.text)),
            sample_index=design.index,
            iteration=design.iteration,
            inputs=brief,
        )
        answer = ask_for_record(self._model, request, Critique)
        if answer.record is None:
            return Review(None, f"no critique: {answer.reason}", answer.exchanges)
        return Review(answer.record, answer.record.verdict, answer.exchanges)


def number_lines(source: str) -> str:
    """Return a source with its line numbers, so that a reply can name them."""
    lines = source.rstrip("\n").split("\n")
    width = len(str(len(lines)))
    return "\n".join(f"{number:>{width}}  {line}" for number, line in enumerate(lines, start=1))
