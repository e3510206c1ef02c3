"""What coding agents are told, and where it is written."""

from __future__ import annotations

import functools
import json
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from reward_agent.cli.app import app
from reward_agent.definitions.paths import find_skill_file
from reward_agent.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
SKILL = find_skill_file().read_text()
PLACES = {"claude": ".claude/skills", "codex": ".agents/skills", "gemini": ".gemini/skills"}


def invoke(*words: str) -> str:
    done = CliRunner().invoke(app, ["skill", *words])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def parse(line: str) -> None:
    """Fail unless a line is a command of ours with options that it has."""
    command, words = typer.main.get_command(app), shlex.split(line, comments=True)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    context = typer.Context(command, info_name="reward-agent")
    _, left, _ = command.make_parser(context).parse_args(words)
    assert left == [], line


@pytest.mark.parametrize(
    "file", [find_skill_file(), ROOT / "AGENTS.md"], ids=lambda path: path.name
)
def test_every_command_is_one(file: Path) -> None:
    text = file.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if "reward-agent" in line]
    lines += re.findall(r"`(reward-agent [^`\n]+)`", text)
    # In a sentence the name of the program is left out.
    bare = re.findall(r"`((?:runs|envs|check|doctor|skill|film|export|design) [^`\n]+)`", text)
    for line in [*lines, *(f"reward-agent {words}" for words in bare)]:
        parse(line)
    assert len(lines) > 10 or file.name == "AGENTS.md"


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", SKILL))))
def test_every_option_is_one(option: str) -> None:
    assert option in read_help()


@functools.cache
def read_help() -> str:
    return " ".join(
        CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
        for words in (["design"], ["check"], ["runs", "list"], ["runs", "wait"])
    )


def test_keys_that_it_names_are_in_the_answers() -> None:
    shapes = (ROOT / "tests" / "goldens" / "answers.txt").read_text()
    known = set(re.findall(r"^  (\w+):", shapes, re.MULTILINE))
    for key in (
        "criterion",
        "not_measured",
        "behaviours",
        "findings",
        "of_seeds",
        "says",
        "resume",
    ):
        assert f"`{key}`" in SKILL or f".{key}`" in SKILL
        assert key in known


def test_they_are_short_and_have_what_the_standard_asks_for() -> None:
    assert len(SKILL.splitlines()) <= 150
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 60
    head = re.match(r"---\nname: ([a-z0-9-]{1,64})\ndescription: (.{1,1024})\n---\n", SKILL)
    assert head is not None
    assert head[1] == "reward-agent"


@pytest.mark.parametrize(("agent", "place"), PLACES.items())
def test_it_is_written_where_an_agent_looks(agent: str, place: str, tmp_path: Path) -> None:
    file = tmp_path / place / "reward-agent" / "SKILL.md"
    for _ in range(2):
        told = invoke("install", "--agent", agent, "--to", str(tmp_path), "--json")
        assert json.loads(told) == {"agent": agent, "file": str(file)}
        assert file.read_text() == SKILL


def test_anothers_skill_of_that_name_stays(tmp_path: Path) -> None:
    file = tmp_path / PLACES["claude"] / "reward-agent" / "SKILL.md"
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(UsageError, match="another's skill"):
        invoke("install", "--to", str(tmp_path))
    assert file.read_text() == "mine"
    with pytest.raises(UsageError, match="is not a folder"):
        invoke("install", "--to", str(tmp_path / "nowhere"))


def test_it_is_shown_word_for_word() -> None:
    assert invoke("show") == SKILL
