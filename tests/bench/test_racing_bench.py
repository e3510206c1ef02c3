"""The rows on racing: both sides from the same trainings, through racing's own policies."""

from __future__ import annotations

import pytest

from reward_agent.bench.candidates import PROGRAMS
from reward_agent.bench.measurements import Course
from reward_agent.bench.options import Options
from reward_agent.bench.pool import MeasurementError
from reward_agent.bench.racing import ENVS, compute, plan

STEPS = tuple(1_000 * number for number in range(1, 17))


def make_course(candidate: str, level: float, seed: int = 0) -> Course:
    """Return a course that grows evenly to a level."""
    means = [level * steps / STEPS[-1] for steps in STEPS]
    scores = tuple((mean, mean - 0.01, mean + 0.01) for mean in means)
    return Course(env="hopper", candidate=candidate, seed=seed, steps=STEPS, scores=scores)


def test_every_candidate_is_trained_in_every_repetition() -> None:
    calls = plan(Options(seeds=5, in_process=True))
    assert len(calls) == len(ENVS) * 3 * len(PROGRAMS)
    assert all(call.arguments["in_process"] for call in calls)


def test_rows_tell_what_racing_spends_and_reaches() -> None:
    levels = {name: 1.0 + number for number, name in enumerate(PROGRAMS)}
    rows = compute(Options(), [make_course(name, level) for name, level in levels.items()])
    by_name = {row.name: row for row in rows}
    for mode in ("halving", "bandit"):
        steps = by_name[f"racing ({mode}), 8 candidates: steps spent"]
        score = by_name[f"racing ({mode}), 8 candidates: best score"]
        assert steps.theirs == (8 * STEPS[-1],)
        assert 0.2 < (steps.value or 0.0) <= 0.4
        assert score.value == pytest.approx(1.0)
        assert steps.is_reached
        assert score.is_reached


def test_a_best_that_starts_slowly_costs_score() -> None:
    courses = [make_course(name, 1.0) for name in list(PROGRAMS)[1:]]
    late = [0.0] * 12 + [2.0, 4.0, 8.0, 10.0]
    scores = tuple((mean, mean, mean) for mean in late)
    slow = Course(env="hopper", candidate=next(iter(PROGRAMS)), seed=0, steps=STEPS, scores=scores)
    rows = compute(Options(), [slow, *courses])
    assert [row.is_reached for row in rows if row.name.endswith("best score")] == [False, False]


def test_a_failed_training_is_told_instead_of_a_ratio() -> None:
    [row] = compute(Options(), [make_course("speed", 1.0), MeasurementError("no child")])
    assert row.value is None
    assert "no child" in row.note
