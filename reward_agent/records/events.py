"""What happens in a run and in a feedback session: one closed record for each kind of event.

Who listens matches on the class and passes over what it does not know, so a new kind of event is a
class here and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, dataclass_transform

from pydantic import BaseModel

from reward_agent.records.outcomes import Outcome


@dataclass_transform(frozen_default=True)
class Event:
    """Something that happened; each kind is a frozen dataclass.

    Class attributes:
        kind: how it is called in ``events.jsonl`` and on the page.
        is_recorded: whether it is worth a line of ``events.jsonl``.
        is_news: whether the run's directory holds something new for a tracker.
    """

    kind: ClassVar[str]
    is_recorded: ClassVar[bool]
    is_news: ClassVar[bool]

    def __init_subclass__(
        cls, *, kind: str, is_recorded: bool = True, is_news: bool = False
    ) -> None:
        cls.kind, cls.is_recorded, cls.is_news = kind, is_recorded, is_news
        dataclass(frozen=True)(cls)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON takes: the kind and the facts."""
        return {"kind": self.kind} | {
            name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for name, value in vars(self).items()
        }


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""


def both(first: Listener, second: Listener) -> Listener:
    """Return a listener that tells one after the other."""

    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen


# --- a run --------------------------------------------------------------------------------------


class RunStarted(Event, kind="run_started"):
    """A run begins, or is taken up again; ``device`` trains several seeds of a program at once."""

    run: str
    env: str
    task: str
    unit: str
    designer: str
    device: str = ""


class Disclosed(Event, kind="disclosed"):
    """What leaves this machine in a run, and where to, before the first call."""

    what: tuple[str, ...]
    addresses: tuple[str, ...]


class SandboxChosen(Event, kind="sandbox"):
    """How far generated code is isolated in this run."""

    level: str


class MetricChosen(Event, kind="metric_chosen"):
    """What ranks policies from here on."""

    origin: str
    unit: str


class MetricRejected(Event, kind="metric_rejected"):
    """A metric that the Designer proposed is not taken."""

    reason: str


class MetricDoubted(Event, kind="metric_doubted", is_news=True):
    """A round led nowhere, and the metric that was proposed may be at fault.

    Args:
        iteration: the round.
        reason: what speaks against it.
        remedy: what a person may do.
    """

    iteration: int
    reason: str
    remedy: str


class NoMetric(Event, kind="no_metric"):
    """Nothing is ranked in this run."""

    reason: str


class IterationStarted(Event, kind="iteration_started"):
    """A round begins, with one candidate for each idea."""

    iteration: int
    ideas: tuple[str, ...]


class Drafted(Event, kind="drafted"):
    """A candidate has its program, or was given up before its training."""

    iteration: int
    index: int
    id: str
    idea: str
    outcome: Outcome
    origin: str = ""


class TrainingProgress(Event, kind="training_progress", is_recorded=False):
    """A training went on; said many times a second.

    Args:
        candidate: its candidate.
        seed: its seed.
        until: env steps at which this slice of it ends.
        total: env steps of the whole training.
        row: a row of ``progress.csv``, as the child wrote it.
        in_race: whether it races, and can be steered.
    """

    candidate: str
    seed: int
    until: int
    total: int
    row: Mapping[str, float]
    in_race: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the row and, over it, what is known of the training."""
        known = super().to_dict()
        return {**known.pop("row"), **known}


class TrainedUntil(Event, kind="trained_until", is_news=True):
    """A slice of a training ended."""

    candidate: str
    seed: int
    until: int
    outcome: Outcome


class Scored(Event, kind="scored"):
    """Policies were scored on the way; ``score`` is the seeds' mean, None where there is none."""

    candidate: str
    steps: int
    score: float | None
    n_seeds: int = 1


class Concluded(Event, kind="concluded", is_news=True):
    """A candidate is over."""

    iteration: int
    candidate: str
    outcome: Outcome
    task_score: float | None


class FilmJudged(Event, kind="judged", is_news=True):
    """A model that sees has watched a film; ``conflict`` says how it contradicts the metric."""

    iteration: int
    candidate: str
    verdict: str
    agreement: str
    conflict: str


class IterationFinished(Event, kind="iteration_finished", is_news=True):
    """A round is over; ``best`` is the best candidate of the run so far."""

    iteration: int
    best: str | None


class Confirming(Event, kind="confirming"):
    """The best programs are trained again with a fresh seed."""

    candidates: tuple[str, ...]
    seed: int


class Finished(Event, kind="finished", is_news=True):
    """A run is over."""

    winner: str | None


class Steered(Event, kind="steered", is_news=True):
    """A person steered the search; the whole of it stands in ``steering.jsonl``.

    Args:
        iteration: the round.
        candidate: what it is about; '' for none.
        act: ``pin``, ``unpin``, ``stop``, ``more``, ``remark`` or ``edit``.
        told: what was done, in words.
        by: who asked, and from where.
    """

    iteration: int
    candidate: str
    act: str
    told: str
    by: str


class Retrying(Event, kind="retry"):
    """A call of a model is made again."""

    reason: str


class Warned(Event, kind="warning"):
    """Something a person should know; nothing ends for it."""

    reason: str


# --- a feedback session -------------------------------------------------------------------------


class SessionOpened(Event, kind="session_opened"):
    """A person opened a session over a run."""

    designer: str
    unit: str


class WishMeasured(Event, kind="wish_measured"):
    """What of a person's words is measured, a line each, in words for them."""

    lines: tuple[str, ...]


class RoundAnswered(Event, kind="round_ended"):
    """The round that answers a person is over."""

    iteration: int
    outcome: Outcome


class Rescored(Event, kind="rescored"):
    """A candidate was scored again, by a new metric."""

    candidate: str
    task_score: float | None


class Changed(Event, kind="changed"):
    """What a page shows is to be read anew."""


class Failed(Event, kind="failed"):
    """The work of a session ended with an error."""

    reason: str
