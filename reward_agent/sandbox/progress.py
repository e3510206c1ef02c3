"""The parent's view of a training while it runs: new rows of ``progress.csv``."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from reward_agent.errors import DataError
from reward_agent.files import open_untrusted

# A row of 32 terms takes about 1 KiB. More than this between two polls is not ours.
_MAX_POLL_BYTES = 1 << 20
_MAX_COLUMNS = 256
# Names are shown to people: no control characters.
_COLUMN = re.compile(r"[\w/]{1,80}", re.ASCII)


class ProgressTail:
    """Reads a CSV file of numbers as it grows. The rows are untrusted.

    Args:
        path: the file, which need not exist yet; rows that it has already are skipped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._header: list[str] = []
        self.read_rows()

    def read_rows(self) -> list[dict[str, float]]:
        """Return the rows written since the last call; what is not a finite number is left out."""
        try:
            descriptor = open_untrusted(self._path)
        except (FileNotFoundError, DataError):
            return []
        with os.fdopen(descriptor, "rb") as file:
            file.seek(self._offset)
            chunk = file.read(_MAX_POLL_BYTES)
        # A line without its end is still being written.
        whole = chunk[: chunk.rfind(b"\n") + 1]
        self._offset += len(whole)
        lines = whole.decode("utf-8", "replace").splitlines()
        if lines and not self._header:
            self._header = lines.pop(0).split(",")[:_MAX_COLUMNS]
        return [self._parse_row(line) for line in lines if line]

    def _parse_row(self, line: str) -> dict[str, float]:
        row = {}
        for name, text in zip(self._header, line.split(","), strict=False):
            if not _COLUMN.fullmatch(name):
                continue
            try:
                value = float(text)
            except ValueError:
                continue
            if math.isfinite(value):
                row[name] = value
        return row
