from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from reward_agent.errors import DataError
from reward_agent.llm.budget import Budget, sum_usage
from reward_agent.llm.calls import CalledChatModel
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, Completion
from reward_agent.llm.replies import Replies, make_cache_key, read_calls, read_replies
from reward_agent.types import Critique, Usage


class CountingModel:
    provider = "counting"
    agents = ALL_AGENTS
    max_concurrency = 4

    def __init__(self, name="model-1"):
        self.name = name
        self.n_calls = 0

    def complete(self, request):
        self.n_calls += 1
        usage = Usage(n_calls=1, input_tokens=7, usd=0.5)
        return Completion(
            reply=f"reply {self.n_calls}",
            stop_reason="stop",
            model=self.name,
            provider=self.provider,
            usage=usage,
        )


def keep(model, replies):
    """Return a model whose calls are recorded and answered from the record."""
    return CalledChatModel(model, budget=Budget(replies=replies))


def count_replies(folder):
    with sqlite3.connect(folder / "replies.sqlite") as db:
        [count] = db.execute("select count(*) from completions").fetchone()
    db.close()
    return count


def test_same_request_is_paid_once_also_after_a_restart(tmp_path, request_):
    model = CountingModel()
    first = keep(model, Replies(tmp_path / "replies.sqlite")).complete(request_)
    again = keep(model, Replies(tmp_path / "replies.sqlite")).complete(request_)
    assert model.n_calls == 1
    assert not first.is_cached
    assert again.is_cached
    assert again.model_copy(update={"is_cached": False}) == first


@pytest.mark.parametrize(
    "change",
    [
        {"sample_index": 1},
        {"max_output_tokens": 5},
        {"reply_type": Critique},
        {"messages": (ChatMessage("user", "Hop."),)},
        {"messages": (ChatMessage("system", "You design."), ChatMessage("user", "Hop!"))},
        {"messages": (ChatMessage("system", "You design."), ChatMessage("assistant", "Hop."))},
    ],
)
def test_anything_sent_differently_is_another_request(change, request_):
    model = CountingModel()
    assert make_cache_key(model, request_) != make_cache_key(model, replace(request_, **change))


def test_another_model_is_another_request(request_):
    assert make_cache_key(CountingModel(), request_) != make_cache_key(
        CountingModel("model-2"), request_
    )


def test_template_is_not_sent_and_not_in_the_key(request_):
    model = CountingModel()
    changed = replace(request_, template="designer/other")
    assert make_cache_key(model, request_) == make_cache_key(model, changed)


def test_threads_share_the_record(tmp_path, request_):
    replies = Replies(tmp_path / "replies.sqlite")
    model = keep(CountingModel(), replies)
    requests = [replace(request_, sample_index=index) for index in range(16)]
    threads = [threading.Thread(target=model.complete, args=(item,)) for item in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_replies(tmp_path) == 16


def damage(path, how):
    if how == "no database":
        path.write_text("not a database " * 100)
    elif how == "cut off":
        replies = Replies(path)
        replies.find("makes the file")
        replies.close()
        path.write_bytes(path.read_bytes()[:1500])
    else:
        with sqlite3.connect(path) as db:
            db.execute("create table completions (key text, other text)")
        db.close()


@pytest.mark.parametrize("how", ["no database", "cut off", "other columns"])
def test_broken_file_is_one_warning_and_put_aside(how, tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    damage(path, how)
    warnings = []
    model = CountingModel()
    replies = Replies(path, warn=warnings.append)
    for _ in range(2):
        keep(model, replies).complete(request_)
    assert model.n_calls == 1
    [warning] = warnings
    assert "replies.sqlite cannot be used" in warning
    assert "moved to replies.sqlite.broken" in warning
    assert (tmp_path / "replies.sqlite.broken").is_file()


def test_folder_that_cannot_be_made_is_one_warning_and_calls_go_on(tmp_path, request_):
    (tmp_path / "file").write_text("")
    warnings = []
    model = CountingModel()
    cached = keep(model, Replies(tmp_path / "file" / "replies.sqlite", warn=warnings.append))
    cached.complete(request_)
    cached.complete(request_)
    assert model.n_calls == 2
    assert len(warnings) == 1
    assert "the run goes on without" in warnings[0]


def test_file_damaged_while_in_use_is_one_warning_and_calls_go_on(tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    warnings = []
    replies = Replies(path, warn=warnings.append)
    model = CountingModel()
    cached = keep(model, replies)
    cached.complete(request_)
    path.write_bytes(b"x" * path.stat().st_size)
    for index in range(1, 4):
        assert cached.complete(replace(request_, sample_index=index)).reply
    assert len(warnings) == 1


def test_stored_reply_that_cannot_be_read_is_asked_for_again(tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    model = CountingModel()
    keep(model, Replies(path)).complete(request_)
    with sqlite3.connect(path) as db:
        db.execute("update completions set completion = 'garbage'")
    db.close()
    warnings = []
    cached = keep(model, Replies(path, warn=warnings.append))
    assert cached.complete(request_).reply == "reply 2"
    assert cached.complete(request_).is_cached
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("mode", "n_calls", "replies"),
    [
        ("read-write", 2, ["reply 1", "reply 2", "reply 2"]),
        ("read-only", 3, ["reply 1", "reply 2", "reply 3"]),
        ("refresh", 4, ["reply 2", "reply 3", "reply 4"]),
        ("off", 4, ["reply 2", "reply 3", "reply 4"]),
    ],
)
def test_modes(mode, n_calls, replies, tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    model = CountingModel()
    keep(model, Replies(path)).complete(request_)
    cached = keep(model, Replies(path, mode))
    other = replace(request_, sample_index=7)
    assert [cached.complete(item).reply for item in (request_, other, other)] == replies
    assert model.n_calls == n_calls
    assert len(read_calls(tmp_path)) == 4
    # What was said is on record, whatever is found again.
    assert {item.completion.reply for item in read_replies(tmp_path)} >= {replies[-1]}
    again = keep(model, Replies(path)).complete(other)
    assert again.is_cached is (mode in ("read-write", "refresh"))


def test_record_holds_prompt_and_reply_and_what_it_cost(tmp_path, request_):
    keep(CountingModel(), Replies(tmp_path / "replies.sqlite")).complete(request_)
    [stored] = read_replies(tmp_path)
    assert stored.prompt == "## system\n\nYou design.\n\n## user\n\nHop."
    assert stored.completion.reply == "reply 1"
    assert str(stored.place) == "designer/first"
    [call] = read_calls(tmp_path)
    assert (call.agent, call.outcome, call.usage.usd) == ("designer", "stop", 0.5)


KILLED = """
import os, sys
from pathlib import Path
from reward_agent.llm import replies
from reward_agent.llm.chat import ChatMessage, ChatRequest, Completion
from reward_agent.types import Usage

record = replies.Replies(Path(sys.argv[1]))
insert = replies._insert_call
def insert_and_die(db, call, key):
    if call.candidate == 3:
        os.kill(os.getpid(), 9)
    insert(db, call, key)
replies._insert_call = insert_and_die
for index in range(9):
    turn = ChatMessage("user", "x" * 100_000)
    request = ChatRequest("designer", "designer/first", (turn,), sample_index=index)
    completion = Completion(reply="r", stop_reason="stop", model="m", provider="p", usage=Usage())
    call = replies.make_call_record(request, completion)
    record.note(call, f"key-{index}", request, completion)
"""


def test_killed_process_loses_at_most_the_call_under_way(tmp_path):
    path = tmp_path / "replies.sqlite"
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    # Neither a reply without its cost nor a cost without its reply.
    assert (len(read_replies(tmp_path)), len(read_calls(tmp_path))) == (3, 3)
    record = Replies(path)
    assert [record.find(f"key-{index}") is not None for index in range(5)] == [True] * 3 + [
        False
    ] * 2


def test_processes_share_the_file(tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    caches = [Replies(path) for _ in range(4)]
    models = [keep(CountingModel(f"model-{n}"), c) for n, c in enumerate(caches)]
    requests = [replace(request_, sample_index=index) for index in range(8)]

    def work(model):
        for item in requests:
            model.complete(item)

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_replies(tmp_path) == 32


def test_hits_are_noted_and_cost_nothing(tmp_path, request_):
    model = keep(CountingModel(), Replies(tmp_path / "replies.sqlite"))
    for _ in range(2):
        model.complete(request_)
    paid, hit = read_calls(tmp_path)
    assert (paid.source, hit.source) == ("model", "cache")
    assert paid.usage == hit.usage
    assert sum_usage([hit]) == Usage()


def test_failure_is_not_stored(tmp_path, request_):
    class FailingModel(CountingModel):
        def complete(self, request):
            raise DataError("down")

    replies = Replies(tmp_path / "replies.sqlite")
    with pytest.raises(DataError, match="down"):
        keep(FailingModel(), replies).complete(request_)
    assert count_replies(tmp_path) == 0
