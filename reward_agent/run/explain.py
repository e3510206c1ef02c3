"""Explain: what a trained policy does, in numbers, and what the Analyzer makes of it."""

from __future__ import annotations

from pathlib import Path

from reward_agent.designers.brief import DesignBrief, HistoryEntry
from reward_agent.evaluation.trajectories import Trajectories
from reward_agent.executors import JobRequest
from reward_agent.records.jobs import (
    PROGRAM_FILE,
    TRAJECTORIES_FILE,
    EvaluateResult,
    RelabelJob,
    RelabelResult,
)
from reward_agent.records.store import write_record, write_text
from reward_agent.run.active import ActiveRun, copy_into
from reward_agent.summary.summary import TrajectorySummary, render_summary, summarise
from reward_agent.types import RewardProgram, TrainingResult, Usage


def summarise_candidate(
    run: ActiveRun,
    candidate_dir: Path,
    evaluation_dir: Path,
    program: RewardProgram,
    training: TrainingResult,
    evaluated: EvaluateResult,
) -> TrajectorySummary:
    """Summarise the recorded episodes of a candidate's best policy and write ``summary.json``."""
    relabelled = _relabel(run, candidate_dir / "relabel", evaluation_dir, program)
    with run.ledger.spend("summary"):
        trajectories = Trajectories.load(evaluation_dir / TRAJECTORIES_FILE)
        summary = summarise(run.shown_card, run.task, training, evaluated, trajectories, relabelled)
        write_record(candidate_dir / "summary.json", summary)
        write_text(candidate_dir / "summary.md", render_summary(summary))
    return summary


def _relabel(
    run: ActiveRun, job_dir: Path, evaluation_dir: Path, program: RewardProgram
) -> RelabelResult | None:
    """Compute the pay of each term in each recorded episode, in the sandbox."""
    recorded = (evaluation_dir / TRAJECTORIES_FILE).read_bytes()
    files = {PROGRAM_FILE: program.source.encode(), TRAJECTORIES_FILE: recorded}
    copy_into(job_dir, files)
    job = RelabelJob(card=run.card, program_sha256=program.sha256, gamma=run.card.ppo.gamma)
    [job_exit] = run.executor.map([JobRequest(job, job_dir, run.limits)])
    # A copy, of megabytes; the episodes stay where they were evaluated.
    (job_dir / TRAJECTORIES_FILE).unlink(missing_ok=True)
    return job_exit.result if isinstance(job_exit.result, RelabelResult) else None


def analyse_candidate(
    run: ActiveRun, candidate_dir: Path, brief: DesignBrief, entry: HistoryEntry
) -> Usage:
    """Let the Analyzer diagnose one training, write ``analysis.json``, return what it cost."""
    if run.analyzer is None:
        return Usage()
    with run.ledger.spend("llm"):
        opinion = run.analyzer.analyse(brief, entry)
    if opinion.record is not None:
        write_record(candidate_dir / "analysis.json", opinion.record)
    lines = [exchange.model_dump_json() for exchange in opinion.exchanges]
    write_text(candidate_dir / "analysis_exchanges.jsonl", "\n".join(lines) + "\n")
    return sum((exchange.completion.usage for exchange in opinion.exchanges), Usage())
