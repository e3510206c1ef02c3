"""What a file, a model or a stranger says reaches a terminal as plain words, by whichever way."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.syntax import Syntax
from rich.text import Text
from support.commands import run_command

from reward_agent.cli import output
from reward_agent.cli.app import app
from reward_agent.cli.display import RunDisplay
from reward_agent.errors import DataError
from reward_agent.records import events
from reward_agent.records.outcomes import Outcome
from reward_agent.records.store import RunStore
from reward_agent.text import show_hidden

EVIL = (
    "\x1b]0;pwned\x07\x1b[2J\x1b[31m\x9b31m\x9d0;a\x9c\u202eevil\u2066\u2069\u200b\u200d\ufeff"
    "\u00ad\u2028\U000e0041\U000e007f\u3164\ufe01\x00\x08\x7f\ud800[red]r[/red][/][link=x]y[/link]"
)
# What rich itself writes: colours, and how a progress bar is drawn again.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
BAR = re.compile(r"\x1b\[(\?25[hl]|[0-9]*[AK])|\r")


def find_hidden(text: str) -> set[str]:
    """Return the characters that steer or hide, but for the colours of our own."""
    plain = COLOUR.sub("", text)
    odd = {char for char in plain if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    return (odd | (set(plain) & set("\u3164\ufe01"))) - {"\n", "\t"}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What both consoles write to a terminal with colours."""
    stream = io.StringIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    for name in ("progress_console", "answer_console"):
        console = output.PlainConsole(stderr=False)
        console.file = stream
        monkeypatch.setattr(output, name, console)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("reward_agent.cli") and hasattr(
                module, name
            ):
                monkeypatch.setattr(module, name, console)
    return stream


def test_a_console_writes_out_what_hides_and_reads_no_markup(shown: io.StringIO) -> None:
    console = output.progress_console
    table = output.make_table("a", f">{EVIL}", title=EVIL)
    table.add_row(EVIL, Text(EVIL, "bold"))
    for item in (EVIL, Text(EVIL), Text.assemble((EVIL, "red")), table, Syntax(EVIL, "python")):
        console.print(item)
    console.print(EVIL, soft_wrap=True, style="dim")
    text = shown.getvalue()
    assert not find_hidden(text)
    assert COLOUR.search(text), "our own colours stay"
    plain = COLOUR.sub("", text).replace("\n", "")
    assert plain.count("[red]r[/red]") >= 6
    assert r"\x1b]0;pwned\x07" in plain
    assert r"\u202eevil" in plain


def test_errors_text_and_questions_are_plain(
    shown: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output.print_error(DataError(EVIL, EVIL))
    output.print_text(EVIL)
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or "")
    output.ask(EVIL)
    assert not find_hidden(shown.getvalue() + capsys.readouterr().out + asked[0])


def test_json_stays_json_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"words": EVIL.replace("\ud800", ""), EVIL.replace("\ud800", ""): ["ä – 日本"]}
    output.print_json(data)
    text = capsys.readouterr().out
    assert not find_hidden(text)
    assert "ä – 日本" in text
    assert json.loads(text) == data
    output.print_json(["\ud800"])
    assert json.loads(capsys.readouterr().out) == ["\ud800"]


KINDS = [k for k in vars(events).values() if isinstance(k, type) and k.__base__ is events.Event]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_event_steers_the_terminal(kind: type[events.Event], shown: io.StringIO) -> None:
    values: dict[str, Any] = {
        "str": EVIL, "str | None": EVIL, "int": 1, "float | None": 0.5,
        "tuple[str, ...]": (EVIL, EVIL), "Outcome": Outcome(kind="failed", detail=EVIL),
    }  # fmt: skip
    facts = {
        name: values.get(str(form), {"steps_per_s": 7.0})
        for name, form in kind.__annotations__.items()
    }
    with RunDisplay() as display:
        display.listen(events.SessionOpened(EVIL, EVIL))
        display.listen(kind(**facts))
    text = BAR.sub("", shown.getvalue()) if kind is events.TrainingProgress else shown.getvalue()
    assert "[red]r[/red]" in COLOUR.sub("", text)
    assert not find_hidden(text)


@given(st.text())
def test_shown_text_hides_nothing_and_is_shown_once(text: str) -> None:
    shown = show_hidden(text)
    assert show_hidden(shown) == shown
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cs")} - {"\n", "\t", "\r"}


@pytest.mark.parametrize("text", ["äöü 日本 ✓ – … µ", "a\n\tb", "a\r\nb", "👍️ é ½", "עברית"])
def test_what_hides_nothing_stays(text: str) -> None:
    assert show_hidden(text) == text


# --- the commands, on a run of a stranger ---------------------------------------------------------


@pytest.fixture
def evil_run(judged_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(judged_run / "runs", tmp_path / "runs")
    [folder] = (tmp_path / "runs").iterdir()
    store = RunStore(folder)
    words = EVIL.replace("\ud800", "")
    run = json.loads((folder / "run.json").read_text())
    run |= {"designer": words, "metric_origin": "task"}
    run["slot_seconds"] = {words: 1.0}
    run["versions"] = {words: words}
    run["config_sources"] = {"steps": words}
    (folder / "run.json").write_text(json.dumps(run))
    iteration = json.loads((folder / "iterations/0/iteration.json").read_text())
    for candidate in iteration["candidates"]:
        candidate["idea"] = words
    (folder / "iterations/0/iteration.json").write_text(json.dumps(iteration))
    for path in folder.glob("iterations/0/candidates/*/reward.py"):
        path.write_text(f"# {words}\n" + path.read_text())
    for path in folder.glob("iterations/0/candidates/*/reply.md"):
        path.write_text(f"I say {words}\n")
    assert store.read_run().designer == words
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "list"), ("runs", "show", "last"), ("runs", "list", "--json"),
        ("runs", "show", "last", "--json"), ("runs", "costs", "last"), ("runs", "replies", "last"),
        ("runs", "replies", "last", "1"), ("feedback", "last"), ("feedback", "last", "--json"),
        ("feedback", "last", "--prefer", "\x1b[2Ja"), ("report", "last"),
        ("design", "--resume", "\x1b]0;a\x07"), ("envs", "show", "\u202ehopper"),
        ("bench", "status", "\x1b[2J"), ("runs", "show", "\x9b2J"), ("check", "\u202e"),
        ("--debug", "runs", "show", "\x1b[2J"), ("doctor",), ("envs", "list"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_no_command_steers_the_terminal(evil_run: Path, words: tuple[str, ...]) -> None:
    typed = "/list\n/show\n/metric\n/nosuch\x1b[2J\n/quit\n"
    done = run_command(*words, cwd=evil_run, text=typed, environ={"FORCE_COLOR": "1"})
    for stream in (done.stdout, done.stderr):
        assert not find_hidden(stream), stream
    assert "Traceback" not in done.stderr or "--debug" in words


# --- credentials in a run of a stranger -----------------------------------------------------------

SECRETS = ("hunter2-s3cret", "q-k3y-0123456789")
TOLD = f"no answer of http://walter:{SECRETS[0]}@host/v1?key={SECRETS[1]}"


@pytest.fixture
def telling_run(judged_run: Path, tmp_path: Path) -> Path:
    """A run that tells a credential in each of its words that somebody is shown."""
    shutil.copytree(judged_run / "runs", tmp_path / "runs")
    [folder] = (tmp_path / "runs").iterdir()
    run = json.loads((folder / "run.json").read_text())
    run |= {"designer": TOLD, "limit": TOLD, "note": TOLD, "status": "failed", "winner": None}
    run["config"]["base_url"] = TOLD
    run["task"] |= {"description": TOLD, "criterion": TOLD}
    (folder / "run.json").write_text(json.dumps(run))
    path = folder / "iterations/0/iteration.json"
    iteration = json.loads(path.read_text())
    failed = {"kind": "failed", "stage": "training", "detail": TOLD, "text": TOLD}
    for candidate in iteration["candidates"]:
        candidate["outcome"] = failed
        candidate["attempts"] = [
            {"outcome": failed},
            {"outcome": {"kind": "no_program", "detail": TOLD}},
        ]
    path.write_text(json.dumps(iteration))
    (folder / "feedback").mkdir()
    noted = {"number": 0, "time": "2026-11-22T23:41:05Z", "kind": "noted", "text": TOLD}
    (folder / "feedback/session.jsonl").write_text(json.dumps(noted) + "\n")
    return tmp_path


def test_no_credential_of_a_run_is_shown(
    telling_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(telling_run)
    for words in ("list", "list --json", "show last", "show last --json", "costs last"):
        app(["runs", *words.split()], standalone_mode=False)
        shown = capsys.readouterr()
        assert [secret for secret in SECRETS if secret in shown.out + shown.err] == [], words
        if "show" in words:
            assert shown.out.count("http://host/v1") >= 5
    app(["report", "last"], standalone_mode=False)
    page = Path(capsys.readouterr().out.strip()).read_text()
    assert [secret for secret in SECRETS if secret in page] == []
    assert "http://host/v1" in page
    app(["feedback", "last", "--json", "--provider", "offline"], standalone_mode=False)
    shown = capsys.readouterr()
    assert [secret for secret in SECRETS if secret in shown.out + shown.err] == []
    assert "no answer of http://host/v1" in shown.out
