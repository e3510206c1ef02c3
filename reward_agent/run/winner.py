"""Winner: the two best are trained again, with seeds that took no part in the choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from statistics import fmean

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
from reward_agent.run.train import Entrant, make_entrant, train_until
from reward_agent.types import TrainingResult, rank_value

# Seeds of confirmations start here, above the run's own seed.
FRESH_SEED = 100


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
    confirmations = confirm_best(run, trained)
    run.background.finish()
    winner = choose_winner(run, trained, confirmations)
    return update_run(
        run,
        status="finished",
        note="" if winner else "nothing was ranked: the task has no metric",
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


def confirm_best(run: ActiveRun, trained: Sequence[Candidate]) -> list[Confirmation]:
    """Train the two best programs again, ``winner_seeds`` times each."""
    confirmations: list[Confirmation] = []
    for number in range(run.settings.winner_seeds):
        seed = run.settings.seed + FRESH_SEED + number
        confirmations += _confirm_with_seed(run, rank_candidates(trained)[:2], seed)
    return confirmations


def _confirm_with_seed(
    run: ActiveRun, candidates: Sequence[Candidate], seed: int
) -> list[Confirmation]:
    run.notify(Confirming(tuple(candidate.id for candidate in candidates), seed))
    entrants = [make_entrant(run.store, c.iteration, c.id, seed) for c in candidates]
    finishes = train_until(run, entrants, run.settings.steps)
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
                candidate=entrant.candidate_id, seed=seed, evaluation=evaluation, outcome=outcome
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
    """Name the program with the best mean over fresh seeds; None where nothing is ranked."""
    ranked = rank_candidates(trained)
    means = {c.id: fmean(scores) for c in ranked if (scores := _list_scores(c, confirmations))}
    if means:
        chosen = max(ranked, key=lambda candidate: means.get(candidate.id, -inf))
    elif ranked:
        chosen = ranked[0]
    else:
        return None
    return make_winner(run.store, chosen, run.settings.seed, confirmations)


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
