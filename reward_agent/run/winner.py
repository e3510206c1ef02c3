"""Winner: what a run ends with, a program judged over its seeds and the best policy of all."""

from __future__ import annotations

from collections.abc import Sequence

from reward_agent.errors import BudgetError, RewardAgentError
from reward_agent.records.store import (
    Candidate,
    Confirmation,
    RunRecord,
    Saving,
    Winner,
    rank_candidates,
)
from reward_agent.run.active import ActiveRun, count_spent, update_run
from reward_agent.run.baselines import measure_baselines
from reward_agent.run.confirm import OverSeeds, confirm, find_finalists, is_target_confirmed
from reward_agent.run.estimate import count_steps
from reward_agent.run.handover import hand_policy, make_winner
from reward_agent.run.judge import judge_winner
from reward_agent.run.race import find_run_target
from reward_agent.types import rank_value

# Share of successes from which on a task without an upper end may be left as it is.
LEAST_SUCCESS = 0.5


def name_winner(run: ActiveRun) -> RunRecord:
    """Train the two best again with fresh seeds, name the winner and write the run's results.

    Raises:
        RewardAgentError: nothing was trained.
    """
    _check_trained(run)
    run.background.add(lambda: measure_baselines(run))
    is_done = is_target_confirmed(run)
    trained = [item for item in run.store.list_finished() if item.evaluation is not None]
    # Of what is done, what others do with a fresh seed decides nothing.
    best = rank_candidates(trained)[:1] if is_done else find_finalists(trained)
    confirmations = confirm(run, best)
    for other in (item for item in trained if item.fresh_scores and item not in best):
        confirmations += confirm(run, [other], find_run_target(run))
    run.background.finish()
    winner = choose_winner(run, trained, confirmations)
    if winner is not None and len(winner.task_scores) < run.settings.winner_seeds:
        # It was put aside too soon.
        [again] = [item for item in trained if item.id == winner.candidate]
        confirmations = [item for item in confirmations if item.candidate != again.id]
        confirmations += confirm(run, [again])
        winner = choose_winner(run, trained, confirmations)
    if winner is not None:
        winner = hand_policy(run, winner, trained, confirmations)
        judge_winner(run, winner)
    known = count_spent(run, confirmations=tuple(confirmations))
    saving = _estimate_saving(run, known) if winner else None
    return update_run(
        run,
        confirmations=tuple(confirmations),
        status="finished",
        note=_describe_end(run, is_done, saving) if winner else _UNRANKED,
        limit=run.team.budget.reached,
        winner=winner,
        saving=saving,
    )


_UNRANKED = "nothing was ranked: the task has no metric"


def _check_trained(run: ActiveRun) -> None:
    candidates = run.store.list_finished()
    if any(candidate.evaluation is not None for candidate in candidates):
        return
    if run.team.budget.reached:
        raise BudgetError(
            f"{run.team.budget.reached}; no program was trained before",
            "give a higher limit, or lower the most that a call can cost with --reply-tokens, and "
            f"go on with: {run.store.resume_command}",
        )
    raise RewardAgentError(*_explain_no_candidate(run, candidates))


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


def has_stopped_improving(run: ActiveRun) -> bool:
    """Return whether a round brought nothing to a task without an upper end that is done.

    What a person set a score for, and what has not yet reached the task's own, goes on.
    """
    of_sessions = run.store.list_session_rounds()
    rounds = [index for index in run.store.list_iterations() if index not in of_sessions]
    ranked = rank_candidates(run.store.list_finished())
    target, is_asked = find_run_target(run), run.settings.early_stop and run.metric.source
    if len(rounds) < 2 or not ranked or target is not None or not is_asked or run.task.is_bounded:
        return False
    best, aim = ranked[0], run.task.target_score
    is_good = aim is None or rank_value(best.task_score) >= aim
    rate = best.evaluation.success_rate if best.evaluation else None
    return is_good and (rate or 0.0) >= LEAST_SUCCESS and best.iteration < rounds[-1]


def _count_rounds(run: ActiveRun) -> int:
    return len(run.store.list_iterations()) - len(run.store.list_session_rounds())


def _estimate_saving(run: ActiveRun, record: RunRecord) -> Saving | None:
    """Return what a run that ends before its last round does without, by what it spent so far."""
    rounds, settings = _count_rounds(run), run.settings
    left = settings.iterations - rounds
    if left <= 0 or run.team.budget.reached:
        return None
    steps = max(0, int(count_steps(settings, run.card)[0]) - record.total_timesteps)
    computing_s = max(0.0, record.wall_s - record.slot_seconds.get("llm", 0.0))
    return Saving(
        rounds=left,
        programs=left * settings.candidates,
        env_steps=steps,
        wall_s=computing_s * steps / max(1, record.total_timesteps),
        n_calls=round(record.usage.n_calls / max(1, rounds) * left),
    )


def _describe_end(run: ActiveRun, is_done: bool, saving: Saving | None) -> str:
    """Say why a run ended before its last round, and what it did without."""
    if saving is None:
        return ""
    why = "the target is held on fresh seeds" if is_done else "nothing improved for a round"
    return f"done after round {_count_rounds(run)} of {run.settings.iterations}: {why}; {saving}"


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
