"""Race: the candidates of a round train side by side; racing says whose slice is next.

A candidate enters as soon as it is accepted, while others are still being drafted. Everything that
a race knows is on disk, so a run that is taken up again goes on in the middle of one: slices that
are finished are read, and the next is chosen from all scores so far.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from reward_agent.errors import DataError, UsageError
from reward_agent.records.events import Scored
from reward_agent.records.outcomes import Outcome
from reward_agent.records.steering import AnyAct, Edit, Taken
from reward_agent.run.active import ActiveRun
from reward_agent.run.evaluate import evaluate_rung
from reward_agent.run.racing import (
    RacingPolicy,
    RungScore,
    Standing,
    Target,
    find_next_stop,
    find_target,
    has_held,
    make_policy,
    name_reached,
    name_stop,
    pool_scores,
    read_course,
)
from reward_agent.run.seats import Seats
from reward_agent.run.steering import SaidOfTrainings
from reward_agent.run.train import Entrant, Finish, train_until
from reward_agent.text import name_round
from reward_agent.threads import collect, map_threads
from reward_agent.types import TrainingResult

# Makes the candidate of a person's n-th changed program, which begins with a policy, if any; None:
# it is not trained.
MakeEdit = Callable[["Race", int, Taken, Path | None], Entrant | None]


class Race:
    """The trainings of one round.

    What a person says of one (``run.steering``) bounds it; racing decides about the others as if
    nothing had been said. A program that a person changed meanwhile trains beside them, to its end:
    it begins with a policy, so by its scores nobody is stopped.

    Args:
        run: the run in progress.
        iteration: the round.
        n_candidates: how many may enter.
        make_edit: makes the candidate of a person's changed program.
    """

    def __init__(
        self, run: ActiveRun, iteration: int, n_candidates: int, make_edit: MakeEdit
    ) -> None:
        self.iteration = iteration
        self._run, self._make_edit = run, make_edit
        self._target = find_run_target(run)
        self._policy = _make_policy(run, n_candidates, watched=self._target is not None)
        self._said = SaidOfTrainings(run.steering, iteration, self._policy.stops[-1])
        self._n_awaited = n_candidates
        self._entrants: dict[str, Entrant] = {}
        self._standings: dict[str, Standing] = {}
        self._finishes: dict[str, Finish] = {}
        self._seats = Seats(run, iteration)
        self._until: dict[str, int] = {}
        self._winner: str | None = None
        self._error: BaseException | None = None
        self._is_over = False
        self._changed = threading.Condition()

    @contextmanager
    def run(self) -> Iterator[None]:
        """Train in all slots while candidates are made inside; leave when the race is over.

        Raises:
            RewardAgentError: a slice failed for a reason that is ours, or the run was stopped.
        """
        n_slots = self._run.executor.n_slots
        pool = ThreadPoolExecutor(n_slots, thread_name_prefix="slot")
        slots = [pool.submit(self._fill_slot) for _ in range(n_slots)]
        try:
            with self._run.steering.steer(self):
                yield
                collect(slots)
        except BaseException as error:
            self._end(error)
            raise
        finally:
            pool.shutdown(wait=False)

    def enter(self, entrant: Entrant, parent: str | None = None) -> None:
        """Let a candidate take part.

        Args:
            entrant: its program.
            parent: the candidate whose program that was made from.
        """
        with self._changed:
            self._entrants[entrant.candidate_id] = entrant
            self._standings[entrant.candidate_id] = Standing(
                entrant.candidate_id, of_parent=read_course(self._run.store, parent)
            )
            self._n_awaited -= 1
            self._changed.notify_all()

    def settle(self, n_absent: int) -> None:
        """Say that so many candidates will not enter."""
        with self._changed:
            self._n_awaited -= n_absent
            self._changed.notify_all()

    def check(self) -> None:
        """Let nobody ask a model any more once the race has failed.

        Raises:
            RewardAgentError: what it failed by.
        """
        with self._changed:
            if self._error is not None:
                raise self._error

    def list_finishes(self) -> dict[str, Finish]:
        """Return how each training ended, by candidate id."""
        return {name: self._name_end(name, finish) for name, finish in self._finishes.items()}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no slice begin or end meanwhile; afterwards what was said is followed."""
        with self._changed:
            yield
            self._changed.notify_all()

    def find_point(self, act: AnyAct) -> int:
        """Return the env steps of its candidate at which an act takes effect.

        Raises:
            UsageError: it cannot.
        """
        standing, where = self._standings.get(act.about), name_round(self.iteration)
        if standing is None:
            names = ", ".join(self._standings) or "nobody yet"
            raise UsageError(f"{act.about} does not train in {where}; those who do: {names}")
        if self._is_over:
            raise UsageError(f"the trainings of {where} are over")
        if isinstance(act, Edit):
            return max(self._find_policies(act.about))
        at = self._until[act.about] if standing.is_running else standing.steps
        self._said.check(act, standing, at)
        return at

    def _find_policies(self, name: str) -> dict[int, Path | None]:
        """Return the policies that a training has left, by env steps; None before the first."""
        finish, folder = self._finishes.get(name), self._entrants[name].training_dir
        snapshots = finish.result.snapshots if finish and finish.result else ()
        return {0: None} | {item.total_timesteps: folder / item.file for item in snapshots}

    def _enter_edit(self, number: int, taken: Taken, policy: Path | None) -> None:
        entrant = self._make_edit(self, number, taken, policy)
        if entrant is None:
            self.settle(1)
        else:
            self._said.beside[entrant.candidate_id] = taken
            self.enter(entrant)

    def _fill_slot(self) -> None:
        """Take one slice after the other until the race is over."""
        try:
            while (work := self._wait_for_work()) is not None:
                work()
        except BaseException as error:
            self._end(error)
            raise

    def _end(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _wait_for_work(self) -> Callable[[], None] | None:
        """Return what is next, marked as running; None when the race is over."""
        with self._changed:
            while self._error is None:
                policies = {name: self._find_policies(name) for name in self._entrants}
                if not self._winner and (edit := self._said.find_edit(policies)):
                    self._n_awaited += 1
                    return partial(self._enter_edit, *edit)
                standings = [self._said.bound(item) for item in self._standings.values()]
                name = self._choose(standings)
                if name is not None:
                    self._until[name] = self._find_stop(self._standings[name])
                    self._update(name, is_running=True)
                    return partial(self._take_slice, self._entrants[name], self._until[name])
                is_running = self._n_awaited or any(item.is_running for item in standings)
                if self._winner is not None or not is_running:
                    break
                self._changed.wait()
            self._is_over = True
            return None

    def _choose(self, standings: list[Standing]) -> str | None:
        """Return whom racing names, else who goes on by a person's word."""
        name = None
        if self._winner is None:
            racing = [item for item in standings if item.name not in self._said.beside]
            name = self._policy.choose(racing, self._n_awaited)
            if name and self._standings[name].steps == self._policy.stops[0]:
                self._seats.share(self._policy, racing)
        return name or self._said.choose(standings)

    def _find_stop(self, standing: Standing) -> int:
        """Return the env steps to which a training's next slice goes."""
        stops = self._policy.stops
        if standing.steps < stops[-1]:
            return find_next_stop(self._policy, standing.steps)
        return min(standing.steps + stops[0], self._said.find_goal(standing.name))

    def _take_slice(self, entrant: Entrant, stop: int) -> None:
        """Train and score up to a stop, or as far as the training is already."""
        standing = self._standings[entrant.candidate_id]
        seated = self._seats.list_entrants(entrant, stop)
        finishes = train_until(self._run, seated, stop, in_race=True)
        finish, scores = finishes[0], dict(standing.scores)
        if finish.result is not None and not finish.has_failed:
            for passed in self._policy.stops:
                if standing.steps < passed <= max(stop, finish.result.total_timesteps):
                    scores[passed] = self._evaluate(seated, finishes, passed)
            if stop > self._policy.stops[-1]:
                scores[stop] = None
        has_reached = finish.result is not None and self._has_reached(
            entrant, finish.result, scores
        )
        with self._changed:
            self._finishes[entrant.candidate_id] = finish
            self._update(
                entrant.candidate_id,
                scores=scores,
                is_running=False,
                has_ended=finish.has_failed or has_reached or finish.is_cut,
            )
            if has_reached and self._winner is None:
                self._winner = entrant.candidate_id
            self._changed.notify_all()

    def _has_reached(
        self, entrant: Entrant, result: TrainingResult, scores: Mapping[int, RungScore | None]
    ) -> bool:
        return self._target is not None and is_reached(
            self._run, entrant, result, scores, self._target
        )

    def _evaluate(
        self, seated: Sequence[Entrant], finishes: Sequence[Finish], stop: int
    ) -> RungScore | None:
        """Score the policies at a stop; whole trainings are evaluated more carefully later."""
        if stop == self._policy.stops[-1]:
            return None
        known = [(s, f.result) for s, f in zip(seated, finishes, strict=True) if not f.has_failed]
        score = pool_scores(
            map_threads(len(known), lambda one: evaluate_stop(self._run, *one, stop), known)
        )
        mean = score.mean if score else None
        self._run.notify(Scored(seated[0].candidate_id, stop, mean, len(known)))
        return score

    def _update(self, name: str, **changes: Any) -> None:
        self._standings[name] = replace(self._standings[name], **changes)

    def _name_end(self, name: str, finish: Finish) -> Finish:
        """Say whether a training went to the end, and why not."""
        standing, unit = self._standings[name], self._run.task.unit
        finish = replace(finish, course=standing.course, beside=self._seats.list_fresh(name))
        if finish.has_failed or finish.is_cut:
            return finish
        if name == self._winner and self._target is not None:
            outcome = name_reached(self._target, unit, standing.steps)
        elif stopped := self._said.name_stop(standing):
            outcome = stopped
        elif standing.steps >= self._policy.stops[-1]:
            outcome = finish.outcome
        elif self._winner is not None:
            why = f"at {standing.steps:,} steps candidate {self._winner} reached the target"
            outcome = Outcome(kind="stopped", detail=why, at_steps=standing.steps)
        else:
            apart = {name, *self._said.beside}
            others = [item for item in self._standings.values() if item.name not in apart]
            outcome = name_stop(standing, others, unit)
        return replace(finish, outcome=outcome.add(*self._said.list_favours(name)))


def _make_policy(run: ActiveRun, n_candidates: int, *, watched: bool) -> RacingPolicy:
    """Return the policy; without a metric nothing is ranked, so everybody goes to the end."""
    mode = run.settings.racing if run.metric.source is not None else "none"
    return make_policy(mode, run.settings.steps, n_candidates, watched=watched)


def find_run_target(run: ActiveRun) -> Target | None:
    """Return where the run may end; None: it goes on. Without a metric nothing is ever reached."""
    return find_target(run.settings, run.task) if run.metric.source else None


def is_reached(
    run: ActiveRun,
    entrant: Entrant,
    result: TrainingResult,
    scores: Mapping[int, RungScore | None],
    target: Target,
) -> bool:
    """Return whether a training holds the target, on fresh episodes, too.

    Scores between slices are of the same few starts each time.
    """
    if not has_held(scores, target):
        return False
    fresh = evaluate_stop(run, entrant, result, max(scores), is_fresh=True)
    return fresh is not None and target.is_met(fresh.mean, fresh.success)


def evaluate_stop(
    run: ActiveRun,
    entrant: Entrant,
    result: TrainingResult | None,
    stop: int,
    *,
    is_fresh: bool = False,
) -> RungScore | None:
    """Score the policy that a training had at a stop; None where there is none to score."""
    kept = result.snapshots if result else ()
    snapshots = [item for item in kept if item.total_timesteps >= stop]
    if not snapshots:
        return None
    try:
        return RungScore.read(evaluate_rung(run, entrant, snapshots[0], is_fresh=is_fresh))
    except DataError:  # what the child left is no policy; the candidate goes on without a score
        return None
