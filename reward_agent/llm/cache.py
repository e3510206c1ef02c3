"""Complete replies in SQLite, so that a resumed run pays for none twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from reward_agent.errors import DataError
from reward_agent.llm.chat import ChatModel, ChatRequest, Completion
from reward_agent.llm.structure import make_reply_schema
from reward_agent.llm.wrappers import ChatModelWrapper

_SCHEMA = """
create table if not exists completions (
    key text primary key, agent text not null, template text not null, provider text not null,
    model text not null, completion text not null,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""


class CompletionCache:
    """A file of completions, keyed by everything that was sent.

    Args:
        path: the SQLite file; made if it is not there.

    Raises:
        DataError: the file is not a cache.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=30)
            with self._db:
                self._db.execute(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error

    def read(self, key: str) -> Completion | None:
        """Return a stored completion, marked as cached."""
        with self._lock, self._guard():
            row = self._db.execute(
                "select completion from completions where key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        try:
            stored = Completion.model_validate_json(row[0])
        except ValidationError as error:
            raise self._explain(error) from error
        return stored.model_copy(update={"is_cached": True})

    def write(self, key: str, request: ChatRequest, completion: Completion) -> None:
        """Store a completion for good before it is used."""
        values = (
            key,
            request.agent,
            request.template,
            completion.provider,
            completion.model,
            completion.model_dump_json(),
        )
        with self._lock, self._guard(), self._db:
            self._db.execute(
                "insert or replace into completions"
                " (key, agent, template, provider, model, completion) values (?, ?, ?, ?, ?, ?)",
                values,
            )

    def count_by_agent(self) -> dict[str, int]:
        """Return how many replies of each agent are stored."""
        with self._lock, self._guard():
            rows = self._db.execute("select agent, count(*) from completions group by agent")
            return dict(rows.fetchall())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> DataError:
        return DataError(
            f"the reply cache {self.path} cannot be used: {error}",
            "free disk space, or delete the file (its replies would be paid for again)",
        )


class CachedChatModel(ChatModelWrapper):
    """Answers from the cache what was asked before; the usage is that of the call that was paid."""

    def __init__(self, inner: ChatModel, cache: CompletionCache) -> None:
        super().__init__(inner)
        self._cache = cache

    def complete(self, request: ChatRequest) -> Completion:
        """Look up, else call and store."""
        key = make_cache_key(self.inner, request)
        stored = self._cache.read(key)
        if stored is not None:
            return stored
        completion = self.inner.complete(request)
        self._cache.write(key, request, completion)
        return completion


def make_cache_key(model: ChatModel, request: ChatRequest) -> str:
    """Return the sha256 of everything that is sent, of the model and of the sample index."""
    kind = request.reply_type
    sent = {
        "provider": model.provider,
        "model": model.name,
        "messages": [[turn.role, turn.content] for turn in request.messages],
        "max_output_tokens": request.max_output_tokens,
        "sample_index": request.sample_index,
        "reply_schema": None if kind is None else make_reply_schema(kind),
    }
    return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()
