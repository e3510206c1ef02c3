"""The adversary: a short training on a proposed metric itself, filmed.

It shows what the cheapest way to a high score looks like, and whether a success can be found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import DataError, JobError
from reward_agent.executors import JobRequest
from reward_agent.records.disk import read_optional
from reward_agent.records.jobs import digest_files
from reward_agent.records.judgement import JUDGEMENT_FILE, Judgement
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import RunSettings
from reward_agent.records.training_jobs import ClimbJob
from reward_agent.records.trial import TrialRow
from reward_agent.run.active import ActiveRun, Metric, copy_into
from reward_agent.run.drawing import film
from reward_agent.run.evaluate import EVALUATION_SEED, EvaluationPlan, evaluate_policies
from reward_agent.run.judge import judge_evaluation
from reward_agent.run.train import name_finish
from reward_agent.types import RewardProgram, TrainingResult

_SHARE, _LEAST_STEPS = 10, 10_000
_N_POINTS, _N_EPISODES = 4, 4
# Of the scale: what is no rise any more, over the last half of the training.
_FLAT = 0.05
PAYS: tuple[Literal["score", "success"], ...] = ("score", "success")


@dataclass(frozen=True)
class Climb:
    """What came of the trainings on a metric.

    Args:
        rows: of the policies, in the trial's table.
        total_timesteps: env steps that it took.
    """

    rows: tuple[TrialRow, ...] = ()
    total_timesteps: int = 0


def count_adversary_steps(settings: RunSettings) -> int:
    """Return the env steps of each of the trainings on one metric; 0 for none."""
    if settings.adversary_steps is not None:
        return settings.adversary_steps
    share = settings.steps // _SHARE
    return share if share >= _LEAST_STEPS else 0


def climb_metric(run: ActiveRun, folder: Path, source: str, scale: float) -> Climb:
    """Train on a metric's score, and on its success alone; return what the policies do.

    A training that fails costs its row.
    """
    steps = count_adversary_steps(run.settings)
    if not steps or scale <= 0:
        return Climb()
    files = {METRIC_FILE: source.encode()}
    requests = []
    for pays in PAYS:
        job_dir = folder / f"adversary_{pays}"
        copy_into(job_dir, files)
        job = ClimbJob(
            card=run.card,
            inputs=digest_files(files),
            program_sha256=RewardProgram(source).sha256,
            seed=run.settings.seed,
            total_timesteps=steps,
            until_timesteps=steps,
            n_points=_N_POINTS,
            learner=run.card.learner,
            pays=pays,
            scale=scale,
        )
        requests.append(JobRequest(job, job_dir, run.limits))
    finishes = [name_finish(job_exit) for job_exit in run.run_jobs(requests)]
    judged = replace(run, metric=Metric(source, "proposed: accepted unseen"))
    rows, total = [], 0
    for pays, request, finish in zip(PAYS, requests, finishes, strict=True):
        if finish.result is None:
            continue
        total += finish.result.total_timesteps
        if finish.result.snapshots and not finish.has_failed:
            row = _evaluate(judged, request.job_dir, finish.result, pays, scale)
            rows += [row] if row is not None else []
    return Climb(tuple(rows), total)


def _evaluate(
    run: ActiveRun, training_dir: Path, result: TrainingResult, pays: str, scale: float
) -> TrialRow | None:
    plan = EvaluationPlan(
        training_dir / "evaluation",
        seed=EVALUATION_SEED + run.settings.seed,
        n_episodes=_N_EPISODES,
        n_filmed=1 if run.settings.video or run.team.judge else 0,
        caption=f"trained on the metric's {pays} alone",
    )
    try:
        evaluated = evaluate_policies(run, training_dir, result.snapshots, plan)
        if run.settings.video:
            evaluated = film(run, plan.job_dir, evaluated)
    except (DataError, JobError):
        return None
    # Its own name in each proposal: the judge is asked once about a film.
    owner = f"adversary_{training_dir.parent.name}_{pays}"
    judge_evaluation(run, plan.job_dir, owner, run.settings.seed)
    judgement = read_optional(plan.job_dir / JUDGEMENT_FILE, Judgement)

    def name(file: str | None) -> str | None:
        return run.store.name_file(plan.job_dir / file) if file else None

    return TrialRow.of_policy(
        evaluated.best,
        run.card.control_dt,
        behaviour=f"{result.total_timesteps:,} steps paid by its {pays}",
        kind="adversary",
        is_flat=_is_flat(evaluated, scale),
        film=name(evaluated.video_file),
        strip=name(evaluated.strip_file),
        judged=judgement.summarise() if judgement else "",
        conflict=judgement.conflict if judgement else "",
    )


def _is_flat(evaluated: EvaluateResult, scale: float) -> bool:
    """Whether the last half of the training no longer raised the score."""
    scores = [item.task_score for item in evaluated.curve if item.task_score is not None]
    return len(scores) > 1 and max(scores[1:]) - scores[0] < _FLAT * scale
