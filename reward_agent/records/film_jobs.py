"""Jobs that draw episodes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reward_agent.records.job import FILM_S, FOOTAGE_FILE, Behaviour, Job
from reward_agent.types import (
    EpisodeName,
    FileName,
    FileRecord,
    FilmFormat,
    FilmName,
    FilmSize,
    Record,
)


class FilmStyle(Record):
    """What a film shows of episodes, and how it looks; that of a run has no words but the time."""

    size: FilmSize = Field("720p", description="height of the whole picture, which is 16:9")
    frames_per_s: float = Field(25.0, gt=0, le=60)
    formats: tuple[FilmFormat, ...] = ("webp", "mp4")
    slow: float = Field(1.0, ge=1, le=50, description="so many times slower than it was")
    is_whole: bool = Field(
        False, description="else of a long episode its beginning, its events and its end"
    )
    has_words: bool = Field(False, description="whose film it is, its pay and its score")


class FilmResult(FileRecord):
    """A film of an evaluation's episodes, or why there is none."""

    video_file: FilmName | None = None
    mp4_file: FilmName | None = Field(None, description="the same film, with the extra 'video'")
    is_blind: bool = Field(False, description="nothing in it says whose it is or how it scored")
    renderer: str = Field("", description="OpenGL that drew: egl, osmesa, …; empty if none did")
    video_note: str = Field("", description="why there is no video, and which package to install")
    strip_file: FilmName | None = Field(
        None, description="key moments of the filmed episode, a picture"
    )
    rendering_s: float = Field(0.0, ge=0, description="time to find a renderer and to film")


class FilmJob(Job):
    """Draw episodes of one or more ``footage.npz`` side by side, and a strip of the first.

    A sheet is the strips of all, one above the other, and no video.
    """

    result_type = FilmResult
    loads_generated_code = False
    lane = "film"
    activity = "rendering"
    starts_warm = False
    uses_graphics = True
    wall_s = 4 * FILM_S

    kind: Literal["film"] = "film"
    is_sheet: bool = False
    style: FilmStyle = FilmStyle()
    footage_files: tuple[FileName, ...] = Field((FOOTAGE_FILE,), min_length=1, max_length=4)
    episodes: tuple[EpisodeName | Behaviour, ...] = Field(("median",), min_length=1, max_length=4)
    renderer: str = Field("", description="OpenGL that is known to draw here; empty: try")


class FramesResult(FileRecord):
    """A sheet of numbered frames of one episode, for a model that sees, or why there is none."""

    sheet_file: Literal["frames.png"] | None = None
    times: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(
        (), max_length=64, description="seconds of each frame, the first is number 1"
    )
    episode_seed: int = 0
    renderer: str = ""
    note: str = Field("", description="why there is no sheet")


class FramesJob(Job):
    """Draw frames of an episode of ``footage.npz`` on one sheet, with a code in its corner.

    The metric's verdict, which a film shows, is not on it.
    """

    result_type = FramesResult
    loads_generated_code = False
    lane = "film"
    activity = "rendering"
    starts_warm = False
    uses_graphics = True
    wall_s = FILM_S

    kind: Literal["frames"] = "frames"
    code: str = Field(pattern=r"^[0-9]{4}$")
    episode_seed: int | None = Field(None, description="of the episode; None: the first")
    n_frames: int = Field(16, ge=2, le=64)
    renderer: str = Field("", description="OpenGL that is known to draw here; empty: try")
