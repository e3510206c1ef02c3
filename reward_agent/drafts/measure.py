"""What the fields of a drafted card come to: measured on the card itself, in MuJoCo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.start import ResetNoise
from reward_agent.drafts.field import DraftField
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.simulation import Simulation, count_steps, draw_actions
from reward_agent.simulation.state import FloatArray

# Rollouts that ranges are measured in: of random and of held random actions.
_N_SIMS, _MOST_PHYSICS_STEPS, _HOLD_STEPS, _MOST_S = 16, 64_000, 15, 25.0
# Of the states: what touches less often may not touch at all in others.
_RARE = 0.01
# Of its size: what moves less may yet move, so its range is no narrower than what stands still.
_STILL = 1e-6


@dataclass(frozen=True)
class Measured:
    """What rollouts saw: ranges by field, values at the start, which fields all but stood still."""

    ranges: dict[str, tuple[float, float]]
    rest: dict[str, float]
    constant: frozenset[str]


def measure(card: EnvCard, n_sims: int = _N_SIMS, most_steps: int = 400) -> Measured:
    """Read every field at the start, and over episodes of random and of held random actions."""
    still = card.model_copy(update={"reset": ResetNoise(), "draws": card.draws})
    start = make_simulation(still, 1, seed=0)
    start.reset()
    first = start.read_state().fields
    seen = _roll(make_simulation(card, n_sims, seed=0), card, most_steps)
    ranges, constant = {}, set()
    for name, values in seen.items():
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        ranges[name] = (low, high)
        is_rare = card.field(name).unit == "0/1" and not _RARE < float(values.mean()) < 1 - _RARE
        if high - low <= 1e-9 * max(1.0, abs(high)) or is_rare:
            constant.add(name)
    return Measured(
        ranges=ranges,
        rest={name: float(values[0]) for name, values in first.items() if values.ndim == 1},
        constant=frozenset(constant),
    )


def _roll(simulation: Simulation, card: EnvCard, most_steps: int) -> dict[str, FloatArray]:
    """Return every field, ``(M[, k])``, over two episodes, as long as the physics is sound."""
    rng, shape = np.random.default_rng(0), (simulation.n_sims, card.n_actions)
    n_steps = _MOST_PHYSICS_STEPS // (card.model.frame_skip * simulation.n_sims)
    n_steps = min(max(n_steps, 40), most_steps)
    is_held, action = np.arange(simulation.n_sims) % 2 == 0, np.zeros(shape)
    states, sound = [], list[NDArray[np.bool_]]()
    for step in count_steps(n_steps, _MOST_S):
        if step % min(card.max_episode_steps, n_steps // 2) == 0:
            simulation.reset()
            states.append(simulation.read_state())
            sound.append(~simulation.find_stuck())
        fresh = draw_actions(card, rng, simulation.n_sims)
        action = np.where(is_held[:, None] & (step % _HOLD_STEPS > 0), action, fresh)
        simulation.step(action)
        states.append(simulation.read_state())
        sound.append(~simulation.find_stuck() | simulation.ends_by_itself)
        if simulation.ends_by_itself:
            ended = np.flatnonzero(simulation.find_stuck() | simulation.find_truncated())
            if len(ended):
                simulation.reset(ended)
    kept = np.stack(sound)
    return {f.name: np.stack([state.fields[f.name] for state in states])[kept] for f in card.fields}


def set_range(field: DraftField, measured: Measured) -> DraftField:
    """Return the field with a range that holds what it is to hold, and what was seen, and more."""
    if field.unit == "0/1":
        return replace(field, bounds=(0.0, 1.0))
    low, high = measured.ranges[field.name]
    found, more = high - low, 0.25 * (high - low)
    wanted = field.bounds or (low, high)
    if field.bounds and found > 0 and wanted[1] - wanted[0] > 50 * found:
        wanted = (max(wanted[0], low - 20 * found), min(wanted[1], high + 20 * found))
    low, high = min(wanted[0], low - more), max(wanted[1], high + more)
    if field.bounds and field.bounds[0] == 0.0 and low > -0.2 * high:
        low = min(0.0, low)
    if high - low <= _STILL * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    fixed = field.bounds in ((-1.0, 1.0), (-np.pi, np.pi), (-np.pi / 2, np.pi / 2))
    is_within = (
        wanted == field.bounds and field.bounds[0] <= low + more and high - more <= field.bounds[1]
    )
    if fixed and is_within and field.bounds:
        low, high = field.bounds
    low, high = _round_out(low, high - low, -1), _round_out(high, high - low, 1)
    return replace(field, bounds=(low, high) if low < high else (low - 0.5, high + 0.5))


def _round_out(value: float, scale: float, side: int) -> float:
    """Round away from the middle, to two digits of the range's size."""
    step = 10.0 ** np.floor(np.log10(max(abs(scale), 1e-9)) - 1)
    rounded = np.ceil(value / step) if side > 0 else np.floor(value / step)
    return float(f"{rounded * step:.6g}")
