"""Job ``check_env``: compare a card with what simulates it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard, StateField
from reward_agent.definitions.sources import DRAW
from reward_agent.errors import DataError, UsageError
from reward_agent.records.drafting_jobs import CheckEnvJob, CheckEnvResult
from reward_agent.simulation.backends import compare_card, find_backend, make_simulation, try_card
from reward_agent.simulation.gymnasium_host import load_installed
from reward_agent.simulation.simulation import (
    Simulation,
    count_steps,
    draw_actions,
    make_finding,
    show_range,
)
from reward_agent.simulation.state import FloatArray
from reward_agent.types import Finding

_N_SIMS = 16
_N_STEPS, _MOST_S = 400, 30.0
# A reset and some steps that tell how fast one simulation is; few of a slow one are watched.
_N_FIRST, _FIRST_S, _SLOW_S, _FEW_SIMS = 10, 3.0, 1.0, 2
# A held action lets a robot fall and roll, which noise around zero does not.
_HOLD_STEPS = 15
# Of the simulations, in which wild actions may drive the physics apart.
_FEW = 0.2
_RARE = 0.001  # of all values
_OF_SPACE = ("m", "m/s", "rad/s", "N")
# What stays where it is until somebody moves it, or is there in some episodes alone.
_MAY_STAY = (
    "target_",
    "object_",
    "fixture_",
    "tool_contact",
    "foot_contact",
    "body_contact",
    "gripper_",
    "commanded_",
)


def prepare(job: CheckEnvJob) -> None:
    """Import what starts a process of its own: glfw does, to find its library."""
    if job.card.gymnasium_id:
        importlib.import_module("gymnasium.envs.mujoco.mujoco_rendering")
    if job.card.model.twin:
        load_installed(job.card.model.twin)


def run(job: CheckEnvJob, job_dir: Path) -> CheckEnvResult:
    """Check the card of the job; the folder is not needed."""
    return check_card(job.card)


def check_card(card: EnvCard) -> CheckEnvResult:
    """Compare a card with its model: what it does, what fields mean, their values, Gymnasium.

    Returns:
        The findings, none for a card that describes its model, and some measured facts.
    """
    try:
        findings = try_card(card)
        if any(finding.severity == "error" for finding in findings):
            return CheckEnvResult(findings=findings)
        first = _begin(card, 1, _N_FIRST)
        most = _FEW_SIMS if first.seconds > _SLOW_S else _N_SIMS
        n_sims = min(most, find_backend(card).most_simulations or most)
        simulation = make_simulation(card, n_sims, seed=0)
    except (DataError, UsageError) as error:
        return CheckEnvResult(
            findings=(make_finding("model", error.message, error.remedy, "error"),)
        )
    seen = _roll(simulation)
    constants = [_find_constants(simulation, field, seen) for field in card.fields]
    notes = [note for found in constants for note in found.notes]
    if 0 < seen.n_diverged <= _FEW * n_sims:
        notes.append(f"{seen.tell_divergence(n_sims)}; that ends the episode")
    if seen.n_steps < _N_STEPS:
        notes.append(
            f"it is slow: {seen.n_steps} of {_N_STEPS} steps were watched in {_MOST_S:g} s, in "
            f"{n_sims} simulations; what those do not show was not checked"
        )
    compared = compare_card(simulation)
    return CheckEnvResult(
        findings=(
            *findings,
            *_check_ends(simulation, seen),
            *(finding for found in constants for finding in found.findings),
            *_check_ranges(simulation, seen),
            *_check_repeats(card, first),
            *compared.findings,
        ),
        notes=(*notes, *compared.notes),
        facts={"fields": str(len(card.state))} | compared.facts,
    )


@dataclass(frozen=True)
class _Seen:
    """Episodes of random actions.

    Args:
        values: of every field, ``(M, k)``: over all episodes, as long as the physics is sound.
        scattered: ``(N, k)`` of states that no motion need lead to; None where there are none.
        n_ended: of the episodes, how many were over at their start.
        n_diverged: of the simulations, how many diverged.
        n_steps: that were taken.
    """

    values: dict[str, FloatArray]
    scattered: dict[str, FloatArray] | None
    n_ended: int
    n_diverged: int
    n_steps: int

    def tell_divergence(self, n_sims: int) -> str:
        """Say in how many of the simulations the physics diverged."""
        return (
            f"the physics diverges in {self.n_diverged} of {n_sims} simulations of random actions"
        )


def _roll(simulation: Simulation) -> _Seen:
    """Watch episodes of random and of held random actions.

    They go on past their termination, so that falls are seen to their end.
    """
    card, rng = simulation.card, np.random.default_rng(0)
    shape = (simulation.n_sims, card.n_actions)
    is_held = np.arange(simulation.n_sims) % 2 == 0
    action, has_diverged, n_ended = np.zeros(shape), np.zeros(simulation.n_sims, dtype=bool), 0
    states, sound, step = [], list[NDArray[np.bool_]](), 0
    for step in count_steps(_N_STEPS, _MOST_S):
        if step % min(card.max_episode_steps, _N_STEPS // 2) == 0:
            simulation.reset()
            n_ended = max(n_ended, int(simulation.find_terminated().sum()))
            states.append(simulation.read_state())
            sound.append(~simulation.find_stuck())
        fresh = draw_actions(card, rng, simulation.n_sims)
        action = np.where(is_held[:, None] & (step % _HOLD_STEPS > 0), action, fresh)
        simulation.step(action)
        is_over = simulation.find_stuck() | simulation.find_truncated()
        states.append(simulation.read_state())
        sound.append(~simulation.find_stuck() | simulation.ends_by_itself)
        if simulation.ends_by_itself:
            simulation.reset(is_over)
        else:
            has_diverged |= is_over
    kept = np.concatenate(sound)
    values = {
        field.name: _flatten(np.concatenate([state.fields[field.name] for state in states]))[kept]
        for field in card.fields
    }
    scattered = None
    if simulation.scatter():
        fields = simulation.read_state().fields
        scattered = {name: _flatten(value) for name, value in fields.items()}
    return _Seen(values, scattered, n_ended, int(has_diverged.sum()), step + 1)


def _flatten(values: FloatArray) -> FloatArray:
    return values.reshape(len(values), -1)


def _check_ends(simulation: Simulation, seen: _Seen) -> Iterator[Finding]:
    """Look at episodes that end before they begin, or whose physics ends them."""
    n_sims = simulation.n_sims
    if seen.n_ended:
        simulation.reset()
        ended = np.flatnonzero(simulation.find_terminated())
        reasons = {str(simulation.termination_reason(int(sim))) for sim in ended}
        named = f" ({', '.join(sorted(reasons))})" if reasons else ""
        yield make_finding(
            "ends",
            f"{seen.n_ended} of {n_sims} episodes are over at their start{named}",
            "widen the range in termination, or make the noise of [reset] smaller",
        )
    if seen.n_diverged > _FEW * n_sims:
        yield make_finding(
            "diverges",
            seen.tell_divergence(n_sims),
            "narrow what actions do (action_scale, model.control_ranges), shorten the timestep, or "
            'give the model integrator="implicitfast", which bears stiffer servos',
        )


@dataclass(frozen=True)
class _Constants:
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


def _find_constants(simulation: Simulation, field: StateField, seen: _Seen) -> _Constants:
    """Tell which entries of a field never change: what can change, or may well stay, is a note."""
    values = seen.values[field.name]
    constant = np.flatnonzero(np.ptp(values, axis=0) == 0) if len(values) else np.array([], int)
    if not len(constant) or find_backend(simulation.card).is_shared_layout:
        return _Constants()  # most tasks of a shared layout have no second object
    is_said = field.name == "observation" or "always" in field.doc
    # x, y, z of a robot that moves in a plane.
    is_flat = field.size == 3 and field.unit in _OF_SPACE
    if (is_said or is_flat) and len(constant) < values.shape[1]:
        return _Constants()
    shown = f"field {field.name!r}"
    if field.size is not None:
        shown += (
            f": entries {', '.join(map(str, constant[:8]))}"
            if len(constant) > 1
            else (f": entry {constant[0]}")
        )
        shown += ", …" if len(constant) > 8 else ""
    value = float(values[0, constant[0]])
    message = f"{shown}: always {value:g} in episodes of random actions"
    role = field.plays[0]
    moves = seen.scattered is not None and np.ptp(seen.scattered[field.name][:, constant]).any()
    if moves or field.unit == "0/1" or role.startswith(_MAY_STAY) or f"{DRAW}:" in field.source:
        return _Constants(notes=(f"{message}; see that something can change it",))
    remedy = 'correct the source, or leave it out; if it is to be so, say "always …" in its doc'
    return _Constants(findings=(make_finding("constant", message, remedy),))


def _check_ranges(simulation: Simulation, seen: _Seen) -> Iterator[Finding]:
    for field in simulation.card.fields:
        values, (low, high) = seen.values[field.name], field.range
        if not np.isfinite(values).all():
            yield make_finding(
                "finite",
                f"field {field.name!r}: not finite in episodes of random actions",
                "correct the source, or have an environment of your own return a number",
            )
            continue
        if not len(values):
            continue
        # Of thousands of states; a collision may throw a limb for an instant.
        least, most = np.quantile(values, (_RARE, 1 - _RARE))
        found = (float(least), float(most))
        is_beyond = found[0] < low - (high - low) or found[1] > high + (high - low)
        # Limits of joints are soft: a motor drives a joint well beyond.
        if is_beyond and not _is_own(simulation, field):
            yield make_finding(
                "range",
                f"field {field.name!r}: range {show_range(field.range)} {field.unit} is too "
                f"narrow: random actions reach {show_range(found)}",
                "widen it to what a policy may reach",
            )
        # What only people read is no policy's to reach: a verdict that is rare, a bonus at an end.
        elif (
            not is_beyond
            and not field.people_only
            and found[0] < found[1]
            and high - low > 100 * (found[1] - found[0])
        ):
            yield make_finding(
                "range",
                f"field {field.name!r}: range {show_range(field.range)} {field.unit} is too "
                f"wide: random actions reach {show_range(found)}",
                "narrow it to what a policy may reach; is the unit right?",
            )


def _is_own(simulation: Simulation, field: StateField) -> bool:
    """Whether a range is what the model itself says, or wider."""
    limits = simulation.find_limits(field)
    slack = 0.01 * (field.range[1] - field.range[0])
    return limits is not None and (
        field.range[0] <= limits[0] + slack and field.range[1] >= limits[1] - slack
    )


@dataclass(frozen=True)
class _Begun:
    """An episode's first steps: ``(1, k)`` observed after them, how many, their seconds."""

    observation: FloatArray
    n_steps: int
    seconds: float


def _begin(card: EnvCard, seed: int, n_steps: int) -> _Begun:
    simulation = make_simulation(card, 1, seed, fields=["observation"])
    began, n_taken = time.monotonic(), 0
    simulation.reset()
    for _ in count_steps(n_steps, _FIRST_S):
        simulation.step(np.full((1, card.n_actions), card.action_range[1]))
        n_taken += 1
    return _Begun(simulation.observation, n_taken, time.monotonic() - began)


def _check_repeats(card: EnvCard, first: _Begun) -> Iterator[Finding]:
    """Reset and step again with the seed that was used, and once with another."""
    again, other = (_begin(card, seed, first.n_steps).observation for seed in (1, 2))
    if not np.array_equal(first.observation, again):
        yield make_finding(
            "repeats", "reset and steps with one seed do not repeat", "see what is not seeded"
        )
    is_one = np.array_equal(first.observation, other)
    if is_one and card.draws:
        yield make_finding(
            "noise",
            "the observation tells nothing of what [draws] draw",
            f"add what tells it, such as 'draw:{next(iter(card.draws))}', to observation",
        )
    elif is_one and find_backend(card).is_mujoco:
        yield make_finding("noise", "every seed starts the same episode", "give [reset] some noise")
