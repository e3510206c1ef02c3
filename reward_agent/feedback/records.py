"""What a feedback session is made of: ``feedback/session.jsonl`` in the run's directory.

One entry a line, appended and made durable before it takes effect, never changed. The state of a
session is a function of its entries and of the run's own files, so a session that ended anywhere,
by a crash too, goes on where it was.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from reward_agent.errors import UsageError
from reward_agent.evaluation.wish import Wish
from reward_agent.records.disk import append_record, read_lines
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import SESSION_FILE, now_utc
from reward_agent.types import (
    FileName,
    FileRecord,
    FilmPath,
    Finite,
    OneLine,
    Record,
    RunPath,
    Said,
    Sha256,
)

Choice = Literal["a", "b", "same", "both bad"]


class ShownCandidate(Record):
    """A candidate as the person could see it: its program and its video, by their files."""

    candidate: FileName
    iteration: int
    outcome: Outcome
    program_sha256: Sha256 | None
    program_file: RunPath | None = Field(description="relative to the run's directory")
    video_file: FilmPath | None = None
    task_score: Finite | None = None
    verdict: OneLine = Field("", description="what became of the person's wish in it")

    def describe(self, unit: str = "") -> str:
        """Return the candidate and what became of it, in a few words."""
        score = "" if self.task_score is None else f", task score {self.task_score:.3g} {unit}"
        score = score.rstrip()
        verdict = f"; {self.verdict}" if self.verdict else ""
        return f"{self.candidate}: {self.outcome}{score}{verdict}"


class SessionEntry(FileRecord):
    """One entry of a session. ``number`` counts from 0, ``time`` is UTC ISO 8601."""

    number: int
    time: str


class Opened(SessionEntry):
    """A front end was opened on the run."""

    kind: Literal["opened"] = "opened"
    front_end: str
    designer: str


class Remarked(SessionEntry):
    """The person said what they saw, and perhaps what they wish; a round answers it."""

    kind: Literal["remarked"] = "remarked"
    candidate: FileName
    description: Said
    wish: Said = ""


class MeasuredRemark(SessionEntry):
    """What of a remark is measured, on the policy that the person watched, before it is answered.

    Without a source nothing is, and ``reason`` says why.
    """

    kind: Literal["measured"] = "measured"
    remark: int = Field(description="its number")
    source: Annotated[str, Field(max_length=200_000)] | None = None
    wish: Wish = Wish()
    values: dict[str, Finite | None] = Field(default_factory=dict, max_length=20)
    reason: OneLine = ""


class Meant(SessionEntry):
    """The person said which measure a point means whose words are not what is measured."""

    kind: Literal["meant"] = "meant"
    remark: int
    point: int = Field(ge=0, description="of the wish, from 0")
    measure: str = Field(description="its name; '' leaves the point out")


class Edited(SessionEntry):
    """The person changed a program; a round trains it."""

    kind: Literal["edited"] = "edited"
    parent: FileName
    program: Annotated[str, Field(max_length=200_000)]


class RoundStarted(SessionEntry):
    """A round of the run began, in answer to an entry."""

    kind: Literal["round_started"] = "round_started"
    iteration: int
    cause: int = Field(description="number of the remark or the edit")
    n_candidates: int
    before: ShownCandidate | None


class RoundEnded(SessionEntry):
    """A round came to its end: ``finished``, ``interrupted`` or ``failed: …``."""

    kind: Literal["round_ended"] = "round_ended"
    iteration: int
    outcome: Outcome
    after: tuple[ShownCandidate, ...] = ()


class Preferred(SessionEntry):
    """The person compared two candidates by their videos."""

    kind: Literal["preferred"] = "preferred"
    a: str
    b: str
    choice: Choice


class Noted(SessionEntry):
    """The person wrote a note, for the record and for the Designer."""

    kind: Literal["noted"] = "noted"
    text: Said


class Decided(SessionEntry):
    """The person accepted or rejected a candidate, or goes on from it (``chosen``)."""

    kind: Literal["decided"] = "decided"
    candidate: FileName
    verdict: Literal["accepted", "rejected", "chosen"]


class MetricDecided(SessionEntry):
    """The person decided how policies are scored."""

    kind: Literal["metric_decided"] = "metric_decided"
    verdict: Literal["accepted", "edited", "replaced", "rejected"]
    metric_sha256: Sha256 | None = None


AnyEntry = Annotated[
    Opened | Remarked | MeasuredRemark | Meant | Edited | RoundStarted | RoundEnded | Preferred
    | Noted | Decided | MetricDecided,
    Field(discriminator="kind"),
]  # fmt: skip
E = TypeVar("E", bound=SessionEntry)
_ENTRY: TypeAdapter[AnyEntry] = TypeAdapter(AnyEntry)


class SessionLog:
    """The entries of the sessions over one run.

    Raises:
        DataError: a line is not an entry.
    """

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / SESSION_FILE
        self._entries = list(read_lines(self._path, _ENTRY))
        self._lock = threading.Lock()

    @property
    def entries(self) -> tuple[AnyEntry, ...]:
        """All entries, oldest first."""
        with self._lock:
            return tuple(self._entries)

    def list(self, kind: type[E]) -> list[E]:
        """Return the entries of one kind, oldest first."""
        return [entry for entry in self.entries if isinstance(entry, kind)]

    def append(self, kind: type[E], **fields: object) -> E:
        """Append an entry, durably.

        Raises:
            UsageError: a text is too long.
            RewardAgentError: the file cannot be written.
        """
        with self._lock:
            number = len(self._entries)
            try:
                entry = kind.model_validate({"number": number, "time": now_utc(), **fields})
            except ValidationError as error:
                raise _refuse(error) from error
            append_record(self._path, entry)
            self._entries.append(_ENTRY.validate_python(entry))
            return entry


def _refuse(error: ValidationError) -> UsageError:
    """Say which text of a person is too long, or else what is wrong with it."""
    first = error.errors()[0]
    name, limit = first["loc"][-1] if first["loc"] else "text", first.get("ctx", {})
    if first["type"] != "string_too_long":
        return UsageError(f"{name}: {first['msg']}", "say it in other words")
    given = f"has {len(first['input']):,} characters"
    return UsageError(f"the {name} {given}, at most {limit['max_length']:,} fit", "shorten it")
