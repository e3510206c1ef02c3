"""Where some episodes of a training begin: in states of a program's own, ever fewer of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.start import TrainingStart
from reward_agent.errors import DataError
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray
from reward_agent.types import Finding

N_TRIED = 64
_MOST_REFUSED = 0.2  # of the states drawn
_SUNK_M = -0.05
_FLUNG = 1e3  # a velocity that nothing but a deep overlap makes in one step


class TrainingStarts:
    """Draws where episodes begin; ``progress`` says how far the training is, 0 to 1."""

    def __init__(self, simulation: Simulation, starts: Sequence[TrainingStart], seed: int) -> None:
        self.progress = 0.0
        self._simulation, self._starts = simulation, starts
        self._generator = np.random.default_rng((seed, len(starts)))

    def __call__(self, ids: NDArray[np.int32]) -> None:
        """Move some of the simulations whose episodes have just begun."""
        ends = np.cumsum([start.find_share(self.progress) for start in self._starts])
        chosen = np.searchsorted(ends, self._generator.random(len(ids)), side="right")
        for number, start in enumerate(self._starts):
            rows = ids[chosen == number]
            if len(rows):
                self._simulation.put_fields(rows, draw_fields(start, len(rows), self._generator))


def draw_fields(
    start: TrainingStart, n: int, generator: np.random.Generator
) -> dict[str, FloatArray]:
    """Return values (n, k) of the fields that a start names."""
    drawn = {}
    for name, spans in start.fields.items():
        low, high = (np.array(ends) for ends in zip(*spans, strict=True))
        drawn[name] = generator.uniform(low, high, (n, len(spans)))
    return drawn


def try_starts(simulation: Simulation, starts: Sequence[TrainingStart]) -> list[Finding]:
    """Return what is wrong with the states of starts: each is drawn, and one step is made."""
    findings = []
    for number, start in enumerate(starts, 1):
        try:
            refused = list(filter(None, _try_start(simulation, start)))
        except DataError as error:
            findings.append(_refuse(f"start {number}: {error.message}", error.remedy))
            continue
        if len(refused) > _MOST_REFUSED * simulation.n_sims:
            share = f"{len(refused)} of {simulation.n_sims} states"
            common = max(set(refused), key=refused.count)
            what = f"start {number}: no episode can begin in {share}: {common}"
            findings.append(_refuse(what, "narrow what is drawn, or draw more fields together"))
    return findings


def _refuse(message: str, remedy: str) -> Finding:
    return Finding(rule="training/start", severity="error", message=message, remedy=remedy)


def _try_start(simulation: Simulation, start: TrainingStart) -> list[str]:
    """Return why an episode cannot begin in each of some states drawn; '' where it can."""
    ids = np.arange(simulation.n_sims, dtype=np.int32)
    simulation.reset()
    simulation.put_fields(ids, draw_fields(start, len(ids), np.random.default_rng(0)))
    reasons = _find_reasons(simulation)
    low, high = simulation.card.action_range
    simulation.step(np.full((len(ids), simulation.card.n_actions), np.clip(0.0, low, high)))
    seen = np.nan_to_num(simulation.observation, nan=np.inf)
    both = zip(reasons, np.abs(seen).max(axis=1) > _FLUNG, strict=True)
    return [reason or ("it is flung apart" if is_flung else "") for reason, is_flung in both]


def _find_reasons(simulation: Simulation) -> list[str]:
    """Return why an episode cannot begin in each state; '' where it can."""
    ended, state = simulation.find_terminated(), simulation.read_state()
    sunk = np.zeros(simulation.n_sims, dtype=bool)
    for field in simulation.card.state:
        if field.role == "lowest_point" and field.name in state.fields:
            sunk |= state.fields[field.name] < _SUNK_M
    reasons = []
    for sim in range(simulation.n_sims):
        reason = f"{simulation.termination_reason(sim)} ends it at once" if ended[sim] else ""
        reasons.append(reason or ("it is in the floor" if sunk[sim] else ""))
    return reasons
