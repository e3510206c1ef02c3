"""Film: recorded episodes as a video, in a child that may use the graphics driver."""

from __future__ import annotations

import shutil
from pathlib import Path

from reward_agent.errors import DataError, JobError
from reward_agent.executors import JobRequest
from reward_agent.files import read_capped
from reward_agent.records.jobs import FOOTAGE_FILE, RESULT_FILE, EvaluateResult, FilmJob, FilmResult
from reward_agent.records.store import write_record
from reward_agent.run.active import Evaluator, copy_into
from reward_agent.types import VideoQuality

# Episodes in a film: four lie two by two.
N_FILMED: dict[VideoQuality, int] = {"low": 1, "normal": 1, "high": 4}
# The report takes smaller ones only.
MAX_FILM_BYTES = 64 * 2**20
_OF_THE_FILM = set(FilmResult.model_fields) - {"schema_version"}

# What drew the first film of this process, by back end: it takes half a second to find.
_found: dict[str, str] = {}


def film(
    evaluator: Evaluator, folder: Path, evaluated: EvaluateResult, quality: VideoQuality
) -> EvaluateResult:
    """Film what an evaluation left in its folder, put the film beside it, and note it there.

    What fails costs the film: the result then says why there is none.

    Args:
        evaluator: the environment and where jobs run.
        folder: of the evaluation, with its footage.
        evaluated: its result.
        quality: of the pictures.
    """
    try:
        found = _draw(evaluator, folder, quality)
        changes = found.model_dump(include=_OF_THE_FILM)
    except (DataError, JobError, FileNotFoundError) as error:
        changes = {"video_note": f"no video: {error}"}
    shutil.rmtree(folder / "film", ignore_errors=True)
    filmed = evaluated.model_copy(update=changes)
    write_record(folder / RESULT_FILE, filmed)
    if filmed.video_file:
        (folder / FOOTAGE_FILE).unlink()  # nobody draws it twice
    return filmed


def _draw(evaluator: Evaluator, folder: Path, quality: VideoQuality) -> FilmResult:
    """Run the child and take its files over."""
    film_dir, backend = folder / "film", evaluator.card.model.backend
    copy_into(film_dir, {FOOTAGE_FILE: read_capped(folder / FOOTAGE_FILE, MAX_FILM_BYTES)})
    job = FilmJob(card=evaluator.card, video_quality=quality, renderer=_found.get(backend, ""))
    [job_exit] = evaluator.executor.map([JobRequest(job, film_dir, evaluator.limits)])
    if not isinstance(job_exit.result, FilmResult):
        raise JobError(f"the film ended without a result: {job_exit.outcome}")
    for name in filter(None, _list_files(job_exit.result)):
        copy_into(folder, {name: read_capped(film_dir / name, MAX_FILM_BYTES)})
    if job_exit.result.video_file:
        _found[backend] = job_exit.result.renderer
    return job_exit.result


def _list_files(found: FilmResult) -> tuple[str | None, ...]:
    return found.video_file, found.mp4_file, found.strip_file
