"""Steering: what a person asks of a running search, and what came of it.

    steering/<id>.json   a request, until the process that holds the run has taken it
    steering.jsonl       what was taken, one a line: who asked for it, when, why, and the point of
                         the search at which it took effect

What a search does follows from its scores and from this journal: a run that is taken up again, or
repeated (``--provider replay:RUN``), does the same at the same points. Requests come from whoever
may write the run's folder: they are checked as they are read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from reward_agent.errors import DataError
from reward_agent.files import list_names, read_bytes
from reward_agent.records.disk import read_lines, refuse_odd_numbers, write_record
from reward_agent.text import clean_text, name_round
from reward_agent.types import FileName, FileRecord, OneLine, Record, Said

REQUESTS_DIR, STEERING_FILE = "steering", "steering.jsonl"
MAX_REQUEST_BYTES = 2**20
# Of one poll; more wait for the next.
MAX_REQUESTS = 50
_REQUEST = re.compile(r"[0-9a-f]{32}\.json")
_MOST_WHY = 300
Via = Literal["terminal", "page", "mcp", "library"]


class Act(Record):
    """What a person asks for, and who asks."""

    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    time: str = Field(max_length=40, description="UTC ISO 8601")
    via: Via
    user: Annotated[OneLine, Field(max_length=100)] = ""
    why: Said = ""

    @property
    def about(self) -> str:
        """The candidate that it is about; '' for none."""
        return str(getattr(self, "candidate", ""))


class Pin(Act):
    """Train a candidate to the end, whatever racing says."""

    kind: Literal["pin"] = "pin"
    candidate: FileName


class Unpin(Act):
    """Let racing decide again."""

    kind: Literal["unpin"] = "unpin"
    candidate: FileName


class Stop(Act):
    """Train a candidate no further."""

    kind: Literal["stop"] = "stop"
    candidate: FileName


class More(Act):
    """Train a candidate so many env steps on from where it stands, beyond its budget, too."""

    kind: Literal["more"] = "more"
    candidate: FileName
    steps: int = Field(ge=1, le=10**12)


class SteeringRemark(Act):
    """Tell the agents of the next round something."""

    kind: Literal["remark"] = "remark"
    words: Said = Field(min_length=1)


class Edit(Act):
    """Train a changed program beside its parent, from the parent's policy as it is now."""

    kind: Literal["edit"] = "edit"
    candidate: FileName = Field(description="the parent")
    program: Annotated[str, Field(max_length=200_000)]


AnyAct = Annotated[Pin | Unpin | Stop | More | SteeringRemark | Edit, Field(discriminator="kind")]
_ACT: TypeAdapter[AnyAct] = TypeAdapter(AnyAct)


class Taken(FileRecord):
    """An act that the run has taken, or refused."""

    act: AnyAct
    iteration: int = Field(ge=0, description="its round; of a remark, the first that reads it")
    at_steps: int | None = Field(
        None, ge=0, description="env steps of the candidate's training at which it took effect"
    )
    refusal: OneLine = Field("", description="why nothing came of it")

    def __str__(self) -> str:
        """What was done, in words."""
        act = self.act
        at = "" if self.at_steps is None else f" at {self.at_steps:,} env steps"
        match act:
            case Pin():
                told = f"{act.candidate} pinned{at}: racing does not stop it"
            case Unpin():
                told = f"{act.candidate} no longer pinned{at}"
            case Stop():
                told = f"{act.candidate} stopped{at}"
            case More():
                told = f"{act.candidate} given {act.steps:,} env steps more{at}"
            case SteeringRemark():
                words = clean_text(act.words, _MOST_WHY)
                told = f"a remark, read from {name_round(self.iteration)} on: {words}"
            case Edit():
                told = f"a changed program of {act.candidate}, from its policy{at}"
        why = f" ({clean_text(act.why, _MOST_WHY)})" if act.why.strip() else ""
        return f"{told}{why}" + (f"; refused: {self.refusal}" if self.refusal else "")

    @property
    def by(self) -> str:
        """Who asked, and from where."""
        return f"{self.act.user or 'somebody'}, {self.act.via}"


_TAKEN: TypeAdapter[Taken] = TypeAdapter(Taken)


def write_request(run_dir: Path, act: AnyAct) -> None:
    """Leave a request for the process that holds a run; requests never overwrite each other."""
    write_record(run_dir / REQUESTS_DIR / f"{act.id}.json", act)


def list_requests(run_dir: Path) -> list[Path]:
    """Return the files of the requests that were not taken yet."""
    folder = run_dir / REQUESTS_DIR
    names = [name for name in list_names(folder) if _REQUEST.fullmatch(name)]
    return [folder / name for name in names[:MAX_REQUESTS]]


def read_request(path: Path) -> AnyAct:
    """Read a request, which anybody may have written.

    Raises:
        DataError: it is none.
    """
    try:
        data = read_bytes(path, MAX_REQUEST_BYTES)
        refuse_odd_numbers(data)
        act = _ACT.validate_json(data)
    except (OSError, ValueError, RecursionError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(f"{path.name} is no request: {what}", "ask again") from error
    if f"{act.id}.json" != path.name:
        raise DataError(f"{path.name} holds another request: {act.id}", "ask again")
    return act


def read_steering(run_dir: Path) -> tuple[Taken, ...]:
    """Return what a run has taken, oldest first.

    Raises:
        DataError: a line is no such record.
    """
    return tuple(read_lines(run_dir / STEERING_FILE, _TAKEN))
