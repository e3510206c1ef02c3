"""The routes of the page: each calls one method of the session and renders one part."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from reward_agent import report
from reward_agent.control import steer
from reward_agent.control.steer import Asker
from reward_agent.errors import RewardAgentError, UsageError
from reward_agent.feedback.records import Choice
from reward_agent.records.steering import More, Pin, Stop
from reward_agent.web.live import LiveSession
from reward_agent.web.parts import Parts

_MAX_FORM_BYTES = 1_000_000
_MAX_FIELDS = 20
_STATIC = Path(__file__).parent / "static"
_REPORT = Path(str(report.__file__)).parent
_MEDIA_TYPES = {".webp": "image/webp", ".mp4": "video/mp4"}
_CHOICES: dict[str, Choice] = {"a": "a", "b": "b", "same": "same", "both bad": "both bad"}

Form = dict[str, str]
Action = Callable[[Form], str]


def make_app(live: LiveSession) -> Starlette:
    """Return the page of a session; who may use it is decided by what stands before it."""
    page = _Page(live)
    parts = {
        "status": lambda _: page.parts.render_status(),
        "tree": lambda _: page.parts.render_tree(),
        "chat": lambda _: page.parts.render_chat(),
        "watch": lambda _: page.parts.render_watch(),
        "compare": lambda _: page.parts.render_compare(),
        "metric": lambda _: page.parts.render_metric(),
        "candidate": lambda form: page.parts.render_candidate(form.get("id", "")),
        "edit": lambda form: page.parts.render_editor(form.get("id", "")),
    }
    actions: dict[str, Action] = {
        "remark": page.remark,
        "mean": page.mean,
        "note": page.note,
        "vote": page.vote,
        "decide": page.decide,
        "check": page.check,
        "edit": page.edit,
        "film": page.film,
        "stop": page.stop,
        "steer": page.steer,
        "metric": page.decide_metric,
    }
    return Starlette(
        routes=[
            Route("/", _show(lambda _: page.parts.render_page())),
            *(Route(f"/part/{name}", _show(part)) for name, part in parts.items()),
            *(Route(f"/do/{name}", _do(act), methods=["POST"]) for name, act in actions.items()),
            Route("/film/{name}", page.send_film),
            Route("/events", page.follow),
            Route("/report.css", lambda _: FileResponse(_REPORT / "page.css")),
            Route("/film.js", lambda _: FileResponse(_REPORT / "film.js")),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
    )


class _Page:
    """What a person does on the page."""

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self._session = live.session
        self.parts = Parts(live)

    def remark(self, form: Form) -> str:
        self._session.remark(
            form.get("description", ""), form.get("wish", ""), form.get("about", "")
        )
        self._live.wake()
        return self._render_chat()

    def mean(self, form: Form) -> str:
        asked = (form.get("remark", ""), form.get("point", ""))
        for question in self._session.questions:
            if (str(question.remark), str(question.index)) == asked:
                self._session.mean(question, form.get("measure", ""))
        self._live.wake()
        return self._render_chat()

    def note(self, form: Form) -> str:
        self._session.note(form.get("description", "") or form.get("wish", ""))
        return self._render_chat()

    def vote(self, form: Form) -> str:
        choice = _CHOICES.get(form.get("choice", ""))
        if choice is None:
            raise UsageError("the answer is none of a, b, same and both bad", "press a button")
        asked = form.get("question", "")
        question = int(asked) if re.fullmatch("[0-9]{1,9}", asked) else None
        a, b = (self.parts.find_hidden(form.get(side, "")) for side in ("a", "b"))
        self._session.prefer(a, b, choice, question)
        self._live.tell_changed()
        return self.parts.render_compare()

    def decide(self, form: Form) -> str:
        name, verdict = form.get("id", ""), form.get("verdict", "")
        session = self._session
        acts: dict[str, Callable[[str], object]] = {
            "choose": session.choose,
            "accept": session.accept,
            "reject": session.reject,
        }
        if verdict not in acts:
            raise UsageError(f"{verdict!r} is no decision", f"one of {', '.join(acts)}")
        acts[verdict](name)
        self._live.tell_changed()
        return self.parts.render_candidate(name)

    def check(self, form: Form) -> str:
        return self.parts.render_findings(form.get("program", ""))

    def edit(self, form: Form) -> str:
        program = form.get("program", "").replace("\r\n", "\n")
        report = self._session.edit(form.get("id", ""), program)
        if report.is_accepted:
            self._live.wake()
            self._live.tell_changed()
        return self.parts.render_findings(program, is_handed_in=True)

    def film(self, form: Form) -> str:
        name = form.get("id", "")
        note = self._session.film(self.parts.find_hidden(name))
        return self.parts.render_film(name, note)

    def stop(self, form: Form) -> str:
        self._session.stop()
        return self.parts.render_status()

    def steer(self, form: Form) -> str:
        """Steer a training that is under way; return what was done."""
        store, asker, name = self._session.store, Asker("page"), form.get("id", "")
        steps, why = form.get("steps", ""), form.get("why", "")
        match form.get("act"):
            case "pin":
                result = steer.ask(store, Pin, name, asker, why)
            case "stop":
                result = steer.ask(store, Stop, name, asker, why)
            case "more" if re.fullmatch("[0-9]{1,12}", steps):
                result = steer.ask(store, More, name, asker, why, steps=int(steps))
            case "remark":
                result = steer.remark(store, form.get("words", ""), asker, why)
            case act:
                raise UsageError(f"{act!r} is no act", "one of pin, stop, more (steps), remark")
        return escape(result.told or "asked; it waits for the run")

    def decide_metric(self, form: Form) -> str:
        if form.get("verdict") == "accept":
            self._session.accept_metric()
        elif form.get("verdict") == "reject":
            self._session.reject_metric()
        else:
            source = form.get("program", "").replace("\r\n", "\n")
            trial = self._session.edit_metric(source)
            if trial.refusal:
                return self.parts.render_metric(f"not taken: {trial.refusal}", source)
        self._live.tell_changed()
        return self.parts.render_metric()

    async def send_film(self, request: Request) -> Response:
        """Send a candidate's video."""
        try:
            path = await run_in_threadpool(self.parts.find_film, request.path_params["name"])
        except UsageError as error:  # no such candidate
            return Response(error.message, 404, media_type="text/plain")
        if path is None:
            return Response("no video", 404, media_type="text/plain")
        return FileResponse(path, media_type=_MEDIA_TYPES.get(path.suffix, "image/webp"))

    async def follow(self, request: Request) -> Response:
        """Send the events of the rounds as they happen."""
        return StreamingResponse(self._live.hub.follow(), media_type="text/event-stream")

    def _render_chat(self) -> str:
        self._live.tell_changed()
        return self.parts.render_chat()


def _show(part: Callable[[Form], str]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _answer(part, dict(request.query_params))

    return endpoint


def _do(act: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            form = await _read_form(request)
        except ValueError as error:
            return HTMLResponse(str(error), 413)
        return await _answer(act, form)

    return endpoint


async def _answer(render: Callable[[Form], str], form: Form) -> Response:
    """Render in a thread: the session reads files, and some of its methods run jobs."""
    try:
        return HTMLResponse(await run_in_threadpool(render, form))
    except RewardAgentError as error:
        text = f"{error.message}\n{error.remedy}".strip()
        # The page shows the text of a refusal; it is no HTML.
        return Response(text, 422, media_type="text/plain")


async def _read_form(request: Request) -> Form:
    """Read a form of bounded size.

    Raises:
        ValueError: it is larger.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise ValueError(f"more than {_MAX_FORM_BYTES:,} bytes")
    fields: dict[str, Any] = parse_qs(
        body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MAX_FIELDS
    )
    return {name: values[-1] for name, values in fields.items()}
