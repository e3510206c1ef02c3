"""Draw frames for the judge: ``FramesJob`` → ``FramesResult``. No generated code is loaded here."""

from __future__ import annotations

from pathlib import Path

from reward_agent.film.footage import load_footages
from reward_agent.film.video import SHEET
from reward_agent.records.film_jobs import FramesJob, FramesResult
from reward_agent.records.job import FOOTAGE_FILE
from reward_agent.records.judgement import FRAMES_FILE
from reward_agent.worker.film import Rendering, describe_failure, open_studio

_rendering = Rendering()


def prepare(job: FramesJob) -> None:
    """Before the seal: find a renderer."""
    open_studio(_rendering, job.card, SHEET, job.renderer)


def run(job: FramesJob, job_dir: Path) -> FramesResult:
    """Write the sheet, or say why there is none."""
    if _rendering.studio is None:
        return FramesResult(note=_rendering.note)
    try:
        footages = load_footages(job_dir / FOOTAGE_FILE)
        seeds = [item.seed for item in footages]
        if job.episode_seed not in (None, *seeds):
            return FramesResult(note="its footage was not kept")
        footage = footages[0 if job.episode_seed is None else seeds.index(job.episode_seed)]
        path = job_dir / FRAMES_FILE
        times = _rendering.studio.draw_sheet(footage, path, job.code, job.n_frames)
    except Exception as error:  # a driver fails in many ways
        return FramesResult(note=describe_failure(error))
    return FramesResult(
        sheet_file=FRAMES_FILE, times=times, episode_seed=footage.seed, renderer=_rendering.renderer
    )
