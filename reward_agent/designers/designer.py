"""The Designer: a task and what is known so far → one reward program."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from reward_agent.designers.ask import Answer, ask, extend
from reward_agent.designers.brief import (
    PROGRAM,
    DesignBrief,
    MetricBrief,
    MetricProposal,
    Proposal,
    RepairBrief,
    RevisionBrief,
)
from reward_agent.designers.changes import describe_changes
from reward_agent.designers.context import describe_environment, describe_rules
from reward_agent.designers.prompts import render
from reward_agent.designers.reply import parse_code, parse_record
from reward_agent.errors import ContextTooLongError, DataError
from reward_agent.llm.chat import ChatMessage, ChatModel, ChatRequest
from reward_agent.rewards.language import METRIC_ENTRY, REWARD_ENTRY
from reward_agent.types import Finding, Record, RewardProgram

Conversation = tuple[ChatMessage, ...]


class MetricWords(Record):
    """What the Designer says of its metric beside the code."""

    meaning: str
    unit: str
    criterion: str
    lift_termination: bool = False
    max_episode_steps: int | None = Field(None, ge=10, le=10_000)


class Designer:
    """Asks a language model for reward programs.

    Args:
        model: the model that plays the role.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    @property
    def max_concurrency(self) -> int:
        """How many programs may be asked for at the same time."""
        return self._model.max_concurrency

    def propose(self, brief: DesignBrief) -> Proposal:
        """Ask for a program.

        Raises:
            ModelError: no reply arrived, and asking again will not help now.
        """
        return self._ask(choose_template(brief), brief, brief, lambda opening: opening)

    def repair(self, repair: RepairBrief) -> Proposal:
        """Ask for the same program without what was found wrong with it.

        Raises:
            ModelError: no reply arrived.
        """
        program = repair.proposal.program
        prompt = render(
            "designer/repair",
            outcome=repair.proposal.outcome,
            findings=_sort_findings(repair.findings),
            lines=program.source.split("\n") if program else [],
            number=repair.number,
        )
        return self._follow_up("designer/repair", repair, prompt.text)

    def revise(self, revision: RevisionBrief) -> Proposal:
        """Ask for a change of the program that answers a critique.

        Raises:
            ModelError: no reply arrived.
        """
        prompt = render("designer/revise", critique=revision.critique)
        return self._follow_up("designer/revise", revision, prompt.text)

    def propose_metric(self, brief: MetricBrief) -> MetricProposal:
        """Ask for a metric of a behaviour that has none; it is shown to the user, not trusted.

        Raises:
            ModelError: no reply arrived.
        """
        prompt = render(
            "designer/metric",
            environment=describe_environment(brief.card),
            rules=describe_rules(),
            description=brief.description,
        )
        messages: Conversation = (ChatMessage("user", prompt.text),)
        if brief.previous is not None:
            repair = render(
                "designer/metric_repair", findings=brief.findings, outcome=brief.previous.outcome
            )
            messages = extend(messages, brief.previous.reply, repair.text)
        request = ChatRequest("designer", "designer/metric", messages, inputs=brief)
        return _read_metric(ask(self._model, request))

    def _follow_up(
        self, template: str, inputs: RepairBrief | RevisionBrief, prompt: str
    ) -> Proposal:
        # Only the last reply is kept: a long argument about earlier tries confuses more than it
        # helps, and the constant part stays in the provider's cache.
        reply = inputs.proposal.reply
        return self._ask(
            template, inputs.brief, inputs, lambda opening: extend(opening, reply, prompt)
        )

    def _ask(
        self,
        template: str,
        brief: DesignBrief,
        inputs: object,
        finish: Callable[[Conversation], Conversation],
    ) -> Proposal:
        """Ask for a program; a history that does not fit is shortened round by round."""
        shortened = brief
        while True:
            messages = finish(render_conversation(shortened))
            request = ChatRequest(
                "designer",
                template,
                messages,
                sample_index=brief.index,
                iteration=brief.iteration,
                inputs=inputs,
            )
            try:
                return _read_program(ask(self._model, request))
            except ContextTooLongError as error:
                if shortened.history:
                    shortened = shortened.without_oldest_round()
                elif inputs is brief:
                    raise  # no program of this run would fit
                else:
                    return Proposal(None, f"no program: {error.message}", is_final=True)


def choose_template(brief: DesignBrief) -> str:
    """Return the template of a brief: the first round knows nothing of earlier ones."""
    return "designer/next" if brief.best or brief.history else "designer/first"


def render_conversation(brief: DesignBrief) -> Conversation:
    """Return the opening of the conversation about one candidate.

    What is the same for the whole run comes first, what is the same for a round next, what is
    asked of this candidate last, so that prompt caches hit.
    """
    system = render(
        "designer/system",
        rules=describe_rules(),
        environment=describe_environment(brief.card),
        task=brief.task,
        card=brief.card,
    )
    # Of the best, too, that may be older than the history.
    known = (*([brief.best] if brief.best else []), *brief.history)
    changes = describe_changes(known)
    user = render(choose_template(brief), brief=brief, card=brief.card, changes=changes).text
    n_shared = user.rindex(_quote(brief.idea.text))
    return (ChatMessage("system", system.text), ChatMessage("user", user, n_shared))


def _quote(idea: str) -> str:
    """Return an idea as the templates show it; what stands before it is the same for a round."""
    return "> " + idea.strip().replace("\n", "\n> ")


def _read_program(answer: Answer) -> Proposal:
    if answer.text is None:
        outcome = f"no program: {answer.reason}"
        return Proposal(None, outcome, answer.exchanges, is_final=answer.is_final)
    parsed = parse_code(answer.text, REWARD_ENTRY)
    if parsed.source is None:
        return Proposal(None, f"no program: {parsed.reason}", answer.exchanges)
    return Proposal(RewardProgram(parsed.source), PROGRAM, answer.exchanges)


def _read_metric(answer: Answer) -> MetricProposal:
    if answer.text is None:
        return MetricProposal(None, "", "", "", f"no metric: {answer.reason}", answer.exchanges)
    parsed = parse_code(answer.text, METRIC_ENTRY)
    try:
        words = parse_record(answer.text, MetricWords)
    except DataError as error:
        words, problem = MetricWords(meaning="", unit="", criterion=""), error.message
    else:
        problem = parsed.reason
    if problem:
        return MetricProposal(None, "", "", "", f"no metric: {problem}", answer.exchanges)
    return MetricProposal(
        parsed.source,
        words.meaning,
        words.unit,
        words.criterion,
        "metric",
        answer.exchanges,
        words.lift_termination,
        words.max_episode_steps,
    )


def _sort_findings(findings: tuple[Finding, ...]) -> list[Finding]:
    """Return errors before warnings before hints, each by line."""
    order = ("error", "warning", "hint")
    return sorted(findings, key=lambda item: (order.index(item.severity), item.line or 0))
