"""Winner: the two best are trained again, with seeds that took no part in the choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import fmean, stdev

from reward_agent.errors import BudgetError, DataError, RewardAgentError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.disk import read_record
from reward_agent.records.events import Confirming
from reward_agent.records.jobs import RESULT_FILE, TRAJECTORIES_FILE, EvaluateResult
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import (
    Candidate,
    Confirmation,
    Robustness,
    RunRecord,
    RunStore,
    Winner,
    rank_candidates,
)
from reward_agent.run.active import ActiveRun, update_run
from reward_agent.run.evaluate import evaluate_training, film
from reward_agent.run.judge import judge_winner
from reward_agent.run.race import find_run_target, train_again
from reward_agent.run.racing import Target
from reward_agent.run.train import Entrant, make_entrant
from reward_agent.threads import map_threads
from reward_agent.types import Evaluation, TrainingResult, rank_value

# Seeds of confirmations start here, above the run's own seed.
FRESH_SEED = 100
# Of the search's own training beside one with a fresh seed: it is why the program was chosen.
SEARCH_WEIGHT = 0.5


def name_winner(run: ActiveRun) -> RunRecord:
    """Train the two best again with fresh seeds, name the winner and write the run's results.

    Raises:
        RewardAgentError: nothing was trained.
    """
    candidates = run.store.list_finished()
    trained = [candidate for candidate in candidates if candidate.evaluation is not None]
    if not trained and run.team.budget.reached:
        raise BudgetError(
            f"{run.team.budget.reached}; no program was trained before",
            "give a higher limit, or lower the most that a call can cost with --reply-tokens, and "
            f"go on with: {run.store.resume_command}",
        )
    if not trained:
        raise RewardAgentError(*_explain_no_candidate(run, candidates))
    ranked = rank_candidates(trained)
    is_done = is_target_confirmed(run)
    # Of what is done, what others do with a fresh seed decides nothing.
    confirmations = confirm(run, ranked[: 1 if is_done else 2])
    run.background.finish()
    winner = choose_winner(run, trained, confirmations)
    if winner:
        judge_winner(run, winner)
    return update_run(
        run,
        status="finished",
        note=_name_saving(run, is_done) if winner else "nothing was ranked: the task has no metric",
        limit=run.team.budget.reached,
        confirmations=tuple(confirmations),
        winner=film_winner(run, winner) if winner else None,
    )


def _explain_no_candidate(run: ActiveRun, candidates: list[Candidate]) -> tuple[str, str]:
    outcomes = [candidate.outcome for candidate in candidates]
    common = max(set(outcomes), key=outcomes.count)
    return (
        f"no candidate passed: all {len(outcomes)} programs ended before a "
        f"result, most often '{common}'",
        f"reword the task, use another model, or go on with "
        f"`{run.store.resume_command} --iterations "
        f"{run.settings.iterations + 2}`",
    )


def is_target_confirmed(run: ActiveRun) -> bool:
    """Return whether the best program so far is where the task is done, on fresh seeds, too.

    These are trained for the answer; where they were, it is read.
    """
    target = find_run_target(run)
    best = next(iter(rank_candidates(run.store.list_finished())), None)
    if target is None or best is None or not _is_there(target, best.evaluation):
        return False
    return all(_is_there(target, item.evaluation) for item in confirm(run, [best]))


def _is_there(target: Target, evaluation: Evaluation | None) -> bool:
    return evaluation is not None and target.is_met(evaluation.task_score, evaluation.success_rate)


def _name_saving(run: ActiveRun, is_done: bool) -> str:
    """Say what a run that ended early did without."""
    rounds = len(run.store.list_iterations()) - len(run.store.list_session_rounds())
    left = run.settings.iterations - rounds
    if not is_done or left <= 0:
        return ""
    return (
        f"done after round {rounds} of {run.settings.iterations}: the target is held on fresh "
        f"seeds; {left * run.settings.candidates} programs less to write and train"
    )


def confirm(run: ActiveRun, candidates: Sequence[Candidate]) -> list[Confirmation]:
    """Train some programs again, ``winner_seeds`` times each; without a metric nothing is asked."""
    if run.metric.source is None:
        return []
    confirmations: list[Confirmation] = []
    for number in range(run.settings.winner_seeds):
        seed = run.settings.seed + FRESH_SEED + number
        confirmations += _confirm_with_seed(run, candidates, seed)
    return confirmations


def _confirm_with_seed(
    run: ActiveRun, candidates: Sequence[Candidate], seed: int
) -> list[Confirmation]:
    run.notify(Confirming(tuple(candidate.id for candidate in candidates), seed))
    entrants = [make_entrant(run.store, c.iteration, c.id, seed) for c in candidates]
    slots = run.executor.n_slots
    finishes = map_threads(slots, lambda entrant: train_again(run, entrant), entrants)
    confirmations = []
    for entrant, candidate, finish in zip(entrants, candidates, finishes, strict=True):
        evaluation = None
        outcome = finish.outcome
        if finish.result is not None and finish.result.snapshots:
            try:
                evaluation = _evaluate(run, candidate, entrant, finish.result).best
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
    run: ActiveRun, candidate: Candidate, entrant: Entrant, result: TrainingResult
) -> EvaluateResult:
    """Score a confirming training; of what it left, keep what somebody reads later."""
    job_dir = run.store.evaluation_dir(candidate.iteration, candidate.id, entrant.seed)
    caption = f"{candidate.id} seed {entrant.seed}"
    evaluated = evaluate_training(
        run, job_dir, entrant.training_dir, result, caption, is_filmed=False
    )
    # The Designer is shown the episodes of the run's seed.
    recording = job_dir / TRAJECTORIES_FILE
    episodes = Trajectories.load(recording)
    if episodes.n_episodes > 1:
        episodes.keep(1).save(recording)
    return evaluated


def film_winner(run: ActiveRun, winner: Winner) -> Winner:
    """Film the winner's policy unless it was; of confirming trainings no other is looked at."""
    folder = (run.store.dir / winner.policy_file).parent
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    if not run.settings.video or evaluated.video_file is not None:
        return winner
    filmed = film(run, folder, evaluated)
    name = run.store.name_file(folder / filmed.video_file) if filmed.video_file else None
    return winner.model_copy(update={"video_file": name})


def choose_winner(
    run: ActiveRun, trained: Sequence[Candidate], confirmations: Sequence[Confirmation]
) -> Winner | None:
    """Name the program that is best over its seeds; None where nothing is ranked.

    One training says little of a program: what is behind by less than seeds differ is not told
    apart by score, and the share of successes decides, then the score.
    """
    ranked = rank_candidates(trained)
    if not ranked:
        return None
    records = {c.id: OverSeeds.gather(c, confirmations) for c in ranked}
    known = [c for c in ranked if records[c.id].is_confirmed] or ranked[:1]
    best = max(known, key=lambda c: records[c.id].score)
    tied = [c for c in known if not records[best.id].is_ahead_of(records[c.id])]
    chosen = max(tied, key=lambda c: (records[c.id].success, records[c.id].score))
    return make_winner(run.store, chosen, run.settings.seed, confirmations)


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
    def success(self) -> float:
        """Mean share of successes."""
        return self._average(self.successes)

    def is_ahead_of(self, other: OverSeeds) -> bool:
        """Return whether a difference of scores is more than what seeds make."""
        return self.score - other.score > hypot(self._find_error(), other._find_error())

    def _average(self, values: tuple[float, ...]) -> float:
        weights = [SEARCH_WEIGHT, *[1.0] * (len(values) - 1)]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    def _find_error(self) -> float:
        """Return the standard error of the mean."""
        return stdev(self.scores) / sqrt(len(self.scores)) if self.is_confirmed else 0.0


def _list_scores(candidate: Candidate, confirmations: Iterable[Confirmation]) -> list[float]:
    own = [c.evaluation for c in confirmations if c.candidate == candidate.id]
    return [e.task_score for e in own if e is not None and e.task_score is not None]


def _compare_physics(evaluated: EvaluateResult) -> Robustness | None:
    """Return the scores of a policy with each physics, without their episodes."""
    if evaluated.randomised is None:
        return None
    own, randomised = (
        evaluation.model_copy(update={"episodes": ()})
        for evaluation in (evaluated.best, evaluated.randomised)
    )
    return Robustness(own=own, randomised=randomised)


def make_winner(
    store: RunStore, chosen: Candidate, seed: int, confirmations: Sequence[Confirmation] = ()
) -> Winner:
    """Describe the winner; its policy is the best of all that were trained with the program."""
    policies = {seed: chosen.evaluation}
    policies |= {c.seed: c.evaluation for c in confirmations if c.candidate == chosen.id}
    known = {seed: item for seed, item in policies.items() if item is not None}
    best_seed = max(known, key=lambda item: rank_value(known[item].task_score))
    folder = store.evaluation_dir(chosen.iteration, chosen.id, best_seed)
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    fresh_scores = _list_scores(chosen, confirmations)
    fresh = [item for key, item in known.items() if key != seed and item.task_score is not None]
    rates = [e.success_rate for e in fresh or [known[best_seed]] if e.success_rate is not None]
    film_path = folder / evaluated.video_file if evaluated.video_file else None
    return Winner(
        candidate=chosen.id,
        iteration=chosen.iteration,
        seed=best_seed,
        task_score=fmean(fresh_scores) if fresh_scores else chosen.task_score,
        task_scores=tuple(fresh_scores),
        success_rate=fmean(rates) if rates else None,
        is_confirmed=bool(fresh_scores),
        policy_file=store.name_file(folder / evaluated.best_file),
        robustness=_compare_physics(evaluated),
        video_file=store.name_file(film_path) if film_path else None,
    )
