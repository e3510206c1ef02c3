"""Comparison of a card with the live model that it describes."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError, UsageError
from reward_agent.records.jobs import CheckEnvResult
from reward_agent.simulation.backend import Simulation, make_simulation
from reward_agent.simulation.batch import BatchSimulation
from reward_agent.simulation.model import make_model
from reward_agent.simulation.parity import compare_with_gymnasium
from reward_agent.simulation.state import FloatArray

_N_SIMS = 16
_N_STEPS = 400
# A held action lets a robot fall and roll, which noise around zero does not.
_HOLD_STEPS = 15


def check_env(card: EnvCard) -> CheckEnvResult:
    """Compare a card with its model: names, shapes, times, actions, values, reset, Gymnasium.

    Returns:
        The findings, none for a card that describes its model, and some measured facts.
    """
    try:
        simulation = make_simulation(card, _N_SIMS, seed=0)
    except (DataError, UsageError) as error:
        return CheckEnvResult(findings=(f"{error.message} ({error.remedy})",))
    seen = _roll(simulation)
    findings = [*_check_values(card, seen), *_check_repeats(card)]
    facts = {"fields": str(len(card.state))}
    if isinstance(simulation, BatchSimulation):
        findings += [
            *_check_times(card, simulation.model),
            *_check_actions(card, simulation.model),
        ]
        facts = {**_describe(simulation), **facts}
    if card.gymnasium_id:
        parity = compare_with_gymnasium(card)
        findings += parity.findings
        facts[f"parity with {card.gymnasium_id}"] = parity.fact
    return CheckEnvResult(findings=tuple(findings), facts=facts)


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


def _check_times(card: EnvCard, model: mujoco.MjModel) -> Iterator[str]:
    control_dt = model.opt.timestep * card.model.frame_skip
    if not np.isclose(card.control_dt, control_dt, rtol=1e-9):
        yield (
            f"control_dt is {card.control_dt:g} s, but {card.model.frame_skip} physics steps of "
            f"{model.opt.timestep:g} s make {control_dt:g} s"
        )


def _check_actions(card: EnvCard, model: mujoco.MjModel) -> Iterator[str]:
    for name, limits, is_limited in zip(
        card.actions, model.actuator_ctrlrange, model.actuator_ctrllimited, strict=True
    ):
        if not is_limited:
            yield f"action {name!r}: its actuator has no ctrlrange in the MJCF"
        elif card.action_mapping == "direct" and not np.allclose(limits, card.action_range):
            yield (
                f"action {name!r}: action_range is {_render(card.action_range)}, its actuator's "
                f"ctrlrange is {_render(limits)}; correct it, or set action_mapping = 'rescaled'"
            )


def _check_values(card: EnvCard, seen: dict[str, FloatArray]) -> Iterator[str]:
    for field in card.fields:
        values, (low, high) = seen[field.name], field.range
        found = (float(values.min()), float(values.max()))
        if not np.isfinite(values).all():
            yield f"field {field.name!r}: not finite in episodes of random actions"
        elif low >= high:
            yield f"field {field.name!r}: range {_render(field.range)} is empty"
        elif found[0] == found[1]:
            if card.model.envpool:  # one layout for many tasks: most have no second object
                continue
            yield f"field {field.name!r}: always {found[0]:g} in episodes of random actions"
        elif found[0] < low - (high - low) or found[1] > high + (high - low):
            yield (
                f"field {field.name!r}: range {_render(field.range)} {field.unit} is too narrow: "
                f"random actions reach {_render(found)}"
            )
        elif high - low > 100 * (found[1] - found[0]):
            yield (
                f"field {field.name!r}: range {_render(field.range)} {field.unit} is too wide: "
                f"random actions reach {_render(found)}; is the unit right?"
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


def _describe(simulation: BatchSimulation) -> dict[str, str]:
    model = make_model(simulation.card, fields=())
    return {
        "model": f"{model.nbody - 1} bodies, {model.njnt} joints, {model.nu} actuators, "
        f"{sum(model.body_mass):.3g} kg",
        "physics step": f"{model.opt.timestep:g} s",
    }


def _render(limits: tuple[float, float] | FloatArray) -> str:
    return f"{limits[0]:.4g}..{limits[1]:.4g}"
