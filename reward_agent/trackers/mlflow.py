"""MLflow: a server where ``MLFLOW_TRACKING_URI`` says, else files in the run's directory."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from reward_agent.files import refuse_links

_EXPERIMENT = "reward-agent"
# What MLflow's parameters take.
_MAX_PARAMETER_CHARS = 500
_NOT_IN_NAMES = re.compile(r"[^\w\-. /]")


class MLflowTracker:
    """One run of MLflow; texts and videos are its artifacts."""

    def __init__(self, client: Any, run: str) -> None:
        self._client, self._run = client, run

    def log_scalars(self, group: str, scalars: Mapping[str, float], step: int) -> None:
        """Log numbers of one step."""
        for name, value in scalars.items():
            key = _NOT_IN_NAMES.sub("_", f"{group}/{name}")
            self._client.log_metric(self._run, key, value, step=step)

    def log_text(self, name: str, text: str) -> None:
        """Log a text as a file."""
        has_ending = "." in name.rpartition("/")[2]
        self._client.log_text(self._run, text, name if has_ending else f"{name}.txt")

    def log_video(self, name: str, path: Path) -> None:
        """Log an animation as a file."""
        self._client.log_artifact(self._run, str(path), name)

    def close(self) -> None:
        """Say that the run has ended."""
        self._client.set_terminated(self._run)


def open_tracker(run_id: str, folder: Path, settings: Mapping[str, Any]) -> MLflowTracker:
    """Open a run of MLflow; one that is resumed goes on where it was."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri is None:
        # Plain files need no database; MLflow asks to be told that they are wanted.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        refuse_links(folder)
        uri = folder.resolve().as_uri()
    client = MlflowClient(tracking_uri=uri)
    known = client.get_experiment_by_name(_EXPERIMENT)
    experiment = known.experiment_id if known else client.create_experiment(_EXPERIMENT)
    found = client.search_runs([experiment], f"tags.mlflow.runName = '{run_id}'", max_results=1)
    if found:
        return MLflowTracker(client, found[0].info.run_id)
    run = client.create_run(experiment, tags={"mlflow.runName": run_id}).info.run_id
    for name, value in settings.items():
        client.log_param(run, name, str(value)[:_MAX_PARAMETER_CHARS])
    return MLflowTracker(client, run)
