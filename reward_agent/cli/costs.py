"""What a run costs on screen: estimates, calls and replies as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reward_agent.cli.output import answer_console, make_table, print_text
from reward_agent.text import clean_text, hide_credentials

if TYPE_CHECKING:
    from rich.table import Table

    from reward_agent.llm.budget import CostSummary
    from reward_agent.llm.replies import CallRecord, StoredReply
    from reward_agent.records.store import RunRecord
    from reward_agent.run.estimate import Estimate, Range
    from reward_agent.types import Usage

_COLUMNS = (">calls", ">input fresh", ">from cache", ">output", ">of it reasoning", ">USD")


def show_costs(summary: CostSummary, run: RunRecord) -> None:
    """Write a run's costs by agent and by round."""
    table = make_table("", *_COLUMNS, title=run.id)
    for groups in (summary.by_agent, summary.by_round):
        for name, usage in groups.items():
            table.add_row(name, *_list_cells(usage))
        table.add_section()
    table.add_row("run", *_list_cells(summary.total), style="bold")
    answer_console.print(table)
    _show_notes(summary, run)


def show_estimate(estimate: Estimate) -> None:
    """Write what a run is expected to take."""
    title = f"{estimate.provider}: {estimate.model}"
    table = make_table("", ">likely", ">up to", title=title)
    rows: list[tuple[str, Range | None, str]] = [
        ("calls", estimate.calls, ",.0f"),
        ("input tokens", estimate.input_tokens, ",.0f"),
        ("output tokens", estimate.output_tokens, ",.0f"),
        ("USD", estimate.usd, ",.2f"),
        ("env steps", estimate.env_steps, ",.0f"),
        ("minutes", estimate.wall_s * (1 / 60), ",.0f"),
    ]
    for name, size, form in rows:
        ends = (size.likely, size.high) if size is not None else (None, None)
        table.add_row(name, *("–" if end is None else format(end, form) for end in ends))
    answer_console.print(table)
    for note in estimate.notes:
        print_text(note)


def show_calls(records: Sequence[CallRecord]) -> None:
    """Write every call in a line."""
    table = make_table("time", "prompt", ">round", ">candidate", "model", *_COLUMNS[1:], "how")
    for call in records:
        how = f"{'failed: ' if call.is_failed else ''}{hide_credentials(call.outcome)}"
        how = how if call.source == "model" else f"from the {call.source}"
        round_ = "–" if call.iteration is None else str(call.iteration + 1)
        tokens = _list_cells(call.usage)[1:]
        table.add_row(
            call.time, call.template, round_, str(call.candidate), call.model, *tokens, how
        )
    answer_console.print(table)


def make_reply_table(replies: Sequence[StoredReply]) -> Table:
    """Return where each reply belongs and how it begins, in a row each."""
    rows = (
        (f"{number}", str(one.place), one.completion.model, clean_text(one.completion.reply, 60))
        for number, one in enumerate(replies, start=1)
    )
    return make_table(">", "prompt", "model", "reply", rows=rows)


def _list_cells(usage: Usage) -> tuple[str, ...]:
    mark = "≤ " if usage.is_estimated else ""
    return (
        f"{usage.n_calls:,}",
        f"{mark}{usage.fresh_input_tokens:,}",
        f"{usage.cached_input_tokens:,}",
        f"{mark}{usage.output_tokens:,}",
        f"{usage.reasoning_tokens:,}",
        "–" if usage.usd is None else f"{mark}{usage.usd:.4f}",
    )


def _show_notes(summary: CostSummary, run: RunRecord) -> None:
    """Write what the table does not say, in a line each."""
    if summary.models_without_price:
        names = ", ".join(summary.models_without_price)
        print_text(f"no price is known for {names}: tokens are counted, USD are not")
    if summary.n_failed:
        may_add = f", which may add up to {summary.may_add_usd:.4f} USD"
        print_text(f"{summary.n_failed} calls failed{may_add if summary.may_add_usd else ''}")
    if summary.n_from_cache:
        print_text(f"{summary.n_from_cache} replies came from the cache, paid for before")
    if summary.n_replayed:
        print_text(f"{summary.n_replayed} replies were replayed; nothing was paid")
    limits = {name: run.config.get(f"max_{name}") for name in ("usd", "tokens", "calls")}
    given = [f"--max-{name} {n:,}" for name, n in limits.items() if isinstance(n, int | float)]
    if given:
        print_text(f"limits: {', '.join(given)}")
    if run.limit:
        print_text(f"ended by its limit: {hide_credentials(run.limit)}")
