"""Weights & Biases; ``WANDB_MODE`` and the key are read by the package itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from reward_agent.files import make_folder


class WandbTracker:
    """One run of Weights & Biases; each group has its own axis of steps."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._groups: set[str] = set()

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers of one step."""
        axis = f"{group}/total_timesteps"
        if group not in self._groups:
            self._groups.add(group)
            self._run.define_metric(axis, hidden=True)
            self._run.define_metric(f"{group}/*", step_metric=axis)
        named = {f"{group}/{name}": value for name, value in scalars.items()}
        self._run.log({axis: step, **named})

    def log_text(self, name: str, text: str) -> None:
        """Log a text, as it is."""
        shown = text.replace("&", "&amp;").replace("<", "&lt;")
        self._run.log({name: wandb.Html(f"<pre>{shown}</pre>", inject=False)})

    def log_video(self, name: str, path: Path) -> None:
        """Log an animation: an mp4 as a video, a WebP as a picture that moves."""
        if path.suffix == ".mp4":
            self._run.log({name: wandb.Video(str(path), format="mp4")})
        else:
            self._run.log({name: wandb.Image(str(path))})

    def close(self) -> None:
        """Write what is still to be written."""
        self._run.finish()


def open_tracker(run_id: str, folder: Path, settings: Mapping[str, Any]) -> WandbTracker:
    """Open a run of Weights & Biases; one that is resumed goes on where it was."""
    make_folder(folder)
    identity = "".join(char if char.isalnum() or char in "-_" else "-" for char in run_id)
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "reward-agent"),
        id=identity[-120:],
        name=run_id,
        dir=str(folder),
        config=dict(settings),
        resume="allow",
        settings=wandb.Settings(silent=True, console="off"),
    )
    return WandbTracker(run)
