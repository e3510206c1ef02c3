"""Charts as inline SVG: lines, scores with intervals, shares. Colours come from the page's CSS.

Each chart has a title and a description for those who do not see it, and a ``data-tip`` on each
point that the page shows on hover. The task score and a generated return never share a chart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

N_COLOURS = 8
# Widths of a chart over half the page and the whole of it: a unit is about a pixel.
HALF, WIDE = 520.0, 1040.0
_MARGIN = {"left": 52.0, "right": 14.0, "top": 26.0, "bottom": 34.0}
_ids = itertools.count(1)


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
    """

    name: str
    points: tuple[Point, ...]
    colour: int = 0
    is_main: bool = True

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
    """Where values lie on the canvas, in its units."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    width: float = HALF
    height: float = 230.0

    def x(self, value: float) -> float:
        """Horizontal place of a value."""
        low, high = self.x_range
        inner = self.width - _MARGIN["left"] - _MARGIN["right"]
        return _MARGIN["left"] + (value - low) / (high - low) * inner

    def y(self, value: float) -> float:
        """Vertical place of a value."""
        low, high = self.y_range
        inner = self.height - _MARGIN["top"] - _MARGIN["bottom"]
        return self.height - _MARGIN["bottom"] - (value - low) / (high - low) * inner


def render_lines(
    labels: Labels,
    series: Sequence[Series],
    target: float | None = None,
    size: tuple[float, float] = (HALF, 230.0),
) -> str:
    """Return a line chart; lines behind come first, intervals of main lines are shaded.

    Args:
        labels: the words.
        series: at least one with at least one point, or the result is empty.
        target: a value of y to mark.
        size: width and height of the canvas.
    """
    points = [point for item in series for point in item.points]
    if not points:
        return ""
    ends = [*(p.low for p in points if p.low is not None), *(p.y for p in points)]
    ends += [*(p.high for p in points if p.high is not None), *([target] if target else [])]
    frame = Frame(
        _widen(0.0, max(point.x for point in points)),
        _round_range(min([0.0, *ends]), max(ends)),
        *size,
    )
    parts = [_render_axes(frame, labels, [shorten(tick) for tick in _ticks(*frame.x_range)])]
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
        groups: the name of a round, and a series of one point for each of its candidates; the
            point's x is not used.
        target: a value of y to mark.
    """
    points = [point for _, items in groups for item in items for point in item.points]
    if not points:
        return ""
    ends = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    ends += [target] if target is not None else []
    n_places = sum(len(items) for _, items in groups)
    y_range = _round_range(min([0.0, *ends]), max(ends))
    frame = Frame((-0.6, n_places - 0.4), y_range, WIDE, 280.0)
    parts = [_render_axes(frame, labels, [])]
    parts += [_render_target(frame, target)] if target is not None else []
    place = 0
    for name, items in groups:
        middle = frame.x(place + (len(items) - 1) / 2)
        parts.append(_text(middle, frame.height - 18, name, "tick", "middle"))
        if place:
            parts.append(_line(frame.x(place - 0.5), frame.y_range, frame))
        for item in items:
            parts += [_render_mark(frame, item, point, place) for point in item.points]
            place += 1
    return _wrap(labels, frame, "".join(parts))


def render_shares(labels: Labels, series: Sequence[Series]) -> str:
    """Return stacked shares, 0 to 1, of series that have the same x in order."""
    if not series or len(series[0].points) < 2:
        return ""
    xs = [point.x for point in series[0].points]
    frame = Frame((min(xs), max(xs)), (0.0, 1.0))
    base = [0.0] * len(xs)
    parts = []
    for item in series:
        top = [low + point.y for low, point in zip(base, item.points, strict=True)]
        outline = [(x, y) for x, y in zip(xs, top, strict=True)]
        outline += reversed([(x, y) for x, y in zip(xs, base, strict=True)])
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in outline)
        tip = quoteattr(f"{item.name}: {item.points[-1].y:.0%} at the end")
        parts.append(f'<polygon class="{item.css_class} area" points="{path}" data-tip={tip}/>')
        base = top
    ticks = [shorten(tick) for tick in _ticks(*frame.x_range)]
    return _wrap(labels, frame, "".join(parts) + _render_axes(frame, labels, ticks, is_share=True))


# --- parts ----------------------------------------------------------------------------------------


def _wrap(labels: Labels, frame: Frame, content: str) -> str:
    number = next(_ids)
    css = "chart wide" if frame.width == WIDE else "chart"
    return (
        f'<svg class="{css}" viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" '
        f'aria-labelledby="t{number} d{number}"><title id="t{number}">{escape(labels.title)}'
        f'</title><desc id="d{number}">{escape(labels.description)}</desc>{content}</svg>'
    )


def _render_axes(
    frame: Frame, labels: Labels, x_ticks: Sequence[str], is_share: bool = False
) -> str:
    parts = []
    left, bottom = _MARGIN["left"], frame.height - _MARGIN["bottom"]
    for tick in _ticks(*frame.y_range):
        y = frame.y(tick)
        css = "zero" if tick == 0 else "grid"
        right = frame.width - _MARGIN["right"]
        parts.append(f'<line class="{css}" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = f"{tick:.0%}" if is_share else shorten(tick)
        parts.append(_text(left - 7, y + 4, text, "tick", "end"))
    for tick, text in zip(_ticks(*frame.x_range), x_ticks, strict=False):
        parts.append(_text(frame.x(tick), bottom + 15, text, "tick", "middle"))
    parts.append(_text(frame.width - _MARGIN["right"], frame.height - 3, labels.x, "label", "end"))
    parts.append(_text(2, 11, labels.y, "label", "start"))
    return "".join(parts)


def _render_target(frame: Frame, target: float) -> str:
    y, left, right = frame.y(target), _MARGIN["left"], frame.width - _MARGIN["right"]
    line = f'<line class="target" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(right, y - 5, f"target {shorten(target)}", "label target-label", "end")


def _render_series(frame: Frame, item: Series) -> str:
    places = [(frame.x(point.x), frame.y(point.y)) for point in item.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [_render_band(frame, item)] if item.is_main else []
    parts.append(f'<polyline class="{item.css_class} line" points="{path}"/>')
    for point, (x, y) in zip(item.points, places, strict=True):
        tip = quoteattr(point.tip or f"{item.name}: {shorten(point.y)}")
        radius = 3.2 if item.is_main else 1.6
        parts.append(
            f'<circle class="{item.css_class} dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
        )
        parts.append(f'<circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="9" data-tip={tip}/>')
    return "".join(parts)


def _render_band(frame: Frame, item: Series) -> str:
    banded = [p for p in item.points if p.low is not None and p.high is not None]
    if len(banded) < 2:
        return ""
    outline = [(p.x, p.high or 0.0) for p in banded] + [(p.x, p.low or 0.0) for p in banded[::-1]]
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in outline)
    return f'<polygon class="{item.css_class} band" points="{path}"/>'


def _render_mark(frame: Frame, item: Series, point: Point, place: int) -> str:
    x, y = frame.x(place), frame.y(point.y)
    parts = []
    if point.low is not None and point.high is not None:
        low, high = frame.y(point.low), frame.y(point.high)
        css = f"{item.css_class} whisker"
        parts.append(
            f'<line class="{css}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        )
    radius = 6 if item.is_main else 4.5
    tip = quoteattr(point.tip)
    parts.append(f'<circle class="{item.css_class} dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')
    parts.append(f'<circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="13" data-tip={tip}/>')
    return "".join(parts)


def _line(x: float, y_range: tuple[float, float], frame: Frame) -> str:
    low, high = frame.y(y_range[0]), frame.y(y_range[1])
    return f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'


def _text(x: float, y: float, text: str, css: str, anchor: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{escape(text)}</text>'


# --- numbers --------------------------------------------------------------------------------------


def shorten(value: float) -> str:
    """Return a number with three significant digits; thousands and millions as k and M."""
    sizes = ((1e6, "M"), (1e3, "k"), (1.0, ""))
    size, mark = next((item for item in sizes if abs(value) >= item[0]), sizes[-1])
    return f"{value / size:.3g}{mark}".replace("-", "−")


def _widen(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low, low + 1.0)


def _round_range(low: float, high: float) -> tuple[float, float]:
    """Return a range that ends at ticks."""
    low, high = _widen(low, high)
    step = _find_step(low, high)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def _ticks(low: float, high: float) -> list[float]:
    step = _find_step(low, high)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def _find_step(low: float, high: float) -> float:
    """Return 1, 2 or 5 times a power of ten that makes about five steps."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * size for size in (1, 2, 5, 10) if power * size >= rough * (1 - 1e-9))
