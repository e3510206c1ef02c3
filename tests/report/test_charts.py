from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.report.charts import (
    Frame,
    Labels,
    Point,
    Series,
    make_ticks,
    render_lines,
    render_scores,
    render_shares,
    round_range,
    shorten,
)

LABELS = Labels("Title & more", "What it <shows>", "steps", "score")
values = st.floats(-1e6, 1e6, allow_nan=False)


def list_places(svg: str, tag: str, x: str, y: str) -> list[tuple[float, float]]:
    return [(float(node.attrib[x]), float(node.attrib[y])) for node in ET.fromstring(svg).iter(tag)]


@given(st.lists(values, min_size=1, max_size=12))
def test_every_point_lies_on_the_canvas(numbers: list[float]) -> None:
    points = tuple(Point(k, number) for k, number in enumerate(numbers))
    svg = render_lines(LABELS, [Series("a", points)])
    frame = Frame((0, 1), (0, 1))
    for x, y in list_places(svg, "circle", "cx", "cy"):
        assert 0 <= x <= frame.width
        assert 0 <= y <= frame.height


def test_higher_is_drawn_higher() -> None:
    svg = render_lines(LABELS, [Series("a", (Point(0, 1.0), Point(1, 2.0), Point(2, -3.0)))])
    heights = [y for _, y in list_places(svg, "circle", "cx", "cy")][::2]
    assert heights[1] < heights[0] < heights[2]


def test_chart_says_what_it_shows_to_those_who_do_not_see_it() -> None:
    root = ET.fromstring(render_lines(LABELS, [Series("a", (Point(0, 1.0),))]))
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Title & more. What it <shows>"


def test_tip_of_a_point_is_escaped() -> None:
    svg = render_lines(LABELS, [Series("a", (Point(0, 1.0, 'x" onload="<evil>'),))])
    tips = [
        node.attrib["data-tip"] for node in ET.fromstring(svg).iter() if "data-tip" in node.attrib
    ]
    assert tips == ['x" onload="<evil>']


def test_interval_of_a_score_spans_its_ends() -> None:
    series = Series("a", (Point(0, 2.0, "a", 1.0, 4.0),))
    root = ET.fromstring(render_scores(LABELS, [("round 1", [series])], target=3.0))
    whisker = next(n for n in root.iter("line") if "whisker" in n.attrib["class"])
    mark = next(n for n in root.iter("circle") if "dot" in n.attrib["class"])
    below, above = (abs(float(whisker.attrib[k]) - float(mark.attrib["cy"])) for k in ("y1", "y2"))
    assert above == pytest.approx(2 * below, abs=0.2)


def test_shares_fill_the_canvas_from_bottom_to_top() -> None:
    series = [Series(n, tuple(Point(x, 0.5) for x in (0, 1))) for n in "ab"]
    polygons = list(ET.fromstring(render_shares(LABELS, series)).iter("polygon"))
    heights = [{float(p.split(",")[1]) for p in g.attrib["points"].split()} for g in polygons]
    assert heights[0] & heights[1]
    assert len(heights[0] | heights[1]) == 3


def test_chart_without_points_is_empty() -> None:
    assert render_lines(LABELS, [Series("a", ())]) == ""
    assert render_scores(LABELS, [("round 1", [])]) == ""
    assert render_shares(LABELS, []) == ""


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_no_finite_number_breaks_a_chart(numbers: list[float]) -> None:
    series = [Series(f"s{k}", (Point(k, number),)) for k, number in enumerate(numbers)]
    for svg in (
        render_lines(LABELS, series, target=numbers[0]),
        render_scores(LABELS, [("round 1", series)], target=numbers[-1]),
    ):
        assert "nan" not in svg
        assert "inf" not in svg
        ET.fromstring(svg)


def test_candidate_without_a_score_has_a_cross_and_its_reason() -> None:
    scored = Series("a", (Point(0, 2.0),))
    refused = Series("b", (), note="rejected: no <def>")
    root = ET.fromstring(render_scores(LABELS, [("round 1", [scored, refused])]))
    crosses = [node for node in root.iter("text") if node.attrib["class"] == "cross"]
    assert len(crosses) == 1
    assert "rejected: no <def>" in [node.attrib.get("data-tip") for node in root.iter()]


def test_charts_of_one_extent_share_a_scale() -> None:
    def find_height(extent: tuple[float, float]) -> float:
        svg = render_lines(LABELS, [Series("a", (Point(1, 1.0),))], y_extent=extent)
        return list_places(svg, "circle", "cx", "cy")[0][1]

    assert find_height((0, 1)) < find_height((0, 10))


def test_bands_are_named_not_only_coloured() -> None:
    series = [Series(n, (Point(0, s), Point(1, s))) for n, s in (("alive", 0.97), ("tiny", 0.03))]
    texts = [node.text for node in ET.fromstring(render_shares(LABELS, series)).iter("text")]
    assert "alive 97%" in texts
    assert "tiny 3%" not in texts


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
