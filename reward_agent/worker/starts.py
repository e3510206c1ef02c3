"""States that the starts of a program are: made where it runs, and tried before its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reward_agent.definitions.start import TrainingStart
from reward_agent.errors import DataError
from reward_agent.learning.starts import StateBank
from reward_agent.records.job import STARTS_FILE, STATES_FILE
from reward_agent.records.training_jobs import ProbeJob
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.program import load_functions
from reward_agent.simulation.backends import make_simulation
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray
from reward_agent.summary.events import read_recorded
from reward_agent.types import Finding, StartTrial

_N_TRIED = 64
_MOST_REFUSED = 0.2  # of the states drawn
_SUNK_M = -0.05
_FLUNG = 1e3  # a velocity that nothing but a deep overlap makes in one step


def make_bank(simulation: Simulation, source: str, job_dir: Path) -> StateBank:
    """Return what draws the states of a program, with those recorded in the job's folder."""
    return StateBank(simulation, load_functions(source), read_recorded(job_dir / STATES_FILE))


def try_program(
    job: ProbeJob, job_dir: Path, source: str
) -> tuple[list[Finding], tuple[StartTrial, ...]]:
    """Try the starts of a program, and leave some states of each for who scores them."""
    if not job.starts:
        return [], ()
    simulation = make_simulation(job.card, _N_TRIED, job.seed)
    bank = make_bank(simulation, source, job_dir)
    findings, states = try_starts(simulation, job.starts, bank, job.n_kept)
    np.savez(job_dir / STARTS_FILE, allow_pickle=False, **states)
    return findings, tuple(StartTrial(name=str(s), n_states=job.n_kept) for s in job.starts)


def try_starts(
    simulation: Simulation,
    starts: Sequence[TrainingStart],
    bank: StateBank | None = None,
    n_kept: int = _N_TRIED,
) -> tuple[list[Finding], dict[str, FloatArray]]:
    """Draw states of starts, and make one step from each.

    Returns:
        What is wrong with them, and the first states of each, one after the other, as ``physics``
        of a simulation has them.
    """
    findings, states = list[Finding](), list[dict[str, FloatArray]]()
    bank = bank or StateBank(simulation)
    for number, start in enumerate(starts, 1):
        try:
            physics, reasons = _try_start(simulation, start, bank)
        except (DataError, ContractError) as error:
            findings.append(_refuse(f"start {number}: {error}", error.remedy))
            continue
        refused = list(filter(None, reasons))
        if len(refused) > _MOST_REFUSED * simulation.n_sims:
            share = f"{len(refused)} of {simulation.n_sims} states"
            common = max(set(refused), key=refused.count)
            what = f"start {number}: no episode can begin in {share}: {common}"
            findings.append(_refuse(what, "narrow what is drawn, or draw more fields together"))
        states.append({name: rows[:n_kept] for name, rows in physics.items()})
    names = states[0] if states else ()
    return findings, {name: np.concatenate([item[name] for item in states]) for name in names}


def _refuse(message: str, remedy: str) -> Finding:
    return Finding(rule="training/start", severity="error", message=message, remedy=remedy)


def _try_start(
    simulation: Simulation, start: TrainingStart, bank: StateBank
) -> tuple[dict[str, FloatArray], list[str]]:
    """Return some states drawn, and why an episode cannot begin in each; '' where it can."""
    ids = np.arange(simulation.n_sims, dtype=np.int32)
    simulation.reset()
    simulation.put_fields(ids, bank.draw(start, len(ids), np.random.default_rng(0)))
    physics, reasons = simulation.physics, _find_reasons(simulation)
    low, high = simulation.card.action_range
    simulation.step(np.full((len(ids), simulation.card.n_actions), np.clip(0.0, low, high)))
    seen = np.nan_to_num(simulation.observation, nan=np.inf)
    is_flung = np.abs(seen).max(axis=1) > _FLUNG
    after = zip(reasons, is_flung, _find_reasons(simulation), strict=True)
    told = [first or ("it is flung apart" if flung else then) for first, flung, then in after]
    return physics, told


def _find_reasons(simulation: Simulation) -> list[str]:
    """Return why an episode cannot begin in each state; '' where it can."""
    ended, state = simulation.find_terminated(), simulation.read_state()
    sunk = np.zeros(simulation.n_sims, dtype=bool)
    for item in simulation.card.state:
        if item.role == "lowest_point" and item.name in state.fields:
            sunk |= state.fields[item.name] < _SUNK_M
    reasons = []
    for sim in range(simulation.n_sims):
        reason = f"{simulation.termination_reason(sim)} ends it at once" if ended[sim] else ""
        reasons.append(reason or ("it is in the floor" if sunk[sim] else ""))
    return reasons
