from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from reward_agent.errors import DataError
from reward_agent.llm.cache import CachedChatModel, CompletionCache, make_cache_key
from reward_agent.llm.chat import ALL_AGENTS, ChatMessage, Completion
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
    assert cache.count_by_agent() == {"designer": 16}


def test_file_that_is_no_cache_is_named(tmp_path):
    path = tmp_path / "replies.sqlite"
    path.write_text("not a database " * 100)
    with pytest.raises(DataError, match=r"replies\.sqlite cannot be used"):
        CompletionCache(path)


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be used"):
        CompletionCache(tmp_path / "file" / "replies.sqlite")


def test_failure_is_not_stored(tmp_path, request_):
    class FailingModel(CountingModel):
        def complete(self, request):
            raise DataError("down")

    cache = CompletionCache(tmp_path / "replies.sqlite")
    with pytest.raises(DataError, match="down"):
        CachedChatModel(FailingModel(), cache).complete(request_)
    assert cache.count_by_agent() == {}
