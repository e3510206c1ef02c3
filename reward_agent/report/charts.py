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
    """The words of a chart."""

    title: str
    description: str
    x: str
    y: str


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
    parts = [_render_axes(frame, labels, [shorten(tick) for tick in make_ticks(*frame.x_range)])]
    parts += [_render_target(frame, target)] if target is not None else []
    for item in sorted(series, key=lambda item: item.is_main):
        parts.append(_render_series(frame, item))
    return _wrap(labels, frame, "".join(parts))


def render_scores(
    labels: Labels,
    groups: Sequence[tuple[str, Sequence[Series]]],
    target: float | None = None,
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
    parts = [_render_axes(frame, labels, [])]
    parts += [_render_target(frame, target)] if target is not None else []
    place = 0
    for name, items in groups:
        middle = frame.x(place + (len(items) - 1) / 2)
        parts.append(_text(middle, frame.height - 1, name, "label", "middle"))
        if place:
            parts.append(_line(frame.x(place - 0.5), frame.y_range, frame))
        for item in items:
            parts.append(_render_place(frame, item, place, n_places))
            place += 1
    return _wrap(labels, frame, "".join(parts))


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
        areas.append(_render_area(frame, item, xs, base, top))
        names.append(_render_name(frame, item, (base[-1] + top[-1]) / 2))
        base = top
    ticks = [shorten(tick) for tick in make_ticks(*frame.x_range)]
    axes = _render_axes(frame, labels, ticks, is_share=True)
    return _wrap(labels, frame, "".join([*areas, axes, *names]))


# --- parts ----------------------------------------------------------------------------------------


def _list_ends(points: Sequence[Point], target: float | None) -> list[float]:
    """Return every value that needs room; 0 is always shown, so that sizes can be compared."""
    values = [value for p in points for value in (p.y, p.low, p.high)]
    return [0.0, *(value for value in (*values, target) if value is not None)]


def _wrap(labels: Labels, frame: Frame, content: str) -> str:
    words = quoteattr(f"{labels.title}. {labels.description}")
    return (
        f'<svg class="chart {_SIZE_NAMES[frame.width]}" '
        f'viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" aria-label={words}>'
        f"{content}</svg>"
    )


def _render_area(
    frame: Frame, item: Series, xs: Sequence[float], base: Sequence[float], top: Sequence[float]
) -> str:
    outline = [*zip(xs, top, strict=True), *reversed([*zip(xs, base, strict=True)])]
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in outline)
    tip = quoteattr(f"{item.name}: {item.points[-1].y:.0%} at the end")
    return f'<polygon class="{item.css_class} area" points="{path}" data-tip={tip}/>'


def _render_name(frame: Frame, item: Series, middle: float) -> str:
    """Return the name beside the end of its band: colour alone does not tell the terms apart."""
    share = item.points[-1].y
    if share < _MIN_NAMED_SHARE:
        return ""
    name = item.name if len(item.name) <= _NAME_LENGTH else item.name[: _NAME_LENGTH - 1] + "…"
    x = frame.width - frame.right + 8
    return _text(x, frame.y(middle) + 4, f"{name} {share:.0%}", "name", "start")


def _render_axes(
    frame: Frame, labels: Labels, xmake_ticks: Sequence[str], is_share: bool = False
) -> str:
    parts = []
    left, bottom = _LEFT, frame.bottom
    for tick in make_ticks(*frame.y_range):
        y = frame.y(tick)
        css = "zero" if tick == 0 else "grid"
        right = frame.width - frame.right
        parts.append(f'<line class="{css}" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = f"{tick:.0%}" if is_share else shorten(tick)
        parts.append(_text(left - 7, y + 4, text, "tick", "end"))
    for tick, text in zip(make_ticks(*frame.x_range), xmake_ticks, strict=False):
        parts.append(_text(frame.x(tick), bottom + 15, text, "tick", "middle"))
    parts.append(_text(frame.width - frame.right, frame.height - 3, labels.x, "label", "end"))
    parts.append(_text(2, 11, labels.y, "label", "start"))
    return "".join(parts)


def _render_target(frame: Frame, target: float) -> str:
    y, left, right = frame.y(target), _LEFT, frame.width - frame.right
    line = f'<line class="target" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(right, y - 5, f"target {shorten(target)}", "label target-label", "end")


def _render_series(frame: Frame, item: Series) -> str:
    places = [(frame.x(point.x), frame.y(point.y)) for point in item.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [_render_band(frame, item)] if item.is_main else []
    parts.append(f'<polyline class="{item.css_class} line" points="{path}"/>')
    for point, (x, y) in zip(item.points, places, strict=True):
        tip = point.tip or f"{item.name}: {shorten(point.y)}"
        radius = 3.2 if item.is_main else 1.6
        parts.append(
            f'<circle class="{item.css_class} dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
        )
        parts.append(_hit(x, y, 9, tip))
    return "".join(parts)


def _render_band(frame: Frame, item: Series) -> str:
    banded = [p for p in item.points if p.low is not None and p.high is not None]
    if len(banded) < 2:
        return ""
    outline = [(p.x, p.high or 0.0) for p in banded] + [(p.x, p.low or 0.0) for p in banded[::-1]]
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in outline)
    return f'<polygon class="{item.css_class} band" points="{path}"/>'


def _render_place(frame: Frame, item: Series, place: int, n_places: int) -> str:
    """Return a candidate's place: its mark, or a cross on the axis where it has no score."""
    x, bottom = frame.x(place), frame.bottom
    parts = [_render_mark(frame, item, point, x) for point in item.points]
    if not parts:
        parts = [_text(x, bottom + 4, "×", "cross", "middle"), _hit(x, bottom, 13, item.note)]
    if n_places <= _MAX_NAMED_PLACES:
        css = "tick strong" if item.is_main else "tick"
        parts.append(_text(x, bottom + 17, item.name, css, "middle"))
    return "".join(parts)


def _render_mark(frame: Frame, item: Series, point: Point, x: float) -> str:
    y = frame.y(point.y)
    parts = []
    if point.low is not None and point.high is not None:
        low, high = frame.y(point.low), frame.y(point.high)
        css = f"{item.css_class} whisker"
        parts.append(
            f'<line class="{css}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        )
    radius = 6 if item.is_main else 4.5
    parts.append(f'<circle class="{item.css_class} dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')
    parts.append(_hit(x, y, 13, point.tip))
    return "".join(parts)


def _hit(x: float, y: float, radius: float, tip: str) -> str:
    """Return the invisible disc that a pointer finds more easily than the mark in it."""
    place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"'
    return f'<circle class="hit" {place} data-tip={quoteattr(tip)}/>'


def _line(x: float, y_range: tuple[float, float], frame: Frame) -> str:
    low, high = frame.y(y_range[0]), frame.y(y_range[1])
    return f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


def _text(x: float, y: float, text: str, css: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{escape(text)}</text>'


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
