"""Outcomes: what became of a candidate, a reply, a confirming training, a round, a job.

An outcome is a record of facts; its words, which people and the Designer read, are rendered here
and nowhere read again, but in the files of runs of earlier versions, which hold the words alone.
"""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from pydantic import Field, model_serializer, model_validator

from reward_agent.text import hide_credentials
from reward_agent.types import OneLine, Record

Stage = Literal["check", "probe", "twin", "training", "evaluation"]

_LABELS = {
    "no_program": "no program",
    "limit": "no program",
    "no_metric": "no metric",
    "interrupted": "stopped by the person",
}
_KINDS = {label: kind for kind, label in _LABELS.items() if kind != "limit"}


class Outcome(Record):
    """How something ended; ``str`` of it is what people and models read: no credentials.

    Kinds of a draft: ``accepted``; ``rejected`` at a stage; ``no_program`` in the reply;
    ``limit``: not asked for want of money, so a run with a higher limit asks again.
    Kinds of an earlier reply: those, and ``revised`` after a critique.
    Kind of a proposed metric: ``no_metric`` in the reply.
    Kinds of a training: ``trained`` to its end; ``reached`` the target before; ``stopped`` by
    racing; ``failed``, with the stage where the program is not to blame by itself.
    Kinds of a feedback round: ``finished``, ``interrupted`` by the person, ``failed``.
    """

    kind: Literal[
        "accepted", "rejected", "no_program", "limit", "revised", "no_metric", "trained", "reached",
        "stopped", "failed", "finished", "interrupted",
    ]  # fmt: skip
    detail: OneLine = Field("", description="why, in words")
    stage: Stage | None = Field(None, description="where it was rejected or failed")
    at_steps: int | None = Field(None, description="env steps at which the training ended early")

    @property
    def label(self) -> str:
        """What it is in a word or two, without the reason."""
        return _LABELS.get(self.kind, self.kind)

    def __str__(self) -> str:
        if self.kind == "reached":
            return f"{self.label} {hide_credentials(self.detail)}"
        place = "limit" if self.kind == "limit" else self.stage
        shown = None if place == "twin" else place
        detail = hide_credentials(self.detail)
        return ": ".join(filter(None, (self.label, shown, detail)))

    def add(self, *notes: str) -> Outcome:
        """Return it with more to say."""
        return self.model_copy(update={"detail": "; ".join(filter(None, (self.detail, *notes)))})

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        """Drop the words beside the facts; read those of runs of earlier versions."""
        if isinstance(data, str):
            return _read_words(data)
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if name != "text"}
        return data

    @model_serializer
    def _write(self) -> dict[str, Any]:
        """Return the facts that there are, and the words."""
        facts = {name: value for name, value in self if value not in ("", None)}
        return facts | {"text": str(self)}


ACCEPTED = Outcome(kind="accepted")
REVISED = Outcome(kind="revised")
TRAINED = Outcome(kind="trained")
FINISHED = Outcome(kind="finished")
INTERRUPTED = Outcome(kind="interrupted")


def _read_words(text: str) -> dict[str, Any]:
    """Return the facts that the words of an earlier version hold."""
    if text.startswith("reached "):
        return {"kind": "reached", "detail": text[8:], "at_steps": _read_steps(text)}
    word, _, detail = text.partition(": ")
    if text.startswith("no program: limit: "):
        return {"kind": "limit", "detail": detail.partition(": ")[2]}
    facts: dict[str, Any] = {"kind": _KINDS.get(word, word), "detail": detail}
    if word == "stopped":
        facts["at_steps"] = _read_steps(text)
    if word in ("rejected", "failed"):
        stage, _, rest = detail.partition(": ")
        if stage in get_args(Stage):
            facts |= {"stage": stage, "detail": rest}
        elif word == "rejected":
            facts["stage"] = "twin"
    return facts


def _read_steps(text: str) -> int | None:
    found = re.search(r"(?:at|by) ([\d,]+) steps", text)
    return int(found[1].replace(",", "")) if found else None


# --- how a job ended -----------------------------------------------------------------------------

Ceiling = Literal[
    "memory", "cpu", "disk", "output", "threads", "file size", "forbidden system call",
    "from outside", "time of a call",
]  # fmt: skip


class JobOutcome(Record):
    """How a child's process ended: ``str`` of it is what people and models read.

    ``killed`` has a ``Ceiling`` as its detail, ``crashed`` (the process died or raised) and
    ``invalid`` (its result is refused) say what happened.
    """

    kind: Literal["ok", "timeout", "cancelled", "killed", "crashed", "invalid"]
    detail: OneLine = ""

    @property
    def is_ok(self) -> bool:
        """Whether there is a result."""
        return self.kind == "ok"

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind

    @model_validator(mode="before")
    @classmethod
    def _read_words(cls, data: Any) -> Any:
        """Read how runs of earlier versions say it."""
        if not isinstance(data, str):
            return data
        kind, _, detail = data.partition(": ")
        return {"kind": kind, "detail": detail}


OK = JobOutcome(kind="ok")
TIMEOUT = JobOutcome(kind="timeout")
CANCELLED = JobOutcome(kind="cancelled")


def name_kill(ceiling: Ceiling) -> JobOutcome:
    """Return the outcome of a job that was killed."""
    return JobOutcome(kind="killed", detail=ceiling)


# Not for a limit of ours: the system was short of memory, or somebody ended it.
KILLED_FROM_OUTSIDE = name_kill("from outside")
