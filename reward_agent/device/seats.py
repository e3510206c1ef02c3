"""Who sits where: learners of one program side by side, each on as many worlds as any other.

More worlds for a learner make it learn less from each step; the worlds of programs that were
stopped are better used by more learners of those that were not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, groupby


@dataclass(frozen=True)
class SeatRow:
    """The learners of one program, and the worlds under it.

    Args:
        program: its sha256.
        learners: which of all, one after the other.
        worlds: theirs, one after the other.
    """

    program: str
    learners: slice
    worlds: slice


def order_seats(programs: Sequence[str]) -> list[int]:
    """Return the learners, by their programs, in an order in which those of one are neighbours."""
    firsts = {program: number for number, program in reversed(list(enumerate(programs)))}
    return sorted(range(len(programs)), key=lambda learner: (firsts[programs[learner]], learner))


def make_rows(programs: Sequence[str], n_worlds: int) -> list[SeatRow]:
    """Return what each program pays, of learners that sit in order with ``n_worlds`` each.

    Raises:
        ValueError: learners of one program are no neighbours.
    """
    if [programs[i] for i in order_seats(programs)] != list(programs):
        raise ValueError("learners of one program have to be neighbours")
    rows, start = [], 0
    for program, group in groupby(programs):
        end = start + len(list(group))
        rows.append(SeatRow(program, slice(start, end), slice(start * n_worlds, end * n_worlds)))
        start = end
    return rows


def share_seats(
    survivors: Mapping[str, Sequence[int]], n_seats: int, first_seed: int = 0
) -> dict[str, list[int]]:
    """Return the new seeds with which each survivor takes a share of the seats that are free.

    Args:
        survivors: seeds that sit already, by program, the best first: it is served first.
        n_seats: seats of the round.
        first_seed: the lowest that a new learner may have.
    """
    new: dict[str, list[int]] = {program: [] for program in survivors}
    n_free = n_seats - sum(map(len, survivors.values()))
    fresh = {program: _list_unused(seeds, first_seed) for program, seeds in survivors.items()}
    # The fewest first, so that all end with about the same number.
    for program in cycle(survivors):
        if n_free <= 0:
            break
        taken = {name: len(survivors[name]) + len(new[name]) for name in survivors}
        if taken[program] == min(taken.values()):
            new[program].append(next(fresh[program]))
            n_free -= 1
    return new


def _list_unused(seeds: Sequence[int], first: int) -> Iterator[int]:
    return (seed for seed in count(first) if seed not in seeds)
