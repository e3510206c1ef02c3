"""Racing: who gets the next slice, on learning curves of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.racing import find_best, replay_race, run_race, simulate_races
from reward_agent.definitions.task import TaskSpec
from reward_agent.records.settings import SearchSettings
from reward_agent.run import racing
from reward_agent.run.racing import (
    BANDIT_SHARE,
    N_SLICES,
    OptimisticBandit,
    Precedent,
    RacingMode,
    RungScore,
    Standing,
    Target,
    choose_survivors,
    find_next_stop,
    find_target,
    has_held,
    make_policy,
    name_stop,
)

TOTAL = 80_000
EVEN = tuple(TOTAL * number // N_SLICES for number in range(1, N_SLICES + 1))


def score(mean: float, width: float = 0.0) -> RungScore:
    return RungScore(mean, mean - width, mean + width)


def make_curve(*means: float, width: float = 0.0) -> dict[int, RungScore | None]:
    """Return a curve with the means at the even stops, the last one held."""
    held = [*means, *[means[-1]] * (N_SLICES - len(means))]
    return {stop: score(mean, width) for stop, mean in zip(EVEN, held, strict=True)}


def race(
    mode: RacingMode, curves: Mapping[str, Mapping[int, RungScore | None]], n_slots: int = 1
) -> dict[str, int]:
    """Return how far each candidate got, in env steps."""
    done = replay_race(make_policy(mode, TOTAL, len(curves)), curves, n_slots)
    return {name: max(scores, default=0) for name, scores in done.scores.items()}


CURVES = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(
        st.lists(st.floats(-5, 5), min_size=1, max_size=N_SLICES),
        st.floats(0, 2),
    ).map(lambda item: make_curve(*item[0], width=item[1])),
    min_size=1,
)
MODES = st.sampled_from(["none", "halving", "bandit"])


@given(mode=MODES, curves=CURVES, n_slots=st.integers(1, 5))
def test_every_race_ends_with_everyone_tried_and_someone_whole_or_the_budget_spent(
    mode: RacingMode, curves: dict[str, dict[int, RungScore | None]], n_slots: int
) -> None:
    policy = make_policy(mode, TOTAL, len(curves))
    done = replay_race(policy, curves, n_slots)
    reached = [max(scores, default=0) for scores in done.scores.values()]
    assert min(reached) > 0
    # A leader that is overtaken late leaves a bandit two trainings and slices for one.
    is_spent = isinstance(policy, OptimisticBandit) and len(done.order) == policy.n_slices
    assert max(reached) == TOTAL or is_spent


@given(mode=MODES, curves=CURVES)
def test_a_race_is_a_function_of_its_scores(
    mode: RacingMode, curves: dict[str, dict[int, RungScore | None]]
) -> None:
    policy = make_policy(mode, TOTAL, len(curves))
    assert replay_race(policy, curves) == replay_race(policy, curves)


@given(curves=CURVES)
def test_a_higher_scale_of_the_metric_changes_nothing(
    curves: dict[str, dict[int, RungScore | None]],
) -> None:
    scaled = {
        name: {stop: RungScore(4 * s.mean, 4 * s.low, 4 * s.high) for stop, s in curve.items() if s}
        for name, curve in curves.items()
    }
    for mode in ("halving", "bandit"):
        policy = make_policy(mode, TOTAL, len(curves))
        assert replay_race(policy, curves).order == replay_race(policy, scaled).order


@given(curves=CURVES, n_slots=st.integers(1, 4))
@settings(max_examples=50)
def test_a_bandit_keeps_to_its_budget(
    curves: dict[str, dict[int, RungScore | None]], n_slots: int
) -> None:
    done = replay_race(make_policy("bandit", TOTAL, len(curves)), curves, n_slots)
    if len(curves) > 1:
        least = N_SLICES + 2 * (len(curves) - 1)
        allowed = max(BANDIT_SHARE * N_SLICES * len(curves) + 1, least)
        assert len(done.order) <= allowed


def test_a_clear_best_is_trained_whole_and_the_rest_is_spared() -> None:
    curves = {name: make_curve(0.1 * rank) for rank, name in enumerate("abcdefg")}
    curves["h"] = make_curve(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)
    for mode in ("halving", "bandit"):
        reached = race(mode, curves)
        assert reached["h"] == TOTAL
        assert sum(reached.values()) <= 0.4 * TOTAL * len(curves)


def make_swinging(level: float, width: float = 0.0) -> dict[int, RungScore | None]:
    """Return a curve that swings about a level by more than levels differ."""
    return make_curve(*[level + (5.0 if k % 2 else -5.0) for k in range(N_SLICES)], width=width)


def test_of_near_ties_a_kth_part_goes_through_the_kth_slice() -> None:
    curves = {name: make_swinging(0.1 * rank) for rank, name in enumerate("abcdefgh")}
    slices = [TOTAL // N_SLICES * k for k in (8, 8, 3, 2, 1, 1, 1, 1)]
    assert sorted(race("halving", curves).values(), reverse=True) == slices


def test_halving_stops_early_who_will_not_end_best() -> None:
    curves = {name: make_curve(float(rank)) for rank, name in enumerate("abcdefgh")}
    slices = [TOTAL // N_SLICES * k for k in (8, 2, 2, 2, 1, 1, 1, 1)]
    assert sorted(race("halving", curves).values(), reverse=True) == slices


@pytest.mark.parametrize(("n_candidates", "n_slices"), [(2, 16), (4, 21), (6, 23), (8, 25)])
def test_what_halving_spends_at_most_is_known_beforehand(n_candidates: int, n_slices: int) -> None:
    curves = {name: make_swinging(0.0, width=10.0) for name in "abcdefgh"[:n_candidates]}
    done = replay_race(make_policy("halving", TOTAL, n_candidates), curves)
    assert len(done.order) == n_slices


@given(curves=CURVES, n_slots=st.integers(1, 4))
@settings(max_examples=50)
def test_halving_of_eight_or_less_spends_no_more_than_eight_near_ties(
    curves: dict[str, dict[int, RungScore | None]], n_slots: int
) -> None:
    done = replay_race(make_policy("halving", TOTAL, len(curves)), curves, n_slots)
    through = [sum(len(scores) >= k for scores in done.scores.values()) for k in range(1, 9)]
    assert all(n <= most for n, most in zip(through, (8, 4, 3, 2, 2, 2, 2, 2), strict=True))


def test_the_larger_the_race_the_fewer_of_a_hundred_go_on() -> None:
    curves = {str(number): make_swinging(0.01 * number) for number in range(64)}
    done = replay_race(make_policy("halving", TOTAL, 64), curves)
    assert done.spent == (64 + 32 + 22 + 16 + 13 + 11 + 10 + 8) * TOTAL // N_SLICES


def test_a_training_is_scored_at_even_stops_unless_nobody_asks() -> None:
    assert make_policy("halving", TOTAL, 2).stops == EVEN
    assert make_policy("halving", TOTAL, 1).stops == (80_000,)
    assert make_policy("none", TOTAL, 8).stops == (80_000,)
    assert make_policy("none", TOTAL, 8, watched=True).stops == EVEN
    assert make_policy("halving", 3, 8).stops == (1, 2, 3)


def test_a_late_bloomer_within_its_own_growth_overtakes_in_halving() -> None:
    plateau = make_curve(3.0, 4.0, 4.0, 4.0, 4.0)
    late = make_curve(0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5)
    flat = make_curve(1.0, 1.1, 1.0, 1.1)
    reached = race("halving", {"plateau": plateau, "late": late, "flat": flat})
    assert reached["late"] == TOTAL
    assert reached["flat"] < TOTAL / 2


def test_a_late_bloomer_is_found_by_a_bandit_while_it_grows() -> None:
    good = {name: make_curve(1.0) for name in "abc"}
    bad = {name: make_curve(0.0) for name in "def"}
    late = make_curve(0.8, 1.1, 1.5, 2.0, 4.0)
    assert race("bandit", {**good, **bad, "late": late})["late"] == TOTAL


def test_a_bandit_revives_a_training_when_the_leader_falls_back() -> None:
    curves = {
        "a": make_curve(3.0, 1.0, 0.5, 0.2),
        "b": make_curve(2.0, 2.5, 3.5),
        "c": make_curve(0.0),
    }
    order = replay_race(make_policy("bandit", TOTAL, 3), curves).order
    first_pause = order.index("b")
    assert "a" in order[first_pause:]
    assert order.count("b") == N_SLICES


def test_when_a_survivor_fails_the_best_of_the_stopped_takes_its_place() -> None:
    policy = make_policy("halving", TOTAL, 3)
    scores = {"a": 3.0, "b": 2.0, "c": 1.0}
    courses = {name: {stop: score(mean) for stop in EVEN[:2]} for name, mean in scores.items()}
    a, b, c = (Standing(name, course) for name, course in courses.items())
    assert policy.choose([a, b, c], 0) == "a"
    a_running = Standing("a", a.scores, is_running=True)
    assert policy.choose([a_running, b, c], 0) is None
    failed = Standing("a", a.scores, has_ended=True)
    assert policy.choose([failed, b, c], 0) == "b"
    b_failed = Standing("b", b.scores, has_ended=True)
    assert policy.choose([failed, b_failed, c], 0) == "c"


def test_first_slices_do_not_wait_for_candidates_that_are_still_drafted() -> None:
    new = Standing("a")
    for mode in ("none", "halving", "bandit"):
        policy = make_policy(mode, TOTAL, 4)
        assert policy.choose([new], 3) == "a"


def test_halving_waits_at_a_rung_for_those_who_may_still_enter() -> None:
    policy = make_policy("halving", TOTAL, 2)
    at_rung = Standing("a", {10_000: score(1.0)})
    assert policy.choose([at_rung], 1) is None
    assert policy.choose([at_rung], 0) == "a"


def test_a_bandit_keeps_first_slices_for_those_who_may_still_enter() -> None:
    policy = make_policy("bandit", TOTAL, 4)
    taken = 0
    scores: dict[int, RungScore | None] = {}
    while policy.choose([Standing("a", scores)], 3) is not None:
        scores = {**scores, find_next_stop(policy, max(scores, default=0)): score(1.0)}
        taken += 1
    assert taken == N_SLICES


@pytest.mark.parametrize("mode", ["none", "halving", "bandit"])
def test_nobody_runs_twice_at_the_same_time(mode: RacingMode) -> None:
    policy = make_policy(mode, TOTAL, 2)
    assert policy.choose([Standing("a", is_running=True)], 0) is None


COURSES = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.lists(st.builds(score, st.floats(-5, 5), st.floats(0, 2)), max_size=N_SLICES),
    min_size=1,
)


@given(courses=COURSES, n_kept=st.integers(2, 8), n_left=st.integers(1, 7))
def test_the_best_of_now_always_goes_on_first(
    courses: dict[str, list[RungScore]], n_kept: int, n_left: int
) -> None:
    going_on = choose_survivors(courses, n_kept, n_left)
    levels = {
        name: np.mean([item.mean for item in course[-2:]])
        for name, course in courses.items()
        if course
    }
    if levels:
        assert levels[going_on[0]] == pytest.approx(max(levels.values()))
        assert len(going_on) <= n_kept


@given(courses=COURSES, n_left=st.integers(1, 6))
def test_the_more_is_to_come_the_more_go_on(
    courses: dict[str, list[RungScore]], n_left: int
) -> None:
    later = choose_survivors(courses, 8, n_left)
    assert set(later) <= set(choose_survivors(courses, 8, n_left + 1))


def scores(*means: float, width: float = 0.0) -> list[RungScore]:
    return [score(mean, width) for mean in means]


def test_who_swings_by_more_than_is_missing_goes_on() -> None:
    courses = {"best": scores(4.0, 4.0), "swings": scores(2.0, 3.0), "steady": scores(2.6, 2.6)}
    assert choose_survivors(courses, 3, 4) == ["best", "swings"]


def test_near_ties_of_the_evaluation_go_on() -> None:
    courses = {"best": scores(4.0, 4.0), "near": scores(3.9, 3.9, width=0.3)}
    assert choose_survivors(courses, 2, 1) == ["best", "near"]
    courses["near"] = scores(3.9, 3.9, width=0.02)
    assert choose_survivors(courses, 2, 1) == ["best"]


def test_ties_among_bad_ones_are_none() -> None:
    courses = {"best": scores(9.0, 9.0), "b": scores(0.2, 0.1), "c": scores(0.1, 0.2)}
    assert choose_survivors(courses, 3, 7) == ["best"]


def test_a_first_success_does_not_end_the_race() -> None:
    courses = {"lucky": scores(0.0, 0.125), "none yet": scores(0.0, 0.0)}
    assert choose_survivors(courses, 2, 6) == ["lucky", "none yet"]


def test_a_lucky_policy_is_no_level() -> None:
    courses = {"lucky": scores(9.0, 1.0, 1.0), "steady": scores(3.0, 3.0, 3.0)}
    assert choose_survivors(courses, 2, 1)[0] == "steady"


def test_after_one_score_as_many_go_on_as_may() -> None:
    courses = {name: scores(mean) for name, mean in zip("abcd", (1.0, 4.0, 3.0, 2.0), strict=True)}
    assert choose_survivors(courses, 2, 7) == ["b", "c"]


def test_a_candidate_without_a_score_stops() -> None:
    assert choose_survivors({"a": [], "b": scores(0.0)}, 2, 1) == ["b"]


def test_all_go_on_when_nobody_has_a_score() -> None:
    assert choose_survivors({"a": [], "b": []}, 2, 1) == ["a", "b"]


@pytest.mark.parametrize("mode", ["none", "halving", "bandit"])
def test_scores_that_are_no_numbers_count_as_none(mode: RacingMode) -> None:
    nan, none = make_curve(np.nan), dict.fromkeys(EVEN)
    reached = race(mode, {"nan": nan, "none": none, "good": make_curve(1.0, 2.0)})
    assert reached["good"] == TOTAL
    if mode != "none":
        assert max(reached["nan"], reached["none"]) < TOTAL / 2
    assert Standing("a", nan).score is None


def test_a_target_is_held_by_the_last_two_scores() -> None:
    target = Target(3.0)
    assert has_held({1: score(0.0), 2: score(3.0), 3: score(4.0)}, target)
    assert not has_held({2: score(3.0)}, target)
    assert not has_held({1: score(5.0), 2: score(2.9), 3: score(4.0)}, target)
    assert not has_held({1: score(5.0), 2: None}, target)


def test_a_target_of_a_task_takes_every_episode() -> None:
    target = Target(0.9, least_success=1.0)
    one, nearly = RungScore(0.95, 0.9, 1.0, success=1.0), RungScore(0.95, 0.9, 1.0, success=0.875)
    assert has_held({1: one, 2: one}, target)
    assert not has_held({1: one, 2: nearly}, target)


@pytest.mark.parametrize(
    ("given_settings", "task", "expected"),
    [
        ({}, {"is_bounded": True, "target_score": 0.9}, Target(0.9, least_success=1.0)),
        ({}, {"is_bounded": False, "target_score": 3.0}, None),
        ({}, {"is_bounded": True}, None),
        ({"early_stop": False}, {"is_bounded": True, "target_score": 0.9}, None),
        ({"target_score": 2.0}, {"is_bounded": False, "target_score": 3.0}, Target(2.0)),
        (
            {"target_score": 2.0, "early_stop": False},
            {"is_bounded": True, "target_score": 3.0},
            Target(2.0),
        ),
    ],
)
def test_a_run_may_end_where_a_person_says_or_where_the_task_is_done(
    given_settings: dict[str, Any], task: dict[str, Any], expected: Target | None
) -> None:
    named = TaskSpec(name="t", env="e", description="do it", **task)
    assert find_target(SearchSettings(**given_settings), named) == expected


@pytest.mark.parametrize(
    ("own", "other", "reason"),
    [
        # What the best came to later says nothing of this step.
        (
            make_curve(0.5, 0.407),
            make_curve(0.6, 0.7, 0.9, 1.0),
            "0.407 m at 20,000 steps, where b had 0.7",
        ),
        (make_curve(1.0), make_curve(1.0), "1 m at 20,000 steps, as much as b had there, which"),
        (
            make_curve(0.0, 0.7),
            make_curve(1.0, 0.6),
            "0.7 m at 20,000 steps, where b had 0.6, but more over its last two scores",
        ),
    ],
)
def test_the_reason_of_a_stop_compares_the_same_step(
    own: dict[int, Any], other: dict[int, Any], reason: str
) -> None:
    stopped = Standing("a", {stop: own[stop] for stop in EVEN[:2]})
    outcome = name_stop(stopped, [Standing("b", other)], "m")
    assert str(outcome).startswith(f"stopped: {reason}")


def test_a_rising_course_is_ranked_by_where_it_goes() -> None:
    courses = {
        "best": scores(1.0, 1.0, 0.95),
        "falls back": scores(0.6, 1.0, 0.7),
        "rises": scores(0.4, 0.6, 0.984),
    }
    assert choose_survivors(courses, 2, 5) == ["best", "rises"]


def test_who_keeps_up_with_its_parent_is_not_stopped_at_its_plateau() -> None:
    courses = {
        "best": scores(1.0, 1.0, 1.0),
        "second": scores(0.99, 0.99, 0.99),
        "child": scores(0.6, 0.65, 0.65),
        "other": scores(0.6, 0.65, 0.65),
    }
    precedents: dict[str, Precedent | None] = {"child": Precedent(level=0.64, end=1.0)}
    assert "child" in choose_survivors(courses, 2, 5, precedents)
    assert "other" not in choose_survivors(courses, 2, 5, precedents)
    for precedent in (Precedent(level=0.7, end=1.0), Precedent(level=0.6, end=0.9), None):
        assert "child" not in choose_survivors(courses, 2, 5, {"child": precedent})


def test_a_precedent_is_read_at_the_same_step_of_the_parents_course() -> None:
    child = Standing("a", of_parent=make_curve(0.5, 0.7, 0.7, 0.9, 1.0, 0.8))
    assert child.find_precedent(EVEN[2]) == Precedent(level=pytest.approx(0.7), end=1.0)
    assert child.find_precedent(EVEN[-1]) is None, "it ended there"
    assert Standing("b").find_precedent(EVEN[0]) is None


@pytest.mark.parametrize(("mode", "least"), [("halving", 0.93), ("bandit", 0.93)])
def test_races_find_nearly_the_best_of_eight_with_four_tenths_of_the_steps(
    mode: RacingMode, least: float
) -> None:
    steps, shares = [], []
    for courses in simulate_races(100):
        full, raced = run_race(courses, "none"), run_race(courses, mode)
        shares.append(find_best(courses, raced) / find_best(courses, full))
        steps.append(raced.spent / full.spent)
    assert np.mean(steps) <= 0.4
    assert np.mean(shares) >= least


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_halving_does_not_hang_on_the_size_of_its_doubt(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    races = simulate_races(60)
    best = [find_best(courses, run_race(courses, "halving")) for courses in races]
    monkeypatch.setattr(racing, "DOUBT", racing.DOUBT * factor)
    other = [find_best(courses, run_race(courses, "halving")) for courses in races]
    assert np.mean(np.divide(other, best)) == pytest.approx(1.0, abs=0.02)
