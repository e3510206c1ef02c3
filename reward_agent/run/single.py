"""One step alone: check a program, train with it, evaluate a policy."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

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
from reward_agent.executors.slots import LocalPlace, SlotExecutor
from reward_agent.files import make_scratch
from reward_agent.records.drafting_jobs import CheckEnvJob, CheckEnvResult, TranslateResult
from reward_agent.records.job import BEHAVIOURS_DIR, UNSKILLED
from reward_agent.records.layers import resolve_settings
from reward_agent.records.options import RunOptions
from reward_agent.records.scoring_jobs import EvaluateResult
from reward_agent.records.settings import ClusterSettings, ModelSettings, RunSettings
from reward_agent.records.store import make_run_dir
from reward_agent.rewards.checks import check_program
from reward_agent.rewards.source import defines_reward, parse_source
from reward_agent.run.active import NO_METRIC, Lab, Metric, try_own_card
from reward_agent.run.behaviours import describe_pose, record_behaviours, score_behaviours
from reward_agent.run.drawing import film
from reward_agent.run.evaluate import EVALUATION_SEED, N_FILMED, EvaluationPlan, evaluate_policies
from reward_agent.run.foreign import read_any_policy
from reward_agent.run.probe import Recordings, run_probe
from reward_agent.run.train import make_training, name_finish
from reward_agent.run.translate import CHILD_ENDED, translate_reward
from reward_agent.simulation.backends import require_backend, use_python
from reward_agent.text import decode_text
from reward_agent.types import (
    Activation,
    CheckReport,
    ProbeReport,
    RewardProgram,
    Snapshot,
    TrainingResult,
)

Progress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Examined:
    """What the static rules say of a program, the probe if asked, and what a file was taken as."""

    check: CheckReport
    probe: ProbeReport | None = None
    taken: TranslateResult | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether no finding is an error."""
        return self.check.is_accepted and (self.probe is None or self.probe.is_accepted)


@dataclass(frozen=True)
class Trained:
    """A training and what its policies are worth; no evaluation where there is no metric."""

    folder: Path
    algo: str
    result: TrainingResult
    evaluation: EvaluateResult


def check(
    source: str | bytes,
    env: str,
    *,
    task: str | None = None,
    probe: bool = False,
    name: str = "reward.py",
    folder: Path | None = None,
    **options: Unpack[RunOptions],
) -> Examined:
    """Check a reward in whatever style: what it is taken as is a program, which is then checked.

    A program of ours with errors is told them, and nothing else is tried.

    Args:
        source: text of the reward, or the bytes of its file.
        env: name or folder of the environment.
        task: what it is for; its metric then says what cheap policies are worth.
        probe: also try it on steps in the sandbox.
        name: of the file.
        folder: where the probe works; a temporary folder by default.
        options: settings by the names of ``RunSettings``.
    """
    card, spec = (load_env(env), None) if task is None else _find(env, task)
    settings = resolve(card, options)
    card = card.choose_learner(settings.algo)
    text = source if isinstance(source, str) else decode_text(source, "replace")
    program = RewardProgram(text)
    report = check_program(program, card)
    parsed = parse_source(text).source
    if parsed is not None and defines_reward(parsed.tree) and not report.is_accepted:
        return Examined(report)
    metric = NO_METRIC if spec is None else choose_metric(card, spec, None)
    with open_lab(card, settings, metric) as lab, make_scratch() as scratch:
        data = source if isinstance(source, bytes) else source.encode("utf-8", "replace")
        taken = _take(lab, data, name, scratch / "reading", report)
        if taken is not None:
            if taken.program is None:
                return Examined(report.model_copy(update={"findings": taken.findings}), taken=taken)
            program = RewardProgram(taken.program)
            report = check_program(program, card)
        if not probe or not report.is_accepted:
            return Examined(report, taken=taken)
        return Examined(report, _probe(lab, program, spec, scratch, folder), taken)


def _take(
    lab: Lab, data: bytes, name: str, folder: Path, report: CheckReport
) -> TranslateResult | None:
    """Return what a file is taken as; None for a program of ours that cannot be tried here.

    Raises:
        DataError: nothing can be tried here, and it is no program of ours.
    """
    try:
        taken = translate_reward(lab, data, name, folder)
    except DataError:
        if report.is_accepted:
            return None
        raise
    # The probe says of what a program of ours has died.
    has_ended = any(finding.rule == CHILD_ENDED for finding in taken.findings)
    return None if has_ended and report.is_accepted else taken


def _probe(
    lab: Lab, program: RewardProgram, task: TaskSpec | None, scratch: Path, folder: Path | None
) -> ProbeReport:
    try_own_card(lab)
    recorded = record_behaviours(lab, scratch / BEHAVIOURS_DIR, UNSKILLED)
    recordings = Recordings(
        behaviours=recorded,
        known=score_behaviours(lab, recorded),
        target_score=task.target_score if task else None,
    )
    return run_probe(lab, program, folder or scratch / "probe", recordings)


def measure_robot(card: EnvCard) -> str:
    """Say what is measured on the robot itself, as those who design are told it."""
    with open_lab(card, resolve(card, {})) as lab, make_scratch() as scratch:
        return describe_pose(lab, scratch / BEHAVIOURS_DIR)


def train(
    env: str,
    task: str,
    source: str | None = None,
    *,
    metric: Path | None = None,
    folder: Path | None = None,
    on_progress: Progress | None = None,
    **options: Unpack[RunOptions],
) -> Trained:
    """Train a policy with one reward program and evaluate it by the task's metric.

    Args:
        env: name or folder of the environment.
        task: name of a task, or a sentence (then ``metric`` says how it is scored).
        source: text of the program; the task's reference reward by default.
        metric: a ``metric.py`` of your own.
        folder: where the training is kept; a new folder under ``./runs`` by default.
        on_progress: receives each row of the training's progress.
        options: settings by the names of ``RunSettings``.

    Raises:
        DataError: the program is refused, or its training failed.
        UsageError: it begins episodes at an event of a run.
    """
    card, spec = _find(env, task)
    settings = resolve(card, options)
    card = card.choose_learner(settings.algo)
    card.check_learner()
    card.learner.require()
    program = RewardProgram(source if source is not None else _read_reference(card, spec))
    _refuse_bad(check_program(program, card))
    folder = folder or make_run_dir(find_runs_dir(), card.name, task, ending="_train")
    folder = folder.absolute()
    training_dir = folder / "training"
    with open_lab(card, settings, choose_metric(card, spec, metric)) as lab:
        choices = lab.read_choices(program.source)
        if events := [start.event for start in choices.starts if start.event]:
            raise UsageError(
                f"the program begins episodes at {events[0]!r} of a run's best ones, and a single "
                "training has no run",
                "design --from FILE begins a run with it; or leave that start out",
            )
        try_own_card(lab)
        request = make_training(lab, program, training_dir, settings.seed, until=settings.steps)
        report = None if on_progress is None else lambda _, row: on_progress(row)
        [job_exit] = lab.run_jobs([request], report)
        finish = name_finish(job_exit)
        if finish.result is None or finish.has_failed:
            raise DataError(f"the training ended: {finish.outcome}", f"see {training_dir}")
        snapshots = finish.result.snapshots
        evaluated = _evaluate(lab, spec, training_dir, snapshots, folder / "evaluation")
    algo = lab.choose_card(choices).learner.algo
    return Trained(folder, algo, finish.result, evaluated)


def evaluate(
    policy: Path | str,
    env: str,
    task: str,
    *,
    metric: Path | None = None,
    folder: Path | None = None,
    activation: Activation | None = None,
    statistics: Path | None = None,
    tell: Callable[[str], None] = lambda note: None,
    **options: Unpack[RunOptions],
) -> EvaluateResult:
    """Score a policy on fresh episodes by the task's metric.

    Args:
        policy: a ``.safetensors`` file of a training, or a zip of Stable-Baselines3's, of which
            nothing is unpickled.
        env: name or folder of the environment.
        task: name of a task, or a sentence.
        metric: a ``metric.py`` of your own.
        folder: where trajectories and video are kept; beside the policy by default.
        activation: of such a zip's hidden layers, where it does not say.
        statistics: an ``.npz`` with what such a zip's observations are normalised by; one that lies
            beside it by default.
        tell: receives what was assumed of it.
        options: settings by the names of ``RunSettings``.

    Raises:
        UsageError: there is no such file, or its observations are normalised by a pickle.
        DataError: it is no policy that can be read, or one for another environment.
    """
    policy = Path(policy)
    if not os.path.isfile(policy):
        raise UsageError(
            f"{str(policy)[:200]!r} is not a file",
            "name a policy_<steps>.safetensors, or a zip of Stable-Baselines3's",
        )
    card, spec = _find(env, task)
    settings = resolve(card, options)
    folder = folder or policy.parent / "evaluation"
    # Under a name that a job takes, whatever the user calls the file, and never a link.
    snapshot = Snapshot(total_timesteps=0, file=_make_policy_name(policy))
    with (
        open_lab(card, settings, choose_metric(card, spec, metric)) as lab,
        make_scratch() as scratch,
    ):
        (scratch / snapshot.file).write_bytes(
            read_any_policy(policy, lab, activation, statistics, tell)
        )
        return _evaluate(lab, spec, scratch, (snapshot,), folder)


def _make_policy_name(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem) + ".safetensors"


def check_env(env: str, **options: Any) -> CheckEnvResult:
    """Compare an environment's card with its live model."""
    card = load_env(env)
    with open_lab(card, resolve(card, options)) as lab, make_scratch() as scratch:
        job_exit = lab.run_job(CheckEnvJob(card=card), scratch)
    assert isinstance(job_exit.result, CheckEnvResult)
    return job_exit.result


def _find(env: str, task: str) -> tuple[EnvCard, TaskSpec]:
    """Return an environment with a task's changes, and the task."""
    card = load_env(env)
    spec = resolve_task(card, task)
    return apply_task(card, spec), spec


def resolve(card: EnvCard, options: Mapping[str, Any], *, asks: bool = False) -> RunSettings:
    """Return the settings of one step: its jobs run here, and nobody is asked unless it says so."""
    unused = {*ClusterSettings.model_fields, *(() if asks else ModelSettings.model_fields)}
    used = set(RunSettings.model_fields) - unused
    return resolve_settings(options, card.budget, card.name, used=used).settings


@contextmanager
def open_lab(card: EnvCard, settings: RunSettings, metric: Metric = NO_METRIC) -> Iterator[Lab]:
    """Open one slot of this machine for an environment."""
    require_backend(card)
    use_python(settings.python)
    executor = SlotExecutor(LocalPlace(1, settings.sandbox))
    try:
        yield Lab(card, metric, settings, executor)
    finally:
        executor.close()


def choose_metric(card: EnvCard, task: TaskSpec, own: Path | None) -> Metric:
    """Return the user's metric, else the task's, else none."""
    if own is not None:
        return Metric(read_metric(own), "file")
    source = read_task_metric(card, task)
    return NO_METRIC if source is None else Metric(source, "task")


def _evaluate(
    lab: Lab, task: TaskSpec, training_dir: Path, snapshots: tuple[Snapshot, ...], job_dir: Path
) -> EvaluateResult:
    settings = lab.settings
    plan = EvaluationPlan(
        job_dir,
        seed=EVALUATION_SEED + settings.seed,
        n_episodes=settings.eval_episodes,
        n_filmed=N_FILMED if settings.video else 0,
        caption=task.name,
    )
    evaluated = evaluate_policies(lab, training_dir, snapshots, plan)
    return film(lab, job_dir, evaluated) if settings.video else evaluated


def _read_reference(card: EnvCard, task: TaskSpec) -> str:
    """Return the task's reference reward.

    Raises:
        UsageError: the task has none.
    """
    source = read_reference_reward(card, task)
    if source is None:
        is_known = task.name in list_tasks(card)
        what = f"task {task.name!r}" if is_known else "a task in your own words"
        raise UsageError(f"{what} has no reference reward", "give a program with --reward FILE")
    return source


def _refuse_bad(report: CheckReport) -> None:
    if report.errors:
        first = report.errors[0]
        place = f"line {first.line}: " if first.line is not None else ""
        raise DataError(
            f"the program is refused: {place}{first.message}",
            "`reward-agent check FILE --env NAME` shows every finding at its line",
        )
