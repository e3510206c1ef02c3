"""Racing: which of several trainings goes on at a rung.

Successive halving (Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943): all start, the
worse half stops at each rung. Only the trusted metric decides, and near ties go on, since a rung's
score is the mean of a few noisy episodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Shares of the full budget at which the worse half stops.
RUNG_SHARES = (0.25, 0.5)


@dataclass(frozen=True)
class RungScore:
    """Trusted score of one candidate at a rung, in the task's unit.

    Args:
        mean: mean task score over fresh episodes.
        low: lower end of its interval.
        high: upper end of its interval.
    """

    mean: float
    low: float
    high: float


def plan_rungs(total_timesteps: int, n_candidates: int, mode: str) -> tuple[int, ...]:
    """Return the steps at which trainings pause, the last being the full budget."""
    if mode == "none" or n_candidates < 2:
        return (total_timesteps,)
    return (*(int(total_timesteps * share) for share in RUNG_SHARES), total_timesteps)


def choose_survivors(scores: Mapping[str, RungScore | None]) -> list[str]:
    """Return the candidates that go on, best first.

    The better half goes on, and of the rest those whose interval reaches the mean of the last of
    that half. A candidate without a score (None) stops, unless nobody has one.

    Args:
        scores: candidate id to its score at this rung.
    """
    known = {name: score for name, score in scores.items() if score is not None}
    if not known:
        return list(scores)
    ranked = sorted(known, key=lambda name: known[name].mean, reverse=True)
    half = ranked[: (len(ranked) + 1) // 2]
    bar = known[half[-1]].mean
    near_ties = [name for name in ranked[len(half) :] if known[name].high >= bar]
    return half + near_ties


def describe_stop(rung: int, own: RungScore | None, best: Sequence[RungScore], unit: str) -> str:
    """Say in one line why a candidate stopped at a rung."""
    if own is None:
        return f"stopped: no score at {rung:,} steps"
    top = max(score.mean for score in best)
    return f"stopped: {own.mean:.3g} {unit} at {rung:,} steps, the best had {top:.3g}"
