"""Winner: what a run ends with, a program judged over its seeds and the best policy of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from reward_agent.errors import BudgetError, RewardAgentError
from reward_agent.files import read_capped, remove
from reward_agent.learning.policy import MAX_POLICY_BYTES
from reward_agent.records.disk import read_record
from reward_agent.records.jobs import RESULT_FILE, EvaluateResult
from reward_agent.records.store import (
    Candidate,
    Confirmation,
    HandedPolicy,
    Robustness,
    RunRecord,
    RunStore,
    Saving,
    Winner,
    rank_candidates,
)
from reward_agent.run.active import ActiveRun, copy_into, update_run
from reward_agent.run.confirm import OverSeeds, confirm, is_target_confirmed
from reward_agent.run.estimate import count_steps
from reward_agent.run.evaluate import EvaluationPlan, evaluate_policies, film
from reward_agent.run.judge import judge_winner
from reward_agent.run.race import find_run_target
from reward_agent.types import Evaluation, Snapshot, rank_value

# Where the best policies of a run are tried against each other, on seeds of their own.
POLICY_DIR, POLICY_SEED = "policy", 3_000_000
N_POLICIES = 3
# Share of successes from which on a task without an upper end may be left as it is.
LEAST_SUCCESS = 0.5


def name_winner(run: ActiveRun) -> RunRecord:
    """Train the two best again with fresh seeds, name the winner and write the run's results.

    Raises:
        RewardAgentError: nothing was trained.
    """
    _check_trained(run)
    is_done = is_target_confirmed(run)
    trained = [item for item in run.store.list_finished() if item.evaluation is not None]
    # Of what is done, what others do with a fresh seed decides nothing.
    best = rank_candidates(trained)[: 1 if is_done else 2]
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
    known = update_run(run, confirmations=tuple(confirmations))
    saving = _estimate_saving(run, known) if winner else None
    return update_run(
        run,
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
    steps = max(0, int(count_steps(settings)[0]) - record.total_timesteps)
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


def hand_policy(
    run: ActiveRun,
    winner: Winner,
    trained: Sequence[Candidate],
    confirmations: Sequence[Confirmation],
) -> Winner:
    """Give a winner the best policy of all trainings, and film it.

    The best by their own scores are tried on fresh episodes; the score of the best of them is of
    more episodes, by which nothing was chosen. Of equals the program's own comes first.
    """
    known = {c.id: c for c in trained}
    seed = run.settings.seed
    policies = [_Policy(c, seed, c.evaluation) for c in trained if c.evaluation]
    policies += [
        _Policy(known[c.candidate], c.seed, c.evaluation)
        for c in confirmations
        if c.evaluation and c.candidate in known
    ]
    scored = [item for item in policies if item.evaluation.task_score is not None]
    # The last of equals is taken, here and by the job.
    ranked = sorted(scored, key=lambda item: (item.score, item.candidate.id == winner.candidate))
    tried = [item for item in ranked if item.may_equal(ranked[-1])][-N_POLICIES:]
    folder = run.store.dir / POLICY_DIR
    snapshots = [item.copy_to(run.store, folder / "tried") for item in tried]
    plan = EvaluationPlan(
        folder,
        seed=POLICY_SEED + seed,
        n_episodes=run.settings.eval_episodes,
        is_kept=False,
    )
    evaluated = evaluate_policies(run, folder / "tried", snapshots, plan)
    remove(folder / "tried")
    best = next(item for item in tried if item.file == evaluated.best_file)
    remove(folder / best.file)
    policy = HandedPolicy(
        candidate=best.candidate.id,
        iteration=best.candidate.iteration,
        seed=best.seed,
        evaluation=evaluated.best.model_copy(update={"episodes": ()}),
    )
    handed = make_winner(run.store, best.candidate, best.seed)
    changes = handed.model_dump(include={"seed", "policy_file", "video_file"})
    changes |= {"policy": policy, "robustness": handed.robustness}
    return film_winner(run, winner.model_copy(update=changes))


@dataclass(frozen=True)
class _Policy:
    """The best policy of one training, with the score by which it was chosen."""

    candidate: Candidate
    seed: int
    evaluation: Evaluation

    @property
    def score(self) -> tuple[float, float]:
        return rank_value(self.evaluation.task_score), self.evaluation.success_rate or 0.0

    @property
    def file(self) -> str:
        return f"{self.candidate.id}_seed_{self.seed}.safetensors"

    def may_equal(self, best: _Policy) -> bool:
        """Return whether no interval sets it apart from the best."""
        high = (self.evaluation.task_score_interval or (0.0, self.score[0]))[1]
        return high >= (best.evaluation.task_score_interval or (best.score[0], 0.0))[0]

    def copy_to(self, store: RunStore, folder: Path) -> Snapshot:
        source = store.evaluation_dir(self.candidate.iteration, self.candidate.id, self.seed)
        name = read_record(source / RESULT_FILE, EvaluateResult).best_file
        copy_into(folder, {self.file: read_capped(source / name, MAX_POLICY_BYTES)})
        return Snapshot(total_timesteps=self.evaluation.total_timesteps, file=self.file)


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
    store: RunStore,
    chosen: Candidate,
    seed: int,
    confirmations: Sequence[Confirmation] = (),
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
