from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.report.numbers import make_ticks, round_range, shorten

values = st.floats(-1e300, 1e300, allow_nan=False)
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.12345, "0.123"),
        (-2.5, "−2.5"),
        (1000, "1,000"),
        (9994, "9,994"),
        (9996, "10k"),
        (999_600, "1M"),
        (-1.5e6, "−1.5M"),
        (2e13, "2.00e+13"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert shorten(value) == text


@given(values)
def test_short_numbers_are_near(value: float) -> None:
    text = shorten(value).replace("−", "-").replace(",", "")
    size = UNITS.get(text[-1], 1.0)
    assert math.isclose(float(text.rstrip("kMG")) * size, value, rel_tol=6e-3)


@given(values, values)
def test_range_ends_at_its_outer_ticks(one: float, other: float) -> None:
    low, high = round_range(min(one, other), max(one, other))
    assert low <= 0 <= high
    ticks = make_ticks(low, high)
    assert 3 <= len(ticks) <= 12
    assert math.isclose(ticks[0], low, rel_tol=1e-6, abs_tol=(high - low) * 1e-6)
    assert math.isclose(ticks[-1], high, rel_tol=1e-6, abs_tol=(high - low) * 1e-6)
