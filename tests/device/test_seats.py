"""Who sits where in a round."""

from __future__ import annotations

import pytest

from reward_agent.device.seats import SeatRow, make_rows, order_seats, share_seats


def test_learners_of_one_program_become_neighbours_and_share_a_call() -> None:
    programs = ["b", "a", "b", "c", "a"]
    order = order_seats(programs)
    assert order == [0, 2, 1, 4, 3]
    assert make_rows([programs[i] for i in order], 16) == [
        SeatRow("b", slice(0, 2), slice(0, 32)),
        SeatRow("a", slice(2, 4), slice(32, 64)),
        SeatRow("c", slice(4, 5), slice(64, 80)),
    ]
    with pytest.raises(ValueError, match="neighbours"):
        make_rows(programs, 16)


def test_seats_of_who_was_stopped_go_to_new_seeds_of_who_was_not() -> None:
    # Of 8 learners of four programs with two seeds each, two programs are left.
    assert share_seats({"best": [0, 1], "next": [0, 1]}, 8) == {"best": [2, 3], "next": [2, 3]}
    # The best is served first, and a seed is never used twice.
    assert share_seats({"best": [5], "next": [0, 3]}, 6) == {"best": [0, 1], "next": [1]}
    assert share_seats({"best": [0]}, 1) == {"best": []}
    assert share_seats({}, 4) == {}
