"""The trial of a metric: what it says of behaviours that nobody trained, and of made ones.

A person's own is tried on what was recorded, and warned of: it is theirs. The rules are in
``evaluation.trust``, the made episodes in ``evaluation.made``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from reward_agent.definitions.task import METRIC_FILE
from reward_agent.errors import UsageError
from reward_agent.evaluation.trust import (
    Asked,
    choose_target,
    find_scale,
    judge_table,
    render_table,
)
from reward_agent.records.disk import write_record, write_text
from reward_agent.records.events import Warned
from reward_agent.records.job import BEHAVIOURS_DIR, TRAJECTORIES_FILE
from reward_agent.records.scoring_jobs import ScoreJob, ScoreResult, TryMetricJob, TryMetricResult
from reward_agent.records.trial import TRIAL_FILE, MetricTrial, RowKind, TrialRow, place_own_trial
from reward_agent.run.active import ActiveRun
from reward_agent.run.adversary import Climb, climb_metric
from reward_agent.run.behaviours import record_behaviours
from reward_agent.run.drawing import draw_sheet
from reward_agent.types import EpisodeScore, Finding, RewardProgram

# What is recorded and is no end of an actuator.
_KINDS: dict[str, RowKind] = {
    "start pose held": "idle",
    "limp": "idle",
    "random actions": "random",
    "falling at once": "falling",
}


def try_metric(
    run: ActiveRun, folder: Path, source: str, target_score: float | None = None
) -> MetricTrial:
    """Try a metric on what the robot of a run can do, and note in its folder what came of it.

    Args:
        run: with the metric's words in its task, and their changes on its card.
        folder: where the trial is kept.
        source: text of the metric; it runs in the sandbox.
        target_score: what it calls done, where it says so.
    """
    started = time.monotonic()
    task = run.task
    asked = Asked(task.description, task.criterion, task.unit, run.card.control_dt, target_score)
    rows, failures = score_behaviours(run, folder, source, target_score)
    findings, scale = failures or judge_table(rows, asked), find_scale(rows, asked)
    climb = Climb()
    if not any(finding.severity == "error" for finding in findings):
        climb = climb_metric(run, folder, source, scale)
        rows = (*rows, *climb.rows)
        findings = judge_table(rows, asked)
    trial = MetricTrial(
        rows=rows,
        strip=_draw_behaviours(run),
        scale=scale,
        target_score=choose_target(rows, asked),
        findings=findings,
        total_timesteps=climb.total_timesteps,
        wall_s=time.monotonic() - started,
    )
    write_record(folder / TRIAL_FILE, trial)
    return trial


def try_own_metric(run: ActiveRun, source: str, remedy: str) -> None:
    """Try a person's metric on recorded episodes, before a training is spent on it.

    What it pays for that the sentence does not ask for is said and kept, and no more.

    Raises:
        UsageError: it fails on one of them.
    """
    started, task, folder = time.monotonic(), run.task, place_own_trial(run.store).parent
    recorded = record_behaviours(run, run.store.dir / BEHAVIOURS_DIR)
    files = {METRIC_FILE: source.encode(), TRAJECTORIES_FILE: recorded.read()}
    job = ScoreJob(card=run.card, metric_sha256=RewardProgram(source).sha256, is_trusted=True)
    job_exit = run.run_job(job, folder / "score", files)
    result = job_exit.result
    if not isinstance(result, ScoreResult) or result.evaluation is None:
        outcome = result.outcome if isinstance(result, ScoreResult) else job_exit.outcome
        raise UsageError(f"the metric failed on an episode without a policy: {outcome}", remedy)
    asked = Asked(task.description, task.criterion, task.unit, run.card.control_dt)
    rows = tuple(group_episodes(recorded.names, result.evaluation.episodes, run.card.control_dt))
    faults = tuple(item for item in judge_table(rows, asked) if item.severity == "error")
    for finding in faults:
        run.notify(Warned(f"your metric: {finding.message}; {finding.remedy}"))
    if faults:
        run.notify(Warned(f"what your metric says without a training:\n{render_table(rows)}"))
    trial = MetricTrial(
        rows=rows,
        strip=_draw_behaviours(run),
        scale=find_scale(rows, asked),
        findings=faults,
        wall_s=time.monotonic() - started,
    )
    write_text(folder / METRIC_FILE, source)
    write_record(folder / TRIAL_FILE, trial)


def _draw_behaviours(run: ActiveRun) -> str | None:
    """Return the pictures of what was recorded, in the run; None where none are wanted."""
    sheet = draw_sheet(run, run.store.dir / BEHAVIOURS_DIR) if run.settings.video else None
    return run.store.name_file(sheet) if sheet else None


def score_behaviours(
    run: ActiveRun, folder: Path, source: str, target_score: float | None = None
) -> tuple[tuple[TrialRow, ...], tuple[Finding, ...]]:
    """Return what a metric says of behaviours and of made episodes, or why it failed on them."""
    recorded = record_behaviours(run, run.store.dir / BEHAVIOURS_DIR)
    files = {METRIC_FILE: source.encode(), TRAJECTORIES_FILE: recorded.read()}
    job = TryMetricJob(
        card=run.card,
        metric_sha256=RewardProgram(source).sha256,
        sentence=run.task.description,
        target_score=target_score,
    )
    job_exit = run.run_job(job, folder / "trial", files)
    result = job_exit.result
    if not isinstance(result, TryMetricResult) or result.evaluation is None:
        outcome = result.outcome if isinstance(result, TryMetricResult) else job_exit.outcome
        finding = Finding(
            rule="metric/failed",
            severity="error",
            message=f"the metric failed on an episode without a policy: {outcome}",
            remedy="return Score(task_score, success, parts) with finite numbers",
        )
        return (), (finding,)
    episodes = result.evaluation.episodes
    rows = tuple(group_episodes(recorded.names, episodes, run.card.control_dt))
    return (*rows, *result.made), ()


def group_episodes(
    names: Sequence[str], episodes: Sequence[EpisodeScore], control_dt: float
) -> Iterator[TrialRow]:
    """Yield one row for each behaviour, in the order of their first episodes."""
    for name in dict.fromkeys(names):
        same = [item for other, item in zip(names, episodes, strict=False) if other == name]
        scores = [item.task_score for item in same if item.task_score is not None]
        parts = same[0].parts if same else {}
        yield TrialRow(
            behaviour=name[:280],
            kind=_KINDS.get(name, "extreme"),
            task_score=float(np.mean(scores)) if scores else None,
            least=min(scores, default=None),
            most=max(scores, default=None),
            success_rate=float(np.mean([item.success for item in same])) if same else 0.0,
            parts={
                part: float(np.mean([item.parts.get(part, 0.0) for item in same])) for part in parts
            },
            n_episodes=len(same),
            length_s=float(np.mean([item.length for item in same])) * control_dt,
        )
