"""Videos of candidates: the one that a round made, or one that is made when it is asked for."""

from __future__ import annotations

from pathlib import Path

from reward_agent.designers.brief import HistoryEntry
from reward_agent.records.jobs import RESULT_FILE, EvaluateResult
from reward_agent.records.store import Candidate, RunStore, read_record
from reward_agent.run.active import ActiveRun
from reward_agent.run.evaluate import film_training


def find_film(store: RunStore, candidate: Candidate) -> Path | None:
    """Return the video of a candidate's best policy, or None if there is none yet."""
    run = store.read_run()
    if run.winner is not None and run.winner.candidate == candidate.id and run.winner.video_file:
        return _choose_form(store.dir / run.winner.video_file)
    folder = store.evaluation_dir(candidate.iteration, candidate.id, run.config["seed"])
    if not (folder / RESULT_FILE).is_file():
        return None
    name = read_record(folder / RESULT_FILE, EvaluateResult).video_file
    return _choose_form(folder / name) if name else None


def _choose_form(path: Path) -> Path | None:
    """Return the MP4 of a film, which can be paused, where there is one beside the WebP."""
    forms = (path.with_suffix(".mp4"), path)
    return next((form for form in forms if form.is_file()), None)


def make_film(run: ActiveRun, entry: HistoryEntry) -> str:
    """Film a candidate's best policy; return why there is no video, if there is none.

    A policy that a race stopped, or one of a run without videos, is filmed only when somebody
    wants to see it.
    """
    candidate, seed = entry.candidate, run.settings.seed
    folder = run.store.evaluation_dir(candidate.iteration, candidate.id, seed)
    if candidate.evaluation is None or not (folder / RESULT_FILE).is_file():
        return f"{candidate.id} has no policy to watch: {candidate.outcome}"
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    return film_training(run, folder, evaluated).video_note
