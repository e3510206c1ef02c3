"""The run directory: typed, atomic, resumable.

    runs/<id>/
      run.json                what was asked, with which settings, versions and sandbox; the winner
      events.jsonl            append-only log of what happened
      replies.sqlite          what a language model was asked, answered and paid: resumed runs and
                              replays answer from it
      report.html, reward.py  derived: the page, the best program so far
      LOCK                    held by the process that works on the run
      iterations/<i>/iteration.json            written last: existing means complete
      iterations/<i>/candidates/<id>/          one program and all that happened to it
        draft.json            the program was accepted or given up; written last of its stage
        reply.md reward.py plan.json check.json critique.json probe.json
        attempts/<n>/         replies that did not become the program
        training/seed_<s>/    folder of the training job
        evaluation/seed_<s>/  folder of the evaluation job, out of the training's reach
        training.json evaluation.json summary.json analysis.json

Files are the truth. A record is written whole or not at all.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from filelock import lock_descriptor
from pydantic import BaseModel, Field, ValidationError

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import TaskSpec
from reward_agent.errors import DataError, RewardAgentError, UnknownNameError, UsageError
from reward_agent.files import write_atomic
from reward_agent.records.events import Event
from reward_agent.records.jobs import PROGRAM_FILE
from reward_agent.records.outcomes import Outcome
from reward_agent.types import (
    Evaluation,
    FileRecord,
    Finding,
    Finite,
    OneLine,
    Record,
    Sha256,
    Usage,
    rank_value,
)

R = TypeVar("R", bound=BaseModel)

# Who asks whether a run is locked holds the lock for a moment: it takes more than one try.
_N_LOCK_TRIES, _LOCK_PAUSE_S = 3, 0.01
MetricOrigin = Literal[
    "task", "file", "proposed: accepted", "proposed: accepted unseen", "proposed: edited", "none"
]


# What was said of its policies; see ``feedback.records``.
SESSION_FILE = "feedback/session.jsonl"


class Attempt(Record):
    """One reply of the Designer that did not become the candidate's program."""

    outcome: Outcome
    program_sha256: Sha256 | None = None
    findings: tuple[Finding, ...] = ()


class DraftRecord(FileRecord):
    """``draft.json``: a candidate before its training, written last.

    ``outcome`` says how it ended; its words are shown to the Designer verbatim.
    """

    id: str
    index: int
    idea: str
    parent: str | None = None
    outcome: Outcome
    attempts: tuple[Attempt, ...] = Field((), description="replies before the last, in order")
    program_sha256: Sha256 | None = None
    is_revised: bool = False
    twin: str | None = Field(
        None, description="earlier candidate that pays the same in every state tried"
    )
    rank_agreement: float | None = Field(
        None, ge=-1, le=1, description="Spearman's rho with the task score on stored episodes"
    )
    usage: Usage = Usage()

    @property
    def is_accepted(self) -> bool:
        """Whether the program may be trained."""
        return self.outcome.kind == "accepted"


class Candidate(DraftRecord):
    """One program and all that happened to it."""

    iteration: int
    started_from: str | None = Field(
        None, description="candidate whose policy its trainings began with; None: a new policy"
    )
    total_timesteps: int = 0
    task_score: Finite | None = None
    evaluation: Evaluation | None = None


def rank_candidates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return those that have a task score, the best first, the earlier one of equals."""
    scored = [candidate for candidate in candidates if candidate.task_score is not None]
    return sorted(scored, key=lambda candidate: -rank_value(candidate.task_score))


class Iteration(FileRecord):
    """One finished round. Its file is written last: existing means complete."""

    index: int
    candidates: tuple[Candidate, ...]
    best: str | None = Field(None, description="best candidate of the run so far, by task_score")
    best_task_score: Finite | None = None
    wall_s: float
    usage: Usage = Usage()

    def rank(self, candidates: Iterable[Candidate]) -> Iteration:
        """Return it with the best of these candidates as the best of the run so far."""
        best = next(iter(rank_candidates(candidates)), None)
        score = best.task_score if best else None
        return self.model_copy(update={"best": best.id if best else None, "best_task_score": score})


class Confirmation(Record):
    """A training of one of the two best programs again, with a fresh seed."""

    candidate: str
    seed: int
    evaluation: Evaluation | None
    outcome: Outcome


class Winner(Record):
    """The program that the run ends with.

    ``task_score`` is the mean over the confirmations: seeds that took no part in the choice of the
    two best. Without confirmations it is the score in the run itself, and ``is_confirmed`` is
    False.
    """

    candidate: str
    iteration: int
    seed: int = Field(description="seed of the policy in policy_file")
    task_score: Finite | None
    task_scores: tuple[Finite, ...] = ()
    success_rate: float | None = None
    is_confirmed: bool
    policy_file: str
    video_file: str | None = None


class RunRecord(FileRecord):
    """``run.json``: what was asked, with what, and how it ended."""

    id: str
    created: str
    status: Literal["running", "finished", "interrupted", "failed"]
    note: OneLine = ""
    card: EnvCard
    task: TaskSpec
    metric_origin: MetricOrigin
    config: dict[str, Any]
    config_sources: dict[str, str]
    designer: str = Field(description="provider and model, or 'offline: …', 'scripted: …'")
    sandbox_level: str = Field(description="the weakest that its children had")
    versions: dict[str, str]
    usage: Usage = Usage()
    limit: OneLine = Field("", description="the limit of money that ended it early")
    total_timesteps: int = 0
    wall_s: float = 0.0
    slot_seconds: dict[str, float] = Field(
        default_factory=dict, description="where slots times wall time went, by activity"
    )
    confirmations: tuple[Confirmation, ...] = ()
    winner: Winner | None = None


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, and make it durable.

    Raises:
        RewardAgentError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise RewardAgentError(
            f"cannot write {path}: {error.strerror}",
            "free disk space or correct the permissions, then resume the run",
        ) from error


def write_record(path: Path, record: BaseModel) -> None:
    """Write a record as JSON, atomically."""
    write_text(path, record.model_dump_json(indent=2) + "\n")


def read_record(path: Path, kind: type[R]) -> R:
    """Read a record.

    Raises:
        DataError: the file is missing or does not hold such a record.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing", _find_remedy(path)) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", "correct its permissions"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",):
            raise DataError(
                f"{path} has the form of version {first['input']!r}, this program reads version 1",
                "use the version of reward-agent that wrote it",
            ) from error
        place = "".join(f"{part}: " for part in first["loc"])
        raise DataError(
            f"{path} is no {kind.__name__}: {place}{first['msg']}", _find_remedy(path)
        ) from error


def _find_remedy(path: Path) -> str:
    """Say what to do about a file of a run that is lost or spoilt."""
    parts = path.parts
    if "iterations" not in parts[:-2]:
        return "restore the file, or use the version of reward-agent that wrote it"
    end = len(parts) - parts[::-1].index("iterations") + 1
    return f"restore it, or remove {Path(*parts[:end])} and resume: the round is run again"


class RunStore:
    """One run directory."""

    def __init__(self, run_dir: Path) -> None:
        self.dir = run_dir

    @property
    def resume_command(self) -> str:
        """What to type to take the run up again."""
        is_usual = self.dir.parent == find_runs_dir()
        return f"reward-agent design --resume {self.dir.name if is_usual else self.dir}"

    # --- the run ---

    def read_run(self) -> RunRecord:
        """Read ``run.json``; a run whose process is gone was interrupted."""
        run = read_record(self.dir / "run.json", RunRecord)
        if run.status != "running" or self.is_locked():
            return run
        return _describe_lost(run)

    def note_lost(self) -> None:
        """Note that the process that worked on the run is gone, as the lock's holder knows."""
        path = self.dir / "run.json"
        if path.is_file() and (run := read_record(path, RunRecord)).status == "running":
            self.write_run(_describe_lost(run))

    def write_run(self, run: RunRecord) -> None:
        """Write ``run.json``."""
        write_record(self.dir / "run.json", run)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; the lock dies with the process.

        Raises:
            UsageError: another process works on the run.
        """
        try:
            self.dir.mkdir(parents=True, exist_ok=True)
            lock_file = (self.dir / "LOCK").open("w")
        except OSError as error:
            raise RewardAgentError(
                f"the folder {self.dir} cannot be written: {error.strerror}",
                "give a folder that you may write to: --runs-dir, or --output of a sweep",
            ) from error
        with lock_file as file:
            if not _take_lock(file):
                raise UsageError(
                    f"another process works on run {self.dir.name}", "wait for it, or stop it"
                )
            yield

    def is_locked(self) -> bool:
        """Whether a process works on the run."""
        path = self.dir / "LOCK"
        try:
            # Over NFS what is locked has to be open for writing; another's run cannot be.
            with path.open("r+" if os.access(path, os.W_OK) else "r") as file:
                return not _take_lock(file)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def name_file(self, path: Path) -> str:
        """Return a file's name within the run."""
        return path.relative_to(self.dir).as_posix()

    def append_event(self, event: Event) -> None:
        """Append one line to ``events.jsonl``, durably."""
        line = json.dumps({"time": now_utc(), **event.to_dict()})
        with (self.dir / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    # --- iterations and candidates ---

    def iteration_dir(self, index: int) -> Path:
        """Folder of one iteration."""
        return self.dir / "iterations" / str(index)

    def candidate_dir(self, iteration: int, candidate_id: str) -> Path:
        """Folder of one candidate."""
        return self.iteration_dir(iteration) / "candidates" / candidate_id

    def draft_dir(self, iteration: int, index: int) -> Path:
        """Folder of a candidate that has no id yet."""
        return self.iteration_dir(iteration) / "drafts" / str(index)

    def training_dir(self, iteration: int, candidate_id: str, seed: int) -> Path:
        """Folder of one training job."""
        return self.candidate_dir(iteration, candidate_id) / "training" / f"seed_{seed}"

    def evaluation_dir(self, iteration: int, candidate_id: str, seed: int) -> Path:
        """Folder of the evaluation jobs of one training."""
        return self.candidate_dir(iteration, candidate_id) / "evaluation" / f"seed_{seed}"

    def list_iterations(self) -> list[int]:
        """Return the indices of the complete iterations."""
        found = (self.dir / "iterations").glob("*/iteration.json")
        return sorted(int(path.parent.name) for path in found if path.parent.name.isdecimal())

    def list_session_rounds(self) -> set[int]:
        """Return the indices of the iterations that a feedback session began."""
        path = self.dir / SESSION_FILE
        # What follows the last line's end was cut off by a crash, and never took effect.
        lines = path.read_text("utf-8", "replace").split("\n")[:-1] if path.is_file() else []
        try:
            entries = [json.loads(line) for line in lines if '"round_started"' in line]
        except ValueError as error:
            raise DataError(f"{path}: {error}", "restore the line, or remove it") from error
        return {entry["iteration"] for entry in entries if entry["kind"] == "round_started"}

    def read_iteration(self, index: int) -> Iteration:
        """Read a complete iteration."""
        return read_record(self.iteration_dir(index) / "iteration.json", Iteration)

    def write_iteration(self, iteration: Iteration) -> None:
        """Commit an iteration."""
        write_record(self.iteration_dir(iteration.index) / "iteration.json", iteration)

    def reopen_iteration(self, index: int, candidates: Iterable[str]) -> None:
        """Make a complete iteration incomplete again, without some of its candidates."""
        (self.iteration_dir(index) / "iteration.json").unlink(missing_ok=True)
        for candidate_id in candidates:
            shutil.rmtree(self.candidate_dir(index, candidate_id), ignore_errors=True)

    def list_candidates(self, iteration: int) -> list[Path]:
        """Return the candidates' folders of an iteration, complete or not."""
        return sorted((self.iteration_dir(iteration) / "candidates").glob("*/"))

    def read_candidate(self, iteration: int, candidate_id: str) -> Candidate:
        """Read a candidate of a complete iteration."""
        return next(c for c in self.read_iteration(iteration).candidates if c.id == candidate_id)

    def list_finished(self) -> list[Candidate]:
        """Return every candidate of the complete iterations, oldest first."""
        return [
            candidate
            for index in self.list_iterations()
            for candidate in self.read_iteration(index).candidates
        ]

    def read_program(self, iteration: int, candidate_id: str) -> str:
        """Read a candidate's program text; empty if it has none."""
        path = self.candidate_dir(iteration, candidate_id) / PROGRAM_FILE
        return path.read_text("utf-8") if path.is_file() else ""

    def adopt_draft(self, iteration: int, index: int, candidate_id: str) -> Path:
        """Move a finished draft to its place among the candidates."""
        target = self.candidate_dir(iteration, candidate_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.draft_dir(iteration, index).replace(target)
        return target

    def clear_drafts(self, iteration: int) -> None:
        """Remove drafts that an interrupted process left behind."""
        shutil.rmtree(self.iteration_dir(iteration) / "drafts", ignore_errors=True)


def _describe_lost(run: RunRecord) -> RunRecord:
    return run.model_copy(update={"status": "interrupted", "note": "its process ended"})


def _take_lock(file: IO[str]) -> bool:
    """Take the lock of an open file until it is closed; return whether no other process has it."""
    for _ in range(_N_LOCK_TRIES):
        try:
            if lock_descriptor(file.fileno(), blocking=False):
                return True
        except OSError:
            return False
        time.sleep(_LOCK_PAUSE_S)
    return False


def now_utc() -> str:
    """Return the current time as UTC ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def make_run_id(env: str, task: str) -> str:
    """Name a run after its time, environment and task."""
    moment = now_utc().replace(":", "-")
    return f"{moment}_{_slug(env)}_{_slug(task)}"


def name_new_run(runs_dir: Path, env: str, task: str) -> Path:
    """Return a folder that is not there yet: two runs may begin in the same second."""
    name = make_run_id(env, task)
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(runs_dir / name for name in names if not (runs_dir / name).exists())


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "task"


def list_runs(runs_dir: Path) -> list[RunStore]:
    """Return the runs in a folder, newest last."""
    return [RunStore(path.parent) for path in sorted(runs_dir.glob("*/run.json"))]


def load_run(name: str, runs_dir: Path | None = None) -> RunStore:
    """Open a run by path, by id, by the start of its id, or ``last``.

    Raises:
        UnknownNameError: there is none, or several begin so.
    """
    runs_dir = find_runs_dir(runs_dir)
    if (Path(name) / "run.json").is_file():
        return RunStore(Path(name).resolve())
    runs = list_runs(runs_dir)
    if name == "last" and runs:
        return runs[-1]
    matches = [run for run in runs if run.dir.name == name]
    matches = matches or [run for run in runs if run.dir.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    remedy = (
        "name one run whole" if matches else f"`reward-agent runs list` shows those in {runs_dir}"
    )
    raise UnknownNameError("run", name, [run.dir.name for run in runs], remedy)
