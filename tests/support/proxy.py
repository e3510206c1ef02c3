"""A real proxy on loopback, for tests of what stands in front of a server."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    """Forwards, or refuses with a status and a page."""

    status = 0
    seen: list[str]

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_CONNECT(self) -> None:
        self.seen.append(self.path)
        self.send_error(self.status or 502)

    def do_POST(self) -> None:
        self.seen.append(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.status:
            self.send_error(self.status)
            return
        kept = {name: self.headers[name] for name in ("content-type", "authorization")}
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        # Behind it, every name is this machine.
        port = self.path.split("/")[2].rpartition(":")[2]
        path = "/" + self.path.split("/", 3)[3]
        given = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, kept)
        with direct.open(given) as answer:
            self.send_response(answer.status)
            self.send_header("content-type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write(answer.read())


@contextmanager
def open_proxy(status: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Give the address of a proxy, and a list of what it is asked for.

    Args:
        status: what it refuses all with; 0: it forwards.
    """
    seen: list[str] = []
    handler = type("Handler", (_Handler,), {"status": status, "seen": seen})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
