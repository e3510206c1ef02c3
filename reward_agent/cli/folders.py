"""Environments of others: said once, when their folder is first used, is what they may do."""

from __future__ import annotations

from reward_agent.cli.output import progress_console
from reward_agent.control.folders import describe_stranger, note_known


def tell_of_folder(env: str) -> None:
    """Say what an environment's folder may do, unless it is one of ours or this was said before.

    Nothing is asked: a script goes on.
    """
    words = describe_stranger(env)
    if not words:
        return
    note_known(env)
    progress_console.print(
        f"note: {words} This is said once of a folder; SECURITY.md says more.",
        style="yellow",
        soft_wrap=True,
    )
