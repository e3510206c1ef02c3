"""How many answers find the best candidate: adaptive pairs beside a plain round-robin."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reward_agent.feedback.ratings import Answer, choose_pair, rate

N_CANDIDATES, N_ANSWERS, ERROR_RATE, N_SIMULATIONS = 8, 20, 0.1, 200
PROMISED = 0.9
Pairing = Callable[[Sequence[str], Sequence[Answer]], tuple[str, str] | None]


@dataclass(frozen=True)
class PreferenceResult:
    """How often each way of pairing ended with the best candidate in front.

    Args:
        pairing: its name.
        found: after how many answers, to the share of simulations whose best rating was right.
    """

    pairing: str
    found: dict[int, float]


def simulate_preferences(
    n_simulations: int = N_SIMULATIONS,
    n_candidates: int = N_CANDIDATES,
    n_answers: int = N_ANSWERS,
    error_rate: float = ERROR_RATE,
    seed: int = 0,
) -> list[PreferenceResult]:
    """Simulate a person who prefers the better of two, but errs in a share of their answers."""
    results = []
    for name, make in (("adaptive", lambda rng: choose_pair), ("round-robin", _make_round_robin)):
        right = [0] * n_answers
        for number in range(n_simulations):
            rng = random.Random(f"{seed} {number}")
            for answer, is_right in enumerate(
                _simulate(rng, make, n_candidates, n_answers, error_rate)
            ):
                right[answer] += is_right
        shares = {n + 1: count / n_simulations for n, count in enumerate(right)}
        results.append(PreferenceResult(name, shares))
    return results


def _simulate(
    rng: random.Random,
    make: Callable[[random.Random], Pairing],
    n_candidates: int,
    n_answers: int,
    error_rate: float,
) -> list[bool]:
    """Return after each answer whether the best rating is that of the best candidate."""
    names = [f"c{index}" for index in range(n_candidates)]
    order = rng.sample(names, n_candidates)  # the best first
    pairing, answers, is_right = make(rng), list[Answer](), []
    for _ in range(n_answers):
        pair = pairing(names, answers)
        assert pair is not None
        a, b = pair
        prefers_a = (order.index(a) < order.index(b)) != (rng.random() < error_rate)
        answers.append(Answer(a, b, "a" if prefers_a else "b"))
        is_right.append(rate(names, answers)[0].candidate == order[0])
    return is_right


def _make_round_robin(rng: random.Random) -> Pairing:
    """Ask about every pair once, in random order, then again."""

    def choose(names: Sequence[str], answers: Sequence[Answer]) -> tuple[str, str]:
        if not schedule:
            pairs = list(itertools.combinations(names, 2))
            schedule.extend(rng.sample(pairs, len(pairs)))
        return schedule.pop()

    schedule: list[tuple[str, str]] = []
    return choose


def is_promise_held(results: Sequence[PreferenceResult]) -> bool:
    """Return whether adaptive pairs find the best of eight in nine of ten simulations."""
    return results[0].found[N_ANSWERS] >= PROMISED


def render_preferences(results: Sequence[PreferenceResult]) -> str:
    """Return the results as a table."""
    shown = [n for n in results[0].found if n % 4 == 0]
    title = (
        f"share of {N_SIMULATIONS} simulations whose best rating is the best of {N_CANDIDATES} "
        f"candidates;\na simulated person errs in {ERROR_RATE:.0%} of answers"
    )
    rows = [
        f"{result.pairing:<13}" + "".join(f"{result.found[n]:>7.0%}" for n in shown)
        for result in results
    ]
    return "\n".join([title, "answers      " + "".join(f"{n:>7}" for n in shown), *rows])
