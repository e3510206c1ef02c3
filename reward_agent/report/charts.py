"""Charts as inline SVG: lines, scores with intervals, shares. Colours come from the page's CSS.

Each chart says in words what it shows to those who do not see it, and has a ``data-tip`` on each
point that the page shows on hover. The task score and a generated return never share a chart.
The same numbers give the same text: a report changes only where its run did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

N_COLOURS = 8
# Widths of a chart over a third of the page, half and the whole of it: a unit is about a pixel.
SMALL, HALF, WIDE = 330.0, 520.0, 1040.0
_SIZE_NAMES = {SMALL: "small", HALF: "half", WIDE: "wide"}
_LEFT, _RIGHT = 52.0, 14.0
# Above and below the plot: a small chart has no words there.
_MARGINS = {SMALL: (8.0, 22.0), HALF: (26.0, 34.0), WIDE: (26.0, 34.0)}
# Room for the names of stacked shares, and the least share that has room for one.
_NAMES_WIDTH, _MIN_NAMED_SHARE, _NAME_LENGTH = 124.0, 0.07, 15
# Above so many candidates their names would touch each other.
_MAX_NAMED_PLACES = 12
_LETTER_WIDTH = 6.6


@dataclass(frozen=True)
class Point:
    """A point of a chart, with its interval and what it says on hover."""

    x: float
    y: float
    tip: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one name.

    Args:
        name: for the legend.
        points: in order of x.
        colour: index of the page's palette; -1 is the quiet grey of what stands behind.
        is_main: drawn strong, with its interval and points.
        note: what a mark says on hover that has no point, because it has no score.
    """

    name: str
    points: tuple[Point, ...]
    colour: int = 0
    is_main: bool = True
    note: str = ""

    @property
    def css_class(self) -> str:
        """Class of its marks."""
        tone = "cx" if self.colour < 0 else f"c{self.colour % N_COLOURS}"
        return f"{tone} {'main' if self.is_main else 'back'}"


@dataclass(frozen=True)
class Labels:
    """The words of a chart; ``target`` names the line at the value that is to be reached."""

    title: str
    description: str
    x: str
    y: str
    target: str = "target"


@dataclass(frozen=True)
class Frame:
    """Where values lie on the canvas, in its units; what is off every chart lies on its edge."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = HALF
    height: float = 230.0
    right: float = _RIGHT

    @property
    def bottom(self) -> float:
        """Vertical place of the lower axis."""
        return self.height - _MARGINS[self.width][1]

    def x(self, value: float) -> float:
        """Horizontal place of a value."""
        low, high = self.x_range
        inner = self.width - _LEFT - self.right
        return _LEFT + (min(max(value, low), high) - low) / (high - low) * inner

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        low, high = self.y_range
        inner = self.bottom - _MARGINS[self.width][0]
        return self.bottom - (min(max(value, low), high) - low) / (high - low) * inner


def render_lines(
    labels: Labels,
    series: Sequence[Series],
    target: float | None = None,
    size: tuple[float, float] = (HALF, 230.0),
    y_extent: tuple[float, float] | None = None,
) -> str:
    """Return a line chart; lines behind come first, intervals of main lines are shaded.

    Args:
        labels: the words.
        series: at least one with at least one point, or the result is empty.
        target: a value of y to mark.
        size: width and height of the canvas.
        y_extent: values of y that must have room too, so that several charts share a scale.
    """
    points = [point for item in series for point in item.points]
    if not points:
        return ""
    ends = [*_list_ends(points, target), *(y_extent or ())]
    frame = Frame(
        widen(0.0, max(point.x for point in points)), round_range(min(ends), max(ends)), *size
    )
    lines = [_render_series(frame, item) for item in sorted(series, key=lambda item: item.is_main)]
    parts = [_render_axes(frame, labels), _render_target(frame, target, labels), *lines]
    return _wrap(labels, frame, parts)


def render_scores(
    labels: Labels, groups: Sequence[tuple[str, Sequence[Series]]], target: float | None = None
) -> str:
    """Return one mark with its interval for each series, in named groups from left to right.

    Args:
        labels: the words.
        groups: the name of a round, and a series of one point for each of its candidates, of none
            for one without a score; the point's x is not used.
        target: a value of y to mark.
    """
    points = [point for _, items in groups for item in items for point in item.points]
    if not points:
        return ""
    ends = _list_ends(points, target)
    n_places = sum(len(items) for _, items in groups)
    y_range = round_range(min(ends), max(ends))
    frame = Frame((-0.6, n_places - 0.4), y_range, WIDE, 290.0)
    parts = [_render_axes(frame, labels, has_ticks=False), _render_target(frame, target, labels)]
    place = 0
    for name, items in groups:
        middle = frame.x(place + (len(items) - 1) / 2)
        parts.append(_text(middle, frame.height - 1, name, "label", "middle"))
        if place:
            parts.append(_render_upright(frame, "grid", frame.x(place - 0.5), *frame.y_range))
        for item in items:
            parts.append(_render_place(frame, item, place, n_places))
            place += 1
    return _wrap(labels, frame, parts)


def render_shares(labels: Labels, series: Sequence[Series]) -> str:
    """Return stacked shares, 0 to 1, of series that have the same x in order, with their names."""
    if not series or len(series[0].points) < 2:
        return ""
    xs = [point.x for point in series[0].points]
    frame = Frame((min(xs), max(xs)), (0.0, 1.0), right=_NAMES_WIDTH)
    base = [0.0] * len(xs)
    areas, names = [], []
    for item in series:
        top = [low + point.y for low, point in zip(base, item.points, strict=True)]
        outline = [*zip(xs, top, strict=True), *reversed([*zip(xs, base, strict=True)])]
        tip = f"{item.name}: {item.points[-1].y:.0%} at the end"
        areas.append(_outline("polygon", f"{item.css_class} area", frame, outline, tip))
        names.append(_render_name(frame, item, (base[-1] + top[-1]) / 2))
        base = top
    axes = _render_axes(frame, labels, is_share=True)
    return _wrap(labels, frame, [*areas, axes, *names])


# --- parts ----------------------------------------------------------------------------------------


def _list_ends(points: Sequence[Point], target: float | None) -> list[float]:
    """Return every value that needs room; 0 is always shown, so that sizes can be compared."""
    values = [value for p in points for value in (p.y, p.low, p.high)]
    return [0.0, *(value for value in (*values, target) if value is not None)]


def _wrap(labels: Labels, frame: Frame, parts: Sequence[str]) -> str:
    words = quoteattr(f"{labels.title}. {labels.description}")
    return (
        f'<svg class="chart {_SIZE_NAMES[frame.width]}" '
        f'viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" aria-label={words}>'
        f"{''.join(parts)}</svg>"
    )


def _mark(kind: str, css: str, tip: str = "", **places: float) -> str:
    """Return a shape by its places and sizes on the canvas, with what it says on hover."""
    numbers = "".join(f' {name}="{value:.1f}"' for name, value in places.items())
    said = f" data-tip={quoteattr(tip)}" if tip else ""
    return f'<{kind} class="{css}"{numbers}{said}/>'


def _outline(
    kind: str, css: str, frame: Frame, corners: Sequence[tuple[float, float]], tip: str = ""
) -> str:
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in corners)
    return _mark(f'{kind} points="{path}"', css, tip)


def _text(x: float, y: float, text: str, css: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{escape(text)}</text>'


def _render_upright(frame: Frame, css: str, x: float, low: float, high: float) -> str:
    return _mark("line", css, x1=x, x2=x, y1=frame.y(low), y2=frame.y(high))


def _render_level(frame: Frame, css: str, y: float) -> str:
    return _mark("line", css, x1=_LEFT, x2=frame.width - frame.right, y1=y, y2=y)


def _render_dot(item: Series, x: float, y: float, radius: float, reach: float, tip: str) -> str:
    """Return a mark, and over it the invisible disc that a pointer finds more easily."""
    dot = _mark("circle", f"{item.css_class} dot", cx=x, cy=y, r=radius)
    return dot + _mark("circle", "hit", tip, cx=x, cy=y, r=reach)


def _render_name(frame: Frame, item: Series, middle: float) -> str:
    """Return the name beside the end of its band: colour alone does not tell the terms apart."""
    share = item.points[-1].y
    if share < _MIN_NAMED_SHARE:
        return ""
    name = item.name if len(item.name) <= _NAME_LENGTH else item.name[: _NAME_LENGTH - 1] + "…"
    x = frame.width - frame.right + 8
    return _text(x, frame.y(middle) + 4, f"{name} {share:.0%}", "name", "start")


def _render_axes(
    frame: Frame, labels: Labels, *, has_ticks: bool = True, is_share: bool = False
) -> str:
    parts = []
    for tick in make_ticks(*frame.y_range):
        y = frame.y(tick)
        parts.append(_render_level(frame, "zero" if tick == 0 else "grid", y))
        text = f"{tick:.0%}" if is_share else shorten(tick)
        parts.append(_text(_LEFT - 7, y + 4, text, "tick", "end"))
    for tick in make_ticks(*frame.x_range) if has_ticks else []:
        parts.append(_text(frame.x(tick), frame.bottom + 15, shorten(tick), "tick", "middle"))
    parts.append(_text(frame.width - frame.right, frame.height - 3, labels.x, "label", "end"))
    parts.append(_text(2, 11, labels.y, "label", "start"))
    return "".join(parts)


def _render_target(frame: Frame, target: float | None, labels: Labels) -> str:
    if target is None:
        return ""
    y, text = frame.y(target), f"{labels.target} {shorten(target)}"
    words = _text(frame.width - frame.right, y - 5, text, "label target-label", "end")
    return _render_level(frame, "target", y) + words


def _render_series(frame: Frame, item: Series) -> str:
    corners = [(point.x, point.y) for point in item.points]
    parts = [_render_band(frame, item)] if item.is_main else []
    parts.append(_outline("polyline", f"{item.css_class} line", frame, corners))
    radius = 3.2 if item.is_main else 1.6
    for point in item.points:
        tip = point.tip or f"{item.name}: {shorten(point.y)}"
        parts.append(_render_dot(item, frame.x(point.x), frame.y(point.y), radius, 9, tip))
    return "".join(parts)


def _render_band(frame: Frame, item: Series) -> str:
    banded = [p for p in item.points if p.low is not None and p.high is not None]
    if len(banded) < 2:
        return ""
    outline = [(p.x, p.high or 0.0) for p in banded] + [(p.x, p.low or 0.0) for p in banded[::-1]]
    return _outline("polygon", f"{item.css_class} band", frame, outline)


def _render_place(frame: Frame, item: Series, place: int, n_places: int) -> str:
    """Return a candidate's place: its mark, or a cross on the axis where it has no score."""
    x, bottom = frame.x(place), frame.bottom
    parts = []
    for point in item.points:
        if point.low is not None and point.high is not None:
            css = f"{item.css_class} whisker"
            parts.append(_render_upright(frame, css, x, point.low, point.high))
        radius = 6 if item.is_main else 4.5
        parts.append(_render_dot(item, x, frame.y(point.y), radius, 13, point.tip))
    if not parts:
        hit = _mark("circle", "hit", item.note, cx=x, cy=bottom, r=13)
        parts = [_text(x, bottom + 4, "×", "cross", "middle"), hit]
    if n_places <= _MAX_NAMED_PLACES:
        css = "tick strong" if item.is_main else "tick"
        parts.append(_text(x, bottom + 17, _fit(item.name, frame.width / n_places), css, "middle"))
    return "".join(parts)


def _fit(name: str, width: float) -> str:
    """Return a name, cut where it would touch its neighbour's; the pointer is told the whole."""
    most = max(3, int(width / _LETTER_WIDTH))
    return name if len(name) <= most else f"{name[: most - 1]}…"


# --- numbers and scales ---------------------------------------------------------------------------


# Beyond it differences overflow; what pays so much is off every chart.
_HUGE = 1e300
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def shorten(value: float) -> str:
    """Return a number with three significant digits; from ten thousand on as k, M and G."""
    size = abs(float(f"{value:.3g}"))
    if size >= 1e12:
        text = f"{value:.2e}"
    elif size >= 1e4:
        unit, mark = next(item for item in _UNITS if size >= item[0])
        text = f"{float(f'{value:.3g}') / unit:.3g}{mark}"
    else:
        text = f"{value:,.0f}" if size >= 1e3 else f"{value:.3g}"
    return text.replace("-", "−")


def widen(low: float, high: float) -> tuple[float, float]:
    """Return a range that is wide enough to divide, and not so wide that it overflows."""
    low, high = (min(max(value, -_HUGE), _HUGE) for value in (low, high))
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-9):
        return low, high
    return low, low + max(1.0, 0.1 * abs(low))


def round_range(low: float, high: float) -> tuple[float, float]:
    """Return the range that holds both values and 0, and ends at its outer ticks."""
    low, high = widen(min(low, 0.0), max(high, 0.0))
    # Rounding can widen the range enough for larger steps; then its ends are rounded to those.
    for _ in range(3):
        step = _find_step(low, high)
        low = math.floor(low / step + 1e-9) * step
        high = math.ceil(high / step - 1e-9) * step
    return low, high


def make_ticks(low: float, high: float) -> list[float]:
    """Return the round values of a range, lowest first."""
    step = _find_step(low, high)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _find_step(low: float, high: float) -> float:
    """Return 1, 2 or 5 times a power of ten that makes about five steps."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * size for size in (1, 2, 5, 10) if power * size >= rough * (1 - 1e-9))
