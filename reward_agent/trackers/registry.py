"""The seam of trackers, and its members by name; a package is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from reward_agent.plugins import Plugin, Seam


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


# Opens a tracker: for a run's id, in the tracker's own folder, with the run's settings.
Opener = Callable[[str, Path, Mapping[str, Any]], Tracker]


def _make_row(name: str, help: str) -> Plugin:
    factory = f"reward_agent.trackers.{name}:open_tracker"
    return Plugin(name, factory, help, package=name, extra=name)


TRACKERS = Seam(
    "tracker",
    "reward_agent.trackers",
    Plugin,
    (
        _make_row("tensorboard", "TensorBoard's event files"),
        _make_row("wandb", "Weights & Biases"),
        _make_row("mlflow", "an MLflow server, or its files"),
    ),
)
