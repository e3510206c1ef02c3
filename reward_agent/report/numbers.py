"""Numbers as a report shows them: short, and scales that end at round values."""

from __future__ import annotations

import math

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
