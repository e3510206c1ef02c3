"""Several calls at a time, and calls that nobody waits for yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_threads(n_threads: int, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply a function to the items, several at a time; see ``collect``."""
    pool = ThreadPoolExecutor(max(1, n_threads), thread_name_prefix="candidate")
    try:
        return collect([pool.submit(function, item) for item in items])
    finally:
        # Not waiting: after Ctrl-C a reply that is still under way must not hold up the end.
        pool.shutdown(wait=False, cancel_futures=True)


def collect(futures: Sequence[Future[R]]) -> list[R]:
    """Wait for calls and return their results in order.

    The first exception ends the wait at once, and what is not begun then never is.
    """
    ended: SimpleQueue[Future[R]] = SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    try:
        for _ in futures:
            ended.get().result()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [future.result() for future in futures]


class Background:
    """Runs calls one after the other, in a thread of its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="background")
        self._futures: list[Future[object]] = []

    def add(self, call: Callable[[], object]) -> None:
        """Run a call when those before it have ended."""
        self._futures.append(self._pool.submit(call))

    def finish(self) -> None:
        """Wait for all calls; an exception of the first that raised one is raised here."""
        pending, self._futures = self._futures, []
        collect(pending)
