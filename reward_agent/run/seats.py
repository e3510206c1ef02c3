"""Seats: with how many seeds a program races, where one more costs next to nothing.

That is on a device that trains a round together. The seeds beside a program's own are those that it
would be confirmed with, so confirmation is mostly done when the race is over. Once the first slice
has stopped some programs, the others take their seats with new seeds. Later that would not pay: who
begins at nothing holds up those beside it, since all of a device take each step together.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from reward_agent.device.seats import share_seats
from reward_agent.run.active import ActiveRun
from reward_agent.run.racing import RacingPolicy, Standing
from reward_agent.run.train import Entrant, make_entrant, request_training

# Seeds beside the search's own, and of confirmations, start here above the run's own seed.
FRESH_SEED = 100


class Seats:
    """The seeds of the programs of one race, the search's own first.

    Args:
        run: the run in progress.
        iteration: the round.
    """

    def __init__(self, run: ActiveRun, iteration: int) -> None:
        self._run, self._iteration = run, iteration
        self._first = run.settings.seed + FRESH_SEED
        self._seeds: dict[str, list[int]] = {}
        self._is_shared = False

    def list_entrants(self, entrant: Entrant, until: int) -> list[Entrant]:
        """Return a program with each of its seeds; its own alone where others would cost."""
        if not self._run.executor.takes_more(request_training(self._run, entrant, until)):
            return [entrant]
        fresh = range(self._first, self._first + self._run.settings.winner_seeds)
        own = self._seeds.setdefault(entrant.candidate_id, [entrant.seed, *fresh])
        place = self._run.store, self._iteration, entrant.candidate_id
        return [entrant, *(make_entrant(*place, seed) for seed in own[1:])]

    def list_fresh(self, name: str) -> tuple[int, ...]:
        """Return the seeds of a program beside the search's own."""
        return tuple(self._seeds.get(name, ())[1:])

    def share(self, policy: RacingPolicy, standings: Iterable[Standing]) -> None:
        """Let those that go on after the first slice take the seats of those that do not: once."""
        if self._is_shared:
            return
        self._is_shared = True
        n_seats = sum(map(len, self._seeds.values()))
        survivors = policy.thin_out([item for item in standings if not item.has_ended], 1)
        best_first = sorted(survivors, key=lambda s: -s.score.mean if s.score else inf)
        staying = {s.name: self._seeds[s.name] for s in best_first if s.name in self._seeds}
        for name, new in share_seats(staying, n_seats, self._first).items():
            self._seeds[name] += new
