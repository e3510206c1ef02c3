"""The page of a sweep, and its tables as files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from reward_agent.bench.results import Results, list_normalised, summarise_sweep
from reward_agent.bench.sweep import SweepStore
from reward_agent.bench.tables import (
    describe_cell,
    make_column_rows,
    render_csv,
    render_latex,
    render_markdown,
    render_number,
    render_settings,
)
from reward_agent.evaluation.statistics import FloatArray, performance_profile
from reward_agent.records.store import write_record, write_text
from reward_agent.report.charts import HALF, Labels, Point, Series, render_lines, render_scores

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
        write_text(store.dir / f"{name}.svg", picture)
    write_text(store.dir / PAGE_FILE, render_page(results))
    return results


def render_page(results: Results) -> str:
    """Return the page; a strict content security policy keeps it from loading anything."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
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


def _render_names(series: Sequence[Series]) -> str:
    """Return the names in their colours, top right where a profile leaves room."""
    return "".join(
        f'<text class="{item.css_class}" style="fill: var(--s)" text-anchor="end" '
        f'x="{HALF - 12:g}" y="{30 + 15 * place}">{escape(item.name)}</text>'
        for place, item in enumerate(series)
    )


def draw_charts(results: Results) -> dict[str, str]:
    """Return the charts that have anything to show, as SVG, by their names."""
    charts = {
        "normalised": render_scores(
            Labels(
                "Normalised score",
                "Interquartile mean of each method with its 95 % interval",
                "",
                "normalised score",
            ),
            [("", [series]) for series in _make_marks(results)],
            target=1.0,
        ),
        "profile": render_lines(
            Labels(
                "Performance profile",
                "Share of the runs of each method that score above a threshold",
                "normalised score",
                "share of runs above",
            ),
            _make_profiles(results),
        ),
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
            scores
            for cell in results.cells
            if cell.label == column.label and (scores := list_normalised(cell))
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
