"""``reward-agent envs``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Show and check environments.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Name = Annotated[str, typer.Argument(help="An environment: a name or a folder.")]


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the environments and their tasks."""
    from reward_agent.cli.output import answer_console, make_table, print_json
    from reward_agent.definitions.card import list_envs, load_env
    from reward_agent.definitions.task import list_tasks

    cards = [load_env(name) for name in list_envs()]
    if as_json:
        print_json([{"name": c.name, "title": c.title, "tasks": list_tasks(c.name)} for c in cards])
        return
    table = make_table("environment", "what it is", "tasks")
    for card in cards:
        table.add_row(card.name, card.title, ", ".join(list_tasks(card.name)))
    answer_console.print(table)


@app.command("show")
def show_command(
    name: Name,
    as_prompt: Annotated[
        bool, typer.Option("--as-prompt", help="Show what the language model sees.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show an environment's card."""
    from reward_agent.cli.output import print_json, print_text
    from reward_agent.definitions.card import load_env
    from reward_agent.definitions.card_text import render_card, render_card_as_prompt

    card = load_env(name)
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        print_text(render_card_as_prompt(card) if as_prompt else render_card(card))


@app.command("check")
def check_command(name: Name, as_json: Json = False) -> None:
    """Compare a card with the live model; exit code 1 if they disagree."""
    from reward_agent.cli.output import print_json, print_text
    from reward_agent.run.single import check_env

    result = check_env(name)
    if as_json:
        print_json(result.model_dump(mode="json"))
    else:
        for fact, value in result.facts.items():
            print_text(f"{fact}: {value}")
        print_text("\n".join(result.findings) or f"{name}: the card describes the model")
    if result.findings:
        raise typer.Exit(1)
