"""What those who design are told: plain frozen dataclasses that a prompt is rendered from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.wish import WishBaseline, WishRecord
from reward_agent.records.judgement import Judgement
from reward_agent.records.store import Candidate
from reward_agent.rewards.choices import read_choices
from reward_agent.rewards.pay import describe_agreement, describe_states, render_pay
from reward_agent.types import (
    Analysis,
    CheckReport,
    Critique,
    Evaluation,
    ProbeReport,
    RewardProgram,
    TrainingResult,
)

if TYPE_CHECKING:
    from reward_agent.definitions.task import TaskSpec
    from reward_agent.summary.summary import TrajectorySummary

N_HISTORY_ROUNDS = 4


@dataclass(frozen=True)
class DesignIdea:
    """The direction asked for in one candidate; it makes the K programs of a round differ.

    Args:
        name: short, in kebab-case; it becomes ``Candidate.idea``.
        text: what the Designer is asked, in words.
        parent: id of the earlier candidate to depart from; None means a fresh start.
    """

    name: str
    text: str
    parent: str | None = None


@dataclass(frozen=True)
class GivenProgram:
    """A person's program, which a candidate is to be as it is.

    Args:
        program: the program.
        origin: name of the file that it came from.
    """

    program: RewardProgram
    origin: str


@dataclass(frozen=True)
class HistoryEntry:
    """One earlier candidate and everything known of it.

    Args:
        candidate: the record with its outcome, scores and final evaluation.
        plan: data of its designer's own about the program, if that is as it was written.
        curve: trusted evaluations of the snapshots on the way, oldest first.
        summary: what the policy does, as data.
        summary_text: the same in words, as the agents read it.
        judgements: what a model that watched films of its policy says, of the median episode
            first.
        wish: what became of a person's wish in it, where it answers one.
    """

    candidate: Candidate
    program: RewardProgram | None = None
    plan: Mapping[str, Any] | None = None
    check: CheckReport | None = None
    probe: ProbeReport | None = None
    critique: Critique | None = None
    training: TrainingResult | None = None
    curve: tuple[Evaluation, ...] = ()
    summary: TrajectorySummary | None = None
    summary_text: str = ""
    analysis: Analysis | None = None
    judgements: tuple[Judgement, ...] = ()
    wish: WishRecord | None = None

    @property
    def judgement(self) -> Judgement | None:
        """What is said of the median episode."""
        return next(iter(self.judgements), None)

    @property
    def film_conflict(self) -> str:
        """How the first of those that contradict the metric does; '' where none does."""
        return next((item.conflict for item in self.judgements if item.conflict), "")

    @property
    def pay_table(self) -> str:
        """What cheap policies earned under the program before its training; '' if unknown."""
        return render_pay(self.probe) if self.probe else ""

    @property
    def choices(self) -> str:
        """What the program chooses of how its policy learns, and its starts without a policy."""
        told = str(read_choices(self.program.source)) if self.program else ""
        tried = "; ".join(map(str, self.probe.starts)) if self.probe else ""
        return f"{told} (from there, without a policy: {tried})" if tried else told

    @property
    def agreement(self) -> str:
        """How it ranked stored episodes, and over which; '' if it did not."""
        return describe_agreement(self.probe) if self.probe else ""

    @property
    def states_tried(self) -> str:
        """In which states the dry run tried the program, and which never came up."""
        return describe_states(self.probe) if self.probe and self.probe.behaviours else ""


@dataclass(frozen=True)
class Remark:
    """What a person said of a policy that they watched, and what was tried in answer.

    Args:
        candidate: id of the candidate that they watched.
        description: what they saw.
        wish: what they want to see instead; empty leaves it to the Designer.
        answers: the candidates made in answer, each with its outcome, in words.
        measured: what of it is measured, with the numbers, in words.
    """

    candidate: str
    description: str
    wish: str = ""
    answers: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The person's own words."""
        return f"{self.description}\n{self.wish}".strip()


@dataclass(frozen=True)
class Feedback:
    """A person's part in the run so far.

    Args:
        remarks: what they said, oldest first; the last one is to be answered now.
        verdicts: what they decided and noted, in sentences, oldest first.
        words: what they said of the search while it ran, which this round is the first to read.
        earlier_words: the same, of earlier rounds.
    """

    remarks: tuple[Remark, ...] = ()
    verdicts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    earlier_words: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether the person took part at all."""
        return bool(self.remarks or self.verdicts or self.words or self.earlier_words)

    @property
    def has_watched(self) -> bool:
        """Whether they watched policies in a session, whose rounds answer what they see."""
        return bool(self.remarks or self.verdicts)


@dataclass(frozen=True)
class WishBrief:
    """What is told to who turns a person's words into measures.

    Args:
        card: the environment, with the task applied.
        task: the behaviour.
        remark: what the person saw and wants.
        told: what is measured of the policy that they watched, in words.
        iteration: the round that is to answer, for the record of what it cost.
    """

    card: EnvCard
    task: TaskSpec
    remark: Remark
    told: str = ""
    iteration: int | None = None


@dataclass(frozen=True)
class DesignBrief:
    """Everything the Designer is told before it writes one program.

    Args:
        card: the environment, with the task already applied.
        task: the behaviour in words, with its criterion.
        idea: the direction asked for in this candidate.
        iteration: the round, from 0.
        index: the candidate in its round, from 0.
        best: the best candidate of the run so far by task score.
        history: earlier candidates of the last rounds, oldest first.
        seed: for designers that search with a random generator.
        feedback: what a person who watched the policies said and decided.
        steps: env steps of a whole training; 0 where nobody says.
        standing: what was measured on the robot itself, in words.
        metric_doubt: what the last round showed against a proposed metric; '' for nothing.
        given: a person's program, where the candidate is that one and nobody is asked.
        baseline: by what a person's wish is judged, and the numbers before.
        choices: what a program may choose of how its policy learns, as a table; '' for nothing.
        events: of the run's best episodes, whose states a training may begin in.
    """

    card: EnvCard
    task: TaskSpec
    idea: DesignIdea
    iteration: int = 0
    index: int = 0
    best: HistoryEntry | None = None
    history: tuple[HistoryEntry, ...] = ()
    seed: int = 0
    feedback: Feedback = Feedback()
    steps: int = 0
    standing: str = ""
    metric_doubt: str = ""
    given: GivenProgram | None = None
    baseline: WishBaseline | None = None
    choices: str = ""
    events: tuple[str, ...] = ()

    @property
    def parent(self) -> HistoryEntry | None:
        """The earlier candidate that the idea departs from, if it is still in sight."""
        entries = (*self.history, *([self.best] if self.best else []))
        matches = [entry for entry in entries if entry.candidate.id == self.idea.parent]
        return matches[-1] if matches else None

    @property
    def origin(self) -> str:
        """The person's file that the parent is, or came of, as far as is in sight; '' for none."""
        entries = (*self.history, *([self.best] if self.best else []))
        known = {entry.candidate.id: entry.candidate for entry in entries}
        seen: set[str] = set()
        name = self.idea.parent
        while name in known and name not in seen:
            seen.add(name)
            if known[name].origin:
                return known[name].origin
            name = known[name].parent
        return ""

    @property
    def is_done(self) -> bool:
        """Whether the best candidate so far does all that the task asks for."""
        return self.best is not None and self.task.is_done(self.best.candidate.evaluation)

    def without_oldest_round(self) -> DesignBrief:
        """Return the brief with one round of history less, for a small context."""
        rounds = {entry.candidate.iteration for entry in self.history}
        kept = (e for e in self.history if e.candidate.iteration > min(rounds))
        return replace(self, history=tuple(kept))


@dataclass(frozen=True)
class FilmBrief:
    """What the judge is shown of one episode.

    Args:
        card: the environment, with the task applied.
        task: the behaviour.
        criteria: what is asked, one thing at a time; the whole of the task first.
        sheet: a PNG with the numbered frames.
        times: of the frames, s.
        code: what stands in the sheet's corner.
        n_steps: length of the episode.
        view: what the picture's directions are; '' if that is not known.
        iteration: the round whose policy was filmed, for the record of what it cost.
        index: the candidate in its round, likewise.
    """

    card: EnvCard
    task: TaskSpec
    criteria: tuple[str, ...]
    sheet: bytes = field(repr=False)
    times: tuple[float, ...]
    code: str
    n_steps: int
    view: str = ""
    iteration: int | None = None
    index: int = 0


def select_history(
    entries: Iterable[HistoryEntry], n_rounds: int = N_HISTORY_ROUNDS
) -> tuple[HistoryEntry, ...]:
    """Return the entries of the last rounds, in the order given."""
    all_entries = tuple(entries)
    rounds = sorted({entry.candidate.iteration for entry in all_entries})[-n_rounds:]
    return tuple(entry for entry in all_entries if entry.candidate.iteration in rounds)
