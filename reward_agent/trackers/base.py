"""The seam: what a tracker is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """Where a run is logged. A group is what has steps of its own, such as one training."""

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers of one step; their names may hold slashes."""

    def log_text(self, name: str, text: str) -> None:
        """Log a text: a program, a critique, what a person said."""

    def log_video(self, name: str, path: Path) -> None:
        """Log an animated WebP or an mp4."""

    def close(self) -> None:
        """Write what is still to be written."""


class Opener(Protocol):
    """Makes a tracker for a run."""

    def __call__(self, run_id: str, folder: Path, config: Mapping[str, Any]) -> Tracker:
        """Open a tracker.

        Args:
            run_id: name of the run.
            folder: the tracker's own, in the run's directory.
            config: settings of the run.
        """
