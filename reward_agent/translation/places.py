"""Which field of a card holds a number of the simulation: found by moving it, and comparing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.simulation import Simulation, draw_actions
from reward_agent.simulation.state import FloatArray, State, Transition

_N_SIMS, _N_STEPS = 8, 12
# What is derived from the same numbers differs by rounding.
_SAME = 1e-9


@dataclass(frozen=True)
class Places:
    """What was found in a moving simulation.

    Args:
        fields: what equals each number, the card's own fields first: ``qpos[0]`` ->
            ``x_position``; ``observation[9]`` -> ``leg_velocity``, ``joint_velocities[1]``.
        sizes: how many numbers ``qpos`` and ``qvel`` have; empty where it is not MuJoCo's.
        rest: a step in which nothing moves, if it can be made.
    """

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    rest: Transition | None = None


def find_places(card: EnvCard, seed: int) -> Places:
    """Move some simulations at random, and return which fields equal which numbers."""
    simulation = make_simulation(card, _N_SIMS, seed)
    simulation.reset()
    generator = np.random.default_rng(seed)
    seen: dict[str, list[FloatArray]] = {}
    for _ in range(_N_STEPS):
        simulation.step(draw_actions(card, generator, _N_SIMS))
        for name, values in _read_all(card, simulation).items():
            seen.setdefault(name, []).append(values.copy())
    columns = {name: np.concatenate(values) for name, values in seen.items()}
    sizes: dict[str, int] = {
        name: columns[name].shape[1] for name in ("qpos", "qvel") if name in columns
    }
    found = _match(columns, [item.name for item in card.state])
    return Places(found, sizes, _make_rest(card, simulation))


def _read_all(card: EnvCard, simulation: Simulation) -> dict[str, FloatArray]:
    state = simulation.read_state()
    raw = {name: getattr(simulation, name, None) for name in ("qpos", "qvel")}
    known = {name: value for name, value in raw.items() if value is not None}
    return {**known, **{item.name: state.fields[item.name] for item in card.fields}}


def _match(columns: Mapping[str, FloatArray], fields: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the fields that equal each number of the simulation and of the observation."""
    known = [pair for name in (*fields, "observation") for pair in _split(name, columns[name])]
    names, values = [name for name, _ in known], np.stack([column for _, column in known])
    found = {}
    for name in ("qpos", "qvel", "observation"):
        for place, column in _split(name, columns[name]) if name in columns else ():
            near = np.flatnonzero(np.abs(values - column).max(axis=1) < _SAME)
            if np.ptp(column) > 0 and len(near):  # what never changes equals too much
                found[place] = tuple(names[i] for i in near if names[i] != place)
    return found


def _split(name: str, values: FloatArray) -> list[tuple[str, FloatArray]]:
    if values.ndim == 1:
        return [(name, values)]
    return [(f"{name}[{place}]", column) for place, column in enumerate(values.T)]


def _make_rest(card: EnvCard, simulation: Simulation) -> Transition | None:
    """Return a step of the first start state at rest; None where a state cannot be set."""
    put = getattr(simulation, "put", None)
    qpos = getattr(simulation, "qpos", None)
    if put is None or qpos is None:
        return None
    simulation.reset()
    put(qpos, 0.0)
    row = simulation.read_state().take(np.array([0]))
    state = State({item.name: row.fields[item.name].copy() for item in card.fields})
    return Transition(state, np.zeros((1, card.n_actions)), state, np.zeros(1, dtype=bool))
