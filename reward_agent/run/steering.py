"""Steering: what a person asks of a running search is taken, noted, and followed.

A thread of the run looks for requests (``records.steering``). What it takes is in the journal
before anything follows it, with the point of the search at which it takes effect: a race reads its
bounds from there, a round the words that it tells, and a repeated run begins with the journal of
the run that it repeats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from reward_agent.designers.brief import Feedback
from reward_agent.errors import DataError, RewardAgentError, UsageError
from reward_agent.files import remove
from reward_agent.records.disk import append_record
from reward_agent.records.events import Event, Steered, Warned
from reward_agent.records.outcomes import Outcome
from reward_agent.records.steering import (
    STEERING_FILE,
    AnyAct,
    Edit,
    More,
    Pin,
    SteeringRemark,
    Stop,
    Taken,
    Unpin,
    list_requests,
    read_request,
    read_steering,
)
from reward_agent.records.store import RunStore
from reward_agent.run.racing import Standing
from reward_agent.text import clean_text

if TYPE_CHECKING:
    from reward_agent.run.race import Race

P = TypeVar("P")
POLL_S = 0.5
# Of one run, and of edits in one round: each is a training more.
MOST_TAKEN, MOST_EDITS = 1000, 20
# A training may be made so many times as long as a whole one.
MOST_TIMES = 10


@dataclass(frozen=True)
class Bounds:
    """How far one training goes by a person's word.

    Args:
        is_pinned: to its end, whatever racing says.
        least: env steps that it is trained for whatever racing says, beyond its budget, too.
        most: env steps at which it ends; None: nobody stopped it.
        more: env steps that it was given.
        why: why it was stopped.
    """

    is_pinned: bool = False
    least: int = 0
    most: int | None = None
    more: int = 0
    why: str = ""


def find_bounds(taken: Sequence[Taken], iteration: int, candidate: str) -> Bounds:
    """Return how far a candidate's training goes by what was asked in its round, the last first."""
    bounds = Bounds()
    for item in taken:
        act, at = item.act, item.at_steps or 0
        if item.refusal or item.iteration != iteration or act.about != candidate:
            continue
        match act:
            case Pin():
                bounds = replace(bounds, is_pinned=True, most=None)
            case Unpin():
                bounds = replace(bounds, is_pinned=False, least=max(bounds.least, at))
            case More():
                more, least = bounds.more + act.steps, max(bounds.least, at + act.steps)
                bounds = replace(bounds, least=least, more=more, most=None)
            case Stop():
                bounds = replace(bounds, is_pinned=False, most=at, why=act.why)
    return bounds


def list_edits(taken: Sequence[Taken], iteration: int) -> list[Taken]:
    """Return the changed programs that were handed in during a round, in order."""
    return [
        item
        for item in taken
        if isinstance(item.act, Edit) and item.iteration == iteration and not item.refusal
    ]


def tell_words(taken: Sequence[Taken], iteration: int) -> Feedback:
    """Return what the agents of a round are told in a person's words."""
    remarks = [item for item in taken if isinstance(item.act, SteeringRemark) and not item.refusal]
    words = {
        item.act.id: item.act.words for item in remarks if isinstance(item.act, SteeringRemark)
    }
    return Feedback(
        words=tuple(words[r.act.id] for r in remarks if r.iteration == iteration),
        earlier_words=tuple(words[r.act.id] for r in remarks if r.iteration < iteration),
    )


def repeat_steering(source: RunStore, target: RunStore) -> None:
    """Let a run be steered as the one was that it repeats: at the same points, by the same words.

    Raises:
        DataError: the journal holds something else.
    """
    for taken in read_steering(source.dir):
        append_record(target.dir / STEERING_FILE, taken)


class SaidOfTrainings:
    """What a person says of the trainings of one round, as a race follows it.

    Args:
        steering: of the run.
        iteration: the round.
        whole: env steps of a whole training.

    Attributes:
        beside: who came of a person's changed program, and what was asked: they train to the end,
            beside the others.
    """

    def __init__(self, steering: Steering, iteration: int, whole: int) -> None:
        self.beside: dict[str, Taken] = {}
        self._made: set[str] = set()
        self._steering, self._iteration, self._whole = steering, iteration, whole

    def bound(self, standing: Standing) -> Standing:
        """Return a standing with what was said of it."""
        is_stopped = self.name_stop(standing) is not None
        is_carried = self.find_goal(standing.name) > 0
        has_ended = standing.has_ended or is_stopped
        return replace(standing, has_ended=has_ended, is_carried=is_carried)

    def find_goal(self, name: str) -> int:
        """Return the env steps that a training has whatever racing says."""
        bounds = self._find_bounds(name)
        return min(
            max(bounds.least, self._whole if bounds.is_pinned else 0), MOST_TIMES * self._whole
        )

    def choose(self, standings: Sequence[Standing]) -> str | None:
        """Name who trains on whatever racing says; None: nobody can now."""
        ready = (item for item in standings if not (item.is_running or item.has_ended))
        return next((i.name for i in ready if i.steps < self.find_goal(i.name)), None)

    def find_edit(self, policies: Mapping[str, Mapping[int, P]]) -> tuple[int, Taken, P] | None:
        """Return a changed program that was not made yet: its number, it, and what it begins with.

        Args:
            policies: of each training, by env steps: who is not there yet is waited for.
        """
        for number, taken in enumerate(list_edits(self._steering.taken, self._iteration)):
            known, at = policies.get(taken.act.about, {}), taken.at_steps or 0
            if taken.act.id not in self._made and at in known:
                self._made.add(taken.act.id)
                return number, taken, known[at]
        return None

    def check(self, act: AnyAct, standing: Standing, at: int) -> None:
        """Refuse what cannot be done at this point.

        Raises:
            UsageError: it cannot.
        """
        if standing.has_ended:
            raise UsageError(f"the training of {standing.name} has ended")
        if isinstance(act, Stop) and at >= max(self._whole, self.find_goal(standing.name)):
            raise UsageError(f"{standing.name} is trained to its end")
        if isinstance(act, More) and at + act.steps > MOST_TIMES * self._whole:
            raise UsageError(f"a training has {MOST_TIMES * self._whole:,} env steps at most")

    def name_stop(self, standing: Standing) -> Outcome | None:
        """Return how a training ended that a person stopped; None: they did not."""
        bounds = self._find_bounds(standing.name)
        if bounds.most is None or standing.steps < bounds.most:
            return None
        told = [f"by a person at {standing.steps:,} steps", clean_text(bounds.why)]
        detail = ": ".join(filter(None, told))
        return Outcome(kind="stopped", detail=detail, at_steps=standing.steps)

    def list_favours(self, name: str) -> Iterator[str]:
        """Say what a person did for a training that others did not have."""
        bounds, taken = self._find_bounds(name), self.beside.get(name)
        if taken is not None:
            begun = f"began with the policy of {taken.act.about} at {taken.at_steps:,} steps"
            yield f"changed by a person, {begun if taken.at_steps else 'began anew'}"
        elif bounds.is_pinned:
            yield "pinned by a person"
        if bounds.more:
            yield f"given {bounds.more:,} env steps more by a person"

    def _find_bounds(self, name: str) -> Bounds:
        bounds = find_bounds(self._steering.taken, self._iteration, name)
        is_beside = name in self.beside and bounds.most is None
        return replace(bounds, is_pinned=True) if is_beside else bounds


class Steering:
    """What was asked of a run so far, and what is asked now.

    Args:
        store: the run, which this process holds.

    Attributes:
        taken: the journal, oldest first; a new one each time.
    """

    def __init__(self, store: RunStore) -> None:
        self.taken = read_steering(store.dir)
        self._store = store
        self._lock = threading.Lock()
        self._race: Race | None = None
        self._is_over = False
        self._next_round = max(store.list_rounds(), default=-1) + 1

    @contextmanager
    def watch(self, notify: Callable[[Event], None]) -> Iterator[None]:
        """Take requests for as long as the run is worked on."""
        has_ended = threading.Event()

        def look() -> None:
            while not has_ended.wait(POLL_S):
                try:
                    self.take(notify)
                except (OSError, RewardAgentError) as error:
                    # The run goes on; only nobody steers it any more.
                    notify(Warned(f"requests of a person are no longer read: {error}"))
                    return

        thread = threading.Thread(target=look, name="steering", daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()

    @contextmanager
    def steer(self, race: Race) -> Iterator[None]:
        """Let requests reach the trainings of a round."""
        with self._lock:
            self._race = race
        try:
            yield
        finally:
            with self._lock:
                self._race = None

    def begin_round(self, iteration: int) -> Feedback:
        """Return what the agents of a round are told; a later remark is for the next round."""
        with self._lock:
            self._next_round = max(self._next_round, iteration + 1)
            return tell_words(self.taken, iteration)

    def end(self) -> None:
        """Refuse what is asked from now on: the search is over."""
        with self._lock:
            self._is_over = True

    def take(self, notify: Callable[[Event], None]) -> None:
        """Take the requests that wait, the oldest first.

        Raises:
            DataError: the folder of requests leads elsewhere.
            RewardAgentError: the journal cannot be written.
        """
        with self._lock:
            acts: list[AnyAct] = []
            for path in list_requests(self._store.dir):
                try:
                    acts.append(read_request(path))
                except DataError as error:
                    notify(Warned(error.message))
                    remove(path)
            for act in acts:
                known = {item.act.id for item in self.taken}
                if act.id not in known and len(known) < MOST_TAKEN:
                    taken = self._take(act)
                    notify(Steered(taken.iteration, act.about, act.kind, str(taken), taken.by))
                remove(self._store.dir / "steering" / f"{act.id}.json")

    def _take(self, act: AnyAct) -> Taken:
        race = self._race
        with nullcontext() if race is None else race.held():
            at, refusal = None, ""
            try:
                at = self._find_point(act, race)
            except UsageError as error:
                refusal = error.message
            is_remark = isinstance(act, SteeringRemark) or race is None
            iteration = self._next_round if is_remark or race is None else race.iteration
            taken = Taken(act=act, iteration=iteration, at_steps=at, refusal=refusal)
            append_record(self._store.dir / STEERING_FILE, taken)
            self.taken = (*self.taken, taken)
        return taken

    def _find_point(self, act: AnyAct, race: Race | None) -> int | None:
        if self._is_over:
            raise UsageError("the search is over")
        if isinstance(act, SteeringRemark):
            return None
        if race is None:
            raise UsageError(f"no training of {act.candidate} is under way")
        if isinstance(act, Edit) and len(list_edits(self.taken, race.iteration)) >= MOST_EDITS:
            raise UsageError(f"the round has {MOST_EDITS} changed programs already")
        return race.find_point(act)
