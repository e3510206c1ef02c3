"""The rows on racing: both sides from the same trainings, through racing's own policies."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import racing
from benchmarks.candidates import PROGRAMS
from benchmarks.measurements import Course
from benchmarks.options import Options
from benchmarks.pool import MeasurementError
from benchmarks.racing import ENVS, compute, plan, simulate_races

STEPS = tuple(1_000 * number for number in range(1, 17))


@pytest.fixture(autouse=True)
def few_simulated_races(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "_N_SIMULATED", 4)


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
    reached = [row.is_reached for row in rows if row.name.endswith("candidates: best score")]
    assert reached == [False, False]


def test_a_failed_training_is_told_instead_of_a_ratio() -> None:
    [row] = compute(Options(), [make_course("speed", 1.0), MeasurementError("no child")])
    assert row.value is None
    assert "no child" in row.note


def test_simulated_races_are_told_beside_the_measured_ones_without_a_bar() -> None:
    rows = compute(Options(), [make_course(name, 1.0) for name in PROGRAMS])
    simulated = {row.name: row for row in rows if "simulated" in row.name}
    assert len(simulated) == 4
    assert all(row.value is not None and not row.bar for row in simulated.values())


def test_simulated_trainings_learn_as_measured_ones_do() -> None:
    good = []
    for courses in simulate_races(100):
        means = [[mean for mean, _, _ in course.scores] for course in courses.values()]
        best = max(map(max, means))
        good += [
            [mean / max(course) for mean in course] for course in means if max(course) > best / 3
        ]
    after_an_eighth, after_a_quarter = (np.median([course[k] for course in good]) for k in (1, 3))
    assert 0.1 < after_an_eighth < 0.25
    assert 0.3 < after_a_quarter < 0.5
    assert simulate_races(3) == simulate_races(3)
