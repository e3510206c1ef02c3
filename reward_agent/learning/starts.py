"""Where some episodes of a training begin: in states of a program's own, ever fewer of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_agent.definitions.start import DRAWN, KEYFRAME, TrainingStart
from reward_agent.errors import DataError, hint_closest
from reward_agent.rewards.contract import ContractError
from reward_agent.rewards.draws import draw_states
from reward_agent.simulation.simulation import Simulation
from reward_agent.simulation.state import FloatArray
from reward_agent.types import StartUse

_RULE = "contract/starts"
# States that a program draws in one call; they are used up one by one.
_N_DRAWN = 256
# A start is earned by so many episodes at a time: it falls by a step where enough of them are paid
# what it asks for, and rises by one where hardly any is.
# Source: Salimans & Chen 2018, Learning Montezuma's Revenge from a Single Demonstration, 3: a start
# moves back along the demonstration as soon as a share of its episodes does as well.
_N_JUDGED, _ENOUGH, _HARDLY, _STEP = 20, 0.5, 0.1, 0.1
# A recorded start is drawn from so much of the way before the place that it has come to.
_STRETCH = 0.25


class StateBank:
    """Draws states of the starts of a program.

    Args:
        simulation: what is to begin in them.
        functions: of the program, where it draws some itself.
        recorded: of each event by field ``(episodes, points of the way there, k)``.
    """

    def __init__(
        self,
        simulation: Simulation,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        recorded: Mapping[str, Mapping[str, FloatArray]] | None = None,
    ) -> None:
        self._simulation = simulation
        self._functions, self._recorded = functions or {}, recorded or {}
        self._drawn: dict[str, FloatArray] = {}
        self._n_used = _N_DRAWN

    def draw(
        self, start: TrainingStart, n: int, generator: np.random.Generator, level: float = 1.0
    ) -> dict[str, FloatArray]:
        """Return values (n, k) of the fields that a start sets.

        Args:
            start: one of the program's.
            n: how many states.
            generator: what draws them.
            level: how far on the way to its event a recorded one is, 0 to 1.

        Raises:
            ContractError: the program fails, or there is nothing of the name that it gives.
        """
        drawn: dict[str, FloatArray] = {}
        if start.origin == DRAWN:
            drawn = self._draw_own(n, generator)
        elif start.event:
            drawn = self._draw_recorded(start.event, n, generator, level)
        elif start.origin:
            pose = self._find_keyframe(start.origin.removeprefix(KEYFRAME))
            drawn = {name: np.repeat(values[None], n, axis=0) for name, values in pose.items()}
        for name, spans in start.fields.items():
            low, high = (np.array(ends) for ends in zip(*spans, strict=True))
            drawn[name] = generator.uniform(low, high, (n, len(spans)))
        return drawn

    def _find_keyframe(self, name: str) -> dict[str, FloatArray]:
        try:
            return self._simulation.find_keyframe(name)
        except DataError as error:  # the program names another
            raise ContractError(_RULE, error.message, error.remedy) from error

    def _draw_own(self, n: int, generator: np.random.Generator) -> dict[str, FloatArray]:
        """Return states that the program draws, of which it draws many at a time."""
        rows: list[dict[str, FloatArray]] = []
        while n > 0:
            if self._n_used == _N_DRAWN:
                card = self._simulation.card
                self._drawn = draw_states(self._functions, card, _N_DRAWN, generator)
                self._n_used = 0
            part = slice(self._n_used, min(self._n_used + n, _N_DRAWN))
            rows.append({name: values[part] for name, values in self._drawn.items()})
            n -= part.stop - part.start
            self._n_used = part.stop
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _draw_recorded(
        self, event: str, n: int, generator: np.random.Generator, level: float
    ) -> dict[str, FloatArray]:
        if event not in self._recorded:
            known = ", ".join(sorted(self._recorded)) or "nothing"
            raise ContractError(
                _RULE,
                f"no state is recorded as {event!r}{hint_closest(event, self._recorded)}",
                f"recorded in earlier episodes of this run: {known}",
            )
        ways = self._recorded[event]
        n_episodes, n_points = next(iter(ways.values())).shape[:2]
        episodes = generator.integers(n_episodes, size=n)
        place = generator.uniform(max(0.0, level - _STRETCH) if level < 1.0 else 1.0, level, n)
        points = np.rint(place * (n_points - 1)).astype(int)
        return {name: values[episodes, points] for name, values in ways.items()}


@dataclass
class _Earning:
    """What became of one start: how much is earned away, and its last episodes."""

    earned: float = 0.0
    n_episodes: int = 0
    n_earned: int = 0
    total_return: float = 0.0
    recent: list[bool] = field(default_factory=list)

    def add(self, returns: FloatArray, earns: float) -> None:
        is_earned = (returns >= earns).tolist()
        self.n_episodes += len(is_earned)
        self.n_earned += sum(is_earned)
        self.total_return += float(returns.sum())
        self.recent += is_earned
        while len(self.recent) >= _N_JUDGED:
            judged, self.recent = self.recent[:_N_JUDGED], self.recent[_N_JUDGED:]
            share = sum(judged) / _N_JUDGED
            change = _STEP if share >= _ENOUGH else -_STEP if share < _HARDLY else 0.0
            self.earned = round(min(1.0, max(0.0, self.earned + change)), 6)


class TrainingStarts:
    """Draws where episodes begin; ``progress`` says how far the training is, 0 to 1.

    Attributes:
        origins: ``(N,)``, which start the episode of each simulation began with; -1: the card's.
    """

    def __init__(
        self,
        simulation: Simulation,
        starts: Sequence[TrainingStart],
        seed: int,
        bank: StateBank | None = None,
    ) -> None:
        self.progress = 0.0
        self.origins = np.full(simulation.n_sims, -1)
        self._simulation, self._starts = simulation, starts
        self._bank = bank or StateBank(simulation)
        self._generator = np.random.default_rng((seed, len(starts)))
        self._earnings = [_Earning() for _ in starts]

    def __call__(self, ids: NDArray[np.int32]) -> None:
        """Move some of the simulations whose episodes have just begun."""
        levels = self._find_levels()
        shares = [start.share * level for start, level in zip(self._starts, levels, strict=True)]
        chosen = np.searchsorted(np.cumsum(shares), self._generator.random(len(ids)), side="right")
        self.origins[ids] = np.where(chosen < len(self._starts), chosen, -1)
        for number, start in enumerate(self._starts):
            rows = ids[chosen == number]
            if len(rows):
                # What time makes fewer stays where it is; what is earned moves back.
                level = 1.0 if start.earns is None else levels[number]
                drawn = self._bank.draw(start, len(rows), self._generator, level)
                self._simulation.put_fields(rows, drawn)

    def _find_levels(self) -> list[float]:
        pairs = zip(self._starts, self._earnings, strict=True)
        return [start.find_level(self.progress, item.earned) for start, item in pairs]

    def judge(self, origins: NDArray[np.int_], returns: FloatArray) -> None:
        """Take what episodes that ended were paid (E,), with the starts that they began with."""
        for number, start in enumerate(self._starts):
            earns = np.inf if start.earns is None else start.earns
            self._earnings[number].add(returns[origins == number], earns)

    def summarise(self) -> tuple[StartUse, ...]:
        """Return what became of each start."""
        return tuple(
            StartUse(
                name=str(start),
                earns=start.earns,
                n_episodes=item.n_episodes,
                n_earned=item.n_earned,
                earned=item.earned,
                mean_return=item.total_return / max(item.n_episodes, 1),
            )
            for start, item in zip(self._starts, self._earnings, strict=True)
        )

    def to_plain(self) -> list[dict[str, Any]]:
        """Return what a training goes on with, as numbers and lists."""
        return [vars(item) for item in self._earnings]

    def restore(self, plain: Sequence[Mapping[str, Any]]) -> None:
        """Go on with what ``to_plain`` returned."""
        self._earnings = [_Earning(**item) for item in plain]
