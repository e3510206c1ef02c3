"""``scripts/bench done``: minutes of computing from a sentence to a confirmed winner.

The programs are those that a large language model wrote for these tasks, in the recorded runs that
ship with the program; so no model is asked, and the time is that of checks, trainings, evaluations
and confirmation.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from reward_agent.errors import UnknownNameError
from reward_agent.export.shipped import find_shipped
from reward_agent.export.unpack import open_bundle
from reward_agent.files import make_scratch, write_atomic
from reward_agent.records.store import RunRecord, RunStore, load_run
from reward_agent.run.open import design
from reward_agent.types import Finite, Record

# The recorded runs whose programs are trained again, with their steps and rounds.
TASKS = ("back_flip", "wave_leg", "lie_down", "drawer_open")
_BAR_MINUTES = 5.0


class DoneRow(Record):
    """What came of one task."""

    task: str
    minutes: Finite
    rounds: str
    env_steps: int
    program: str
    fresh: str
    policy: str
    note: str


def main(arguments: Sequence[str]) -> int:
    """Measure the named tasks and print a Markdown table of all that are known."""
    options = _parse(arguments)
    rows = _read_rows(options.json)
    for name in options.tasks.split(","):
        if name not in TASKS:
            raise UnknownNameError("task", name, TASKS)
        rows[name] = measure(name, options.folder, options.slots, options.winner_seeds)
        if options.json:
            known = {key: row.model_dump() for key, row in rows.items()}
            write_atomic(options.json, json.dumps(known, indent=1).encode())
        print(render_rows(rows.values()), flush=True)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench done", description=__doc__)
    parser.add_argument("--tasks", default=",".join(TASKS), help="by commas")
    parser.add_argument("--slots", type=int, default=2, help="trainings side by side")
    parser.add_argument("--winner-seeds", type=int, default=1, help="fresh seeds of a confirmation")
    parser.add_argument("--folder", type=Path, default=Path("runs/done"), help="where runs lie")
    parser.add_argument("--json", type=Path, help="file that keeps the rows of earlier calls")
    return parser.parse_args(arguments)


def measure(name: str, folder: Path, n_slots: int, winner_seeds: int) -> DoneRow:
    """Run the design of a task with its recorded programs; return what it took."""
    with make_scratch() as scratch:
        recorded = open_bundle(find_shipped(name), scratch)
        known, script = recorded.read_run(), scratch / "replies.md"
        script.write_text(render_script(recorded), encoding="utf-8")
        run = design(
            known.card.name,
            known.task.name,
            runs_dir=folder,
            environ={},
            provider=f"scripted:{script}",
            candidates=known.config["candidates"],
            iterations=known.config["iterations"],
            steps=known.config["steps"],
            winner_seeds=winner_seeds,
            slots=n_slots,
            critic=False,
            analyzer=False,
        )
    return read_row(name, run, load_run(run.id, folder))


def render_script(store: RunStore) -> str:
    """Return the programs of a run as replies of its Designer, in order."""
    programs = (store.read_program(item.iteration, item.id) for item in store.list_finished())
    return "".join(f"--- reply ---\n```python\n{text}\n```\n" for text in programs)


def read_row(name: str, run: RunRecord, store: RunStore) -> DoneRow:
    """Read the row of a finished run."""
    winner = run.winner
    assert winner is not None
    candidate = store.read_candidate(winner.iteration, winner.candidate)
    fresh = ", ".join(f"{score:.3g}" for score in winner.task_scores) or "not confirmed"
    return DoneRow(
        task=name,
        minutes=(run.wall_s - run.slot_seconds.get("llm", 0.0)) / 60,
        rounds=f"{len(store.list_iterations())} of {run.config['iterations']}",
        env_steps=run.total_timesteps,
        program=f"{candidate.id}: {candidate.task_score:.3g} {run.task.unit}",
        fresh=f"{fresh}; {winner.success_rate or 0.0:.0%}",
        policy=winner.policy.describe(run.task.unit) if winner.policy else "",
        note=run.note,
    )


def render_rows(rows: Iterable[DoneRow]) -> str:
    """Return the rows as a Markdown table, and their median beside its bar."""
    known = list(rows)
    lines = [
        "| task | minutes of computing | rounds | env steps | program, in the search | "
        "fresh seeds; successes | policy | how it ended |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.task} | {row.minutes:.1f} | {row.rounds} | {row.env_steps:,} | {row.program} | "
        f"{row.fresh} | {row.policy} | {row.note} |"
        for row in known
    ]
    middle = median(row.minutes for row in known)
    lines.append(f"\nmedian {middle:.1f} minutes of {len(known)} tasks (at most {_BAR_MINUTES:g})")
    return "\n".join(lines)


def _read_rows(path: Path | None) -> dict[str, DoneRow]:
    if path is None or not path.is_file():
        return {}
    return {key: DoneRow(**row) for key, row in json.loads(path.read_text("utf-8")).items()}
