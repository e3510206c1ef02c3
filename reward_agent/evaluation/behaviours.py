"""Behaviours: what this very robot can do without a trained policy, scripted and recorded.

They are what a metric must not praise, and what a reward must not pay best. Fields held at their
ends are made of a recording by data alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.card import EnvCard
from reward_agent.evaluation.rollout import Recorder
from reward_agent.evaluation.trajectories import Trajectories, join_trajectories, make_trajectories
from reward_agent.records.job import Behaviour
from reward_agent.simulation.backends import find_backend, make_simulation
from reward_agent.simulation.simulation import Reader, Simulation, draw_actions
from reward_agent.simulation.state import FloatArray

# So many actuators are taken to their ends one by one; of more, these, spread over all of them.
# Fewer where episodes are long: all of these together take no more control steps than that.
MOST_EXTREME, _MOST_STEPS = 20, 50_000
# Every other episode of random actions holds each for so long: one that changes always does little.
_RANDOM_HOLD_S = 0.2


@dataclass(frozen=True)
class Behaviours:
    """Recorded episodes, and what the robot does in each.

    Args:
        trajectories: the episodes, end to end.
        names: of each of them; several may have one name.
        left_out: what cannot be done here, or was not, and why.
        links: length of each link of the robot, m.
        keyframes: of the model, by name.
        poses: of each episode ``(T, n)``, to draw it; none where they were not recorded here.
    """

    trajectories: Trajectories
    names: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    links: Mapping[str, float] = field(default_factory=dict)
    keyframes: tuple[str, ...] = ()
    poses: tuple[FloatArray, ...] = ()


def record_behaviours(
    card: EnvCard,
    behaviours: Sequence[Behaviour],
    n_episodes: int,
    seed: int,
    begin: Mapping[str, FloatArray] | None = None,
) -> Behaviours:
    """Let the robot do some behaviours side by side; the same seed gives the same.

    Args:
        card: the environment, with the task applied.
        behaviours: at least one that can be done here.
        n_episodes: of each; each actuator is at each of its ends once.
        seed: of the first simulation.
        begin: states of all episodes of a behaviour, as ``Simulation.physics`` has them; by default
            they begin as the card says.
    """
    possible, left_out = _find_possible(card, behaviours, seed)
    parts = [part for item in possible for part in _list_parts(card, item, n_episodes)]
    n_left = card.n_actions - _count_extreme(card)
    if "actuators at their ends" in possible and n_left > 0:
        left_out += (f"ends of {n_left} of the {card.n_actions} actuators one by one: too many",)
    size = find_backend(card).most_simulations or len(parts)
    recorded = list[Trajectories]()
    poses = list[FloatArray]()
    for start in range(0, len(parts), size):
        rows = np.arange(start, min(start + size, len(parts))) % n_episodes
        states = {name: values[rows] for name, values in (begin or {}).items()}
        recorder = _record(card, parts[start : start + size], seed + start, states)
        recorded.append(make_trajectories(list(recorder.cut_episodes()), recorder.ends))
        poses += recorder.cut_poses()
    one = make_simulation(card, 1, seed, fields=())
    return Behaviours(
        join_trajectories(recorded),
        tuple(part.name for part in parts),
        left_out,
        one.measure_links(),
        tuple(one.list_keyframes()),
        tuple(poses),
    )


@dataclass(frozen=True)
class _Part:
    """One episode: its behaviour and name, and where its action is not what holds the pose.

    Args:
        columns: entries of the action.
        value: of each of them.
    """

    behaviour: Behaviour
    name: str
    columns: tuple[int, ...] = ()
    value: float = 0.0


def _find_possible(
    card: EnvCard, behaviours: Sequence[Behaviour], seed: int
) -> tuple[list[Behaviour], tuple[str, ...]]:
    """Return what the back end can do of some behaviours, and what it cannot, with the reason."""
    trial = make_simulation(card, 1, seed, fields=())
    trial.reset()
    first = np.zeros(1, dtype=np.int32)
    label = find_backend(card).label
    reasons = dict[Behaviour, str]()
    if "falling at once" in behaviours and not trial.tip_over(first):
        reasons["falling at once"] = "nothing here can be tipped over"
    if "limp" in behaviours and not trial.go_limp(first):
        reasons["limp"] = f"{label} cannot let go of the actuators of this robot"
    possible = [item for item in behaviours if item not in reasons]
    return possible, tuple(f"{name}: {reason}" for name, reason in reasons.items())


def _list_parts(card: EnvCard, behaviour: Behaviour, n_episodes: int) -> list[_Part]:
    everything = tuple(range(card.n_actions))
    if behaviour == "limp":
        return [_Part(behaviour, behaviour, everything)] * n_episodes
    if behaviour != "actuators at their ends":
        return [_Part(behaviour, behaviour)] * n_episodes
    spread = np.linspace(0, card.n_actions - 1, _count_extreme(card)).round()
    one = tuple(np.unique(spread.astype(int)).tolist())
    groups: list[tuple[str, tuple[int, ...]]] = [(card.actions[i], (i,)) for i in one]
    if card.n_actions > 1:
        groups.append(("every actuator", everything))
    if card.choices:
        return [
            _Part(behaviour, f"{card.actions[i]} always {choice}", (i,), float(number))
            for i in one
            for number, choice in enumerate(card.choices[i][:MOST_EXTREME])
        ]
    return [
        _Part(behaviour, f"{name} at its {end} end", columns, value)
        for name, columns in groups
        for end, value in zip(("lower", "upper"), card.action_range, strict=True)
    ]


def _count_extreme(card: EnvCard) -> int:
    """Return how many actuators are taken to their ends one by one."""
    n_affordable = _MOST_STEPS // (2 * card.max_episode_steps)
    return min(card.n_actions, MOST_EXTREME, max(2, n_affordable))


def _record(
    card: EnvCard, parts: Sequence[_Part], seed: int, states: Mapping[str, FloatArray]
) -> Recorder:
    simulation = make_simulation(card, len(parts), seed)
    recorder = Recorder(card, simulation, prepare=lambda: _prepare(simulation, parts, states))
    actions = _Actions(card, parts, simulation.hold_pose(), seed)
    for step in range(card.max_episode_steps):
        recorder.step(actions.choose(step))
        if not recorder.active.any():
            break
    return recorder


def _prepare(
    simulation: Simulation, parts: Sequence[_Part], states: Mapping[str, FloatArray]
) -> None:
    """Put robots into states, let them go limp, and tip them over, at the start of their episodes.

    Those that are to fall go limp as well: stiff ones may rock back onto their feet.
    """
    if states:
        simulation.put_fields(np.arange(len(parts), dtype=np.int32), states)
    falling = _find(parts, "falling at once")
    simulation.go_limp(np.concatenate([_find(parts, "limp"), falling]))
    simulation.tip_over(falling)


def _find(parts: Sequence[_Part], behaviour: Behaviour) -> NDArray[np.int32]:
    return np.array([i for i, part in enumerate(parts) if part.behaviour == behaviour], np.int32)


class _Actions:
    """What each simulation is told at each step."""

    def __init__(self, card: EnvCard, parts: Sequence[_Part], hold: Reader, seed: int) -> None:
        self._card = card
        self._parts, self._hold = parts, hold
        self._random = _find(parts, "random actions")
        self._is_slow = np.arange(len(self._random)) % 2 == 1
        self._n_held = max(2, round(_RANDOM_HOLD_S / card.control_dt))
        self._drawn = np.zeros((len(self._random), card.n_actions))
        self._generator = np.random.default_rng(seed)

    def choose(self, step: int) -> FloatArray:
        """Return actions ``(N, n_actions)``."""
        action = np.array(self._hold())
        for row, part in enumerate(self._parts):
            action[row, list(part.columns)] = part.value
        fresh = draw_actions(self._card, self._generator, len(self._drawn))
        is_due = ~self._is_slow | (step % self._n_held == 0)
        self._drawn = np.where(is_due[:, None], fresh, self._drawn)
        action[self._random] = self._drawn
        return action
