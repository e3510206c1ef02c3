"""Racing: who gets the next slice, on learning curves of every kind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.bench.racing import replay_race
from reward_agent.training.racing import (
    BANDIT_SHARE,
    N_SLICES,
    OptimisticBandit,
    RacingMode,
    RungScore,
    Standing,
    choose_survivors,
    describe_stop,
    find_next_stop,
    has_held,
    make_policy,
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


def test_halving_goes_on_with_half_at_each_rung() -> None:
    curves = {name: make_curve(float(rank)) for rank, name in enumerate("abcdefgh")}
    assert sorted(race("halving", curves).values()) == [10_000] * 4 + [20_000] * 2 + [
        40_000,
        80_000,
    ]


def test_few_candidates_have_few_rungs() -> None:
    assert make_policy("halving", TOTAL, 2).stops == (40_000, 80_000)
    assert make_policy("halving", TOTAL, 3).stops == (20_000, 40_000, 80_000)
    assert make_policy("halving", TOTAL, 1).stops == (80_000,)
    assert make_policy("none", TOTAL, 8).stops == (80_000,)
    assert make_policy("none", TOTAL, 8, watched=True).stops == EVEN


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
    at_rung = [Standing(name, {20_000: score(mean)}) for name, mean in scores.items()]
    a, b, c = at_rung
    assert policy.choose(at_rung, 0) == "a"
    b_running = Standing("b", b.scores, is_running=True)
    failed = Standing("a", a.scores, has_ended=True)
    assert policy.choose([failed, b_running, c], 0) is None
    b_failed = Standing("b", b.scores, has_ended=True)
    assert policy.choose([failed, b_failed, c], 0) == "c"


def test_first_slices_do_not_wait_for_candidates_that_are_still_drafted() -> None:
    new = Standing("a")
    for mode in ("none", "halving", "bandit"):
        policy = make_policy(mode, TOTAL, 4)
        assert policy.choose([new], 3) == "a"


def test_halving_waits_at_a_rung_for_those_who_may_still_enter() -> None:
    policy = make_policy("halving", TOTAL, 2)
    at_rung = Standing("a", {40_000: score(1.0)})
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


def test_the_better_half_goes_on_best_first() -> None:
    scores = {"a": score(1.0), "b": score(4.0), "c": score(3.0), "d": score(2.0)}
    assert choose_survivors(scores) == ["b", "c"]


def test_near_ties_go_on() -> None:
    scores = {"a": score(1.0), "b": score(0.9, 0.2), "c": score(0.1, 0.2), "d": score(2.0)}
    assert choose_survivors(scores) == ["d", "a", "b"]


def test_ties_among_bad_ones_are_none() -> None:
    scores = {"a": score(9.0), "b": score(0.2, 1.0), "c": score(0.1, 1.0), "d": score(0.0, 1.0)}
    assert choose_survivors(scores) == ["a", "b"]


def test_where_most_are_alike_an_eighth_goes_on_besides_the_half() -> None:
    alike = {name: score(1.0, 0.5) for name in "abcdefgh"}
    assert choose_survivors(alike) == list("abcde")


def test_a_candidate_without_a_score_stops() -> None:
    assert choose_survivors({"a": None, "b": score(0.0)}) == ["b"]


def test_all_go_on_when_nobody_has_a_score() -> None:
    assert choose_survivors({"a": None, "b": None}) == ["a", "b"]


def test_a_target_is_held_by_the_last_two_scores() -> None:
    assert has_held({1: score(0.0), 2: score(3.0), 3: score(4.0)}, 3.0)
    assert not has_held({2: score(3.0)}, 3.0)
    assert not has_held({1: score(5.0), 2: score(2.9), 3: score(4.0)}, 3.0)
    assert not has_held({1: score(5.0), 2: None}, 3.0)


def test_the_reason_of_a_stop_names_both_scores() -> None:
    text = describe_stop(50_000, score(0.5), [score(0.5), score(2.0)], "m")
    assert text == "stopped: 0.5 m at 50,000 steps, the best had 2"


def make_noisy_race(
    generator: np.random.Generator, n_candidates: int = 8
) -> dict[str, dict[int, RungScore | None]]:
    """Return learning curves as trainings show them: a third learns, some late, policies swing."""
    curves = {}
    for number in range(n_candidates):
        level = generator.choice([1.0, 0.4, 0.05], p=[0.35, 0.3, 0.35]) * generator.uniform(
            0.7, 1.0
        )
        half_way = generator.uniform(0.05, 0.3)
        means = [
            level
            / (1 + np.exp((half_way - stop / TOTAL) / 0.08))
            * np.exp(generator.normal(0, 0.15))
            for stop in EVEN
        ]
        curves[f"c{number}"] = make_curve(*means, width=0.1 * level)
    return curves


@pytest.mark.parametrize(("mode", "least"), [("halving", 0.95), ("bandit", 0.95)])
def test_races_find_nearly_the_best_of_eight_with_four_tenths_of_the_steps(
    mode: RacingMode, least: float
) -> None:
    generator = np.random.default_rng(0)
    steps, shares = [], []
    for _ in range(60):
        curves = make_noisy_race(generator)
        done = replay_race(make_policy(mode, TOTAL, len(curves)), curves)
        # Of a training every policy up to its end counts, as in a run.
        means = {
            name: [s.mean for stop, s in curves[name].items() if s and stop <= max(scores)]
            for name, scores in done.scores.items()
        }
        best = max(s.mean for curve in curves.values() for s in curve.values() if s)
        shares.append(max(map(max, means.values())) / best)
        steps.append(done.spent / TOTAL / len(curves))
    assert np.mean(steps) <= 0.4
    assert np.mean(shares) >= least
