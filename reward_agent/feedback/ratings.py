"""From a person's answers to ratings with intervals, and to the pair to ask about next.

Bradley and Terry (1952): P(i is preferred to j) = 1 / (1 + exp(r_j − r_i)). The ratings are the
mode of the posterior under a normal prior, the intervals those of its Laplace approximation. "The
same" counts half for each side. "Both bad" is an answer about an absolute level: each of the two
loses against an imagined acceptable policy, whose rating is 0.

Source: Bradley & Terry, Rank analysis of incomplete block designs I, Biometrika 39 (1952);
Houlsby et al., Bayesian active learning for classification and preference learning (2011), for
the choice of the pair by the information that its answer gives.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from reward_agent.feedback.records import Choice

FloatArray = NDArray[np.float64]

# Standard deviation of the prior: of two candidates drawn from it, the better one is preferred in
# about four of five answers.
PRIOR_STD = 1.6
# A person errs with any pair in about this share of answers, however far apart the two are.
LAPSE = 0.05
_N_SAMPLES = 400
_N_STEPS = 50
_Z95 = 1.959964


@dataclass(frozen=True)
class Answer:
    """One comparison."""

    a: str
    b: str
    choice: Choice


@dataclass(frozen=True)
class Rating:
    """Where a candidate stands, in natural-log odds; 0 is just acceptable.

    Args:
        candidate: its id.
        mean: the most probable rating.
        low: lower end of the 95 % interval.
        high: upper end of it.
        n_answers: comparisons that it took part in.
        p_best: probability that it is the best of all.
    """

    candidate: str
    mean: float
    low: float
    high: float
    n_answers: int
    p_best: float


@dataclass(frozen=True)
class Fit:
    """The posterior of the ratings.

    Args:
        names: the candidates.
        mean: ``(n,)``.
        covariance: ``(n, n)``.
    """

    names: tuple[str, ...]
    mean: FloatArray
    covariance: FloatArray

    def draw(self) -> FloatArray:
        """Draw ratings ``(n_samples, n)``; the same ones for the same fit."""
        rng = np.random.default_rng(0)
        return rng.multivariate_normal(self.mean, self.covariance, _N_SAMPLES, method="cholesky")


def fit_ratings(
    names: Sequence[str],
    answers: Iterable[Answer],
    seen: Mapping[str, float] = MappingProxyType({}),
) -> Fit:
    """Fit the ratings of candidates to the answers; answers about others are left out.

    Args:
        names: the candidates.
        answers: a person's.
        seen: share of the task, 0 to 1, that a judge saw in a candidate's film: its rating starts
            as far from 0 as the prior's deviation; by default at 0.
    """
    start = np.array([PRIOR_STD * (2.0 * seen.get(name, 0.5) - 1.0) for name in names])
    place = {name: index for index, name in enumerate(names)}
    known = [answer for answer in answers if answer.a in place and answer.b in place]
    rows, shares = _list_games(place, known)
    precision = np.eye(len(names)) / PRIOR_STD**2
    mean = start.copy()
    hessian = precision
    for _ in range(_N_STEPS):  # Newton's method on a concave function
        expected = 1.0 / (1.0 + np.exp(-rows @ mean))
        gradient = rows.T @ (shares - expected) - precision @ (mean - start)
        hessian = precision + (rows.T * (expected * (1.0 - expected))) @ rows
        step = np.linalg.solve(hessian, gradient)
        mean = mean + step
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    return Fit(tuple(names), mean, np.asarray(np.linalg.inv(hessian), dtype=np.float64))


def _list_games(place: dict[str, int], answers: Sequence[Answer]) -> tuple[FloatArray, FloatArray]:
    """Return each game as a row of signs ``(m, n)`` and the share that its first side won ``(m,)``.

    A row with one entry is a game against the acceptable policy, whose rating is 0.
    """
    rows: list[FloatArray] = []
    shares: list[float] = []
    for answer in answers:
        a, b = (np.eye(len(place))[place[name]] for name in (answer.a, answer.b))
        if answer.choice == "both bad":
            rows += [a, b, a - b]
            shares += [0.0, 0.0, 0.5]
        else:
            rows.append(a - b)
            shares.append({"a": 1.0, "b": 0.0, "same": 0.5}[answer.choice])
    if not rows:
        return np.zeros((0, len(place))), np.zeros(0)
    return np.stack(rows), np.array(shares)


def rate(
    names: Sequence[str],
    answers: Sequence[Answer],
    seen: Mapping[str, float] = MappingProxyType({}),
) -> list[Rating]:
    """Return the candidates' ratings, the best first; ``seen`` is as for ``fit_ratings``."""
    if not names:
        return []
    fit = fit_ratings(names, answers, seen)
    spread = _Z95 * np.sqrt(np.diag(fit.covariance))
    p_best = np.bincount(fit.draw().argmax(axis=1), minlength=len(names)) / _N_SAMPLES
    ratings = [
        Rating(
            name,
            float(fit.mean[index]),
            float(fit.mean[index] - spread[index]),
            float(fit.mean[index] + spread[index]),
            sum(name in (answer.a, answer.b) for answer in answers),
            float(p_best[index]),
        )
        for index, name in enumerate(fit.names)
    ]
    return sorted(ratings, key=lambda rating: -rating.mean)


def choose_pair(
    names: Sequence[str],
    answers: Sequence[Answer],
    seen: Mapping[str, float] = MappingProxyType({}),
) -> tuple[str, str] | None:
    """Return the pair whose answer says most about which candidate is the best.

    ``seen`` is as for ``fit_ratings``.

    The information is that between the answer and the identity of the best, over draws of the
    posterior. Of pairs that say as much, the one asked less often comes first.

    Returns:
        Two of them, or None with fewer than two.
    """
    if len(names) < 2:
        return None
    asked = [frozenset((answer.a, answer.b)) for answer in answers]
    pairs = list(itertools.combinations(range(len(names)), 2))
    gains = _measure_gains(fit_ratings(names, answers, seen).draw(), pairs).round(4)
    counts = [asked.count(frozenset((names[a], names[b]))) for a, b in pairs]
    a, b = pairs[max(range(len(pairs)), key=lambda k: (gains[k], -counts[k]))]
    # Left and right change, lest a habit of the person counts for one of the two.
    return (names[a], names[b]) if len(answers) % 2 == 0 else (names[b], names[a])


def _measure_gains(draws: FloatArray, pairs: Sequence[tuple[int, int]]) -> FloatArray:
    """Return the information (bits) between each pair's answer and the best candidate ``(m,)``.

    Args:
        draws: ratings ``(n_samples, n)``.
        pairs: places of two candidates.
    """
    first, second = np.array(pairs).T
    wins = LAPSE + (1.0 - 2.0 * LAPSE) / (1.0 + np.exp(draws[:, second] - draws[:, first]))
    is_best = np.eye(draws.shape[1])[draws.argmax(axis=1)]  # (n_samples, n)
    share = is_best.mean(axis=0)
    given = (is_best.T @ wins) / np.maximum(is_best.sum(axis=0), 1.0)[:, None]
    gains = _measure_entropy(wins.mean(axis=0)) - share @ _measure_entropy(given)
    return np.asarray(gains, dtype=np.float64)


def _measure_entropy(p: FloatArray) -> FloatArray:
    """Return the entropy (bits) of yes-or-no answers; 0 at certainty."""
    q = np.clip(p, 1e-12, 1.0 - 1e-12)
    return np.asarray(-q * np.log2(q) - (1.0 - q) * np.log2(1.0 - q), dtype=np.float64)
