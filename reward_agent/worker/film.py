"""Draw recorded episodes: ``FilmJob`` → ``FilmResult``. No generated code is loaded here."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.film.footage import load_footages
from reward_agent.film.video import (
    QUALITIES,
    Quality,
    Studio,
    has_mp4,
    load_mp4,
    write_mp4,
    write_webp,
)
from reward_agent.records.jobs import (
    FOOTAGE_FILE,
    MP4_FILE,
    STRIP_FILE,
    VIDEO_FILE,
    FilmJob,
    FilmResult,
)
from reward_agent.simulation.backends import Graphics, find_backend, find_graphics


@dataclass
class Rendering:
    """What ``prepare`` leaves for ``run``: a renderer, or the reason why there is none."""

    studio: Studio | None = None
    renderer: str = ""
    note: str = ""
    started: float = 0.0


_rendering = Rendering()


def prepare(job: FilmJob) -> None:
    """Before the seal: find a renderer, which takes a process, and import MuJoCo with it."""
    open_studio(_rendering, job.card, QUALITIES[job.video_quality], job.renderer)
    if has_mp4():
        load_mp4()


def open_studio(rendering: Rendering, card: EnvCard, quality: Quality, renderer: str) -> None:
    """Find a renderer, unless one is known, and open a studio with it."""
    rendering.studio, rendering.started = None, time.perf_counter()
    found = Graphics(renderer) if renderer else find_graphics(find_backend(card))
    rendering.renderer, rendering.note = found.backend or "", found.note
    # Unless told otherwise MuJoCo imports a window system, which starts a process of its own.
    os.environ["MUJOCO_GL"] = found.backend or "disable"
    if not found.backend:
        return
    try:
        rendering.studio = Studio(card, quality)
    except Exception as error:  # a driver fails in many ways
        rendering.note = describe_failure(error)


def run(job: FilmJob, job_dir: Path) -> FilmResult:
    """Write the video and the strip, or say why there are none."""
    found = FilmResult(video_note=_rendering.note)
    if _rendering.studio is not None:
        try:
            if job.is_sheet:
                found = _write_sheet(_rendering.studio, job_dir)
            else:
                found = _write_film(_rendering.studio, job_dir, job.n_episodes)
        except Exception as error:  # a driver fails in many ways
            found = FilmResult(video_note=describe_failure(error))
    seconds = time.perf_counter() - _rendering.started
    return found.model_copy(update={"rendering_s": seconds})


def describe_failure(error: Exception) -> str:
    """Say why there are no pictures."""
    return f"no video: {type(error).__name__}: {error}"


def _write_sheet(studio: Studio, job_dir: Path) -> FilmResult:
    studio.draw_strips(load_footages(job_dir / FOOTAGE_FILE), job_dir / STRIP_FILE)
    return FilmResult(strip_file=STRIP_FILE, renderer=_rendering.renderer)


def _write_film(studio: Studio, job_dir: Path, n_episodes: int) -> FilmResult:
    footages = load_footages(job_dir / FOOTAGE_FILE)
    studio.draw_strips(footages[:1], job_dir / STRIP_FILE)
    pictures, frame_ms = studio.film(footages[:n_episodes])
    write_webp(pictures, job_dir / VIDEO_FILE, frame_ms)
    if has_mp4():
        write_mp4(pictures, job_dir / MP4_FILE, frame_ms)
    return FilmResult(
        video_file=VIDEO_FILE,
        mp4_file=MP4_FILE if has_mp4() else None,
        strip_file=STRIP_FILE,
        renderer=_rendering.renderer,
    )
