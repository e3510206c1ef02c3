from __future__ import annotations

import itertools
import json
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reward_agent.cli.display import show_run
from reward_agent.errors import DataError
from reward_agent.records.store import HandedPolicy, RunStore
from reward_agent.report.page import _make_command, write_report
from reward_agent.report.view import load_run_view
from tests.support.reports import make_evaluation

VOID = {"meta", "img", "br", "input", "link", "hr"}


class Outline(HTMLParser):
    """Reads what a page consists of; complains about tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open
        assert self._open[-1] == tag, f"</{tag}> closes <{self._open[-1]}>"
        self._open.pop()

    def find(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.attributes if name == tag]


@pytest.fixture
def page(run_dir: Path) -> str:
    return write_report(run_dir).read_text("utf-8")


def test_report_is_one_file_beside_the_records(run_dir: Path) -> None:
    before = {path for path in run_dir.rglob("*") if path.is_file()}
    path = write_report(run_dir)
    assert path == run_dir / "report.html"
    assert {item for item in run_dir.rglob("*") if item.is_file()} - before == {path}


def test_page_loads_nothing_from_elsewhere(page: str) -> None:
    outline = Outline(page)
    links = [a[key] for _, a in outline.attributes for key in ("src", "href") if key in a]
    assert links
    assert all(link.startswith(("#", "data:image/webp;base64,")) for link in links)
    assert "default-src 'none'" in page
    assert "url(" not in page


def test_page_has_the_marks_of_an_accessible_document(page: str) -> None:
    outline = Outline(page)
    assert outline.find("html") == [{"lang": "en"}]
    assert all(outline.tags.count(tag) == 1 for tag in ("h1", "main", "header", "footer", "nav"))
    assert re.search(r"<title>hopper: hop_forward · it works · reward-agent</title>", page)
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch(r"h\d", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [a["id"] for _, a in outline.attributes if "id" in a]
    assert len(ids) == len(set(ids))
    assert all(image["alt"] for image in outline.find("img"))
    charts = outline.find("svg")
    assert charts
    for chart in charts:
        assert chart["role"] == "img"
        assert chart["aria-label"]
    targets = {a["href"][1:] for a in outline.find("a") if (a["href"] or "").startswith("#")}
    assert targets <= set(ids)


def test_text_of_a_model_is_escaped(page: str) -> None:
    assert "<fast>" not in page
    assert "&lt;fast&gt;" in page
    assert "<b>takes</b>" not in page
    assert "&lt;b&gt;takes&lt;/b&gt; (state)" in page


def test_the_verdict_is_of_the_film_and_stands_beside_what_others_do(page: str) -> None:
    verdict = page.split('class="verdict good">')[1].split("</div>")[0]
    told = (
        "In 15 of 16 new tries the robot did what was asked: 5.7 m on average, against 4.4 m after"
    )
    assert told in verdict
    rows = dict(re.findall(r'<th scope="row">(.*?)</th><td class="num">(.*?)</td></tr>', page))
    assert rows["this policy"] == "5.7"
    [fresh] = [row for row in rows if "trained anew, 2 fresh seeds" in row]
    assert rows[fresh] == "5.9"
    assert "97% of tries succeed; each: 5.7, 6.1" in page
    assert any(row.startswith("Gymnasium&#39;s own reward, Hopper-v5") for row in rows)
    assert rows["asked for"] == "3"


def test_every_candidate_and_every_lost_reply_is_shown_with_its_outcome(page: str) -> None:
    for text in (
        "stopped: at 100,000 steps: worse than half",
        "rejected: check: line 2: state.speeed is not a field",
        "no program: the reply holds no code",
        "entry/signature",
        "write (state, action, next_state)",
    ):
        assert text in page


def test_change_from_the_parent_is_shown(page: str) -> None:
    assert re.search(r'<span class="removed">-.*1\.0 \* speed', page)
    assert re.search(r'<span class="added">\+.*2\.5 \* speed', page)


def test_finding_stands_under_its_line(page: str) -> None:
    line = page.index('data-n="4"', page.index('id="c-4"'))
    remark = page.index("5.0 has no name", line)
    assert line < remark < page.index('data-n="5"', line)


def test_opinions_are_named_as_opinions(page: str) -> None:
    assert page.count("a language model's opinion; it enters no score") == 2


def test_command_names_what_the_defaults_do_not_give(page: str) -> None:
    command = re.search(r'id="command"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert command
    assert command[1] == (
        "reward-agent design --env hopper --task hop_forward --preset quick --provider anthropic"
    )


@pytest.mark.parametrize(
    ("designer", "words"),
    [
        ("offline: no language model (…)", "Offline designer: no language model."),
        ("scripted: replies.md", "Scripted replies: the programs were read from a file"),
        ("openai: gpt-7", "written by a language model"),
    ],
)
def test_kind_of_designer_is_said(run_dir: Path, designer: str, words: str) -> None:
    store = RunStore(run_dir)
    store.write_run(store.read_run().model_copy(update={"designer": designer}))
    assert words in write_report(run_dir).read_text("utf-8")


def test_run_without_a_complete_round_has_a_page(run_dir: Path) -> None:
    for path in run_dir.glob("iterations/*/iteration.json"):
        path.unlink()
    store = RunStore(run_dir)
    store.write_run(
        store.read_run().model_copy(
            update={"status": "running", "winner": None, "confirmations": ()}
        )
    )
    with store.lock():
        page = write_report(run_dir).read_text("utf-8")
    Outline(page)
    assert "No round is complete yet." in page
    assert "This run is <b>running</b>" in page
    page = write_report(run_dir).read_text("utf-8")
    assert "This run is <b>interrupted</b>: its process ended" in page


def test_run_without_a_metric_claims_no_score(run_dir: Path) -> None:
    changes = {"metric_origin": "none", "winner": None, "confirmations": ()}
    store = RunStore(run_dir)
    store.write_run(store.read_run().model_copy(update=changes))
    for path in run_dir.rglob("evaluation.json"):
        path.write_text(_drop_scores(path.read_text()))
    for path in run_dir.glob("iterations/*/iteration.json"):
        path.write_text(_drop_scores(path.read_text()))
    page = write_report(run_dir).read_text("utf-8")
    Outline(page)
    assert "nothing is ranked" in page
    assert "not ranked" in page


def _drop_scores(text: str) -> str:
    def drop(value: object) -> object:
        if isinstance(value, dict):
            lost = {
                "task_score",
                "task_score_interval",
                "success_rate",
                "success_interval",
                "best_task_score",
            }
            return {k: None if k in lost else drop(v) for k, v in value.items()}
        return [drop(item) for item in value] if isinstance(value, list) else value

    return json.dumps(drop(json.loads(text)))


def test_video_that_is_no_webp_stays_out(run_dir: Path) -> None:
    next(run_dir.rglob("video.webp")).write_bytes(b"<svg onload=alert(1)>")
    page = write_report(run_dir).read_text("utf-8")
    assert "data:image" not in page.replace("img-src data:", "")
    assert "is not a WebP animation" in page


def test_a_run_that_was_to_render_none_speaks_of_no_film(run_dir: Path) -> None:
    next(run_dir.rglob("video.webp")).unlink()
    assert "`reward-agent doctor` says what it needs" in write_report(run_dir).read_text("utf-8")
    store = RunStore(run_dir)
    run = store.read_run()
    store.write_run(run.model_copy(update={"config": run.config | {"video": False}}))
    page = write_report(run_dir).read_text("utf-8")
    assert f"`reward-agent film {run_dir.name}` draws one" in page
    assert "policy in the film" not in page


def test_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run\.json is missing"):
        write_report(tmp_path)


def test_the_page_says_where_the_slot_time_went(page: str) -> None:
    assert "<td>child start</td>" in page
    assert "4% of it is beside LLM, physics, policy, update and evaluation" in page


def test_the_command_runs_nothing_else_that_a_run_says(run_dir: Path) -> None:
    evil = "$(touch evil)`touch evil`; touch evil #\"'\n--sandbox off"
    view = load_run_view(run_dir)
    run = view.run.model_copy(
        update={
            "metric_origin": "file",
            "task": view.run.task.model_copy(update={"description": evil}),
            "config": {"preset": evil, "provider": evil, "target_score": evil, evil: evil},
            "config_sources": {"provider": evil, "target_score": evil, evil: evil},
        }
    )
    words = shlex.split(_make_command(replace(view, run=run)))
    assert words == [
        "reward-agent", "design", "--env", run.card.name, "--task", evil, "--preset", evil,
        "--provider", evil, "--target-score", evil,
    ]  # fmt: skip


def test_the_program_and_the_policy_of_another_are_named_with_their_own_figures(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(run_dir)
    run = store.read_run()
    assert run.winner is not None
    other = next(c for c in store.list_finished() if c.evaluation and c.id != run.winner.candidate)
    evaluation = make_evaluation(200_000, 7.25).model_copy(update={"n_episodes": 16})
    policy = HandedPolicy(candidate=other.id, iteration=0, seed=0, evaluation=evaluation)
    winner = run.winner.model_copy(update={"policy": policy, "seed": 0})
    store.write_run(run.model_copy(update={"winner": winner}))
    page = write_report(run_dir).read_text("utf-8")
    assert f"Trained with the reward {other.id}, not with {winner.candidate}" in page
    assert "Kept: the policy after 200,000 env steps, seed 0." in page
    assert "In all 16 new tries the robot did what was asked: 7.25 m" in page
    show_run(store, store.read_run())
    shown = capsys.readouterr().out
    assert f"{winner.candidate}: search score 6.2, fresh-seed scores 5.7, 6.1" in shown
    assert f"policy   of {other.id} with seed 0, kept after 200,000 env steps: 7.25 m" in shown


@pytest.mark.parametrize(
    ("config", "has_limits"),
    [
        ({"provider": "anthropic"}, True),
        ({"provider": "offline"}, False),
        ({"provider": "scripted:replies.md"}, False),
        ({"provider": "offline", "judge_model": {"provider": "gemini"}}, True),
        ({"provider": "of-a-package-that-is-not-here"}, True),
    ],
)
def test_settings_without_an_effect_on_who_answers_are_left_out(
    config: dict[str, object], has_limits: bool, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = RunStore(run_dir)
    defaults = {"attempts": 5, "call_timeout_s": 900.0}
    run = store.read_run().model_copy(update={"config": {**defaults, **config}})
    show_run(store, run)
    settings = capsys.readouterr().out.partition("\nsettings\n")[2]
    assert str(config["provider"]) in settings
    assert ("attempts" in settings, "call_timeout_s" in settings) == (has_limits, has_limits)
