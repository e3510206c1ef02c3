"""The Analyzer: what a trained policy does → failure mode, evidence, next change."""

from __future__ import annotations

from dataclasses import dataclass

from reward_agent.designers.ask import ask_for_record
from reward_agent.designers.brief import AnalysisBrief
from reward_agent.designers.context import describe_environment
from reward_agent.designers.prompts import render
from reward_agent.llm.chat import ChatMessage, ChatModel, ChatRequest, Exchange
from reward_agent.types import Analysis


@dataclass(frozen=True)
class Diagnosis:
    """An analysis, or the reason why there is none."""

    analysis: Analysis | None
    outcome: str
    exchanges: tuple[Exchange, ...] = ()


class Analyzer:
    """Asks a language model to explain trainings.

    Args:
        model: the model that plays the role.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def analyse(self, brief: AnalysisBrief) -> Diagnosis:
        """Ask why a policy does what it does, and what to change.

        Raises:
            ModelError: no reply arrived.
        """
        design = brief.brief
        system = render(
            "analyzer/system",
            environment=describe_environment(design.card),
            task=design.task,
            card=design.card,
        )
        user = render("analyzer/analyse", entry=brief.entry, best=design.best)
        request = ChatRequest(
            "analyzer",
            "analyzer/analyse",
            (ChatMessage("system", system.text), ChatMessage("user", user.text)),
            sample_index=design.index,
            iteration=design.iteration,
            inputs=brief,
        )
        answer = ask_for_record(self._model, request, Analysis)
        if answer.record is None:
            return Diagnosis(None, f"no analysis: {answer.reason}", answer.exchanges)
        return Diagnosis(answer.record, answer.record.failure_mode, answer.exchanges)
