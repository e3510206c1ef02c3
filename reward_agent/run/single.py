"""One step alone: check a program, train with it, evaluate a policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_agent.definitions.card import EnvCard, load_env
from reward_agent.definitions.paths import find_runs_dir
from reward_agent.definitions.task import (
    TaskSpec,
    apply_task,
    list_tasks,
    read_metric,
    read_reference_reward,
    read_task_metric,
    resolve_task,
)
from reward_agent.errors import DataError, UsageError
from reward_agent.executors import JobRequest
from reward_agent.executors.slots import LocalExecutor
from reward_agent.records.jobs import (
    PROGRAM_FILE,
    CheckEnvJob,
    CheckEnvResult,
    EvaluateResult,
    ProbeJob,
    TrainJob,
)
from reward_agent.records.limits import Limits
from reward_agent.records.settings import RunSettings, resolve_settings
from reward_agent.records.store import make_run_id
from reward_agent.rewards.checks import check_program
from reward_agent.run.active import (
    Evaluator,
    Metric,
    copy_into,
    make_limits,
)
from reward_agent.run.draft import read_probe
from reward_agent.run.evaluate import (
    EVALUATION_SEED,
    N_FILMED,
    EvaluationPlan,
    evaluate_policies,
    film,
)
from reward_agent.sandbox.runner import JobExit
from reward_agent.simulation.backends import require_backend
from reward_agent.types import CheckReport, ProbeReport, RewardProgram, Snapshot, TrainingResult

Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Examined:
    """What the static rules say of a program, and the probe if it was asked for."""

    check: CheckReport
    probe: ProbeReport | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether no finding is an error."""
        return self.check.is_accepted and (self.probe is None or self.probe.is_accepted)


@dataclass(frozen=True)
class Trained:
    """A training and what its policies are worth; no evaluation where there is no metric."""

    folder: Path
    result: TrainingResult
    evaluation: EvaluateResult


@dataclass(frozen=True)
class _Setting:
    """An environment with a task's changes, its metric and the settings."""

    card: EnvCard
    task: TaskSpec | None
    metric: Metric
    settings: RunSettings


def check(
    source: str, env: str, *, probe: bool = False, folder: Path | None = None, **options: Any
) -> Examined:
    """Check a reward program against an environment's card.

    Args:
        source: text of the program.
        env: name or folder of the environment.
        probe: also dry-run it in the sandbox.
        folder: where the probe works; a temporary folder by default.
        options: settings by the names of ``RunSettings``.
    """
    import tempfile

    setting = _resolve(env, None, None, options)
    program = RewardProgram(source)
    report = check_program(program, setting.card)
    if not probe or not report.is_accepted:
        return Examined(report)
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as temporary:
        job_dir = folder or Path(temporary)
        copy_into(job_dir, {PROGRAM_FILE: source.encode()})
        job = ProbeJob(
            card=setting.card,
            program_sha256=program.sha256,
            seed=setting.settings.seed,
            gamma=setting.card.training.gamma,
        )
        job_exit = _exit_one(job, job_dir, make_limits(setting.settings), setting.settings)
    return Examined(report, read_probe(program, job_exit))


def train(
    env: str,
    task: str,
    source: str | None = None,
    *,
    metric: Path | None = None,
    folder: Path | None = None,
    on_progress: Progress | None = None,
    **options: Any,
) -> Trained:
    """Train a policy with one reward program and evaluate it by the task's metric.

    Args:
        env: name or folder of the environment.
        task: name of a task, or a sentence (then ``metric`` says how it is judged).
        source: text of the program; the task's reference reward by default.
        metric: a ``metric.py`` of your own.
        folder: where the training is kept; a new folder under ``./runs`` by default.
        on_progress: receives each row of the training's progress.
        options: settings by the names of ``RunSettings``.

    Raises:
        DataError: the program is refused, or its training failed.
    """
    setting = _resolve(env, task, metric, options)
    program = RewardProgram(source if source is not None else _read_reference(setting))
    _refuse_bad(check_program(program, setting.card))
    folder = folder or find_runs_dir() / f"{make_run_id(setting.card.name, task)}_train"
    training_dir = folder / "training"
    copy_into(training_dir, {PROGRAM_FILE: program.source.encode()})
    job = TrainJob(
        card=setting.card,
        program_sha256=program.sha256,
        seed=setting.settings.seed,
        total_timesteps=setting.settings.steps,
        until_timesteps=setting.settings.steps,
        learner=setting.card.training,
    )
    limits = make_limits(setting.settings)
    result = _run_one(job, training_dir, limits, setting.settings, on_progress)
    if result.outcome.has_failed:
        raise DataError(f"the training ended: {result.outcome}", f"see {training_dir}")
    evaluated = _evaluate(setting, training_dir, result.snapshots, folder / "evaluation")
    return Trained(folder, result, evaluated)


def evaluate(
    policy: Path,
    env: str,
    task: str,
    *,
    metric: Path | None = None,
    folder: Path | None = None,
    **options: Any,
) -> EvaluateResult:
    """Score a policy on fresh episodes by the task's metric.

    Args:
        policy: a ``.safetensors`` file of a training.
        env: name or folder of the environment.
        task: name of a task, or a sentence.
        metric: a ``metric.py`` of your own.
        folder: where trajectories and video are kept; beside the policy by default.
        options: settings by the names of ``RunSettings``.
    """
    if not policy.is_file():
        raise UsageError(f"{policy} is not a file", "name a policy_<steps>.safetensors")
    import tempfile

    setting = _resolve(env, task, metric, options)
    folder = folder or policy.parent / "evaluation"
    # Under a name that a job takes, whatever the user calls the file, and never a link.
    snapshot = Snapshot(total_timesteps=0, file=_make_policy_name(policy))
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as temporary:
        (Path(temporary) / snapshot.file).write_bytes(_read_policy(policy))
        return _evaluate(setting, Path(temporary), (snapshot,), folder)


def _make_policy_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", path.name.removesuffix(".safetensors")) + ".safetensors"


def _read_policy(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "name a policy file"
        ) from error


def check_env(env: str) -> CheckEnvResult:
    """Compare an environment's card with its live model."""
    import tempfile

    setting = _resolve(env, None, None, {})
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as temporary:
        job = CheckEnvJob(card=setting.card)
        limits = make_limits(setting.settings)
        result = _run_one(job, Path(temporary), limits, setting.settings)
    assert isinstance(result, CheckEnvResult)
    return result


def _resolve(env: str, task: str | None, metric: Path | None, options: dict[str, Any]) -> _Setting:
    card = load_env(env)
    spec = resolve_task(card, task) if task is not None else None
    if spec is not None:
        card = apply_task(card, spec)
    settings = resolve_settings(options, card.budget, card.name).settings
    return _Setting(card, spec, _choose_metric(card, spec, metric), settings)


def _choose_metric(card: EnvCard, task: TaskSpec | None, own: Path | None) -> Metric:
    """Return the user's metric, else the task's, else none."""
    if own is not None:
        return Metric(read_metric(own), "file")
    source = read_task_metric(card, task) if task is not None else None
    return Metric(source, "none" if source is None else "task")


def _run_one(
    job: Any,
    job_dir: Path,
    limits: Limits,
    settings: RunSettings,
    on_progress: Progress | None = None,
) -> Any:
    job_exit = _exit_one(job, job_dir, limits, settings, on_progress)
    if job_exit.result is None:
        raise DataError(f"the {job.kind} job ended: {job_exit.outcome}", f"see {job_dir}")
    return job_exit.result


def _exit_one(
    job: Any,
    job_dir: Path,
    limits: Limits,
    settings: RunSettings,
    on_progress: Progress | None = None,
) -> JobExit:
    require_backend(job.card)
    executor = LocalExecutor(1, settings.sandbox)
    report = None if on_progress is None else lambda request, row: on_progress(row)
    try:
        [job_exit] = executor.map([JobRequest(job, job_dir, limits)], report)
    finally:
        executor.close()
    return job_exit


def _evaluate(
    setting: _Setting, training_dir: Path, snapshots: tuple[Snapshot, ...], job_dir: Path
) -> EvaluateResult:
    require_backend(setting.card)
    executor = LocalExecutor(1, setting.settings.sandbox)
    plan = EvaluationPlan(
        job_dir,
        seed=EVALUATION_SEED + setting.settings.seed,
        n_episodes=setting.settings.eval_episodes,
        n_filmed=N_FILMED[setting.settings.video_quality] if setting.settings.video else 0,
        caption=setting.task.name if setting.task else setting.card.name,
    )
    limits = make_limits(setting.settings)
    try:
        evaluator = Evaluator(setting.card, setting.metric, executor, limits)
        evaluated = evaluate_policies(evaluator, training_dir, snapshots, plan)
        if setting.settings.video:
            evaluated = film(evaluator, job_dir, evaluated, setting.settings.video_quality)
        return evaluated
    finally:
        executor.close()


def _read_reference(setting: _Setting) -> str:
    """Return the task's reference reward.

    Raises:
        UsageError: the task has none.
    """
    assert setting.task is not None
    source = read_reference_reward(setting.card, setting.task)
    if source is None:
        name = setting.task.name
        is_known = name in list_tasks(setting.card)
        what = f"task {name!r}" if is_known else "a task in your own words"
        raise UsageError(f"{what} has no reference reward", "give a program with --reward FILE")
    return source


def _refuse_bad(report: CheckReport) -> None:
    errors = [finding for finding in report.findings if finding.severity == "error"]
    if errors:
        first = errors[0]
        place = f"line {first.line}: " if first.line is not None else ""
        raise DataError(
            f"the program is refused: {place}{first.message}",
            "`reward-agent check FILE --env NAME` shows every finding at its line",
        )
