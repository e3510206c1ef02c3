"""One process that forks the children of all runs of these tests: its imports are done once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from reward_agent.sandbox.environment import select_allowed
from reward_agent.sandbox.warm import WarmServer, make_warm_server


class WarmServers:
    """Hands out a server that outlives the runs, or its own to a run that needs another."""

    def __init__(self) -> None:
        self._kept: WarmServer | None = None
        self._environment: dict[str, str] = {}
        self._end: Callable[[], None] = lambda: None

    def find(self) -> WarmServer | None:
        """Return the kept server where its environment is still that of this process.

        One that a thread has started would end with the thread.
        """
        environment = select_allowed(os.environ)
        if self._kept is not None and self._kept._process.poll() is not None:
            self.end()
        if self._kept is None and threading.current_thread() is threading.main_thread():
            self._keep(make_warm_server(), environment)
        is_fit = self._kept is not None and self._environment == environment
        return self._kept if is_fit else make_warm_server()

    def end(self) -> None:
        """End the kept server."""
        self._end()
        self._kept, self._end = None, lambda: None

    def _keep(self, server: WarmServer | None, environment: dict[str, str]) -> None:
        if server is not None:
            self._kept, self._environment, self._end = server, environment, server.close
            server.close = lambda: None
