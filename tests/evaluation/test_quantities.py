"""Numbers and units of a sentence are found in its criterion, however both say them."""

from __future__ import annotations

import math

import pytest

from reward_agent.evaluation.quantities import (
    find_durations,
    find_quantities,
    find_span,
    list_dropped,
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("run at 1.2 m/s for 5 s", [(1.2, "speed"), (5, "time")]),
        ("flip twice, then stand for five seconds", [(2, "count"), (5, "time")]),
        ("turn by half a turn", [(math.pi, "angle")]),
        ("turn at 30 degrees per second", [(math.pi / 6, "turning")]),
        ("以1.2米/秒跑5秒", [(1.2, "speed"), (5, "time")]),
        ("stehe 3 Sekunden still", [(3, "time")]),
        ("raise it by twenty-five centimetres", [(0.25, "length")]),
        ("raise it by 25 centimetres", [(0.25, "length")]),
        ("stand on two legs for half a minute", [(30, "time")]),
        ("between 1.1 and 1.3 m/s", [(1.1, "speed"), (1.3, "speed")]),
        ("go forward on one leg", []),
        ("from 0.5 m to 0.7 m", [(0.5, "length"), (0.7, "length")]),
        ("0.5-0.7 m", [(0.5, "length"), (0.7, "length")]),
        ("walk 10 feet, then stand on two feet", [(3.048, "length")]),
        ("3 mph, 5 ft/s, 2 miles per hour", [(1.34, "speed"), (1.524, "speed"), (0.894, "speed")]),
        ("one turn per second", [(2 * math.pi, "turning")]),
        ("a pitch of -2π rad", [(-2 * math.pi, "angle")]),
    ],
)
def test_numbers_are_read_with_their_units(text: str, values: list[tuple[float, str]]) -> None:
    found = find_quantities(text)
    assert [item.what for item in found] == [what for _, what in values]
    assert [item.value for item in found] == pytest.approx([value for value, _ in values], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("between 0.5 and 0.7 m", [0.5, 0.7]),
        ("0.5 to 0.7 m", [0.5, 0.7]),
        ("walk 5 m and 3 m back", [5.0]),
        ("10 cm or 20 cm", [0.1]),
    ],
)
def test_the_ends_of_a_range_are_told_from_two_quantities(text: str, ends: list[float]) -> None:
    assert [item.value for item in find_span(find_quantities(text), ("length",))] == ends


def test_a_duration_is_in_seconds() -> None:
    assert find_durations("hold it for half a minute, at 2 m/s") == (30.0,)


@pytest.mark.parametrize(
    ("sentence", "criterion"),
    [
        ("run at 1.2 m/s for 5 s", "speed between 1.1 and 1.3 m/s during 100 steps"),
        ("run at 1.2 m/s", "mean speed within 10 % of 120 cm/s"),
        ("flip twice", "the pitch falls by 720 degrees in the air"),
        ("flip twice", "two whole flips"),
        ("tilt by 30 degrees", "pitch above 0.52 rad"),
        ("hold it for five seconds", "success: 5.0 s without a break"),
        ("stand for half a minute", "every step of 30 s"),
    ],
)
def test_what_is_said_otherwise_is_not_dropped(sentence: str, criterion: str) -> None:
    assert list_dropped(sentence, criterion, 0.05) == ()


@pytest.mark.parametrize(
    ("sentence", "criterion", "dropped"),
    [
        ("run at 1.2 m/s", "distance along x, success: 10 m or more", ["1.2 m/s"]),
        ("run at 1.2 m/s", "speed of 120 m/s", ["1.2 m/s"]),
        ("tilt by 30 degrees", "pitch above 30 rad", ["30 degrees"]),
        ("hold still for 5 s", "success once it is still", ["5 s"]),
        ("flip three times", "the pitch falls by 360 degrees", ["3 times"]),
        ("raise it by 20 cm", "success above 20 m", ["20 cm"]),
    ],
)
def test_what_is_dropped_is_named(sentence: str, criterion: str, dropped: list[str]) -> None:
    assert [item.text for item in list_dropped(sentence, criterion, 0.05)] == dropped
