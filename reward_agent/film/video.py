"""Pictures of episodes: a film in real time, several side by side, and a strip of key moments.

Open a ``Studio`` only after ``MUJOCO_GL`` is set: MuJoCo chooses its renderer when it is imported.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reward_agent.definitions.card import EnvCard
from reward_agent.records.film_jobs import FilmStyle
from reward_agent.simulation.backends import Footage, Frame, make_artist

_BAND = 36
# Of a longer episode the beginning, its events and the end are shown, so long together.
_MAX_S = 9.0
# Height of a film that is no mp4, unless asked for otherwise.
_ANIMATED_HEIGHT = 270
_TILE = 180
_LEAST_FONT = 11
# Seconds for which a film says that it has left something out.
_CUT_SHOWN_S = 1.0
_INK, _PAPER = (255, 255, 255), (20, 24, 32)


@dataclass(frozen=True)
class Quality:
    """How an episode's pictures look, in pixels, and so what they cost: size times number."""

    width: int
    height: int
    frames_per_s: float


def choose_quality(style: FilmStyle, n_episodes: int, *, has_mp4: bool) -> Quality:
    """Return how each of some episodes looks that share a picture.

    Two stand side by side, more two by two. Animated pictures alone are small.
    """
    height = int(style.size.removesuffix("p"))
    if style.formats == FilmStyle().formats and not has_mp4:
        height = min(height, _ANIMATED_HEIGHT)
    width = round(height * 16 / 9 / 2) * 2
    rows, columns = (n_episodes + 1) // 2 if n_episodes > 2 else 1, min(n_episodes, 2)
    return Quality(width // columns, height // rows, style.frames_per_s)


# Sixteen of these fill a sheet of 1280 x 936 pixels: about 1,600 tokens of anthropic, at most 2,952
# of any other. Larger pictures are scaled down by those who take them.
SHEET = Quality(320, 208, 25)
_COLUMNS, _LABEL, _HEAD = 4, 20, 24
_COLOURS = 128
# Of the frames, the share that goes where the robot moves most; the others are evenly spaced.
_IN_MOTION = 0.7


class Studio:
    """What makes pictures of one environment's episodes.

    Raises:
        DataError: the card's model is missing or wrong.
    """

    def __init__(self, card: EnvCard, quality: Quality) -> None:
        self._control_dt, self._is_upside_down = card.control_dt, card.model.camera_is_upside_down
        self._artist = make_artist(card, quality.width, quality.height)
        rate = min(quality.frames_per_s, self._artist.most_frames_per_s)
        self.quality = replace(quality, frames_per_s=rate)

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, *_: object) -> None:
        self._artist.close()

    def draw_strips(self, footages: Sequence[Footage], path: Path) -> None:
        """Write the strips of some episodes, one above the other."""
        strips = [self._draw_strip(footage) for footage in footages]
        width = max(strip.width for strip in strips)
        sheet = Image.new("RGB", (width, sum(strip.height for strip in strips)), _PAPER)
        for row, strip in enumerate(strips):
            sheet.paste(strip, (0, row * strip.height))
        sheet.save(path, format="WEBP", quality=70, method=4)

    def _draw_strip(self, footage: Footage) -> Image.Image:
        """Return the key moments of an episode side by side, each with its words beneath."""
        steps = sorted(footage.moments)
        frames = list(self._draw(footage, steps))
        strip = Image.new("RGB", (_TILE * len(frames), _TILE + _BAND), _PAPER)
        pen, font = ImageDraw.Draw(strip), _load_font(11)
        for index, (step, frame) in enumerate(zip(steps, frames, strict=True)):
            height, width = frame.shape[:2]
            left = (width - height) // 2
            square = Image.fromarray(frame[:, left : left + height])
            strip.paste(square.resize((_TILE, _TILE)), (index * _TILE, 0))
            time = f"{step * self._control_dt:.2f} s"
            words = "\n".join((time, *textwrap.wrap(footage.moments[step], 30)[:1]))
            pen.multiline_text((index * _TILE + 4, _TILE + 3), words, _INK, font)
        return strip

    def draw_sheet(
        self, footage: Footage, path: Path, code: str, n_frames: int
    ) -> tuple[float, ...]:
        """Write numbered frames of an episode, in rows, as a PNG; return their times, s.

        Number and time stand above each frame, and where a camera that follows the robot is, since
        still frames do not show which way the floor went by. A code stands in the corner, so that
        who has seen the picture can tell it.
        """
        steps = choose_frames(footage, n_frames)
        frames = list(self._draw(footage, steps))
        locate = getattr(self._artist, "locate", None)
        places = locate(footage, steps) if locate else []
        times = tuple(round(step * self._control_dt, 3) for step in steps)
        height, width = frames[0].shape[:2]
        n_rows = -(-len(frames) // _COLUMNS)
        size = (_COLUMNS * width, _HEAD + n_rows * (height + _LABEL))
        sheet = Image.new("RGB", size, _PAPER)
        pen, font = ImageDraw.Draw(sheet), _load_font(15)
        pen.text((6, 3), f"code {code}", _INK, font)
        for index, (frame, time) in enumerate(zip(frames, times, strict=True)):
            left = index % _COLUMNS * width
            top = _HEAD + index // _COLUMNS * (height + _LABEL)
            label = f"{index + 1}:  {time:.2f} s" + (f"   at {places[index]}" if places else "")
            pen.text((left + 6, top + 1), label, _INK, font)
            sheet.paste(Image.fromarray(frame), (left, top + _LABEL))
        sheet.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)
        return times

    @property
    def frame_ms(self) -> int:
        """How long a picture of a film stays."""
        return max(20, round(1000 / self.quality.frames_per_s))

    def film(self, footages: Sequence[Footage], style: FilmStyle) -> Iterator[Image.Image]:
        """Yield the pictures of episodes side by side, each for ``frame_ms``.

        An episode that has ended stays at its last picture until the others have.
        """
        interval = self.frame_ms / 1000 / self._control_dt / style.slow
        choices = [
            choose_video_steps(f, self._control_dt, interval, is_whole=style.is_whole)
            for f in footages
        ]
        films = [self._film_one(f, s, style) for f, s in zip(footages, choices, strict=True)]
        shown = [next(film) for film in films]
        for _ in range(max(map(len, choices))):
            yield _tile(shown)
            shown = [next(film, last) for film, last in zip(films, shown, strict=True)]

    def _draw(self, footage: Footage, steps: Sequence[float]) -> Iterator[Frame]:
        for frame in self._artist.draw(footage, steps):
            yield frame[::-1, ::-1] if self._is_upside_down else frame

    def _film_one(
        self, footage: Footage, steps: Sequence[float], style: FilmStyle
    ) -> Iterator[Image.Image]:
        words = [*footage.caption.splitlines(), footage.verdict] if style.has_words else []
        slow = f"   {style.slow:g} times slower" if style.slow > 1 else ""
        usual = steps[1] - steps[0] if len(steps) > 1 else 1.0
        cut_at = -_CUT_SHOWN_S
        for index, (step, frame) in enumerate(zip(steps, self._draw(footage, steps), strict=True)):
            time = step * self._control_dt
            if index and step - steps[index - 1] > 2 * usual + 1:
                cut_at, skipped = time, (step - steps[index - 1]) * self._control_dt
            has_cut = time - cut_at < _CUT_SHOWN_S
            later = f"   ({skipped:.1f} s left out)" if has_cut else ""
            yield _write_over(frame, [f"{time:.2f} s{slow}{later}", *words])


def choose_video_steps(
    footage: Footage, control_dt: float, interval: float, *, is_whole: bool = False
) -> list[float]:
    """Return the steps to draw, ``interval`` apart, so that the film goes at its pace.

    Of a long episode that is its beginning, its end, and the stretch where most happens.
    """
    last = len(footage.pose) - 1
    stretch = _MAX_S / control_dt / 3
    ranges = [(0.0, float(last))]
    if not is_whole and last > 3 * stretch:
        start = _find_eventful(footage, stretch)
        ranges = _join([(0.0, stretch), (start, start + stretch), (last - stretch, float(last))])
    return [
        step
        for first, end in ranges
        for step in (first + interval * np.arange(int((end - first) / interval + 1e-6) + 1))
    ]


def _find_eventful(footage: Footage, stretch: float) -> float:
    """Return where a stretch begins that holds most of the moments between the others."""
    last = len(footage.pose) - 1
    low, high = stretch, last - 2 * stretch
    inner = [step for step in footage.moments if low <= step <= last - stretch]
    starts = [min(max(step - stretch / 4, low), high) for step in inner] or [(low + high) / 2]
    return max(starts, key=lambda start: sum(start <= s <= start + stretch for s in inner))


def _join(ranges: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return ranges that rise, those that meet as one."""
    joined = [ranges[0]]
    for first, end in ranges[1:]:
        if first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((first, end))
    return joined


def choose_frames(footage: Footage, n_frames: int) -> list[int]:
    """Return the states to show: the first, the last, and others where much happens or time goes.

    A part of the way from one frame to the next is time, the other is motion, by what moves most: a
    somersault of 0.8 s in an episode of 8 s gets several frames, and a long rest its own.
    """
    n_states = len(footage.pose)
    spent = np.linspace(0.0, 1.0, n_states)
    if footage.pose.shape[1]:
        moved = np.abs(np.diff(footage.pose, axis=0)).max(axis=1)
        way = np.concatenate([[0.0], np.cumsum(moved)])
        share = _IN_MOTION if way[-1] > 0 else 0.0
        spent = (1 - share) * spent + share * way / max(way[-1], 1e-12)
    n_frames = min(n_frames, n_states)
    found = np.searchsorted(spent, np.linspace(0.0, 1.0, n_frames) - 1e-9)
    steps = {int(step) for step in np.clip(found, 0, n_states - 1)}
    while len(steps) < n_frames:  # some fell together
        ends = sorted(steps)
        widest = max(range(len(ends) - 1), key=lambda at: ends[at + 1] - ends[at])
        steps.add((ends[widest] + ends[widest + 1]) // 2)
    return sorted(steps)


@functools.cache
def _load_font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font; to unpack it takes as long as to write a line with it."""
    return ImageFont.load_default(size=size)


def _write_over(frame: Frame, lines: Sequence[str]) -> Image.Image:
    """Return a picture with lines of words in its corner."""
    picture = Image.fromarray(np.ascontiguousarray(frame))
    size = max(_LEAST_FONT, min(frame.shape[0] // 26, frame.shape[1] // 40))
    ImageDraw.Draw(picture).multiline_text(
        (size // 2, size // 3), "\n".join(lines), _INK, _load_font(size), spacing=size // 4,
        stroke_width=max(1, size // 9), stroke_fill=_PAPER,
    )  # fmt: skip
    return picture


def _tile(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one size side by side, two in a row."""
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].size
    whole = Image.new("RGB", (2 * width, height * ((len(pictures) + 1) // 2)), _PAPER)
    for index, picture in enumerate(pictures):
        whole.paste(picture, (index % 2 * width, index // 2 * height))
    return whole
