"""One process that forks the children of all jobs of these tests: its imports are done once."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from reward_agent.sandbox.environment import select_allowed
from reward_agent.sandbox.warm import WarmServer, make_warm_server


class WarmServers:
    """Hands out a server that outlives the runs, or its own to a run that needs another."""

    def __init__(self) -> None:
        self._kept: WarmServer | None = None
        self._environment = select_allowed(os.environ)
        self._end: Callable[[], None] = lambda: None
        self._lock = Lock()
        # A server ends with the thread that has started it.
        self._thread = ThreadPoolExecutor(1)

    def find(self) -> WarmServer | None:
        """Return the kept server, or a new one where this process has another environment."""
        return self.lend() or make_warm_server()

    def lend(self) -> WarmServer | None:
        """Return the kept server where its environment is still that of this process."""
        with self._lock:
            if select_allowed(os.environ) != self._environment:
                return None
            if self._kept is not None and self._kept._process.poll() is not None:
                self.end()
            if self._kept is None:
                self._keep(self._thread.submit(make_warm_server).result())
            return self._kept

    def end(self) -> None:
        """End the kept server."""
        self._end()
        self._kept, self._end = None, lambda: None

    def _keep(self, server: WarmServer | None) -> None:
        if server is not None:
            self._kept, self._end = server, server.close
            server.close = lambda: None
