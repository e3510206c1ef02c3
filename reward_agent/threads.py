"""Several calls at a time, in the order of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_threads(n_threads: int, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Apply a function to the items, several at a time; the order of results is the items'."""
    pool = ThreadPoolExecutor(max(1, n_threads), thread_name_prefix="candidate")
    try:
        return list(pool.map(function, items))
    finally:
        # Not waiting: after Ctrl-C a reply that is still under way must not hold up the end.
        pool.shutdown(wait=False, cancel_futures=True)
