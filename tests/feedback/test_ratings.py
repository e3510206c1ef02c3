from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_agent.feedback.ratings import PRIOR_STD, Answer, choose_pair, fit_ratings, rate

NAMES = ("a", "b", "c", "d")
ANSWERS = st.lists(
    st.builds(
        lambda pair, choice: Answer(*pair, choice),
        st.sampled_from(list(itertools.permutations(NAMES, 2))),
        st.sampled_from(["a", "b", "same", "both bad"]),
    ),
    max_size=20,
)


def mean_of(answers: list[Answer]) -> dict[str, float]:
    return {rating.candidate: rating.mean for rating in rate(NAMES, answers)}


def test_the_mode_of_the_posterior_is_found() -> None:
    """At the mode the gradient of the log posterior is zero: sum(won - expected) = r / prior²."""
    answers = [Answer("a", "b", "a")] * 3 + [Answer("b", "c", "b"), Answer("a", "c", "same")]
    fit = fit_ratings(NAMES, answers)
    r = dict(zip(fit.names, fit.mean, strict=True))

    def expect(i: str, j: str) -> float:
        return 1.0 / (1.0 + math.exp(r[j] - r[i]))

    gradient = 3 * (1.0 - expect("a", "b")) + 0.5 - expect("a", "c") - r["a"] / PRIOR_STD**2
    assert gradient == pytest.approx(0.0, abs=1e-6)


def test_an_unseen_candidate_keeps_the_prior() -> None:
    fit = fit_ratings(NAMES, [Answer("a", "b", "a")])
    index = fit.names.index("d")
    assert fit.mean[index] == pytest.approx(0.0, abs=1e-9)
    assert fit.covariance[index, index] == pytest.approx(PRIOR_STD**2)


def test_intervals_shrink_with_answers() -> None:
    widths = []
    for n in (1, 4, 16):
        first = rate(NAMES, [Answer("a", "b", "a"), Answer("a", "b", "b")] * n)
        widths.append(next(r.high - r.low for r in first if r.candidate == "a"))
    assert widths[0] > widths[1] > widths[2]


def test_both_bad_lowers_both_and_the_same_neither() -> None:
    bad, same = mean_of([Answer("a", "b", "both bad")]), mean_of([Answer("a", "b", "same")])
    assert bad["a"] == pytest.approx(bad["b"])
    assert bad["a"] < 0
    assert same["a"] == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=50)
@given(ANSWERS)
def test_ratings_do_not_depend_on_sides_or_order(answers: list[Answer]) -> None:
    swap = {"a": "b", "b": "a"}
    mirrored = [Answer(x.b, x.a, swap.get(x.choice, x.choice)) for x in reversed(answers)]
    first, second = mean_of(answers), mean_of(mirrored)
    assert all(first[name] == pytest.approx(second[name], abs=1e-6) for name in NAMES)


@settings(max_examples=50)
@given(ANSWERS)
def test_every_answer_set_gives_finite_ratings_and_a_pair(answers: list[Answer]) -> None:
    ratings = rate(NAMES, answers)
    assert all(r.low < r.mean < r.high and np.isfinite(r.low) for r in ratings)
    assert sum(r.p_best for r in ratings) == pytest.approx(1.0)
    pair = choose_pair(NAMES, answers)
    assert pair is not None
    assert len(set(pair)) == 2


def test_a_decided_pair_is_not_asked_about_again() -> None:
    answers = [Answer("a", "b", "a")] * 6 + [Answer("a", "c", "a")] * 6
    pair = choose_pair(("a", "b", "c", "d"), answers)
    assert pair is not None
    assert set(pair) == {"a", "d"}


def test_one_candidate_makes_no_pair() -> None:
    assert choose_pair(("a",), []) is None
    assert rate((), []) == []


EIGHT = tuple("abcdefgh")
Pairing = Callable[[Sequence[str], Sequence[Answer]], tuple[str, str] | None]


def ask_person(rng: random.Random, pairing: Pairing, n_answers: int, error_rate: float) -> bool:
    """Tell whether the best rating is that of the best, after answers of a person who may err."""
    order = rng.sample(EIGHT, len(EIGHT))  # the best first
    answers: list[Answer] = []
    for _ in range(n_answers):
        pair = pairing(EIGHT, answers)
        assert pair is not None
        prefers_a = (order.index(pair[0]) < order.index(pair[1])) != (rng.random() < error_rate)
        answers.append(Answer(*pair, "a" if prefers_a else "b"))
    return rate(EIGHT, answers)[0].candidate == order[0]


def ask_about_every_pair(rng: random.Random) -> Pairing:
    """Ask about every pair once, in random order."""
    pairs = list(itertools.combinations(EIGHT, 2))
    schedule = rng.sample(pairs, len(pairs))
    return lambda names, answers: schedule.pop()


def test_the_best_of_eight_is_found_in_twenty_answers_of_a_person_who_errs() -> None:
    found = {"adaptive": 0, "round robin": 0}
    for number in range(100):
        rng = random.Random(f"0 {number}")
        found["adaptive"] += ask_person(rng, choose_pair, 20, 0.1)
        rng = random.Random(f"0 {number}")
        found["round robin"] += ask_person(rng, ask_about_every_pair(rng), 20, 0.1)
    assert found["adaptive"] >= 90
    assert found["adaptive"] > found["round robin"] + 10
