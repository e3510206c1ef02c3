"""A SQLite file that may be a stranger's, opened with distrust.

SQLite follows links, takes back what a journal beside a file says, and runs what a file holds as
views, triggers or computed columns. So the file and what lies beside it have to be plain and of a
bounded size, its tables those of the caller, word for word; and what is read of it is bounded in
time and in sum, since the pages of a broken table may lead round in circles.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from reward_agent.errors import DataError
from reward_agent.files import check_plain, open_plain

# A search of 16 candidates and five rounds leaves 20 MB.
_MAX_FILE_BYTES = 256 * 2**20
_MAX_CELL_BYTES = 48 * 2**20
_MAX_S = 20.0
# Ends a journal that names another file, which SQLite would open and may delete.
_NAMES_ANOTHER = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_REMEDY = "remove it: what it held is lost, or it was never ours"


def open_database(
    path: Path, mode: Literal["ro", "rw", "rwc"], tables: Mapping[str, str]
) -> sqlite3.Connection:
    """Open a file that holds some of these tables, by name and ``create table`` statement.

    Raises:
        DataError: what lies there is no plain file of a bounded size, or a journal beside it is of
            a kind that we never leave.
        sqlite3.Error: it cannot be opened, or holds something else.
    """
    _check_files(path, is_alone=mode != "ro")
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=30)
    try:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_CELL_BYTES)
        db.execute("pragma trusted_schema = off")
        limit_time(db)
        _check_tables(db, tables)
    except sqlite3.Error:
        db.close()
        raise
    return db


def limit_time(db: sqlite3.Connection) -> None:
    """Interrupt what is asked of a file from now on when it takes too long."""
    end = time.monotonic() + _MAX_S
    db.set_progress_handler(lambda: time.monotonic() > end, 10_000)


def fetch_rows(db: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Yield rows up to a sum: those of a broken table may be the same bytes again and again.

    Raises:
        sqlite3.Error: there are more, or they cannot be read.
    """
    n_bytes = 0
    for row in db.execute(query):
        n_bytes += 100 + sum(len(cell) for cell in row if isinstance(cell, str | bytes))
        if n_bytes > _MAX_FILE_BYTES:
            raise sqlite3.DataError(f"it holds more than {_MAX_FILE_BYTES >> 20} MiB")
        yield row


def _check_files(path: Path, *, is_alone: bool) -> None:
    for kind in ("", "-journal", "-wal", "-shm"):
        file = path.with_name(path.name + kind)
        check_plain(file, is_alone=is_alone)
        # A process that works on the file may remove its journal at any time.
        with suppress(FileNotFoundError), os.fdopen(open_plain(file), "rb") as opened:
            n_bytes = opened.seek(0, os.SEEK_END)
            if n_bytes > _MAX_FILE_BYTES:
                raise DataError(f"{file} is larger than {_MAX_FILE_BYTES >> 20} MiB", _REMEDY)
            opened.seek(max(0, n_bytes - len(_NAMES_ANOTHER)))
            names_another = opened.read() == _NAMES_ANOTHER
            opened.seek(16)
            n_pages, _, page_bytes = (int.from_bytes(opened.read(4)) for _ in range(3))
            # What it takes the file back to.
            is_ours = not names_another and n_pages * page_bytes <= _MAX_FILE_BYTES
            if kind in ("-wal", "-shm") or (kind == "-journal" and not is_ours):
                raise DataError(f"{file} is no journal of ours", _REMEDY)


def _check_tables(db: sqlite3.Connection, tables: Mapping[str, str]) -> None:
    for kind, name, sql in db.execute("select type, name, sql from sqlite_master"):
        is_key = kind == "index" and sql is None
        is_ours = kind == "table" and _squeeze(f"{sql}") == _squeeze(tables.get(f"{name}", ""))
        if not is_key and not is_ours:
            raise sqlite3.DatabaseError(f"it holds a {kind} that is none of ours")


def _squeeze(sql: str) -> str:
    return " ".join(sql.lower().replace("if not exists", "").split())
