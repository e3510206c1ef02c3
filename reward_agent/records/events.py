"""What happens in a run and in a feedback session: one closed record for each kind of event.

Who listens matches on the class and passes over what it does not know, so a new kind of event is a
dataclass here and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from pydantic import BaseModel

from reward_agent.records.outcomes import Outcome


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    # How it is called in ``events.jsonl`` and on the page.
    kind: ClassVar[str]
    # Whether it is worth a line of ``events.jsonl``.
    is_recorded: ClassVar[bool] = True
    # Whether the run's directory holds something new for a tracker.
    is_news: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON takes: the kind and the facts."""
        facts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"kind": self.kind} | {
            name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
            for name, value in facts.items()
        }


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""


# --- a run --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunStarted(Event):
    """A run begins, or is taken up again."""

    kind = "run_started"
    run: str
    env: str
    task: str
    unit: str
    designer: str


@dataclass(frozen=True)
class SandboxChosen(Event):
    """How far generated code is isolated in this run."""

    kind = "sandbox"
    level: str


@dataclass(frozen=True)
class MetricChosen(Event):
    """What ranks policies from here on."""

    kind = "metric_chosen"
    origin: str
    unit: str


@dataclass(frozen=True)
class MetricRejected(Event):
    """A metric that the Designer proposed is not taken."""

    kind = "metric_rejected"
    reason: str


@dataclass(frozen=True)
class NoMetric(Event):
    """Nothing is ranked in this run."""

    kind = "no_metric"
    reason: str


@dataclass(frozen=True)
class IterationStarted(Event):
    """A round begins, with one candidate for each idea."""

    kind = "iteration_started"
    iteration: int
    ideas: tuple[str, ...]


@dataclass(frozen=True)
class Drafted(Event):
    """A candidate has its program, or was given up before its training."""

    kind = "drafted"
    iteration: int
    index: int
    id: str
    idea: str
    outcome: Outcome


@dataclass(frozen=True)
class TrainingProgress(Event):
    """A training went on; said many times a second.

    Args:
        candidate: its candidate.
        seed: its seed.
        until: env steps at which this slice of it ends.
        total: env steps of the whole training.
        row: a row of ``progress.csv``, as the child wrote it.
    """

    kind = "training_progress"
    is_recorded = False
    candidate: str
    seed: int
    until: int
    total: int
    row: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the row and, over it, what is known of the training."""
        known = super().to_dict()
        return {**known.pop("row"), **known}


@dataclass(frozen=True)
class TrainedUntil(Event):
    """A slice of a training ended."""

    kind = "trained_until"
    is_news = True
    candidate: str
    seed: int
    until: int
    outcome: Outcome


@dataclass(frozen=True)
class Scored(Event):
    """A policy was scored on the way; ``score`` is None where there is none."""

    kind = "scored"
    candidate: str
    steps: int
    score: float | None


@dataclass(frozen=True)
class Concluded(Event):
    """A candidate is over."""

    kind = "concluded"
    is_news = True
    iteration: int
    candidate: str
    outcome: Outcome
    task_score: float | None


@dataclass(frozen=True)
class IterationFinished(Event):
    """A round is over; ``best`` is the best candidate of the run so far."""

    kind = "iteration_finished"
    is_news = True
    iteration: int
    best: str | None


@dataclass(frozen=True)
class Confirming(Event):
    """The best programs are trained again with a fresh seed."""

    kind = "confirming"
    candidates: tuple[str, ...]
    seed: int


@dataclass(frozen=True)
class Finished(Event):
    """A run is over."""

    kind = "finished"
    is_news = True
    winner: str | None


@dataclass(frozen=True)
class Retrying(Event):
    """A call of a model is made again."""

    kind = "retry"
    reason: str


@dataclass(frozen=True)
class Warned(Event):
    """Something a person should know; nothing ends for it."""

    kind = "warning"
    reason: str


# --- a feedback session -------------------------------------------------------------------------


@dataclass(frozen=True)
class SessionOpened(Event):
    """A person opened a session over a run."""

    kind = "session_opened"
    designer: str
    unit: str


@dataclass(frozen=True)
class RoundAnswered(Event):
    """The round that answers a person is over."""

    kind = "round_ended"
    iteration: int
    outcome: Outcome


@dataclass(frozen=True)
class Rescored(Event):
    """A candidate was scored again, by a new metric."""

    kind = "rescored"
    candidate: str
    task_score: float | None


@dataclass(frozen=True)
class Changed(Event):
    """What a page shows is to be read anew."""

    kind = "changed"


@dataclass(frozen=True)
class Failed(Event):
    """The work of a session ended with an error."""

    kind = "failed"
    reason: str
