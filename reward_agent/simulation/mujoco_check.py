"""A card beside its MuJoCo model, and beside the Gymnasium environment that it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import mujoco
import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.records.drafting_jobs import CheckEnvResult
from reward_agent.simulation.mujoco_batch import BatchSimulation
from reward_agent.simulation.simulation import make_finding, show_range
from reward_agent.simulation.state import FloatArray
from reward_agent.types import Finding

TOLERANCE = 1e-9
_N_SIMS = 4
_N_STEPS = 250


def compare_with_model(simulation: BatchSimulation) -> CheckEnvResult:
    """Compare a card's times and actions with its model, and its motion with Gymnasium's."""
    card, model = simulation.card, simulation.model
    findings = [*_check_times(card, model), *_check_actions(card, model)]
    facts = {
        "model": f"{model.nbody - 1} bodies, {model.njnt} joints, {model.nu} actuators, "
        f"{sum(model.body_mass):.3g} kg",
        "physics step": f"{model.opt.timestep:g} s",
    }
    if card.gymnasium_id:
        parity = compare_with_gymnasium(card)
        findings += parity.findings
        facts |= parity.facts
    return CheckEnvResult(findings=tuple(findings), facts=facts)


def _check_times(card: EnvCard, model: mujoco.MjModel) -> Iterator[Finding]:
    control_dt = model.opt.timestep * card.model.frame_skip
    if not np.isclose(card.control_dt, control_dt, rtol=1e-9):
        yield make_finding(
            "times",
            f"control_dt is {card.control_dt:g} s, but {card.model.frame_skip} physics steps of "
            f"{model.opt.timestep:g} s make {control_dt:g} s",
            "correct control_dt, or model.frame_skip",
        )


def _check_actions(card: EnvCard, model: mujoco.MjModel) -> Iterator[Finding]:
    motors = zip(card.actions, model.actuator_ctrlrange, model.actuator_ctrllimited, strict=False)
    for name, limits, is_limited in motors:
        if not is_limited and card.action_mapping == "rescaled":
            yield make_finding(
                "actions",
                f"action {name!r}: its actuator has no ctrlrange in the MJCF",
                "give it one, in the MJCF or in model.control_ranges",
            )
        is_direct = card.action_mapping == "direct" and is_limited
        if is_direct and not np.allclose(limits, card.action_range):
            yield make_finding(
                "actions",
                f"action {name!r}: action_range is {show_range(card.action_range)}, its "
                f"actuator's ctrlrange is {show_range(limits)}",
                "correct it, or set action_mapping = 'rescaled'",
            )


def compare_with_gymnasium(card: EnvCard) -> CheckEnvResult:
    """Run both with the same seeds and random actions, through resets.

    Compares observations to 1e-9, terminations, times and the length of episodes.
    """
    envs = [make_gymnasium_env(card) for _ in range(_N_SIMS)]
    try:
        return _compare(card, envs)
    except (ValueError, AttributeError) as error:
        return _report(card, [f"cannot be compared with {card.gymnasium_id}: {error}"], "none")
    finally:
        for env in envs:
            env.close()


def make_gymnasium_env(card: EnvCard) -> Any:
    """Make the Gymnasium environment that the card names."""
    return gymnasium.make(card.gymnasium_id, disable_env_checker=True, **card.gymnasium_kwargs)


def _compare(card: EnvCard, envs: list[Any]) -> CheckEnvResult:
    seed, rng = 11, np.random.default_rng(3)
    simulation = BatchSimulation(card, len(envs), seed, fields=["observation"])
    simulation.reset()
    expected = np.array([env.reset(seed=seed + i)[0] for i, env in enumerate(envs)])
    settings = {
        "control_dt": (card.control_dt, float(envs[0].unwrapped.dt)),
        "max_episode_steps": (card.max_episode_steps, envs[0].spec.max_episode_steps),
    }
    findings = [
        f"{name} is {ours:g}, {card.gymnasium_id} has {theirs:g}"
        for name, (ours, theirs) in settings.items()
        if not np.isclose(ours, theirs)
    ]
    n_ended = 0
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
    return _report(card, findings, fact)


def _report(card: EnvCard, findings: list[str], fact: str) -> CheckEnvResult:
    remedy = "correct what differs, or leave gymnasium_id out"
    return CheckEnvResult(
        findings=tuple(make_finding("parity", text, remedy) for text in findings),
        facts={f"parity with {card.gymnasium_id}": fact},
    )


def _measure_difference(simulation: BatchSimulation, expected: FloatArray) -> float:
    if simulation.observation.shape != expected.shape:
        raise ValueError(
            f"observation has {simulation.observation.shape[1]} numbers, not {expected.shape[1]}"
        )
    return float(np.max(np.abs(simulation.observation - expected)))
