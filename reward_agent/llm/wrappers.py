"""Wrappers of the shape of a ``ChatModel``: deadline, retry, limits, prompt caches."""

from __future__ import annotations

import hashlib
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from reward_agent.errors import Interrupted, ModelError
from reward_agent.llm.chat import (
    DEFAULT_REPLY_TOKENS,
    ChatModel,
    ChatRequest,
    Completion,
)
from reward_agent.llm.failures import explain_deadline

_POLL_S = 0.1
# Providers keep a prefix at least so long after its last use.
_KEPT_S = 240.0


class ChatModelWrapper:
    """A chat model that passes everything on to another one."""

    def __init__(self, inner: ChatModel) -> None:
        self.inner = inner
        self.provider, self.name, self.agents = inner.provider, inner.name, inner.agents
        self.max_concurrency = inner.max_concurrency

    def complete(self, request: ChatRequest) -> Completion:
        """Pass the request on."""
        return self.inner.complete(request)


class DeadlineChatModel(ChatModelWrapper):
    """Gives up waiting for a call after ``deadline_s``, or at once when cancelled.

    A read timeout alone does not bound a call: a server that sends a byte now and then resets it.
    The call is left behind in a daemon thread, which ends with its connection.
    """

    def __init__(
        self, inner: ChatModel, deadline_s: float, cancel: threading.Event | None = None
    ) -> None:
        super().__init__(inner)
        self._deadline_s = deadline_s
        self._cancel = cancel or threading.Event()

    def complete(self, request: ChatRequest) -> Completion:
        """Wait for the reply, up to the deadline.

        Raises:
            UnreachableError: the deadline has passed.
            Interrupted: the run was cancelled.
        """
        box: queue.Queue[Completion | BaseException] = queue.Queue(maxsize=1)

        def call() -> None:
            try:
                box.put(self.inner.complete(request))
            except BaseException as error:
                box.put(error)

        threading.Thread(target=call, name="chat-call", daemon=True).start()
        result = self._wait(box)
        if isinstance(result, BaseException):
            raise result
        return result

    def _wait(self, box: queue.Queue[Completion | BaseException]) -> Completion | BaseException:
        end = time.monotonic() + self._deadline_s
        while not self._cancel.is_set():
            remaining_s = end - time.monotonic()
            if remaining_s <= 0:
                return explain_deadline(self.provider, self._deadline_s)
            try:
                return box.get(timeout=min(_POLL_S, remaining_s))
            except queue.Empty:
                continue
        return Interrupted("stopped while waiting for the model", "resume the run with --resume")


class RetryingChatModel(ChatModelWrapper):
    """Repeats a call that failed for a passing reason, with growing pauses.

    Args:
        inner: the model; its SDK's own retries are off.
        n_attempts: calls in all.
        first_pause_s: the pause before the second call; it doubles, up to ``max_pause_s``, unless
            the provider names one.
        max_wait_s: a pause longer than this is not waited for.
        give_up_after_s: no further call begins so long after the first.
        cancel: ends a pause at once.
        on_retry: is told why we wait, and for how long.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        n_attempts: int = 5,
        first_pause_s: float = 1.0,
        max_pause_s: float = 60.0,
        max_wait_s: float = 300.0,
        give_up_after_s: float = 1800.0,
        cancel: threading.Event | None = None,
        on_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(inner)
        self._n_attempts = n_attempts
        self._first_pause_s = first_pause_s
        self._max_pause_s = max_pause_s
        self._max_wait_s = max_wait_s
        self._give_up_after_s = give_up_after_s
        self._cancel = cancel or threading.Event()
        self._on_retry = on_retry

    def complete(self, request: ChatRequest) -> Completion:
        """Call until it succeeds, fails for good, or the attempts are used up."""
        failures: list[str] = []
        end = time.monotonic() + self._give_up_after_s
        while True:
            try:
                completion = self.inner.complete(request)
                return completion.model_copy(update={"retries": tuple(failures)})
            except ModelError as error:
                failures.append(error.message)
                pause_s = self._choose_pause(error, len(failures))
                if pause_s is None or time.monotonic() + pause_s > end:
                    raise self._tell_attempts(error, len(failures)) from None
                self._on_retry(f"{error.message}; trying again in {pause_s:.0f} s")
            if self._cancel.wait(pause_s):
                raise Interrupted("stopped while waiting for the model", "use --resume")

    def _choose_pause(self, error: ModelError, n_failures: int) -> float | None:
        """Return the seconds to wait, or None if another call makes no sense."""
        if not error.is_transient or n_failures >= self._n_attempts:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= self._max_wait_s else None
        pause_s = min(self._first_pause_s * 2.0 ** (n_failures - 1), self._max_pause_s)
        # Jitter keeps parallel calls from coming back at the same instant.
        return pause_s * random.uniform(0.75, 1.25)

    @staticmethod
    def _tell_attempts(error: ModelError, n_attempts: int) -> ModelError:
        if n_attempts > 1:
            error.message = f"{error.message} (after {n_attempts} attempts)"
            error.args = (error.message,)
        return error


class LimitedChatModel(ChatModelWrapper):
    """Lets at most ``max_concurrency`` calls through at the same time."""

    def __init__(self, inner: ChatModel, max_concurrency: int | None = None) -> None:
        super().__init__(inner)
        self.max_concurrency = min(max_concurrency or inner.max_concurrency, inner.max_concurrency)
        self._semaphore = threading.BoundedSemaphore(self.max_concurrency)

    def complete(self, request: ChatRequest) -> Completion:
        """Wait for a free place, then call."""
        with self._semaphore:
            return self.inner.complete(request)


class RoomChatModel(ChatModelWrapper):
    """Gives replies more or less room than usual, in proportion to what each request asks for.

    Args:
        inner: the model.
        reply_tokens: the limit of a request that asks for the usual room.
    """

    def __init__(self, inner: ChatModel, reply_tokens: int) -> None:
        super().__init__(inner)
        self._share = reply_tokens / DEFAULT_REPLY_TOKENS

    def complete(self, request: ChatRequest) -> Completion:
        """Set the limit, then call."""
        limit = max(1, round(request.max_output_tokens * self._share))
        return self.inner.complete(replace(request, max_output_tokens=limit))


class LeadingChatModel(ChatModelWrapper):
    """Holds back calls whose prefix is on its way for the first time: the first of a round leads.

    A provider's cache holds a prefix only once the reply to the first prompt with it has begun.
    Calls that are sent at the same instant would all pay the full price for what they share.

    Args:
        inner: the model.
        lead_s: how long they wait at most: by then the first reply has begun.
        cancel: ends waiting.
    """

    def __init__(
        self, inner: ChatModel, lead_s: float = 5.0, cancel: threading.Event | None = None
    ) -> None:
        super().__init__(inner)
        self._lead_s = lead_s
        self._cancel = cancel or threading.Event()
        self._lock = threading.Lock()
        self._ready_at: dict[str, float] = {}
        self._used_at: dict[str, float] = {}

    def complete(self, request: ChatRequest) -> Completion:
        """Lead, or wait for the call that leads."""
        prefix = digest_prefix(request)
        leads = self._enter(prefix)
        while not leads and time.monotonic() < self._ready_at[prefix]:
            if self._cancel.wait(_POLL_S / 2):
                break
        try:
            return self.inner.complete(request)
        finally:
            with self._lock:
                self._used_at[prefix] = time.monotonic()
                if leads:
                    self._ready_at[prefix] = 0.0

    def _enter(self, prefix: str) -> bool:
        """Tell whether a call is the first with its prefix for as long as caches keep one."""
        with self._lock:
            now = time.monotonic()
            is_kept = now - self._used_at.get(prefix, -_KEPT_S) < _KEPT_S
            is_led = now < self._ready_at.get(prefix, 0.0)
            if is_kept or is_led:
                return False
            self._used_at[prefix] = now
            self._ready_at[prefix] = now + self._lead_s
            return True


def digest_prefix(request: ChatRequest) -> str:
    """Return the identity of what a request shares with the others of its round."""
    shared = [turn.content if turn.role == "system" else turn.content[: turn.n_shared]
              for turn in request.messages]  # fmt: skip
    return hashlib.sha256("\0".join(shared).encode("utf-8", "replace")).hexdigest()
