"""``python -OO`` drops assertions and docstrings: nothing that a person does may need them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "--preset",
    "quick",
    "--candidates",
    "1",
    "--iterations",
    "1",
    "--steps",
    "2048",
    "--eval-episodes",
    "2",
    "--no-video",
    "--provider",
    "offline",
]


def run_python(
    folder: Path, *arguments: str, text: str = "", flags: tuple[str, ...] = ("-OO",)
) -> str:
    done = subprocess.run(
        [sys.executable, *flags, *arguments],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        check=False,
    )
    assert done.returncode in (0, 3), done.stderr[-2000:]
    return done.stdout


def ask(folder: Path, *arguments: str, **options: str) -> str:
    return run_python(folder, "-m", "reward_agent", *arguments, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    design = ["design", "--env", "inverted_pendulum", "--task", "balance", *TINY, "--json"]
    record = json.loads(ask(folder, *design))
    assert record["status"] == "finished"
    assert record["winner"]["score"] > 0
    return folder / "runs" / record["id"]


HELP = """
from reward_agent.cli.app import app
from typer.testing import CliRunner
for words in (["check"], [], ["envs"]):
    print(CliRunner().invoke(app, [*words, "--help"]).output)
"""


def test_commands_keep_their_help(tmp_path: Path) -> None:
    shown = run_python(tmp_path, "-c", HELP)
    assert "Check a reward program: findings at their lines" in shown
    assert "Say what this machine offers" in shown
    assert "List the environments" in shown


SENT = """
import json
from reward_agent.designers.preview import PREVIEWS, load_subject, preview_prompt
from reward_agent.llm.chat import make_reply_schema
from reward_agent.types import Analysis, Critique
subject = load_subject("hopper", None, None, None, 0)
sent = {name: preview_prompt(name, subject).prompt for name in PREVIEWS}
sent |= {kind.__name__: make_reply_schema(kind) for kind in (Analysis, Critique)}
told = json.dumps(sent)
"""


def test_what_is_sent_has_the_same_identity(tmp_path: Path) -> None:
    here: dict[str, str] = {}
    exec(SENT, here)
    there = json.loads(run_python(tmp_path, "-c", f"{SENT}\nprint(told)"))
    assert there == json.loads(here["told"])
    assert {"designer/first", "Critique"} <= set(there)


@pytest.mark.slow
def test_a_policy_is_trained_and_scored(tmp_path: Path) -> None:
    task = ["--env", "inverted_pendulum", "--task", "balance"]
    train = ["train", *task, "--steps", "2048", "--eval-episodes", "2", "--no-video", "-o", "here"]
    trained = json.loads(ask(tmp_path, *train, "--json"))
    assert trained["evaluation"]["best"]["task_score"] > 0
    policy = tmp_path / "here" / "evaluation" / trained["evaluation"]["best_file"]
    scored = ask(tmp_path, "evaluate", str(policy), *task, "--no-video", "--json")
    assert json.loads(scored)["best"]["task_score"] > 0


@pytest.mark.slow
def test_a_run_is_designed_reported_exported_and_talked_about(run_dir: Path) -> None:
    folder = run_dir.parents[1]
    assert Path(ask(folder, "report", "last").strip()).stat().st_size > 1000
    assert json.loads(ask(folder, "runs", "list", "--json"))[0]["id"] == run_dir.name
    ask(folder, "export", "last", "-o", "package")
    run_python(folder / "package", "-m", "pytest", "-q", "-p", "no:cacheprovider", flags=())
    ask(folder, "feedback", "last", "--say", "make it calmer", "--no-video", "--json")
    rounds = json.loads(ask(folder, "runs", "show", "last", "--json"))
    assert rounds["id"] == run_dir.name
    assert len(list((run_dir / "iterations").iterdir())) == 2
