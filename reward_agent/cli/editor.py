"""A person's own editor on a piece of text."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from reward_agent.errors import UsageError

_USUAL = ("nano", "vim", "vi", "notepad")


def edit_text(text: str) -> str | None:
    """Open Python text in ``$VISUAL``, ``$EDITOR`` or a usual editor; None if it is unchanged.

    Raises:
        UsageError: there is no editor, or it failed.
    """
    usual = next((name for name in _USUAL if shutil.which(name)), "")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or usual
    if not editor:
        raise UsageError("there is no editor", "set EDITOR, or use --edit FILE")
    with tempfile.TemporaryDirectory(prefix="reward-agent-") as folder:
        path = Path(folder) / "program.py"
        path.write_text(text, "utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"the editor {editor!r} failed: {error}", "set EDITOR") from error
        changed = path.read_text("utf-8", "replace")
    return None if changed == text else changed
