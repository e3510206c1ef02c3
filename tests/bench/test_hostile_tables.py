"""Tables of a sweep hold a stranger's words: no formula, link, markup or command comes of them."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_agent.bench.page import (
    draw_charts,
    render_csv,
    render_latex,
    render_markdown,
    render_page,
)
from reward_agent.bench.results import Cell, MethodSummary, Results, RunScore
from reward_agent.text import show_hidden

EVIL = [
    "=HYPERLINK(\"http://evil\")", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1",
    "＝1", "a|b\n|c|", "<script>alert(1)</script>", "![x](http://evil/p.png)", "[x](javascript:a)",
    r"a\|b", r"\input{/etc/passwd}", r"$\write18{id}$", "100% & #1 {x} ~ ^", "[b] \\\\[2cm]", "*a*",
    "`rm -rf`", "\u202e\u200b\x1b[31m", "\ud800", "'; drop table", "]]><!--",
]  # fmt: skip


def make_results(words: str) -> Results:
    run = RunScore(job=words, seed=0, score=-1.5, normalised=0.5, run=words, outcome=words)
    failed = run.model_copy(update={"score": None, "normalised": None})
    cell = Cell(task=words, label=words, unit=words, runs=(run, failed), mean=-1.5)
    column = MethodSummary(
        label=words, n_tasks=1, n_runs=2, n_failed=1, n_missing=0, iqm=0.5, interval=(0.4, 0.6)
    )
    return Results(
        suite="tiny", description=words, settings={"budget": words}, cells=(cell,),
        columns=(column,), versions=({words: words},),
    )  # fmt: skip


@pytest.mark.parametrize("words", EVIL)
def test_no_cell_is_a_formula(words: str) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(make_results(words)))))
    assert [row["score"] for row in rows] == ["-1.5", ""], "a number stays a number"
    for row in rows:
        for name in ("task", "method", "unit", "outcome", "job", "run"):
            assert not re.match(r"[=+\-@\t\r\n＝＋－＠]", row[name].lstrip())
            assert "\n" not in row[name]


@pytest.mark.parametrize("words", EVIL)
def test_a_markdown_table_keeps_its_shape(words: str) -> None:
    text = render_markdown(make_results(words))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {line.count("|") for line in tables}
    assert widths == {4, 12}
    assert not re.search(r"<|>|\]\(|`", text.replace("|---|", ""))
    assert "\u202e" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("words", EVIL)
def test_latex_runs_no_command_of_a_stranger(words: str) -> None:
    text = render_latex(make_results(words))
    ours = (
        r"\\(?:begin|end)\{tabular\}(?:\{[lr]+\})?|\\(?:top|mid|bottom)rule| \\\\$|\$\\pm\$"
        r"|\\text(?:backslash|asciicircum|asciitilde|less|greater|bar)\{\}|\\[_%&#${}]"
    )
    rest = re.sub(ours, "", text, flags=re.MULTILINE)
    assert not re.search(r"[\\${}%#^~]", re.sub(r"\{\}(?=[\[*])", "", rest))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert not [line for line in rows if line.startswith(("[", "*"))]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2, 10}


@pytest.mark.parametrize("words", EVIL)
def test_page_and_charts_show_the_words(words: str) -> None:
    results = make_results(words)
    page = render_page(results)
    assert "<script>alert" not in page
    for char in "\u202e\u200b\x1b\ud800":
        assert char not in page
    for chart in draw_charts(results).values():
        assert "<script>alert" not in chart


@given(st.text(max_size=40))
def test_no_words_break_a_table(words: str) -> None:
    results = make_results(words)
    assert len(list(csv.reader(io.StringIO(render_csv(results))))) == 3
    tables = [line for line in render_markdown(results).splitlines() if line.startswith("|")]
    assert len(tables) == 6


@pytest.mark.parametrize("words", EVIL)
def test_a_chart_as_a_file_is_a_picture_and_has_no_other_elements(words: str) -> None:
    def list_elements(words: str) -> list[set[str]]:
        charts = draw_charts(make_results(words)).values()
        trees = [ElementTree.fromstring(show_hidden(chart)) for chart in charts]
        assert all(tree.tag.rpartition("}")[2] == "svg" for tree in trees)
        return [{element.tag for element in tree.iter()} for tree in trees]

    assert list_elements(words) == list_elements("plain")
