"""The run directory: typed, atomic, resumable.

    runs/<id>/
      run.json                what was asked, with which settings, versions and sandbox; the winner
      events.jsonl            append-only log of what happened
      replies.sqlite          what a language model was asked, answered and paid: resumed runs and
                              replays answer from it
      report.html, reward.py  derived: the page, the best program so far
      LOCK                    held by the process that works on the run
      given/<n>/              a person's reward that the run starts from: reward.py, original.txt
      behaviours/             folder of a job: what the robot does without a policy
      baselines/<name>/       what the result is held against: film of the robot untrained,
                              training/ and evaluation/ of Gymnasium's own reward
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
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from statistics import fmean
from typing import IO, Annotated, Any, Literal

from filelock import lock_descriptor
from pydantic import AfterValidator, Field

from reward_agent.definitions.card import EnvCard
from reward_agent.definitions.paths import find_envs_dir, find_runs_dir
from reward_agent.definitions.task import TaskSpec
from reward_agent.errors import DataError, RewardAgentError, UnknownNameError, UsageError
from reward_agent.files import (
    MAX_RECORD_BYTES,
    append_line,
    guard,
    list_names,
    make_folder,
    move,
    open_plain,
    read_text,
    remove,
)
from reward_agent.records.disk import read_optional, read_record, write_record
from reward_agent.records.drafting_jobs import ParityRow
from reward_agent.records.events import Event
from reward_agent.records.job import PROGRAM_FILE
from reward_agent.records.layers import hide_in_settings, render_option
from reward_agent.records.outcomes import Outcome
from reward_agent.records.settings import list_settings
from reward_agent.text import count, hide_credentials
from reward_agent.types import (
    MOST_TERMS,
    Evaluation,
    FileName,
    FileRecord,
    FilmPath,
    Finding,
    Finite,
    OneLine,
    Record,
    RunPath,
    Sha256,
    TermName,
    Usage,
    rank_value,
)

# Who asks whether a run is locked holds the lock for a moment: it takes more than one try.
_N_LOCK_TRIES, _LOCK_PAUSE_S = 3, 0.01
_MAX_LOCK_BYTES = 64
# The runs that this process holds: it need not ask the file, and wait for itself.
_HELD: set[Path] = set()
MetricOrigin = Literal[
    "task", "file", "proposed: accepted", "proposed: accepted unseen", "proposed: edited", "none"
]


_WEAK = (("sandbox", "any"), ("sandbox", "off"), ("trust_config", True), ("trust_config", False))
# What makes a folder a run, and what a diagnosis of a reward (``run.diagnose``).
RUN_FILE, DIAGNOSIS_FILE = "run.json", "diagnosis.json"
DIAGNOSIS_PAGE = "diagnosis.html"
# What was said of its policies; see ``feedback.records``.
SESSION_FILE = "feedback/session.jsonl"


class Attempt(Record):
    """One reply of the Designer that did not become the candidate's program."""

    outcome: Outcome
    program_sha256: Sha256 | None = None
    findings: tuple[Finding, ...] = ()


class DraftRecord(FileRecord):
    """``draft.json``: a candidate before its training, written last.

    ``id`` is its name and its folder's, of its idea and its round; in earlier runs it is the
    beginning of its program's digest. ``outcome`` says how it ended; its words are shown to the
    Designer verbatim.
    """

    id: FileName
    index: int
    idea: str
    parent: FileName | None = None
    origin: OneLine = Field(
        "", description="file of the person whose program it is; '' if a designer wrote it"
    )
    outcome: Outcome
    attempts: tuple[Attempt, ...] = Field((), description="replies before the last, in order")
    program_sha256: Sha256 | None = None
    is_revised: bool = False
    twin: FileName | None = Field(
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
    started_from: FileName | None = Field(
        None, description="candidate whose policy its trainings began with; None: a new policy"
    )
    total_timesteps: int = 0
    task_score: Finite | None = None
    evaluation: Evaluation | None = None
    held_from: int | None = Field(
        None, ge=0, description="env steps from which on its training's policies hold that score"
    )
    is_done: bool = Field(
        False, description="it is past the target of a task with an end, with every episode"
    )
    is_confirmed: bool | None = Field(
        None, description="whether it is so with fresh seeds, too; None: nobody tried"
    )
    fresh_scores: tuple[Finite, ...] = Field(
        (), description="of trainings with fresh seeds, known before the run ended"
    )

    @property
    def mean_score(self) -> float | None:
        """Its task score over all seeds that are known, by which it races; None without one."""
        return None if self.task_score is None else fmean((self.task_score, *self.fresh_scores))

    @property
    def rank(self) -> tuple[float, ...]:
        """What to rank it by: its mean score, then who held it soonest; once done, trust."""
        score = rank_value(self.mean_score)
        held_from = inf if self.held_from is None else float(self.held_from)
        if not self.is_done and not self.is_confirmed:
            return 1, -score, held_from, -len(self.fresh_scores)
        return 0, {True: 0, None: 1, False: 2}[self.is_confirmed], held_from, -score


def rank_candidates(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return those that have a task score, the best first, the earlier one of equals."""
    return sorted((c for c in candidates if c.task_score is not None), key=lambda c: c.rank)


class Iteration(FileRecord):
    """One finished round. Its file is written last: existing means complete."""

    index: int
    candidates: tuple[Candidate, ...]
    best: FileName | None = Field(None, description="candidate of the run so far, by task_score")
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

    candidate: FileName
    seed: int
    evaluation: Evaluation | None
    outcome: Outcome
    total_timesteps: int | None = Field(None, ge=0, description="None: those of a whole training")


class Robustness(Record):
    """How a policy does from the same starts, with its model's physics and with others."""

    own: Evaluation
    randomised: Evaluation


class HandedPolicy(Record):
    """The policy that the run ends with: the best that was trained in it, by whatever program."""

    candidate: FileName = Field(description="whose program it was trained with")
    iteration: int
    seed: int
    evaluation: Evaluation = Field(description="of episodes by which nothing was chosen")

    def describe(self, unit: str) -> str:
        """Say whose it is and what it does, in a line."""
        own = self.evaluation
        score = "no score" if own.task_score is None else f"{own.task_score:.3g} {unit}".strip()
        rate = "" if own.success_rate is None else f", {own.success_rate:.0%} successes"
        return (
            f"of {self.candidate} with seed {self.seed}, kept after {own.total_timesteps:,} env "
            f"steps: {score}{rate} in {own.n_episodes} episodes by which nothing was chosen"
        )


class Winner(Record):
    """What the run ends with: a program and, of all that were trained, a policy.

    ``task_score`` is the program's: the mean over the confirmations, seeds that took no part in the
    choice of the two best. Without confirmations it is the score in the run itself, and
    ``is_confirmed`` is False. ``policy`` has figures of its own.
    """

    candidate: FileName
    iteration: int
    seed: int = Field(description="seed of the policy in policy_file")
    policy: HandedPolicy | None = Field(
        None, description="whose policy_file is; None: the program's best one, by its own score"
    )
    task_score: Finite | None
    task_scores: tuple[Finite, ...] = ()
    success_rate: float | None = None
    is_confirmed: bool
    policy_file: RunPath
    robustness: Robustness | None = Field(
        None, description="of that policy, where the card randomises physics"
    )
    video_file: FilmPath | None = None

    @property
    def score_name(self) -> str:
        """What its task score is called: trainings anew, or the one by which it was chosen."""
        return "fresh-seed score" if self.is_confirmed else "search score"


class Saving(Record):
    """What a run that knew that it was done did without: estimates, by what it had spent."""

    rounds: int = Field(ge=1)
    programs: int = Field(ge=0)
    env_steps: int = Field(ge=0)
    wall_s: float = Field(ge=0, description="of computing, replies of a model apart")
    n_calls: int = Field(ge=0)

    def __str__(self) -> str:
        minutes = round(self.wall_s / 60) if self.wall_s >= 60 else 0
        parts = [count(self.programs, "program"), f"{self.env_steps:,} env steps"]
        parts += [f"{count(minutes, 'minute')} of computing"] if minutes else []
        parts += [f"{count(self.n_calls, 'call')} of the model"] if self.n_calls else []
        return f"saved about {', '.join(parts)}"


class GivenReward(Record):
    """A person's reward that a run starts from; its text lies in the run's ``given/``."""

    file: OneLine = Field(description="name of the person's file")
    program_sha256: Sha256
    form: Literal["as it is", "arrays", "rows"] = Field(
        "as it is", description="how it runs: rewritten to arrays, or row by row, which is slow"
    )
    terms: dict[OneLine, TermName] = Field(
        default_factory=dict, max_length=MOST_TERMS, description="the person's name: the program's"
    )
    parity: tuple[ParityRow, ...] = Field((), max_length=100)
    notes: tuple[OneLine, ...] = Field((), max_length=50, description="what was assumed")


class RunRecord(FileRecord):
    """``run.json``: what was asked, with what, and how it ended."""

    id: FileName
    created: str
    status: Literal["running", "finished", "paused", "interrupted", "failed"]
    note: OneLine = ""
    card: EnvCard
    task: TaskSpec
    metric_origin: MetricOrigin
    given: tuple[GivenReward, ...] = Field((), description="rewards of people it starts from")
    is_unranked: bool = Field(False, description="whether it does without a metric, on purpose")
    config: Annotated[dict[str, Any], AfterValidator(hide_in_settings)]
    config_sources: dict[str, str]
    designer: Annotated[str, AfterValidator(hide_credentials)] = Field(
        description="provider and model, or 'offline: …', 'scripted: …'"
    )
    sandbox_level: str = Field(description="the weakest that its children had")
    versions: dict[str, str]
    usage: Usage = Usage()
    limit: OneLine = Field("", description="the limit of money that ended it early")
    total_timesteps: int = 0
    other_timesteps: int = Field(
        0, ge=0, description="of it, what no candidate, confirmation or trial is there for any more"
    )
    wall_s: float = 0.0
    slot_seconds: dict[str, float] = Field(
        default_factory=dict, description="where slots times wall time went, by activity"
    )
    confirmations: tuple[Confirmation, ...] = ()
    winner: Winner | None = None
    saving: Saving | None = Field(None, description="of a run that ended before its budget")

    def list_fresh(self, candidate: str) -> tuple[Evaluation | None, ...]:
        """Return the evaluations of a program's confirming trainings, by seed; None: it failed."""
        own = [item for item in self.confirmations if item.candidate == candidate]
        return tuple(item.evaluation for item in sorted(own, key=lambda item: item.seed))


class RunStore:
    """One run directory."""

    def __init__(self, run_dir: Path) -> None:
        self.dir = guard(run_dir)

    @property
    def resume_command(self) -> str:
        """What to type to take the run up again, with what its directory does not decide.

        But for a weaker isolation: that is for the person to say anew.
        """
        place = self.dir.name if self.dir.parent == find_runs_dir() else str(self.dir)
        words = [f"reward-agent design --resume {shlex.quote(place)}"]
        run = read_optional(self.dir / RUN_FILE, RunRecord)
        if run is None:
            return words[0]
        if run.card.folder and Path(run.card.folder).parent != find_envs_dir():
            words.append(f"--env {shlex.quote(run.card.folder)}")
        for name in list_settings(is_personal=True):
            value = run.config.get(name)
            is_said = run.config_sources.get(name, "").startswith(("command line", "run "))
            if is_said and value is not None and (name, value) not in _WEAK:
                words.append(render_option(name, value))
        return " ".join(words)

    @property
    def feedback_command(self) -> str:
        """What to type to give feedback on the run, its metric among it."""
        return self.resume_command.replace("design --resume", "feedback", 1)

    # --- the run ---

    def read_run(self) -> RunRecord:
        """Read ``run.json``; a run whose process is gone was interrupted."""
        run = read_record(self.dir / RUN_FILE, RunRecord)
        if run.status != "running" or self.is_locked():
            return run
        # It may have ended since the record was read.
        run = read_record(self.dir / "run.json", RunRecord)
        return run if run.status != "running" else _describe_lost(run)

    def note_lost(self) -> None:
        """Note that the process that worked on the run is gone, as the lock's holder knows."""
        path = self.dir / RUN_FILE
        if path.is_file() and (run := read_record(path, RunRecord)).status == "running":
            self.write_run(_describe_lost(run))

    def write_run(self, run: RunRecord) -> None:
        """Write ``run.json``."""
        write_record(self.dir / RUN_FILE, run)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; the lock dies with the process.

        Raises:
            UsageError: another process works on the run.
        """
        try:
            descriptor = open_plain(self.dir / "LOCK", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise RewardAgentError(
                f"the folder {self.dir} cannot be written: {error.strerror}",
                "give a folder that you may write to: --runs-dir, or --output of a sweep",
            ) from error
        with os.fdopen(descriptor, "r+") as file:
            if not _take_lock(file):
                raise UsageError(
                    f"another process works on run {self.dir.name}", "wait for it, or stop it"
                )
            file.truncate(0)
            file.write(f"{os.getpid()}")
            file.flush()
            _HELD.add(self.dir)
            try:
                yield
            finally:
                _HELD.discard(self.dir)

    def is_locked(self) -> bool:
        """Whether a process works on the run."""
        if self.dir in _HELD:
            return True
        path = self.dir / "LOCK"
        try:
            # Over NFS what is locked has to be open for writing; another's run cannot be.
            flags = os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY
            with os.fdopen(open_plain(path, flags), "r") as file:
                return not _take_lock(file)
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def find_holder(self) -> int | None:
        """Return the process of this machine that works on the run; None where it is not known."""
        text = read_text(self.dir / "LOCK", "", _MAX_LOCK_BYTES)
        if not text.isdecimal() or not self.is_locked():
            return None
        if not Path("/proc").is_dir():
            return int(text)
        # What the file says is a hint: who holds it has it open.
        lock = str((self.dir / "LOCK").resolve())
        opened = Path("/proc", text, "fd")
        with suppress(OSError):
            links = {os.path.realpath(opened / name) for name in os.listdir(opened)}
            return int(text) if lock in links else None
        return None

    def given_dir(self, number: int) -> Path:
        """Folder of a person's reward that the run starts from."""
        return self.dir / "given" / str(number)

    @property
    def untrained_dir(self) -> Path:
        """Folder of the film of the robot untrained."""
        return self.dir / "baselines" / "untrained"

    @property
    def own_reward_dir(self) -> Path:
        """Folder of the training with Gymnasium's own reward."""
        return self.dir / "baselines" / "own_reward"

    def name_file(self, path: Path) -> str:
        """Return a file's name within the run."""
        return path.relative_to(self.dir).as_posix()

    def append_event(self, event: Event) -> None:
        """Append one line to ``events.jsonl``, durably."""
        line = json.dumps({"time": now_utc(), **event.to_dict()})
        append_line(self.dir / "events.jsonl", line)

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
        rounds = self.list_rounds()
        return [i for i in rounds if (self.iteration_dir(i) / "iteration.json").is_file()]

    def list_rounds(self) -> list[int]:
        """Return the indices of the iterations, complete or not."""
        names = list_names(self.dir / "iterations")
        return sorted(int(name) for name in names if re.fullmatch("[0-9]{1,6}", name))

    def list_session_rounds(self) -> set[int]:
        """Return the indices of the iterations that a feedback session began."""
        path = self.dir / SESSION_FILE
        # What follows the last line's end was cut off by a crash, and never took effect.
        lines = read_text(path, "", MAX_RECORD_BYTES).split("\n")[:-1]
        try:
            entries = [json.loads(line) for line in lines if '"round_started"' in line]
            return {entry["iteration"] for entry in entries if entry["kind"] == "round_started"}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(f"{path}: {error!r}", "restore the line, or remove it") from error

    def read_iteration(self, index: int) -> Iteration:
        """Read a complete iteration."""
        return read_record(self.iteration_dir(index) / "iteration.json", Iteration)

    def write_iteration(self, iteration: Iteration) -> None:
        """Commit an iteration."""
        write_record(self.iteration_dir(iteration.index) / "iteration.json", iteration)

    def reopen_iteration(self, index: int, candidates: Iterable[str]) -> None:
        """Make a complete iteration incomplete again, without some of its candidates."""
        remove(self.iteration_dir(index) / "iteration.json")
        for candidate_id in candidates:
            remove(self.candidate_dir(index, candidate_id))

    def list_candidates(self) -> list[tuple[int, Path]]:
        """Return round and folder of every candidate, of rounds that are not complete, too."""
        return [
            (index, self.candidate_dir(index, name))
            for index in self.list_rounds()
            for name in list_names(self.iteration_dir(index) / "candidates")
        ]

    def read_candidate(self, iteration: int, candidate_id: str) -> Candidate:
        """Read a candidate of a complete iteration."""
        for candidate in self.read_iteration(iteration).candidates:
            if candidate.id == candidate_id:
                return candidate
        raise DataError(f"round {iteration + 1} has no candidate {candidate_id}", "name another")

    def list_finished(self) -> list[Candidate]:
        """Return every candidate of the complete iterations, oldest first."""
        return [
            candidate
            for index in self.list_iterations()
            for candidate in self.read_iteration(index).candidates
        ]

    def read_program(self, iteration: int, candidate_id: str) -> str:
        """Read a candidate's program text; empty if it has none."""
        return read_text(self.candidate_dir(iteration, candidate_id) / PROGRAM_FILE, "")

    def adopt_draft(self, iteration: int, index: int, candidate_id: str) -> Path:
        """Move a finished draft to its place among the candidates."""
        target = self.candidate_dir(iteration, candidate_id)
        move(self.draft_dir(iteration, index), target)
        return target

    def clear_drafts(self, iteration: int) -> None:
        """Remove drafts that an interrupted process left behind."""
        remove(self.iteration_dir(iteration) / "drafts")


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
    return f"{_stamp()}_{_slug(env)}_{_slug(task)}"


def _stamp() -> str:
    return now_utc().replace(":", "-")


def name_candidate(idea: str, iteration: int, n_before: int = 0) -> str:
    """Name a candidate so that people can say it: ``weighted-sum-1``, the next one ``-1b``.

    Args:
        idea: what its Designer was asked for.
        iteration: its round, from 0.
        n_before: how many of the round were asked for the same.
    """
    letter = "" if n_before == 0 else chr(ord("a") + n_before) if n_before < 26 else f"-{n_before}"
    return f"{_slug(idea)}-{iteration + 1}{letter}"


def find_candidate(name: str, known: Iterable[str]) -> str:
    """Return the candidate of this name, or the only one whose name begins so.

    Raises:
        UnknownNameError: there is none, or several begin so.
    """
    names = list(dict.fromkeys(known))
    wanted = "-".join(name.split())
    matches = [item for item in names if item == wanted]
    matches = matches or [item for item in names if wanted and item.startswith(wanted)]
    if len(matches) != 1:
        raise UnknownNameError("candidate", name, names)
    return matches[0]


def make_run_dir(
    runs_dir: Path, env: str, task: str, name: str | None = None, ending: str = ""
) -> Path:
    """Make the folder of a new run; runs that begin in the same second have one each.

    Args:
        runs_dir: where runs lie.
        env: name of the environment.
        task: name of the task.
        name: what a person calls the run, in place of environment and task; see
            ``check_run_name``.
        ending: what else its name ends with, such as ``_train``.
    """
    make_folder(runs_dir)
    whole = (make_run_id(env, task) if name is None else f"{_stamp()}_{name}") + ending
    for number in itertools.count(1):
        folder = runs_dir / (whole if number == 1 else f"{whole}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("numbers do not end")


def check_run_name(name: str, runs_dir: Path) -> None:
    """Refuse what a new run cannot be called.

    Raises:
        UsageError: it is no name, or that of another run.
    """
    remedy = "letters, digits, '.', '_' and '-', beginning with a letter; 40 at most, not 'last'"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._-]{0,39}", name) or name == "last":
        raise UsageError(f"a run cannot be called {name[:80]!r}", remedy)
    if taken := _list_called(name, list_kept(runs_dir, (RUN_FILE,))):
        raise UsageError(
            f"there is a run {name!r}: {taken[0].name}",
            f"give another --name, or take that one up: design --resume {name}",
        )


def _list_called(name: str, folders: Iterable[Path]) -> list[Path]:
    """Return the runs that a person called so, or whose environment and task make that name."""
    return [folder for folder in folders if folder.name.partition("_")[2] == name]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "task"


def list_runs(runs_dir: Path) -> list[RunStore]:
    """Return the runs in a folder, newest last."""
    return [RunStore(path) for path in list_kept(runs_dir, (RUN_FILE,))]


def list_kept(runs_dir: Path, files: Sequence[str] = (RUN_FILE, DIAGNOSIS_FILE)) -> list[Path]:
    """Return the folders of runs and diagnoses, or of what has one of these files, newest last."""
    return sorted({path.parent for name in files for path in runs_dir.glob(f"*/{name}")})


def load_run(name: str, runs_dir: Path | None = None) -> RunStore:
    """Open a run by path, by id, by its name, by the start of its id, or ``last``.

    Raises:
        UnknownNameError: there is none, or several begin so.
        UsageError: what is so called is a diagnosis.
    """
    try:
        return RunStore(find_kept(name, runs_dir, (RUN_FILE,)))
    except UnknownNameError:
        with suppress(UnknownNameError):
            folder = find_kept(name, runs_dir, (DIAGNOSIS_FILE,))
            shown = f"`reward-agent runs show {shlex.quote(name)}` shows it"
            raise UsageError(f"{folder.name} is a diagnosis, no run", shown) from None
        raise


def find_kept(
    name: str, runs_dir: Path | None = None, files: Sequence[str] = (RUN_FILE, DIAGNOSIS_FILE)
) -> Path:
    """Return the folder of a run or diagnosis, as :func:`load_run` names one.

    Raises:
        UnknownNameError: there is none, or several begin so.
    """
    runs_dir = find_runs_dir(runs_dir)
    if any(os.path.isfile(os.path.join(name, file)) for file in files):
        return guard(Path(name).resolve())
    folders = list_kept(runs_dir, files)
    if name == "last" and folders:
        return folders[-1]
    matches = [folder for folder in folders if folder.name == name] or _list_called(name, folders)
    matches = matches or [folder for folder in folders if folder.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    remedy = (
        "name one run whole" if matches else f"`reward-agent runs list` shows those in {runs_dir}"
    )
    raise UnknownNameError("run", name, [folder.name for folder in folders], remedy)
