from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import PROGRAM, read_prompt
from support.trainings import ENDLESS

import reward_agent
from reward_agent.errors import Interrupted, RewardAgentError, UnknownNameError, UsageError
from reward_agent.feedback.records import RoundEnded, RoundStarted
from reward_agent.feedback.rounds import make_feedback
from reward_agent.feedback.session import Session
from reward_agent.records.events import Drafted, Event
from reward_agent.records.outcomes import FINISHED, INTERRUPTED, TRAINED, Outcome
from reward_agent.records.store import SESSION_FILE, RunRecord
from reward_agent.run.estimate import Expense
from reward_agent.run.wish import BEFORE_DIR
from reward_agent.types import RewardProgram

OpenSession = Callable[..., AbstractContextManager[Session]]

EDITED = """def compute_reward(state, action, next_state):
    upright = tolerance(next_state.pole_angle, bounds=(-0.05, 0.05), margin=0.9)
    calm = tolerance(next_state.cart_velocity, bounds=(-0.1, 0.1), margin=1.0)
    return upright * calm, {"upright": upright * calm}
"""


def test_a_remark_becomes_a_round_that_is_recorded_with_before_and_after(
    open_judged: OpenSession,
) -> None:
    with open_judged() as session:
        before = session.current
        assert before is not None
        session.remark("It wobbles.", "Hold it still.")
        [ended] = session.work()
        [started] = session.log.list(RoundStarted)
        assert started.before is not None
        assert started.before.candidate == before.candidate.id
        assert ended.outcome == FINISHED
        [after] = ended.after
        assert after.outcome == TRAINED
        assert after.program_sha256 != started.before.program_sha256
        assert after.program_file is not None
        program = (session.store.dir / after.program_file).read_text()
        assert RewardProgram(program).sha256 == after.program_sha256
        assert session.current is not None
        assert session.current.candidate.id == after.candidate
        assert session.current.candidate.parent == before.candidate.id
        assert session.waiting == []
        prompt = read_prompt(session.store, started.iteration, 0)
        assert "> It wobbles." in prompt
        assert "> Hold it still." in prompt


def test_a_session_asks_once_for_money_before_its_first_call(open_judged: OpenSession) -> None:
    asked: list[Expense] = []
    answers = [False, True]

    def agree(expected: Expense) -> bool:
        asked.append(expected)
        return answers[len(asked) - 1]

    paid = {"provider": "anthropic", "environ": {"ANTHROPIC_API_KEY": "sk-test-0123456789"}}
    with open_judged(agree=agree, **paid) as session:
        assert not asked
        session.prefer(*[item.candidate.id for item in session.list_standings()], "a")
        session.accept()
        assert not asked
        with pytest.raises(Interrupted, match="nothing was sent"):
            session.remark("It wobbles.")
        assert session.waiting == []
        session.remark("It wobbles.")
        session.edit(session.need_current().candidate.id, EDITED)
        session.see_that_it_is_agreed()
    assert len(asked) == 2
    assert asked[0].each == "round"
    assert 3 < asked[0].calls.likely < asked[0].calls.high < 60
    with open_judged(agree=agree, max_calls=3, **paid) as session:
        session.see_that_it_is_agreed()


def test_the_designer_is_told_the_whole_session(open_judged: OpenSession) -> None:
    with open_judged("I would rather not.") as session:
        first, second = [item.candidate.id for item in session.list_standings()]
        session.remark("It wobbles.")
        session.work()
        session.prefer(first, second, "a")
        session.note("A motor of a real robot.")
        session.edit(first, EDITED)
        last = session.remark("Still too quick.")
        told = make_feedback(session.log.entries, last.number)
    assert [remark.description for remark in told.remarks] == ["It wobbles.", "Still too quick."]
    assert "no program: " in told.remarks[0].answers[0]
    assert told.remarks[1].answers == ()
    assert [verdict.replace(first, "A").replace(second, "B") for verdict in told.verdicts] == [
        "The person prefers A to B.",
        "The person notes: A motor of a real robot.",
        "The person changed the program of A by hand, which became not trained.",
    ]


def test_a_session_goes_on_where_it_was(open_judged: OpenSession) -> None:
    with open_judged() as session:
        session.remark("It wobbles.")
        expected = session.log.entries
    with open_judged() as session:
        assert session.log.entries[: len(expected)] == expected
        assert [entry.number for entry in session.waiting] == [expected[-1].number]


def test_a_line_that_a_crash_tore_is_dropped(open_judged: OpenSession) -> None:
    with open_judged() as session:
        session.note("whole")
        path = session.store.dir / SESSION_FILE
        count = len(session.log.entries)
    with path.open("a") as file:
        file.write('{"kind": "noted", "numb')
    with open_judged() as session:
        assert [entry.kind for entry in session.log.entries] == ["opened", "noted", "opened"]
        assert session.log.entries[-1].number == count
    assert len(path.read_text().splitlines()) == count + 1


def test_a_line_that_is_no_entry_is_named(open_judged: OpenSession) -> None:
    with open_judged() as session:
        path = session.store.dir / SESSION_FILE
    path.write_text('{"kind": "noted", "number": 0}\n')
    with pytest.raises(RewardAgentError, match="line 1"), open_judged():
        pass


def test_an_edited_program_is_trained_like_any_candidate_after_a_cut_too(
    open_judged: OpenSession,
) -> None:
    with open_judged() as session:
        assert session.current is not None
        parent = session.current.candidate.id
        assert session.edit(parent, EDITED).is_accepted
        session._start(session.waiting[0])  # and the process dies
    with open_judged() as session:
        [ended] = session.work()
        [started] = session.log.list(RoundStarted)
        assert ended.iteration == started.iteration
        [after] = ended.after
        candidate = session.find(after.candidate).candidate
        assert candidate.outcome == TRAINED
        assert candidate.idea == "edited-by-hand"
        assert candidate.parent == parent
        assert candidate.task_score is not None
        text = session.store.read_program(candidate.iteration, candidate.id)
        assert text.strip() == EDITED.strip()


@pytest.fixture
def resume(tmp_path: Path) -> Callable[..., RunRecord]:
    """Take the run of ``open_judged`` up again, with the replies of its last session."""

    def resume(n_rounds: int) -> RunRecord:
        return reward_agent.resume_run(
            "last", runs_dir=tmp_path / "runs", environ={}, iterations=n_rounds,
            provider=f"scripted:{tmp_path / 'replies.md'}",
        )  # fmt: skip

    return resume


def test_a_round_that_was_cut_off_is_left_to_the_session_by_who_resumes_the_search(
    open_judged: OpenSession, resume: Callable[..., RunRecord]
) -> None:
    replies = [PROGRAM % margin for margin in (0.31, 0.32, 0.33)]
    with open_judged(*replies) as session:
        session.remark("It wobbles.")
        started = session._start(session.waiting[0])  # and the process dies
    resume(2)
    with open_judged(*replies) as session:
        assert session.store.list_iterations() == [0, 2]
        [ended] = session.work()
        assert (ended.iteration, ended.outcome) == (started.iteration, FINISHED)
        assert session.store.list_iterations() == [0, 1, 2]
        assert "> It wobbles." in read_prompt(session.store, 1, 0)


def test_a_round_of_a_session_that_money_kept_short_is_not_reopened(
    open_judged: OpenSession, resume: Callable[..., RunRecord]
) -> None:
    with open_judged() as session:
        session.remark("It wobbles.")
        session.work()
        store = session.store
    [candidate] = store.read_iteration(1).candidates
    short = candidate.model_copy(update={"outcome": Outcome(kind="limit", detail="--max-calls 3")})
    store.write_iteration(store.read_iteration(1).model_copy(update={"candidates": (short,)}))
    resume(1)
    assert store.list_iterations() == [0, 1]
    assert store.read_program(1, candidate.id)


def test_an_edit_with_an_error_is_answered_with_its_line_and_not_trained(
    open_judged: OpenSession,
) -> None:
    with open_judged() as session:
        assert session.current is not None
        report = session.edit(
            session.current.candidate.id, EDITED.replace("cart_velocity", "cart_velocty")
        )
        errors = [finding for finding in report.findings if finding.severity == "error"]
        assert errors[0].line == 3
        assert "cart_velocity" in errors[0].message + errors[0].remedy
        assert session.waiting == []


def test_an_unchanged_program_is_not_trained_again(open_judged: OpenSession) -> None:
    with open_judged() as session:
        assert session.current is not None
        assert session.current.program is not None
        with pytest.raises(UsageError, match="unchanged"):
            session.edit(session.current.candidate.id, session.current.program.source)


def test_accept_makes_the_candidate_the_result_of_the_run(open_judged: OpenSession) -> None:
    with open_judged() as session:
        other = session.rank()[-1].candidate
        winner = session.accept(other.id[:5])
        run = session.run
        assert winner.candidate == other.id
        assert run.winner == winner
        assert run.note == "accepted by a person"
        assert (session.store.dir / winner.policy_file).is_file()
        program = session.store.read_program(other.iteration, other.id)
        assert (session.store.dir / "reward.py").read_text() == program
        assert session.current is not None
        assert session.current.candidate.id == other.id


def test_a_rejected_candidate_is_neither_in_front_nor_compared(open_judged: OpenSession) -> None:
    with open_judged() as session:
        assert session.current is not None
        front = session.current.candidate.id
        session.reject(front)
        assert session.current.candidate.id != front
        assert session.choose_pair() is None
        session.choose(front)
        assert session.current.candidate.id == front
        assert session.choose_pair() is not None


def test_a_reply_without_a_program_is_an_outcome_and_the_old_one_stays(
    open_judged: OpenSession,
) -> None:
    with open_judged("I would rather not.") as session:
        assert session.current is not None
        before = session.current.candidate.id
        session.remark("It wobbles.")
        [ended] = session.work()
        assert ended.after[0].outcome.kind == "no_program"
        assert session.current.candidate.id == before


def test_a_round_can_be_stopped_and_the_session_goes_on(open_judged: OpenSession) -> None:
    with open_judged() as session:
        settings = session._held.settings.model_copy(update={"steps": ENDLESS})
        session._held = replace(session._held, settings=settings)
        session.remark("It wobbles.")
        ended: list[RoundEnded] = []
        worker = threading.Thread(target=lambda: ended.extend(session.work()))
        worker.start()
        # The program that was watched is trained as long first.
        training = session.store.dir / BEFORE_DIR
        while worker.is_alive() and not list(training.glob("*/training/progress.csv")):
            time.sleep(0.1)
        session.stop()
        worker.join(30)
        assert [item.outcome for item in ended] == [INTERRUPTED]
        assert session.waiting == []


def test_a_film_and_a_metric_wait_for_the_end_of_a_round(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        name = session.list_standings()[0].candidate.id
        before = session.store.read_run()
        refused: list[str] = []

        def meddle(event: Event) -> None:
            if isinstance(event, Drafted):
                acts = (
                    lambda: session.film(name), session.accept_metric, session.reject_metric,
                    lambda: session.edit_metric("def score(episode):\n    return 1.0\n"),
                )  # fmt: skip
                for act in acts:
                    with pytest.raises(UsageError, match="under way") as caught:
                        act()
                    refused.append(caught.value.remedy)

        session._held = replace(session._held, listen=meddle)
        session.remark("It wobbles.")
        session.work()
        assert len(refused) == 4
        assert session.store.read_run().metric_origin == before.metric_origin
        session.reject_metric()


def test_without_a_metric_the_ratings_and_nothing_else_are_the_score(
    open_unjudged: OpenSession,
    program: str,
) -> None:
    with open_unjudged(program) as session:
        a, b = [item.candidate.id for item in session.list_standings()]
        assert session.rate() == []
        session.prefer(a, b, "b")
        session.prefer(b, a, "a")
        ranked = session.rank()
        assert [item.candidate.id for item in ranked] == [b, a]
        assert all(item.candidate.task_score is None for item in ranked)
        assert session.current is not None
        assert session.current.candidate.id == b
        session.remark("Nearer to the middle.")
        [ended] = session.work()
        prompt = read_prompt(session.store, ended.iteration, 0)
        assert f"By these preferences {b} has the rating" in prompt
        assert f"The best program so far: {b}" in prompt


def test_unknown_candidates_and_empty_words_are_refused(open_judged: OpenSession) -> None:
    with open_judged() as session:
        with pytest.raises(UnknownNameError, match="candidate"):
            session.find("zzz")
        with pytest.raises(UnknownNameError, match="candidate"):
            session.find("")
        with pytest.raises(UsageError, match="empty"):
            session.remark("  ")
        name = session.list_standings()[0].candidate.id
        with pytest.raises(UsageError, match="itself"):
            session.prefer(name, name, "a")


def test_a_policy_without_a_video_is_filmed_when_somebody_wants_to_see_it(
    open_judged: OpenSession,
) -> None:
    with open_judged() as session:
        name = session.list_standings()[0].candidate.id
        assert session.find_film(name) is None
        note = session.film(name)
        path = session.find_film(name)
        if path is None:
            assert note  # this machine cannot render
        else:
            assert note == ""
            assert path.stat().st_size > 1000


def test_what_a_person_says_is_kept_without_credentials(open_judged: OpenSession) -> None:
    said = "the key: stand, as http://walter:hunter2-s3cret@host/x?token=q-k3y-0123 shows"
    with open_judged("I would rather not.") as session:
        noted = session.note(said)
        session.remark(said, said)
        session.work()
        assert noted.text == "the key: stand, as http://host/x shows"
        for path in session.store.dir.rglob("*"):
            data = path.read_bytes() if path.is_file() else b""
            assert b"hunter2" not in data, path
            assert b"q-k3y" not in data, path
