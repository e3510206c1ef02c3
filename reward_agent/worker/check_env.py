"""Job ``check_env``: compare a card with what simulates it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError, UsageError
from reward_agent.records.jobs import CheckEnvJob, CheckEnvResult
from reward_agent.simulation.backends import compare_card, find_backend, make_simulation
from reward_agent.simulation.simulation import Simulation, show_range
from reward_agent.simulation.state import FloatArray

_N_SIMS = 16
_N_STEPS = 400
# A held action lets a robot fall and roll, which noise around zero does not.
_HOLD_STEPS = 15


def prepare(job: CheckEnvJob) -> None:
    """Import what starts a process of its own: glfw does, to find its library."""
    importlib.import_module("gymnasium.envs.mujoco.mujoco_rendering")


def run(job: CheckEnvJob, job_dir: Path) -> CheckEnvResult:
    """Check the card of the job; the folder is not needed."""
    return check_card(job.card)


def check_card(card: EnvCard) -> CheckEnvResult:
    """Compare a card with its model: names, shapes, times, actions, values, reset, Gymnasium.

    Returns:
        The findings, none for a card that describes its model, and some measured facts.
    """
    try:
        simulation = make_simulation(card, _N_SIMS, seed=0)
    except (DataError, UsageError) as error:
        return CheckEnvResult(findings=(f"{error.message} ({error.remedy})",))
    seen = _roll(simulation)
    compared = compare_card(simulation)
    return CheckEnvResult(
        findings=(*_check_values(card, seen), *_check_repeats(card), *compared.findings),
        facts={"fields": str(len(card.state))} | compared.facts,
    )


def _roll(simulation: Simulation) -> dict[str, FloatArray]:
    """Return every field over episodes of random and of held random actions, ``(T, N[, k])``.

    Episodes go on past their termination, so that falls are seen to their end.
    """
    card, rng = simulation.card, np.random.default_rng(0)
    shape = (simulation.n_sims, card.n_actions)
    is_held = np.arange(simulation.n_sims) % 2 == 0
    action = np.zeros(shape)
    states = []
    for step in range(_N_STEPS):
        if step % min(card.max_episode_steps, _N_STEPS // 2) == 0:
            simulation.reset()
            states.append(simulation.read_state())
        fresh = rng.uniform(*card.action_range, shape)
        action = np.where(is_held[:, None] & (step % _HOLD_STEPS > 0), action, fresh)
        simulation.step(action)
        states.append(simulation.read_state())
    return {f.name: np.stack([state.fields[f.name] for state in states]) for f in card.fields}


def _check_values(card: EnvCard, seen: dict[str, FloatArray]) -> Iterator[str]:
    for field in card.fields:
        values, (low, high) = seen[field.name], field.range
        found = (float(values.min()), float(values.max()))
        if not np.isfinite(values).all():
            yield f"field {field.name!r}: not finite in episodes of random actions"
        elif found[0] == found[1]:
            if find_backend(card).is_shared_layout:  # most tasks have no second object
                continue
            yield f"field {field.name!r}: always {found[0]:g} in episodes of random actions"
        elif found[0] < low - (high - low) or found[1] > high + (high - low):
            yield (
                f"field {field.name!r}: range {show_range(field.range)} {field.unit} is too "
                f"narrow: random actions reach {show_range(found)}"
            )
        elif high - low > 100 * (found[1] - found[0]):
            yield (
                f"field {field.name!r}: range {show_range(field.range)} {field.unit} is too "
                f"wide: random actions reach {show_range(found)}; is the unit right?"
            )


def _check_repeats(card: EnvCard) -> Iterator[str]:
    """Reset and step twice with one seed, and once with another."""
    first, again, other = (_roll_shortly(card, seed) for seed in (1, 1, 2))
    if not np.array_equal(first, again):
        yield "reset and steps with one seed do not repeat"
    if np.array_equal(first, other):
        yield "every seed starts the same episode: give [reset] some noise"


def _roll_shortly(card: EnvCard, seed: int) -> FloatArray:
    simulation = make_simulation(card, 1, seed, fields=["observation"])
    simulation.reset()
    for _ in range(10):
        simulation.step(np.full((1, card.n_actions), card.action_range[1]))
    return simulation.observation
