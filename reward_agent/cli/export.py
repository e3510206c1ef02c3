"""``reward-agent export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reward_agent.cli.settings import RunsDir


def export_command(
    run: Annotated[str, typer.Argument(help="A run: id, start of an id, path, or 'last'.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
    candidate: Annotated[
        str | None, typer.Option(help="Whose program \\[default: the winner's].")
    ] = None,
    runs_dir: RunsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Write a run's reward as one file that needs NumPy alone, its policy and a test."""
    from reward_agent.cli.output import print_json, print_text
    from reward_agent.export.package import export_run

    export = export_run(run, output, candidate, runs_dir)
    if as_json:
        files = list(export.files)
        print_json({"folder": str(output), "candidate": export.candidate, "files": files})
        return
    print_text(f"reward  {output / 'reward.py'} (candidate {export.candidate})")
    print_text(f"policy  {output / 'policy.safetensors'}, loaded by {output / 'policy.py'}")
    print_text(f"test    python -m pytest {output / 'test_reward.py'}")
