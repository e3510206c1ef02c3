"""Winner: the two best are trained again, with seeds that took no part in the choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from reward_agent.designers.brief import HistoryEntry
from reward_agent.designers.history import find_best, read_history
from reward_agent.errors import BudgetError, DataError, RewardAgentError
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.records.events import Confirming
from reward_agent.records.jobs import RESULT_FILE, TRAJECTORIES_FILE, EvaluateResult
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import (
    Candidate,
    Confirmation,
    RunRecord,
    RunStore,
    Winner,
    read_record,
    write_text,
)
from reward_agent.report.page import write_report
from reward_agent.run.active import ActiveRun
from reward_agent.run.evaluate import evaluate_training, film
from reward_agent.run.train import Entrant, train_until
from reward_agent.types import RewardProgram, TrainingResult, rank_value

# Seeds of confirmations start here, above the run's own seed.
FRESH_SEED = 100


def name_winner(run: ActiveRun) -> RunRecord:
    """Train the two best again with fresh seeds, name the winner and write the run's results.

    Raises:
        RewardAgentError: nothing was trained.
    """
    entries = read_history(run.store)
    trained = [entry for entry in entries if entry.candidate.evaluation is not None]
    if not trained and run.budget.reached:
        raise BudgetError(
            f"{run.budget.reached}; no program was trained before",
            "give a higher limit, or lower the most that a call can cost with --reply-tokens, and "
            f"go on with: {run.store.resume_command}",
        )
    if not trained:
        raise RewardAgentError(*_explain_no_candidate(run, [e.candidate for e in entries]))
    confirmations = confirm_best(run, trained)
    run.background.finish()
    winner = choose_winner(run, trained, confirmations)
    return update_run(
        run,
        status="finished",
        note="" if winner else "nothing was ranked: the task has no metric",
        limit=run.budget.reached,
        confirmations=tuple(confirmations),
        winner=film_winner(run, winner) if winner else None,
    )


def update_run(run: ActiveRun, **changes: object) -> RunRecord:
    """Bring run.json, reward.py and the report up to date.

    Args:
        run: the run in progress.
        changes: of its record, beside what was spent.
    """
    record = run.store.read_run().model_copy(update=changes)
    entries = read_history(run.store)
    n_confirmed = sum(item.evaluation is not None for item in record.confirmations)
    spent = {
        "usage": run.budget.usage,
        "total_timesteps": sum(entry.candidate.total_timesteps for entry in entries)
        + n_confirmed * run.settings.steps,
        "wall_s": run.ledger.elapsed_s,
        "slot_seconds": run.ledger.account(),
    }
    record = record.model_copy(update=spent)
    with run.ledger.spend("report"):
        write_results(run.store, record)
    return record


def write_results(store: RunStore, record: RunRecord) -> None:
    """Write run.json, and what follows from it: the program in reward.py, the report."""
    store.write_run(record)
    if record.winner is not None:
        source = store.read_program(record.winner.iteration, record.winner.candidate)
    else:
        best = find_best(read_history(store))
        source = best.program.source if best and best.program else ""
    if source:
        write_text(store.dir / "reward.py", source)
    write_report(store.dir)


def _explain_no_candidate(run: ActiveRun, candidates: list[Candidate]) -> tuple[str, str]:
    outcomes = [candidate.outcome for candidate in candidates]
    common = max(set(outcomes), key=outcomes.count)
    return (
        f"no candidate passed: {len(outcomes)} of {len(outcomes)} programs ended before a "
        f"result, most often '{common}'",
        f"reword the task, use another model, or go on with "
        f"`{run.store.resume_command} --iterations "
        f"{run.settings.iterations + 2}`",
    )


def confirm_best(run: ActiveRun, trained: Sequence[HistoryEntry]) -> list[Confirmation]:
    """Train the two best programs again, ``winner_seeds`` times each."""
    scored = [entry for entry in trained if entry.candidate.task_score is not None]
    ranked = sorted(scored, key=lambda entry: -rank_value(entry.candidate.task_score))
    confirmations: list[Confirmation] = []
    for number in range(run.settings.winner_seeds):
        seed = run.settings.seed + FRESH_SEED + number
        confirmations += _confirm_with_seed(run, ranked[:2], seed)
    return confirmations


def _confirm_with_seed(
    run: ActiveRun, entries: Sequence[HistoryEntry], seed: int
) -> list[Confirmation]:
    run.notify(Confirming(tuple(e.candidate.id for e in entries), seed))
    entrants = [_make_entrant(run, entry, seed) for entry in entries]
    finishes = train_until(run, entrants, run.settings.steps)
    confirmations = []
    for entrant, entry in zip(entrants, entries, strict=True):
        finish = finishes[entrant.candidate_id]
        evaluation = None
        outcome = finish.outcome
        if finish.result is not None and finish.result.snapshots:
            try:
                evaluation = _evaluate(run, entry.candidate, entrant, finish.result).best
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
    # The Designer is shown the episodes of the search's seed.
    _keep_first_episode(job_dir / TRAJECTORIES_FILE)
    return evaluated


def _keep_first_episode(recording: Path) -> None:
    episodes = Trajectories.load(recording)
    if episodes.n_episodes > 1:
        part = recording.with_name("first.npz")
        episodes.keep(1).save(part)
        part.replace(recording)


def _make_entrant(run: ActiveRun, entry: HistoryEntry, seed: int) -> Entrant:
    candidate = entry.candidate
    return Entrant(
        candidate.id,
        run.store.candidate_dir(candidate.iteration, candidate.id),
        run.store.training_dir(candidate.iteration, candidate.id, seed),
        RewardProgram(run.store.read_program(candidate.iteration, candidate.id)),
        seed,
    )


def film_winner(run: ActiveRun, winner: Winner) -> Winner:
    """Film the winner's policy unless it was; of confirming trainings no other is looked at."""
    folder = (run.store.dir / winner.policy_file).parent
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    if not run.settings.video or evaluated.video_file is not None:
        return winner
    filmed = film(run, folder, evaluated)
    name = _name_in_run(run, folder / filmed.video_file) if filmed.video_file else None
    return winner.model_copy(update={"video_file": name})


def choose_winner(
    run: ActiveRun, trained: Sequence[HistoryEntry], confirmations: Sequence[Confirmation]
) -> Winner | None:
    """Name the program with the best mean over fresh seeds; None where nothing is ranked."""
    scored = [entry.candidate for entry in trained if entry.candidate.task_score is not None]
    if not scored:
        return None
    scores = _group_scores(confirmations)
    if scores:
        chosen_id = max(scores, key=lambda name: fmean(scores[name]))
        chosen = next(candidate for candidate in scored if candidate.id == chosen_id)
    else:
        chosen = max(scored, key=lambda candidate: rank_value(candidate.task_score))
    return _make_winner(run, chosen, confirmations, tuple(scores.get(chosen.id, ())))


def _group_scores(confirmations: Sequence[Confirmation]) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    for item in confirmations:
        if item.evaluation is not None and item.evaluation.task_score is not None:
            scores.setdefault(item.candidate, []).append(item.evaluation.task_score)
    return scores


def _make_winner(
    run: ActiveRun,
    chosen: Candidate,
    confirmations: Sequence[Confirmation],
    fresh_scores: tuple[float, ...],
) -> Winner:
    """Describe the winner; its policy is the best of all that were trained with the program."""
    policies = {run.settings.seed: chosen.evaluation}
    policies |= {c.seed: c.evaluation for c in confirmations if c.candidate == chosen.id}
    known = {seed: e for seed, e in policies.items() if e is not None and e.task_score is not None}
    seed = max(known, key=lambda item: rank_value(known[item].task_score))
    folder = run.store.evaluation_dir(chosen.iteration, chosen.id, seed)
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    fresh = [known[c.seed] for c in confirmations if c.candidate == chosen.id and c.seed in known]
    rates = [item.success_rate for item in fresh or [known[seed]] if item.success_rate is not None]
    return Winner(
        candidate=chosen.id,
        iteration=chosen.iteration,
        seed=seed,
        task_score=fmean(fresh_scores) if fresh_scores else chosen.task_score,
        task_scores=fresh_scores,
        success_rate=fmean(rates) if rates else None,
        is_confirmed=bool(fresh_scores),
        policy_file=_name_in_run(run, folder / evaluated.best_file),
        video_file=_name_in_run(run, folder / evaluated.video_file)
        if evaluated.video_file
        else None,
    )


def _name_in_run(run: ActiveRun, path: Path) -> str:
    return path.relative_to(run.store.dir).as_posix()
