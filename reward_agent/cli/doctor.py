"""``reward-agent doctor``."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def doctor_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say what this machine offers: isolation, rendering, packages, keys, clusters."""
    from dataclasses import asdict
    from importlib.util import find_spec

    from reward_agent.cli.output import answer_console, make_table, print_json
    from reward_agent.executors.survey import survey_executors
    from reward_agent.llm.local import INSTALL_COMMAND
    from reward_agent.llm.registry import KEY_VARIABLES
    from reward_agent.sandbox.doctor import Mechanism, survey

    mechanisms = survey()
    for provider, variable in KEY_VARIABLES.items():
        is_set = bool(os.environ.get(variable, "").strip())
        detail = "set" if is_set else "not set; without a key the offline designer works"
        mechanisms.append(Mechanism(variable, f"provider {provider}", is_set, detail))
    is_there = find_spec("xllamacpp") is not None
    detail = "installed" if is_there else f"not installed: {INSTALL_COMMAND}"
    mechanisms.append(Mechanism("xllamacpp", "provider local", is_there, detail))
    mechanisms += survey_executors()
    if as_json:
        print_json([asdict(mechanism) for mechanism in mechanisms])
        return
    table = make_table("", "mechanism", "covers", "detail")
    for mechanism in mechanisms:
        mark = "[green]✓[/]" if mechanism.available else "[yellow]–[/]"
        table.add_row(mark, mechanism.name, mechanism.covers, mechanism.detail)
    answer_console.print(table)
