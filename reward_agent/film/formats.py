"""The files that a film becomes: mp4, animated WebP, GIF.

An mp4 (H.264) plays in every browser, chat and slide; it needs the extra ``video``. The others are
animated pictures: larger or smaller, and shown where a video is not.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from reward_agent.types import FilmFormat

_HOLD_MS = 1000
_QUALITY = 40
# WebP's effort, 0 to 6: higher is smaller and slower.
_EFFORT = 2
# Beside an mp4, an animated picture is a preview: of this height, with every second picture.
_PREVIEW_HEIGHT, _PREVIEW_STRIDE = 270, 2
# Animated pictures are encoded as a whole.
_MAX_HELD_BYTES = 2**30
# H.264's measure of loss, 0 to 51: 26 takes a fifth of the bytes of a fixed rate, for drawn robots.
_H264_OPTIONS = {"preset": "veryfast", "crf": "26"}
_BITS_PER_S = 2_000_000
# The head of the file comes first, so that it plays before it is loaded.
_CONTAINER_OPTIONS = {"movflags": "+faststart"}


class _Writer(Protocol):
    """Takes the pictures of one file, one by one."""

    def add(self, picture: Image.Image) -> None:
        """Take the next picture."""

    def close(self) -> None:
        """Write what is left."""


class FilmFiles:
    """Writes pictures into files of some formats at once, as they are drawn.

    Args:
        paths: of the files, by format.
        frame_ms: how long a picture stays.

    Raises:
        ValueError: while writing, an animated picture is too large to be held.
    """

    def __init__(self, paths: dict[FilmFormat, Path], frame_ms: int) -> None:
        is_preview = "mp4" in paths
        self._writers: list[_Writer] = [
            _Mp4Writer(path, frame_ms)
            if form == "mp4"
            else _AnimationWriter(path, form, frame_ms, is_preview)
            for form, path in paths.items()
        ]

    def __enter__(self) -> FilmFiles:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            for writer in self._writers:
                writer.close()

    def add_all(self, pictures: Iterable[Image.Image]) -> None:
        """Take the pictures of a film, in order, all of one size."""
        for picture in pictures:
            for writer in self._writers:
                writer.add(picture)


class _AnimationWriter:
    """An animated WebP or GIF that holds its last picture for a second, then begins again."""

    def __init__(self, path: Path, form: FilmFormat, frame_ms: int, is_preview: bool) -> None:
        self._path, self._form, self._frame_ms = path, form, frame_ms
        self._stride = _PREVIEW_STRIDE if is_preview else 1
        self._is_preview = is_preview
        self._pictures: list[Image.Image] = []
        self._n_seen = 0

    def add(self, picture: Image.Image) -> None:
        if self._n_seen % self._stride == 0:
            if self._is_preview and picture.height > _PREVIEW_HEIGHT:
                width = round(picture.width * _PREVIEW_HEIGHT / picture.height)
                picture = picture.resize((width, _PREVIEW_HEIGHT), Image.Resampling.BILINEAR)
            self._pictures.append(picture)
            if len(self._pictures) * picture.width * picture.height * 3 > _MAX_HELD_BYTES:
                raise ValueError(f"so long a film in this size is no {self._form}: make an mp4")
        self._n_seen += 1

    def close(self) -> None:
        options: dict[str, Any] = {"quality": _QUALITY, "method": _EFFORT, "minimize_size": False}
        self._pictures[0].save(
            self._path,
            format=self._form.upper(),
            save_all=True,
            append_images=self._pictures[1:],
            duration=[self._frame_ms * self._stride] * (len(self._pictures) - 1) + [_HOLD_MS],
            loop=0,
            **(options if self._form == "webp" else {}),
        )


class _Mp4Writer:
    """An mp4 that any player shows."""

    def __init__(self, path: Path, frame_ms: int) -> None:
        import av

        self._container = av.open(str(path), "w", options=_CONTAINER_OPTIONS)
        self._rate = Fraction(1000, frame_ms).limit_denominator(1000)
        self._stream: Any = None

    def add(self, picture: Image.Image) -> None:
        import av

        # The usual pixel format halves the colours' resolution, so sizes must be even.
        width, height = (size - size % 2 for size in picture.size)
        if self._stream is None:
            self._stream = self._open(width, height)
        frame = av.VideoFrame.from_image(picture.crop((0, 0, width, height)))
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()

    def _open(self, width: int, height: int) -> Any:
        codec = _choose_codec()
        options = _H264_OPTIONS if codec == "libx264" else {}
        stream: Any = self._container.add_stream(codec, rate=self._rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if not options:  # the other encoders know a rate only
            stream.bit_rate = _BITS_PER_S
        return stream


def has_mp4() -> bool:
    """Return whether the package that writes mp4 is installed."""
    return importlib.util.find_spec("av") is not None


def load_mp4() -> None:
    """Import what writes mp4 and its encoder, which nothing can load once a child is sealed."""
    import av

    av.codec.Codec(_choose_codec(), "w")


def _choose_codec() -> str:
    """Return H.264 where the package was built with it, else what it always has."""
    import av

    return next(
        (name for name in ("libx264", "libopenh264") if name in av.codecs_available), "mpeg4"
    )
