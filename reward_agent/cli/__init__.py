"""The command ``reward-agent``: every command parses, calls one library function, shows."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


def main() -> None:
    """Run the command line; the only place where an error becomes a line and an exit code."""
    # What is imported first takes a second, and would answer Ctrl-C with a traceback.
    is_listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_listening:
        signal.signal(signal.SIGINT, _stop)
    from reward_agent.cli.app import run

    if is_listening:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _stop(number: int, frame: FrameType | None) -> None:
    """Say in one line that Ctrl-C ended it, and leave."""
    code = 128 + number
    plain = "error: stopped"
    told = f'{{"code": "interrupted", "message": "stopped", "remedy": "", "exit": {code}}}'
    os.write(2, f"{told if '--json' in sys.argv else plain}\n".encode())
    os._exit(code)
