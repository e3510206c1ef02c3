"""The rows on racing: both sides from the same trainings, through racing's own policies."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import racing
from benchmarks.measure import OURS, Learned, Options, Point, Row
from benchmarks.ours import PROGRAMS
from benchmarks.racing import (
    ENVS,
    compute,
    load_recorded,
    plan,
    replay_race,
    replay_run,
    simulate_races,
)
from reward_agent.run.racing import RacingPolicy, RungScore, Target

STEPS = tuple(1_000 * number for number in range(1, 17))


@pytest.fixture(autouse=True)
def few_simulated_races(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(racing, "_N_SIMULATED", 4)


def make_training(program: str, means: list[float]) -> Learned:
    curve = tuple(
        Point(total_timesteps=steps, wall_s=1.0, task_score=mean, interval=(mean, mean))
        for steps, mean in zip(STEPS, means, strict=True)
    )
    return Learned(side=OURS, env="hopper", seed=0, wall_s=1.0, curve=curve, program=program)


def make_even(program: str, level: float) -> Learned:
    """Return a training that grows evenly to a level."""
    return make_training(program, [level * steps / STEPS[-1] for steps in STEPS])


def find(rows: list[Row], part: str) -> list[Row]:
    return [row for row in rows if part in row.name]


def test_every_candidate_is_trained_in_every_repetition() -> None:
    calls = plan(Options(seeds=5))
    assert len(calls) == len(ENVS) * 3 * len(PROGRAMS)


def test_rows_tell_what_racing_spends_and_reaches() -> None:
    rows = compute(Options(), [make_even(name, 1.0 + k) for k, name in enumerate(PROGRAMS)])
    for mode in ("halving", "bandit"):
        [steps] = find(rows, f"({mode}), 8 candidates: steps spent")
        [score] = find(rows, f"({mode}), 8 candidates: best score")
        assert steps.theirs == (8 * STEPS[-1],)
        assert 0.2 < (steps.value or 0.0) <= 0.4
        assert score.value == pytest.approx(1.0)
        assert steps.is_reached
        assert score.is_reached


def test_a_best_that_starts_slowly_costs_score() -> None:
    first, *others = PROGRAMS
    slow = make_training(first, [0.0] * 12 + [2.0, 4.0, 8.0, 10.0])
    rows = compute(Options(), [slow, *(make_even(name, 1.0) for name in others)])
    assert [row.is_reached for row in find(rows, "candidates: best score")] == [False, False]


def test_a_race_that_lacks_a_training_gives_no_ratio() -> None:
    rows = find(compute(Options(), [make_even("speed", 1.0)]), "8 candidates")
    assert [row.value for row in rows] == [None] * 4
    assert "no race" in rows[0].note


def test_simulated_races_are_told_beside_the_measured_ones_without_a_bar() -> None:
    rows = find(compute(Options(), [make_even(name, 1.0) for name in PROGRAMS]), "simulated")
    assert len(rows) == 4
    assert all(row.value is not None and not row.bar for row in rows)


def test_simulated_trainings_learn_as_measured_ones_do() -> None:
    good = []
    for courses in simulate_races(100):
        means = [[score.mean for score in course.values()] for course in courses.values()]
        best = max(map(max, means))
        good += [
            [mean / max(course) for mean in course] for course in means if max(course) > best / 3
        ]
    after_an_eighth, after_a_quarter = (np.median([course[k] for course in good]) for k in (1, 3))
    assert 0.1 < after_an_eighth < 0.25
    assert 0.3 < after_a_quarter < 0.5
    assert simulate_races(3) == simulate_races(3)


def test_recorded_runs_that_are_done_end_in_their_first_round() -> None:
    replayed = {run.name: (run, replay_run(run)) for run in load_recorded()}
    for name in ("wave_leg", "lie_down"):
        run, item = replayed[name]
        assert (item.n_rounds, item.best.task_score) == (1, 1.0)
        assert item.env_steps < 0.5 * run.env_steps
    for name in ("hop_forward", "ant_run_forward", "front_flip", "handstand"):
        run, item = replayed[name]
        assert item.n_rounds == len(run.rounds), "nothing there is done"
        # The search's best: its successes, and by how much seeds differ, say so.
        assert item.best.task_score == max(c.task_score for r in run.rounds for c in r)


def test_a_target_that_is_held_ends_a_replayed_race() -> None:
    curves: dict[str, dict[int, RungScore | None]] = {
        "a": {stop: RungScore(1.0, 1.0, 1.0, 1.0) for stop in (1, 2, 3, 4)},
        "b": {stop: RungScore(0.5, 0.5, 0.5, 0.0) for stop in (1, 2, 3, 4)},
    }
    policy = RacingPolicy((1, 2, 3, 4))
    assert replay_race(policy, curves, target=Target(1.0, 1.0)).spent == 2
    assert replay_race(policy, curves).spent == 8
