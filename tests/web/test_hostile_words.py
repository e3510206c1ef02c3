"""What hides or reorders is written out on the page and in the report; one shown pair, one answer."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import jinja2
import pytest
from markupsafe import Markup
from support.served import Server

from reward_agent.errors import UsageError
from reward_agent.feedback.records import Noted, Preferred
from reward_agent.feedback.session import Session
from reward_agent.records.events import Failed
from reward_agent.report.page import make_templates, write_report
from reward_agent.web.live import EventHub, LiveSession
from reward_agent.web.parts import Parts

OpenSession = Callable[..., AbstractContextManager[Session]]
HIDDEN = "\u202e\u2066\u2069\u200b\u200d\ufeff\u00ad\U000e0041\u3164"
WORDS = f"it {HIDDEN}tips <b>over</b>"


def make_parts(session: Session) -> Parts:
    return Parts(LiveSession(session, EventHub()))


def spoil(session: Session) -> None:
    """Put hidden characters wherever a model or a person may put them."""
    for folder in session.store.dir.glob("iterations/0/candidates/*"):
        path = folder / "reward.py"
        path.write_text(f"# {HIDDEN} aside\n{path.read_text()}")
        (folder / "reply.md").write_text(WORDS)
        (folder / "summary.md").write_text(WORDS)
        (folder / "analysis.json").write_text(
            json.dumps(
                {"failure_mode": WORDS, "evidence": [WORDS], "next_change": WORDS, "keep": False}
            )
        )
        risk = {"kind": "hackable", "evidence": WORDS, "remedy": WORDS, "line": 1}
        (folder / "critique.json").write_text(
            json.dumps({"verdict": "accept", "summary": WORDS, "risks": [risk]})
        )
    path = session.store.dir / "iterations/0/iteration.json"
    iteration = json.loads(path.read_text())
    for candidate in iteration["candidates"]:
        candidate["idea"] = WORDS
    path.write_text(json.dumps(iteration))


def test_no_part_of_the_page_hides_anything(open_judged: OpenSession) -> None:
    with open_judged() as session:
        spoil(session)
        session.note(WORDS)
        session.remark(WORDS, WORDS)
        parts = make_parts(session)
        name = session.list_standings()[0].candidate.id
        program = session.find(name).program
        assert program is not None
        shown = [
            parts.render_page(), parts.render_candidate(name), parts.render_editor(name),
            parts.render_compare(), parts.render_metric(), parts.render_chat(),
            parts.render_findings(program.source), parts.render_film(name, WORDS),
        ]  # fmt: skip
        for text in shown:
            assert not set(HIDDEN) & set(text)
            assert "<b>over" not in text
        assert r"it \u202e\u2066\u2069\u200b\u200d\ufeff\xad\U000e0041\u3164tips" in shown[5]
        assert r"\u202e" in shown[1]


def test_the_report_hides_nothing(open_judged: OpenSession) -> None:
    with open_judged() as session:
        spoil(session)
        page = write_report(session.store.dir).read_text("utf-8")
        assert not set(HIDDEN) & set(page)
        assert page.count(r"\u202e") > 6
        assert "<b>over" not in page


def test_templates_write_out_whatever_they_are_given(tmp_path: Path) -> None:
    class Odd:
        def __str__(self) -> str:
            return WORDS

    (tmp_path / "a.j2").write_text("{{ a }}{{ b }}{{ c | safe }}{{ d ~ a }}{{ e }}{{ none }}")
    template = make_templates(tmp_path).get_template("a.j2")
    text = template.render(a=WORDS, b=Odd(), c=WORDS, d=1, e=Markup(WORDS))
    assert not set(HIDDEN) & set(text)
    assert text.count("<b>") == 2, "what is safe stays HTML"
    with pytest.raises(jinja2.UndefinedError):
        template.render()


def test_events_hide_nothing() -> None:
    hub, told = EventHub(), []
    hub._remember = lambda event, message: told.append(message)  # type: ignore[method-assign]
    hub.listen(Failed(WORDS + "\ud800\x9b"))
    [message] = told
    assert not (set(HIDDEN) | {"\ud800", "\x9b"}) & set(json.loads(message)["reason"])
    assert r"\u202e" in json.loads(message)["reason"]


# --- one question, one answer ---------------------------------------------------------------------


def test_two_tabs_that_show_one_pair_give_one_answer(open_judged: OpenSession) -> None:
    with open_judged() as session:
        parts = make_parts(session)
        tabs = [parts.render_compare(), parts.render_compare()]
        asked = [re.search(r'name="question" value="(\d+)"', tab) for tab in tabs]
        assert [found[1] for found in asked if found] == ["0", "0"]
        a, b = session.choose_pair() or ("", "")
        first = session.prefer(a, b, "a", 0)
        assert session.prefer(b, a, "a", 0) == first, "the second answer is none"
        assert len(session.log.list(Preferred)) == 1
        session.prefer(a, b, "b", 1)
        assert len(session.log.list(Preferred)) == 2, "shown again, it is asked again"
        session.prefer(a, b, "a")
        assert len(session.log.list(Preferred)) == 3, "an option of the command line is no question"


def test_answers_at_the_same_moment_count_once(open_judged: OpenSession) -> None:
    with open_judged() as session:
        a, b = session.choose_pair() or ("", "")
        barrier = threading.Barrier(8)

        def answer() -> None:
            barrier.wait()
            session.prefer(a, b, "a", 0)

        threads = [threading.Thread(target=answer) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(session.log.list(Preferred)) == 1


def test_the_page_counts_an_answer_once(server: Server) -> None:
    page = server.request("/part/compare").text
    form = dict(re.findall(r'name="(a|b|question)" value="([^"]+)"', page))
    answers = [server.request("/do/vote", form | {"choice": "a"}).text for _ in range(3)]
    n = int(form["question"]) + 1
    assert all(f"after {n} answer" in text for text in answers)


# --- words that are too many ----------------------------------------------------------------------


def test_a_note_of_900_kb_is_refused_with_a_message(open_judged: OpenSession) -> None:
    with open_judged() as session:
        for act in (session.note, session.remark, lambda text: session.remark("a", text)):
            with pytest.raises(UsageError, match=r"has 900,000 characters, at most 8,000 fit"):
                act("x" * 900_000)
        assert not session.log.list(Noted)
        assert not session.waiting
        session.note("x" * 8_000)


def test_the_page_refuses_it_too(server: Server) -> None:
    answer = server.request("/do/note", {"description": "x" * 900_000})
    assert (answer.status, "at most 8,000" in answer.text) == (422, True)
    answer = server.request("/do/note", {"description": "x" * 2_000_000})
    assert (answer.status, "1,000,000 bytes" in answer.text) == (413, True)
