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

    from reward_agent.cli.output import answer_console, make_table, print_json
    from reward_agent.executors.registry import EXECUTORS
    from reward_agent.llm.provider import PROVIDERS
    from reward_agent.sandbox.doctor import Mechanism, survey, survey_members
    from reward_agent.trackers.registry import TRACKERS

    mechanisms = survey()
    for row in PROVIDERS.own:
        if row.key_variable:
            is_set = bool(os.environ.get(row.key_variable, "").strip())
            detail = "set" if is_set else "not set; without a key the offline designer works"
            covers = f"provider {row.name}"
            mechanisms.append(Mechanism(row.key_variable, covers, is_set, detail))
    for seam in (PROVIDERS, EXECUTORS, TRACKERS):
        mechanisms += survey_members(seam)
    if as_json:
        print_json([asdict(mechanism) for mechanism in mechanisms])
        return
    table = make_table("", "mechanism", "covers", "detail")
    for mechanism in mechanisms:
        mark = "[green]✓[/]" if mechanism.available else "[yellow]–[/]"
        table.add_row(mark, mechanism.name, mechanism.covers, mechanism.detail)
    answer_console.print(table)
