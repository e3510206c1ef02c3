"""``FakeLLMServer``: a language model's HTTP server on loopback, for tests of providers.

It speaks OpenAI's Chat Completions and Anthropic's Messages, plays a script of replies and faults,
and keeps every request, so that a test can count what was really sent.

    with FakeLLMServer([HttpFault(529), Say("hello")]) as server:
        openai.OpenAI(base_url=server.openai_url, api_key="test")
        anthropic.Anthropic(base_url=server.anthropic_url, api_key="test")
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reward_agent.llm.chat import StopReason

_OPENAI_STOPS = {
    "stop": "stop",
    "length": "length",
    "refusal": "stop",
    "content_filter": "content_filter",
}
_ANTHROPIC_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "refusal": "refusal",
    "content_filter": "refusal",
}


@dataclass(frozen=True)
class Say:
    """A good reply.

    Args:
        text: what the model says.
        stop_reason: why it stopped.
        detail: the category of a refusal, or its text.
        input_tokens: prompt tokens in all, cached ones included.
        cached_tokens: those read from the provider's prompt cache.
        output_tokens: tokens of the reply, reasoning included.
        reasoning_tokens: those of the reasoning.
    """

    text: str
    stop_reason: StopReason = "stop"
    detail: str = ""
    input_tokens: int = 100
    cached_tokens: int = 0
    output_tokens: int = 10
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class HttpFault:
    """A response with an error status, in the form of the provider that is asked."""

    status: int
    kind: str = "error"
    message: str = "scripted fault"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RawBody:
    """A response with success and any body: broken JSON, a web page, an empty object."""

    body: str
    content_type: str = "application/json"
    status: int = 200


@dataclass(frozen=True)
class DropConnection:
    """The connection is closed without a response, or in the middle of one."""

    after: str = ""


@dataclass(frozen=True)
class Stall:
    """Nothing is sent for so long; with ``drip`` a blank every now and then, which is no reply."""

    seconds: float = 30.0
    drip: bool = False


Step = Say | HttpFault | RawBody | DropConnection | Stall


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class FakeLLMServer:
    """Plays a script, one step a request; the request after the last one is refused.

    Args:
        steps: what to answer, in order.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self.requests: list[ReceivedRequest] = []
        self._steps = list(steps)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self._server.daemon_threads = True
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

    def next_step(self, request: ReceivedRequest) -> Step:
        """Keep a request and return what to answer."""
        with self._lock:
            index = len(self.requests)
            self.requests.append(request)
        if index < len(self._steps):
            return self._steps[index]
        return HttpFault(400, "script_ended", f"the script has {len(self._steps)} steps")

    def wait(self, seconds: float) -> bool:
        """Wait, unless the server is closing; return whether it is."""
        return self._closing.wait(seconds)


def _make_handler(server: FakeLLMServer) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        fake = server

    return Handler


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    fake: FakeLLMServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_POST(self) -> None:
        """Take a request and play the next step."""
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        request = ReceivedRequest(self.path, dict(self.headers.items()), body)
        step = self.fake.next_step(request)
        try:
            self._play(step, request)
        except (BrokenPipeError, ConnectionResetError):
            # The client gave up, which is what some of the tests are about.
            self.close_connection = True

    def _play(self, step: Step, request: ReceivedRequest) -> None:
        is_anthropic = request.path.endswith("/messages")
        match step:
            case Say():
                make = _make_message if is_anthropic else _make_chat_completion
                self._send(200, json.dumps(make(step, request.body.get("model", "fake"))))
            case HttpFault():
                make_error = _make_anthropic_error if is_anthropic else _make_openai_error
                self._send(step.status, json.dumps(make_error(step)), headers=step.headers)
            case RawBody():
                self._send(step.status, step.body, step.content_type)
            case DropConnection():
                self._drop(step)
            case Stall():
                self._stall(step)

    def _send(
        self,
        status: int,
        body: str,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        data = body.encode("utf-8", "surrogatepass")
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _drop(self, step: DropConnection) -> None:
        self.close_connection = True
        if step.after:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "100000")
            self.end_headers()
            self.wfile.write(step.after.encode())

    def _stall(self, step: Stall) -> None:
        self.close_connection = True
        if not step.drip:
            self.fake.wait(step.seconds)
            return
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for _ in range(int(step.seconds / 0.05)):
            self.wfile.write(b"1\r\n \r\n")
            if self.fake.wait(0.05):
                return


def _make_chat_completion(say: Say, model: str) -> dict[str, Any]:
    is_refusal = say.stop_reason == "refusal"
    message = {
        "role": "assistant",
        "content": None if is_refusal else say.text,
        "refusal": (say.detail or "I cannot help with that.") if is_refusal else None,
    }
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [
            {"index": 0, "message": message, "finish_reason": _OPENAI_STOPS[say.stop_reason]}
        ],
        "usage": {
            "prompt_tokens": say.input_tokens,
            "completion_tokens": say.output_tokens,
            "total_tokens": say.input_tokens + say.output_tokens,
            "prompt_tokens_details": {"cached_tokens": say.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": say.reasoning_tokens},
        },
    }


def _make_message(say: Say, model: str) -> dict[str, Any]:
    details = {"type": "refusal", "category": say.detail or None, "explanation": None}
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": say.text}] if say.text else [],
        "stop_reason": _ANTHROPIC_STOPS[say.stop_reason],
        "stop_sequence": None,
        "stop_details": details if say.stop_reason == "refusal" else None,
        "usage": {
            "input_tokens": say.input_tokens - say.cached_tokens,
            "cache_read_input_tokens": say.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": say.output_tokens,
            "output_tokens_details": {"thinking_tokens": say.reasoning_tokens},
        },
    }


def _make_openai_error(fault: HttpFault) -> dict[str, Any]:
    return {"error": {"message": fault.message, "type": fault.kind, "code": fault.kind}}


def _make_anthropic_error(fault: HttpFault) -> dict[str, Any]:
    return {"type": "error", "error": {"type": fault.kind, "message": fault.message}}
