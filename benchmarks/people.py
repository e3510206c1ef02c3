"""``scripts/bench people``: what a search makes of a person's reward, at the same env steps.

The search departs from the file and is made by the offline designer. Its winner is then trained
anew with a seed that the search never had; with that seed the person's reward is trained alone,
once as long as each training of the search, and once with all env steps that the search took.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

from reward_agent.files import write_atomic
from reward_agent.records.store import Candidate, RunRecord, RunStore, load_run
from reward_agent.report.given import trace_given
from reward_agent.run.open import design
from reward_agent.run.single import train
from reward_agent.types import Finite, Record

# Beyond the seeds of any search.
_FRESH = 1000
# What is trained alone after a search: its winner, and the person's reward for as long as each
# training of the search and for all its env steps.
_ALONE = ("again", "alone", "longer")


class SearchRow(Record):
    """One search from a person's reward, with one seed."""

    file: str
    task: str
    run: str
    seed: int
    unit: str
    env_steps: int
    alone: Finite | None = None
    longer: Finite | None = None
    search: Finite | None = None
    again: Finite | None = None
    winner: str
    terms: str = ""


def main(arguments: Sequence[str]) -> int:
    """Search from the file with each seed and print a Markdown table of all rows that are known.

    All searches come first and the longest trainings last, so that a call that is cut off leaves
    whole columns; the next one with the same ``--json`` goes on.
    """
    options = _parse(arguments)
    rows = {(row.file, row.task, row.seed): row for row in _read_rows(options.json)}
    steps: list[Callable[[argparse.Namespace, int, SearchRow | None], SearchRow]] = [search]
    steps += [partial(try_alone, column) for column in options.columns]
    for measure in steps:
        for seed in range(options.seeds):
            key = (options.file.name, f"{options.env}/{options.task}", seed)
            rows[key] = measure(options, seed, rows.get(key))
            if options.json:
                kept = json.dumps([row.model_dump() for row in rows.values()], indent=1)
                write_atomic(options.json, kept.encode())
        print(render_rows(rows.values()), flush=True)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench people", description=__doc__)
    parser.add_argument("file", type=Path, help="a person's reward")
    parser.add_argument("--env", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=100_000, help="of one training")
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--slots", type=int, default=1, help="trainings side by side")
    parser.add_argument("--columns", nargs="*", choices=_ALONE, default=_ALONE)
    parser.add_argument("--folder", type=Path, default=Path("runs/people"), help="where runs lie")
    parser.add_argument("--json", type=Path, help="file that keeps the rows of earlier calls")
    return parser.parse_args(arguments)


def search(options: argparse.Namespace, seed: int, row: SearchRow | None) -> SearchRow:
    """Search once, unless the row is known."""
    if row is not None:
        return row
    run = design(
        options.env,
        options.task,
        start_from=[options.file],
        runs_dir=options.folder,
        environ={},
        provider="offline",
        seed=seed,
        steps=options.steps,
        candidates=options.candidates,
        iterations=options.iterations,
        slots=options.slots,
        winner_seeds=0,
        video=False,
    )
    return read_row(options.file.name, run, load_run(run.id, options.folder), seed)


def try_alone(
    column: str, options: argparse.Namespace, seed: int, row: SearchRow | None
) -> SearchRow:
    """Train the winner or the person's reward with a seed of its own, unless that is known."""
    assert row is not None
    if getattr(row, column) is not None:
        return row
    store = load_run(row.run, options.folder)
    winner = store.read_run().winner
    assert winner is not None
    ours = store.read_program(winner.iteration, winner.candidate)
    theirs = (store.given_dir(0) / "reward.py").read_text("utf-8")
    trained = train(
        options.env,
        options.task,
        ours if column == "again" else theirs,
        folder=store.dir / "alone" / column,
        steps=row.env_steps if column == "longer" else options.steps,
        seed=_FRESH + seed,
        video=False,
    )
    return row.model_copy(update={column: trained.evaluation.best.task_score})


def read_row(file: str, run: RunRecord, store: RunStore, seed: int) -> SearchRow:
    """Read what the search reached, and what became of the person's terms."""
    winner = run.winner
    assert winner is not None
    best = store.read_candidate(winner.iteration, winner.candidate)
    [trace] = trace_given(store, run)
    changed = [f"{fate.name} {fate}" for fate in trace.fates if fate.fate != "kept"]
    return SearchRow(
        file=file,
        task=f"{run.card.name}/{run.task.name}",
        run=run.id,
        seed=seed,
        unit=run.task.unit,
        env_steps=run.total_timesteps,
        search=best.task_score,
        winner=_describe(best, trace.is_ancestor),
        terms="; ".join(changed) if trace.is_ancestor else "",
    )


def _describe(best: Candidate, is_ancestor: bool) -> str:
    if best.origin:
        return "the person's own"
    whence = "from the person's" if is_ancestor else "written afresh"
    return f"{best.idea}, {whence}"


def render_rows(rows: Iterable[SearchRow]) -> str:
    """Return the rows as a Markdown table, and the means of each file."""
    known = list(rows)
    lines = [
        "| file | task | seed | the person's, one training | the person's, all env steps | "
        "winner, one training | winner in the search | env steps of the search | what won | "
        "what it made of the terms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.file} | {row.task} | {row.seed} | {_show(row.alone)} | {_show(row.longer)} | "
        f"{_show(row.again)} {row.unit} | {_show(row.search)} | {row.env_steps:,} | {row.winner} | "
        f"{row.terms} |"
        for row in known
    ]
    for file in dict.fromkeys(row.file for row in known):
        mine = [row for row in known if row.file == file]
        lines.append(
            f"\n{file}, mean of {len(mine)}: the person's {_mean(r.alone for r in mine)} in one "
            f"training and {_mean(r.longer for r in mine)} with all env steps; the winner "
            f"{_mean(r.again for r in mine)} trained anew, {_mean(r.search for r in mine)} in the "
            "search"
        )
    return "\n".join(lines)


def _show(score: float | None) -> str:
    return "–" if score is None else f"{score:.3g}"


def _mean(scores: Iterable[float | None]) -> str:
    given = [score for score in scores if score is not None]
    return f"{mean(given):.3g}" if given else "–"


def _read_rows(path: Path | None) -> list[SearchRow]:
    if path is None or not path.is_file():
        return []
    return [SearchRow(**row) for row in json.loads(path.read_text("utf-8"))]
