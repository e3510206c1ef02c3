"""``reward-agent keys``: keys that are kept for a person, outside any run."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer
from pydantic import Field

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import print_text
from reward_agent.llm import keys
from reward_agent.types import Record

keys_app = typer.Typer(help="Keep keys of providers, for you alone.", no_args_is_help=True)
KeyName = Annotated[str, typer.Argument(help="A variable's name, such as OPENAI_API_KEY.")]


@keys_app.command("set")
def set_command(name: KeyName) -> None:
    """Keep a key, typed unseen or from standard input; used where the variable is not set."""
    if sys.stdin.isatty():
        value = typer.prompt(f"{name}", hide_input=True, err=True)
    else:
        value = sys.stdin.readline()
    path = keys.keep_key(name, value.strip(), os.environ)
    print_text(f"{name} is kept in {path}, which you alone can read")
    if os.environ.get(name):
        print_text(f"while the variable {name} is set, that one is used")


class KeptKeys(Record):
    """Which keys are kept; none of them is shown."""

    keys: tuple[str, ...] = Field(description="their names")
    reads_env_file: bool = Field(description="whether the .env of a working directory is read")


@keys_app.command("list")
@answers("cli.keys:KeptKeys")
def list_command() -> CommandAnswer:
    """List the names of the keys that are kept, and whether `.env` is read; no key is shown."""
    names, reads = keys.list_keys(os.environ), keys.reads_env_file(os.environ)
    lines = [*(names or ["no key is kept"])]
    lines.append(f".env of the working directory: {'read' if reads else 'not read'}")
    return CommandAnswer(KeptKeys(keys=tuple(names), reads_env_file=reads), "\n".join(lines))


@keys_app.command("rm")
def remove_command(name: KeyName) -> None:
    """Keep a key no longer."""
    keys.drop_key(name, os.environ)
    print_text(f"{name} is no longer kept")


@keys_app.command("env-file")
def env_file_command(
    word: Annotated[Literal["on", "off"], typer.Argument(help="Whether it is read.")],
) -> None:
    """Say once whether keys are read from the `.env` of a working directory; by default not."""
    keys.read_env_file_from_now(word == "on", os.environ)
    read = "read" if word == "on" else "not read"
    print_text(f"keys of the .env of a working directory are {read} from now on")
