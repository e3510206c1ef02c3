"""``reward-agent diagnose``: what a reward pays for, term by term."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.output import Yes, ask_about_money
from reward_agent.cli.settings import Env, add_settings


@answers("summary.diagnosis:RewardDiagnosis")
@add_settings(
    "preset", "algo", "steps", "seed", "eval_episodes", "sandbox", "training_timeout_s",
    "memory_mib", "python", "provider", "model", "base_url", "max_usd", "max_calls",
    "trust_config",
)  # fmt: skip
def diagnose_command(
    file: Annotated[Path, typer.Argument(help="A reward, as you have it.")],
    env: Env,
    task: Annotated[
        str | None, typer.Option(help="What it is for: a task's name, or a sentence with --metric.")
    ] = None,
    metric: Annotated[Path | None, typer.Option(help="Your own metric.py.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the page here, too.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the evidence.")
    ] = None,
    yes: Yes = False,
    **settings: Any,
) -> CommandAnswer:
    """Train a reward once and say, term by term, what it pays for; its gravest fault first."""
    from reward_agent.cli.display import RunDisplay
    from reward_agent.files import read_text, write_atomic
    from reward_agent.run.diagnose import diagnose
    from reward_agent.summary.diagnosis import render_diagnosis

    with RunDisplay() as display:
        show = partial(display.show_row, "training")
        diagnosed = diagnose(
            file,
            env,
            task=task,
            metric=metric,
            folder=output,
            on_progress=show,
            agree=ask_about_money(yes, display.paused),
            **settings,
        )
    if out is not None:
        write_atomic(out, read_text(diagnosed.page).encode())
    words = render_diagnosis(diagnosed.diagnosis)
    places = f"page     {out or diagnosed.page}\nevidence {diagnosed.folder}"
    return CommandAnswer(diagnosed.diagnosis, f"{words}\n\n{places}")
