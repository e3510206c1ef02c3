"""The best of a run so far."""

from __future__ import annotations

import pytest

from reward_agent.agents.brief import HistoryEntry
from reward_agent.history import find_best
from reward_agent.types import Candidate, rank_value


def make_entry(name: str, task_score: float | None) -> HistoryEntry:
    candidate = Candidate(
        id=name, iteration=0, index=0, idea="x", outcome="trained", task_score=task_score
    )
    return HistoryEntry(candidate=candidate, program=None)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([-3.0, -1.0, -2.0], 1),
        ([None, -5.0, None], 1),
        ([-1.0, 0.0, None], 1),
        ([2.0, 2.0], 0),
        ([0.0, -0.0, -1.0], 0),
    ],
)
def test_the_best_has_the_highest_score_and_comes_first(
    scores: list[float | None], best: int
) -> None:
    found = find_best([make_entry(str(i), score) for i, score in enumerate(scores)])
    assert found is not None
    assert found.candidate.id == str(best)


def test_nothing_scored_has_no_best() -> None:
    assert find_best([]) is None
    assert find_best([make_entry("a", None)]) is None


def test_what_has_no_score_ranks_below_every_score() -> None:
    assert sorted([0.0, None, -1e12, 3.0], key=rank_value) == [None, -1e12, 0.0, 3.0]
