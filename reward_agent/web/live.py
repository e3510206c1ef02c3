"""A session that is served: its rounds run in a thread, its events reach every open page."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator

from reward_agent.errors import Interrupted, RewardAgentError
from reward_agent.feedback.session import Session
from reward_agent.records.events import (
    Changed,
    Event,
    Failed,
    RoundAnswered,
    TrainedUntil,
    TrainingProgress,
)
from reward_agent.text import show_hidden

# A page that does not read its events for so long is told to load anew.
_MAX_QUEUED = 500
_BEAT_S = 15.0


class EventHub:
    """Passes the events of the rounds' threads on to the pages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[asyncio.Queue[str], asyncio.AbstractEventLoop] = {}
        self._trainings: dict[tuple[str, int], str] = {}

    def listen(self, event: Event) -> None:
        """Receive an event; called by any thread."""
        data = json.dumps(event.to_dict(), ensure_ascii=False)
        message = show_hidden(data, lambda char: json.dumps(ascii(char)[1:-1]))
        with self._lock:
            self._remember(event, message)
            for queue, loop in self._queues.items():
                loop.call_soon_threadsafe(_put, queue, message)

    def _remember(self, event: Event, message: str) -> None:
        """Keep where each training stands, for a page that is opened meanwhile."""
        match event:
            case TrainingProgress():
                self._trainings[event.candidate, event.seed] = message
            case TrainedUntil():
                self._trainings.pop((event.candidate, event.seed), None)
            case RoundAnswered():
                self._trainings.clear()

    async def follow(self) -> AsyncIterator[str]:
        """Yield server-sent events for one page, for as long as it is open."""
        queue: asyncio.Queue[str] = asyncio.Queue(_MAX_QUEUED)
        with self._lock:
            self._queues[queue] = asyncio.get_running_loop()
            running = list(self._trainings.values())
        try:
            for message in running:
                yield f"data: {message}\n\n"
            while True:
                try:
                    yield f"data: {await asyncio.wait_for(queue.get(), _BEAT_S)}\n\n"
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._queues.pop(queue, None)


def _put(queue: asyncio.Queue[str], message: str) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(message)


class LiveSession:
    """A session whose rounds run in a thread of their own."""

    def __init__(self, session: Session, hub: EventHub) -> None:
        self.session = session
        self.hub = hub
        self._wake = threading.Event()
        self._is_closing = False
        self._is_working = False
        self._thread = threading.Thread(target=self._run, name="rounds", daemon=True)

    @property
    def is_working(self) -> bool:
        """Whether a round is running."""
        return self._is_working

    def start(self) -> None:
        """Begin with what waits from an earlier session."""
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Look for rounds that wait."""
        self._wake.set()

    def close(self) -> None:
        """Interrupt what runs; it goes on when the session is opened again."""
        self._is_closing = True
        self._wake.set()
        self.session.interrupt()
        self._thread.join(30)

    def tell_changed(self) -> None:
        """Let every page read the session anew."""
        self.hub.listen(Changed())

    def _run(self) -> None:
        while not self._is_closing:
            self._wake.wait()
            self._wake.clear()
            if self._is_closing:
                return
            try:
                if self.session.waiting:
                    self._is_working = True
                    self.tell_changed()
                    self.session.work()
            except Interrupted:
                return
            except RewardAgentError as error:
                self.hub.listen(Failed(f"{error.message} {error.remedy}".strip()))
            except Exception as error:  # the page stays open, and with it this thread
                self.hub.listen(Failed(f"{type(error).__name__}: {error}"))
            finally:
                self._is_working = False
                self.tell_changed()
