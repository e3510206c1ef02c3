"""The command ``reward-agent``: every command parses, calls one library function, shows."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the only place where an error becomes a line and an exit code."""
    from reward_agent.cli.app import run

    run()
