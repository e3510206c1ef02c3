from __future__ import annotations

import threading
import time

import pytest

from reward_agent.errors import DataError, Interrupted, ModelError, UnreachableError
from reward_agent.llm.calls import CalledChatModel, CallPolicy
from reward_agent.llm.chat import ALL_AGENTS, Completion
from reward_agent.llm.provider import ProviderOptions


class StubModel:
    """Calls a function for each request."""

    provider = "stub"
    name = "stub-1"
    agents = ALL_AGENTS
    max_concurrency = 8

    def __init__(self, act):
        self._act = act
        self.n_calls = 0

    def complete(self, request):
        self.n_calls += 1
        reply = self._act(request)
        return Completion(reply=reply, stop_reason="stop", model=self.name, provider=self.provider)


def call(act, **policy):
    return CalledChatModel(StubModel(act), policy=CallPolicy(**policy))


def test_nothing_is_paid_for_what_is_not_as_it_was(request_):
    model = call(lambda request: "x")

    def guard():
        raise DataError("robot was changed")

    model._budget.guard = guard
    with pytest.raises(DataError, match="robot was changed"):
        model.complete(request_)
    assert model._plain.n_calls == 0
    assert not model._budget.replies.calls


def test_pauses_double_and_are_bounded(request_, monkeypatch):
    pauses: list[float] = []

    def fail(_):
        raise UnreachableError("down", is_transient=True)

    model = call(fail, n_attempts=6, first_pause_s=1, max_pause_s=4)
    monkeypatch.setattr(model._cancel, "wait", lambda pause_s: bool(pauses.append(pause_s)))
    with pytest.raises(UnreachableError):
        model.complete(request_)
    expected = [1, 2, 4, 4, 4]
    assert len(pauses) == len(expected)
    assert all(0.75 * e <= p <= 1.25 * e for p, e in zip(pauses, expected, strict=True))


def test_no_call_begins_after_the_time_is_up(request_):
    def fail(_):
        raise UnreachableError("down", is_transient=True)

    model = call(fail, first_pause_s=10, give_up_after_s=1)
    with pytest.raises(UnreachableError):
        model.complete(request_)
    assert model._plain.n_calls == 1


def test_cancel_ends_a_pause(request_):
    cancel = threading.Event()

    def fail(_):
        raise UnreachableError("down", is_transient=True)

    model = CalledChatModel(
        StubModel(fail),
        policy=CallPolicy(first_pause_s=1e6),
        options=ProviderOptions(cancel=cancel),
        on_retry=lambda _: cancel.set(),
    )
    with pytest.raises(Interrupted):
        model.complete(request_)


def test_cancel_ends_a_call(request_):
    cancel = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    options = ProviderOptions(cancel=cancel)
    is_left = threading.Event()
    model = CalledChatModel(StubModel(lambda _: is_left.wait() or "late"), options=options)
    with pytest.raises(Interrupted):
        model.complete(request_)
    is_left.set()


def test_deadline_passes_on_what_the_call_raises(request_):
    def fail(_):
        raise ModelError("no such model")

    with pytest.raises(ModelError, match="no such model"):
        call(fail).complete(request_)


def test_limit_holds_calls_back(request_):
    running, seen, lock = [0], [0], threading.Lock()

    def work(_):
        with lock:
            running[0] += 1
            seen[0] = max(seen[0], running[0])
        time.sleep(0.03)
        with lock:
            running[0] -= 1
        return "x"

    model = call(work, max_concurrency=2)
    threads = [threading.Thread(target=model.complete, args=(request_,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.max_concurrency == 2
    assert seen[0] == 2


def test_a_called_model_shows_the_plain_one():
    model = call(str)
    assert (model.provider, model.name, model.agents, model.max_concurrency) == (
        "stub",
        "stub-1",
        ALL_AGENTS,
        8,
    )
