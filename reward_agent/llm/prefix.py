"""Prompt caches of providers: the first call of a round goes ahead, so that the others hit.

A provider's cache holds a prefix only once the reply to the first prompt with it has begun. K calls
sent at the same instant would all pay the full price for what they share.
"""

from __future__ import annotations

import hashlib
import threading
import time

from reward_agent.llm.chat import ChatModel, ChatRequest, Completion
from reward_agent.llm.wrappers import ChatModelWrapper

# Providers keep a prefix at least so long after its last use.
_KEPT_S = 240.0
_POLL_S = 0.05


class LeadingChatModel(ChatModelWrapper):
    """Holds back calls whose prefix is on its way for the first time.

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
            if self._cancel.wait(_POLL_S):
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
