"""Steps of an environment to try a reward program on: real ones, and extreme ones. Child side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.state import State
from reward_agent.simulation.transition import Transition

Array = np.ndarray[Any, Any]

# An action held for a few steps moves the robot further than noise at every step.
_HOLD_STEPS = 4


# The last steps that were rolled out, by what they depend on: a process with everything imported
# does it once for all that it forks.
_remembered: dict[tuple[str, int, int, int], list[Transition]] = {}


def roll_out_random_policy(
    card: EnvCard, seed: int, n_sims: int = 64, n_steps: int = 40
) -> list[Transition]:
    """Return consecutive steps of random actions, from reset states on; the fallen restart."""
    key = (card.model_dump_json(), seed, n_sims, n_steps)
    if key not in _remembered:
        _remembered.clear()
        _remembered[key] = _roll_out(card, seed, n_sims, n_steps)
    return list(_remembered[key])


def _roll_out(card: EnvCard, seed: int, n_sims: int, n_steps: int) -> list[Transition]:
    from reward_agent.simulation.backend import make_simulation

    generator = np.random.default_rng(seed)
    low, high = card.action_range
    simulation = make_simulation(card, n_sims, seed)
    simulation.reset()
    state = simulation.read_state()
    action = np.zeros((n_sims, card.n_actions))
    steps = []
    for index in range(n_steps):
        if index % _HOLD_STEPS == 1:
            action = generator.uniform(low, high, size=(n_sims, card.n_actions))
        simulation.step(action)
        next_state, terminated = simulation.read_state(), simulation.find_terminated().copy()
        steps.append(_freeze(Transition(state, action.copy(), next_state, terminated)))
        state = next_state
        if terminated.any():
            simulation.reset(np.flatnonzero(terminated))
            state = simulation.read_state()
    return steps


def _freeze(step: Transition) -> Transition:
    """Make a step read-only, as its states are: it is shared."""
    step.action.flags.writeable = step.terminated.flags.writeable = False
    return step


def make_extremes(card: EnvCard, real: Transition) -> Iterator[tuple[str, Transition]]:
    """Yield steps at the edges of what fields can be, with a name for each.

    A distance of zero, a range's end, no motion at all: where 1/x, logarithms and exponents break.
    """
    yield "nothing moved and no action", _stand_still(real)
    yield "every field zero (the goal itself, for a distance)", _fill(card, real, _zero)
    yield "every field at its lower end", _fill(card, real, _lower)
    yield "every field at its upper end", _fill(card, real, _upper)


def _stand_still(real: Transition) -> Transition:
    nobody = np.zeros_like(real.terminated)
    return Transition(real.state, np.zeros_like(real.action), real.state, nobody)


def _zero(lower: float, upper: float) -> float:
    return 0.0


def _lower(lower: float, upper: float) -> float:
    return lower


def _upper(lower: float, upper: float) -> float:
    return upper


def _fill(card: EnvCard, real: Transition, choose: Any) -> Transition:
    """Return a step in which each field has one value everywhere; ranges are those of the card."""
    ranges = {field.name: field.range for field in card.state}
    fields = {}
    for name, values in real.state.fields.items():
        lower, upper = ranges.get(name, (-10.0, 10.0))
        edge = choose(max(lower, -1e3), min(upper, 1e3))
        fields[name] = np.full(values.shape, edge)
    action = np.full_like(real.action, choose(*card.action_range))
    edges = State({name: values.copy() for name, values in fields.items()})
    return Transition(State(fields), action, edges, np.zeros_like(real.terminated))
