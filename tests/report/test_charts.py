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
    render_lines,
    render_scores,
    render_shares,
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
    texts = {node.attrib["id"]: node.text for node in root if node.tag in ("title", "desc")}
    assert [texts[name] for name in root.attrib["aria-labelledby"].split()] == [
        "Title & more",
        "What it <shows>",
    ]


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


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.12345, "0.123"), (-2.5, "−2.5"), (1234, "1.23k"), (-1.5e6, "−1.5M")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert shorten(value) == text


@given(values.filter(lambda value: value == 0 or abs(value) > 1e-6))
def test_short_numbers_are_near(value: float) -> None:
    text = shorten(value).replace("−", "-")
    size = {"k": 1e3, "M": 1e6}.get(text[-1], 1.0)
    assert math.isclose(float(text.rstrip("kM")) * size, value, rel_tol=6e-3)
