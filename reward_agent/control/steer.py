"""Steer: what a person, or who acts for one, asks of a running search.

Each leaves a request in the run's folder (``records.steering``) and waits a moment for what became
of it. The process that works on the run takes it: whoever asked may be gone by then.
"""

from __future__ import annotations

import getpass
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from reward_agent.errors import RefusedError, UsageError
from reward_agent.records import steering
from reward_agent.records.disk import read_optional
from reward_agent.records.settings import RunSettings
from reward_agent.records.store import DraftRecord, RunRecord, RunStore, find_candidate, now_utc
from reward_agent.rewards.checks import check_program, render_findings
from reward_agent.run.twins import DRAFT_FILE
from reward_agent.types import FileRecord, RewardProgram

A = TypeVar("A", bound=steering.Act)
# The run looks for requests more often than once a second.
WAIT_S, _POLL_S = 10.0, 0.1
# Says to a command that it is a tool's.
VIA_VARIABLE = "REWARD_AGENT_VIA"


def _find_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # this user has no name
        return ""


@dataclass(frozen=True)
class Asker:
    """Who steers, and from where."""

    via: steering.Via
    user: str = field(default_factory=_find_user)


class SteerResult(FileRecord):
    """What became of a request."""

    run: str
    request: str = Field(description="its id, by which steering.jsonl has it")
    act: str
    candidate: str = ""
    is_taken: bool = Field(description="else it waits in the run's folder")
    told: str = Field("", description="what was done, in words")
    round: int | None = Field(
        None, description="its round, from 1; of a remark, the first to read it"
    )
    at_steps: int | None = Field(
        None, description="env steps of the candidate at which it took effect"
    )


def ask(
    store: RunStore,
    kind: type[steering.Pin | steering.Unpin | steering.Stop | steering.More],
    candidate: str,
    asker: Asker,
    why: str = "",
    *,
    wait_s: float = WAIT_S,
    **facts: Any,
) -> SteerResult:
    """Ask for an act on the training of a candidate.

    Args:
        store: the run.
        kind: which act.
        candidate: its name, or the start of it.
        asker: who asks.
        why: for the journal.
        wait_s: seconds to wait for what becomes of it.
        facts: what else the act says, such as ``steps``.

    Raises:
        UsageError: nobody works on the run, no such candidate trains, or the run refused it.
    """
    return _hand_in(store, _make(store, kind, asker, why, candidate, **facts), wait_s)


def remark(
    store: RunStore, words: str, asker: Asker, why: str = "", *, wait_s: float = WAIT_S
) -> SteerResult:
    """Tell the agents of the next round something, as the person's words; see ``ask``.

    Raises:
        UsageError: it says nothing, or no call of a model is left to read it.
    """
    if not words.strip():
        raise UsageError("the remark is empty", "say what the next round is to do otherwise")
    run = _see_that_it_runs(store)
    if spent := _find_spent(run):
        raise UsageError(
            f"run {run.id} has spent its {spent}: no round reads a remark any more",
            f"give a higher limit when you take it up: {store.resume_command}",
        )
    return _hand_in(
        store, _make(store, steering.SteeringRemark, asker, why, words=words.strip()), wait_s
    )


def edit(
    store: RunStore,
    candidate: str,
    program: str,
    asker: Asker,
    why: str = "",
    *,
    wait_s: float = WAIT_S,
) -> SteerResult:
    """Train a changed program beside its parent, from the parent's newest policy; see ``ask``.

    Raises:
        RefusedError: the rules do not take the program.
        UsageError: as for ``ask``, or it is the parent's.
    """
    run = _see_that_it_runs(store)
    name = _find(store, run, candidate)
    if read_program(store, name).strip() == program.strip():
        raise UsageError(f"the program of {name} is unchanged", "change it, then hand it in")
    report = check_program(RewardProgram(program), run.card)
    if not report.is_accepted:
        findings = render_findings(program, report.findings)
        remedy = "correct what is shown at its lines"
        raise RefusedError(f"the changed program of {name} is refused", remedy, findings)
    return _hand_in(store, _make(store, steering.Edit, asker, why, name, program=program), wait_s)


def read_program(store: RunStore, candidate: str) -> str:
    """Return the program of a candidate that trains now.

    Raises:
        UsageError: nobody works on the run, or no such candidate trains.
    """
    run = _see_that_it_runs(store)
    name = _find(store, run, candidate)
    return store.read_program(max(store.list_rounds()), name)


def list_training(store: RunStore) -> list[str]:
    """Return the candidates of the round in progress whose programs were accepted."""
    rounds = store.list_rounds()
    if not rounds or rounds[-1] in store.list_iterations():
        return []
    folders = [folder for index, folder in store.list_candidates() if index == rounds[-1]]
    drafts = [read_optional(folder / DRAFT_FILE, DraftRecord) for folder in folders]
    return [draft.id for draft in drafts if draft is not None and draft.is_accepted]


def _see_that_it_runs(store: RunStore) -> RunRecord:
    run = store.read_run()
    if store.is_locked():
        return run
    words = f"; {run.note}" if run.note and run.status != "finished" else ""
    remedy = f"take it up first: {store.resume_command}"
    if run.status == "finished":
        remedy = f"go on with your words, or by your own change: {store.feedback_command}"
    raise UsageError(f"run {run.id} is not running: it is {run.status}{words}", remedy)


def _find(store: RunStore, run: RunRecord, candidate: str) -> str:
    known = list_training(store)
    if not known:
        raise UsageError(
            f"no candidate of run {run.id} is in training now", f"see: runs status {run.id}"
        )
    return find_candidate(candidate, known)


def _find_spent(run: RunRecord) -> str:
    """Return which limit of money a run has reached; '' for none."""
    settings, usage = RunSettings.model_validate(run.config), run.usage
    if settings.max_calls is not None and usage.n_calls >= settings.max_calls:
        return f"{settings.max_calls} calls"
    if settings.max_usd is not None and (usage.usd or 0.0) >= settings.max_usd:
        return f"{settings.max_usd:g} USD"
    return run.limit


def _make(
    store: RunStore, kind: type[A], asker: Asker, why: str, candidate: str = "", **facts: Any
) -> A:
    """Return a request.

    Raises:
        UsageError: no such candidate trains, or a text or a number is none that fits.
    """
    run = _see_that_it_runs(store)
    if candidate:
        facts["candidate"] = _find(store, run, candidate)
    # Names of requests are in the order in which they were made.
    own = f"{time.time_ns():016x}{uuid.uuid4().hex[:16]}"
    known = {"id": own, "time": now_utc(), "via": asker.via, "user": asker.user[:100]}
    try:
        return kind.model_validate(known | {"why": why.strip()} | facts)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{first['loc'][-1]}: {first['msg']}", "give another") from error


def _hand_in(store: RunStore, act: steering.AnyAct, wait_s: float) -> SteerResult:
    """Leave a request, and return what the run made of it in time.

    Raises:
        UsageError: the run refused it.
    """
    steering.write_request(store.dir, act)
    end = time.monotonic() + wait_s
    while (taken := _read_taken(store, act)) is None and time.monotonic() < end:
        time.sleep(_POLL_S)
    result = SteerResult(
        run=store.dir.name, request=act.id, act=act.kind, candidate=act.about, is_taken=False
    )
    if taken is None:
        return result
    if taken.refusal:
        raise UsageError(f"not done: {taken.refusal}", f"see: runs status {store.dir.name}")
    return result.model_copy(
        update={
            "is_taken": True,
            "told": str(taken),
            "round": taken.iteration + 1,
            "at_steps": taken.at_steps,
        }
    )


def _read_taken(store: RunStore, act: steering.AnyAct) -> steering.Taken | None:
    return next((item for item in steering.read_steering(store.dir) if item.act.id == act.id), None)
