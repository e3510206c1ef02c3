"""Complete replies in SQLite, so that a resumed run pays for none twice, and can be replayed.

A cache that breaks costs money, not the run: it is put aside with one warning, and the calls go on
without it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from reward_agent.llm.chat import ChatModel, ChatRequest, Completion
from reward_agent.llm.costs import CallLog, make_call_record
from reward_agent.llm.structure import make_reply_schema
from reward_agent.llm.wrappers import ChatModelWrapper

REPLIES_FILE = "replies.sqlite"
CacheMode = Literal["read-write", "read-only", "refresh", "off"]

_SCHEMA = """
create table if not exists completions (
    key text primary key, request text not null, agent text not null, template text not null,
    iteration integer, candidate integer not null, prompt text not null, completion text not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""
# Errors of a file that is not one of ours, or is damaged; a locked or unreadable one stays.
_BROKEN = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR})
_COLUMNS = "key, request, agent, template, iteration, candidate, prompt, completion"


class CompletionCache:
    """A file of completions, keyed by everything that was sent.

    Args:
        path: the SQLite file; made if it is not there. One that is no cache is put aside.
        warn: is told, once, what is wrong with the file.
    """

    def __init__(self, path: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self.path = path
        self._warn = warn
        self._has_warned = False
        self._lock = threading.Lock()
        self._db = self._open()

    def read(self, key: str) -> Completion | None:
        """Return a stored completion, marked as cached."""
        row = None
        with self._lock, self._guard():
            query = "select completion from completions where key = ?"
            row = self._db.execute(query, (key,)).fetchone() if self._db else None
        if row is None:
            return None
        try:
            stored = Completion.model_validate_json(row[0])
        except ValidationError:
            self._tell("it holds a reply that cannot be read, which is asked for again")
            return None
        return stored.model_copy(update={"is_cached": True})

    def write(self, key: str, request: ChatRequest, completion: Completion) -> None:
        """Store a completion for good before it is used."""
        values = (
            key,
            digest_request(request),
            request.agent,
            request.template,
            request.iteration,
            request.sample_index,
            request.prompt,
            completion.model_dump_json(),
        )
        marks = ", ".join("?" * len(values))
        with self._lock, self._guard():
            if self._db is not None:
                with self._db:
                    statement = f"insert or replace into completions ({_COLUMNS}) values ({marks})"
                    self._db.execute(statement, values)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _open(self) -> sqlite3.Connection | None:
        """Open the file, or a new one in place of a broken one."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._connect()
            except sqlite3.Error as error:
                if error.sqlite_errorcode not in _BROKEN:
                    raise
                aside = self.path.replace(self.path.with_name(f"{self.path.name}.broken"))
                self._tell(f"{error}; it was moved to {aside.name}, and its replies are paid again")
                return self._connect()
        except (sqlite3.Error, OSError) as error:
            self._tell(f"{error}; the run goes on without, and a resumed one pays again")
            return None

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, check_same_thread=False, timeout=30)
        try:
            with db:
                db.execute(_SCHEMA)
                db.execute(f"select {_COLUMNS} from completions limit 1")
        except sqlite3.Error:
            db.close()
            raise
        return db

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Go on without the file when it fails."""
        try:
            yield
        except sqlite3.Error as error:
            self._tell(f"{error}; replies that it does not hold are paid for again on --resume")

    def _tell(self, what: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"the reply cache {self.path} cannot be used: {what}")


class CachedChatModel(ChatModelWrapper):
    """Answers from the cache what was asked before; the usage is that of the call that was paid.

    Args:
        inner: the model.
        cache: the file.
        mode: ``read-only`` stores nothing new, ``refresh`` asks again and replaces.
        log: where an answer without a call is noted.
    """

    def __init__(
        self,
        inner: ChatModel,
        cache: CompletionCache,
        mode: CacheMode = "read-write",
        log: CallLog | None = None,
    ) -> None:
        super().__init__(inner)
        self._cache = cache
        self._reads = mode in ("read-write", "read-only")
        self._writes = mode in ("read-write", "refresh")
        self._log = log or CallLog()

    def complete(self, request: ChatRequest) -> Completion:
        """Look up, else call and store."""
        key = make_cache_key(self.inner, request)
        stored = self._cache.read(key) if self._reads else None
        if stored is not None:
            self._log.append(make_call_record(request, stored, "cache"))
            return stored
        completion = self.inner.complete(request)
        if self._writes:
            self._cache.write(key, request, completion)
        return completion


def count_by_agent(path: Path) -> dict[str, int]:
    """Return how many replies of each agent are stored; of a file that is not one of ours none."""
    if not path.is_file():
        return {}
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
            query = "select agent, count(*) from completions group by agent"
            return dict(db.execute(query).fetchall())
    except sqlite3.Error:
        return {}


def make_cache_key(model: ChatModel, request: ChatRequest) -> str:
    """Return the sha256 of everything that is sent, of the model and of the sample index."""
    sent = {"provider": model.provider, "model": model.name, **_describe(request)}
    return _digest(sent)


def digest_request(request: ChatRequest) -> str:
    """Return the sha256 of everything that is sent, whatever the model, and of the sample index."""
    return _digest(_describe(request))


def _describe(request: ChatRequest) -> dict[str, object]:
    kind = request.reply_type
    return {
        "messages": [[turn.role, turn.content] for turn in request.messages],
        "max_output_tokens": request.max_output_tokens,
        "sample_index": request.sample_index,
        "reply_schema": None if kind is None else make_reply_schema(kind),
    }


def _digest(sent: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()
