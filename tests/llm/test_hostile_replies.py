"""A ``replies.sqlite`` of a stranger: read within bounds, one clear error, nothing else touched."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from reward_agent.errors import DataError
from reward_agent.llm import database
from reward_agent.llm.budget import Budget
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, ChatRequest, Completion
from reward_agent.llm.replies import REPLIES_FILE, Replies, read_calls, read_replies
from reward_agent.types import Usage

REQUESTS = [
    ChatRequest("designer", "designer/first", (ChatMessage("user", "x" * 3000),), sample_index=n)
    for n in range(40)
]


class Model:
    provider, name, agents, max_concurrency = "p", "m", ALL_AGENTS, 1

    def complete(self, request: ChatRequest) -> Completion:
        return Completion(
            reply="hello", stop_reason="stop", model="m", provider="p",
            usage=Usage(n_calls=1, input_tokens=5, output_tokens=1, usd=0.5),
        )  # fmt: skip


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("record") / REPLIES_FILE
    replies = Replies(path)
    model = CalledChatModel(Model(), budget=Budget(replies=replies))
    for request in REQUESTS:
        model.complete(request)
    replies.close()
    return path


@pytest.fixture
def path(record: Path, tmp_path: Path) -> Path:
    return shutil.copytree(record.parent, tmp_path / "run") / REPLIES_FILE


def run_sql(path: Path, *statements: str) -> None:
    db = sqlite3.connect(path)
    for statement in statements:
        db.executescript(statement)
    db.close()


# What SQLite hangs in ends only so.
pytestmark = pytest.mark.timeout(120, method="thread")
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select "
COLUMNS = "key, request, agent, template, iteration, candidate, prompt, completion, created_at"
FORMS = {
    "endless view": (
        "drop table completions",
        f"create view completions as {ENDLESS} i as key, '' as request, 'designer' as agent, "
        "'t' as template, 0 as iteration, 0 as candidate, '' as prompt, '{}' as completion from n",
    ),
    "endless view of calls": (
        "drop table calls",
        f"create view calls as {ENDLESS} i as id, '' as key, '{{}}' as call from n",
    ),
    "trigger": (
        "create trigger t after insert on calls begin update completions set reply = 1; end",
    ),
    "virtual table": ("create virtual table more using fts5(a)",),
    "virtual calls": ("drop table calls", "create virtual table calls using fts5(id, key, call)"),
    "computed column": (
        "drop table calls",
        "create table calls (id integer primary key, key text, "
        "call text generated always as (hex(zeroblob(500000000))))",
    ),
    "check": ("create table more (a check (hex(zeroblob(400000000)) <> a))",),
    "index": ("create index i on completions (hex(prompt))",),
    "other table": ("create table other (a)",),
    "other columns": ("drop table completions", "create table completions (key, other)"),
}  # fmt: skip


def assert_refused(path: Path, says: str = "") -> None:
    """Hold that replay says one thing, and that reports and resuming pass over it or say it."""
    with pytest.raises(DataError, match=says) as caught:
        read_replies(path.parent)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500
    assert len(read_calls(path.parent)) <= len(REQUESTS)


def resume(path: Path) -> list[str]:
    """Return the warnings of a run that is taken up; its next call is answered all the same."""
    warnings: list[str] = []
    replies = Replies(path, warn=warnings.append)
    model = CalledChatModel(Model(), budget=Budget(replies=replies))
    assert model.complete(REQUESTS[0]).reply == "hello"
    replies.close()
    return warnings


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_none_of_ours(name, path) -> None:
    run_sql(path, *FORMS[name])
    assert_refused(path, "none of ours")
    [warning] = resume(path)
    assert "moved to replies.sqlite.broken" in warning
    assert resume(path) == []


VALUES = {
    "blob": "update completions set prompt = zeroblob(1000), completion = x'ff00fe'",
    "huge blob": "update completions set completion = zeroblob(60000000) where candidate = 3",
    "numbers": "update completions set completion = 5, request = 6.5, template = 7",
    "agent": "update completions set agent = 'root'",
    "iteration": "update completions set iteration = 'many'",
    "large iteration": "update completions set iteration = 9223372036854775807",
    "negative candidate": "update completions set candidate = -1",
    "no JSON": "update completions set completion = 'garbage'",
    "deep": "update completions set completion = '" + "[" * 200_000 + "'",
    "deep object": "update completions set completion = '" + '{"usage":' * 100_000 + "'",
    "other keys": """update completions set completion = '{"reply": "x", "other": 1}'""",
    "no text": "update completions set prompt = cast(x'ff' as text)",
}
USAGES = {
    "negative": {"input_tokens": -5}, "text": {"usd": "much"}, "huge": {"output_tokens": 10**40},
    "endless": {"usd": float("inf")}, "none": {"usd": float("nan")}, "earned": {"usd": -100.0},
    "list": [], "other": {"more": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_values_of_another_type(name, path) -> None:
    run_sql(path, VALUES[name])
    assert_refused(path, "cannot be read")
    resume(path)


@pytest.mark.parametrize("name", USAGES)
def test_costs_that_are_none(name, path) -> None:
    db = sqlite3.connect(path)
    [(completion,), *_] = db.execute("select completion from completions").fetchall()
    [(call,), *_] = db.execute("select call from calls").fetchall()
    for table, column, text in (("completions", "completion", completion), ("calls", "call", call)):
        record = json.loads(text)
        record["usage"] = USAGES[name]
        with db:
            db.execute(f"update {table} set {column} = ?", (json.dumps(record),))
    db.close()
    assert_refused(path, "cannot be read")
    assert read_calls(path.parent) == []
    resume(path)


def test_a_reply_with_any_text_is_read(path) -> None:
    text = "\\u0000 \\u202e " + "x" * 1000
    run_sql(path, f"update completions set completion = replace(completion, 'hello', '{text}')")
    replies = read_replies(path.parent)
    assert all(item.completion.reply.encode() for item in replies)


def test_a_table_that_leads_back_to_itself(path) -> None:
    data = bytearray(path.read_bytes())
    [page_bytes] = struct.unpack(">H", data[16:18])
    n_inner = 0
    for number in range(1, len(data) // page_bytes):
        page = number * page_bytes
        if data[page] == 5:  # an inner page of a table
            n_inner += 1
            n_cells = struct.unpack(">H", data[page + 3 : page + 5])[0]
            data[page + 8 : page + 12] = struct.pack(">I", number + 1)
            for cell in range(n_cells):
                at = page + 12 + 2 * cell
                start = page + struct.unpack(">H", data[at : at + 2])[0]
                data[start : start + 4] = struct.pack(">I", number + 1)
    assert n_inner
    path.write_bytes(data)
    assert_refused(path, "cannot be read")
    resume(path)


def test_time_is_bounded(path, monkeypatch) -> None:
    monkeypatch.setattr(database, "_MAX_S", 0.3)
    db = sqlite3.connect(path)
    database.limit_time(db)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        db.execute(f"{ENDLESS} count(*) from n").fetchall()
    db.close()


def test_the_sum_is_bounded(path, monkeypatch) -> None:
    size = path.stat().st_size
    monkeypatch.setattr(database, "_MAX_FILE_BYTES", size)
    monkeypatch.setattr(database, "_check_files", lambda path, is_alone: None)
    assert read_replies(path.parent)
    monkeypatch.setattr(database, "_MAX_FILE_BYTES", 50_000)
    with pytest.raises(DataError, match="it holds more than"):
        read_replies(path.parent)


def link(path: Path, victim: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to(path.with_name("real"))


def link_out(path: Path, victim: Path) -> None:
    path.unlink()
    path.symlink_to(victim)


def dangle(path: Path, victim: Path) -> None:
    path.unlink()
    path.symlink_to(victim.with_name("new"))


def pipe(path: Path, victim: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path, victim: Path) -> None:
    path.unlink()
    path.mkdir()


def enlarge(path: Path, victim: Path) -> None:
    os.truncate(path, 2**40)


def lay_journal(path: Path, victim: Path) -> None:
    """A journal that names the victim as the one above it: SQLite would delete that."""
    run_sql(path, "pragma journal_mode = delete")
    name = str(victim).encode()
    head = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + struct.pack(">IIIII", 0, 1, 1, 512, 4096)
    tail = struct.pack(">I", 0x40000000 // 4096 + 1) + name
    tail += struct.pack(">II", len(name), sum(name)) + b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
    path.with_name(f"{path.name}-journal").write_bytes(head.ljust(512, b"\0") + tail)


def lay_large_journal(path: Path, victim: Path) -> None:
    head = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + struct.pack(">IIIII", 0, 1, 2**31, 512, 4096)
    path.with_name(f"{path.name}-journal").write_bytes(head.ljust(1024, b"\0"))


def link_journal(path: Path, victim: Path) -> None:
    path.with_name(f"{path.name}-journal").symlink_to(victim)


def lay_log(path: Path, victim: Path) -> None:
    path.with_name(f"{path.name}-wal").write_bytes(b"x" * 1000)


def link_log(path: Path, victim: Path) -> None:
    path.with_name(f"{path.name}-shm").symlink_to(victim)


@pytest.mark.parametrize(
    "lay",
    [link, link_out, dangle, pipe, folder, enlarge, lay_journal, lay_large_journal, link_journal,
     lay_log, link_log],
)  # fmt: skip
def test_what_is_no_plain_file_is_neither_read_nor_written(
    lay: Callable[[Path, Path], None], path, tmp_path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    lay(path, victim)
    with pytest.raises(DataError) as caught:
        read_replies(path.parent)
    assert "\n" not in caught.value.message
    assert read_calls(path.parent) == []
    with pytest.raises(DataError):
        Replies(path)
    assert victim.read_text() == "mine"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["run", "victim"]
