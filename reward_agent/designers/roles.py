"""Who designs: a protocol for each role, what each hands back, and the team of a run.

A language model plays all three (``model``); the ``offline`` designer, and programs that are
``given``, play the Designer alone. A stranger's is a provider like any other (``llm.provider``)
whose factory makes a designer in place of a chat model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import Field

from reward_agent.definitions.card import EnvCard
from reward_agent.designers.brief import DesignBrief, HistoryEntry, WishBrief
from reward_agent.evaluation.wish import NO_WISH, Wish
from reward_agent.llm.budget import Budget
from reward_agent.llm.chat import Completion
from reward_agent.records.outcomes import Outcome
from reward_agent.rewards.pay import render_pay
from reward_agent.types import (
    Analysis,
    CheckReport,
    Critique,
    Finding,
    Finite,
    ProbeReport,
    Record,
    RewardProgram,
)

if TYPE_CHECKING:
    from reward_agent.designers.judge import FilmJudge

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Proposal:
    """What became of a request for a program.

    Args:
        program: the program, or None.
        outcome: why there is none.
        reply: what the designer said, word for word; it goes on from there when it repairs.
        completions: the calls of a language model that it took, in order.
        is_final: whether asking again cannot help.
        plan: data of the designer's own about the program; it is kept beside the program, and
            handed back with it in ``HistoryEntry.plan``.
    """

    program: RewardProgram | None
    outcome: Outcome | None = None
    reply: str = ""
    completions: tuple[Completion, ...] = ()
    is_final: bool = False
    plan: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Examination:
    """A proposal, and what the static rules and the probe say of it."""

    proposal: Proposal
    outcome: Outcome
    check: CheckReport | None = None
    probe: ProbeReport | None = None

    @property
    def program(self) -> RewardProgram | None:
        """The program, if there is one."""
        return self.proposal.program

    @property
    def is_accepted(self) -> bool:
        """Whether the program may be trained."""
        return self.outcome.kind == "accepted"

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All remarks, the probe's last."""
        reports = [report for report in (self.check, self.probe) if report is not None]
        return tuple(finding for report in reports for finding in report.findings)

    @property
    def pay_table(self) -> str:
        """What cheap policies earn under the program; '' if it was not tried."""
        return render_pay(self.probe) if self.probe else ""


class MetricWords(Record):
    """What is said of a proposed metric beside the code."""

    meaning: str = Field(description="what it measures, in words for the user")
    unit: str = Field(description="of the task score")
    criterion: str = Field(description="in words with its numbers, as a task's card states it")
    lift_termination: bool = Field(False, description="episodes go on where the card ends them")
    not_measured: tuple[str, ...] = Field(
        (), description="words of the sentence that it leaves out"
    )
    max_episode_steps: int | None = Field(
        None, ge=10, le=10_000, description="greatest length; None leaves the card's"
    )
    target_score: Finite | None = Field(None, description="task score that counts as done")
    is_bounded: bool = Field(False, description="whether more than the target is no better")

    @property
    def done(self) -> str:
        """When a run is done, in words."""
        if self.target_score is None:
            return "when nothing improves: no score is said to be enough"
        score = f"{self.target_score:.4g} {self.unit}"
        if not self.is_bounded:
            return f"when nothing improves: more than {score} is better still"
        return f"at {score}, with a success in every episode"


class MetricOpinion(Record):
    """Whether a sentence, a criterion and a table agree, in the eyes of who saw no code."""

    agrees: bool
    reason: str = Field(max_length=1000, description="with the words or the row that show it")
    missing: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        (), max_length=20, description="what of the sentence is not measured"
    )


NO_WORDS = MetricWords(meaning="", unit="", criterion="")


@dataclass(frozen=True)
class MetricProposal:
    """A metric that a designer proposes for a sentence; generated code, never trusted.

    Args:
        source: ``score(episode)`` in the form of a task's ``metric.py``, or None.
        outcome: why there is none.
        words: what is said of it.
        reply: what the designer said, word for word.
        completions: the calls of a language model that it took, in order.
        table: what it said of behaviours that nobody trained, in Markdown, once that was tried.
    """

    source: str | None
    outcome: Outcome | None = None
    words: MetricWords = NO_WORDS
    reply: str = ""
    completions: tuple[Completion, ...] = ()
    table: str = ""


@dataclass(frozen=True)
class WishProposal:
    """What a designer makes of a person's words; generated code, never trusted.

    Args:
        source: ``score(episode)`` whose parts are the measures; None where nothing is measured.
        wish: what they mean, and which words nothing measures.
        reason: why there is none.
        reply: what the designer said, word for word.
        completions: the calls of a language model that it took, in order.
    """

    source: str | None
    wish: Wish = NO_WISH
    reason: str = ""
    reply: str = ""
    completions: tuple[Completion, ...] = ()


@dataclass(frozen=True)
class Opinion(Generic[R]):
    """A critique or an analysis, or the reason why there is none; then the run goes on without."""

    record: R | None
    completions: tuple[Completion, ...] = ()
    reason: str = ""


class Designer(Protocol):
    """Writes reward programs.

    All raise ``ModelError`` where no reply arrived, and asking again will not help now.

    Attributes:
        name: what it is called beside its provider's name, such as a model's id.
        max_concurrency: how many programs may be asked for at the same time.
        sees_whole_card: whether its programs may use fields that are for people only.
    """

    name: str
    max_concurrency: int
    sees_whole_card: bool

    def propose(self, brief: DesignBrief) -> Proposal:
        """Write a program."""
        ...

    def repair(self, brief: DesignBrief, examination: Examination, number: int = 0) -> Proposal:
        """Write the same program without what was found wrong with it.

        Args:
            brief: what was asked for.
            examination: what came back, with or without a program, and what is wrong with it.
            number: how many repairs of the candidate came before, so that a model that repeats its
                mistake is asked in other words.
        """
        ...

    def revise(self, brief: DesignBrief, examination: Examination, critique: Critique) -> Proposal:
        """Change a program in answer to a critique."""
        ...

    def propose_metric(
        self,
        card: EnvCard,
        description: str,
        previous: MetricProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> MetricProposal:
        """Write a metric of a behaviour that has none; it is shown to the user, not trusted.

        Args:
            card: the environment.
            description: the behaviour, in a sentence.
            previous: an earlier try.
            findings: what is wrong with that.
        """
        ...


@runtime_checkable
class Measurer(Protocol):
    """A Designer that also turns a person's words into measures; none has to."""

    def measure_wish(
        self,
        brief: WishBrief,
        previous: WishProposal | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> WishProposal:
        """Say in numbers of an episode what a person wishes.

        Args:
            brief: their words, and the policy that they watched.
            previous: an earlier try.
            findings: what is wrong with that.
        """
        ...


class Critic(Protocol):
    """Reviews programs before they are trained; it never scores."""

    def review(self, brief: DesignBrief, examination: Examination) -> Opinion[Critique]:
        """Name the risks of a program that was examined and accepted."""
        ...


class Analyzer(Protocol):
    """Explains what a trained policy does."""

    def analyse(self, brief: DesignBrief, entry: HistoryEntry) -> Opinion[Analysis]:
        """Say why a policy does what it does, and what to change."""
        ...


@dataclass(frozen=True)
class Team:
    """Who plays the three roles of one run.

    Args:
        designer: writes programs.
        critic: reviews them; None leaves the role empty.
        analyzer: explains trainings; None likewise.
        judge: watches films; None likewise.
        description: who they are, for the first line of output and the record.
        budget: what the run may spend on language models, and has spent.
        address: where calls and the key go, without credentials; '' if to nobody.
    """

    designer: Designer
    critic: Critic | None
    analyzer: Analyzer | None
    description: str
    budget: Budget
    address: str = ""
    judge: FilmJudge | None = None

    @property
    def introduction(self) -> str:
        """The first line of output: who they are, and where they are asked."""
        asked = f"{self.description}; asked at {self.address}" if self.address else self.description
        return f"{asked}; films are judged by {self.judge.description}" if self.judge else asked
