"""Simulated races: courses of trainings as real ones show them, where there are too few of those.

A training begins to learn soon or, some of them, late; it grows to a level of its own, fast or
slowly, or falls off again; its policies swing about that, and a few are lucky. The numbers were set
to give what 48 trainings of hopper and half_cheetah gave: after an eighth of the steps a good one
has 0.2 of its best (here 0.15), after a quarter 0.4 (here 0.35), policies swing by 0.1 (here 0.08);
and the best at the end is somewhat more often not yet among the best at the beginning.
"""

from __future__ import annotations

import numpy as np

from benchmarks.measurements import Course
from reward_agent.simulation.state import FloatArray

N_POINTS = 16
_STEPS = tuple(1_000 * number for number in range(1, N_POINTS + 1))
_TIME = np.arange(1, N_POINTS + 1) / N_POINTS
# Good, mediocre and bad rewards: the best score that they lead to, and how many there are.
_LEVELS = (1.0, 0.35, 0.03)
_USUAL_MIX = (0.375, 0.25, 0.375)
_SHARE_LATE = 0.12
_SHARE_FALLING = 0.12
# Policies swing by this share of their score, more in one environment than in another; half of that
# is still there at the next.
_SWINGS = (0.03, 0.25)
_PERSISTENCE = 0.5
_SHARE_LUCKY = 0.02


def simulate_race(chance: np.random.Generator, seed: int, n_candidates: int = 8) -> list[Course]:
    """Return the courses of the candidates of one race."""
    mix = _USUAL_MIX if chance.random() < 0.5 else chance.dirichlet((2.0, 2.0, 2.0))
    swing, has_luck = chance.uniform(*_SWINGS), chance.random() < 0.5
    courses = []
    for number in range(n_candidates):
        level = chance.choice(_LEVELS, p=mix)
        means = level * np.exp(chance.normal(0.0, 0.15)) * _draw_growth(chance)
        means *= np.exp(swing * _draw_swings(chance))
        if has_luck:
            is_lucky = chance.random(N_POINTS) < _SHARE_LUCKY
            means *= np.where(is_lucky, chance.uniform(1.5, 2.5), 1.0)
        if level == _LEVELS[-1] and chance.random() < 0.3:  # it is paid for the contrary
            means *= -10.0
        courses.append(_make_course(chance, seed, f"candidate {number}", means))
    return courses


def _draw_growth(chance: np.random.Generator) -> FloatArray:
    """Return a curve from 0 to 1 over the training, shape (points,)."""
    is_late = chance.random() < _SHARE_LATE
    onset = chance.uniform(0.1, 0.6) if is_late else chance.uniform(-0.02, 0.1)
    pace = np.exp(chance.uniform(np.log(0.15), np.log(1.5)))
    curve: FloatArray = 1.0 - np.exp(-np.clip(_TIME - onset, 0.0, None) / pace)
    curve /= 1.0 - np.exp(-(1.0 - min(onset, 0.5)) / pace)
    if chance.random() < _SHARE_FALLING:
        begin, slope = chance.uniform(0.05, 0.5), chance.uniform(0.5, 2.0)
        curve *= np.clip(1.0 - slope * np.clip(_TIME - begin, 0.0, None), 0.25, None)
    return curve


def _draw_swings(chance: np.random.Generator) -> FloatArray:
    """Return swings of standard deviation 1, each like the one before, shape (points,)."""
    swings = chance.normal(0.0, 1.0, N_POINTS)
    for k in range(1, N_POINTS):
        swings[k] = _PERSISTENCE * swings[k - 1] + np.sqrt(1 - _PERSISTENCE**2) * swings[k]
    return swings


def _make_course(chance: np.random.Generator, seed: int, name: str, means: FloatArray) -> Course:
    """Return a course as a few episodes a policy see it."""
    measured = means + chance.normal(0.0, 0.01, N_POINTS)
    half_widths = 0.06 * np.abs(measured) + 0.01
    scores = zip(measured, measured - half_widths, measured + half_widths, strict=True)
    return Course(
        env="simulated",
        candidate=name,
        seed=seed,
        steps=_STEPS,
        scores=tuple((float(mean), float(low), float(high)) for mean, low, high in scores),
    )
