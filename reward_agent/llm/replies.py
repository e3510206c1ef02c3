"""The record of a run's replies, ``replies.sqlite``: what was asked, answered and paid.

A call and its reply are written in one step, before the reply is used: a run that is taken up again
pays for none twice, its limits of money hold, and it can be replayed. A file that breaks costs
money, not the run: it is put aside with one warning, and the calls go on without.

The file may also come with the run of a stranger: it is opened with distrust (``database``), and
what it holds is validated row by row.

Runs of earlier versions kept their costs in ``calls.jsonl``, which is read where it is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from reward_agent.errors import DataError
from reward_agent.files import make_folder, read_bytes
from reward_agent.llm.chat import (
    AgentName,
    ChatModel,
    ChatRequest,
    Completion,
    ReplyText,
    make_reply_schema,
)
from reward_agent.llm.database import fetch_rows, limit_time, open_database
from reward_agent.text import name_round
from reward_agent.types import OneLine, Record, Usage

REPLIES_FILE = "replies.sqlite"
OLD_CALLS_FILE = "calls.jsonl"
# How replies are used again; they are recorded in any case.
CacheMode = Literal["read-write", "read-only", "refresh", "off"]
Source = Literal["model", "cache", "replay"]

_REPLIES = """
create table if not exists completions (
    key text primary key, request text not null, agent text not null, template text not null,
    iteration integer, candidate integer not null, prompt text not null, completion text not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""
_CALLS = "create table calls (id integer primary key, key text, call text not null)"
_HAS_CALLS = "select count(*) from sqlite_master where type = 'table' and name = 'calls'"
_TABLES = {"completions": _REPLIES, "calls": _CALLS}
_COLUMNS = "request, agent, template, iteration, candidate, prompt, completion"
# Errors of a file that is not one of ours, or is damaged; a locked or unreadable one stays.
_BROKEN = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
# Ends the key of a reply that is not to be found again.
_APART = "#"


class CallRecord(Record):
    """One call of a language model, or one that was answered without."""

    time: str
    agent: AgentName
    template: str
    iteration: int | None = None
    candidate: int = 0
    provider: str
    model: ReplyText
    source: Source = "model"
    outcome: OneLine = Field(description="why the reply stopped, or why there is none")
    is_failed: bool = False
    usage: Usage
    wall_s: float = 0.0


@dataclass(frozen=True)
class CallPlace:
    """Where in a run a reply belongs; the turns of a conversation share theirs."""

    agent: AgentName
    template: str
    iteration: int | None
    candidate: int

    def __str__(self) -> str:
        """Name it for people."""
        if self.iteration is None:
            return self.template
        return f"{self.template}, {name_round(self.iteration)}, candidate {self.candidate}"


class ReplyRow(Record):
    """A reply of a run in the list: by its number it is shown whole."""

    number: int
    agent: AgentName
    template: OneLine
    iteration: int | None
    candidate: int
    model: str
    prompt_chars: int
    reply_chars: int


class StoredReply(Record):
    """A reply of a run, with the digest and the text of what it answers.

    It is a row of ``completions``, whose columns may hold values of any type.
    """

    request: str
    agent: AgentName
    template: OneLine
    iteration: int | None = Field(None, ge=0, le=10**6)
    candidate: int = Field(ge=0, le=10**6)
    prompt: ReplyText
    completion: Completion

    @property
    def place(self) -> CallPlace:
        """Where in the run it belongs."""
        return CallPlace(self.agent, self.template, self.iteration, self.candidate)

    def to_row(self, number: int) -> ReplyRow:
        """Return what a list says of it."""
        return ReplyRow(
            number=number,
            agent=self.agent,
            template=self.template,
            iteration=self.iteration,
            candidate=self.candidate,
            model=self.completion.model,
            prompt_chars=len(self.prompt),
            reply_chars=len(self.completion.reply),
        )


class Replies:
    """The record of a run in progress.

    Args:
        path: the file, made with the first call; one that is no record is put aside. Without, the
            calls are kept in memory and no reply is found again.
        mode: whether replies are looked up, and whether new ones may be found again.
        warn: is told, once, what is wrong with the file.
    """

    def __init__(
        self,
        path: Path | None = None,
        mode: CacheMode = "read-write",
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path = path
        self._reads = mode in ("read-write", "read-only")
        self._writes = mode in ("read-write", "refresh")
        self._warn = warn
        self._has_warned = False
        self._lock = threading.RLock()
        self._db: sqlite3.Connection | None = None
        self._is_open = False
        if path is not None and os.path.lexists(path):
            self._open()
        self._calls = [] if path is None else read_calls(path.parent)

    @property
    def calls(self) -> tuple[CallRecord, ...]:
        """All calls so far, oldest first."""
        with self._lock:
            return tuple(self._calls)

    def find(self, key: str) -> Completion | None:
        """Return a stored completion, marked as cached."""
        row = None
        with self._lock, self._guard():
            db = self._open() if self._reads else None
            query = "select completion from completions where key = ?"
            row = db.execute(query, (key,)).fetchone() if db is not None else None
        if row is None:
            return None
        try:
            stored = Completion.model_validate_json(str(row[0]))
        except ValidationError:
            self._tell("it holds a reply that cannot be read, which is asked for again")
            return None
        return stored.model_copy(update={"is_cached": True})

    def note(
        self,
        call: CallRecord,
        key: str | None = None,
        request: ChatRequest | None = None,
        completion: Completion | None = None,
    ) -> None:
        """Record a call for good, with the reply that it brought."""
        with self._lock, self._guard():
            self._calls.append(call)
            db = self._open()
            if db is not None:
                with db:
                    if request is not None and completion is not None:
                        key = f"{key}" if self._writes else f"{key}{_APART}{uuid.uuid4()}"
                        _insert_reply(db, key, request, completion)
                    _insert_call(db, call, key)

    def count_by_agent(self) -> dict[str, int]:
        """Return how many replies of each agent can be found again."""
        query = f"select agent, count(*) from completions where key not like '%{_APART}%'"
        with self._lock, self._guard():
            if self._reads and self._db is not None:
                return dict(self._db.execute(f"{query} group by agent").fetchall())
        return {}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> sqlite3.Connection | None:
        """Return the file, opened once, or a new one in place of a broken one; None if neither."""
        if self._is_open or self.path is None:
            return self._db
        self._is_open = True
        try:
            make_folder(self.path.parent)
            try:
                self._db = _connect(self.path)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", None) not in (None, *_BROKEN):
                    raise
                aside = self.path.replace(self.path.with_name(f"{self.path.name}.broken"))
                self._tell(
                    f"{error}; it was moved to {aside.name}: its replies are paid again, and what "
                    "they cost counts no more"
                )
                self._db = _connect(self.path)
        except (sqlite3.Error, OSError) as error:
            self._tell(f"{error}; the run goes on without, and a resumed one pays again")
        return self._db

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Go on without the file when it fails."""
        if self._db is not None:
            limit_time(self._db)
        try:
            yield
        except sqlite3.Error as error:
            self._tell(f"{error}; replies that it does not hold are paid for again on --resume")

    def _tell(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"the record of replies {self.path} cannot be used: {what}")


def read_calls(run_dir: Path) -> list[CallRecord]:
    """Read the calls of a run, oldest first; what cannot be read is passed over."""
    path = run_dir / REPLIES_FILE
    with contextlib.suppress(sqlite3.Error, DataError), contextlib.closing(_peek(path)) as db:
        if db.execute(_HAS_CALLS).fetchone()[0]:
            rows = fetch_rows(db, "select call from calls order by id")
            return list(_parse_calls(str(call) for (call,) in rows))
    return _read_old_calls(run_dir / OLD_CALLS_FILE)


def read_replies(run_dir: Path) -> tuple[StoredReply, ...]:
    """Read the replies of a run, oldest first; the file is not changed.

    Raises:
        DataError: there are none, or the file cannot be read.
    """
    path = run_dir / REPLIES_FILE
    remedy = "only a run that asked a model, or was answered in its place, has replies"
    if not path.is_file():
        raise DataError(f"there are no replies: {path} is missing", remedy)
    try:
        with contextlib.closing(_peek(path)) as db:
            rows = list(fetch_rows(db, f"select {_COLUMNS} from completions order by rowid"))
        replies = tuple(_read_row(row) for row in rows)
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be read: {error}", remedy) from error
    except ValidationError as error:
        why = f"{error.error_count()} values are none of ours"
        raise DataError(f"{path} cannot be read: {why}", remedy) from error
    if not replies:
        raise DataError(f"there are no replies: {path} is empty", remedy)
    return replies


def _read_row(row: tuple[Any, ...]) -> StoredReply:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    completion = Completion.model_validate_json(str(fields.pop("completion")))
    return StoredReply(**fields, completion=completion)


def write_replies(
    run_dir: Path, replies: Iterable[StoredReply], calls: Iterable[CallRecord]
) -> None:
    """Make the record of a run that was handed over: it is replayed, and answers nothing else."""
    with contextlib.closing(_connect(run_dir / REPLIES_FILE)) as db, db:
        for number, reply in enumerate(replies):
            row = {"key": f"{reply.request}{_APART}{number}", **dict(reply)}
            _insert_row(db, row | {"completion": reply.completion.model_dump_json()})
        for call in calls:
            _insert_call(db, call, None)


def make_call_record(
    request: ChatRequest, completion: Completion, source: Source = "model"
) -> CallRecord:
    """Return the record of a request that was answered."""
    return CallRecord(
        time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        agent=request.agent,
        template=request.template,
        iteration=request.iteration,
        candidate=request.sample_index,
        provider=completion.provider,
        model=completion.model,
        source=source,
        outcome=completion.stop_reason,
        usage=completion.usage,
        wall_s=completion.wall_s,
    )


def make_cache_key(model: ChatModel, request: ChatRequest, also: Mapping[str, object] = {}) -> str:
    """Return the sha256 of everything that is sent, of the model and of the sample index.

    Args:
        model: who is asked.
        request: what.
        also: settings that go with each call.
    """
    sent = {"provider": model.provider, "model": model.name, **_describe(request)}
    return _digest(sent | ({"also": dict(also)} if also else {}))


def digest_request(request: ChatRequest) -> str:
    """Return the sha256 of everything that is sent, whatever the model, and of the sample index."""
    return _digest(_describe(request))


def _describe(request: ChatRequest) -> dict[str, object]:
    kind = request.reply_type
    return {
        "messages": [turn.words for turn in request.messages],
        "max_output_tokens": request.max_output_tokens,
        "sample_index": request.sample_index,
        "reply_schema": None if kind is None else make_reply_schema(kind),
    }


def _digest(sent: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def _connect(path: Path) -> sqlite3.Connection:
    """Open a record, or make one; that of an earlier version takes in its calls."""
    db = open_database(path, "rwc", _TABLES)
    try:
        with db:
            # Processes that make the file at the same time do it one after the other.
            db.execute("begin immediate")
            db.execute(_REPLIES)
            if not db.execute(_HAS_CALLS).fetchone()[0]:
                db.execute(_CALLS)
                for call in _read_old_calls(path.with_name(OLD_CALLS_FILE)):
                    _insert_call(db, call, None)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _peek(path: Path) -> sqlite3.Connection:
    """Open a record to read it."""
    # What a killed process left half-written can be taken back only by who may write.
    is_cut_off = path.with_name(f"{path.name}-journal").exists()
    return open_database(path, "rw" if is_cut_off else "ro", _TABLES)


def _insert_reply(
    db: sqlite3.Connection, key: str, request: ChatRequest, completion: Completion
) -> None:
    row = {
        "key": key,
        "request": digest_request(request),
        "agent": request.agent,
        "template": request.template,
        "iteration": request.iteration,
        "candidate": request.sample_index,
        "prompt": request.prompt,
        "completion": completion.model_dump_json(),
    }
    _insert_row(db, row)


def _insert_row(db: sqlite3.Connection, row: Mapping[str, object]) -> None:
    names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
    db.execute(f"insert or replace into completions ({names}) values ({marks})", row)


def _insert_call(db: sqlite3.Connection, call: CallRecord, key: str | None) -> None:
    db.execute("insert into calls (key, call) values (?, ?)", (key, call.model_dump_json()))


def _parse_calls(lines: Iterable[str]) -> Iterator[CallRecord]:
    """Parse calls; one that a killed process left half-written is passed over."""
    for line in lines:
        with contextlib.suppress(ValidationError):
            yield CallRecord.model_validate_json(line)


def _read_old_calls(path: Path) -> list[CallRecord]:
    """Read the lines of an earlier version, which told a failure by its outcome alone."""
    try:
        lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    except (OSError, DataError):
        return []
    return [
        call.model_copy(update={"is_failed": call.outcome.startswith("failed: ")})
        for call in _parse_calls(lines)
    ]
