"""Standard output carries the answer, standard error the progress and the errors."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from reward_agent.errors import RewardAgentError

# A log file or a pipe has no width of its own; lines in it must not break at 80 columns.
_WIDTH_OF_NO_TERMINAL = 200


def _make_console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_OF_NO_TERMINAL
    return console


progress_console = _make_console(stderr=True)
answer_console = _make_console(stderr=False)


def print_error(error: RewardAgentError) -> None:
    """Show an error in one line, and its remedy in the next."""
    # Soft: a narrow terminal wraps the line, but whoever copies it gets one.
    plain: dict[str, Any] = {"highlight": False, "soft_wrap": True}
    progress_console.print(f"[bold red]error:[/] {escape(error.message)}", **plain)
    if error.remedy:
        progress_console.print(f"  [dim]→[/] {escape(error.remedy)}", **plain)


def print_json(data: Any) -> None:
    """Write data as JSON to standard output."""
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_text(text: str) -> None:
    """Write plain text to standard output."""
    typer.echo(text)


def make_table(*columns: str, title: str | None = None) -> Table:
    """Return an empty table in the house's style; columns that begin with ``>`` align right."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        is_number = column.startswith(">")
        # Folded, not cut: a narrow terminal must not hide a name.
        table.add_column(
            column.removeprefix(">"), justify="right" if is_number else "left", overflow="fold"
        )
    return table
