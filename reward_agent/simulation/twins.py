"""EnvPool's environment held against Gymnasium's own of the same id: whether both do the same.

Neither can be put into the other's states, so both are watched: the same card, whose fields both
read, under random actions, from starts of their own. What an episode pays, how long it lasts, and
how each number of the fields begins, stays and moves must come from one distribution.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import gymnasium
import numpy as np

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError, EnvironmentFailure, UsageError
from reward_agent.records.drafting_jobs import CheckEnvResult
from reward_agent.simulation.backends import (
    ENVPOOL,
    GYMNASIUM,
    find_backend,
    find_infos,
    make_simulation,
)
from reward_agent.simulation.envpool import ENDLESS, PoolSimulation, import_envpool
from reward_agent.simulation.gymnasium_host import INFO, REWARD, tell
from reward_agent.simulation.simulation import draw_actions, make_finding
from reward_agent.simulation.state import FloatArray

_N_SIMS, _HOLD_STEPS = 8, 10
_LEAST_ROUNDS, _MOST_ROUNDS, _MOST_S = 4, 12, 5.0
# Steps of an episode in the first round, and in others if that took no longer.
_SHORT, _LONG, _SOON_S = 250, 1000, 1.0
# Of environments that are the same, so many are said to differ.
_FALSE_ALARMS = 1e-3
# An episode of one that is slow is not waited for.
_MOST_EPISODE_S = 10.0
# Numbers closer than that, by the largest, are the same: one may be of single precision.
_SAME = 1e-4
_NUMBERS = ("at the start", "in size at the start", "on average", "in its steps")


@dataclass(frozen=True)
class Likeness:
    """What came of a comparison.

    Args:
        differs: in what they differ; '' where in nothing that was seen.
        lacks: fields that EnvPool's info does not have.
        compared: what was compared, with the numbers.
        speeds: env steps/s of EnvPool's and of Gymnasium's.
    """

    differs: str
    lacks: tuple[str, ...] = ()
    compared: str = ""
    speeds: tuple[float, float] = (0.0, 0.0)

    @property
    def is_same(self) -> bool:
        """Whether either may simulate the card."""
        return not self.differs and not self.lacks

    def tell_difference(self) -> str:
        """Say in what they differ, in one line."""
        lacks = f"its info lacks {', '.join(self.lacks)}" if self.lacks else ""
        return "; ".join(filter(None, [self.differs, lacks, self.compared]))


def compare_twins(card: EnvCard, twin: str) -> Likeness:
    """Compare what EnvPool and Gymnasium make of a card, for some seconds; never raises.

    Args:
        card: simulated by one of them.
        twin: id of Gymnasium's, with the module that registers it.
    """
    try:
        return _compare(card, twin)
    except (DataError, UsageError, EnvironmentFailure) as error:
        return Likeness(error.message)
    except (RuntimeError, ValueError, KeyError) as error:  # of EnvPool's own
        return Likeness(f"EnvPool's cannot be made: {tell(error)}")


def compare_with_twin(simulation: PoolSimulation) -> CheckEnvResult:
    """Compare a card of EnvPool's with Gymnasium's environment, if it names one."""
    card, twin = simulation.card, simulation.card.model.twin
    if not twin:
        return CheckEnvResult()
    like = compare_twins(card, twin)
    if not like.differs:
        return CheckEnvResult(facts={f"compared with Gymnasium's {twin}": like.compared})
    remedy = "leave model.twin out: an exported reward then comes without an environment"
    message = f"EnvPool's is not Gymnasium's {twin}: {like.differs}"
    return CheckEnvResult(findings=(make_finding("twin", message, remedy),))


def _compare(card: EnvCard, twin: str) -> Likeness:
    bare = twin.rpartition(":")[2]
    spec = import_envpool(card).make_spec(bare)
    pooled, own = spec.config.max_episode_steps, gymnasium.spec(bare).max_episode_steps
    if pooled != own and (pooled < ENDLESS or own is not None):
        return Likeness(f"an episode has {pooled} steps in EnvPool, {own} in Gymnasium")
    has = {f"{INFO}/{name.partition(':')[2]}" for name in spec.state_array_spec}
    lacks = tuple(field.name for field in card.state if not find_infos([field]).keys() <= has)
    state = tuple(field for field in card.state if field.name not in lacks)
    card = card.model_copy(update={"state": state, "termination": ()})
    sides = [_Side(card, ENVPOOL.name, bare), _Side(card, GYMNASIUM.name, twin)]
    began, n_rounds, longest = time.monotonic(), 0, _SHORT
    while n_rounds < _MOST_ROUNDS:
        for side in sides:
            side.play(n_rounds, longest)
        n_rounds += 1
        if time.monotonic() - began < _SOON_S:
            longest = _LONG
        if n_rounds >= _LEAST_ROUNDS and time.monotonic() - began > _MOST_S:
            break
    pool, gym = (np.array(side.rows) for side in sides)
    differs, compared = _judge(pool, gym, sides[0].names)
    return Likeness(differs, lacks, compared, (sides[0].speed, sides[1].speed))


class _Side:
    """One of both, and the episodes that it has played.

    Attributes:
        rows: of each episode what it was paid, its length, then four numbers of each column.
        names: of the fields that the columns are of.
    """

    def __init__(self, card: EnvCard, backend: str, name: str) -> None:
        model = card.model.model_copy(update={"backend": backend, "id": name})
        self._card = card.model_copy(update={"model": model})
        self._simulation = make_simulation(self._card, _N_SIMS, seed=0)
        self.rows: list[FloatArray] = []
        self.names: list[str] = []
        self._seconds: list[float] = []

    @property
    def speed(self) -> float:
        """Env steps a second, as nearly as others who use the machine let it be measured."""
        return float(1.0 / np.quantile(self._seconds, 0.25))

    def play(self, number: int, longest: int) -> None:
        """Play an episode in each simulation: in half of them each action is held for a while."""
        generator = np.random.default_rng(number)
        self._simulation.reset()
        going, seen = np.ones(_N_SIMS, dtype=bool), [self._read()]
        lengths, action = np.zeros(_N_SIMS, dtype=int), np.zeros((_N_SIMS, self._card.n_actions))
        began = time.monotonic()
        while going.any() and len(seen) <= longest:
            drawn = draw_actions(self._card, generator, _N_SIMS)
            is_held = (np.arange(_N_SIMS) % 2 == 1) & (len(seen) % _HOLD_STEPS != 1)
            action = np.where(is_held[:, None], action, drawn)
            started = time.perf_counter()
            self._simulation.step(action, going)
            self._seconds.append((time.perf_counter() - started) / going.sum())
            lengths += going
            seen.append(self._read())
            going = going & ~self._simulation.find_terminated()
            going &= ~self._simulation.find_truncated()
            if time.monotonic() - began > _MOST_EPISODE_S:
                backend = find_backend(self._card).label
                raise DataError(f"{backend}'s is too slow to be compared: {self.speed:.3g} steps/s")
        for i, length in enumerate(lengths):
            self.rows.append(self._describe(np.array([row[i] for row in seen[: length + 1]])))

    def _read(self) -> FloatArray:
        """Return all fields side by side, (N, k)."""
        fields = self._simulation.read_state().fields
        parts = [values.reshape(_N_SIMS, -1) for values in fields.values()]
        self.names = [n for n, part in zip(fields, parts, strict=True) for _ in part[0]]
        return np.concatenate(parts, axis=1)

    def _describe(self, episode: FloatArray) -> FloatArray:
        """Return the numbers of an episode (T + 1, k)."""
        paid = [n for n, field in enumerate(self.names) if field in _list_paid(self._card)]
        moved = np.abs(np.diff(episode, axis=0)).mean(axis=0)
        parts = (episode[0], np.abs(episode[0]), episode.mean(axis=0), moved)
        return np.array([episode[1:, paid].sum(), len(episode) - 1, *np.concatenate(parts)])


def _list_paid(card: EnvCard) -> list[str]:
    """Return the fields that say what the environment itself pays."""
    return [field.name for field in card.state if field.source == REWARD]


def _judge(pool: FloatArray, gym: FloatArray, names: Sequence[str]) -> tuple[str, str]:
    """Return in what episodes (E, m) of both differ, '' in nothing, and what was compared."""
    shifts = _find_shifts(pool, gym)
    most = NormalDist().inv_cdf(1 - _FALSE_ALARMS / 2 / len(shifts))
    labels = ["what it pays", "its length"]
    labels += [f"{name} {how}" for how in _NUMBERS for name in names]

    def tell(at: int) -> str:
        means = [f"{rows[:, at].mean():.4g} ± {rows[:, at].std():.2g}" for rows in (pool, gym)]
        return f"{labels[at]} {means[0]} in EnvPool and {means[1]} in Gymnasium"

    compared = f"over {len(pool)} episodes each of random actions: {tell(0)}, {tell(1)}"
    at = next((at for at in (0, 1) if shifts[at] > most), int(shifts.argmax()))
    return (tell(at) if shifts[at] > most else ""), compared


def _find_shifts(pool: FloatArray, gym: FloatArray) -> FloatArray:
    """Return (m,): by how many standard deviations of chance the ranks of both differ.

    Source: Mann, Whitney 1947, On a test of whether one of two random variables is larger; ties
    as usual.
    """
    together = np.concatenate([pool, gym])
    scale = np.maximum(np.abs(together).max(axis=0), 1e-9)
    found, (n, m) = np.zeros(together.shape[1]), (len(pool), len(gym))
    for at, column in enumerate((np.rint(together / scale / _SAME)).T):
        _, place, ties = np.unique(column, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
        spread = n * m / 12 * (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
        if spread > 0:
            found[at] = abs(ranks[:n].sum() - n * (n + m + 1) / 2) / np.sqrt(spread)
    return found
