"""A card beside the Gymnasium environment that it stands for, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.batch import BatchSimulation
from reward_agent.simulation.state import FloatArray

TOLERANCE = 1e-9
_N_SIMS = 4
_N_STEPS = 250


@dataclass(frozen=True)
class Parity:
    """What the comparison found; no findings when both move alike."""

    findings: tuple[str, ...]
    fact: str


def compare_with_gymnasium(card: EnvCard) -> Parity:
    """Run both with the same seeds and random actions, through resets.

    Compares observations to 1e-9, terminations, times and the length of episodes.
    """
    envs = [make_gymnasium_env(card) for _ in range(_N_SIMS)]
    try:
        return _compare(card, envs)
    except (ValueError, AttributeError) as error:
        return Parity((f"cannot be compared with {card.gymnasium_id}: {error}",), "none")
    finally:
        for env in envs:
            env.close()


def make_gymnasium_env(card: EnvCard) -> Any:
    """Make the Gymnasium environment that the card names."""
    return gymnasium.make(card.gymnasium_id, disable_env_checker=True, **card.gymnasium_kwargs)


def _compare(card: EnvCard, envs: list[Any]) -> Parity:
    seed, rng = 11, np.random.default_rng(3)
    simulation = BatchSimulation(card, len(envs), seed, fields=["observation"])
    simulation.reset()
    expected = np.array([env.reset(seed=seed + i)[0] for i, env in enumerate(envs)])
    findings, n_ended = _compare_settings(card, envs[0]), 0
    worst = _measure_difference(simulation, expected)
    for _ in range(_N_STEPS):
        # Gymnasium's action spaces are float32, and so must be the action that both are given.
        action = rng.uniform(*card.action_range, (len(envs), card.n_actions)).astype(np.float32)
        outcomes = [env.step(row) for env, row in zip(envs, action, strict=True)]
        simulation.step(action)
        expected = np.array([outcome[0] for outcome in outcomes])
        worst = max(worst, _measure_difference(simulation, expected))
        terminated = np.array([outcome[2] for outcome in outcomes])
        if not np.array_equal(terminated, simulation.find_terminated()):
            findings.append(f"{card.gymnasium_id} terminates at other states")
            break
        has_ended = terminated | np.array([outcome[3] for outcome in outcomes])
        n_ended += int(has_ended.sum())
        for i in np.flatnonzero(has_ended):
            envs[i].reset()
        simulation.reset(has_ended)
    if not worst <= TOLERANCE:
        findings.append(f"observation differs from {card.gymnasium_id}'s by up to {worst:g}")
    fact = f"{len(envs)} x {_N_STEPS} steps, {n_ended} resets, largest difference {worst:g}"
    return Parity(tuple(findings), fact)


def _compare_settings(card: EnvCard, env: Any) -> list[str]:
    found = {
        "control_dt": (card.control_dt, float(env.unwrapped.dt)),
        "max_episode_steps": (card.max_episode_steps, env.spec.max_episode_steps),
    }
    return [
        f"{name} is {ours:g}, {card.gymnasium_id} has {theirs:g}"
        for name, (ours, theirs) in found.items()
        if not np.isclose(ours, theirs)
    ]


def _measure_difference(simulation: BatchSimulation, expected: FloatArray) -> float:
    if simulation.observation.shape != expected.shape:
        raise ValueError(
            f"observation has {simulation.observation.shape[1]} numbers, not {expected.shape[1]}"
        )
    return float(np.max(np.abs(simulation.observation - expected)))
