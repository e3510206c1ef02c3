"""The tables of a sweep as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from reward_agent.bench.results import Cell, Column, Results

_LATEX = str.maketrans({"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "±": r"$\pm$"})
_COLUMN_HEADS = (
    "method", "normalised score, IQM [95 %]", "success [95 %]", "P(better than {first})",
    "tasks", "runs", "failed", "open", "env steps", "LLM calls", "USD",
)  # fmt: skip


def render_number(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """Return a number with its interval; a missing one is a dash, never a zero."""
    if value is None:
        return "–"
    text = _shorten(value)
    return f"{text} [{', '.join(map(_shorten, interval))}]" if interval else text


def _shorten(value: float) -> str:
    """Return three digits; what rounding errors leave of a zero is a zero."""
    return f"{round(value, 9) + 0.0:.3g}"


def render_percent(value: float | None, interval: tuple[float, float] | None = None) -> str:
    """Return a share in per cent with its interval."""
    if value is None:
        return "–"
    text = f"{value:.0%}"
    return f"{text} [{interval[0]:.0%}, {interval[1]:.0%}]" if interval else text


def describe_cell(cell: Cell | None) -> str:
    """Say what a cell holds: its mean, and what of it failed or is open."""
    if cell is None:
        return "–"
    notes = [f"{cell.n_failed} failed"] if cell.n_failed else []
    notes += [f"{cell.n_missing} open"] if cell.n_missing else []
    text = render_number(cell.mean, cell.interval)
    return f"{text} ({', '.join(notes)})" if notes else text


def make_task_rows(results: Results) -> list[list[str]]:
    """Return the head and a row for each task, with a cell for each column."""
    labels = [column.label for column in results.columns]
    rows = [["task", "unit", *labels]]
    for task in results.tasks:
        cells = [results.find_cell(task, label) for label in labels]
        unit = next((cell.unit for cell in cells if cell is not None), "")
        rows.append([task, unit, *map(describe_cell, cells)])
    return rows


def make_column_rows(results: Results) -> list[list[str]]:
    """Return the head and a row for each column over all tasks."""
    first = results.columns[0].label if results.columns else ""
    head = [text.format(first=first) for text in _COLUMN_HEADS]
    return [head, *(_describe_column(column) for column in results.columns)]


def _describe_column(column: Column) -> list[str]:
    return [
        column.label,
        render_number(column.iqm, column.interval),
        render_percent(column.success_rate, column.success_interval),
        render_number(column.improvement),
        *(str(n) for n in (column.n_tasks, column.n_runs, column.n_failed, column.n_missing)),
        f"{column.env_steps:,}",
        str(column.n_calls),
        "–" if column.usd is None else f"{column.usd:.2f}",
    ]


def render_settings(results: Results) -> str:
    """Say in one line what every number was made with."""
    settings = ", ".join(f"{name} {value}" for name, value in results.settings.items())
    versions = "; ".join(
        ", ".join(f"{name} {version}" for name, version in versions.items())
        for versions in results.versions
    )
    abandoned = sum(column.abandoned_env_steps for column in results.columns)
    spent = f" Attempts that were given up took {abandoned:,} env steps more." if abandoned else ""
    return f"{settings}.{spent} Versions: {versions or 'nothing has run'}."


def render_markdown(results: Results) -> str:
    """Return both tables as Markdown."""
    parts = [
        f"# {results.suite}",
        results.description,
        "Score of a run: mean over policies trained again with fresh seeds, by the task's metric. "
        "Mean over runs with its 95 % bootstrap interval; a run that failed has no score.",
        _render_markdown_rows(make_task_rows(results)),
        "Normalised: (score - sparse) / |reference - sparse|; stratified bootstrap over tasks.",
        _render_markdown_rows(make_column_rows(results)),
        render_settings(results),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _render_markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def render_csv(results: Results) -> str:
    """Return one line for each run, as CSV."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["task", "method", "seed", "score", "unit", "normalised", "outcome", "job", "run"]
    )
    for cell in results.cells:
        for run in cell.runs:
            writer.writerow(
                [cell.task, cell.label, run.seed, "" if run.score is None else run.score, cell.unit,
                 "" if run.normalised is None else run.normalised, run.outcome, run.job, run.run]
            )  # fmt: skip
    return stream.getvalue()


def render_latex(results: Results) -> str:
    """Return both tables as LaTeX, for the booktabs package."""
    tables = [_render_latex_rows(make_task_rows(results), "ll")]
    tables.append(_render_latex_rows(make_column_rows(results), "l"))
    return "\n".join(tables)


def _render_latex_rows(rows: Sequence[Sequence[str]], left: str) -> str:
    head, *body = [" & ".join(cell.translate(_LATEX) for cell in row) + r" \\" for row in rows]
    columns = left + "r" * (len(rows[0]) - len(left))
    return "\n".join(
        [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body,
         r"\bottomrule", r"\end{tabular}", ""]
    )  # fmt: skip
