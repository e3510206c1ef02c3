"""Film: episodes of a run, drawn when somebody asks, from what its evaluations kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reward_agent.errors import DataError, UsageError
from reward_agent.files import make_scratch, read_capped, write_atomic
from reward_agent.film.formats import has_mp4
from reward_agent.records.film_jobs import FilmJob, FilmResult, FilmStyle
from reward_agent.records.job import FOOTAGE_FILE
from reward_agent.records.store import (
    Candidate,
    RunRecord,
    RunStore,
    find_candidate,
    load_run,
    rank_candidates,
)
from reward_agent.report.view import place_film
from reward_agent.run.drawing import MAX_FILM_BYTES
from reward_agent.run.resume import read_own
from reward_agent.run.single import open_lab, resolve
from reward_agent.types import EpisodeName, FilmFormat

GET_MP4 = "pip install 'reward-agent[video]'"


@dataclass(frozen=True)
class DrawnFilm:
    """A film on disk, and what it shows.

    Args:
        file: the film.
        shown: whose policies.
        strip: a picture of its key moments, where one was asked for.
    """

    file: Path
    shown: tuple[str, ...]
    strip: Path | None = None


def choose_format(wanted: FilmFormat | None) -> FilmFormat:
    """Return the format that was asked for, else mp4 where it can be written.

    Raises:
        UsageError: an mp4 is asked for and nothing writes it.
    """
    if wanted == "mp4" and not has_mp4():
        raise UsageError("an mp4 needs the extra 'video'", GET_MP4)
    return wanted or ("mp4" if has_mp4() else "webp")


def draw_film(
    run: str,
    style: FilmStyle,
    *,
    candidates: tuple[str, ...] = (),
    episode: EpisodeName = "median",
    env: str | None = None,
    output: Path | None = None,
    has_strip: bool = False,
    runs_dir: Path | None = None,
) -> DrawnFilm:
    """Film an episode of a run's policies, side by side, in the first format of the style.

    Args:
        run: which run.
        style: what the film looks like.
        candidates: whose policies; without any, that with which the run ends.
        episode: which of the episodes that were scored.
        env: folder of the run's environment, unless it is one of those known by name.
        output: the file, with or without its ending; in the working directory by default.
        has_strip: whether a picture of its key moments is written beside it.
        runs_dir: where runs lie.

    Raises:
        UsageError: there is no such run, candidate or environment.
        DataError: such an episode was not kept, or nothing here draws.
    """
    store = load_run(run, runs_dir)
    record = store.read_run()
    card = record.card.model_copy(update=read_own(record, env))
    folders = {name: _place(store, record, name) for name in candidates or ("",)}
    footages = {
        f"footage_{number}.npz": _read_footage(folder)
        for number, folder in enumerate(folders.values())
    }
    job = FilmJob(card=card, style=style, footage_files=tuple(footages), episodes=(episode,))
    with open_lab(card, resolve(card, {})) as lab, make_scratch() as scratch:
        found = lab.run_job(job, scratch / "film", footages).result
        assert isinstance(found, FilmResult)
        name = found.mp4_file or found.video_file
        if name is None:
            raise DataError(
                f"no film: {found.video_note}", "`reward-agent doctor` says what films need"
            )
        film = read_capped(scratch / "film" / name, MAX_FILM_BYTES)
        moments = b""
        if has_strip and found.strip_file:
            moments = read_capped(scratch / "film" / found.strip_file, MAX_FILM_BYTES)
    words = "_".join((store.dir.name, *candidates, episode.replace(" ", "-")))
    file = output or Path(words)
    ending = f".{style.formats[0]}"
    file = file if file.suffix == ending else file.with_name(file.name + ending)
    write_atomic(file, film)
    strip = file.with_name(f"{file.stem}_moments.webp") if moments else None
    if strip is not None:
        write_atomic(strip, moments)
    return DrawnFilm(file, tuple(candidates) or (_name_shown(record),), strip)


def _name_shown(record: RunRecord) -> str:
    winner = record.winner
    return (winner.policy or winner).candidate if winner else "best so far"


def _place(store: RunStore, record: RunRecord, name: str) -> Path:
    """Return the folder of a candidate's evaluation; '' is what the run ends with."""
    finished = [item for item in store.list_finished() if item.evaluation is not None]
    if name:
        return place_film(store, record, _find(finished, name)).parent
    if record.winner is not None:
        return (store.dir / record.winner.policy_file).parent
    if not finished:
        raise UsageError(f"run {record.id} has no policy to film", "let it go on: --resume")
    ranked = rank_candidates([item for item in finished if item.task_score is not None])
    return place_film(store, record, (ranked or finished[-1:])[0]).parent


def _find(candidates: list[Candidate], name: str) -> Candidate:
    found = find_candidate(name, [item.id for item in candidates])
    return next(item for item in candidates if item.id == found)


def _read_footage(folder: Path) -> bytes:
    try:
        return read_capped(folder / FOOTAGE_FILE, MAX_FILM_BYTES)
    except FileNotFoundError as error:
        raise DataError(
            f"no episode was kept to be drawn in {folder}",
            "`reward-agent evaluate POLICY` films a policy anew",
        ) from error
