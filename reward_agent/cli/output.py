"""Standard output carries the answer, standard error the progress and the errors.

All that is shown leaves by this module: what hides or steers in it is written out, and none of it
is read as markup, whoever wrote it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic_core import to_jsonable_python
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from reward_agent.errors import Interrupted, RefusedError, UndecidedError
from reward_agent.text import hide_in_data, show_hidden

if TYPE_CHECKING:
    from reward_agent.errors import RewardAgentError
    from reward_agent.run.estimate import Expense
    from reward_agent.run.spending import Agree

Yes = Annotated[bool, typer.Option("--yes", help="Agree unasked to what it may cost.")]
# A log file or a pipe has no width of its own; lines in it must not break at 80 columns.
_WIDTH_OF_NO_TERMINAL = 200
_UNBOUNDED = 10_000


class PlainConsole(Console):
    """A console that takes words as they are: no markup, nothing that hides or steers."""

    def __init__(self, *, stderr: bool) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)
        if not self.is_terminal and "COLUMNS" not in os.environ:
            self.width = _WIDTH_OF_NO_TERMINAL

    def render_str(self, text: str, **options: Any) -> Text:
        """Return words as a text; rich would drop some of what is written out here."""
        return super().render_str(show_hidden(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the pieces of what is shown; only rich's own may steer the terminal."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else piece._replace(text=show_hidden(piece.text))


progress_console = PlainConsole(stderr=True)
answer_console = PlainConsole(stderr=False)


def print_error(error: RewardAgentError, exit_code: int | None = None) -> None:
    """Show an error in one line, and its remedy in the next; before them what was found.

    Under ``--json`` it is one line of JSON.

    Args:
        error: what happened.
        exit_code: what the process ends with; the error's own by default.
    """
    if "--json" in sys.argv:
        told = error.to_dict() | ({} if exit_code is None else {"exit": exit_code})
        typer.echo(show_hidden(json.dumps(told, ensure_ascii=False), json.dumps), err=True)
        return
    if isinstance(error, RefusedError):
        progress_console.print(f"{error.findings}\n", markup=False, highlight=False, soft_wrap=True)
    # Soft: a narrow terminal wraps the line, but whoever copies it gets one.
    remedies = error.list_ways() if isinstance(error, UndecidedError) else [error.remedy]
    lines = [
        (("error:", "bold red"), error.message),
        *((("  →", "dim"), text) for text in remedies),
    ]
    for sign, text in lines:
        if text:
            progress_console.print(Text.assemble(sign, f" {text}"), soft_wrap=True)


def is_somebody_there() -> bool:
    """Whether somebody sits at a terminal who sees a question and can answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_about_money(
    yes: bool, pause: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Agree | None:
    """Return who agrees to what calls of a model may cost: a person who is asked. Enter is no.

    Args:
        yes: whether it was agreed to beforehand; then nobody is asked.
        pause: holds back what is shown meanwhile.
    """

    def agree(expected: Expense) -> bool:
        from reward_agent.run.spending import explain_unagreed, tell_cost

        if not is_somebody_there():
            raise explain_unagreed(expected)
        with pause():
            progress_console.print(f"No limit is set (--max-usd): {tell_cost(expected)}.")
            progress_console.print("Begin? [y/N]")
            return read_answer() in ("y", "yes")

    return None if yes else agree


def read_answer() -> str:
    """Return what is typed at a prompt, in small letters; nothing where the input ends.

    Raises:
        Interrupted: Ctrl-C.
    """
    progress_console.print("> ", end="")
    try:
        return input().strip().lower()
    except EOFError:
        return ""
    except KeyboardInterrupt:
        raise Interrupted("stopped at the prompt") from None


def print_json(data: Any, *, is_line: bool = False, is_verbatim: bool = False) -> None:
    """Write records as JSON to standard output.

    Args:
        data: a record or dataclass, or a list of them.
        is_line: on one line, of which a command prints several.
        is_verbatim: whether what looks like a credential stays; where every letter counts.
    """
    data = to_jsonable_python(data, inf_nan_mode="null")
    data = data if is_verbatim else hide_in_data(data)
    text = json.dumps(data, indent=None if is_line else 2, ensure_ascii=False)
    typer.echo(show_hidden(text, json.dumps))


def print_text(text: str) -> None:
    """Write plain text to standard output."""
    typer.echo(show_hidden(text))


def ask(question: str) -> str:
    """Read a line from a person.

    Raises:
        EOFError: the input has ended.
    """
    return input(show_hidden(question))


def show_number(value: float | None) -> str:
    """Return three digits; a dash for what is not known."""
    return "–" if value is None else f"{value:.3g}"


class FittedTable(Table):
    """A table whose words stay whole: where they do not fit, each row is a list of its cells."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        """Yield the table, or a list of each row."""
        ends = [self._measure_column(console, options.update_width(_UNBOUNDED), column)
                for column in self.columns]  # fmt: skip
        free = options.max_width - sum(end.minimum for end in ends)
        if free < 0:
            yield from self._list_rows(console)
            return
        wished = sum(end.maximum - end.minimum for end in ends)
        if wished > free:
            for index, (column, end) in enumerate(zip(self.columns, ends, strict=True)):
                share = free * (end.maximum - end.minimum) // wished
                column.width = end.minimum + share - self._get_padding_width(index)
        yield from super().__rich_console__(console, options)

    def _list_rows(self, console: Console) -> Iterator[Any]:
        if self.title:
            yield console.render_str(str(self.title), style="italic")
        names = [column.header for column in self.columns]
        cells = zip(*(column.cells for column in self.columns), strict=True)
        for number, (row, values) in enumerate(zip(self.rows, cells, strict=True)):
            if number:
                yield ""
            grid = Table.grid("", "", padding=(0, 2, 0, 0))
            grid.columns[1].overflow = "fold"
            for name, value in zip(names, values, strict=True):
                if value != "":
                    cells_of_row = (name, value) if name else (value, "")
                    grid.add_row(*cells_of_row, style=row.style)
            yield grid


def make_table(
    *columns: str, rows: Iterable[Sequence[RenderableType]] = (), title: str | None = None
) -> Table:
    """Return a table in the house's style; columns that begin with ``>`` align right."""
    table = FittedTable(
        title=title, title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        is_number = column.startswith(">")
        # Folded, not cut: a narrow terminal must not hide a name.
        table.add_column(
            column.removeprefix(">"), justify="right" if is_number else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    return table


def render_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as text that fits the terminal; all columns but the first align right."""
    table = make_table(head[0], *(f">{name}" for name in head[1:]), rows=rows)
    with answer_console.capture() as captured:
        answer_console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
