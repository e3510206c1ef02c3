import pytest

from reward_agent.summary.tables import (
    format_number,
    format_share,
    format_steps,
    render_table,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1e-7, "0"),
        (0.00012345, "0.000123"),
        (5.6e-5, "0.0001"),
        (-0.98765, "-0.988"),
        (12.345, "12.3"),
        (999.4, "999"),
        (999.6, "1000"),
        (123456.7, "123457"),
        (None, "-"),
    ],
)
def test_numbers_have_three_digits_and_no_exponent(value, text):
    assert format_number(value) == text


def test_shares_tell_little_from_nothing():
    assert [format_share(s) for s in (0.0, 0.004, 0.5, 1.0, None)] == [
        "0%",
        "<1%",
        "50%",
        "100%",
        "-",
    ]


def test_steps_are_in_thousands():
    assert [format_steps(s) for s in (999, 1000, 250_400)] == ["999", "1k", "250k"]


def test_columns_are_aligned():
    assert render_table(["a", "bb"], [["xyz", "1"], ["y", "100"]]) == "a     bb\nxyz    1\ny    100"
