"""Draw: films and strips of the episodes that an evaluation kept, by a child that may draw."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from reward_agent.definitions.card import EnvCard
from reward_agent.errors import DataError, JobError
from reward_agent.files import read_capped, remove
from reward_agent.records.disk import write_record
from reward_agent.records.film_jobs import FilmJob, FilmResult, FilmStyle
from reward_agent.records.job import (
    FOOTAGE_FILE,
    MP4_FILE,
    RESULT_FILE,
    STRIP_FILE,
    VIDEO_FILE,
    Behaviour,
)
from reward_agent.records.judgement import SHOWN, Shown, name_shown
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.run.active import Lab, copy_into
from reward_agent.types import EpisodeName, VideoQuality

# What a run's films look like, and how many of these they show: four lie two by two.
STYLES: dict[VideoQuality, FilmStyle] = {
    "low": FilmStyle(size="270p", frames_per_s=12.5),
    "normal": FilmStyle(),
    "high": FilmStyle(),
}
_MEDIAN: tuple[EpisodeName, ...] = ("median",)
_SHOWN: dict[VideoQuality, tuple[EpisodeName, ...]] = {
    "low": _MEDIAN,
    "normal": _MEDIAN,
    "high": ("median", "best", "worst", "upper quartile"),
}
# The report takes smaller ones only.
MAX_FILM_BYTES = 64 * 2**20
_OF_THE_FILM = set(FilmResult.model_fields) - {"schema_version"}

# What drew the first film of this process, by back end: it takes half a second to find.
_found: dict[str, str] = {}


def film(lab: Lab, folder: Path, evaluated: EvaluateResult) -> EvaluateResult:
    """Film what an evaluation left in its folder, put the film beside it, and note it there.

    What fails costs the film: the result then says why there is none.
    """
    try:
        found = draw(lab, folder)
        changes = found.model_dump(include=_OF_THE_FILM)
    except (DataError, JobError, FileNotFoundError) as error:
        changes = {"video_note": str(error)}
    remove(folder / "film")
    filmed = evaluated.model_copy(update=changes)
    write_record(folder / RESULT_FILE, filmed)
    return filmed


def film_extremes(lab: Lab, folder: Path) -> None:
    """Film the best and the worst episode that an evaluation kept in its folder, once.

    Where they are the median one, were not kept or cannot be drawn there is no film of them.
    """
    for shown in SHOWN:
        files = [folder / name_shown(name, shown) for name in (VIDEO_FILE, MP4_FILE)]
        if shown == "median" or any(file.is_file() for file in files):
            continue
        with suppress(DataError, JobError, FileNotFoundError):
            draw(lab, folder, shown)
    remove(folder / "film")


def find_known_renderer(card: EnvCard) -> str:
    """Return what drew the first film of this process; '' if there was none yet."""
    return _found.get(card.model.backend, "")


def draw_sheet(lab: Lab, folder: Path) -> Path | None:
    """Return the strips of the episodes whose footage lies in a folder, drawn once.

    None where there is no footage, or where nothing can be drawn.
    """
    path = folder / STRIP_FILE
    if not path.is_file():
        try:
            draw(lab, folder, is_sheet=True)
        except (DataError, JobError, FileNotFoundError):
            return None
        remove(folder / "film")
    return path if path.is_file() else None


def draw(
    lab: Lab,
    folder: Path,
    shown: Shown = "median",
    *,
    episodes: Sequence[Behaviour] = (),
    is_sheet: bool = False,
) -> FilmResult:
    """Run the child and take its files over, under the names of the episode that they show.

    Args:
        lab: the environment, and how large films are.
        folder: where the footage lies.
        shown: which episode of an evaluation.
        episodes: of a footage of behaviours, which.
        is_sheet: whether strips of all are wanted, and no film.

    Raises:
        DataError: there is no such episode.
        JobError: the child ended without a result.
        FileNotFoundError: there is no footage.
    """
    film_dir, backend, quality = folder / "film", lab.card.model.backend, lab.settings.video_quality
    files = {FOOTAGE_FILE: read_capped(folder / FOOTAGE_FILE, MAX_FILM_BYTES)}
    job = FilmJob(
        card=lab.card,
        style=STYLES["low" if is_sheet else quality],
        episodes=tuple(episodes) or (_SHOWN[quality] if shown == "median" else (shown,)),
        renderer=find_known_renderer(lab.card),
        is_sheet=is_sheet,
    )
    job_exit = lab.run_job(job, film_dir, files)
    assert isinstance(job_exit.result, FilmResult)
    found = job_exit.result
    for name in filter(None, (found.video_file, found.mp4_file, found.strip_file)):
        film = read_capped(film_dir / name, MAX_FILM_BYTES)
        copy_into(folder, {name_shown(name, shown): film})
    if found.strip_file:
        _found[backend] = found.renderer
    return found
