"""``reward-agent skill``: what a coding agent reads before it works with this program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import print_text
from reward_agent.definitions.paths import find_skill_file
from reward_agent.errors import UsageError
from reward_agent.files import find_real, make_folder, read_text, write_atomic
from reward_agent.types import Record

skill_app = typer.Typer(help="Teach a coding agent to use this program.", no_args_is_help=True)
Agent = Literal["claude", "codex", "gemini"]
# Where each looks for skills, in a project's folder and in a person's home alike.
# Sources: code.claude.com/docs/en/skills; developers.openai.com/codex/skills ("the Codex CLI reads
# .agents/skills"); geminicli.com/docs/cli/using-agent-skills. The folder of a skill has its name:
# agentskills.io/specification.
_PLACES: dict[Agent, str] = {
    "claude": ".claude/skills",
    "codex": ".agents/skills",
    "gemini": ".gemini/skills",
}
_NAME = "reward-agent"


class InstalledSkill(Record):
    """A skill where an agent looks for it."""

    agent: Agent
    file: str


@skill_app.command("show")
def show_command() -> None:
    """Print the skill: the contract, the loop, what the tables say, when to stop."""
    print_text(read_text(find_skill_file()).rstrip("\n"))


@skill_app.command("install")
@answers("cli.skill:InstalledSkill")
def install_command(
    agent: Annotated[Agent, typer.Option(help="Whose skill it is to be.")] = "claude",
    to: Annotated[
        Path | None,
        typer.Option(help="The project, or ~ for all of yours \\[default: this folder]."),
    ] = None,
) -> CommandAnswer:
    """Write the skill where a coding agent looks for it; again after an update."""
    root = find_real((to or Path.cwd()).expanduser())
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder", "make it first, or name another with --to")
    folder = root / _PLACES[agent] / _NAME
    file = folder / "SKILL.md"
    if file.exists() and f"\nname: {_NAME}\n" not in read_text(file):
        raise UsageError(f"{file} is another's skill", "move it, or name another folder with --to")
    make_folder(folder)
    write_atomic(file, read_text(find_skill_file()).encode())
    return CommandAnswer(InstalledSkill(agent=agent, file=str(file)), str(file))
