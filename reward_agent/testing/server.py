"""The server: a thread on loopback that plays a script, one step a request."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reward_agent.testing import wires

FAKE_SERVER = "reward-agent-fake"
_STALL_S = 30.0


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def text(self) -> str:
        """Everything that was said so far, system text included, for scripts that answer by it."""
        turns = [self.body.get("system", ""), *self.body.get("messages", [])]
        told = json.dumps(turns, ensure_ascii=False)
        return reduce(lambda text, code: text.replace(code, "(a picture)"), self._coded, told)

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """The pictures of the conversation, as they were sent."""
        return tuple(base64.b64decode(code, validate=True) for code in self._coded)

    @property
    def _coded(self) -> list[str]:
        """Their base64, from OpenAI's data addresses and from Anthropic's blocks."""
        contents = [turn.get("content") for turn in self.body.get("messages", [])]
        blocks = [block for content in contents if isinstance(content, list) for block in content]
        urls = [b["image_url"]["url"] for b in blocks if b.get("type") == "image_url"]
        sources = [b["source"]["data"] for b in blocks if b.get("type") == "image"]
        return [*(url.partition(";base64,")[2] for url in urls), *sources]

    @property
    def is_streamed(self) -> bool:
        """Whether the reply is wanted as events."""
        return bool(self.body.get("stream")) or self.wire.is_streamed

    @property
    def wire(self) -> wires.Wire:
        """Which API is spoken, as the path tells."""
        return wires.choose_wire(self.path)

    @property
    def model(self) -> str:
        """The model that is asked for, in the body or in the path."""
        return str(self.body.get("model") or self.wire.model or "fake")


Script = Iterable[wires.Step] | Callable[[ReceivedRequest], wires.Step]


class FakeLLMServer:
    """Plays a script; of a list, the request after the last step is refused.

    Args:
        script: what to answer.
        models: those that it has, where it is asked for them; none: that is no page of it.
    """

    def __init__(self, script: Script, models: Iterable[str] = ()) -> None:
        self.requests: list[ReceivedRequest] = []
        self.models = tuple(models)
        self._choose = script if callable(script) else _play_in_order(list(script))
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="fake-llm", daemon=True
        )

    def __enter__(self) -> FakeLLMServer:
        """Start to listen."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; stalled connections end."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def openai_url(self) -> str:
        """Base URL for the openai package."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """Base URL for the anthropic package."""
        return self.url

    @property
    def n_requests(self) -> int:
        """How many requests came in."""
        return len(self.requests)

    def next_step(self, request: ReceivedRequest) -> wires.Step:
        """Keep a request and return what to answer."""
        with self._lock:
            self.requests.append(request)
            return self._choose(request)

    def wait(self, seconds: float) -> bool:
        """Wait, unless the server is closing; return whether it is."""
        return self._closing.wait(seconds)


def _play_in_order(steps: list[wires.Step]) -> Callable[[ReceivedRequest], wires.Step]:
    ended = wires.HttpFault(400, "script_ended", f"the script has {len(steps)} steps")
    remaining = iter(steps)
    return lambda _: next(remaining, ended)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that were killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    fake: FakeLLMServer
    protocol_version = "HTTP/1.1"
    # Who measures models can tell that none answers here.
    server_version = FAKE_SERVER

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        """Tell the models that there are."""
        is_known = self.path.partition("?")[0].endswith("/models") and self.fake.models
        missing = wires.HttpFault(404, "not_found", "no such page")
        told = wires.tell_models(self.fake.models) if is_known else wires.tell_error(missing, False)
        self._send(200 if is_known else 404, json.dumps(told))

    def do_POST(self) -> None:
        """Take a request and play the next step."""
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        request = ReceivedRequest(self.path, dict(self.headers.items()), body)
        try:
            step = self.fake.next_step(request)
            step = wires.count_input(step, request.text) if isinstance(step, wires.Say) else step
            self._play(step, request)
        except (BrokenPipeError, ConnectionResetError):
            # The client gave up, which is what some of the tests are about.
            self.close_connection = True

    def _play(self, step: wires.Step, request: ReceivedRequest) -> None:
        wire, model = request.wire, request.model
        tell, is_anthropic = wire.tell, wire.is_anthropic
        match step:
            case wires.Say() if request.is_streamed:
                told = tell(step, model)
                self._send_chunks(wire, [*told.opening, *told.closing])
            case wires.Say():
                self._send(200, json.dumps(tell(step, model).whole))
            case wires.HttpFault():
                body = json.dumps(wires.tell_error(step, is_anthropic))
                self._send(step.status, body, headers=step.headers)
            case wires.RawBody():
                self._send(step.status, step.body, step.content_type)
            case wires.DropConnection():
                self.close_connection = True
                if step.after:
                    self._begin("application/json", {"content-length": "100000"})
                    self.wfile.write(step.after.encode())
            case wires.Stall():
                self._stall(step)
            case wires.BreakStream():
                self.close_connection = True
                fault = step.by if isinstance(step.by, wires.HttpFault) else None
                last = [wires.tell_error_event(fault, is_anthropic)] if fault else []
                opening = tell(wires.Say(step.after), model).opening
                self._send_chunks(
                    wire, [*opening, *last], is_ended=step.by not in ("stall", "drop")
                )
                if step.by == "stall":
                    self.fake.wait(_STALL_S)

    def _begin(self, content_type: str, headers: Mapping[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(
        self,
        status: int,
        body: str,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        data = body.encode("utf-8", "surrogatepass")
        given = {"content-length": str(len(data)), **(headers or {})}
        self._begin(content_type, given, status)
        self.wfile.write(data)

    def _send_chunks(self, wire: wires.Wire, events: Iterable[str], is_ended: bool = True) -> None:
        self._begin(wire.content_type, {"transfer-encoding": "chunked"})
        for event in events:
            data = wire.frame(event)
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        if is_ended:
            self.wfile.write(b"0\r\n\r\n")

    def _stall(self, step: wires.Stall) -> None:
        self.close_connection = True
        if not step.drip:
            self.fake.wait(step.seconds)
            return
        self._begin("application/json", {"transfer-encoding": "chunked"})
        for _ in range(int(step.seconds / 0.05)):
            self.wfile.write(b"1\r\n \r\n")
            if self.fake.wait(0.05):
                return
