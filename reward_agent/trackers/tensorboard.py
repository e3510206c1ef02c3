"""TensorBoard's event files, written without TensorFlow or torch; the video becomes a GIF."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from reward_agent.files import refuse_links

# A GIF is many times as large as a WebP: every fourth picture, at this width.
_STRIDE, _WIDTH = 4, 240
# Of a stranger's film, whose pictures cost nothing to repeat or to stretch.
_MOST_FRAMES, _MOST_HEIGHT = 500, 960


class TensorBoardTracker:
    """Groups are TensorBoard's runs, so that trainings lie over each other in one chart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, EventFileWriter] = {}

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers of one step."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(group, values, step)

    def log_text(self, name: str, text: str) -> None:
        """Log a text; it is shown as it is, not as Markdown."""
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        indented = "\n".join(f"    {line}" for line in text.splitlines())
        tensor = TensorProto(dtype=DT_STRING, string_val=[indented.encode()])
        tensor.tensor_shape.dim.add(size=1)
        self._write("", [Summary.Value(tag=name, metadata=metadata, tensor=tensor)], 0)

    def log_video(self, name: str, path: Path) -> None:
        """Log an animation; an mp4 is left out, since TensorBoard shows none."""
        if path.suffix != ".webp":
            return
        gif, size = _make_gif(path)
        picture = Summary.Image(height=size[1], width=size[0], encoded_image_string=gif)
        self._write("", [Summary.Value(tag=name, image=picture)], 0)

    def close(self) -> None:
        """Write what is still to be written."""
        for writer in self._writers.values():
            writer.close()

    def _write(self, group: str, values: list[Any], step: int) -> None:
        if group not in self._writers:
            self._writers[group] = EventFileWriter(str(self._folder / (group or "run")))
        event = Event(wall_time=time.time(), step=step, summary=Summary(value=values))
        self._writers[group].add_event(event)
        self._writers[group].flush()


def _make_gif(path: Path) -> tuple[bytes, tuple[int, int]]:
    with Image.open(path) as animation:
        duration = int(animation.info.get("duration") or 40) * _STRIDE
        height = round(animation.height * _WIDTH / animation.width)
        size = (_WIDTH, max(1, min(height, _MOST_HEIGHT)))
        shown = itertools.islice(ImageSequence.Iterator(animation), 0, _MOST_FRAMES, _STRIDE)
        frames = [frame.convert("RGB").resize(size) for frame in shown]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0
    )
    return buffer.getvalue(), size


def open_tracker(run_id: str, folder: Path, settings: Mapping[str, Any]) -> TensorBoardTracker:
    """Open TensorBoard's folder of a run."""
    refuse_links(folder)
    tracker = TensorBoardTracker(folder)
    tracker.log_text("config", "\n".join(f"{name} = {value}" for name, value in settings.items()))
    return tracker
