"""``reward-agent check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_agent.errors import UsageError

if TYPE_CHECKING:
    from reward_agent.run.single import Examined


def _print_schema(is_asked: bool) -> None:
    if not is_asked:
        return
    from reward_agent.cli.output import print_json
    from reward_agent.types import CheckAnswer

    print_json(CheckAnswer.model_json_schema(mode="serialization"))
    raise typer.Exit


def check_command(
    file: Annotated[str, typer.Argument(help="A reward program; '-' reads standard input.")],
    env: Annotated[str, typer.Option(help="Environment: a name or a folder.")],
    probe: Annotated[bool, typer.Option("--probe", help="Also dry-run it in the sandbox.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    schema: Annotated[
        bool,
        typer.Option(
            "--json-schema",
            help="Print the schema of --json.",
            is_eager=True,
            callback=_print_schema,
        ),
    ] = False,
) -> None:
    """Check a reward program: findings at their lines, exit code 1 if it is refused."""
    from reward_agent.cli.output import print_json, print_text
    from reward_agent.run.single import check

    source = _read_source(file)
    examined = check(source, env, probe=probe)
    if as_json:
        print_json(_to_data(examined))
    else:
        print_text(_render(examined, source))
    if not examined.is_accepted:
        raise typer.Exit(1)


def _read_source(file: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "name a file, or -") from error
    return data.decode("utf-8", "replace")


def _to_data(examined: Examined) -> dict[str, Any]:
    from reward_agent.types import CheckAnswer

    answer = CheckAnswer(accepted=examined.is_accepted, check=examined.check, probe=examined.probe)
    return answer.model_dump(mode="json")


def _render(examined: Examined, source: str) -> str:
    from reward_agent.rewards.checks import render_findings

    findings = examined.check.findings + (examined.probe.findings if examined.probe else ())
    verdict = "accepted" if examined.is_accepted else "refused"
    lines = [render_findings(source, findings)] if findings else []
    if examined.probe is not None:
        lines += [
            f"{term.name}: {term.mean:.3g} ± {term.std:.3g}, "
            f"{term.minimum:.3g} … {term.maximum:.3g} a step"
            for term in examined.probe.terms
        ]
        if examined.probe.call_us is not None:
            lines.append(f"{examined.probe.call_us:.0f} µs a call at 64 simulations")
    return "\n".join([*lines, verdict])
