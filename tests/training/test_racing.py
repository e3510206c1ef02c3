"""Racing: who goes on at a rung."""

from __future__ import annotations

from reward_agent.training.racing import RungScore, choose_survivors, describe_stop, plan_rungs


def score(mean: float, width: float = 0.0) -> RungScore:
    return RungScore(mean, mean - width, mean + width)


def test_rungs_end_with_the_full_budget() -> None:
    assert plan_rungs(200_000, 3, "halving") == (50_000, 100_000, 200_000)


def test_one_candidate_or_no_racing_has_one_rung() -> None:
    assert plan_rungs(1_000, 1, "halving") == (1_000,)
    assert plan_rungs(1_000, 8, "none") == (1_000,)


def test_the_better_half_goes_on_best_first() -> None:
    scores = {"a": score(1.0), "b": score(4.0), "c": score(3.0), "d": score(2.0)}
    assert choose_survivors(scores) == ["b", "c"]


def test_near_ties_go_on() -> None:
    scores = {"a": score(1.0), "b": score(0.9, 0.2), "c": score(0.1, 0.2), "d": score(2.0)}
    assert choose_survivors(scores) == ["d", "a", "b"]


def test_a_candidate_without_a_score_stops() -> None:
    assert choose_survivors({"a": None, "b": score(0.0)}) == ["b"]


def test_all_go_on_when_nobody_has_a_score() -> None:
    assert choose_survivors({"a": None, "b": None}) == ["a", "b"]


def test_the_reason_of_a_stop_names_both_scores() -> None:
    text = describe_stop(50_000, score(0.5), [score(0.5), score(2.0)], "m")
    assert text == "stopped: 0.5 m at 50,000 steps, the best had 2"
