"""What a run has come to: run.json, and what follows from it."""

from __future__ import annotations

from reward_agent.records.disk import write_text
from reward_agent.records.jobs import PROGRAM_FILE
from reward_agent.records.store import RunRecord, RunStore, rank_candidates
from reward_agent.report.page import write_report
from reward_agent.run.active import ActiveRun


def update_run(run: ActiveRun, **changes: object) -> RunRecord:
    """Bring run.json, reward.py and the report up to date: what was spent, and other changes."""
    record = run.store.read_run().model_copy(update=changes)
    n_confirmed = sum(item.evaluation is not None for item in record.confirmations)
    spent = {
        "usage": run.team.budget.usage,
        "total_timesteps": sum(c.total_timesteps for c in run.store.list_finished())
        + n_confirmed * run.settings.steps,
        "wall_s": run.ledger.elapsed_s,
        "slot_seconds": run.ledger.account(),
    }
    record = record.model_copy(update=spent)
    with run.ledger.spend("report"):
        write_results(run.store, record)
    return record


def write_results(store: RunStore, record: RunRecord) -> None:
    """Write run.json, and what follows from it: the program in reward.py, the report."""
    store.write_run(record)
    best = next(iter(rank_candidates(store.list_finished())), None)
    if record.winner is not None:
        best = store.read_candidate(record.winner.iteration, record.winner.candidate)
    if best is not None:
        write_text(store.dir / PROGRAM_FILE, store.read_program(best.iteration, best.id))
    write_report(store.dir)
