from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from reward_agent.errors import UsageError
from reward_agent.feedback.records import MetricDecided
from reward_agent.feedback.session import Session
from reward_agent.records.jobs import EvaluateResult
from reward_agent.records.store import read_record

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
        assert trial.is_usable
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
        assert not unknown.is_usable
        assert not unknown.check.is_accepted
        broken = session.edit_metric(source.replace("np.abs(", "np.log(0.0 * np.abs("))
        assert not broken.is_usable
        assert session.run.metric_origin == "none"
        assert session.edit_metric(source.replace("0.1", "0.02")).is_usable
        assert session.run.metric_origin == "proposed: edited"
        assert "0.02" in (session.store.dir / "metric.py").read_text()


def test_an_edited_metric_scores_the_whole_course_again(open_unjudged: OpenSession) -> None:
    with open_unjudged() as session:
        source = session.metric.source
        session.accept_metric()
        assert session.edit_metric(source.replace("0.1", "0.02")).is_usable
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
