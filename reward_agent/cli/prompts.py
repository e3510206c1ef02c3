"""``reward-agent prompts``."""

from __future__ import annotations

from typing import Annotated

import typer

from reward_agent.cli.settings import RunsDir

app = typer.Typer(help="Show what language models are sent.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Env = Annotated[str, typer.Option(help="Environment: a name or a folder.")]
Task = Annotated[str | None, typer.Option(help="A task's name, or any sentence.")]
Run = Annotated[str | None, typer.Option(help="Take programs and trainings of this run.")]


@app.command("list")
def list_command(as_json: Json = False) -> None:
    """List the prompts: what each asks for, and its parts."""
    from reward_agent.cli.output import answer_console, make_table, print_json
    from reward_agent.designers.preview import PREVIEWS

    if as_json:
        rows = [{"name": name, "asks_for": item.asks_for} for name, item in PREVIEWS.items()]
        print_json(rows)
        return
    table = make_table("prompt", "asks for")
    for name, item in PREVIEWS.items():
        table.add_row(name, item.asks_for)
    answer_console.print(table)


@app.command("show")
def show_command(
    name: Annotated[str, typer.Argument(help="A prompt, such as designer/first.")],
    env: Env = "hopper",
    task: Task = None,
    run: Run = None,
    candidate: Annotated[int, typer.Option(min=0, help="Which idea of the round.")] = 0,
    runs_dir: RunsDir = None,
    as_json: Json = False,
) -> None:
    """Show a prompt word for word, as it would be sent."""
    from reward_agent.cli.output import print_json, print_text, progress_console
    from reward_agent.designers.preview import estimate_tokens, load_subject, preview_prompt

    request = preview_prompt(name, load_subject(env, task, run, runs_dir, candidate))
    n_tokens = estimate_tokens(request.prompt)
    if as_json:
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        print_json({"name": name, "sha256": request.sha256, "tokens": n_tokens, "messages": turns})
        return
    print_text(request.prompt)
    what = "of the run" if run else "an example; --run RUN shows a real one"
    progress_console.print(
        f"[dim]about {n_tokens:,} tokens ({len(request.prompt):,} characters), "
        f"at most {request.max_output_tokens:,} for the reply; "
        f"programs and trainings: {what}[/]",
        highlight=False,
    )
