"""The address of the page, and the server behind it."""

from __future__ import annotations

import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import uvicorn

from reward_agent.errors import UsageError
from reward_agent.feedback.session import open_session
from reward_agent.records.options import RunOptions
from reward_agent.web.app import make_app
from reward_agent.web.live import EventHub, LiveSession
from reward_agent.web.security import Guard, is_loopback, make_token

# Pages hold their event stream open; the end of the session does not wait for them.
_SHUTDOWN_S = 2


@dataclass(frozen=True)
class Address:
    """Where the page listens.

    Args:
        host: name or number to bind to.
        port: its port; 0 takes a free one.
        is_exposed: whether a host that others can reach is meant.

    Raises:
        UsageError: others could reach the host, and that was not said to be meant.
    """

    host: str = "127.0.0.1"
    port: int = 0
    is_exposed: bool = False

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.is_exposed:
            raise UsageError(
                f"--host {self.host} lets others reach the page, which starts trainings here",
                "leave --host out, or add --expose-to-network if that is meant",
            )


def serve(
    run: str,
    address: Address,
    *,
    runs_dir: Path | None = None,
    open_browser: bool = False,
    announce: Callable[[str], None] = print,
    **options: Unpack[RunOptions],
) -> None:
    """Serve the page of a feedback session until Ctrl-C.

    Args:
        run: the run's id, the start of it, its path, or ``last``.
        address: where to listen.
        runs_dir: where runs lie.
        open_browser: whether to open the page.
        announce: is told the page's address with its token.
        options: settings of the session.
    """
    hub, token = EventHub(), make_token()
    with (
        open_session(
            run, runs_dir=runs_dir, listen=hub.listen, front_end="page", **options
        ) as session,
        _bind(address) as listener,
    ):
        session.see_that_it_is_agreed()  # whoever sits at the page cannot be asked here
        port = listener.getsockname()[1]
        live = LiveSession(session, hub)
        guarded = Guard(make_app(live), token, address.host, port)
        url = f"http://{_name(address.host)}:{port}/?token={token}"
        announce(url)
        live.start()
        if open_browser:
            threading.Timer(0.5, webbrowser.open, [url]).start()
        try:
            _run(guarded, listener)
        finally:
            live.close()


def _run(app: Guard, listener: socket.socket) -> None:
    """Serve until Ctrl-C, which is the way to end a session."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=_SHUTDOWN_S,
        server_header=False,
        lifespan="off",
    )
    # Once all is closed, uvicorn raises it again.
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except OSError as error:
        raise UsageError(
            f"{address.host}:{address.port} cannot be listened on: {error.strerror or error}",
            "choose another --port, or 0 for a free one",
        ) from error


def _name(host: str) -> str:
    return f"[{host}]" if ":" in host else host
