from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from reward_agent.evaluation.wish import Wish, WishMeasure, WishPoint
from reward_agent.export.shipped import find_shipped
from reward_agent.export.unpack import open_bundle
from reward_agent.feedback.records import MeasuredRemark
from reward_agent.feedback.session import Session
from reward_agent.feedback.state import describe_film, place_watched
from reward_agent.records.events import Failed, TrainedUntil, TrainingProgress
from reward_agent.records.job import FOOTAGE_FILE
from reward_agent.records.outcomes import TRAINED
from reward_agent.report.view import place_film
from reward_agent.run.handover import make_winner
from reward_agent.web.live import EventHub, LiveSession
from reward_agent.web.parts import Parts

OpenSession = Callable[..., AbstractContextManager[Session]]


def make_parts(session: Session) -> Parts:
    return Parts(LiveSession(session, EventHub()))


def test_without_a_metric_only_ratings_are_shown_as_score(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        parts = make_parts(session)
        assert "not rated" in parts.render_tree()
        a, b = [item.candidate.id for item in session.list_standings()]
        session.prefer(a, b, "b")
        assert re.search(r"rating \+\d", parts.render_tree())
        compare = parts.render_compare()
        assert "these are the only score" in compare
        assert "task score" not in compare
        assert "Task score of" not in parts.render_candidate(a)


def test_nothing_in_a_comparison_says_whose_films_they_are(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        parts, pair = make_parts(session), session.choose_pair()
        assert pair is not None
        vote = parts.render_compare().split("</form>")[0]
        assert not any(name in vote for name in pair)
        words = re.findall(r'name="[ab]" value="(\w+)"', vote)
        assert tuple(parts.find_hidden(word) for word in words) == pair
        assert parts.find_hidden(pair[0]) == pair[0]


def test_a_film_with_words_is_drawn_again_before_it_is_compared(
    open_unjudged: OpenSession,
) -> None:
    with open_unjudged() as session:
        name = session.list_standings()[0].candidate.id
        film = place_film(session.store, session.run, session.find(name).candidate)
        film.write_bytes(b"made when films had words")
        (film.parent / FOOTAGE_FILE).touch()
        assert session.find_film(name) == film
        assert session.find_film(name, is_blind=True) is None
        film.unlink()


def test_a_film_is_of_the_policy_whose_score_stands_beside_it(open_judged: OpenSession) -> None:
    with open_judged() as session:
        entry = session.list_standings()[0].entry
        folder = session.store.evaluation_dir(entry.candidate.iteration, entry.candidate.id, 0)
        fresh = folder.with_name("seed_100") / "video.webp"
        winner = make_winner(session.store, entry.candidate, 0).model_copy(
            update={"seed": 100, "video_file": session.store.name_file(fresh)}
        )
        run = session.run.model_copy(update={"winner": winner})
        assert place_watched(session.store, run, entry.candidate) == folder
        assert describe_film(session.store, run, entry.candidate) == ""


def test_of_a_run_handed_over_the_film_of_its_winner_says_its_own_score(tmp_path: Path) -> None:
    store = open_bundle(find_shipped("hop_forward"), tmp_path)
    run = store.read_run()
    assert run.winner is not None
    candidate = store.read_candidate(run.winner.iteration, run.winner.candidate)
    said = "the film is of its training with fresh seed 100: 13.5 m"
    assert describe_film(store, run, candidate) == said


def test_a_proposed_metric_is_shown_in_words_as_code_and_with_each_policy(
    open_unjudged: OpenSession,
) -> None:
    with open_unjudged() as session:
        parts = make_parts(session)
        shown = parts.render_metric()
        assert "share of the time near the middle" in shown
        assert "def score(episode)" in shown
        assert "Accept as proposed" in shown
        for item in session.list_standings():
            assert f"<code>{item.candidate.id}</code>" in shown
        assert 'title="proposed by the designer"' in parts.render_page()


def test_an_accepted_candidate_without_a_score_is_the_result(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        name = session.list_standings()[0].candidate.id
        winner = session.accept(name)
        assert winner.task_score is None
        assert (session.store.dir / "report.html").is_file()
        assert "accepted by a person" in make_parts(session).render_status()


def test_findings_stand_below_their_lines(open_judged: OpenSession) -> None:
    program = (
        "def compute_reward(state, action, next_state):\n"
        "    upright = next_state.pole_angel\n"
        '    return upright, {"upright": upright}\n'
    )
    with open_judged() as session:
        shown = make_parts(session).render_findings(program)
    line = shown.index('data-n="2"')
    remark = shown.index('class="remark error"')
    assert line < remark < shown.index('data-n="3"')
    assert "not trained until" in shown


def test_the_page_asks_which_part_is_meant_and_says_what_a_round_takes(
    open_judged: OpenSession,
) -> None:
    tilt = WishMeasure(name="tilt", says="mean tilt", unit="rad", wanted="less", enough=1.0)
    most = WishMeasure(name="most", says="largest <tilt>", unit="rad", wanted="less")
    wish = Wish(points=(WishPoint(words="leans <b>", measures=(tilt, most)),))
    with open_judged() as session:
        remark = session.remark("It leans <b>.")
        values = {"tilt": 0.1, "most": 0.4}
        session.log.append(
            MeasuredRemark, remark=remark.number, source="…", wish=wish, values=values
        )
        parts = make_parts(session)
        chat = parts.render_chat()
        assert "mean tilt 0.1 rad; at most 1 rad is as you wish already" in chat
        assert '"measure": "most"}' in chat
        assert "<b>" not in chat.replace("<b>better", "")
        assert "a question for you" in parts.render_status()
        page = parts.render_page()
        assert "1 program, each trained for 2,048 env steps: about 1 minute" in page
        assert f'data-watched="{session.need_current().candidate.id}"' in parts.render_watch()
        session.mean(session.questions[0], "most")
        chat = parts.render_chat()
        assert "you mean: largest &lt;tilt&gt;" in chat
        assert "0.4 rad now, wished: a quarter less" in chat


def test_a_page_that_is_opened_late_is_told_where_the_trainings_stand() -> None:
    import asyncio

    hub = EventHub()
    hub.listen(TrainingProgress("a", 0, 100, 100, {"total_timesteps": 10}))
    hub.listen(TrainingProgress("b", 0, 100, 100, {"total_timesteps": 20}))
    hub.listen(TrainedUntil("a", 0, 100, TRAINED))

    async def read_first() -> str:
        events = hub.follow()
        first = await anext(events)
        await events.aclose()
        return first

    assert '"candidate": "b"' in asyncio.run(read_first())


def test_whatever_a_round_meets_is_shown_and_the_next_remark_is_answered(monkeypatch) -> None:
    class Broken:
        errors = [OSError("the disk is full"), IndexError("no such round")]  # noqa: RUF012
        waiting = ("a remark",)
        done = threading.Event()

        def work(self) -> None:
            if self.errors:
                raise self.errors.pop(0)
            self.done.set()

        def interrupt(self) -> None: ...

    hub, told = EventHub(), queue.Queue()
    monkeypatch.setattr(hub, "listen", lambda event: told.put(event))
    session = Broken()
    live = LiveSession(session, hub)
    live.start()
    for words in ("the disk is full", "no such round"):
        while not isinstance(event := told.get(timeout=10), Failed):
            pass
        assert words in event.reason
        live.wake()
    assert session.done.wait(10)
    live.close()
