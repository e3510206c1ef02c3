"""What is written of a sweep: tables in four formats, charts, and the page with all of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from reward_agent.bench.results import Cell, MethodSummary, Results, summarise_sweep
from reward_agent.bench.sweep import SweepStore
from reward_agent.evaluation.statistics import FloatArray, performance_profile
from reward_agent.records.disk import write_record, write_text
from reward_agent.report.charts import HALF, Labels, Point, Series, render_lines, render_scores
from reward_agent.report.page import make_templates
from reward_agent.text import show_hidden

_LATEX = str.maketrans(
    {char: f"\\{char}" for char in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$"}
)
# Entities, since a backslash in front of a pipe may itself be escaped.
_MARKDOWN = str.maketrans({char: f"&#{ord(char)};" for char in "&<>|`*\\"})
# What a spreadsheet takes for a formula, also in the wide forms of these signs.
_FORMULA = tuple("=+-@＝＋－＠")
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


def _describe_column(column: MethodSummary) -> list[str]:
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
        _write_markdown(results.description),
        "Score of a run: mean over policies trained again with fresh seeds, by the task's metric. "
        "Mean over runs with its 95 % bootstrap interval, of a single run over its fresh seeds; a "
        "run that failed has no score.",
        _render_markdown_rows(make_task_rows(results)),
        "Normalised: (score - sparse) / |reference - sparse|; stratified bootstrap over tasks.",
        _render_markdown_rows(make_column_rows(results)),
        _write_markdown(render_settings(results)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _render_markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(_write_markdown, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _write_line(text: str) -> str:
    """Return a stranger's words on one line, with what hides or steers written out."""
    return " ".join(show_hidden(text).split())


def _write_markdown(text: str) -> str:
    # A link needs both brackets side by side.
    return _write_line(text).translate(_MARKDOWN).replace("](", "]&#40;")


def _write_cell(text: str | None) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    line = _write_line(text or "")
    return f"'{line}" if line.startswith(_FORMULA) else line


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
                [_write_cell(cell.task), _write_cell(cell.label), run.seed,
                 "" if run.score is None else run.score, _write_cell(cell.unit),
                 "" if run.normalised is None else run.normalised,
                 _write_cell(run.outcome), _write_cell(run.job), _write_cell(run.run)]
            )  # fmt: skip
    return stream.getvalue()


def render_latex(results: Results) -> str:
    """Return both tables as LaTeX, for the booktabs package."""
    tables = [_render_latex_rows(make_task_rows(results), "ll")]
    tables.append(_render_latex_rows(make_column_rows(results), "l"))
    return "\n".join(tables)


def _render_latex_rows(rows: Sequence[Sequence[str]], left: str) -> str:
    lines = [" & ".join(_write_line(cell).translate(_LATEX) for cell in row) for row in rows]
    # A bracket or a star would belong to the end of the row above.
    head, *body = ["{}" * line.startswith(("[", "*")) + line + r" \\" for line in lines]
    columns = left + "r" * (len(rows[0]) - len(left))
    return "\n".join(
        [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body,
         r"\bottomrule", r"\end{tabular}", ""]
    )  # fmt: skip


PAGE_FILE = "report.html"
# A profile is steps: a mark at each would hide them.
_PROFILE_STYLE = ".dot { display: none; }"


def write_results(store: SweepStore) -> Results:
    """Write a sweep's page, tables and charts into its folder; derived from its jobs alone.

    Returns:
        The numbers in them.
    """
    results = summarise_sweep(store)
    write_record(store.dir / "results.json", results)
    write_text(store.dir / "results.md", render_markdown(results))
    write_text(store.dir / "results.csv", render_csv(results))
    write_text(store.dir / "results.tex", render_latex(results))
    for name, chart in draw_charts(results).items():
        picture = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        style = _read_style()
        if name == "profile":
            style += _PROFILE_STYLE
            picture = picture.replace("</svg>", f"{_render_names(_make_profiles(results))}</svg>")
        picture = picture.replace(">", f"><style>{style}</style>", 1)
        write_text(store.dir / f"{name}.svg", show_hidden(picture))
    write_text(store.dir / PAGE_FILE, render_page(results))
    return results


def render_page(results: Results) -> str:
    """Return the page; a strict content security policy keeps it from loading anything."""
    return (
        make_templates(Path(__file__).parent)
        .get_template("page.html.j2")
        .render(
            results=results,
            charts=draw_charts(results),
            profile_style=_PROFILE_STYLE,
            legend=[(series.name, series.css_class) for series in _make_profiles(results)],
            column_rows=make_column_rows(results),
            describe_cell=describe_cell,
            render_number=render_number,
            settings=render_settings(results),
            style=_read_style(),
        )
    )


def _render_names(series: Sequence[Series]) -> str:
    """Return the names in their colours, top right where a profile leaves room."""
    return "".join(
        f'<text class="{item.css_class}" style="fill: var(--s)" text-anchor="end" '
        f'x="{HALF - 12:g}" y="{30 + 15 * place}">{escape(item.name)}</text>'
        for place, item in enumerate(series)
    )


def draw_charts(results: Results) -> dict[str, str]:
    """Return the charts that have anything to show, as SVG, by their names."""
    means = "Interquartile mean of each method with its 95 % interval"
    marks = [("", [series]) for series in _make_marks(results)]
    shares = "Share of the runs of each method that score above a threshold"
    profile = Labels("Performance profile", shares, "normalised score", "share of runs above")
    charts = {
        "normalised": render_scores(
            Labels("Normalised score", means, "", "normalised score", "a person's reward:"),
            marks,
            target=1.0,
        ),
        "profile": render_lines(profile, _make_profiles(results)),
    }
    return {name: chart for name, chart in charts.items() if chart}


def _make_marks(results: Results) -> list[Series]:
    marks = []
    for colour, column in enumerate(results.columns):
        if column.iqm is None:
            continue
        low, high = column.interval or (None, None)
        tip = f"{column.label}: {render_number(column.iqm, column.interval)}"
        point = Point(0.0, column.iqm, tip, low, high)
        marks.append(Series(column.label, (point,), colour))
    return marks


def _make_profiles(results: Results) -> list[Series]:
    """Return the share of runs above each threshold from 0 to the best score, as steps."""
    strata = {
        column.label: [
            cell.normalised
            for cell in results.cells
            if cell.label == column.label and cell.normalised
        ]
        for column in results.columns
    }
    known = [score for groups in strata.values() for scores in groups for score in scores]
    thresholds = np.unique(np.clip([0.0, 1.0, *known], 0.0, None))
    return [
        Series(label, _make_steps(groups, thresholds), colour)
        for colour, (label, groups) in enumerate(strata.items())
        if groups
    ]


def _make_steps(strata: list[list[float]], thresholds: FloatArray) -> tuple[Point, ...]:
    """Return both ends of each step; thresholds ``(n,)`` hold every score at which one is."""
    shares = performance_profile(strata, thresholds)
    corners = zip(np.repeat(thresholds, 2)[1:], np.repeat(shares, 2), strict=False)
    return tuple(Point(float(x), float(y)) for x, y in corners)


def _read_style() -> str:
    return (resources.files("reward_agent.report") / "page.css").read_text("utf-8")
