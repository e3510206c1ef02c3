"""Evaluate: what a policy is worth by the task's metric, what it looks like, what it does.

Children that hold no reward program score it; a child that may use the graphics driver films it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.evaluation.arrays import MAX_RECORDING_BYTES
from reward_agent.evaluation.scoring import list_contenders
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.executors.journal import read_exit
from reward_agent.files import read_capped, remove
from reward_agent.learning.policy import MAX_POLICY_BYTES, check_policy
from reward_agent.records.disk import read_optional, write_record, write_text
from reward_agent.records.exploration import Exploration
from reward_agent.records.job import (
    CHECKPOINT_FILE,
    JOB_FILE,
    MEMORY_FILE,
    PROGRAM_FILE,
    RESULT_FILE,
    TRAJECTORIES_FILE,
)
from reward_agent.records.jobs import digest_files
from reward_agent.records.judgement import SHOWN
from reward_agent.records.scoring_jobs import (
    EvaluateJob,
    EvaluateResult,
    ExploreJob,
    ExploreResult,
    RelabelJob,
    RelabelResult,
    ScoreJob,
    ScoreResult,
)
from reward_agent.records.store import Candidate
from reward_agent.run.active import ActiveRun, Lab, copy_into
from reward_agent.run.drawing import film
from reward_agent.run.starts import note_starts
from reward_agent.run.train import Entrant
from reward_agent.summary.memory import read_memory
from reward_agent.summary.summary import TrajectorySummary, render_summary, summarise
from reward_agent.types import (
    Evaluation,
    ProbeReport,
    RewardProgram,
    Snapshot,
    TrainingResult,
    name_failure,
    rank_value,
)

# Seeds of evaluations: far from the seeds of trainings, and apart from each other.
EVALUATION_SEED = 1_000_000
RUNG_SEED, HELD_SEED = 2_000_000, 2_500_000
# Episodes of a score between slices: how far off it may be counts in what is decided by it.
N_RUNG_EPISODES = 4
# Of the env steps of a training, what the choice of its policy may take where nothing is known of
# its course. Where a simulation is slow, little is trained, and episodes cost as much.
EVALUATION_SHARE = 0.1
LEAST_SNAPSHOTS = 4
# Share of the policies from some step on that hold a score, where the training is said to hold it.
HOLDING = 0.9
# Of a course that was scored on the way, so many policies are tried again.
N_FINALISTS = 2
# Episodes that are kept to be drawn: median, best, worst, upper quartile.
N_FILMED = 4


@dataclass(frozen=True)
class EvaluationPlan:
    """What to evaluate, where, and how carefully."""

    job_dir: Path
    seed: int
    n_episodes: int
    n_curve_episodes: int = 4
    n_filmed: int = 0
    caption: str = ""
    is_kept: bool = True


def evaluate_policies(
    lab: Lab, training_dir: Path, snapshots: Sequence[Snapshot], plan: EvaluationPlan
) -> EvaluateResult:
    """Evaluate the snapshots that one training left in its folder, oldest first.

    Raises:
        DataError: a snapshot is not a policy for this environment.
        JobError: the evaluation itself failed.
    """
    if lab.metric.source is not None and not lab.metric.is_trusted:
        return _evaluate_by_generated_metric(lab, training_dir, snapshots, plan)
    return _run_evaluation(lab, training_dir, snapshots, plan)


def _run_evaluation(
    lab: Lab, training_dir: Path, snapshots: Sequence[Snapshot], plan: EvaluationPlan
) -> EvaluateResult:
    """Run the evaluation child; a trusted metric goes with it."""
    files = {
        item.file: read_capped(training_dir / item.file, MAX_POLICY_BYTES) for item in snapshots
    }
    has_metric = lab.metric.is_trusted
    if has_metric:
        assert lab.metric.source is not None
        files[METRIC_FILE] = lab.metric.source.encode()
    copy_into(plan.job_dir, files)
    for item in snapshots:
        check_policy(plan.job_dir / item.file, lab.card)
    job = EvaluateJob(
        card=lab.card,
        inputs=digest_files(files),
        snapshots=tuple(snapshots),
        seed=plan.seed,
        n_episodes=plan.n_episodes,
        n_curve_episodes=plan.n_curve_episodes,
        has_metric=has_metric,
        is_kept=plan.is_kept or not has_metric,
        metric_sha256=lab.metric.sha256,
        n_filmed=plan.n_filmed,
        caption=plan.caption,
    )
    job_exit = lab.run_job(job, plan.job_dir)
    assert isinstance(job_exit.result, EvaluateResult)
    # Those that were not chosen lie where they were trained.
    for name in set(files) - {METRIC_FILE, job_exit.result.best_file}:
        remove(plan.job_dir / name)
    return job_exit.result


def _evaluate_by_generated_metric(
    lab: Lab, training_dir: Path, snapshots: Sequence[Snapshot], plan: EvaluationPlan
) -> EvaluateResult:
    """Record episodes without a metric, then score the records in a child of their own.

    That takes two children a policy, so of a long course every other one is left out.
    """
    curve = []
    if len(snapshots) >= LEAST_SNAPSHOTS:
        snapshots = snapshots[-1::-2][::-1]
    for snapshot in snapshots:
        folder = plan.job_dir / f"point_{snapshot.total_timesteps}"
        point = EvaluationPlan(folder, plan.seed, plan.n_curve_episodes)
        curve.append(_record_and_evaluate(lab, training_dir, snapshot, point).best)
        _drop_episodes(folder, snapshot)
    best_index = list_contenders(curve)[0]
    final = _record_and_evaluate(lab, training_dir, snapshots[best_index], plan)
    final = final.model_copy(update={"curve": tuple(curve)})
    # The child that recorded the episodes knew no score of them.
    write_record(plan.job_dir / RESULT_FILE, final)
    return final


def _record_and_evaluate(
    lab: Lab, training_dir: Path, snapshot: Snapshot, plan: EvaluationPlan
) -> EvaluateResult:
    recorded = _run_evaluation(lab, training_dir, [snapshot], plan)
    evaluation = evaluate_recorded(lab, plan.job_dir, recorded.best, recorded.trajectories_sha256)
    return recorded.model_copy(update={"best": evaluation, "curve": (evaluation,)})


def evaluate_recorded(
    lab: Lab, recorded_dir: Path, recorded: Evaluation, trajectories_sha256: str | None = None
) -> Evaluation:
    """Score recorded episodes by the generated metric; without a score if it fails.

    Args:
        lab: the environment and the metric.
        recorded_dir: where the episodes lie; once they are scored, they may be gone.
        recorded: what is known of them without a metric.
        trajectories_sha256: which they are; None: those that lie there.
    """
    assert lab.metric.source is not None
    job_dir, known = recorded_dir / "score", trajectories_sha256
    scored = score_recorded(lab, lab.metric.source, recorded_dir, job_dir, recorded, known)
    return scored.evaluation if scored.evaluation is not None else recorded


def score_recorded(
    lab: Lab,
    source: str,
    recorded_dir: Path,
    job_dir: Path,
    recorded: Evaluation,
    trajectories_sha256: str | None = None,
) -> ScoreResult:
    """Score recorded episodes by generated code, in a child of its own.

    Args:
        lab: the environment.
        source: text of ``score(episode)``.
        recorded_dir: as for ``evaluate_recorded``.
        job_dir: where it is scored.
        recorded: what is known of the episodes.
        trajectories_sha256: as for ``evaluate_recorded``.
    """
    files = {METRIC_FILE: source.encode()}
    recording = recorded_dir / TRAJECTORIES_FILE
    if recording.is_file():
        files[TRAJECTORIES_FILE] = read_capped(recording, MAX_RECORDING_BYTES)
    known = trajectories_sha256
    job = ScoreJob(
        card=lab.card,
        inputs={} if known is None else {TRAJECTORIES_FILE: known},
        metric_sha256=RewardProgram(source).sha256,
        total_timesteps=recorded.total_timesteps,
        seed=recorded.seed,
    )
    job_exit = lab.run_job(job, job_dir, files)
    remove(job_dir / TRAJECTORIES_FILE)
    if isinstance(job_exit.result, ScoreResult):
        return job_exit.result
    return ScoreResult(outcome=name_failure(str(job_exit.outcome)))


def evaluate_rung(
    run: ActiveRun, entrant: Entrant, snapshot: Snapshot, *, is_fresh: bool = False
) -> Evaluation:
    """Score the policy that a training had when it paused, on a few episodes.

    Args:
        run: the run in progress.
        entrant: who trains.
        snapshot: the policy.
        is_fresh: on episodes of other starts, as many as of a final score: it may end here.
    """
    steps, seed = snapshot.total_timesteps, entrant.seed
    kind, base = ("held", HELD_SEED) if is_fresh else ("rung", RUNG_SEED)
    plan = EvaluationPlan(
        entrant.candidate_dir / "evaluation" / f"{kind}_{steps}_seed_{seed}",
        seed=base + run.settings.seed,
        n_episodes=run.settings.eval_episodes if is_fresh else N_RUNG_EPISODES,
        is_kept=False,
    )
    evaluated = evaluate_policies(run, entrant.training_dir, [snapshot], plan)
    # Only the score is asked for; the episodes would be the most that a run leaves.
    _drop_episodes(plan.job_dir, snapshot)
    return evaluated.best


def _thin_out(run: ActiveRun, snapshots: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """Return as many of the snapshots as may be tried, the last and others evenly before it."""
    n_episodes = int(EVALUATION_SHARE * run.settings.steps / run.card.max_episode_steps)
    n_affordable = n_episodes // EvaluationPlan.n_curve_episodes
    n_tried = min(len(snapshots), max(LEAST_SNAPSHOTS, n_affordable))
    places = np.linspace(len(snapshots) - 1, 0, n_tried, endpoint=n_tried == len(snapshots))
    return tuple(snapshots[place] for place in sorted(places.round().astype(int)))


def _choose_finalists(
    snapshots: Sequence[Snapshot], course: Sequence[Evaluation]
) -> tuple[Snapshot, ...]:
    """Return the policies of a known course that may be its best.

    That are the best that has a score, whatever no interval sets apart from it, and those without a
    score that lie beside it or come last.
    """
    known = [item for item in course if item.task_score is not None]
    near = [known[i].total_timesteps for i in list_contenders(known)[:N_FINALISTS]]
    order = [item.total_timesteps for item in snapshots]
    place = order.index(near[0]) if near[0] in order else len(order)
    beside = {*order[max(0, place - 1) : place + 2], order[-1]}
    beside -= {item.total_timesteps for item in known}
    return tuple(item for item in snapshots if item.total_timesteps in beside | set(near))


def _drop_episodes(folder: Path, snapshot: Snapshot) -> None:
    for name in (TRAJECTORIES_FILE, snapshot.file):
        remove(folder / name)


def evaluate_training(
    run: ActiveRun,
    job_dir: Path,
    training_dir: Path,
    result: TrainingResult,
    caption: str,
    course: Sequence[Evaluation] = (),
    *,
    is_filmed: bool = True,
) -> EvaluateResult:
    """Score a training that has ended: its course, and its best policy on fresh episodes.

    What was scored on the way is not scored again: only the best of it is tried with more episodes.
    A whole training is filmed as well, in the background, unless ``is_filmed`` says otherwise.
    """
    is_known = any(item.task_score is not None for item in course)
    tried = _choose_finalists(result.snapshots, course) if is_known else ()
    plan = EvaluationPlan(
        job_dir,
        seed=EVALUATION_SEED + run.settings.seed + result.seed,
        n_episodes=run.settings.eval_episodes,
        caption="\n".join(filter(None, (caption, describe_terms(result)))),
        n_filmed=max(N_FILMED, _count_judged(run)),
    )
    tried = tried or _thin_out(run, result.snapshots)
    evaluated = evaluate_policies(run, training_dir, tried, plan)
    points = {item.total_timesteps: item for item in (*course, *evaluated.curve)}
    evaluated = evaluated.model_copy(
        update={"curve": tuple(points[steps] for steps in sorted(points))}
    )
    is_whole = result.total_timesteps >= run.settings.steps
    if is_whole:
        remove(training_dir / CHECKPOINT_FILE)  # it does not go on
    if run.settings.video and is_filmed and is_whole and evaluated.video_file is None:
        run.background.add(lambda: film(run, job_dir, evaluated))
    return evaluated


def _count_judged(run: ActiveRun) -> int:
    """Return of how many episodes a judge may be shown frames; of all that are not scored yet."""
    if run.team.judge is None:
        return 0
    return len(SHOWN) if run.metric.is_trusted else run.settings.eval_episodes


def evaluate_candidate(
    run: ActiveRun, candidate: Candidate, result: TrainingResult, course: Sequence[Evaluation] = ()
) -> Candidate:
    """Score and summarise what was trained with a candidate; return it with its score.

    Args:
        run: the run in progress.
        candidate: whose training it is.
        result: what the training left.
        course: what was evaluated on the way.

    Raises:
        DataError: what the training left cannot be evaluated.
    """
    store, seed = run.store, run.settings.seed
    folder = store.candidate_dir(candidate.iteration, candidate.id)
    evaluation_dir = store.evaluation_dir(candidate.iteration, candidate.id, seed)
    training_dir = store.training_dir(candidate.iteration, candidate.id, seed)
    write_record(folder / "training.json", result)
    evaluated = evaluate_training(run, evaluation_dir, training_dir, result, candidate.id, course)
    write_record(folder / "evaluation.json", evaluated)
    program = RewardProgram(store.read_program(candidate.iteration, candidate.id))
    _summarise(run, folder, training_dir, evaluation_dir, program, result, evaluated)
    return candidate.model_copy(
        update={
            "total_timesteps": result.total_timesteps,
            "task_score": evaluated.best.task_score,
            "evaluation": evaluated.best,
            "outcome": note_starts(folder, candidate.outcome),
            "held_from": find_hold(evaluated, run.task.target_score),
            "fresh_scores": (),
            "is_confirmed": None,
            "is_done": run.task.is_done(evaluated.best),
        }
    )


def find_hold(evaluated: EvaluateResult, target: float | None) -> int | None:
    """Return the env steps from which on a training holds its score, or the target if that is less.

    All but a tenth of its policies do from there on; None where not even the last does.
    """
    least = min(rank_value(evaluated.best.task_score), inf if target is None else target)
    holds = [rank_value(item.task_score) >= least for item in evaluated.curve]
    starts = [i for i, is_there in enumerate(holds) if is_there and np.mean(holds[i:]) >= HOLDING]
    return evaluated.curve[starts[0]].total_timesteps if starts else None


def describe_terms(result: TrainingResult) -> str:
    """Say in a line what the reward paid at the end of a training, the weightiest terms first."""
    shares = {
        curve.name: curve.points[-1].share_of_return for curve in result.terms if curve.points
    }
    ranked = sorted(shares, key=lambda name: -shares[name])[:3]
    told = ", ".join(f"{name} {shares[name]:.0%}" for name in ranked)
    return f"pay in training: {told}" if told else ""


def _summarise(
    run: ActiveRun,
    candidate_dir: Path,
    training_dir: Path,
    evaluation_dir: Path,
    program: RewardProgram,
    training: TrainingResult,
    evaluated: EvaluateResult,
) -> TrajectorySummary:
    """Summarise the recorded episodes of a candidate's best policy and write ``summary.json``."""
    job_dir = candidate_dir / "relabel"
    relabelled = relabel(run, job_dir, evaluation_dir, program)
    probe = read_optional(candidate_dir / "probe.json", ProbeReport)
    seen = explore(run, candidate_dir / "explore", training_dir, training)
    with run.ledger.spend("summary"):
        trajectories = Trajectories.load(evaluation_dir / TRAJECTORIES_FILE)
        summary = summarise(
            run.shown_card,
            run.task,
            training,
            evaluated,
            trajectories,
            relabelled,
            read_memory(job_dir / MEMORY_FILE, trajectories),
            probe.starts if probe else (),
            seen,
        )
        write_record(candidate_dir / "summary.json", summary)
        write_text(candidate_dir / "summary.md", render_summary(summary))
    if training.total_timesteps >= run.settings.steps:  # it does not go on
        for name in training.recordings:
            remove(training_dir / name)
    return summary


def explore(
    run: Lab, job_dir: Path, training_dir: Path, training: TrainingResult
) -> Exploration | None:
    """Have the metric score the episodes that a training recorded of itself, in the sandbox.

    The reward program is not there, nor is the metric where a policy is trained.
    """
    names = training.recordings
    if run.metric.sha256 is None or not names:
        return None
    if not all((training_dir / name).is_file() for name in names):
        return _recall_exploration(run, job_dir, names)
    files = {name: read_capped(training_dir / name, MAX_RECORDING_BYTES) for name in names}
    job = ExploreJob(
        card=run.card,
        metric_sha256=run.metric.sha256,
        is_trusted=run.metric.is_trusted,
        recordings=names,
    )
    assert run.metric.source is not None
    files[METRIC_FILE] = run.metric.source.encode()
    job_exit = run.run_job(job, job_dir, files)
    for name in names:
        remove(job_dir / name)
    return job_exit.result.exploration if isinstance(job_exit.result, ExploreResult) else None


def _recall_exploration(run: Lab, job_dir: Path, names: Sequence[str]) -> Exploration | None:
    """Return what the same metric said of recordings that went once they had been summarised."""
    job = read_optional(job_dir / JOB_FILE, ExploreJob)
    if job is None or (job.metric_sha256, job.recordings) != (run.metric.sha256, names):
        return None
    known = read_exit(job, job_dir, job.limit(run.limits))
    result = known.result if known else None
    return result.exploration if isinstance(result, ExploreResult) else None


def relabel(
    run: Lab, job_dir: Path, evaluation_dir: Path, program: RewardProgram
) -> RelabelResult | None:
    """Compute the pay of each term in each recorded episode, in the sandbox."""
    recorded = read_capped(evaluation_dir / TRAJECTORIES_FILE, MAX_RECORDING_BYTES)
    files = {PROGRAM_FILE: program.source.encode(), TRAJECTORIES_FILE: recorded}
    if run.metric.source is not None:
        files[METRIC_FILE] = run.metric.source.encode()
    job = RelabelJob(
        card=run.card,
        program_sha256=program.sha256,
        metric_sha256=run.metric.sha256,
        is_trusted=run.metric.is_trusted,
        gamma=run.choose_card(run.read_choices(program.source)).learner.gamma,
    )
    job_exit = run.run_job(job, job_dir, files)
    # A copy, of megabytes; the episodes stay where they were evaluated.
    remove(job_dir / TRAJECTORIES_FILE)
    return job_exit.result if isinstance(job_exit.result, RelabelResult) else None
