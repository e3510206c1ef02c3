"""Pictures of episodes: a film in real time, several side by side, and a strip of key moments.

A film is an animated WebP, and an mp4 as well with the extra ``video``. Open a ``Studio`` only
after ``MUJOCO_GL`` is set: MuJoCo chooses its renderer when it is imported.
"""

from __future__ import annotations

import functools
import importlib.util
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reward_agent.definitions.card import EnvCard
from reward_agent.simulation.backends import Footage, Frame, make_artist
from reward_agent.types import VideoQuality

_BAND = 36
_LINE = 16
# Of a longer episode the beginning and the end are shown.
_MAX_S = 8.0
_BEGINNING = 0.6
_TILE = 180
_INK, _PAPER = (255, 255, 255), (20, 24, 32)

_HOLD_MS = 1000
_QUALITY = 40
# WebP's effort, 0 to 6: higher is smaller and slower.
_EFFORT = 2
# H.264's measure of loss, 0 to 51: 30 takes a tenth of the bytes of a fixed rate, for drawn robots.
_H264_OPTIONS = {"preset": "veryfast", "crf": "30"}
_BITS_PER_S = 600_000


@dataclass(frozen=True)
class Quality:
    """How an episode's pictures look, in pixels, and so what they cost: size times number."""

    width: int
    height: int
    frames_per_s: int


QUALITIES: dict[VideoQuality, Quality] = {
    "low": Quality(320, 216, 10),
    "normal": Quality(400, 270, 12),
    "high": Quality(480, 324, 25),
}


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

    def __init__(self, card: EnvCard, quality: Quality = QUALITIES["normal"]) -> None:
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
        frames = self._draw(footage, steps)
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
        frames = self._draw(footage, steps)
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

    def film(self, footages: Sequence[Footage]) -> tuple[list[Image.Image], int]:
        """Return the pictures of episodes side by side, in real time, and their ms.

        An episode that has ended stays at its last picture until the others have.
        """
        rate = self.quality.frames_per_s
        choices = [choose_video_steps(len(f.pose), self._control_dt, rate) for f in footages]
        stride = max(c[1] - c[0] if len(c) > 1 else 1 for c in choices)
        films = [
            self._film_one(footage, steps) for footage, steps in zip(footages, choices, strict=True)
        ]
        length = max(map(len, films))
        pictures = [_tile([film[min(i, len(film) - 1)] for film in films]) for i in range(length)]
        return pictures, max(20, round(stride * self._control_dt * 1000))

    def _draw(self, footage: Footage, steps: Sequence[int]) -> list[Frame]:
        frames = self._artist.draw(footage, steps)
        return [frame[::-1, ::-1] for frame in frames] if self._is_upside_down else frames

    def _film_one(self, footage: Footage, steps: Sequence[int]) -> list[Image.Image]:
        frames = self._draw(footage, steps)
        height, width = frames[0].shape[:2]
        blank = _make_blank(footage.caption.splitlines(), width, height)
        return [
            _fill(
                blank, frame, f"step {step}   {step * self._control_dt:.2f} s   {footage.verdict}"
            )
            for step, frame in zip(steps, frames, strict=True)
        ]


def choose_video_steps(n_states: int, control_dt: float, frames_per_s: int = 25) -> list[int]:
    """Return the states to draw, so many a second; of a long episode its two ends."""
    stride = max(1, round(1 / (frames_per_s * control_dt)))
    steps = list(range(0, n_states, stride))
    n_most = max(2, round(_MAX_S / (stride * control_dt)))
    if len(steps) <= n_most:
        return steps
    n_first = round(_BEGINNING * n_most)
    return steps[:n_first] + steps[n_first - n_most :]


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


def _make_blank(lines: Sequence[str], width: int, height: int) -> Image.Image:
    """Return a picture with the words that stay, and room for a line and a frame under them."""
    picture = Image.new("RGB", (width, height + 4 + _LINE * (len(lines) + 1)), _PAPER)
    for index, line in enumerate(lines):
        ImageDraw.Draw(picture).text((6, 1 + _LINE * index), line, _INK, _load_font(13))
    return picture


def _fill(blank: Image.Image, frame: Frame, words: str) -> Image.Image:
    """Return the picture with its frame, and a line that changes above it."""
    picture = blank.copy()
    top = picture.height - frame.shape[0]
    ImageDraw.Draw(picture).text((6, top - 3 - _LINE), words, _INK, _load_font(13))
    picture.paste(Image.fromarray(frame), (0, top))
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


def write_webp(pictures: Sequence[Image.Image], path: Path, frame_ms: int) -> None:
    """Write an animation that holds its last picture for a second, then begins again."""
    pictures[0].save(
        path,
        format="WEBP",
        save_all=True,
        append_images=list(pictures[1:]),
        duration=[frame_ms] * (len(pictures) - 1) + [_HOLD_MS],
        loop=0,
        quality=_QUALITY,
        method=_EFFORT,
        minimize_size=False,
    )


def has_mp4() -> bool:
    """Return whether the package that writes mp4 is installed."""
    return importlib.util.find_spec("av") is not None


def load_mp4() -> None:
    """Import what writes mp4 and its encoder, which nothing can load once a child is sealed."""
    import av

    av.codec.Codec(_choose_codec(), "w")


def write_mp4(pictures: Sequence[Image.Image], path: Path, frame_ms: int) -> None:
    """Write an mp4 that any player shows."""
    import av

    rate = Fraction(1000, frame_ms).limit_denominator(1000)
    # The usual pixel format halves the colours' resolution, so sizes must be even.
    width, height = (size - size % 2 for size in pictures[0].size)
    with av.open(str(path), "w") as container:
        codec = _choose_codec()
        options = _H264_OPTIONS if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if not options:  # the other encoders know a rate only
            stream.bit_rate = _BITS_PER_S
        for picture in pictures:
            frame = av.VideoFrame.from_image(picture.crop((0, 0, width, height)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _choose_codec() -> str:
    """Return H.264 where the package was built with it, else what it always has."""
    import av

    return next(
        (name for name in ("libx264", "libopenh264") if name in av.codecs_available), "mpeg4"
    )
