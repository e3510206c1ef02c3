from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace

import pytest

from reward_agent.errors import DataError
from reward_agent.llm.cache import CachedChatModel, CompletionCache, count_by_agent, make_cache_key
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, Completion
from reward_agent.llm.costs import CallLog, read_calls, sum_usage
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


def test_same_request_is_paid_once_also_after_a_restart(tmp_path, request_):
    model = CountingModel()
    first = CachedChatModel(model, CompletionCache(tmp_path / "replies.sqlite")).complete(request_)
    again = CachedChatModel(model, CompletionCache(tmp_path / "replies.sqlite")).complete(request_)
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


def test_inputs_and_template_are_not_sent_and_not_in_the_key(request_):
    model = CountingModel()
    changed = replace(request_, inputs=object(), template="designer/other")
    assert make_cache_key(model, request_) == make_cache_key(model, changed)


def test_threads_share_the_cache(tmp_path, request_):
    cache = CompletionCache(tmp_path / "replies.sqlite")
    model = CachedChatModel(CountingModel(), cache)
    requests = [replace(request_, sample_index=index) for index in range(16)]
    threads = [threading.Thread(target=model.complete, args=(item,)) for item in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_by_agent(cache.path) == {"designer": 16}


def damage(path, how):
    if how == "no database":
        path.write_text("not a database " * 100)
    elif how == "cut off":
        CompletionCache(path).close()
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
    cache = CompletionCache(path, warnings.append)
    for _ in range(2):
        CachedChatModel(model, cache).complete(request_)
    assert model.n_calls == 1
    [warning] = warnings
    assert "replies.sqlite cannot be used" in warning
    assert "moved to replies.sqlite.broken" in warning
    assert (tmp_path / "replies.sqlite.broken").is_file()


def test_folder_that_cannot_be_made_is_one_warning_and_calls_go_on(tmp_path, request_):
    (tmp_path / "file").write_text("")
    warnings = []
    model = CountingModel()
    cached = CachedChatModel(
        model, CompletionCache(tmp_path / "file" / "replies.sqlite", warnings.append)
    )
    cached.complete(request_)
    cached.complete(request_)
    assert model.n_calls == 2
    assert len(warnings) == 1
    assert "the run goes on without" in warnings[0]


def test_file_damaged_while_in_use_is_one_warning_and_calls_go_on(tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    warnings = []
    cache = CompletionCache(path, warnings.append)
    model = CountingModel()
    cached = CachedChatModel(model, cache)
    cached.complete(request_)
    path.write_bytes(b"x" * path.stat().st_size)
    for index in range(1, 4):
        assert cached.complete(replace(request_, sample_index=index)).reply
    assert len(warnings) == 1


def test_stored_reply_that_cannot_be_read_is_asked_for_again(tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    model = CountingModel()
    CachedChatModel(model, CompletionCache(path)).complete(request_)
    with sqlite3.connect(path) as db:
        db.execute("update completions set completion = 'garbage'")
    db.close()
    warnings = []
    cached = CachedChatModel(model, CompletionCache(path, warnings.append))
    assert cached.complete(request_).reply == "reply 2"
    assert cached.complete(request_).is_cached
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("mode", "n_calls", "replies"),
    [
        ("read-write", 2, ["reply 1", "reply 2", "reply 2"]),
        ("read-only", 3, ["reply 1", "reply 2", "reply 3"]),
        ("refresh", 4, ["reply 2", "reply 3", "reply 4"]),
    ],
)
def test_modes(mode, n_calls, replies, tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    model = CountingModel()
    CachedChatModel(model, CompletionCache(path)).complete(request_)
    cached = CachedChatModel(model, CompletionCache(path), mode)
    other = replace(request_, sample_index=7)
    assert [cached.complete(item).reply for item in (request_, other, other)] == replies
    assert model.n_calls == n_calls


def test_processes_share_the_file(tmp_path, request_):
    path = tmp_path / "replies.sqlite"
    caches = [CompletionCache(path) for _ in range(4)]
    models = [CachedChatModel(CountingModel(f"model-{n}"), c) for n, c in enumerate(caches)]
    requests = [replace(request_, sample_index=index) for index in range(8)]

    def work(model):
        for item in requests:
            model.complete(item)

    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_by_agent(path) == {"designer": 32}


def test_hits_are_noted_and_cost_nothing(tmp_path, request_):
    log = CallLog(tmp_path / "calls.jsonl")
    model = CachedChatModel(CountingModel(), CompletionCache(tmp_path / "r.sqlite"), log=log)
    for _ in range(2):
        model.complete(request_)
    [hit] = read_calls(tmp_path / "calls.jsonl")
    assert hit.source == "cache"
    assert sum_usage([hit]) == Usage()


def test_failure_is_not_stored(tmp_path, request_):
    class FailingModel(CountingModel):
        def complete(self, request):
            raise DataError("down")

    cache = CompletionCache(tmp_path / "replies.sqlite")
    with pytest.raises(DataError, match="down"):
        CachedChatModel(FailingModel(), cache).complete(request_)
    assert count_by_agent(cache.path) == {}
