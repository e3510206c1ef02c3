"""Handover: the best policy of a run, tried on episodes that nothing was chosen by; its film."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from reward_agent.evaluation.scoring import list_contenders
from reward_agent.files import read_capped, remove
from reward_agent.learning.policy import MAX_POLICY_BYTES
from reward_agent.records.disk import read_record
from reward_agent.records.job import RESULT_FILE
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.store import (
    Candidate,
    Confirmation,
    HandedPolicy,
    Robustness,
    RunStore,
    Winner,
)
from reward_agent.run.active import ActiveRun, copy_into
from reward_agent.run.drawing import film, film_extremes
from reward_agent.run.evaluate import EvaluationPlan, evaluate_policies
from reward_agent.types import Evaluation, Snapshot

# Where the best policies of a run are tried against each other, on seeds of their own.
POLICY_DIR, POLICY_SEED = "policy", 3_000_000
N_POLICIES = 3


def film_winner(run: ActiveRun, winner: Winner) -> Winner:
    """Film the winner's policy unless it was, its best and worst episode, too.

    Of confirming trainings no other is looked at.
    """
    folder = (run.store.dir / winner.policy_file).parent
    evaluated = read_record(folder / RESULT_FILE, EvaluateResult)
    if not run.settings.video:
        return winner
    film_extremes(run, folder)
    if evaluated.video_file is not None:
        return winner
    filmed = film(run, folder, evaluated)
    name = run.store.name_file(folder / filmed.video_file) if filmed.video_file else None
    return winner.model_copy(update={"video_file": name})


def hand_policy(
    run: ActiveRun,
    winner: Winner,
    trained: Sequence[Candidate],
    confirmations: Sequence[Confirmation],
) -> Winner:
    """Give a winner the best policy of all trainings, and film it.

    Those that may be the best by their own scores are tried on fresh episodes; what is taken of
    them is scored on more, by which nothing was chosen. Of equals the program's own comes first.
    """
    known = {c.id: c for c in trained}
    seed = run.settings.seed
    policies = [_Policy(c, seed, c.evaluation) for c in trained if c.evaluation]
    policies += [
        _Policy(known[c.candidate], c.seed, c.evaluation)
        for c in confirmations
        if c.evaluation and c.candidate in known
    ]
    # The last of equals is taken, here and by the job.
    scored = sorted(
        (item for item in policies if item.evaluation.task_score is not None),
        key=lambda item: item.candidate.id == winner.candidate,
    )
    contenders = list_contenders([item.evaluation for item in scored])
    tried = [scored[i] for i in reversed(contenders[:N_POLICIES])]
    folder = run.store.dir / POLICY_DIR
    snapshots = [item.copy_to(run.store, folder / "tried") for item in tried]
    plan = EvaluationPlan(
        folder, seed=POLICY_SEED + seed, n_episodes=run.settings.eval_episodes, is_kept=False
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
    def file(self) -> str:
        return f"{self.candidate.id}_seed_{self.seed}.safetensors"

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
    store: RunStore, chosen: Candidate, seed: int, confirmations: Sequence[Confirmation] = ()
) -> Winner:
    """Describe the winner; its policy is the best of all that were trained with the program."""
    policies = {c.seed: c.evaluation for c in confirmations if c.candidate == chosen.id}
    policies[seed] = chosen.evaluation
    known = {seed: item for seed, item in policies.items() if item is not None}
    best_seed = list(known)[list_contenders(list(known.values()))[0]]
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
