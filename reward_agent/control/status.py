"""Status: how far a run is, as little data as a script or a coding agent needs to act on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from reward_agent.errors import UsageError
from reward_agent.feedback.metric import load_metric_view
from reward_agent.files import read_capped, write_atomic
from reward_agent.llm.manual import AGENT_FOLDER, Sheet, list_waiting
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import Candidate, RunRecord, RunStore, rank_candidates
from reward_agent.records.trial import TrialRow, read_trial
from reward_agent.run.estimate import count_steps
from reward_agent.text import shorten_data
from reward_agent.types import FileRecord, Finding, Finite, Record

EVENTS_FILE = "events.jsonl"
_MOST_AT_WORK = 100
# What is read again and again is short, whatever others wrote.
Short = Annotated[str, AfterValidator(shorten_data)]
# A long run has some thousand lines of a few hundred bytes.
_MAX_EVENTS_BYTES = 64 * 2**20
Answer = Literal["accept", "keep", "own", "unranked"]


class TriedBehaviour(Record):
    """What the metric in question says of a behaviour that nobody trained."""

    behaviour: Short
    score: Finite | None
    success_rate: Finite


class MetricQuestion(Record):
    """What a run waits for: by which metric it is judged."""

    reason: Short
    answers: tuple[Answer, ...]
    meaning: Short = Field("", description="of the metric that was proposed")
    criterion: Short = ""
    unit: Short = ""
    not_measured: tuple[str, ...] = Field((), description="words of the sentence it leaves out")
    findings: tuple[Finding, ...] = Field((), description="what its trial found, to be looked at")
    behaviours: tuple[TriedBehaviour, ...] = Field((), description="what it says of cheap ones")
    program: str = Field("", description="text of the metric that was proposed")


class ModelRequest(Record):
    """What a run asks of the agent that is its model (``--provider agent``)."""

    number: int
    asks_for: str = Field(description="whose request, and which: designer-first, …")
    prompt_file: str
    reply_file: str = Field(description="where the reply is awaited")
    picture_file: str | None = Field(None, description="the picture that it is about")


class AskedRequest(ModelRequest):
    """A request with its prompt."""

    run: str
    prompt: str


class Result(Record):
    """A candidate and what is known of its score."""

    candidate: str
    iteration: int = Field(description="its round, from 0")
    score: Finite | None
    of_seeds: tuple[Finite, ...] = Field((), description="with fresh seeds, one each")
    success_rate: Finite | None = None
    unit: Short
    outcome: Short = ""
    env_steps: int | None = None


class RunEvent(Record):
    """A line of a run's log: when, of which kind, and the facts of that kind."""

    model_config = ConfigDict(extra="allow")

    time: str = Field("", description="UTC, ISO 8601")
    kind: str = ""


class RunStatus(FileRecord):
    """How far a run is."""

    id: str
    folder: str
    status: Literal["running", "finished", "paused", "interrupted", "failed"]
    reason: Short = Field("", description="why it is not running, or ended before its last round")
    env: Short
    task: Short
    designer: Short = Field(description="who writes the programs: provider and model, or how else")
    round: int = Field(description="the one in progress or the last, from 1; 0: none has begun")
    rounds: int = Field(description="as many were asked for")
    at_work: tuple[str, ...] = Field((), description="candidates that are in training")
    outcomes: dict[str, int] = Field({}, description="of finished candidates: how many ended so")
    best: Result | None = Field(None, description="by the search, of finished rounds")
    winner: Result | None = Field(None, description="of a run that is over")
    target_score: Finite | None = Field(None, description="score that counts as done")
    env_steps: int
    calls: int
    usd: Finite | None
    wall_s: Finite
    left_s: Finite | None = Field(None, description="if it goes on to its last round; a guess")
    question: MetricQuestion | None = None
    requests: tuple[ModelRequest, ...] = Field(
        (), description="of the agent that is the model: what it has not answered"
    )
    candidates: tuple[Result, ...] = Field((), description="of finished rounds; in `runs show`")
    last_event: RunEvent | None = None
    resume: str = Field("", description="the command that goes on with it")


def read_status(store: RunStore, *, has_candidates: bool = False) -> RunStatus:
    """Return how far a run is, by what its folder holds; every candidate's end if asked for."""
    run, events = store.read_run(), read_events(store)
    finished = store.list_finished()
    best = next(iter(rank_candidates(finished)), None)
    progress = _Progress.follow(events)
    settings = RunSettings.model_validate(run.config)
    target = settings.target_score
    n_steps = max(run.total_timesteps, progress.env_steps)
    is_running = run.status == "running"
    return RunStatus(
        id=run.id,
        folder=str(store.dir),
        status=run.status,
        reason="" if is_running else run.note or run.limit,
        env=run.card.name,
        task=run.task.description,
        designer=run.designer,
        round=len(store.list_rounds()),
        rounds=settings.iterations,
        at_work=tuple(sorted(progress.at_work)[:_MOST_AT_WORK]) if is_running else (),
        outcomes=dict(Counter(item.outcome.kind for item in finished)),
        best=_describe(best, run) if best else None,
        winner=_describe_winner(run),
        target_score=run.task.target_score if target is None else target,
        env_steps=n_steps,
        calls=run.usage.n_calls,
        usd=run.usage.usd,
        wall_s=run.wall_s,
        left_s=progress.guess_seconds(count_steps(settings, run.card)[0] - n_steps)
        if is_running
        else None,
        question=_find_question(store, run),
        requests=list_requests(store, run),
        candidates=tuple(_describe(item, run) for item in finished) if has_candidates else (),
        last_event=RunEvent(**events[-1]) if events else None,
        resume="" if run.status in ("running", "finished") else store.resume_command,
    )


def list_requests(store: RunStore, run: RunRecord) -> tuple[ModelRequest, ...]:
    """Return what a run at work asks of the agent that is its model, the oldest first."""
    if run.status != "running":
        return ()
    return tuple(_describe_sheet(sheet) for sheet in list_waiting(store.dir / AGENT_FOLDER))


def _describe_sheet(sheet: Sheet) -> ModelRequest:
    return ModelRequest(
        number=sheet.number,
        asks_for=sheet.template,
        prompt_file=str(sheet.prompt_path),
        reply_file=str(sheet.reply_path),
        picture_file=str(sheet.picture_path) if sheet.picture_path.is_file() else None,
    )


def find_request(store: RunStore, number: int | None = None) -> ModelRequest:
    """Return what a run asks of its agent: the oldest by default.

    Raises:
        UsageError: it asks nothing, or nothing of that number.
    """
    requests = list_requests(store, store.read_run())
    found = [item for item in requests if number in (None, item.number)]
    if not found:
        waiting = ", ".join(str(item.number) for item in requests) or "nothing"
        raise UsageError(
            f"run {store.dir.name} asks its agent {f'no {number}' if number else 'nothing'}",
            f"waiting: {waiting}; see: reward-agent runs status RUN",
        )
    return found[0]


def give_reply(request: ModelRequest, text: str) -> None:
    """Give a run what it asked its agent for.

    Raises:
        UsageError: there is no text.
    """
    if not text.strip():
        raise UsageError("the reply is empty", "write what the prompt asks for")
    write_atomic(Path(request.reply_file), text.encode("utf-8", "replace"))


def read_events(store: RunStore, since: int = 0) -> list[dict[str, Any]]:
    """Return the events of a run but the first so many; a broken line is none."""
    try:
        text = read_capped(store.dir / EVENTS_FILE, _MAX_EVENTS_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    # What follows the last line's end is not written yet.
    return [event for line in text.split("\n")[:-1] if (event := _parse(line))][since:]


def _parse(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    told: dict[str, Any] = shorten_data(event)
    known = {name: told.pop(name, "") for name in RunEvent.model_fields}
    return {name: one if isinstance(one, str) else "" for name, one in known.items()} | told


@dataclass
class _Progress:
    """What the events say of trainings, of those that are under way, too."""

    at_work: set[str] = field(default_factory=set)
    until: dict[tuple[str, object], int] = field(default_factory=dict)
    begun: datetime | None = None
    latest: datetime | None = None
    n_before: int = 0

    @classmethod
    def follow(cls, events: Iterable[Mapping[str, Any]]) -> _Progress:
        """Return what a run's events come to."""
        progress = cls()
        for event in events:
            progress._take(event)
        return progress

    @property
    def env_steps(self) -> int:
        """Env steps of all trainings, as far as they were told."""
        return sum(self.until.values())

    def guess_seconds(self, n_steps: float) -> float | None:
        """Return how long so many env steps take, at the rate since the run was last taken up."""
        n_trained = self.env_steps - self.n_before
        if self.begun is None or self.latest is None or n_trained <= 0:
            return None
        return max(n_steps, 0.0) * (self.latest - self.begun).total_seconds() / n_trained

    def _take(self, event: Mapping[str, Any]) -> None:
        time = _read_time(event.get("time"))
        self.latest = time or self.latest
        match event:
            case {"kind": "run_started"}:
                self.begun, self.n_before, self.at_work = time, self.env_steps, set()
            case {"kind": "drafted", "id": str(candidate), "outcome": {"kind": "accepted"}}:
                self.at_work.add(candidate)
            case {"kind": "confirming", "candidates": [*candidates]}:
                self.at_work = set(map(str, candidates))
            case {"kind": "trained_until", "candidate": str(candidate), "until": int(until)}:
                self.until[candidate, event.get("seed")] = until
            case {"kind": "concluded", "candidate": str(candidate)}:
                self.at_work.discard(candidate)
            case {"kind": "finished" | "iteration_finished"}:
                self.at_work.clear()


def _read_time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def _describe(candidate: Candidate, run: RunRecord) -> Result:
    rate = candidate.evaluation.success_rate if candidate.evaluation else None
    return Result(
        candidate=candidate.id,
        iteration=candidate.iteration,
        score=candidate.task_score,
        of_seeds=candidate.fresh_scores,
        success_rate=rate,
        unit=run.task.unit,
        outcome=str(candidate.outcome),
        env_steps=candidate.total_timesteps,
    )


def _describe_winner(run: RunRecord) -> Result | None:
    winner = run.winner
    if winner is None:
        return None
    return Result(
        candidate=winner.candidate,
        iteration=winner.iteration,
        score=winner.task_score,
        of_seeds=winner.task_scores,
        success_rate=winner.success_rate,
        unit=run.task.unit,
    )


def _find_question(store: RunStore, run: RunRecord) -> MetricQuestion | None:
    """Return what a paused run waits for: nothing else pauses one than its metric."""
    if run.status != "paused":
        return None
    view, trial = load_metric_view(store, run), read_trial(store)
    answers: tuple[Answer, ...] = ("keep", "own")
    if run.metric_origin == "none":
        answers = (*(("accept",) if view.source else ()), "own", "unranked")
    return MetricQuestion(
        reason=run.note,
        answers=answers,
        meaning=view.meaning,
        criterion=view.criterion,
        unit=view.unit,
        not_measured=view.words.not_measured if view.words else (),
        findings=trial.findings if trial else (),
        behaviours=tuple(_describe_row(row) for row in trial.chosen_rows) if trial else (),
        program=view.source if run.metric_origin == "none" else "",
    )


def _describe_row(row: TrialRow) -> TriedBehaviour:
    return TriedBehaviour(behaviour=row.title, score=row.task_score, success_rate=row.success_rate)
