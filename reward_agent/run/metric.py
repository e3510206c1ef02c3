"""Metric: how a run is scored, chosen before anything is trained.

A task brings its metric, a person may bring one, and for a sentence the Designer proposes one,
which is generated code: it runs sandboxed over recorded episodes and is taken only when accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from reward_agent.definitions.task import METRIC_FILE, apply_task
from reward_agent.designers.roles import MetricProposal
from reward_agent.errors import UsageError
from reward_agent.records.events import MetricRejected, NoMetric
from reward_agent.records.jobs import TRAJECTORIES_FILE, RecordJob, ScoreJob, ScoreResult
from reward_agent.records.store import MetricOrigin, write_record, write_text
from reward_agent.rewards.checks import check_metric
from reward_agent.run.active import ActiveRun, Metric
from reward_agent.types import Finding, RewardProgram

WORDS_FILE = "words.json"


@dataclass(frozen=True)
class ProposedMetric:
    """A proposal with what it says of recorded episodes, to be accepted or not.

    Args:
        proposal: source, meaning, unit and criterion.
        examples: what kind of episode, and the score of each such episode.
    """

    proposal: MetricProposal
    examples: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class MetricChoice:
    """Where a metric may come from, in this order.

    Args:
        own: source of a metric that the user brings.
        task: source of the task's own metric.
        accept: asked about a metric that the Designer proposes for a sentence.
        accept_unseen: take such a proposal without asking; recorded as such.
    """

    own: str | None = None
    task: str | None = None
    accept: Callable[[ProposedMetric], bool] | None = None
    accept_unseen: bool = False


def choose_metric(run: ActiveRun, choice: MetricChoice) -> ActiveRun:
    """Return the run with its metric, and note it in the run's directory."""
    if run.metric.source is not None:
        return run
    if choice.own is not None:
        _refuse_failing(run, choice.own, "correct it and give it again with --metric")
        return _adopt(run, Metric(choice.own, "file"))
    if choice.task is not None:
        if run.card.folder:  # the metrics that come with the program are tried by its tests
            place = Path(run.card.folder) / "tasks" / run.task.name / METRIC_FILE
            _refuse_failing(run, choice.task, f"correct {place}")
        return _adopt(run, Metric(choice.task, "task"))
    proposed = propose_metric(run)
    origin = _ask(choice, proposed) if proposed is not None else None
    if proposed is None or origin is None:
        reason = "none was proposed" if proposed is None else "the proposed one was not accepted"
        run.notify(NoMetric(reason))
        return run
    run = _take_words(run, proposed.proposal)
    return _adopt(run, Metric(proposed.proposal.source, origin))


def _ask(choice: MetricChoice, proposed: ProposedMetric) -> MetricOrigin | None:
    if choice.accept_unseen:
        return "proposed: accepted unseen"
    if choice.accept is not None and choice.accept(proposed):
        return "proposed: accepted"
    return None


def _refuse_failing(run: ActiveRun, source: str, remedy: str) -> None:
    """Try a person's metric on recorded episodes, before a training is spent on it.

    Raises:
        UsageError: it fails on one of them.
    """
    _, errors = _try_metric(run, run.store.dir / "metric" / "own", source, is_trusted=True)
    if errors:
        raise UsageError(errors[0].message, remedy)


def _adopt(run: ActiveRun, metric: Metric) -> ActiveRun:
    assert metric.source is not None
    write_text(run.store.dir / METRIC_FILE, metric.source)
    changes = {"metric_origin": metric.origin, "task": run.task, "card": run.card}
    run.store.write_run(run.store.read_run().model_copy(update=changes))
    return replace(run, metric=metric)


def _take_words(run: ActiveRun, proposal: MetricProposal) -> ActiveRun:
    """Put what the proposal says beside its code into the task, and the task onto the card."""
    task = run.task.model_copy(
        update={
            "criterion": proposal.criterion,
            "unit": proposal.unit,
            "max_episode_steps": proposal.max_episode_steps,
            "termination": () if proposal.lift_termination else None,
        }
    )
    return replace(
        run, task=task, card=apply_task(run.card, task).choose_learner(run.settings.algo)
    )


def propose_metric(run: ActiveRun) -> ProposedMetric | None:
    """Let the Designer propose a metric for the task's sentence, and try it.

    Returns:
        The proposal with its scores of recorded episodes; None if none passed.
    """
    previous: MetricProposal | None = None
    errors: tuple[Finding, ...] = ()
    for number in range(run.settings.max_repairs + 1):
        with run.ledger.spend("llm"):
            proposal = run.team.designer.propose_metric(
                run.shown_card, run.task.description, previous, errors
            )
        folder = run.store.dir / "metric" / str(number)
        _write_proposal(folder, proposal)
        if proposal.source is None:
            run.notify(MetricRejected(str(proposal.outcome)))
            return None
        errors = check_metric(proposal.source, run.shown_card).errors
        if not errors:
            changed = _take_words(run, proposal)
            examples, errors = _try_metric(changed, folder, proposal.source)
        if not errors:
            return ProposedMetric(proposal, examples)
        run.notify(MetricRejected(errors[0].message))
        previous = proposal
    return None


def _write_proposal(folder: Path, proposal: MetricProposal) -> None:
    if proposal.reply:
        write_text(folder / "reply.md", proposal.reply)
    if proposal.source is not None:
        write_record(folder / WORDS_FILE, proposal.words)
        write_text(folder / METRIC_FILE, proposal.source)


def _try_metric(
    run: ActiveRun, folder: Path, source: str, is_trusted: bool = False
) -> tuple[dict[str, tuple[float, ...]], tuple[Finding, ...]]:
    """Score standing still and random actions; a metric that cannot is a finding."""
    examples: dict[str, tuple[float, ...]] = {}
    for actions in ("zero", "random"):
        record_dir = folder / f"record_{actions}"
        record = RecordJob(card=run.card, seed=run.settings.seed, actions=actions)
        run.run_job(record, record_dir)
        score_dir = folder / f"score_{actions}"
        recorded = (record_dir / TRAJECTORIES_FILE).read_bytes()
        files = {METRIC_FILE: source.encode(), TRAJECTORIES_FILE: recorded}
        job = ScoreJob(
            card=run.card,
            metric_sha256=RewardProgram(source).sha256,
            is_trusted=is_trusted,
        )
        job_exit = run.run_job(job, score_dir, files)
        result = job_exit.result
        if not isinstance(result, ScoreResult) or result.evaluation is None:
            outcome = result.outcome if isinstance(result, ScoreResult) else job_exit.outcome
            finding = Finding(
                rule="metric/failed",
                severity="error",
                message=f"the metric failed on an episode of {actions} actions: {outcome}",
                remedy="return Score(task_score, success, parts) with finite numbers",
            )
            return {}, (finding,)
        scores = [episode.task_score for episode in result.evaluation.episodes]
        examples[f"{actions} actions"] = tuple(score for score in scores if score is not None)
    return examples, ()
