"""Feeds trackers from a run's directory: at each event, what they have not been told yet."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import read_history
from reward_agent.files import check_plain, read_capped, read_text, write_atomic
from reward_agent.records.events import Event, Listener, RunStarted, Warned, ignore
from reward_agent.records.job import PROGRAM_FILE, PROGRESS_FILE
from reward_agent.records.store import RunStore
from reward_agent.sandbox.child import ProgressTail
from reward_agent.text import hide_credentials, show_hidden
from reward_agent.trackers.registry import TRACKERS, Opener, Tracker
from reward_agent.types import Evaluation

TRACKING_DIR = "tracking"
_MAX_TEXT_BYTES = 16 * 2**20
# Trainings say how far they are many times a second.
_LIVE_S = 5.0


class PlainTracker:
    """A tracker that is told plain names and texts alone, whoever wrote them."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers of one step."""
        named = {clean_name(name): value for name, value in scalars.items()}
        self._tracker.log_scalars(clean_name(group), named, step)

    def log_text(self, name: str, text: str) -> None:
        """Log a text."""
        self._tracker.log_text(clean_name(name), show_hidden(text))

    def log_video(self, name: str, path: Path) -> None:
        """Log a video of the run: what lies there must be a plain file."""
        check_plain(path)
        self._tracker.log_video(clean_name(name), path)

    def close(self) -> None:
        """Write what is still to be written."""
        self._tracker.close()


def clean_name(name: str) -> str:
    """Return a name that every tracker takes, and that leads out of no folder."""
    parts = re.sub(r"[^\w. /-]", "_", name, flags=re.ASCII)[:200].split("/")
    return "/".join(part.strip(". ") or "_" for part in parts)


class RunLog:
    """One run in one tracker.

    What was told is noted beside the tracker's files, so that a resumed run goes on.
    """

    def __init__(self, store: RunStore, folder: Path, tracker: Tracker) -> None:
        self._store, self._tracker = store, PlainTracker(tracker)
        self._note = folder / "told.json"
        self._told: dict[str, int] = {}
        self._tails: dict[Path, ProgressTail] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(read_text(self._note, "{}"))
            self._told = {str(key): int(step) for key, step in known.items()}

    def update(self) -> None:
        """Tell the tracker all that is new in the run's directory."""
        before = dict(self._told)
        for path in sorted(
            self._store.dir.glob(f"iterations/*/candidates/*/training/*/{PROGRESS_FILE}")
        ):
            self._tell_progress(path)
        for entry in read_history(self._store):
            self._tell_candidate(entry)
        self._tell_feedback()
        self._tell_winner()
        if self._told != before:
            write_atomic(self._note, json.dumps(self._told).encode())

    def close(self) -> None:
        """Write what is still to be written."""
        self._tracker.close()

    def _tell_progress(self, path: Path) -> None:
        """Tell the rows that a training has written since; an unfinished one waits."""
        seed_dir = path.parent
        group = f"{seed_dir.parent.parent.name}/{seed_dir.name}"
        tail = self._tails.setdefault(path, ProgressTail(path, skips_known=False))
        while rows := tail.read_rows():
            for row in rows:
                step = int(row.pop("total_timesteps", -1))
                if step > self._told.get(f"progress {group}", -1):
                    named = {_place(name): value for name, value in row.items()}
                    self._tracker.log_scalars(group, named, step)
                    self._told[f"progress {group}"] = step

    def _tell_candidate(self, entry: HistoryEntry) -> None:
        """Tell the trusted scores, the program, what was said of it, and its video."""
        candidate = entry.candidate
        if not self._is_new(f"candidate {candidate.iteration} {candidate.id}"):
            return
        folder = self._store.candidate_dir(candidate.iteration, candidate.id)
        seed = entry.training.seed if entry.training else 0
        for evaluation in entry.curve:
            group = f"{candidate.id}/seed_{seed}"
            self._tracker.log_scalars(group, _list_scores(evaluation), evaluation.total_timesteps)
        if candidate.task_score is not None:
            scores = {"candidate/task_score": candidate.task_score}
            self._tracker.log_scalars("run", scores, candidate.iteration)
        for name in (PROGRAM_FILE, "critique.json", "analysis.json", "summary.md"):
            if (folder / name).is_file():
                text = read_capped(folder / name, _MAX_TEXT_BYTES).decode("utf-8", "replace")
                self._tracker.log_text(f"{candidate.id}/{name}", text)
        videos = self._store.evaluation_dir(candidate.iteration, candidate.id, seed)
        for path in sorted(videos.glob("video.*")):
            self._tracker.log_video(f"{candidate.id}/{path.stem}", path)

    def _tell_feedback(self) -> None:
        """Tell what a person said in a feedback session, as it was recorded."""
        path = self._store.dir / "feedback" / "session.jsonl"
        if not path.is_file():
            return
        lines = read_capped(path, _MAX_TEXT_BYTES).decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines):
            if self._is_new(f"feedback {number}"):
                self._tracker.log_text(f"feedback/{number}", line)

    def _tell_winner(self) -> None:
        run = self._store.read_run()
        winner = run.winner
        if winner is None or not self._is_new(f"winner {winner.candidate} {winner.seed}"):
            return
        totals = {"total_timesteps": float(run.total_timesteps), "wall_s": run.wall_s}
        totals |= {"usd": run.usage.usd} if run.usage.usd is not None else {}
        scores = {"task_score": winner.task_score, "success_rate": winner.success_rate}
        known = {f"winner/{name}": value for name, value in scores.items() if value is not None}
        self._tracker.log_scalars("run", totals | known, len(self._store.list_iterations()))
        self._tracker.log_text("winner", f"{winner.candidate}, seed {winner.seed}")
        if winner.video_file is not None:
            self._tracker.log_video("winner/video", self._store.dir / winner.video_file)

    def _is_new(self, key: str) -> bool:
        """Return whether something was never told, and note that it is told now."""
        is_new = key not in self._told
        self._told[key] = 0
        return is_new


def _place(name: str) -> str:
    """Return a number's place in a tracker: terms lie under ``reward/``, the rest in ``train/``."""
    return name if "/" in name else f"train/{name}"


def _list_scores(evaluation: Evaluation) -> dict[str, float]:
    named = {"task_score": evaluation.task_score, "success_rate": evaluation.success_rate}
    named |= {"episode_length": evaluation.episode_length, **evaluation.parts}
    return {f"task/{name}": value for name, value in named.items() if value is not None}


class TrackedRun:
    """A listener that also feeds trackers; they open when the run has begun.

    A tracker that fails costs its log, not the run: its error is told once, and it is left out.
    """

    def __init__(self, names: Sequence[str], find_store: Callable[[str], RunStore]) -> None:
        self._openers: dict[str, Opener] = {name: TRACKERS.load(name) for name in names}
        self._find_store = find_store
        self._logs: dict[str, RunLog] = {}
        self._updated_at = time.monotonic()

    def listen_with(self, listen: Listener) -> Listener:
        """Return a listener that feeds the trackers after another one was told."""
        if not self._openers:
            return listen

        def both(event: Event) -> None:
            listen(event)
            if isinstance(event, RunStarted):
                self._open(self._find_store(event.run), listen)
            elif event.is_news or time.monotonic() - self._updated_at > _LIVE_S:
                self._updated_at = time.monotonic()
                self._each(RunLog.update, listen)

        return both

    def close(self) -> None:
        """Write what is still to be written."""
        self._each(RunLog.update, ignore)
        self._each(RunLog.close, ignore)

    def _open(self, store: RunStore, listen: Listener) -> None:
        run = store.read_run()
        for name, opener in self._openers.items():
            folder = store.dir / TRACKING_DIR / name
            given = {"env": run.card.name, "task": run.task.name, **run.config}
            settings = {
                clean_name(key): show_hidden(hide_credentials(item))
                if isinstance(item, str)
                else item
                for key, item in given.items()
            }
            try:
                self._logs[name] = RunLog(store, folder, opener(run.id, folder, settings))
            except Exception as error:  # a stranger's package, a server that is away
                listen(Warned(_blame(name, error)))

    def _each(self, act: Callable[[RunLog], object], listen: Listener) -> None:
        for name, log in list(self._logs.items()):
            try:
                act(log)
            except Exception as error:  # a stranger's package, a server that is away
                del self._logs[name]
                listen(Warned(_blame(name, error)))


def _blame(name: str, error: Exception) -> str:
    return f"the tracker {name} is left out: {type(error).__name__}: {error}"
