"""The trackers by name; a package is imported when its tracker is asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass

from reward_agent.errors import UnknownNameError, UsageError
from reward_agent.trackers.base import Opener


@dataclass(frozen=True)
class Row:
    """Where a tracker lives, and the package that it needs."""

    module: str
    package: str


# The name of each is the extra that installs its package.
TRACKERS = {
    "tensorboard": Row("reward_agent.trackers.tensorboard", "tensorboard"),
    "wandb": Row("reward_agent.trackers.wandb", "wandb"),
    "mlflow": Row("reward_agent.trackers.mlflow", "mlflow"),
}


def find_openers(names: Iterable[str]) -> dict[str, Opener]:
    """Return how each of the named trackers is opened.

    Raises:
        UnknownNameError: there is no such tracker.
        UsageError: its package is not installed.
    """
    openers: dict[str, Opener] = {}
    for name in names:
        if name not in TRACKERS:
            raise UnknownNameError("tracker", name, TRACKERS)
        row = TRACKERS[name]
        if importlib.util.find_spec(row.package) is None:
            raise UsageError(
                f"the tracker {name} needs the package {row.package}, which is not installed",
                f"pip install 'reward-agent[{name}]'",
            )
        openers[name] = importlib.import_module(row.module).open_tracker
    return openers
