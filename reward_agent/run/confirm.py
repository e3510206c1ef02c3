"""Confirmation: the best programs are trained again, with seeds that took no part in the choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import hypot, inf, sqrt
from statistics import fmean, stdev

from reward_agent.errors import DataError
from reward_agent.records.disk import read_optional
from reward_agent.records.events import Confirming
from reward_agent.records.job import RESULT_FILE
from reward_agent.records.outcomes import Outcome
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import Candidate, Confirmation, rank_candidates
from reward_agent.run.active import ActiveRun
from reward_agent.run.evaluate import evaluate_training
from reward_agent.run.race import evaluate_stop, find_run_target, is_reached
from reward_agent.run.racing import Standing, Target, make_policy, name_reached
from reward_agent.run.seats import FRESH_SEED
from reward_agent.run.train import Entrant, Finish, make_entrant, train_until
from reward_agent.threads import map_threads
from reward_agent.types import Evaluation, TrainingResult

# Of the search's own training beside one with a fresh seed: it is why the program was chosen.
SEARCH_WEIGHT = 0.5
# Seeds beyond those that were asked for, where fresh ones contradict the search and leave it open.
MORE_SEEDS = 2
# Share of the target from which on a program may hold it with another seed.
NEAR = 0.9


def is_target_confirmed(run: ActiveRun) -> bool:
    """Return whether the best program so far is where the task is done, on fresh seeds, too.

    These are trained for the answer, up to the first that is not; where they were, it is read. What
    they scored is noted with the program: another that does as well in the search comes before it.
    Where they contradict it, one more is asked: a race that it ended stopped others too soon.
    """
    target = find_run_target(run)
    best = next(iter(rank_candidates(run.store.list_finished())), None)
    if target is None or best is None:
        return False
    if not best.is_confirmed and not _is_there(target, best.evaluation):
        return False
    if _is_confirmed(run, best, target):
        return True
    second = _find_second(run.store.list_finished(), best.id, target)
    return second is not None and _is_confirmed(run, second, target)


def _is_confirmed(run: ActiveRun, candidate: Candidate, target: Target) -> bool:
    confirmations = confirm(run, [candidate], target)
    is_confirmed = all(_is_there(target, item.evaluation) for item in confirmations)
    _note_fresh(run, candidate, confirmations, is_confirmed)
    return is_confirmed


def _find_second(
    candidates: Iterable[Candidate], contradicted: str, target: Target
) -> Candidate | None:
    """Return a program that was not tried with fresh seeds and came near the target."""
    ranked = sorted(rank_candidates(candidates), key=_expect, reverse=True)
    if not ranked or ranked[0].id == contradicted or ranked[0].is_confirmed is not None:
        return None
    score = ranked[0].task_score or 0.0
    return ranked[0] if target.score > 0 and score >= NEAR * target.score else None


def find_finalists(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the two programs that fresh seeds are to decide between.

    One whose fresh seeds fell short of the search counts by what they all scored: another, not
    tried yet, may be better than it.
    """
    return sorted(rank_candidates(candidates), key=_expect, reverse=True)[:2]


def _expect(candidate: Candidate) -> float:
    return OverSeeds((candidate.task_score or 0.0, *candidate.fresh_scores), ()).score


def _is_there(target: Target, evaluation: Evaluation | None) -> bool:
    return evaluation is not None and target.is_met(evaluation.task_score, evaluation.success_rate)


def _note_fresh(
    run: ActiveRun, best: Candidate, confirmations: Sequence[Confirmation], is_confirmed: bool
) -> None:
    """Write what fresh seeds scored into the record of the program's round."""
    scores = _list_fresh(confirmations)
    if not scores or (scores == best.fresh_scores and best.is_confirmed is not None):
        return
    noted = best.model_copy(update={"fresh_scores": scores, "is_confirmed": is_confirmed})
    known = {c.id: noted if c.id == best.id else c for c in run.store.list_finished()}
    iteration = run.store.read_iteration(best.iteration)
    candidates = tuple(known[c.id] for c in iteration.candidates)
    run.store.write_iteration(iteration.model_copy(update={"candidates": candidates}))


def score_beside(run: ActiveRun, candidate: Candidate, seeds: Sequence[int]) -> Candidate:
    """Return a candidate with what the seeds scored that the race trained beside the search's own.

    Those that were stopped before the end are left where they are.
    """
    whole = [seed for seed in seeds if _is_whole(run, candidate, seed)]
    if not whole or candidate.total_timesteps < run.settings.steps:
        return candidate
    found = map_threads(len(whole), lambda seed: _train_again(run, [candidate], seed), whole)
    confirmations = list(chain(*found))
    beside = [item.evaluation for item in confirmations]
    known = candidate.model_copy(
        update={
            "fresh_scores": _list_fresh(confirmations),
            "is_done": candidate.is_done and all(map(run.task.is_done, beside)),
        }
    )
    if not known.fresh_scores or known.task_score is None:
        return known
    mean = f"mean of {len(known.fresh_scores) + 1} seeds {known.mean_score:.3g} {run.task.unit}"
    outcome = known.outcome.add(f"{mean.strip()}, its own {known.task_score:.3g}")
    return known.model_copy(update={"outcome": outcome})


def _is_whole(run: ActiveRun, candidate: Candidate, seed: int) -> bool:
    folder = run.store.training_dir(candidate.iteration, candidate.id, seed)
    result = read_optional(folder / RESULT_FILE, TrainingResult)
    return result is not None and result.total_timesteps >= run.settings.steps


def _list_fresh(confirmations: Iterable[Confirmation]) -> tuple[float, ...]:
    evaluations = [item.evaluation for item in confirmations]
    return tuple(item.task_score for item in evaluations if item and item.task_score is not None)


def confirm(
    run: ActiveRun, candidates: Sequence[Candidate], target: Target | None = None
) -> list[Confirmation]:
    """Train one or two programs again, the search's best first; without a metric none.

    Each is trained ``winner_seeds`` times, or as often as the race has beside it. One that fresh
    seeds have plainly put behind the other is trained no further; where they contradict the search
    and decide nothing, more follow, one training at a time.

    Args:
        run: the run in progress.
        candidates: one or two.
        target: with it, a seed that misses it is the last.
    """
    confirmations: list[Confirmation] = []
    if run.metric.source is None:
        return confirmations
    while rivals := _list_open(run, candidates, confirmations):
        n_seeds = _count_seeds(rivals[0], confirmations)
        newest = _confirm_with_seed(run, rivals, run.settings.seed + FRESH_SEED + n_seeds)
        confirmations += newest
        if target and not all(_is_there(target, item.evaluation) for item in newest):
            break
    return confirmations


def _list_open(
    run: ActiveRun, candidates: Sequence[Candidate], confirmations: Sequence[Confirmation]
) -> list[Candidate]:
    """Return which programs are trained with their next fresh seed; none: enough is known.

    Beyond what was asked for that is the one program of which least is known.
    """
    counts = {item.id: _count_seeds(item, confirmations) for item in candidates}
    # What the race has trained beside is there.
    wanted = {c.id: max(run.settings.winner_seeds, len(c.fresh_scores)) for c in candidates}
    wanting = [item for item in candidates if counts[item.id] < wanted[item.id]]
    if len(candidates) < 2 or not confirmations:
        return wanting
    over_seeds = [OverSeeds.gather(item, confirmations) for item in candidates]
    first, second = over_seeds
    leads = first.is_ahead_of(second), second.is_ahead_of(first)
    is_decided = first.is_confirmed and second.is_confirmed and any(leads)
    if wanting:
        return [item for item in wanting if not is_decided or leads[candidates.index(item)]]
    if is_decided or second.fresh <= first.fresh:
        return []
    errors = {item.id: own.error for item, own in zip(candidates, over_seeds, strict=True)}
    more = [item for item in candidates if counts[item.id] < wanted[item.id] + MORE_SEEDS]
    return sorted(more, key=lambda item: errors[item.id])[-1:]


def _count_seeds(candidate: Candidate, confirmations: Iterable[Confirmation]) -> int:
    return sum(item.candidate == candidate.id for item in confirmations)


def train_again(run: ActiveRun, entrant: Entrant) -> Finish:
    """Train a program by itself, to the end or until it holds the target."""
    target = find_run_target(run)
    stops = make_policy("none", run.settings.steps, 1, watched=target is not None).stops
    standing = Standing(entrant.candidate_id)
    for stop in stops:
        [finish] = train_until(run, [entrant], stop)
        if target is None or stop == stops[-1] or finish.has_failed or finish.result is None:
            break
        scores = {**standing.scores, stop: evaluate_stop(run, entrant, finish.result, stop)}
        standing = replace(standing, scores=scores)
        if is_reached(run, entrant, finish.result, scores, target):
            finish = replace(finish, outcome=name_reached(target, run.task.unit, stop))
            break
    return replace(finish, course=standing.course)


def _confirm_with_seed(
    run: ActiveRun, candidates: Sequence[Candidate], seed: int
) -> list[Confirmation]:
    folders = {c.id: run.store.evaluation_dir(c.iteration, c.id, seed) for c in candidates}
    if new := tuple(name for name, folder in folders.items() if not folder.is_dir()):
        run.notify(Confirming(new, seed))
    return _train_again(run, candidates, seed)


def _train_again(run: ActiveRun, candidates: Sequence[Candidate], seed: int) -> list[Confirmation]:
    entrants = [make_entrant(run.store, c.iteration, c.id, seed) for c in candidates]
    slots = run.executor.n_slots
    finishes = map_threads(slots, lambda entrant: train_again(run, entrant), entrants)
    confirmations = []
    for entrant, candidate, finish in zip(entrants, candidates, finishes, strict=True):
        evaluation = None
        outcome = finish.outcome
        if finish.result is not None and finish.result.snapshots:
            try:
                evaluation = _evaluate(run, candidate, entrant, finish).best
            except DataError as error:
                outcome = Outcome(kind="failed", stage="evaluation", detail=error.message)
        confirmations.append(
            Confirmation(
                candidate=entrant.candidate_id,
                seed=seed,
                evaluation=evaluation,
                outcome=outcome,
                total_timesteps=finish.result.total_timesteps if finish.result else None,
            )
        )
    return confirmations


def _evaluate(
    run: ActiveRun, candidate: Candidate, entrant: Entrant, finish: Finish
) -> EvaluateResult:
    """Score a confirming training."""
    assert finish.result is not None
    job_dir = run.store.evaluation_dir(candidate.iteration, candidate.id, entrant.seed)
    caption = f"{candidate.id} seed {entrant.seed}"
    return evaluate_training(
        run, job_dir, entrant.training_dir, finish.result, caption, finish.course, is_filmed=False
    )


@dataclass(frozen=True)
class OverSeeds:
    """A program over its trainings.

    Args:
        scores: of the search, then of the fresh seeds.
        successes: their shares of successes.
    """

    scores: tuple[float, ...]
    successes: tuple[float, ...]

    @classmethod
    def gather(cls, candidate: Candidate, confirmations: Iterable[Confirmation]) -> OverSeeds:
        """Return what is known of a candidate that has a score."""
        evaluations = [candidate.evaluation]
        evaluations += [c.evaluation for c in confirmations if c.candidate == candidate.id]
        known = [item for item in evaluations if item is not None and item.task_score is not None]
        return cls(
            tuple(float(item.task_score or 0.0) for item in known),
            tuple(item.success_rate or 0.0 for item in known),
        )

    @property
    def is_confirmed(self) -> bool:
        """Whether a fresh seed has a score."""
        return len(self.scores) > 1

    @property
    def score(self) -> float:
        """Mean of the task scores."""
        return self._average(self.scores)

    @property
    def fresh(self) -> float:
        """Mean of the task scores of fresh seeds; below every score where there is none."""
        return fmean(self.scores[1:]) if self.is_confirmed else -inf

    @property
    def success(self) -> float:
        """Mean share of successes."""
        return self._average(self.successes)

    def is_ahead_of(self, other: OverSeeds) -> bool:
        """Return whether a difference of scores is more than what seeds make."""
        return self.score - other.score > hypot(self.error, other.error)

    @property
    def error(self) -> float:
        """Standard error of the mean; 0 of a single score."""
        return stdev(self.scores) / sqrt(len(self.scores)) if self.is_confirmed else 0.0

    def _average(self, values: tuple[float, ...]) -> float:
        weights = [SEARCH_WEIGHT, *[1.0] * (len(values) - 1)]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)
