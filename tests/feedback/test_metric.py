from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import reward_agent
from reward_agent.errors import DataError, UsageError
from reward_agent.feedback.records import MetricDecided
from reward_agent.feedback.session import Session, open_session
from reward_agent.records.disk import read_record
from reward_agent.records.events import Event, MetricChosen, Rescored
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Candidate, RunStore
from reward_agent.run import metric as metric_module
from reward_agent.run.active import ActiveRun
from reward_agent.run.metric import is_changing
from reward_agent.types import TrainingResult

OpenSession = Callable[..., AbstractContextManager[Session]]

OWN = '''import numpy as np

from reward_agent.types import Score


def score(episode):
    """Share of the time near the middle of the rail."""
    share = float(np.mean(np.abs(episode.cart_position) < 0.05))
    return Score(share, share > 0.9, {"own": share})
'''


def test_a_proposal_that_nobody_took_is_shown_in_words_and_on_what_was_recorded(
    open_unjudged: OpenSession,
) -> None:
    with open_unjudged() as session:
        view = session.metric
        assert view.is_proposed
        assert view.origin == "none"
        assert view.meaning == "share of the time near the middle"
        assert view.criterion == "within 0.1 m"
        trial = session.try_metric(view.source)
        assert not trial.refusal
        assert set(trial.scores) == {item.candidate.id for item in session.list_standings()}
        assert all(item.candidate.task_score is None for item in session.list_standings())


def test_accepting_scores_every_candidate_and_rejecting_takes_the_scores_away(
    open_unjudged: OpenSession,
) -> None:
    with open_unjudged() as session:
        session.accept_metric()
        assert session.has_metric
        assert session.run.metric_origin == "proposed: accepted"
        assert session.run.task.criterion == "within 0.1 m"
        scores = [item.candidate.task_score for item in session.list_standings()]
        assert all(score is not None for score in scores)
        best = session.store.read_iteration(0)
        assert best.best_task_score == max(scores)
        session.reject_metric()
        assert not session.has_metric
        assert session.run.metric_origin == "none"
        assert all(item.candidate.task_score is None for item in session.list_standings())
        assert session.store.read_iteration(0).best is None
        verdicts = [entry.verdict for entry in session.log.list(MetricDecided)]
        assert verdicts == ["accepted", "rejected"]


def test_an_edited_metric_that_cannot_score_is_not_taken(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        source = session.metric.source
        unknown = session.edit_metric(source.replace("cart_position", "cart_positon"))
        assert unknown.refusal
        assert not unknown.check.is_accepted
        broken = session.edit_metric(source.replace("np.abs(", "np.log(0.0 * np.abs("))
        assert broken.refusal
        assert session.run.metric_origin == "none"
        assert not session.edit_metric(source.replace("0.1", "0.02")).refusal
        assert session.run.metric_origin == "proposed: edited"
        assert "0.02" in (session.store.dir / "metric.py").read_text()


def test_an_edited_metric_scores_the_whole_course_again(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        source = session.metric.source
        session.accept_metric()
        assert not session.edit_metric(source.replace("0.1", "0.02")).refusal
        for item in session.list_standings():
            folder = session.store.candidate_dir(item.candidate.iteration, item.candidate.id)
            evaluated = read_record(folder / "evaluation.json", EvaluateResult)
            assert None not in [point.task_score for point in evaluated.curve]


def test_a_metric_of_the_persons_own_replaces_any_and_clears_the_winner(
    open_judged: OpenSession, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text(OWN)
    with open_judged() as session:
        assert session.run.winner is not None
        session.replace_metric(own)
        assert session.run.metric_origin == "file"
        assert session.run.winner is None
        for item in session.list_standings():
            assert item.candidate.evaluation is not None
            assert set(item.candidate.evaluation.parts) == {"own"}


def test_only_a_proposed_metric_is_accepted_or_rejected(open_judged: OpenSession) -> None:
    with open_judged() as session:
        for decide in (session.accept_metric, session.reject_metric):
            with pytest.raises(UsageError, match="has no metric of the Designer's"):
                decide()


def test_a_file_that_cannot_score_is_refused_before_anything_changes(
    open_judged: OpenSession, tmp_path: Path
) -> None:
    own = tmp_path / "own.py"
    own.write_text(OWN.replace("cart_position", "cart_positon"))
    with open_judged() as session:
        before = session.run
        with pytest.raises(UsageError, match="the metric failed"):
            session.replace_metric(own)
        assert session.run == before
        assert session.log.list(MetricDecided) == []


@pytest.mark.parametrize(
    ("go_on", "n_scored"), [("repeat", 1), ("session", 0), ("session", 2), ("search", 1)]
)
def test_a_change_that_was_cut_off_is_made_to_its_end(
    go_on: str,
    n_scored: int,
    open_judged: OpenSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = tmp_path / "own.py"
    own.write_text(OWN)
    real, scored = RunStore.append_event, []

    def cut(store: RunStore, event: Event) -> None:
        if not isinstance(event, Rescored | MetricChosen):
            return real(store, event)
        if len(scored) == n_scored:
            raise KeyboardInterrupt
        return scored.append(event)

    with open_judged() as session:
        with monkeypatch.context() as patch:
            patch.setattr(RunStore, "append_event", cut)
            with pytest.raises(KeyboardInterrupt):
                session.replace_metric(own)
        if go_on == "repeat":
            session.replace_metric(own)
        store = session.store
    provider = f"scripted:{store.dir.parents[1] / 'replies.md'}"
    if go_on == "search":
        reward_agent.resume_run(str(store.dir), environ={}, provider=provider)
    elif go_on == "session":
        with open_session(str(store.dir), environ={}, provider=provider) as session:
            assert session.run.winner is None
    candidates = store.list_finished()
    assert len(candidates) == 2
    for candidate in candidates:
        assert candidate.evaluation is not None
        assert set(candidate.evaluation.parts) == {"own"}
        assert store.read_candidate(0, candidate.id) == candidate
    assert store.read_iteration(0).best_task_score == max(c.task_score or 0 for c in candidates)
    assert (store.read_run().metric_origin, is_changing(store)) == ("file", False)


def test_a_policy_that_the_new_metric_fails_on_has_no_score_and_the_change_goes_on(
    open_judged: OpenSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.py"
    own.write_text(OWN)
    real = metric_module.evaluate_candidate

    def fail_first(run: ActiveRun, candidate: Candidate, result: TrainingResult) -> Candidate:
        if candidate.index == 0:
            raise DataError("the evaluation ended without a result", "raise a limit")
        return real(run, candidate, result)

    monkeypatch.setattr(metric_module, "evaluate_candidate", fail_first)
    with open_judged() as session:
        session.replace_metric(own)
        first, second = session.store.list_finished()
    assert first.evaluation is not None
    assert (first.task_score, first.evaluation.parts) == (None, {})
    assert second.task_score is not None
    assert not is_changing(session.store)
