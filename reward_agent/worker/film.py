"""Draw recorded episodes: ``FilmJob`` → ``FilmResult``. No generated code is loaded here."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.film.footage import choose_episodes, load_footages
from reward_agent.film.formats import FilmFiles, has_mp4, load_mp4
from reward_agent.film.video import Quality, Studio, choose_quality
from reward_agent.records.film_jobs import FilmJob, FilmResult
from reward_agent.records.job import GIF_FILE, MP4_FILE, STRIP_FILE, VIDEO_FILE
from reward_agent.simulation.backends import Graphics, find_backend, find_graphics
from reward_agent.types import FilmFormat


@dataclass
class Rendering:
    """What ``prepare`` leaves for ``run``: a renderer, or the reason why there is none."""

    studio: Studio | None = None
    renderer: str = ""
    note: str = ""
    started: float = 0.0


_rendering = Rendering()
_FILES: dict[FilmFormat, str] = {"webp": VIDEO_FILE, "mp4": MP4_FILE, "gif": GIF_FILE}


def prepare(job: FilmJob) -> None:
    """Before the seal: find a renderer, which takes a process, and import MuJoCo with it."""
    n_episodes = 1 if job.is_sheet else len(job.footage_files) * len(job.episodes)
    quality = choose_quality(job.style, n_episodes, has_mp4=has_mp4())
    open_studio(_rendering, job.card, quality, job.renderer)
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
            write = _write_sheet if job.is_sheet else _write_film
            found = write(_rendering.studio, job, job_dir)
        except Exception as error:  # a driver fails in many ways
            found = FilmResult(video_note=describe_failure(error))
    seconds = time.perf_counter() - _rendering.started
    return found.model_copy(update={"rendering_s": seconds})


def describe_failure(error: Exception) -> str:
    """Say why there are no pictures."""
    return f"{type(error).__name__}: {error}"


def _write_sheet(studio: Studio, job: FilmJob, job_dir: Path) -> FilmResult:
    footages = load_footages(job_dir / job.footage_files[0])
    studio.draw_strips(footages, job_dir / STRIP_FILE)
    return FilmResult(strip_file=STRIP_FILE, renderer=_rendering.renderer)


def _write_film(studio: Studio, job: FilmJob, job_dir: Path) -> FilmResult:
    footages = [
        footage
        for name in job.footage_files
        for footage in choose_episodes(load_footages(job_dir / name), job.episodes)
    ]
    formats = [form for form in job.style.formats if form != "mp4" or has_mp4()]
    paths = {form: job_dir / _FILES[form] for form in formats}
    studio.draw_strips(footages[:1], job_dir / STRIP_FILE)
    with FilmFiles(paths, studio.frame_ms) as files:
        files.add_all(studio.film(footages, job.style))
    animated = next((form for form in formats if form != "mp4"), None)
    return FilmResult(
        video_file=_FILES[animated] if animated else None,
        mp4_file=MP4_FILE if "mp4" in formats else None,
        is_blind=not job.style.has_words,
        strip_file=STRIP_FILE,
        renderer=_rendering.renderer,
    )
