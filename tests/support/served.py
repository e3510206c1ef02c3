"""The page of a session, served by a process of its own, and what a browser asks of it."""

from __future__ import annotations

import http.client
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from support.runs import PROGRAM

# Long enough that a page sees the progress of a training.
STEPS = 32_000


def write_script(path: Path) -> str:
    margins = (0.2, 0.5, 0.31, 0.32, 0.33)
    path.write_text("".join(f"--- reply ---\nPay for {m}.\n\n{PROGRAM % m}\n" for m in margins))
    return f"scripted:{path}"


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Server:
    """A page that is served by a process of its own."""

    url: str
    folder: Path
    cookie: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.url).query)["token"][0]

    def request(self, path: str, form: dict[str, str] | None = None, **headers: str) -> Answer:
        """Ask as the page does; headers replace the page's own (``_`` stands for ``-``)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Cookie": f"reward_agent_{self.port}={self.token}"}
        if form is not None:
            sent["Origin"] = f"http://127.0.0.1:{self.port}"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = urlencode(form) if form is not None else None
        connection.request("GET" if form is None else "POST", path, body, sent)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        connection.close()
        return Answer(response.status, response.headers, text)

    def follow(self, until: str, timeout_s: float = 90.0) -> list[dict[str, object]]:
        """Read the live events until one of a kind has come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        connection.request(
            "GET", "/events", headers={"Cookie": f"reward_agent_{self.port}={self.token}"}
        )
        response = connection.getresponse()
        events: list[dict[str, object]] = []
        while not events or events[-1]["kind"] != until:
            line = response.readline().decode()
            assert line, "the stream ended"
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))
        connection.close()
        return events


def wait_until_up(server: Server) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if server.request("/").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the page did not answer")
