"""A film as files: an animated WebP, and an mp4 as well with the extra ``video``."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

_HOLD_MS = 1000
_QUALITY = 40
# WebP's effort, 0 to 6: higher is smaller and slower.
_EFFORT = 2
# H.264's measure of loss, 0 to 51: 30 takes a tenth of the bytes of a fixed rate, for drawn robots.
_H264_OPTIONS = {"preset": "veryfast", "crf": "30"}
_BITS_PER_S = 600_000


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
