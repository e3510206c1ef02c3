"""The course of a training: each reward term, return and episode length, at about ten points."""

from __future__ import annotations

import numpy as np

from reward_agent.simulation.term_log import Stretch
from reward_agent.types import TermCurve, TermPoint, TrainingPoint


def make_term_curves(
    stretches: dict[int, Stretch], max_episode_steps: int
) -> tuple[TermCurve, ...]:
    """Return the course of each term.

    Args:
        stretches: by the env steps at their end.
        max_episode_steps: longest episode, in control steps.
    """
    if not stretches:
        return ()
    points = {steps: _make_points(steps, s, max_episode_steps) for steps, s in stretches.items()}
    names = next(iter(stretches.values())).names
    return tuple(
        TermCurve(name=name, points=tuple(row[k] for row in points.values()))
        for k, name in enumerate(names)
    )


def make_training_points(stretches: dict[int, Stretch]) -> tuple[TrainingPoint, ...]:
    """Return mean return and length of the episodes that ended in each stretch."""
    return tuple(
        TrainingPoint(
            total_timesteps=steps,
            generated_return=stretch.generated_return,
            episode_length=stretch.episode_length,
        )
        for steps, stretch in stretches.items()
    )


def _make_points(steps: int, stretch: Stretch, max_episode_steps: int) -> list[TermPoint]:
    pay = stretch.find_pay_per_episode(max_episode_steps)
    weight = float(np.abs(pay).sum()) or 1.0
    return [
        TermPoint(
            total_timesteps=steps,
            minimum=float(stretch.minimum[k]),
            mean=float(stretch.total[k] / stretch.n_steps),
            maximum=float(stretch.maximum[k]),
            pay_per_episode=float(pay[k]),
            share_of_return=float(abs(pay[k]) / weight),
        )
        for k in range(len(stretch.names))
    ]
